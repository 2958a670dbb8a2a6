import { usageError } from "./errors.js";

/** Why a token is asked for: the first one, before the old one expires, or because hawser refused the old one. */
export type TokenReason = "connect" | "refresh" | "bad_token" | "token_expired";

/**
 * Gets a token from the application. An error is retried with backoff; throw a
 * {@link HawserError} that is not temporary to give up instead (the user logged out).
 */
export type TokenSource = (reason: TokenReason) => string | Promise<string>;

/** The part of the WebSocket API that the SDK uses. */
export interface WebSocketLike {
  readonly bufferedAmount: number;
  // `any`: browsers, Node and `ws` each have event types of their own.
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** How a socket is made: the browser's `WebSocket`, Node 22's, or that of the package `ws`. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** Options of a client. Only `url` is required. */
export interface Options {
  /** `ws://host/ws/tenant`; `http:` and paths relative to the page work too. */
  url: string;
  /** JWT, or a function that gets one. Absent where the node needs none. */
  token?: string | TokenSource | undefined;
  /** Default: the global `WebSocket`. Node below 22 has none: pass that of the package `ws`. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Shown to the operator. Default "hawser-js". At most 64 bytes. */
  clientName?: string | undefined;
  /** Shown to the operator. Default: the SDK's version. At most 64 bytes. */
  clientVersion?: string | undefined;
  /** From dialing to the server's welcome, in ms, and the longest a token may take. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** From a call to its answer, in ms, waiting for a connection included. Default 10,000. */
  commandTimeoutMs?: number | undefined;
  /** Ceiling of the first wait before a retry, in ms; it doubles with each. Default 500. */
  backoffMinMs?: number | undefined;
  /** Ceiling of every wait before a retry, in ms. Default 20,000. */
  backoffMaxMs?: number | undefined;
  /** How long a connection must last, in ms, before the backoff starts anew. Default 60,000. */
  stableMs?: number | undefined;
  /**
   * Commands that may wait for a connection; one more is refused with
   * `queue_full`. Default 64: with the 128 subscriptions a server allows, a
   * reconnect stays inside its default burst of 200 messages.
   */
  maxQueue?: number | undefined;
  /** Bytes that may wait in the socket; a command beyond is refused with `queue_full`. Default 1,048,576. */
  maxBufferedBytes?: number | undefined;
  /** Refusals of tokens in a row, with no stable connection between, before the client fails for good. Default 3. */
  maxTokenRefusals?: number | undefined;
}

/** Options with every default filled in. */
export type Settings = { [K in Exclude<keyof Options, "token">]-?: Exclude<Options[K], undefined> } & {
  readonly token: string | TokenSource | undefined;
};

/** Version of this SDK; a test holds it equal to package.json's. */
export const VERSION = "0.1.0";

const defaults = {
  clientName: "hawser-js",
  clientVersion: VERSION,
  connectTimeoutMs: 10_000,
  commandTimeoutMs: 10_000,
  backoffMinMs: 500,
  backoffMaxMs: 20_000,
  stableMs: 60_000,
  maxQueue: 64,
  maxBufferedBytes: 1 << 20,
  maxTokenRefusals: 3,
};

/**
 * Fills in the defaults.
 *
 * @throws HawserError `usage`, naming the first option that cannot work, its value and its range.
 */
export function settle(given: string | Options): Settings {
  const options: Options = typeof given === "string" ? { url: given } : given;
  const set = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const settings = { ...defaults, token: undefined, ...set } as Settings;
  settings.url = absolute(settings.url);
  settings.WebSocket ??= globalThis.WebSocket as WebSocketConstructor;
  check(settings);
  return settings;
}

function absolute(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url, globalThis.location?.href);
  } catch (cause) {
    throw usageError(`url ${JSON.stringify(url)}: want ws://host/ws/tenant`, cause);
  }
  parsed.protocol = parsed.protocol.replace(/^http/, "ws");
  parsed.hash = ""; // WebSocket refuses fragments, WHATWG WebSockets §3.1
  if (!/^wss?:$/.test(parsed.protocol)) throw usageError(`url ${JSON.stringify(url)}: want ws: or wss:`);
  return parsed.href;
}

function check(settings: Settings): void {
  if (typeof settings.WebSocket !== "function") {
    throw usageError("there is no global WebSocket here: pass the option WebSocket, such as that of the package ws");
  }
  for (const name of Object.keys(defaults) as (keyof typeof defaults)[]) {
    const value = settings[name];
    const type = typeof defaults[name];
    if (typeof value !== type || (typeof value === "number" && !(value >= 1))) {
      throw usageError(`${name} ${value}: want ${type === "number" ? "a number of at least 1" : "a string"}`);
    }
  }
  if (settings.backoffMaxMs < settings.backoffMinMs) {
    throw usageError(`backoffMaxMs ${settings.backoffMaxMs}: want at least backoffMinMs ${settings.backoffMinMs}`);
  }
}
