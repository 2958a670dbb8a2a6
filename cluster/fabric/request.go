package fabric

import (
	"container/list"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers and values of answers. The service headers are those of the NATS
// micro protocol, ADR-32; the status is the server's own, ADR-4.
const (
	headerStatus      = "Status"
	headerServiceText = "Nats-Service-Error"
	headerServiceCode = "Nats-Service-Error-Code"
	statusNoResponder = "503"
)

// requests is the table of requests in flight. Each ends once: by an answer,
// by its deadline, or by Close.
type requests struct {
	// Immutable after newRequests.
	max     int
	timeout time.Duration
	inbox   string         // subject prefix of answers, ends in a dot
	replies chan *nats.Msg // never closed; a nil message ends replyLoop
	wake    func()         // a deadline was added to an empty table

	timeouts, refused, late atomic.Uint64

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*list.Element // of *call
	order   list.List                // oldest first; all wait equally long
	closed  bool
}

// call is one request in flight.
type call struct {
	id     uint64
	method string
	due    time.Time
	done   func([]byte, error)
}

func newRequests(cfg Config, wake func()) *requests {
	return &requests{
		max:     cfg.PendingRequests,
		timeout: cfg.RPCTimeout,
		// Twice the table: an answer that comes late, or twice, must not push
		// a good one out.
		replies: make(chan *nats.Msg, 2*cfg.PendingRequests),
		wake:    wake,
		pending: make(map[uint64]*list.Element),
	}
}

// begin registers a call and returns its id, which is never 0.
func (r *requests) begin(method string, now time.Time, done func([]byte, error)) (uint64, *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, errStopping
	}
	if len(r.pending) >= r.max {
		r.refused.Add(1)
		return 0, errRequestsFull
	}
	r.next++
	c := &call{id: r.next, method: method, due: now.Add(r.timeout), done: done}
	r.pending[c.id] = r.order.PushBack(c)
	if len(r.pending) == 1 {
		r.wake()
	}
	return c.id, nil
}

// take ends a call; nil means that it ended before.
func (r *requests) take(id uint64) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	element := r.pending[id]
	if element == nil {
		return nil
	}
	delete(r.pending, id)
	return r.order.Remove(element).(*call)
}

// fail ends a call with an error, if it is still there.
func (r *requests) fail(id uint64, why *Error) {
	if c := r.take(id); c != nil {
		c.done(nil, why)
	}
}

// replyLoop hands answers to their callers until a nil message comes.
func (r *requests) replyLoop() {
	for m := range r.replies {
		if m == nil {
			return
		}
		r.answer(m)
	}
}

func (r *requests) answer(m *nats.Msg) {
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, r.inbox), 36, 64)
	if err != nil {
		r.late.Add(1)
		return
	}
	c := r.take(id)
	if c == nil {
		r.late.Add(1) // after its deadline, or the second answer
		return
	}
	if failure := answerError(c.method, m); failure != nil {
		c.done(nil, failure)
		return
	}
	c.done(m.Data, nil)
}

// answerError is what the headers of an answer say went wrong, or nil.
func answerError(method string, m *nats.Msg) *Error {
	if len(m.Header) == 0 {
		return nil
	}
	if len(m.Data) == 0 && m.Header.Get(headerStatus) == statusNoResponder {
		return &Error{CodeUnavailable, "no service answers " + method, true}
	}
	_, text := m.Header[headerServiceText]
	code, coded := m.Header[headerServiceCode]
	if !text && !coded {
		return nil
	}
	failure := &Error{Code: CodeService, Message: m.Header.Get(headerServiceText)}
	if coded {
		failure.Code = serviceCode(code[0])
	}
	if failure.Message == "" {
		failure.Message = method + " failed"
	}
	failure.Temporary = failure.Code == 429 || failure.Code == CodeUnavailable || failure.Code == CodeTimeout
	return failure
}

// serviceCode reads a service's own code. Below 400 is no error code of the
// client protocol.
func serviceCode(s string) uint32 {
	code, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil || code < 400 {
		return CodeService
	}
	return uint32(code)
}

// expire ends the calls that are due, and returns when the next one is.
func (r *requests) expire(now time.Time) (next time.Time, more bool) {
	for {
		c, next, more := r.takeDue(now)
		if c == nil {
			return next, more
		}
		r.timeouts.Add(1)
		c.done(nil, &Error{CodeTimeout, c.method + " did not answer in time", true})
	}
}

// takeDue ends and returns the oldest call when it is due; else it returns
// when it will be.
func (r *requests) takeDue(now time.Time) (due *call, next time.Time, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	front := r.order.Front()
	if front == nil {
		return nil, time.Time{}, false
	}
	c := front.Value.(*call)
	if c.due.After(now) {
		return nil, c.due, true
	}
	delete(r.pending, c.id)
	r.order.Remove(front)
	return c, time.Time{}, false
}

// close ends all calls and refuses further ones.
func (r *requests) close() {
	r.mu.Lock()
	r.closed = true
	var calls []*call
	for e := r.order.Front(); e != nil; e = e.Next() {
		calls = append(calls, e.Value.(*call))
	}
	r.order.Init()
	clear(r.pending)
	r.mu.Unlock()
	for _, c := range calls {
		c.done(nil, errStopping)
	}
}

// inFlight returns how many requests have no answer yet.
func (r *requests) inFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}
