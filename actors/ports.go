package actors

import (
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
)

// Broker is what the actors ask of the fabric. Every call returns at once;
// none may block on the network. fabric.Fabric implements it.
type Broker interface {
	// Subscribe asks for the live messages of a channel; they arrive through
	// System.Deliver. ready is called exactly once, on any goroutine, maybe
	// before Subscribe returns: with nil once the NATS server holds the
	// interest, so that nothing published later is missed.
	Subscribe(tenant, channel string, ready func(error))
	// Unsubscribe gives up one Subscribe of the channel that became ready; it
	// is called exactly once for each.
	Unsubscribe(tenant, channel string)
	// PublishChannel sends data to all subscribers of a channel.
	PublishChannel(tenant, channel string, data []byte) error
	// PublishApp sends what a client published to the application.
	PublishApp(tenant, channel, user, session string, data []byte) error
	// Request calls a service method. done is called exactly once, on any
	// goroutine, with the answer or an error (see StatusError).
	Request(tenant, method, user, session string, data []byte, done func([]byte, error))
}

// StatusError is an error that says how to answer a client. Broker and
// Authenticator errors may implement it; others become code 500.
type StatusError interface {
	error
	Status() (code uint32, message string, temporary bool)
}

// Identity is what a verified token says of its bearer.
type Identity struct {
	User    string    // empty for an anonymous client
	Expires time.Time // zero: never
	// Subscribe and Publish are patterns (names.Match) that the token grants
	// on top of the channel rules. Nil grants nothing beyond the rules.
	Subscribe, Publish []string
}

// Authenticator verifies tokens. Verify calls done exactly once: inline when
// it has the key, else later on its own goroutine. It never blocks.
type Authenticator interface {
	Verify(tenant, token string, done func(Identity, error))
}

// Transport is the socket side of one connection. The I/O engine implements
// it; each call returns at once and may come from any goroutine.
type Transport interface {
	// Flush starts writing what the outbox holds.
	Flush()
	// Finish writes what the outbox still holds, which ends with a close
	// frame, waits for the peer's close frame or a deadline, and then closes
	// the socket. The engine then calls Conn.SocketClosed. A connection that
	// fails while it closes calls it again.
	Finish()
}

// Encoder makes wire frames. edge implements it, as the actors know no
// WebSocket. Frames are immutable and shared between connections.
type Encoder interface {
	// Message encodes one server message as a data frame in the form w, a new
	// one each time: the actors mark it with its channel.
	Message(w Wire, m *clientv1.ServerMessage) *Frame
	// Ping, Pong and Close are control frames, RFC 6455 §5.5.
	Ping() *Frame
	Pong(payload []byte) *Frame
	Close(c cause.Code) *Frame
}

// Resumer signs and opens resume tokens. edge/auth implements it.
type Resumer interface {
	Issue(s ResumeState) string
	// Open returns an error for a token that is forged or malformed. One that
	// is older than the resume window comes back Stale: it is good only for a
	// session that the node still knows.
	Open(token string) (ResumeState, error)
}

// ResumeState is what a resume token carries.
type ResumeState struct {
	Session, Tenant, User string
	Generation            uint64 // fence: the next connection of the session has a higher one
	Stale                 bool   // set by Open
}

// Clock is the time source. Now must be safe for concurrent use.
type Clock interface {
	Now() time.Time
}

// Recorder counts; edge/metrics implements it. Calls are cheap, safe for
// concurrent use, and never block.
type Recorder interface {
	Opened()
	Closed(c cause.Code, lived time.Duration)
	Command(kind string)
	CommandError(code uint32)
	// Delivered counts one fan-out of a message to conns outboxes.
	Delivered(conns, bytes int)
	Dropped(reason DropReason, n int)
}

// DropReason names why something was not delivered.
type DropReason string

// The drop reasons.
const (
	DropSlow   DropReason = "slow_consumer" // outbox over its limit; the connection is closed
	DropClosed DropReason = "closed"        // the connection was already ending
	DropPanic  DropReason = "panic"         // a failed actor; a defect

	DropOldest    DropReason = "drop_oldest" // for a slow client, by SlowDropOldest
	DropConflated DropReason = "conflated"   // for a slow client, by SlowConflate
)
