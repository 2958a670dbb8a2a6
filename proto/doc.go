// Package proto is the room of everything that crosses a wire. It has no code
// of its own; its packages are:
//
//   - client/v1: the messages between a client and hawser, generated from
//     client.proto by internal/gen.
//   - codec: those messages as JSON and as binary records.
//   - cause: the one table of reasons for which a connection ends.
//   - names: which tenant, channel, method and user names are good.
//
// PROTOCOL.md is the prose, for someone who writes a client.
//
// Vocabulary: a message is a command (of a client), an answer (to one) or a
// push (of the server, unasked). A frame is one WebSocket data message; it
// holds one or more messages.
//
// Goroutines: none in the room. It refuses to know clocks, sockets, NATS or
// any other room of hawser, so that an SDK can take it alone.
package proto
