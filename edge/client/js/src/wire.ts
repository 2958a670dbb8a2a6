// The subprotocol hawser.v1.json: one JSON object per text frame, or an array
// of them. proto/client/v1/client.proto has the schema.

/** Sec-WebSocket-Protocol of this wire. */
export const SUBPROTOCOL = "hawser.v1.json";

/** Messages a frame may carry, as in proto/codec. */
export const MAX_MESSAGES_PER_FRAME = 128;

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
  subscribe?: { channel: string };
  unsubscribe?: { channel: string };
  publish?: { channel: string } & Payload;
  rpc?: { method: string } & Payload;
  refresh?: { token: string };
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
  subscribed?: { channel: string };
  unsubscribed?: { channel: string; error?: WireError };
  published?: object;
  rpc?: Payload;
  refreshed?: { expires_ms?: number };
  pong?: object;
  error?: WireError;
  publication?: { channel: string; seq?: number } & Payload;
  direct?: Payload;
  disconnect?: Disconnect;
}

/** The frames that carry `commands`, each an object's text, in order. */
export function pack(commands: readonly string[]): string[] {
  const frames: string[] = [];
  for (let i = 0; i < commands.length; i += MAX_MESSAGES_PER_FRAME) {
    const some = commands.slice(i, i + MAX_MESSAGES_PER_FRAME);
    frames.push(some.length === 1 ? some[0]! : `[${some.join()}]`);
  }
  return frames;
}

/**
 * The messages of a frame.
 *
 * @throws Error when it is not an object or an array of objects.
 */
export function decode(frame: unknown): ServerMessage[] {
  const parsed: unknown = JSON.parse(frame as string);
  const messages = Array.isArray(parsed) ? parsed : [parsed];
  if (!messages.every((m) => typeof m === "object" && m !== null)) throw new TypeError("want objects");
  return messages;
}

/** How `data` travels: bytes in base64, anything else as JSON, `undefined` as nothing. */
export function toPayload(data: unknown): Payload {
  if (data instanceof ArrayBuffer) return { data_base64: toBase64(new Uint8Array(data)) };
  if (ArrayBuffer.isView(data)) {
    return { data_base64: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
  }
  return data === undefined ? {} : { data };
}

/** The application's data: a JSON value, a Uint8Array, or `undefined` when it was empty. */
export function fromPayload(payload: Payload): unknown {
  if (payload.data_base64 === undefined) return payload.data;
  return Uint8Array.from(atob(payload.data_base64), (c) => c.charCodeAt(0));
}

function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
