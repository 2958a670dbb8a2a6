package actors

// SlowPolicy is what becomes of a channel's publications that a client reads
// too slowly.
type SlowPolicy uint8

// The policies.
const (
	SlowDisconnect SlowPolicy = iota // nothing may be lost: the client is closed with cause.SlowConsumer
	SlowDropOldest                   // the oldest that wait are dropped
	SlowConflate                     // of each channel only the newest that waits is kept
)

// losses are the frames that an outbox gave up.
type losses struct{ conflated, oldest int }

// press is offer for an outbox that has overflowed: what may be lost makes
// room for f. First to go are publications that a newer one of their channel
// supersedes, then the oldest that may be dropped, no more than f needs. If f
// does not fit even then, nothing of the latter is dropped and the error is
// errDropped, when f itself may be, or ErrOverflow.
func (o *Outbox) press(f *Frame, b bounds) (first bool, lost losses, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return false, lost, ErrSealed
	}
	if !o.fits(f, b.bytes) && o.queue.lossy > 0 {
		lost.conflated = o.conflate(f)
	}
	if !o.fits(f, b.bytes) && o.queue.lossy > 0 {
		over := int(o.bytes) + f.Len() - b.bytes
		lost.oldest = o.dropOldest(min(over, int(o.bytes)))
	}
	switch {
	case o.fits(f, b.bytes):
		return o.put(f, b.meter), lost, nil
	case f.slow == SlowDropOldest:
		lost.oldest++
		return false, lost, errDropped
	}
	return false, lost, ErrOverflow
}

// yield gives up all that may be lost and that no writer has begun. It returns
// how many bytes that were, and how many stay.
func (o *Outbox) yield() (lost losses, freed, left int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil || o.sealed {
		return lost, 0, 0
	}
	before := int(o.bytes)
	if o.queue.lossy > 0 {
		lost.conflated = o.conflate(nil)
		lost.oldest = o.dropOldest(o.droppable())
		o.shrunk()
	}
	return lost, before - int(o.bytes), int(o.bytes)
}

// stuck is how many bytes wait behind a full socket, by the count of the
// node's meter. 0 for a sealed outbox: what it still holds is its goodbye.
func (o *Outbox) stuck() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil || o.sealed {
		return 0
	}
	return int(o.queue.metered)
}

// conflate drops each publication of a SlowConflate channel behind which a
// newer one waits, next among them unless it is nil. The queue may be left
// without frames; the caller puts one, or calls shrunk.
func (o *Outbox) conflate(next *Frame) (dropped int) {
	newest := make(map[*topic]bool)
	if next != nil && next.slow == SlowConflate {
		newest[next.topic] = true
	}
	return o.drop(len(o.queue.frames), func(f *Frame) bool {
		if f.slow != SlowConflate {
			return false
		}
		superseded := newest[f.topic]
		newest[f.topic] = true
		return superseded
	})
}

// dropOldest drops as many publications of SlowDropOldest channels, oldest
// first, as make up bytes; none when all of them are too few.
func (o *Outbox) dropOldest(bytes int) (dropped int) {
	q := o.queue
	end, freed := q.begun(), 0
	for ; end < len(q.frames) && freed < bytes; end++ {
		if f := q.frames[end]; f.slow == SlowDropOldest {
			freed += f.Len()
		}
	}
	if freed < bytes {
		return 0
	}
	return o.drop(end, func(f *Frame) bool { return f.slow == SlowDropOldest })
}

// droppable is how many bytes dropOldest could free.
func (o *Outbox) droppable() (bytes int) {
	q := o.queue
	for _, f := range q.frames[q.begun():] {
		if f.slow == SlowDropOldest {
			bytes += f.Len()
		}
	}
	return bytes
}

// drop removes the frames before end that goes says, and no writer has begun.
// It asks from the newest to the oldest. Those that stay move up to end, so
// that the cost is that of the frames before it and not of the whole backlog.
func (o *Outbox) drop(end int, goes func(*Frame) bool) (dropped int) {
	q := o.queue
	begun, to := q.begun(), end
	for i := end - 1; i >= begun; i-- {
		f := q.frames[i]
		if goes(f) {
			o.strike(f)
			dropped++
			continue
		}
		to--
		q.frames[to] = f
	}
	head := to - (begun - q.head)
	copy(q.frames[head:to], q.frames[q.head:begun])
	clear(q.frames[q.head:head])
	q.head = head
	q.count(min(q.metered, o.bytes))
	return dropped
}
