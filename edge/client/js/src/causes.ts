// Generated from proto/cause by edge/client/js/internal/gen; do not edit.

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
export const causes: Readonly<Record<number, Cause>> = {
  1000: { name: "client_closed", advice: "stop", sentence: "The client closed the connection normally." },
  1001: { name: "client_gone", advice: "retry", sentence: "The page or app went away; it reconnects when it is back." },
  1002: { name: "protocol_error", advice: "stop", sentence: "The client broke RFC 6455: unmasked, reserved or badly fragmented frames. Fix the client." },
  1003: { name: "wrong_data_type", advice: "stop", sentence: "A binary frame came on hawser.v1.json or a text frame on hawser.v1.proto. Fix the client." },
  1005: { name: "no_status", advice: "retry", sentence: "The client sent a close frame without a code." },
  1006: { name: "peer_lost", advice: "retry", sentence: "The TCP connection ended without a close frame: reset, network loss or a killed client." },
  1007: { name: "bad_utf8", advice: "stop", sentence: "A text message was not valid UTF-8. Fix the client." },
  1009: { name: "too_big", advice: "stop", sentence: "A message was larger than edge.max_message_bytes. Send less or raise the limit." },
  1011: { name: "internal", advice: "retry", sentence: "hawser failed on this connection; the log of the node has the reason." },
  1012: { name: "shutdown", advice: "retry", sentence: "The node is stopping for maintenance; reconnect after the advised delay." },
  1013: { name: "overload", advice: "retry", sentence: "The node sheds load; reconnect after the advised delay." },
  4001: { name: "bad_token", advice: "token", sentence: "The token is missing, forged, expired or for another tenant. Get a new one." },
  4400: { name: "bad_request", advice: "stop", sentence: "A message was not JSON or protobuf of this protocol, or connect was not the first. Fix the client." },
  4401: { name: "token_expired", advice: "token", sentence: "The token ran out on a live connection. Refresh it in time, or reconnect with a new one." },
  4403: { name: "forbidden", advice: "stop", sentence: "This user may not connect here." },
  4408: { name: "pong_timeout", advice: "retry", sentence: "The client answered no ping within edge.pong_timeout: dead, asleep or cut off." },
  4409: { name: "replaced", advice: "stop", sentence: "A newer connection resumed this session; this older one gave way." },
  4410: { name: "kicked", advice: "stop", sentence: "An operator or the application ended the session." },
  4413: { name: "slow_consumer", advice: "retry", sentence: "The client read too slowly and its outbox passed edge.outbox_bytes." },
  4429: { name: "rate_limited", advice: "retry", sentence: "The client sent far more than edge.rate_messages per second, and went on after errors 429." },
  4440: { name: "connect_timeout", advice: "retry", sentence: "No connect command within edge.connect_timeout after the handshake." },
};
