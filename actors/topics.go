package actors

import (
	"slices"
	"sync"
	"sync/atomic"
)

// topicKey names a channel of a tenant.
type topicKey struct{ tenant, channel string }

// topic is the hub entry of one channel: who listens here, by shard.
type topic struct {
	key    topicKey
	shards []members // by shard number; members.conns is owned by that shard

	slow atomic.Uint32 // SlowPolicy; changed under topics.mu, read by Deliver

	// How many listeners take each wire form, so that a publication is encoded
	// once for each that is used. Changed by count, read by Deliver.
	wires [wireCount]atomic.Int32

	// Guarded by topics.mu.
	refs    int  // connections that hold or await the interest
	ready   bool // the NATS server has the interest
	waiters []waiter
}

// members are the listeners of one shard. live is len(conns) plus the joins
// under way; changed by topic.count, read by Deliver.
type members struct {
	conns []*Conn
	live  atomic.Int32
}

// count counts a listener in (1) or out (-1) for Deliver: in before its join
// is sent, out when the shard has let it go. So whoever gets one publication
// gets the next. Were it counted in by the shard, a publication behind the
// join in the mailbox could be delivered, and the next one be dropped by a
// Deliver that looked before the join was done: a hole.
func (t *topic) count(c *Conn, by int32) {
	t.shards[c.shard.number].live.Add(by)
	t.wires[c.wire.index()].Add(by)
}

// enter lists c in its shard; the shard actor calls it.
func (t *topic) enter(c *Conn) {
	here := &t.shards[c.shard.number]
	c.hubs = append(c.hubs, hubSlot{t, int32(len(here.conns))})
	here.conns = append(here.conns, c)
}

// remove takes the listener at index off a shard's list; the last one moves
// into the gap. The shard actor calls it.
func (t *topic) remove(shard int, index int32) {
	here := &t.shards[shard]
	last := int32(len(here.conns) - 1)
	if index != last { // who is last may be listed a second time: see fanout.remove
		t.move(shard, last, index)
	}
	here.conns[last] = nil
	here.conns = here.conns[:last]
}

// move puts the listener at from in the place to as well.
func (t *topic) move(shard int, from, to int32) {
	here := &t.shards[shard]
	moved := here.conns[from]
	here.conns[to] = moved
	moved.place(t, to)
}

// waiter is a connection that waits for ready.
type waiter struct {
	conn    *Conn
	attempt uint32
}

// topics is the node's table of channels with local subscribers. It turns the
// subscriptions of all sessions into one interest per channel. A topic whose
// interest is under way stays in the table even when nobody holds it any more,
// so that the broker's late answer cannot be taken for that of a new one.
type topics struct {
	// Immutable after newTopics.
	broker Broker
	shards int
	slow   func(channel string) SlowPolicy

	mu    sync.RWMutex
	byKey map[topicKey]*topic // guarded by mu
}

func newTopics(broker Broker, shards int, slow func(channel string) SlowPolicy) *topics {
	return &topics{broker: broker, shards: shards, slow: slow, byKey: make(map[topicKey]*topic)}
}

// acquire counts c in. c gets an Interest event, maybe before acquire returns.
// fresh reports that the interest is new: the caller notes down that it holds
// the topic, and then calls subscribe.
func (ts *topics) acquire(key topicKey, c *Conn, attempt uint32) (t *topic, fresh bool) {
	ts.mu.Lock()
	t = ts.byKey[key]
	if fresh = t == nil; fresh {
		t = &topic{key: key, shards: make([]members, ts.shards)}
		t.slow.Store(uint32(ts.slow(key.channel)))
		ts.byKey[key] = t
	}
	t.refs++
	ready := t.ready
	if !ready {
		t.waiters = append(t.waiters, waiter{c, attempt})
	}
	ts.mu.Unlock()
	if ready {
		c.send(Interest{Channel: key.channel, Attempt: attempt, topic: t})
	}
	return t, fresh
}

// subscribe asks the broker for the interest of a fresh topic.
func (ts *topics) subscribe(t *topic) {
	ts.broker.Subscribe(t.key.tenant, t.key.channel, func(err error) { ts.settle(t, err) })
}

// settle tells everyone who waited. A failed interest is gone, so that the
// next subscriber tries again; one that nobody wants any more is given back.
func (ts *topics) settle(t *topic, err error) {
	ts.mu.Lock()
	waiters := t.waiters
	t.waiters = nil
	t.ready = err == nil
	unwanted := t.ready && t.refs == 0
	if err != nil || unwanted {
		delete(ts.byKey, t.key)
	}
	ts.mu.Unlock()
	if unwanted {
		ts.broker.Unsubscribe(t.key.tenant, t.key.channel)
	}
	for _, w := range waiters {
		w.conn.send(Interest{Channel: t.key.channel, Attempt: w.attempt, Err: err, topic: t})
	}
}

// release counts c out again. The last one gives the interest back, or leaves
// that to settle.
func (ts *topics) release(t *topic, c *Conn) {
	ts.mu.Lock()
	t.waiters = slices.DeleteFunc(t.waiters, func(w waiter) bool { return w.conn == c })
	t.refs--
	last := t.refs == 0 && t.ready // one that failed is not ready, and out of the table
	if last {
		delete(ts.byKey, t.key)
	}
	ts.mu.Unlock()
	if last {
		ts.broker.Unsubscribe(t.key.tenant, t.key.channel)
	}
}

// reclass asks for the policy of every channel again.
func (ts *topics) reclass() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for key, t := range ts.byKey {
		t.slow.Store(uint32(ts.slow(key.channel)))
	}
}

// find returns the topic of a channel with local subscribers, or nil.
func (ts *topics) find(key topicKey) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byKey[key]
}

// count is the number of channels with local subscribers.
func (ts *topics) count() int {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return len(ts.byKey)
}
