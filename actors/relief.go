package actors

import (
	"cmp"
	"slices"
	"sync/atomic"

	"hawser/proto/cause"
)

// relief keeps the node's outboxes under Config.OutboxTotalBytes.
type relief struct {
	running atomic.Bool
	futile  atomic.Bool // it found too little; not again before the next Tick
}

// bounds are the limits of one outbox and the meter of all.
func (s *System) bounds() bounds { return bounds{s.config.OutboxBytes, &s.stuck} }

// lost counts publications that an outbox gave up.
func (s *System) lost(l losses) {
	if l.conflated > 0 {
		s.recorder.Dropped(DropConflated, l.conflated)
	}
	if l.oldest > 0 {
		s.recorder.Dropped(DropOldest, l.oldest)
	}
}

// relieve makes the slowest clients give way while more than
// OutboxTotalBytes wait behind full sockets. It frees an eighth more, so that
// it need not look at every connection for each publication. Any goroutine
// may call it; below the limit it costs one atomic load.
func (s *System) relieve() {
	limit := int64(s.config.OutboxTotalBytes)
	if s.stuck.Load() <= limit || s.relief.futile.Load() || !s.relief.running.CompareAndSwap(false, true) {
		return
	}
	defer s.relief.running.Store(false)
	over := int(s.stuck.Load() - (limit - limit/8))
	slowest := s.slowest()
	eased := 0
	for ; over > 0 && eased < len(slowest); eased++ {
		over -= slowest[eased].conn.ease()
	}
	s.relief.futile.Store(over > 0)
	if eased == 0 {
		return // they have read in the meantime
	}
	s.log.Warn("outboxes over the limit of the node", "node", s.config.Node, "limit_bytes", limit, "connections", eased)
}

// laggard is a connection and how much waits behind its socket.
type laggard struct {
	conn  *Conn
	bytes int
}

// slowest lists who has something waiting behind a full socket, most first.
func (s *System) slowest() (all []laggard) {
	for _, c := range s.Snapshot() {
		if bytes := c.out.stuck(); bytes > 0 {
			all = append(all, laggard{c, bytes})
		}
	}
	slices.SortStableFunc(all, func(a, b laggard) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

// ease takes from a slow client what may be lost. If that is less than half of
// what waits for it, the client is closed. It returns how many bytes that
// frees.
func (c *Conn) ease() (freed int) {
	lost, freed, left := c.out.yield()
	c.system.lost(lost)
	if left > freed {
		c.Kick(cause.SlowConsumer, c.system.config.RetryAfter)
		freed += left
	}
	return freed
}
