// Package fabric carries messages between this node, the applications and the
// other nodes over NATS. It is the one place of nats.go and nats-server.
//
// # Vocabulary
//
//   - Link: one NATS connection with its state. Control is the link that
//     publishes, requests and takes answers; the data links only receive.
//   - Lane: one data link, its bounded channel and its dispatcher. A channel
//     always uses the same lane, so its messages keep their order.
//   - Interest: one NATS subscription for one (tenant, channel), shared by all
//     who asked for it, and kept for a linger after the last one left.
//   - Confirmed: the server answered a round trip after the last (re)connect,
//     so it holds every interest that was sent before.
//   - Direct: a message to a user or a session, found by wildcard.
//   - Arbiter: the one node, picked by queue group, that answers "gone" for a
//     direct message which nobody answers.
//   - Canary: a numbered message to ourselves that proves the whole path.
//
// # Subjects (hw is Config.Prefix)
//
//	hw.fire.<tenant>.<channel>            to the subscribers of a channel
//	hw.in.<tenant>.<channel>              from a client to the application
//	hw.rpc.<tenant>.<service>.<method>    from a client to a service, with a reply
//	hw.user.<tenant>.<escaped user>       to every session of a user
//	hw.session.<tenant>.<session>         to one session
//	_hw.canary.<node>                     from the node to itself
//
// hw.in and hw.rpc carry the headers Hw-User and Hw-Session. They come from
// the verified token, never from the client's own words.
//
// # Goroutines
//
// A Fabric has 2K+4 goroutines for K data links, however many channels there
// are. Close joins all of them; no other goroutine outlives a call.
//
//   - interestLoop (one a lane) makes and drops NATS subscriptions, and owns
//     the list of those that wait for the server. Interests are guarded by the
//     lane's mutex.
//   - dispatchLoop (one a lane) calls the Receiver. It owns nothing but its
//     turn: a Receiver that blocks stops one lane.
//   - publishLoop writes to the control link; the queue is guarded by its own
//     mutex.
//   - replyLoop answers the pending requests; the table is guarded by its own
//     mutex.
//   - sweepLoop ends requests and direct messages that waited too long.
//   - canaryLoop sends the canary and collects drop counts.
//
// nats.go and nats-server run goroutines of their own, which end with Close.
//
// # Queues and their overflows
//
//	lane channel      Config.PendingMessages     NATS drops the newest; Stats.Dropped, an error line
//	publish queue     Config.PendingPublishes    Error 503 to the caller; Stats.PublishesRefused
//	                  and ...PublishBytes
//	requests          Config.PendingRequests     Error 503 to the caller; Stats.RequestsRefused
//	interests         Config.MaxInterests        Error 503 to the caller; Stats.InterestsRefused
//	direct verdicts   maxVerdicts                no "gone" is sent, the requester times out; Stats.VerdictsDropped
//
// # What it refuses to do
//
// It keeps no history and retries nothing: delivery is at most once, and a
// message that comes while NATS is down is lost. It does not authorize; the
// edge does. It never buffers while NATS is down: publishing then fails at
// once. It does not start on a stream store of another cluster mode.
package fabric
