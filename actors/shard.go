package actors

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
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

// delivery is one publication on its way to the listeners of a shard.
type delivery struct {
	topic  *topic
	frames [codec.Count]*Frame // nil for a protocol without listeners
}

// shard is a slice of the node's connections: one actor that owns their hub
// entries and fans out to them. Deliveries coalesce: frames of a burst gather
// in the outboxes, and the flush that the first of them asked for comes behind
// all that already wait in the mailbox.
type shard struct {
	// Immutable after newShard.
	number  int
	system  *System
	pid     *actor.PID
	credits chan struct{} // holds one per waiting delivery; never closed
	done    chan struct{} // closed when the actor has stopped

	// Owned by the shard actor.
	dirty             []*Conn // outboxes to flush
	owed              bool    // a flush message is under way
	victims           []verdict
	burst, burstBytes int // publications since the last flush, one frame of each

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
	return &shard{number: number, system: system,
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
		<-s.credits
		s.fanOut(m)
	case flush:
		s.owed = false
		s.flushAll()
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
	case *actor.Stopped:
		close(s.done)
	}
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
	conns := d.topic.shards[s.number].conns
	delivered, bytes, largest := 0, 0, 0
	for _, c := range conns {
		f := d.frames[c.protocol]
		if f == nil {
			continue // joined after the publication was encoded
		}
		if s.put(c, f) == nil {
			delivered++
			bytes += f.Len()
			largest = max(largest, f.Len())
		}
	}
	s.system.recorder.Delivered(delivered, bytes)
	s.gather(largest)
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
// to empty it.
func (s *shard) gather(bytes int) {
	s.burst++
	s.burstBytes += bytes
	if s.burst >= MaxBatch || s.burstBytes > s.system.config.OutboxBytes/4 {
		s.flushAll()
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

func (s *shard) flushAll() {
	s.burst, s.burstBytes = 0, 0
	for i, c := range s.dirty {
		s.dirty[i] = nil
		c.dirty = false
		c.flush()
	}
	s.dirty = s.dirty[:0]
}

// answer queues m for c ahead of later publications.
func (s *shard) answer(c *Conn, m *clientv1.ServerMessage) {
	_ = s.put(c, s.system.encoder.Message(c.protocol, m)) // an overflow ends the connection
}

func (s *shard) join(m join) {
	if m.conn.stopped.Load() {
		m.topic.count(m.conn, -1) // its detach is behind us in the mailbox
		return
	}
	here := &m.topic.shards[s.number]
	m.conn.hubs = append(m.conn.hubs, hubSlot{m.topic, int32(len(here.conns))})
	here.conns = append(here.conns, m.conn)
	s.answer(m.conn, &clientv1.ServerMessage{Id: m.id, Body: &clientv1.ServerMessage_Subscribed{
		Subscribed: &clientv1.Subscribed{Channel: m.topic.key.channel}}})
}

func (s *shard) leave(m leave) {
	for i, h := range m.conn.hubs {
		if h.topic.key.channel == m.channel {
			s.unhub(m.conn, i)
			break
		}
	}
	s.answer(m.conn, &clientv1.ServerMessage{Id: m.id, Body: &clientv1.ServerMessage_Unsubscribed{
		Unsubscribed: &clientv1.Unsubscribed{Channel: m.channel}}})
}

// unhub takes c out of its i-th topic; the last listener moves into the gap.
func (s *shard) unhub(c *Conn, i int) {
	h := c.hubs[i]
	here := &h.topic.shards[s.number]
	last := len(here.conns) - 1
	moved := here.conns[last]
	here.conns[h.index], here.conns[last] = moved, nil
	here.conns = here.conns[:last]
	if moved != c {
		for j := range moved.hubs {
			if moved.hubs[j].topic == h.topic {
				moved.hubs[j].index = h.index
				break
			}
		}
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
		if first, err := c.out.Put(s.system.ping, s.system.config.OutboxBytes); err == nil && first {
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
