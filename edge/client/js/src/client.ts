import { backoffMs } from "./backoff.js";
import { Calls } from "./calls.js";
import { Channels } from "./channels.js";
import { realEnvironment, type Environment, type Stop } from "./environment.js";
import { closedError, HawserError, usageError } from "./errors.js";
import { Announcer, Deferred, Emitter } from "./events.js";
import { Link } from "./link.js";
import { lossOf, serverError } from "./loss.js";
import { initial, step, type Effect, type Event, type State } from "./machine.js";
import { settle, type Options, type Settings } from "./options.js";
import type { Handler, Subscription } from "./subscription.js";
import { Tokens } from "./tokens.js";
import { fromPayload, toPayload, type Connect, type Connected, type ServerMessage } from "./wire.js";

/** Who this client is to hawser, from its last welcome. */
export interface Session {
  /** Survives reconnects. */
  readonly id: string;
  /** Node that holds the connection. */
  readonly node: string;
  /** From the token; empty for an anonymous client. */
  readonly user: string;
  /** The session is that of the connection before. */
  readonly resumed: boolean;
}

/** A change of state, or of the time of the next retry. */
export interface StateChange {
  readonly state: State;
  readonly previous: State;
  /** When `suspended`: milliseconds until the next try. */
  readonly retryInMs?: number;
  /** Why a connection, or a try at one, ended. */
  readonly error?: HawserError;
}

/** The events of a client. */
export interface HawserEvents {
  state: StateChange;
  connect: Session;
  disconnect: { readonly error: HawserError; readonly willReconnect: boolean };
  /** Data sent to this user or this session, outside any channel. */
  direct: unknown;
  /** Anything that went wrong by itself, for logs: lost connections, refused subscriptions, failing token functions. */
  error: HawserError;
}

/** Options of one call. */
export interface CallOptions {
  /** From the call to its answer, waiting for a connection included. Default: `commandTimeoutMs`. */
  timeoutMs?: number;
}

/**
 * A client of hawser. Make it, `connect()`, and use it at once: commands wait
 * for the connection, subscriptions survive it.
 *
 * @example
 * const hw = new Hawser("wss://example.org/ws/demo");
 * hw.subscribe("news", (data) => console.log(data));
 * hw.connect();
 */
export class Hawser {
  // Immutable after the constructor.
  readonly #settings: Settings;
  readonly #env: Environment;
  readonly #announcer = new Announcer();
  readonly #events = new Emitter<HawserEvents>(this.#announcer);
  readonly #calls: Calls;
  readonly #channels: Channels;
  readonly #tokens: Tokens;

  // The connection.
  #machine = initial;
  #dials = 0; // fences the token of a dial given up
  #link: Link | undefined;
  #session: Session | undefined;
  #resumeToken: string | undefined;
  #connecting = new Deferred<void>(); // what connect() returned
  #closing: Promise<void> = Promise.resolve(); // what close() returned

  // Timers and listeners; each stops when its state is left.
  #stopRetry: Stop = () => {};
  #stopStable: Stop = () => {};
  #stopWake: Stop | undefined;
  #retryAt = 0; // by env.now(), when suspended
  #retryFloorAt = 0; // no retry before: the server said so

