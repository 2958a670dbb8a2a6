/**
 * What the SDK asks of the world: time, chance and signs of life from the
 * browser. Tests inject a fake one; nothing else of the SDK reads a clock.
 */
export interface Environment {
    /** Milliseconds of a clock that never goes back. */
    now(): number;
    /** Calls `callback` once after `ms`; the result stops it. */
    after(ms: number, callback: () => void): Stop;
    /** In [0, 1). */
    random(): number;
    /** Calls `callback` whenever a retry or a probe is worth it at once; the result stops that. */
    onWake(callback: () => void): Stop;
}
/** Undoes what returned it. Calling it again does nothing. */
export type Stop = () => void;
/** The world as browsers and Node have it. */
export declare const realEnvironment: Environment;
