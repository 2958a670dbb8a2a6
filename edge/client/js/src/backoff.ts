/** The bounds of a backoff, in milliseconds. */
export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before retry number `attempt` (0 is the first), in
 * milliseconds: full jitter, as it spreads a crowd best ("Exponential Backoff
 * and Jitter", AWS Architecture Blog, 2015). `floorMs` is what the server
 * advised; the jitter comes on top of it, because a crowd told to wait 5 s
 * would otherwise come back in the same instant. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, floorMs: number, random: number, { minMs, maxMs }: Backoff): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30)); // 30: stays finite for any attempt
  return floorMs + Math.round(random * ceiling);
}
