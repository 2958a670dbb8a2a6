import type { Environment, Stop } from "./environment.js";
import { HawserError } from "./errors.js";
import { lossOf, lossOfClose, lossOfRefusal, type Loss } from "./loss.js";
import type { Settings, WebSocketLike } from "./options.js";
import { decode, pack, SUBPROTOCOL, type Command, type Connect, type Connected, type Disconnect, type ServerMessage, type WireError } from "./wire.js";

/** Ids below this one are the link's own: an answer that carries one is not for a call. */
export const FIRST_CALL_ID = 2;
const CONNECT_ID = 1;

/** How long close() waits for the peer's close frame, in ms: the server's edge.close_timeout. */
const CLOSE_TIMEOUT_MS = 5_000;

/** How long the close that explains a refused connect may take, in ms. */
const REFUSAL_GRACE_MS = 1_000;

/** Fallbacks for a server that leaves them out, in ms: hawser's own defaults. */
const PING_MS = 25_000;
const PONG_MS = 10_000;

/** What a link tells its owner. After `lost`, which comes at most once, and after `close()` it tells nothing. */
export interface LinkOwner {
  welcomed(connected: Connected): void;
  received(message: ServerMessage): void;
  lost(loss: Loss): void;
}

/**
 * One socket, from dialing to its end: handshake, coalesced writes, and the
 * watch for silence. It never comes back; the client makes a new one.
 */
export class Link {
  readonly #env: Environment;
  readonly #owner: LinkOwner;
  readonly #socket: WebSocketLike;
  readonly #maxBufferedBytes: number;
  #out: string[] = []; // commands of this turn; emptied by the microtask that the first one starts
  #outChars = 0; // their length
  #opened = false;
  #welcomed = false;
  #over = false; // lost or closed: nothing more is told
  #farewell: Disconnect | undefined;
  #refusal: WireError | undefined; // the error that answered connect

  // The watch for silence.
  #pingMs = PING_MS;
  #pongMs = PONG_MS;
  #readAt = 0; // when the last message came
  #stopTimer: Stop; // one timer: connect deadline, then the next ping, then its pong
  #probing = false; // a ping is out

  /** @throws whatever the WebSocket constructor throws: a bad URL, mixed content. */
  constructor(env: Environment, settings: Settings, hello: Connect, owner: LinkOwner) {
    this.#env = env;
    this.#owner = owner;
    this.#maxBufferedBytes = settings.maxBufferedBytes;
    const socket = (this.#socket = new settings.WebSocket(settings.url, [SUBPROTOCOL]));
    socket.onopen = () => {
      this.#opened = true;
      this.send(JSON.stringify({ id: CONNECT_ID, connect: hello } satisfies Command));
    };
    socket.onmessage = (event) => this.#read(event.data);
    socket.onclose = ({ code, reason }) =>
      this.#lose(this.#opened ? lossOfClose(code, reason, this.#farewell, this.#refusal) : notOpened(code));
    socket.onerror = () => {}; // says nothing; close follows, WHATWG WebSockets §4
    this.#stopTimer = env.after(settings.connectTimeoutMs, () => this.#timeOut("no welcome", settings.connectTimeoutMs));
  }

  /** Whether the socket has room for one more command. */
  get writable(): boolean {
    return this.#outChars + this.#socket.bufferedAmount <= this.#maxBufferedBytes;
  }

  /** Writes a command, together with others of this turn. */
  send(command: string): void {
    this.#out.push(command);
    this.#outChars += command.length;
    if (this.#out.length === 1) queueMicrotask(() => this.#flush());
  }

  /** Pings now and gives the server pong_ms to say anything. */
  probe(): void {
    if (this.#over || this.#probing || !this.#welcomed) return;
    this.#probing = true;
    this.send(`{"ping":{}}`);
    this.#setTimer(this.#pongMs, () => this.#timeOut("no pong", this.#pongMs));
  }

  /** Closes normally, what was sent first. Resolves once the socket has closed, or after 5 s. */
  close(): Promise<void> {
    this.#flush();
    this.#finish();
    return new Promise((resolve) => {
      const stop = this.#env.after(CLOSE_TIMEOUT_MS, resolve);
      this.#socket.onclose = () => {
        stop();
        resolve();
      };
      this.#socket.close(1000);
    });
  }

  #flush(): void {
    if (this.#over) return;
    const frames = pack(this.#out);
    this.#out = [];
    this.#outChars = 0;
    for (const frame of frames) this.#socket.send(frame);
  }

  #read(data: unknown): void {
    if (this.#over) return;
    this.#readAt = this.#env.now();
    let messages: ServerMessage[];
    try {
      messages = decode(data);
    } catch (cause) {
      const error = new HawserError("disconnected", 1002, "the server sent what is not hawser.v1.json", true, { cause });
      this.#drop(lossOf(error));
      return;
    }
    if (this.#probing) this.#watch();
    for (const message of messages) this.#take(message);
  }

  #take(message: ServerMessage): void {
    if (this.#over) return;
    if (message.disconnect) {
      this.#farewell = message.disconnect;
    } else if (this.#welcomed) {
      this.#owner.received(message);
    } else if (message.connected) {
      this.#welcome(message.connected);
    } else if (message.error && message.id === CONNECT_ID) {
      this.#refused(message.error);
    }
  }

  // Most refusals are followed by a close, which knows better what to do next.
  #refused(error: WireError): void {
    this.#refusal = error;
    this.#setTimer(REFUSAL_GRACE_MS, () => this.#drop(lossOfRefusal(error)));
  }

  #welcome(connected: Connected): void {
    this.#welcomed = true;
    this.#pingMs = connected.ping_ms || PING_MS;
    this.#pongMs = connected.pong_ms || PONG_MS;
    this.#watch();
    this.#owner.welcomed(connected);
  }

  // A browser hides ping control frames from us, so silence proves nothing
  // until a ping of our own went unanswered.
  #watch(): void {
    this.#probing = false;
    const silentMs = this.#env.now() - this.#readAt;
    this.#setTimer(this.#pingMs - silentMs, () => {
      if (this.#env.now() - this.#readAt >= this.#pingMs) this.probe();
      else this.#watch();
    });
  }

  #setTimer(ms: number, callback: () => void): void {
    this.#stopTimer();
    this.#stopTimer = this.#env.after(ms, callback);
  }

  #timeOut(what: string, ms: number): void {
    this.#drop(lossOf(new HawserError("disconnected", 1006, `disconnected: ${what} within ${ms} ms`, true)));
  }

  /** Gives the socket up from this side. */
  #drop(loss: Loss): void {
    this.#socket.onclose = null;
    this.#socket.close();
    this.#lose(loss);
  }

  #lose(loss: Loss): void {
    if (this.#over) return;
    this.#finish();
    this.#owner.lost(loss);
  }

  #finish(): void {
    this.#over = true;
    this.#stopTimer();
    this.#out = [];
  }
}

/** Browsers hide why a handshake failed, even an HTTP status: it may be a passing one. */
function notOpened(code: number): Loss {
  return lossOf(new HawserError("disconnected", code, "could not connect: the WebSocket handshake failed", true));
}
