// Package actors decides what happens to connections: it runs one actor per
// client, the rules of the conversation, the channels' local subscribers, and
// the fan-out to them.
//
// # Vocabulary
//
// Conn: one client socket; its actor, session state and outbox in one
// allocation. Session: what survives its sockets, by id and resume token;
// also the name of the pure state machine that a Conn steps. Event: what can
// happen to a session. Effect: what a session wants done. Shell: the code of
// Conn that does effects and brings the answers back as events. Shard: a slice
// of the connections with the actor that owns their hub entries. Topic: the
// hub entry of one channel. Hub: all topics of a shard. Interest: the node's
// one NATS subscription for a channel, whoever listens. Outbox: the bounded
// queue of frames towards one socket. Generation: counts the connections of a
// session; the higher one fences the lower. Tick: the node's coarse clock.
// Sweep: a shard's look at all its connections for who is silent. Slice: as
// many connections as a shard serves in one go. Round: the way of what waits
// for a channel through all its slices. Slow policy: what a channel's
// publications do in the outbox of a client that reads too slowly. Stuck:
// waiting behind a full socket.
//
// # Goroutines
//
// The package starts none of its own. These run its code:
//
//   - A connection's actor runs on the goroutine of whoever sends it an event
//     (reader, broker, sweep, another connection), one at a time: see mailbox.
//     It owns the session and the list of held topics. It never blocks.
//   - A shard's actor runs on protoactor's default dispatcher, on a goroutine
//     that lives while its mailbox has messages. It owns the hub, the
//     connections' hub entries and the flush list. System.Close joins it.
//   - The reader of a socket, one per connection and owned by the engine,
//     calls Conn.Receive, Ping, Touch, Violate, and SocketClosed last of all.
//   - The broker's dispatchers call System.Deliver, DeliverUser and
//     DeliverSession. Deliver is the one call here that may wait.
//   - The node's ticker calls System.Tick, from one goroutine.
//
// Shared between them: Outbox (a mutex each), the directory and the topics (a
// mutex each), a shard's connection table (a mutex, for attach, sweep and
// Snapshot), and atomics. No mutex is held across a send, a call of a port, or
// a wait, but for the outbox's around Writer.WriteBatch, which must not block.
//
// # Invariants
//
//   - Opened is recorded once for each connection, and Closed once, with one
//     cause: the first that was decided, or how the socket ended.
//   - A connection's answers come in the order of the decisions. Subscribed
//     precedes every publication of the channel, unsubscribed follows the last,
//     and between them none that was delivered here is missing: else the
//     connection is closed. A channel with another slow policy than
//     SlowDisconnect may lose some to a slow client; the others keep their order.
//   - Connected precedes everything but errors and pongs.
//   - Each Broker.Subscribe that became ready is given back once, when the last
//     subscriber has gone.
//   - At most one connection speaks for a session on this node.
//   - After the last connection closed and Close returned, nothing is left: see
//     world.close in the tests, which ends every one of them.
//
// # Queues
//
// DESIGN.md has the table of limits and what overflow means.
//
// # What it refuses to do
//
// It knows no NATS, socket, WebSocket frame or clock: Broker, Transport,
// Encoder and Clock are interfaces here, and implemented elsewhere. It does
// not restart a connection's actor. It never retries for a client, stores no
// message, and does not tell one node what another one knows.
package actors
