package actors

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
)

// maxBacklog is how many publications may wait for one shard. Overflow: the
// broker's dispatcher waits in Deliver, its own bounded queue fills, and what
// NATS then drops is counted there as slow consumer.
const maxBacklog = 1024

// Messages of the shard actor, beside *delivery.
type (
	join struct {
		conn  *Conn
		topic *topic
		id    uint32 // command to answer
	}
	leave struct {
		conn    *Conn
		channel string
		id      uint32
	}
	detach struct{ conn *Conn }
	touch  struct{ conn *Conn } // its outbox got a first frame
	sweep  struct{ now uint32 } // System.millis
	flush  struct{}
)

// sliceConns is how many connections a shard serves in one go: a few
// milliseconds when each takes a system call. Joins, answers, pings and other
// channels come in between.
const sliceConns = 1024

// delivery is one publication on its way to the listeners of a shard.
type delivery struct {
	topic  *topic
	frames [wireCount]*Frame // by Wire.index; nil for a form without listeners
}

// shard is a slice of the node's connections: one actor that owns their hub
// entries and fans out to them. Deliveries coalesce: frames of a burst gather
// in the outboxes, and the flush that the first of them asked for comes behind
// all that already wait in the mailbox.
type shard struct {
	// Immutable after newShard.
	number  int
	slice   int // sliceConns, but in tests
	system  *System
	pid     *actor.PID
	credits chan struct{} // holds one per delivery that is not done; never closed
	done    chan struct{} // closed when the actor has stopped

	// Owned by the shard actor.
	dirty             []*Conn // outboxes to flush
	owed              bool    // a flush message is under way
	victims           []verdict
	burst, burstBytes int                // publications since the last flush, one frame of each
	fanouts           map[*topic]*fanout // channels with a fan-out in slices
	stopping          bool

	sweeping atomic.Bool // a sweep message is under way

	mu    sync.Mutex
	table []*Conn // guarded by mu; connections by slot

	spawn spawner
}

// verdict is what a sweep found out about a connection.
type verdict struct {
	conn *Conn
	code cause.Code
}

func newShard(number int, system *System) *shard {
	return &shard{number: number, slice: sliceConns, system: system, fanouts: make(map[*topic]*fanout),
		credits: make(chan struct{}, maxBacklog), done: make(chan struct{})}
}

func (s *shard) send(msg any) { s.system.root.Send(s.pid, msg) }

// deliver may wait while maxBacklog publications are ahead.
func (s *shard) deliver(d *delivery) {
	select {
	case s.credits <- struct{}{}:
		s.send(d)
	case <-s.done:
	}
}

// Receive implements actor.Actor.
func (s *shard) Receive(ctx actor.Context) {
	defer s.survive(ctx)
	switch m := ctx.Message().(type) {
	case *delivery:
		s.begin(m)
	case *fanout:
		s.step(m)
	case flush:
		s.owed = false
		s.flushSlice()
	case join:
		s.join(m)
	case leave:
		s.leave(m)
	case detach:
		s.detach(m.conn)
	case touch:
		s.mark(m.conn)
	case sweep:
		s.sweep(m.now)
	case *actor.Stopping:
		s.finish()
	case *actor.Stopped:
		close(s.done)
	}
	s.system.relieve()
}

// survive keeps a defect from stopping the shard: its listeners would get
// nothing more and never know. As the message was half done, everyone here is
// sent away, to resume on sound state.
func (s *shard) survive(ctx actor.Context) {
	reason := recover()
	if reason == nil {
		return
	}
	s.system.panicked(reason, ctx.Message())
	for _, c := range s.snapshot(nil) {
		c.Kick(cause.Internal, s.system.config.RetryAfter)
	}
}

func (s *shard) fanOut(d *delivery) {
	t := tally{delivery: d}
	for _, c := range d.topic.shards[s.number].conns {
		s.pass(&t, c)
	}
	s.system.recorder.Delivered(t.delivered, t.bytes)
	s.gather(t.largest)
}

// tally is a delivery and what came of it in this shard.
type tally struct {
	*delivery
	delivered, bytes, largest int
}

// pass queues the publication for one listener.
func (s *shard) pass(t *tally, c *Conn) {
	f := t.frames[c.wire.index()]
	if f == nil {
		return // joined after the publication was encoded
	}
	if s.put(c, f) == nil {
		t.delivered++
		t.bytes += f.Len()
		t.largest = max(t.largest, f.Len())
	}
}

// put queues f for c and sees to the flush.
func (s *shard) put(c *Conn, f *Frame) error {
	first, err := c.put(f)
	if first {
		s.mark(c)
	}
	return err
}

// gather ends a burst early that would need a second write anyway, or that
// would fill a quarter of an outbox: a transport whose writes block needs time
// to empty it. Where more than a slice is dirty, the flush that is owed does
// the rest.
func (s *shard) gather(bytes int) {
	s.burst++
	s.burstBytes += bytes
	if s.burst >= MaxBatch || s.burstBytes > s.system.config.OutboxBytes/4 {
		s.flushSlice()
	}
}

