package actors

import (
	"slices"
	"sync"
	"sync/atomic"

	"hawser/proto/codec"
)

// topicKey names a channel of a tenant.
type topicKey struct{ tenant, channel string }

// topic is the hub entry of one channel: who listens here, by shard.
type topic struct {
	key    topicKey
	shards []members // by shard number; members.conns is owned by that shard

	// How many listeners use each protocol, so that a publication is encoded
	// once for each that is used. Changed by shards, read by Deliver.
	protocols [codec.Count]atomic.Int32

	// Guarded by topics.mu.
	refs    int  // sessions that hold or await the interest
	ready   bool // the NATS server has the interest
	waiters []waiter
}

// members are the listeners of one shard. live mirrors len(conns) for Deliver.
type members struct {
	conns []*Conn
	live  atomic.Int32
}

// waiter is a session that waits for ready.
type waiter struct {
	conn    *Conn
	attempt uint32
}

// topics is the node's table of channels with local subscribers. It turns the
// subscriptions of all sessions into one interest per channel.
type topics struct {
	broker Broker
	shards int

	mu    sync.RWMutex
	byKey map[topicKey]*topic // guarded by mu
}

func newTopics(broker Broker, shards int) *topics {
	return &topics{broker: broker, shards: shards, byKey: make(map[topicKey]*topic)}
}

// acquire counts c in. c gets an Interest event, maybe before acquire returns.
// It returns the channel's canonical name, shared by all its subscribers.
func (ts *topics) acquire(key topicKey, c *Conn, attempt uint32) *topic {
	ts.mu.Lock()
	t := ts.byKey[key]
	created := t == nil
	if created {
		t = &topic{key: key, shards: make([]members, ts.shards)}
		ts.byKey[key] = t
	}
	t.refs++
	ready := t.ready
	if !ready {
		t.waiters = append(t.waiters, waiter{c, attempt})
	}
	ts.mu.Unlock()
	switch {
	case ready:
		c.send(Interest{Channel: key.channel, Attempt: attempt})
	case created:
		ts.broker.Subscribe(key.tenant, key.channel, func(err error) { ts.settle(t, err) })
	}
	return t
}

// settle tells everyone who waited. A failed interest is gone, so that the
// next subscriber tries again.
func (ts *topics) settle(t *topic, err error) {
	ts.mu.Lock()
	waiters := t.waiters
	t.waiters = nil
	t.ready = err == nil
	if err != nil && ts.byKey[t.key] == t {
		delete(ts.byKey, t.key)
	}
	ts.mu.Unlock()
	for _, w := range waiters {
		w.conn.send(Interest{Channel: t.key.channel, Attempt: w.attempt, Err: err})
	}
}

// release counts c out again. The last one gives the interest back.
func (ts *topics) release(key topicKey, c *Conn) {
	ts.mu.Lock()
	t := ts.byKey[key]
	if t == nil { // failed meanwhile; settle removed it
		ts.mu.Unlock()
		return
	}
	t.waiters = slices.DeleteFunc(t.waiters, func(w waiter) bool { return w.conn == c })
	t.refs--
	last := t.refs == 0
	if last {
		delete(ts.byKey, key)
	}
	ts.mu.Unlock()
	if last {
		ts.broker.Unsubscribe(key.tenant, key.channel)
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
