package fabric

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// settleRetry is how long the interest loop waits after a round trip that
// failed although the link still looks connected.
const settleRetry = 100 * time.Millisecond

// lane is one data link with its channel. interestLoop and the fabric's
// dispatchLoop are its only goroutines; Fabric.Close waits for both.
type lane struct {
	// Immutable after newLane.
	link   *link
	linger time.Duration
	count  *interestCount  // shared by all lanes of the fabric
	in     chan *nats.Msg  // never closed; a nil message ends dispatchLoop
	kick   chan struct{}   // capacity 1; work for interestLoop, never closed
	back   atomic.Int64    // when the last canary came back, after the fabric's start
	ctx    context.Context // the life of interestLoop

	// Owned by interestLoop.
	sent []*interest // NATS has the SUB, the round trip is missing

	mu        sync.Mutex
	interests map[string]*interest // by subject
	fresh     []*interest          // to be sent by interestLoop; at most len(interests)
	idle      []lingering          // oldest first; one entry an interest at most
	slow      map[*nats.Subscription]uint64
	dropped   uint64 // by subscriptions that are gone, or already counted from slow
	closed    bool
}

// interest is one NATS subscription and those who want it. All fields but sub
// are guarded by lane.mu.
type interest struct {
	subject string
	sub     *nats.Subscription // owned by interestLoop
	refs    int
	live    bool // the server has it
	queued  bool // in lane.idle
	idle    time.Time
	waiting []func(error) // until live
}

// lingering is an interest that may be due for removal.
type lingering struct {
	interest *interest
	due      time.Time
}

// interestCount bounds the interests of all lanes together.
type interestCount struct {
	max     int64
	now     atomic.Int64
	refused atomic.Uint64
}

func newLane(ctx context.Context, cfg Config, l *link, count *interestCount) *lane {
	n := &lane{
		link:      l,
		linger:    cfg.InterestLinger,
		count:     count,
		in:        make(chan *nats.Msg, cfg.PendingMessages),
		kick:      make(chan struct{}, 1),
		ctx:       ctx,
		interests: make(map[string]*interest),
		slow:      make(map[*nats.Subscription]uint64),
	}
	l.onConnect = n.wake
	l.onSlow = n.markSlow
	return n
}

// subscribe adds one holder of subject and calls ready once: now when the
// answer is known, else from interestLoop. A refusal while NATS is down comes
// before subscribe returns, so no caller can mistake it for a later one. A
// subscription that is waiting when NATS goes down is not failed: it becomes
// ready when NATS is back.
func (n *lane) subscribe(subject string, ready func(error)) {
	n.mu.Lock()
	answered, err := n.hold(subject, ready)
	n.mu.Unlock()
	if !answered {
		n.wake()
		return
	}
	if err != nil {
		ready(err)
		return
	}
	ready(nil)
}

// hold is subscribe under the lock; answered is false when ready has to wait.
func (n *lane) hold(subject string, ready func(error)) (answered bool, err error) {
	if n.closed {
		return true, errStopping
	}
	if !n.link.isConfirmed() {
		return true, errDown
	}
	it := n.interests[subject]
	if it == nil {
		if !n.count.add() {
			return true, errInterestFull
		}
		it = &interest{subject: subject}
		n.interests[subject] = it
		n.fresh = append(n.fresh, it)
	}
	it.refs++
	if it.live {
		return true, nil
	}
	it.waiting = append(it.waiting, ready)
	return false, nil
}

// unsubscribe drops one holder. A subject that nobody holds is ignored: its
// interest may just have been refused.
func (n *lane) unsubscribe(subject string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	it := n.interests[subject]
	if it == nil || it.refs == 0 {
		return
	}
	it.refs--
	if it.refs > 0 {
		return
	}
	it.idle = time.Now()
	if it.queued {
		return // its entry finds out when it is due
	}
	it.queued = true
	n.idle = append(n.idle, lingering{it, it.idle.Add(n.linger)})
	if len(n.idle) == 1 {
		n.wake()
	}
}

// wake tells interestLoop that there is work. It never blocks.
func (n *lane) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// interestLoop is the only goroutine that subscribes and unsubscribes at
// NATS, which may block on the socket. Being one, it also keeps the order: an
// old SUB of a subject is gone before a new one is made.
func (n *lane) interestLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-n.ctx.Done():
			n.refuseAll()
			return
		case <-n.kick:
		case <-timer.C:
		}
		next := n.expire(time.Now())
		if !n.settle() {
			next = min(next, settleRetry)
		}
		timer.Reset(next)
	}
}

// settle sends fresh interests and waits one round trip for all that were
// sent. It returns false when it has to be called again soon.
func (n *lane) settle() bool {
	before := n.link.connection.LastError()
	n.sendFresh()
	session, connected := n.link.state()
	if !connected {
		return true // the reconnect wakes us
	}
	if len(n.sent) == 0 && n.link.isConfirmed() {
		return true
	}
	if n.link.flush(n.ctx) != nil {
		return n.ctx.Err() != nil
	}
	sent := n.sent
	n.sent = nil
	if n.denied(before) {
		sent = n.dropDenied(sent)
	}
	n.link.confirm(session)
	n.complete(sent)
	return true
}

