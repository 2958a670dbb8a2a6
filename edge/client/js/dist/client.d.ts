import { type Environment, type Stop } from "./environment.js";
import { HawserError } from "./errors.js";
import { type State } from "./machine.js";
import { type Options } from "./options.js";
import type { Handler, Subscription } from "./subscription.js";
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
    disconnect: {
        readonly error: HawserError;
        readonly willReconnect: boolean;
    };
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
export declare class Hawser {
    #private;
    /**
     * Does nothing yet but check its options. `environment` is for tests.
     *
     * @throws HawserError `usage`, naming the option that cannot work.
     */
    constructor(options: string | Options, environment?: Environment);
    get state(): State;
    /** From the last welcome; undefined before the first, and once closed. */
    get session(): Session | undefined;
    /** Hears every event of that name; the result stops that. Listeners run in order, after the call that caused the event. */
    on<K extends keyof HawserEvents>(name: K, listener: (detail: HawserEvents[K]) => void): Stop;
    /**
     * Connects, and keeps reconnecting until `close()` or a close that advises
     * to stop. Resolves with the first welcome; rejects when it ends before.
     */
    connect(): Promise<void>;
    /**
     * Closes for now: calls under way reject, subscriptions wait for another
     * `connect()`, and session and token are forgotten. Resolves once the socket
     * has closed, or after 5 s.
     */
    close(): Promise<void>;
    /**
     * Calls `handler` for each publication of `channel`, from now until
     * `unsubscribe()`, over all reconnects. Several may share a channel.
     */
    subscribe<T = unknown>(channel: string, handler: Handler<T>): Subscription<T>;
    /**
     * Publishes `data`, any JSON value or bytes, to `channel`. Resolves once
     * hawser has handed it on, which does not say that anyone received it.
     * Rejects with a {@link HawserError}; after `disconnected` and `timeout` it
     * may or may not have been published.
     */
    publish(channel: string, data: unknown, options?: CallOptions): Promise<void>;
    /** Calls `service.method` and resolves with the application's answer. Rejects as publish does. */
    rpc<T = unknown>(method: string, data?: unknown, options?: CallOptions): Promise<T>;
    /** Measures a round trip to the node, in milliseconds. Rejects at once when not connected. */
    ping(options?: CallOptions): Promise<number>;
}
