// Package frame is RFC 6455 framing without a socket: it builds frames, finds
// frames in bytes, and guards a parser against every stream RFC 6455 forbids.
// Both I/O engines, the Go SDK and the bench tool share it, so there is one
// reading of the RFC in hawser.
//
// # Vocabulary
//
//   - Frame: header and payload. Message: one data frame, or a first fragment
//     and its continuations up to FIN. Control frames are no part of a message.
//   - Guard: the streaming validator of one direction of one connection. It
//     sits between the socket and the WebSocket library and says how many of
//     the bytes just read may be handed on.
//   - Violation: the rule that was broken, as the close code and reason to send.
//   - Role: which side of the connection the Guard protects.
//
// # Why a Guard
//
// The library behind it sees only streams that RFC 6455 allows and that fit
// the limits. That gives three things gws 1.8.9 does not: a length with the
// top bit set is refused with 1002, nothing is allocated for an announced
// length above the limit, and invalid UTF-8 fails at the first impossible byte
// instead of at the end of the message (Autobahn 6.4). tests/wsconform plays
// Autobahn's case list against gws behind a Guard: all OK, none NON-STRICT.
//
// # Goroutines
//
// None. A Guard belongs to the goroutine that reads its connection; everything
// else is a function of its arguments.
//
// # What it refuses to do
//
//   - It never writes to, copies or keeps the bytes it looks at.
//   - It does not inflate: a compressed message is counted as sent, and its
//     UTF-8 is for the inflater to check.
//   - It sets no rate. A million legal pings are legal; the engine counts them.
package frame
