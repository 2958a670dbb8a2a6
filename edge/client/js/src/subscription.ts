import { Deferred, Emitter, type Announcer } from "./events.js";
import { HawserError } from "./errors.js";
import type { Stop } from "./environment.js";

/** A message of a channel. */
export interface Publication<T = unknown> {
  readonly channel: string;
  /** Position in the channel's stream; 0 for a channel without history. */
  readonly seq: number;
  /** A JSON value; a Uint8Array for bytes that are no text; undefined when empty. */
  readonly data: T;
}

/** Called for each publication of a channel, in order. */
export type Handler<T = unknown> = (data: T, publication: Publication<T>) => void;

/**
 * - `pending`: asked for, or waiting for a connection.
 * - `active`: publications flow.
 * - `ended`: by `unsubscribe()`, or by the server for good.
 */
export type SubscriptionState = "pending" | "active" | "ended";

/** A change of a subscription's state. */
export interface SubscriptionChange {
  readonly state: SubscriptionState;
  /** Why the server ended it, or put it off. */
  readonly error?: HawserError;
}

export interface SubscriptionEvents {
  state: SubscriptionChange;
}

/** One handler on one channel. It survives reconnects. `Hawser.subscribe` makes it. */
export class Subscription<T = unknown> {
  readonly channel: string;
  readonly #handler: Handler<T>;
  readonly #events: Emitter<SubscriptionEvents>;
  readonly #leave: (subscription: Subscription<T>) => void;
  #state: SubscriptionState = "pending";
  #ready = new Deferred<void>();

  /** @internal */
  constructor(channel: string, handler: Handler<T>, announcer: Announcer, leave: (subscription: Subscription<T>) => void) {
    this.channel = channel;
    this.#handler = handler;
    this.#events = new Emitter(announcer);
    this.#leave = leave;
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  /**
   * Resolves once publications flow. Rejects when the server refuses for good,
   * or when the client or the subscription is closed before.
   */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Hears every change of state; the result stops that. */
  on<K extends keyof SubscriptionEvents>(name: K, listener: (detail: SubscriptionEvents[K]) => void): Stop {
    return this.#events.on(name, listener);
  }

  /** Ends it: no further publication reaches the handler. Calling it again does nothing. */
  unsubscribe(): void {
    if (this.#state !== "ended") this.#leave(this);
  }

  /** @internal */
  deliver(publication: Publication): void {
    if (this.#state !== "ended") this.#handler(publication.data as T, publication as Publication<T>);
  }

  /** @internal */
  become(state: SubscriptionState, error?: HawserError): void {
    if (state === this.#state && !error) return;
    if (state === "active") this.#ready.resolve();
    if (state === "ended") this.#ready.reject(error ?? new HawserError("closed", 1000, "unsubscribed", false));
    if (state === "pending" && this.#state === "active") this.#ready = new Deferred();
    this.#state = state;
    this.#events.emit("state", error ? { state, error } : { state });
  }

  /** @internal The client closed: who waits is told, and the next connect starts a new wait. */
  giveUp(error: HawserError): void {
    this.#ready.reject(error);
    this.#ready = new Deferred();
  }
}
