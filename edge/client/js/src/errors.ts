/**
 * Where an error comes from:
 *
 * - `server`: hawser, or the application behind an rpc, answered so;
 *   `code` is that answer's.
 * - `timeout`: no answer in time; the command may still be done (504).
 * - `queue_full`: too much waits to be sent already; nothing was sent (429).
 * - `disconnected`: the connection ended; `code` is the close code. A command
 *   that was under way may or may not have been done.
 * - `closed`: the client is closed, by `close()` or for good by a close that
 *   advises `stop` (1000).
 * - `token`: the token callback failed or took too long (401).
 * - `usage`: the call cannot work as it is; the message says why (400).
 */
export type ErrorKind = "server" | "timeout" | "queue_full" | "disconnected" | "closed" | "token" | "usage";

/** The one error class of this SDK. */
export class HawserError extends Error {
  override readonly name = "HawserError";

  constructor(
    readonly kind: ErrorKind,
    /** After HTTP; a WebSocket close code when `kind` is `disconnected`; 1000 and above for an application's own. */
    readonly code: number,
    message: string,
    /** True: the same call may succeed later. */
    readonly temporary: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The error of a call on a client that is closed. */
export function closedError(): HawserError {
  return new HawserError("closed", 1000, "the client is closed: call connect() first", false);
}

/** The error of a call that cannot work. */
export function usageError(message: string, cause?: unknown): HawserError {
  return new HawserError("usage", 400, message, false, cause === undefined ? undefined : { cause });
}
