package actors

import "slices"

// fanout is the work of a channel with more than a slice of listeners in a
// shard. It is also the message by which the shard asks itself for the next
// slice, behind all that waits by then. It goes in rounds: one takes the
// publications that wait and brings all of them to one slice of the listeners
// after the other. So a burst stays one write per connection, and each
// connection gets the publications in their order.
//
// The mailbox's order holds for joins and leaves in between, too: who joins
// gets what came behind the join, who leaves what came ahead.
type fanout struct {
	// Immutable.
	topic *topic
	shard *shard

	// Owned by the shard actor.
	batch   []tally // of this round
	waiting []tally // for the next; with batch never empty
	next    int32   // listeners before it have the batch
	late    []late  // joined since, oldest first
}

// late is a listener that is not on the topic's list yet.
type late struct {
	conn *Conn
	skip int // publications ahead of its join, from batch[0] on
}

// notYet is the hubSlot.index of a late listener.
const notYet = -1

// begin fans d out at once where one slice does it.
func (s *shard) begin(d *delivery) {
	f := s.fanouts[d.topic]
	if f == nil && len(d.topic.shards[s.number].conns) <= s.slice {
		<-s.credits
		s.fanOut(d)
		return
	}
	if f == nil {
		f = &fanout{topic: d.topic, shard: s}
		s.fanouts[d.topic] = f
		s.send(f)
	}
	f.waiting = append(f.waiting, tally{delivery: d}) // it keeps its credit: maxBacklog bounds it
}

// step serves one slice and asks for the next.
func (s *shard) step(f *fanout) {
	defer s.carryOn(f) // after a defect, too, or the channel would stop for good
	if len(f.batch) == 0 {
		f.batch, f.waiting = f.take()
	}
	conns := f.topic.shards[s.number].conns
	from := f.next
	f.next = min(from+int32(s.slice), int32(len(conns)))
	for _, c := range conns[from:f.next] {
		for i := range f.batch {
			s.pass(&f.batch[i], c)
		}
	}
}

func (s *shard) carryOn(f *fanout) {
	if int(f.next) == len(f.topic.shards[s.number].conns) {
		f.endRound()
	}
	switch {
	case len(f.batch)+len(f.waiting) == 0:
		delete(s.fanouts, f.topic)
	case !s.stopping:
		s.send(f)
	}
}

// finish does the work that is not done when the shard stops: messages to
// itself would not come any more.
func (s *shard) finish() {
	s.stopping = true
	for topic, f := range s.fanouts {
		for s.fanouts[topic] != nil {
			s.step(f)
		}
	}
	for len(s.dirty) > 0 {
		s.flushSlice()
	}
}

// take splits off the next batch: what one write takes, at most a quarter of
// an outbox (see shard.gather), and nothing from behind the oldest late join.
func (f *fanout) take() (batch, rest []tally) {
	most := min(len(f.waiting), MaxBatch)
	if len(f.late) > 0 {
		most = min(most, f.late[0].skip)
	}
	n, bytes := 0, 0
	for n < most && bytes <= f.shard.system.config.OutboxBytes/4 {
		bytes += f.waiting[n].size()
		n++
	}
	return f.waiting[:n:n], f.waiting[n:]
}

// size is the larger of the encodings, in bytes.
func (d *delivery) size() (bytes int) {
	for _, f := range d.frames {
		if f != nil {
			bytes = max(bytes, f.Len())
		}
	}
	return bytes
}

// endRound counts the batch, gives its credits back, and lets those in whose
// turn it is.
func (f *fanout) endRound() {
	for _, t := range f.batch {
		f.shard.system.recorder.Delivered(t.delivered, t.bytes)
		<-f.shard.credits
	}
	for i := range f.late {
		f.late[i].skip -= len(f.batch)
	}
	in := 0
	for in < len(f.late) && f.late[in].skip == 0 {
		f.enter(f.late[in].conn)
		in++
	}
	f.late = slices.Delete(f.late, 0, in)
	f.batch, f.next = nil, 0
}

// admit lists c behind the publications that came ahead of its join.
func (f *fanout) admit(c *Conn) {
	c.hubs = append(c.hubs, hubSlot{f.topic, notYet})
	f.late = append(f.late, late{c, len(f.batch) + len(f.waiting)})
}

// enter moves a late listener to the topic's list.
func (f *fanout) enter(c *Conn) {
	here := &f.topic.shards[f.shard.number]
	c.place(f.topic, int32(len(here.conns)))
	here.conns = append(here.conns, c)
}

// remove takes a listener out. The list stays parted in those before next,
// who have the batch, and those from there on.
func (f *fanout) remove(c *Conn, index int32) {
	if index == notYet {
		f.late = slices.DeleteFunc(f.late, func(l late) bool { return l.conn == c })
		return
	}
	if index < f.next {
		f.next--
		f.topic.move(f.shard.number, f.next, index)
		index = f.next
	}
	f.topic.remove(f.shard.number, index)
}

// behind is how many publications, from batch[0] on, are not for c any more.
func (f *fanout) behind(c *Conn, index int32) int {
	switch {
	case index == notYet:
		return f.late[slices.IndexFunc(f.late, func(l late) bool { return l.conn == c })].skip
	case index < f.next:
		return len(f.batch)
	}
	return 0
}

// catchUp gives c, which is about to leave, what came ahead of that.
func (s *shard) catchUp(c *Conn, h hubSlot) {
	f := s.fanouts[h.topic]
	if f == nil {
		return
	}
	skip := f.behind(c, h.index)
	for i := skip; i < len(f.batch); i++ {
		s.pass(&f.batch[i], c)
	}
	for i := max(skip-len(f.batch), 0); i < len(f.waiting); i++ {
		s.pass(&f.waiting[i], c)
	}
}