  /**
   * Does nothing yet but check its options. `environment` is for tests.
   *
   * @throws HawserError `usage`, naming the option that cannot work.
   */
  constructor(options: string | Options, environment: Environment = realEnvironment) {
    const settings = (this.#settings = settle(options));
    const report = (error: HawserError) => this.#events.emit("error", error);
    this.#env = environment;
    this.#calls = new Calls(environment, settings.maxQueue);
    this.#channels = new Channels(environment, settings, this.#calls, this.#announcer, report);
    this.#tokens = new Tokens(environment, settings, report);
  }

  get state(): State {
    return this.#machine.state;
  }

  /** From the last welcome; undefined before the first, and once closed. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Hears every event of that name; the result stops that. Listeners run in order, after the call that caused the event. */
  on<K extends keyof HawserEvents>(name: K, listener: (detail: HawserEvents[K]) => void): Stop {
    return this.#events.on(name, listener);
  }

  /**
   * Connects, and keeps reconnecting until `close()` or a close that advises
   * to stop. Resolves with the first welcome; rejects when it ends before.
   */
  connect(): Promise<void> {
    this.#dispatch({ type: "connect" });
    return this.#connecting.promise;
  }

  /**
   * Closes for now: calls under way reject, subscriptions wait for another
   * `connect()`, and session and token are forgotten. Resolves once the socket
   * has closed, or after 5 s.
   */
  close(): Promise<void> {
    this.#dispatch({ type: "close" });
    return this.#closing;
  }

  /**
   * Calls `handler` for each publication of `channel`, from now until
   * `unsubscribe()`, over all reconnects. Several may share a channel.
   */
  subscribe<T = unknown>(channel: string, handler: Handler<T>): Subscription<T> {
    if (typeof channel !== "string" || channel === "") throw usageError("subscribe: want a channel name");
    return this.#channels.add(channel, handler);
  }

  /**
   * Publishes `data`, any JSON value or bytes, to `channel`. Resolves once
   * hawser has handed it on, which does not say that anyone received it.
   * Rejects with a {@link HawserError}; after `disconnected` and `timeout` it
   * may or may not have been published.
   */
  async publish(channel: string, data: unknown, options?: CallOptions): Promise<void> {
    await this.#call({ publish: { channel, ...toPayload(data) } }, options);
  }

  /** Calls `service.method` and resolves with the application's answer. Rejects as publish does. */
  async rpc<T = unknown>(method: string, data?: unknown, options?: CallOptions): Promise<T> {
    const { rpc } = await this.#call({ rpc: { method, ...toPayload(data) } }, options);
    return fromPayload(rpc ?? {}) as T;
  }

  /** Measures a round trip to the node, in milliseconds. Rejects at once when not connected. */
  async ping(options?: CallOptions): Promise<number> {
    if (this.state !== "connected") throw new HawserError("disconnected", 1006, "not connected", true);
    const sentAt = this.#env.now();
    await this.#calls.call({ ping: {} }, options?.timeoutMs ?? this.#settings.commandTimeoutMs, true);
    return this.#env.now() - sentAt;
  }

  async #call(command: Parameters<Calls["call"]>[0], options?: CallOptions): Promise<ServerMessage> {
    if (this.state === "closed" || this.state === "failed") throw closedError();
    return this.#calls.call(command, options?.timeoutMs ?? this.#settings.commandTimeoutMs);
  }

  #dispatch(event: Event): void {
    const previous = this.state;
    const rules = { renewable: this.#tokens.renewable, maxTokenRefusals: this.#settings.maxTokenRefusals };
    const { machine, effects } = step(this.#machine, event, rules);
    this.#machine = machine;
    const error = event.type === "lost" ? event.loss.error : undefined;
    for (const effect of effects) this.#run(effect, error);
    if (machine.state !== previous) this.#announce(previous, error);
  }

  #run(effect: Effect, error = closedError()): void {
    switch (effect.do) {
      case "dial":
        return this.#dial();
      case "greet":
        return this.#greet();
      case "probe":
        return this.#link?.probe();
      case "detach":
        return this.#detach(error);
      case "hang_up":
        return this.#hangUp();
      case "discard_token":
        return this.#tokens.discard(error.code === 4401 ? "token_expired" : "bad_token");
      case "wait":
        return this.#wait(effect.attempt, effect.floorMs);
      case "hurry":
        return this.#hurry();
      case "stop_waiting":
        return this.#stopRetry();
      case "end":
        return this.#end(error);
    }
  }

