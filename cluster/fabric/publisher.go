package fabric

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Publisher publishes to channels as an application does: from outside of any
// node, over a NATS connection of its own. `hawser bench` uses it. It is not
// for concurrent use. Its only goroutines are those of nats.go; Close ends them.
type Publisher struct {
	// Immutable after DialPublisher.
	connection *nats.Conn
	subjects   subjects
}

// DialPublisher connects to the NATS server at url, which may carry a user and
// password or a token. An empty prefix means DefaultPrefix. A server that
// cannot be reached is an error, after 2s an address.
func DialPublisher(url, prefix string) (*Publisher, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	connection, err := nats.Connect(url, nats.Name("hawser publisher"), nats.NoReconnect(), nats.Timeout(dialTimeout))
	if err != nil {
		return nil, fmt.Errorf("fabric: connect publisher: %w", err)
	}
	return &Publisher{connection: connection, subjects: newSubjects(prefix, "")}, nil
}

// Publish queues data for the subscribers of a channel, without history. It
// may block while the socket is stuck. Flush sends what is queued.
func (p *Publisher) Publish(tenant, channel string, data []byte) error {
	subject, bad := p.subjects.fireSubject(tenant, channel)
	if bad != nil {
		return bad
	}
	if err := p.connection.Publish(subject, data); err != nil {
		return publishError(err)
	}
	return nil
}

// Flush returns when the NATS server has all that was published, or ctx ends.
// ctx must have a deadline.
func (p *Publisher) Flush(ctx context.Context) error {
	if err := p.connection.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("fabric: flush publisher: %w", err)
	}
	return nil
}

// Close ends the connection. What was not flushed is lost.
func (p *Publisher) Close() { p.connection.Close() }
