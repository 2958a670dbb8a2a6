/** Sec-WebSocket-Protocol of this wire. */
export declare const SUBPROTOCOL = "hawser.v1.json";
/** Messages a frame may carry, as in proto/codec. */
export declare const MAX_MESSAGES_PER_FRAME = 128;
/** Application data: `data` is any JSON value, `data_base64` what is neither JSON nor text. */
export interface Payload {
    data?: unknown;
    data_base64?: string;
}
/** What connect tells the server. */
export interface Connect {
    token?: string;
    resume_token?: string;
    client_name?: string;
    client_version?: string;
}
/** One command; exactly one member besides `id` is there. */
export interface Command {
    id?: number;
    connect?: Connect;
    subscribe?: {
        channel: string;
    };
    unsubscribe?: {
        channel: string;
    };
    publish?: {
        channel: string;
    } & Payload;
    rpc?: {
        method: string;
    } & Payload;
    refresh?: {
        token: string;
    };
    ping?: Record<string, never>;
}
/** Answers connect. Absent members are zero. */
export interface Connected {
    session: string;
    resume_token?: string;
    ping_ms?: number;
    pong_ms?: number;
    node?: string;
    resumed?: boolean;
    user?: string;
    expires_ms?: number;
}
/** A command that was not done. */
export interface WireError {
    code?: number;
    message?: string;
    temporary?: boolean;
}
/** The last message before the server's close frame. */
export interface Disconnect {
    code?: number;
    reason?: string;
    reconnect?: boolean;
    retry_after_ms?: number;
}
/** One answer or push. A message with no member known here is from a newer server: ignore it. */
export interface ServerMessage {
    id?: number;
    connected?: Connected;
    subscribed?: {
        channel: string;
    };
    unsubscribed?: {
        channel: string;
        error?: WireError;
    };
    published?: object;
    rpc?: Payload;
    refreshed?: {
        expires_ms?: number;
    };
    pong?: object;
    error?: WireError;
    publication?: {
        channel: string;
        seq?: number;
    } & Payload;
    direct?: Payload;
    disconnect?: Disconnect;
}
/** The frames that carry `commands`, each an object's text, in order. */
export declare function pack(commands: readonly string[]): string[];
/**
 * The messages of a frame.
 *
 * @throws Error when it is not an object or an array of objects.
 */
export declare function decode(frame: unknown): ServerMessage[];
/** How `data` travels: bytes in base64, anything else as JSON, `undefined` as nothing. */
export declare function toPayload(data: unknown): Payload;
/** The application's data: a JSON value, a Uint8Array, or `undefined` when it was empty. */
export declare function fromPayload(payload: Payload): unknown;
