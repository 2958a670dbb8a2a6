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
export declare class Subscription<T = unknown> {
    #private;
    readonly channel: string;
    get state(): SubscriptionState;
    /**
     * Resolves once publications flow. Rejects when the server refuses for good,
     * or when the client or the subscription is closed before.
     */
    get ready(): Promise<void>;
    /** Hears every change of state; the result stops that. */
    on<K extends keyof SubscriptionEvents>(name: K, listener: (detail: SubscriptionEvents[K]) => void): Stop;
    /** Ends it: no further publication reaches the handler. Calling it again does nothing. */
    unsubscribe(): void;
}
