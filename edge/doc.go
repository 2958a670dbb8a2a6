// Package edge is the clients' side of a node: it accepts sockets, decides who
// gets in, does the WebSocket handshake, and moves bytes between sockets and
// the actors. DESIGN.md has the reasons.
//
// # Vocabulary
//
//   - A socket is one TCP connection, from accept on; a connection (actors.Conn)
//     exists from the 101 response on.
//   - Admission turns sockets away before they cost anything; a Refusal is one
//     reason, an HTTP status and a metric label.
//   - An Engine reads and writes sockets. There are two, with the same tests:
//     poll (Linux, plain TCP) and goroutine (TLS in process, other systems).
//   - A Peer is what an engine tells about a connection: the actor, or in the
//     conformance tests an echo.
//
// # What owns a socket
//
// In the goroutine engine, a socket is owned by its readLoop; a writeLoop
// exists only while the socket is full, or per burst where writes block (TLS).
// The one that ends last closes the descriptor and calls Peer.Closed.
//
// In the poll engine, a pollSocket is owned by its pollLoop; the only methods
// for other goroutines are those of actors.Transport. end calls Peer.Closed
// first, after which nobody writes, and closes the descriptor then.
//
// # Goroutines
//
//   - goroutineEngine.Serve: one, the caller's; accepts.
//   - shake: one per handshake, at most HeaderTimeout long; joined by Close.
//   - readLoop, writeLoop: see above; joined by Close.
//   - pollEngine.Serve: one, the caller's; accepts for all loops.
//   - pollLoop.run: one per CPU; joined by Close.
//   - webServer: that of net/http, for the demo page; joined by Close.
//
// # Invariants
//
//   - No byte reaches gws, and no frame a Peer, that frame.Guard did not pass.
//     inbound.go is the one reading of frames, for both engines.
//   - Nothing here blocks on a client: reads have a deadline until the
//     handshake is done, writes are non-blocking or on their own goroutine.
//   - Every socket let in by admission leaves it once; every Peer bound gets
//     one Closed, as its last call.
//
// # What it refuses to do
//
// It knows no channel, no token's meaning, no NATS. It keeps no queue of its
// own: what waits for a client waits in the connection's actors.Outbox, which
// is bounded.
package edge
