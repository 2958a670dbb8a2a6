// Package wsconform checks a WebSocket server against RFC 6455, byte by byte.
//
// Suite plays the case list of the Autobahn fuzzing client, with Autobahn's
// numbers, against any server that echoes text and binary messages. Autobahn
// itself is Python 2 and cannot be a prerequisite of `go test`, so this is our
// own port: its code is ours, its case numbers, payloads and verdicts are
// Autobahn's. Hostile is a list of streams that a server must refuse with a
// documented close code, for the tests of each I/O engine.
//
// # Vocabulary
//
//   - Case: one connection, what is sent on it and what must come back.
//   - OK: what RFC 6455 asks for. NON-STRICT: tolerated, but later or less than
//     it asks for. FAILED: wrong. INFORMATIONAL: RFC 6455 leaves it open.
//   - Clean: close frames went both ways before TCP ended.
//
// # Where it is stricter than Autobahn
//
//   - A server that must fail a connection and drops TCP without a close frame
//     is NON-STRICT here; Autobahn calls it OK (RFC 6455 §7.1.7: SHOULD send).
//   - Big echoes are compared byte by byte, not by their length.
//
// # Where it is weaker
//
//   - Sizes in 9.* are cut to the server's limit (Suite.Limits), and the report
//     says for how many cases.
//   - 12.* and 13.* (permessage-deflate) send fewer messages, cut from texts of
//     our own, and want a server that keeps no context; 13.3 to 13.6, which
//     need windows of many sizes, are listed and counted as skipped.
//
// # Goroutines
//
// Each case has one: readLoop of its peer, joined by peer.close. It fills
// peer.got; the caller's goroutine writes.
//
// # What it refuses to do
//
// It shares no code with the server it checks: it has its own frame writer and
// reader, so that one misreading of the RFC cannot hide another. It does no
// opening handshake unasked: a Dial returns a connection after it, since path,
// subprotocol and token are the server's business. Handshake helps.
package wsconform