// mark puts c on the flush list. The flush goes behind what already waits.
func (s *shard) mark(c *Conn) {
	if c.dirty {
		return
	}
	c.dirty = true
	s.dirty = append(s.dirty, c)
	if !s.owed {
		s.owed = true
		s.send(flush{})
	}
}

// flushSlice flushes the outboxes that have waited longest.
func (s *shard) flushSlice() {
	s.burst, s.burstBytes = 0, 0
	n := min(len(s.dirty), s.slice)
	for _, c := range s.dirty[:n] {
		c.dirty = false
		c.flush()
	}
	s.dirty = slices.Delete(s.dirty, 0, n)
	if len(s.dirty) > 0 && !s.owed && !s.stopping {
		s.owed = true
		s.send(flush{})
	}
}

// answer queues m for c ahead of later publications.
func (s *shard) answer(c *Conn, m *clientv1.ServerMessage) {
	_ = s.put(c, s.system.encoder.Message(c.wire, m)) // an overflow ends the connection
}

func (s *shard) join(m join) {
	if m.conn.stopped.Load() {
		m.topic.count(m.conn, -1) // its detach is behind us in the mailbox
		return
	}
	if f := s.fanouts[m.topic]; f != nil {
		f.admit(m.conn)
	} else {
		m.topic.enter(m.conn)
	}
	s.answer(m.conn, &clientv1.ServerMessage{Id: m.id, Body: &clientv1.ServerMessage_Subscribed{
		Subscribed: &clientv1.Subscribed{Channel: m.topic.key.channel}}})
}

func (s *shard) leave(m leave) {
	for i, h := range m.conn.hubs {
		if h.topic.key.channel == m.channel {
			s.catchUp(m.conn, h)
			s.unhub(m.conn, i)
			break
		}
	}
	s.answer(m.conn, &clientv1.ServerMessage{Id: m.id, Body: &clientv1.ServerMessage_Unsubscribed{
		Unsubscribed: &clientv1.Unsubscribed{Channel: m.channel}}})
}

// unhub takes c out of its i-th topic.
func (s *shard) unhub(c *Conn, i int) {
	h := c.hubs[i]
	if f := s.fanouts[h.topic]; f != nil {
		f.remove(c, h.index)
	} else {
		h.topic.remove(s.number, h.index)
	}
	h.topic.count(c, -1)
	end := len(c.hubs) - 1
	c.hubs[i], c.hubs[end] = c.hubs[end], hubSlot{}
	c.hubs = c.hubs[:end]
}

func (s *shard) detach(c *Conn) {
	for len(c.hubs) > 0 {
		s.unhub(c, len(c.hubs)-1)
	}
	c.hubs = nil
	s.mu.Lock()
	last := len(s.table) - 1
	moved := s.table[last]
	s.table[c.slot], s.table[last] = moved, nil
	moved.slot = c.slot
	s.table = s.table[:last]
	s.mu.Unlock()
	s.system.conns.Add(-1)
}

// attach lists c; any goroutine may call it.
func (s *shard) attach(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.slot = int32(len(s.table))
	s.table = append(s.table, c)
}

// snapshot appends the shard's connections to dst.
func (s *shard) snapshot(dst []*Conn) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(dst, s.table...)
}

// sweep finds who is silent: 20 to 60 ns a connection (BenchmarkSweep),
// against 155 bytes and a goroutine per firing for a timer each. It only
// finds; the connection's actor decides.
func (s *shard) sweep(now uint32) {
	defer s.sweeping.Store(false)
	s.inspectAll(now)
	for i, v := range s.victims {
		v.conn.send(Verdict{Code: v.code, RetryAfter: s.system.config.RetryAfter})
		s.victims[i] = verdict{}
	}
	s.victims = s.victims[:0]
}

func (s *shard) inspectAll(now uint32) {
	millis := s.system.clockMillis()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.table {
		s.inspect(c, now, millis)
	}
}

func (s *shard) inspect(c *Conn, now uint32, millis int64) {
	limits := &s.system.limits
	seen, expires := c.seen.Load(), c.expires.Load()
	silent := int32(now - seen) // the difference is right across the wrap at 49 days
	switch {
	case !c.greeted.Load():
		if millis-c.opened > limits.connect {
			s.victims = append(s.victims, verdict{c, cause.ConnectTimeout})
		}
	case expires != 0 && millis >= int64(expires)*1000:
		s.victims = append(s.victims, verdict{c, cause.TokenExpired})
	case silent > limits.ping+limits.pong:
		s.victims = append(s.victims, verdict{c, cause.PongTimeout})
	case silent >= limits.ping-s.spread(c.slot) && c.pinged != seen:
		c.pinged = seen
		// Over the limit, by the 2 bytes of one ping: a full outbox is the
		// usual state of a slow client whose channels may lose publications.
		if first, err := c.out.Put(s.system.ping, math.MaxInt); err == nil && first {
			s.mark(c)
		}
	}
}

// spread makes pings up to a fifth of the interval early, by slot, so that
// clients that connected in one burst are not pinged in one.
func (s *shard) spread(slot int32) int32 {
	const phi = 2654435769 // 2^32 / golden ratio, Knuth's multiplicative hash
	fifth := uint64(s.system.limits.ping / 5)
	return int32(uint64(uint32(slot)*phi) * fifth >> 32)
}
