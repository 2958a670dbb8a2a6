// The world of the tests: virtual time, chosen chance, sockets of paper.
import { setImmediate } from "node:timers";
import type { Environment, Stop } from "../src/environment.js";
import { Hawser } from "../src/client.js";
import type { Options, WebSocketConstructor, WebSocketLike } from "../src/options.js";
import type { Command, ServerMessage } from "../src/wire.js";

/** Lets every promise that can settle do so. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Timer {
  at: number;
  callback: () => void;
}

/** Time that moves only when told to. */
export class World implements Environment {
  time = 0;
  chance = 0.5; // what random() gives
  timers = new Set<Timer>();
  wakeListeners = new Set<() => void>();

  now = () => this.time;
  random = () => this.chance;

  after(ms: number, callback: () => void): Stop {
    const timer = { at: this.time + ms, callback };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  onWake(callback: () => void): Stop {
    this.wakeListeners.add(callback);
    return () => void this.wakeListeners.delete(callback);
  }

  async wake(): Promise<void> {
    for (const listener of this.wakeListeners) listener();
    await settled();
  }

  /** Moves time by `ms`, running what is due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.time = Math.max(this.time, next.at);
      this.timers.delete(next);
      next.callback();
      await settled();
    }
    this.time = end;
  }

  #next(end: number): Timer | undefined {
    return [...this.timers].filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
  }
}

/** The server's end of one socket. */
export class Socket implements WebSocketLike {
  bufferedAmount = 0;
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  frames: string[] = []; // sent by the client
  closed: number | undefined; // code of the client's close; 1005 without one

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(frame: string): void {
    this.frames.push(frame);
  }

  close(code = 1005): void {
    this.closed = code;
  }

  /** Every command so far. */
  get commands(): Command[] {
    return this.frames.flatMap((frame) => JSON.parse(frame));
  }

  /** The last command that has that member. */
  last<K extends keyof Command>(kind: K): Command & Required<Pick<Command, K>> {
    const found = this.commands.filter((c) => kind in c).at(-1);
    if (!found) throw new Error(`no ${kind} in ${this.frames}`);
    return found as Command & Required<Pick<Command, K>>;
  }

  async open(): Promise<void> {
    this.onopen?.({});
    await settled();
  }

  async say(...messages: ServerMessage[]): Promise<void> {
    this.onmessage?.({ data: JSON.stringify(messages.length === 1 ? messages[0] : messages) });
    await settled();
  }

  /** Answers the last command of that kind. */
  async answer(kind: keyof Command, answer: ServerMessage): Promise<void> {
    const { id } = this.last(kind);
    await this.say({ ...(id && { id }), ...answer });
  }

  async welcome(more: Partial<ServerMessage["connected"]> = {}): Promise<void> {
    await this.open();
    await this.answer("connect", {
      connected: { session: "s1", resume_token: "r1", ping_ms: 25_000, pong_ms: 10_000, node: "n1", ...more },
    });
  }

  async die(code = 1006, reason = ""): Promise<void> {
    this.onclose?.({ code, reason });
    await settled();
  }
}

/** A client, its world, and the sockets it made. */
export interface Bench {
  world: World;
  client: Hawser;
  sockets: Socket[];
  /** The newest socket. */
  socket(): Socket;
  /** Waits as long as the client said it would, until it dials again. */
  redial(): Promise<void>;
  /** Names of the events so far, with the state where it is one. */
  story: string[];
}

export function bench(options: Partial<Options> = {}): Bench {
  const world = new World();
  const sockets: Socket[] = [];
  const WebSocket = class extends Socket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  } as WebSocketConstructor;
  const client = new Hawser({ url: "ws://host/ws/demo", WebSocket, ...options }, world);
  const story: string[] = [];
  client.on("state", ({ state, retryInMs }) => story.push(retryInMs === undefined ? state : `${state} ${retryInMs}`));
  const socket = () => {
    const last = sockets.at(-1);
    if (!last) throw new Error("no socket yet");
    return last;
  };
  const redial = () => world.advance(Number(/^suspended (\d+)$/.exec(story.at(-1)!)![1]));
  return { world, client, sockets, socket, redial, story };
}

/** A bench whose client is connected. */
export async function connectedBench(options: Partial<Options> = {}): Promise<Bench> {
  const b = bench(options);
  void b.client.connect();
  await settled();
  await b.socket().welcome();
  return b;
}

/** Settles to the error, or to the string "resolved". */
export const failure = (promise: Promise<unknown>): Promise<any> =>
  promise.then(
    () => "resolved",
    (error) => error,
  );