// sendFresh makes the NATS subscriptions. While disconnected nats.go only
// notes them, and sends them on reconnect.
func (n *lane) sendFresh() {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = nil
	n.mu.Unlock()
	for _, it := range fresh {
		if err := n.send(it); err != nil {
			n.refuse(it, errDown)
			continue
		}
		n.sent = append(n.sent, it)
	}
}

func (n *lane) send(it *interest) (err error) {
	it.sub, err = n.link.connection.ChanSubscribe(it.subject, n.in)
	return err
}

// denied reports whether NATS refused a subscription since before. nats.go
// keeps only the last error, as a new value each time.
func (n *lane) denied(before error) bool {
	last := n.link.connection.LastError()
	return last != before && errors.Is(last, nats.ErrPermissionViolation)
}

// dropDenied finds the interests that NATS refuses, one round trip each: the
// refusal of a batch does not say which. Only a node with wrong permissions
// pays for it.
func (n *lane) dropDenied(sent []*interest) (allowed []*interest) {
	for _, it := range sent {
		_ = it.sub.Unsubscribe()
		before := n.link.connection.LastError()
		if n.send(it) != nil || n.link.flush(n.ctx) != nil {
			n.refuse(it, errDown)
			continue
		}
		if n.denied(before) {
			n.refuse(it, errDenied)
			continue
		}
		allowed = append(allowed, it)
	}
	return allowed
}

// complete marks interests live and tells who waited.
func (n *lane) complete(sent []*interest) {
	for _, it := range sent {
		n.mu.Lock()
		waiting := it.waiting
		it.live, it.waiting = true, nil
		n.mu.Unlock()
		for _, ready := range waiting {
			ready(nil)
		}
	}
}

// refuse removes an interest that was never live, with all its holders, and
// tells them why.
func (n *lane) refuse(it *interest, why *Error) {
	if it.sub != nil {
		_ = it.sub.Unsubscribe()
	}
	n.mu.Lock()
	waiting := it.waiting
	it.waiting, it.refs = nil, 0
	n.remove(it)
	n.mu.Unlock()
	for _, ready := range waiting {
		ready(why)
	}
}

// refuseAll ends the lane for subscribers.
func (n *lane) refuseAll() {
	n.mu.Lock()
	n.closed = true
	var waiting []func(error)
	for _, it := range n.interests {
		waiting = append(waiting, it.waiting...)
		it.waiting = nil
	}
	n.mu.Unlock()
	for _, ready := range waiting {
		ready(errStopping)
	}
}

// expire drops the interests that lingered long enough, and returns when to
// look again.
func (n *lane) expire(now time.Time) time.Duration {
	const later = time.Hour
	for {
		n.mu.Lock()
		if len(n.idle) == 0 {
			n.idle = nil // lets a large array go
			n.mu.Unlock()
			return later
		}
		head := n.idle[0]
		if wait := head.due.Sub(now); wait > 0 {
			n.mu.Unlock()
			return wait
		}
		n.idle[0] = lingering{}
		n.idle = n.idle[1:]
		gone := n.retire(head.interest, now)
		n.mu.Unlock()
		if gone {
			// A closed connection has dropped it already.
			_ = head.interest.sub.Unsubscribe()
		}
	}
}

// retire decides on one interest whose linger is due; mu is held. It returns
// true when the interest is out of the table.
func (n *lane) retire(it *interest, now time.Time) bool {
	it.queued = false
	if it.refs > 0 || n.interests[it.subject] != it {
		return false
	}
	due := it.idle.Add(n.linger)
	if due.After(now) || !it.live {
		// It was wanted again meanwhile, or the server has yet to answer.
		if !due.After(now) {
			due = now.Add(settleRetry)
		}
		it.queued = true
		n.idle = append(n.idle, lingering{it, due})
		return false
	}
	n.remove(it)
	return true
}

// remove takes an interest out of the table; mu is held.
func (n *lane) remove(it *interest) {
	if n.interests[it.subject] != it {
		return
	}
	delete(n.interests, it.subject)
	n.count.now.Add(-1)
	if _, slow := n.slow[it.sub]; slow {
		n.collect(it.sub)
		delete(n.slow, it.sub)
	}
}

// markSlow notes a subscription that began to drop; nats.go says so once per
// spell, so the count is read later.
func (n *lane) markSlow(sub *nats.Subscription) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.slow[sub]; !known {
		n.slow[sub] = 0
	}
	n.collect(sub)
}

// collect adds what sub dropped since the last time; mu is held.
func (n *lane) collect(sub *nats.Subscription) {
	count, err := sub.Dropped()
	if err != nil || count < 0 {
		return // unsubscribed meanwhile
	}
	n.dropped += uint64(count) - n.slow[sub]
	n.slow[sub] = uint64(count)
}

// drops returns how many messages NATS dropped at this lane so far.
func (n *lane) drops() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	for sub := range n.slow {
		n.collect(sub)
	}
	return n.dropped
}

// sizes returns how many interests there are, and how many have no holder.
func (n *lane) sizes() (interests, lingering int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.idle {
		if l.interest.refs == 0 {
			lingering++
		}
	}
	return len(n.interests), lingering
}

// add takes one place, or counts a refusal.
func (c *interestCount) add() bool {
	if c.now.Add(1) <= c.max {
		return true
	}
	c.now.Add(-1)
	c.refused.Add(1)
	return false
}
