package fabric

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Headers of what a client sends to an application.
const (
	HeaderUser    = "Hw-User"    // absent for an anonymous client
	HeaderSession = "Hw-Session" // always there
)

// outgoing is one message that waits for the control link.
type outgoing struct {
	subject, reply string
	user, session  string // headers; empty: absent
	data           []byte // ours
	request        uint64 // id of the request to fail when it cannot be sent; 0: none
}

// headerBytes is what the headers add on the wire: "NATS/1.0\r\n", a line
// each, and an empty line.
func (o *outgoing) headerBytes() int {
	if o.session == "" {
		return 0
	}
	n := len("NATS/1.0\r\n\r\n") + len(HeaderSession) + len(o.session) + len(": \r\n")
	if o.user != "" {
		n += len(HeaderUser) + len(o.user) + len(": \r\n")
	}
	return n
}

// publisher is the queue before the control link. Callers must not block, and
// nats.go's own Publish does when the socket is stuck.
type publisher struct {
	// Immutable after newPublisher.
	link               *link
	maxCount, maxBytes int
	kick               chan struct{} // capacity 1; never closed

	// Owned by publishLoop.
	message nats.Msg // reused
	header  nats.Header

	published, refused, lost atomic.Uint64

	mu     sync.Mutex
	queue  []outgoing
	bytes  int // of data in queue
	closed bool
}

func newPublisher(cfg Config, control *link) *publisher {
	return &publisher{
		link:     control,
		maxCount: cfg.PendingPublishes,
		maxBytes: cfg.PendingPublishBytes,
		kick:     make(chan struct{}, 1),
		header:   make(nats.Header, 2),
	}
}

// push queues o with a copy of its data. It never blocks. It fails at once
// while NATS is down, when the queue is full, and for data that NATS would
// refuse; then nothing was queued.
func (p *publisher) push(o outgoing) *Error {
	if !p.link.isConnected() {
		p.refused.Add(1)
		return errDown
	}
	size := int64(len(o.data) + o.headerBytes())
	if most := p.link.maxPayload.Load(); size > most {
		p.refused.Add(1)
		return tooLarge(size, most)
	}
	o.data = append([]byte(nil), o.data...)
	if err := p.append(o); err != nil {
		p.refused.Add(1)
		return err
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return nil
}

func (p *publisher) append(o outgoing) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errStopping
	}
	// One message of any size passes an empty queue.
	if len(p.queue) >= p.maxCount || len(p.queue) > 0 && p.bytes+len(o.data) > p.maxBytes {
		return errPublishFull
	}
	p.queue = append(p.queue, o)
	p.bytes += len(o.data)
	return nil
}

// publishLoop writes the queue to the link until ctx ends; then it writes
// what is left. failed is told of requests that could not be sent.
func (p *publisher) publishLoop(ctx context.Context, failed func(request uint64, why *Error)) {
	var batch []outgoing
	for {
		batch = p.take(batch)
		for i := range batch {
			p.send(&batch[i], failed)
			batch[i] = outgoing{} // lets the data go
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-p.kick:
		case <-ctx.Done():
			if p.close() {
				return
			}
		}
	}
}

// take swaps the queue for an empty one, which reuses batch's array.
func (p *publisher) take(batch []outgoing) []outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := p.queue
	p.queue, p.bytes = batch[:0], 0
	return full
}

// close refuses further pushes; it returns true when nothing is left to send.
func (p *publisher) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return len(p.queue) == 0
}

// send hands one message to nats.go, which may block on the socket for
// writeTimeout.
func (p *publisher) send(o *outgoing, failed func(uint64, *Error)) {
	if err := p.link.connection.PublishMsg(p.build(o)); err != nil {
		p.lost.Add(1)
		if o.request != 0 {
			failed(o.request, publishError(err))
		}
		return
	}
	p.published.Add(1)
}

// build fills the reused message. nats.go copies it before PublishMsg returns.
func (p *publisher) build(o *outgoing) *nats.Msg {
	p.message = nats.Msg{Subject: o.subject, Reply: o.reply, Data: o.data}
	if o.session == "" {
		return &p.message
	}
	p.setHeader(HeaderSession, o.session)
	p.setHeader(HeaderUser, o.user)
	p.message.Header = p.header
	return &p.message
}

func (p *publisher) setHeader(key, value string) {
	if value == "" {
		delete(p.header, key)
		return
	}
	if values := p.header[key]; len(values) == 1 {
		values[0] = value
		return
	}
	p.header[key] = []string{value}
}

// pending returns how many messages wait for publishLoop.
func (p *publisher) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}
