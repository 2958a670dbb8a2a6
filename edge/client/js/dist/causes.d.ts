/**
 * What a client does after a close: `retry` with full jitter, `token` for a
 * retry with a fresh token, `stop` until a person or the app changes something.
 */
export type Advice = "retry" | "token" | "stop";
/** One reason for which a connection ends. */
export interface Cause {
    /** Short constant name, as in hawser's metrics. */
    readonly name: string;
    readonly advice: Advice;
    /** For people: what happened and what to do. */
    readonly sentence: string;
}
/** The close table, by WebSocket close code. */
export declare const causes: Readonly<Record<number, Cause>>;