  #dial(): void {
    this.#stopRetry();
    this.#stopWake ??= this.#begin();
    this.#link = undefined; // lost long ago
    const dial = ++this.#dials;
    this.#tokens.get().then(
      (token) => dial === this.#dials && this.#open(token),
      (error: HawserError) => dial === this.#dials && this.#dispatch({ type: "lost", loss: lossOf(error) }),
    );
  }

  /** The first dial after initialized, closed or failed. */
  #begin(): Stop {
    this.#connecting = new Deferred();
    return this.#env.onWake(() => this.#dispatch({ type: "wake" }));
  }

  #open(token: string | undefined): void {
    const { clientName, clientVersion } = this.#settings;
    const hello: Connect = { client_name: clientName, client_version: clientVersion };
    if (token) hello.token = token;
    if (this.#resumeToken) hello.resume_token = this.#resumeToken;
    try {
      this.#link = new Link(this.#env, this.#settings, hello, {
        welcomed: (connected) => this.#welcomed(connected),
        received: (message) => this.#received(message),
        lost: (loss) => this.#dispatch({ type: "lost", loss }),
      });
    } catch (cause) {
      this.#dispatch({ type: "lost", loss: lossOf(usageError(`cannot dial ${this.#settings.url}: ${cause}`, cause)) });
    }
  }

  #welcomed(connected: Connected): void {
    const { session: id, node = "", user = "", resumed = false } = connected;
    this.#session = { id, node, user, resumed };
    this.#resumeToken = connected.resume_token;
    this.#tokens.watch(connected.expires_ms ?? 0, async (token) => {
      const { refreshed } = await this.#calls.call({ refresh: { token } }, this.#settings.commandTimeoutMs, true);
      return refreshed?.expires_ms ?? 0;
    });
    this.#dispatch({ type: "welcome" });
  }

  /** Subscriptions first: who published while offline wants to see it come back. */
  #greet(): void {
    this.#calls.attach(this.#link!);
    this.#channels.attach(() => this.#calls.flush());
    this.#stopStable = this.#env.after(this.#settings.stableMs, () => this.#dispatch({ type: "stable" }));
    this.#connecting.resolve();
  }

  #received(message: ServerMessage): void {
    const { publication, direct, unsubscribed, error } = message;
    if (message.id) this.#calls.answer(message);
    else if (publication) this.#channels.deliver(publication);
    else if (direct) this.#events.emit("direct", fromPayload(direct));
    else if (unsubscribed) this.#channels.dropped(unsubscribed.channel, unsubscribed.error);
    else if (error) this.#events.emit("error", serverError(error));
  }

  #detach(error: HawserError): void {
    this.#stopStable();
    this.#tokens.pause();
    this.#channels.detach();
    this.#calls.detach(error);
  }

  #hangUp(): void {
    this.#dials++;
    if (this.#link) this.#closing = this.#link.close();
  }

  #wait(attempt: number, floorMs: number): void {
    const { backoffMinMs: minMs, backoffMaxMs: maxMs } = this.#settings;
    this.#retryFloorAt = this.#env.now() + floorMs;
    this.#retryIn(backoffMs(attempt, floorMs, this.#env.random(), { minMs, maxMs }));
  }

  /** Something changed for the better: retries soon. Still with jitter, as a whole office comes back online at once. */
  #hurry(): void {
    const now = this.#env.now();
    const { backoffMinMs: minMs } = this.#settings;
    const ms = backoffMs(0, Math.max(0, this.#retryFloorAt - now), this.#env.random(), { minMs, maxMs: minMs });
    if (now + ms >= this.#retryAt) return;
    this.#retryIn(ms);
    this.#announce("suspended");
  }

  #retryIn(ms: number): void {
    this.#stopRetry();
    this.#retryAt = this.#env.now() + ms;
    this.#stopRetry = this.#env.after(ms, () => this.#dispatch({ type: "retry" }));
  }

  #end(error: HawserError): void {
    this.#stopWake?.();
    this.#stopWake = undefined;
    this.#link = undefined;
    this.#session = undefined;
    this.#resumeToken = undefined; // who was replaced must not take the session back, nor the next user inherit it
    this.#tokens.discard("connect");
    this.#calls.end(error);
    this.#channels.end(error);
    this.#connecting.reject(error);
  }

  #announce(previous: State, error?: HawserError): void {
    const { state } = this;
    const retryInMs = state === "suspended" ? { retryInMs: this.#retryAt - this.#env.now() } : {};
    this.#events.emit("state", { state, previous, ...retryInMs, ...(error && { error }) });
    if (error) this.#events.emit("error", error);
    if (state === "connected") this.#events.emit("connect", this.#session!);
    if (previous === "connected") {
      this.#events.emit("disconnect", { error: error ?? closedError(), willReconnect: state === "suspended" });
    }
  }
}
