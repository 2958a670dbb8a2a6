package actors

import (
	"time"

	"hawser/proto/cause"
)

// Broker is what the actors ask of the fabric. Every call returns at once;
// none may block on the network. fabric.Fabric implements it.
type Broker interface {
	// Subscribe asks for the live messages of a channel; they arrive through
	// System.Deliver. ready is called exactly once, on any goroutine, maybe
	// before Subscribe returns: with nil once the NATS server holds the
	// interest, so that nothing published later is missed.
	Subscribe(tenant, channel string, ready func(error))
	// Unsubscribe gives up one successful or pending Subscribe of the channel.
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
	// the socket. The engine then calls Conn.SocketClosed.
	Finish()
}

// Clock is the time source. Both methods must be safe for concurrent use.
type Clock interface {
	Now() time.Time
}

// Recorder counts; edge/metrics implements it. Calls are cheap and never
// block.
type Recorder interface {
	Opened()
	Closed(c cause.Code, open time.Duration)
	Command(kind string, errorCode uint32)
	Delivered(conns, bytes int)
	Dropped(reason string, n int)
}
