package fabric

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// arbiterQueue is the queue group that picks the arbiter of a direct message.
const arbiterQueue = "hawser"

// maxVerdicts is how many direct messages may wait for GoneDelay. At the
// default delay that is 80,000 requests per second.
const maxVerdicts = 16384

// answerGone is the answer to a direct message that nobody holds.
const answerGone = `{"status":"gone"}`

// verdicts remembers the direct messages that may have to be answered "gone",
// by their reply subject. A node that holds the target answers at once; the
// arbiter answers when nobody did, as far as it can know: it waits GoneDelay,
// and the requester takes the first answer.
type verdicts struct {
	// Immutable after newVerdicts.
	delay time.Duration
	wake  func() // a deadline was added to an empty table

	gone, dropped atomic.Uint64

	mu    sync.Mutex
	open  map[string]*verdict
	order []*verdict // oldest first
}

// verdict is one direct message with a reply subject.
type verdict struct {
	reply    string
	due      time.Time
	arbiter  bool // this node was picked
	answered bool // this node answered
}

func newVerdicts(cfg Config, wake func()) *verdicts {
	return &verdicts{delay: cfg.GoneDelay, wake: wake, open: make(map[string]*verdict)}
}

// note records that this node is the arbiter of reply, or answered it. When
// the table is full the message gets no "gone": the requester times out.
func (v *verdicts) note(reply string, now time.Time, arbiter, answered bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.open[reply]
	if d == nil {
		if len(v.order) >= maxVerdicts {
			v.dropped.Add(1)
			return
		}
		d = &verdict{reply: reply, due: now.Add(v.delay)}
		v.open[reply] = d
		v.order = append(v.order, d)
		if len(v.order) == 1 {
			v.wake()
		}
	}
	d.arbiter = d.arbiter || arbiter
	d.answered = d.answered || answered
}

// expire answers what is due by send, and returns when the next one is.
func (v *verdicts) expire(now time.Time, send func(reply string)) (next time.Time, more bool) {
	for {
		d, next, more := v.takeDue(now)
		if d == nil {
			return next, more
		}
		if d.arbiter && !d.answered {
			v.gone.Add(1)
			send(d.reply)
		}
	}
}

func (v *verdicts) takeDue(now time.Time) (due *verdict, next time.Time, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.order) == 0 {
		v.order = nil // lets a large array go
		return nil, time.Time{}, false
	}
	d := v.order[0]
	if d.due.After(now) {
		return nil, d.due, true
	}
	v.order[0] = nil
	v.order = v.order[1:]
	delete(v.open, d.reply)
	return d, time.Time{}, false
}

// direct handles a message to a user or a session.
func (f *Fabric) direct(m *nats.Msg, k kind, tenant, name string) {
	arbiter := m.Sub.Queue != ""
	if m.Reply != "" && !isInbox(m.Reply) {
		if !arbiter {
			f.foreign.Add(1)
		}
		m.Reply = ""
	}
	if arbiter {
		if m.Reply != "" {
			f.verdicts.note(m.Reply, time.Now(), true, false)
		}
		return
	}
	f.countIn(m)
	sessions := f.hand(k, tenant, name, m.Data)
	if m.Reply == "" {
		return
	}
	switch {
	case sessions > 0:
		f.respond(m.Reply, `{"status":"delivered","sessions":`+strconv.Itoa(sessions)+`}`)
	case f.server.isAlone(m.Subject):
		f.verdicts.gone.Add(1)
		f.respond(m.Reply, answerGone)
	default:
		return
	}
	f.verdicts.note(m.Reply, time.Now(), false, true)
}

// hand gives a direct message to the receiver and returns how many sessions
// took it.
func (f *Fabric) hand(k kind, tenant, name string, data []byte) int {
	if k == kindUser {
		return f.receiver.DeliverUser(tenant, name, data)
	}
	if f.receiver.DeliverSession(tenant, name, data) {
		return 1
	}
	return 0
}

// respond answers a requester. A full queue or a missing NATS leaves him
// without an answer; the publisher counts it.
func (f *Fabric) respond(reply, answer string) {
	_ = f.publisher.push(outgoing{subject: reply, data: []byte(answer)})
}

// size returns how many direct messages wait for their verdict.
func (v *verdicts) size() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.order)
}
