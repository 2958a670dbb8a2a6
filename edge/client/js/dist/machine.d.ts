import type { Loss } from "./loss.js";
import type { HawserError } from "./errors.js";
/**
 * - `initialized`: nothing was asked for yet.
 * - `connecting`: getting a token, dialing, or waiting for the welcome.
 * - `connected`: commands flow.
 * - `suspended`: waiting to retry.
 * - `closed`: by `close()`.
 * - `failed`: by a close that advises to stop; `connect()` tries again.
 */
export type State = "initialized" | "connecting" | "connected" | "suspended" | "closed" | "failed";
/** The machine's whole memory. */
export interface Machine {
    readonly state: State;
    /** Losses since the last stable connection. */
    readonly attempt: number;
    /** Tokens refused since the last stable connection. */
    readonly refusals: number;
}
/** What happens to a connection. */
export type Event = {
    readonly type: "connect" | "close" | "welcome" | "stable" | "retry" | "wake";
} | {
    readonly type: "lost";
    readonly loss: Loss;
};
/** What the client does about it. */
export type Effect = {
    readonly do: "dial" | "greet" | "detach" | "hang_up" | "hurry" | "stop_waiting" | "probe" | "discard_token";
} | {
    readonly do: "wait";
    readonly attempt: number;
    readonly floorMs: number;
} | {
    readonly do: "end";
    readonly error?: HawserError;
};
/** What step needs to know of the settings. */
export interface Rules {
    /** Tokens come from a function, so a refused one can be replaced. */
    readonly renewable: boolean;
    readonly maxTokenRefusals: number;
}
export interface Step {
    readonly machine: Machine;
    readonly effects: readonly Effect[];
}
export declare const initial: Machine;
/** The transition table above. */
export declare function step(machine: Machine, event: Event, rules: Rules): Step;
