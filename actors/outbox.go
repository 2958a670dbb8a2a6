package actors

import (
	"errors"
	"sync"
)

// Frame is one complete WebSocket frame, immutable, shared by all connections
// it goes to.
type Frame struct{ bytes []byte }

// NewFrame wraps encoded bytes; the caller gives them up.
func NewFrame(encoded []byte) *Frame { return &Frame{encoded} }

// Bytes is the encoded frame; do not change it.
func (f *Frame) Bytes() []byte { return f.bytes }

// Len is the size on the wire in bytes.
func (f *Frame) Len() int { return len(f.bytes) }

// Errors of Outbox.Put.
var (
	ErrOverflow = errors.New("actors: outbox over its limit")
	ErrSealed   = errors.New("actors: outbox sealed by a close frame")
)

// frameQueue holds frames with the first offset bytes of the head already
// written. Pooled: an idle Outbox has none.
type frameQueue struct {
	frames []*Frame
	head   int // frames before it are written
	offset int
	flight int // frames from head that DrainUnlocked is writing right now
}

var queuePool = sync.Pool{New: func() any { return new(frameQueue) }}

// maxPooledFrames keeps a queue that once was long out of the pool.
const maxPooledFrames = 256

// Outbox is the bounded queue of frames towards one socket. Idle it costs 24
// bytes. Put may come from any goroutine; whoever makes it non-empty owes a
// Transport.Flush. The zero Outbox is ready.
type Outbox struct {
	mu        sync.Mutex
	sealed    bool        // guarded by mu: a close frame is queued, nothing may follow
	abandoned bool        // guarded by mu: the socket is gone
	bytes     int32       // guarded by mu: queued and not yet written
	queue     *frameQueue // guarded by mu; nil when empty
}

// Put queues f. first reports that the outbox was empty, so that the caller
// owes a flush. ErrOverflow: f would pass limitBytes; nothing was queued, and
// the caller must see to the slow connection. A frame on an empty outbox
// always fits, whatever its size.
func (o *Outbox) Put(f *Frame, limitBytes int) (first bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return false, ErrSealed
	}
	if o.queue != nil && int(o.bytes)+f.Len() > limitBytes {
		return false, ErrOverflow
	}
	return o.put(f), nil
}

func (o *Outbox) put(f *Frame) (first bool) {
	if o.queue == nil {
		o.queue = queuePool.Get().(*frameQueue)
		first = true
	}
	o.queue.append(f)
	o.bytes += int32(f.Len())
	return first
}

// append moves the frames down before it would grow, so that a queue that is
// never quite empty stays as short as its backlog.
func (q *frameQueue) append(f *Frame) {
	if len(q.frames) == cap(q.frames) && q.head > len(q.frames)/2 {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, f)
}

// Seal queues the last frames over any limit and refuses all later ones.
// discard drops what was queued before, except a frame that is partly
// written: a slow consumer would never see the close frame otherwise. It
// returns how many frames it dropped. A second Seal does nothing.
func (o *Outbox) Seal(discard bool, last ...*Frame) (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return 0
	}
	o.sealed = true
	if discard && o.queue != nil {
		dropped = o.discard()
	}
	for _, f := range last {
		o.put(f)
	}
	return dropped
}

func (o *Outbox) discard() (dropped int) {
	q := o.queue
	keep := q.head + q.flight
	if q.offset > 0 && q.flight == 0 {
		keep++
	}
	for i := keep; i < len(q.frames); i++ {
		o.bytes -= int32(q.frames[i].Len())
		q.frames[i] = nil
		dropped++
	}
	q.frames = q.frames[:keep]
	if keep == q.head {
		o.release()
	}
	return dropped
}

// Queued is the number of bytes waiting.
func (o *Outbox) Queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int(o.bytes)
}

// Sealed reports whether a close frame is queued or was written.
func (o *Outbox) Sealed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sealed
}

// MaxBatch is the most frames one write gets: IOV_MAX is 1024, and beyond 64
// a write is dominated by copying (BenchmarkOutbox).
const MaxBatch = 64

type batch struct{ bufs [MaxBatch][]byte }

var batchPool = sync.Pool{New: func() any { return new(batch) }}

// Writer takes the bytes of one batch. WriteBatch may be called under the
// outbox's lock (Drain) and must not block then; it returns how many bytes it
// took, fewer than offered when the socket is full.
type Writer interface {
	WriteBatch(bufs [][]byte) (n int, err error)
}

// Drain writes with w until the outbox is empty or w takes less than it was
// offered. blocked reports the latter: call again when the socket is
// writable. Any goroutine may call it; w runs under the lock, so frames never
// interleave.
func (o *Outbox) Drain(w Writer) (blocked bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return false, nil
	}
	b := batchPool.Get().(*batch)
	defer batchPool.Put(b)
	for o.queue != nil {
		bufs, offered := o.peek(b.bufs[:0])
		n, err := w.WriteBatch(bufs)
		clear(bufs)
		if err != nil {
			return false, err
		}
		o.advance(n)
		if n < offered {
			return true, nil
		}
	}
	return false, nil
}

// DrainUnlocked is Drain for a writer that may block, as TLS: w runs without
// the lock, and takes all it is offered or fails. Only one goroutine may be in
// it at a time.
func (o *Outbox) DrainUnlocked(w Writer) error {
	b := batchPool.Get().(*batch)
	defer batchPool.Put(b)
	for {
		bufs := o.takeOff(b.bufs[:0])
		if len(bufs) == 0 {
			return nil
		}
		n, err := w.WriteBatch(bufs)
		clear(bufs)
		o.land(n, err)
		if err != nil {
			return err
		}
	}
}

// takeOff marks a batch as being written, so that Seal leaves it alone.
func (o *Outbox) takeOff(bufs [][]byte) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return nil
	}
	bufs, _ = o.peek(bufs)
	o.queue.flight = len(bufs)
	return bufs
}

func (o *Outbox) land(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil { // Abandon came in between
		return
	}
	o.queue.flight = 0
	if err == nil {
		o.advance(n)
	}
}

func (o *Outbox) peek(bufs [][]byte) (_ [][]byte, offered int) {
	q := o.queue
	skip := q.offset
	for _, f := range q.frames[q.head:] {
		if len(bufs) == MaxBatch {
			break
		}
		bufs = append(bufs, f.bytes[skip:])
		offered += f.Len() - skip
		skip = 0
	}
	return bufs, offered
}

func (o *Outbox) advance(n int) {
	q := o.queue
	o.bytes -= int32(n)
	for n > 0 {
		left := q.frames[q.head].Len() - q.offset
		if n < left {
			q.offset += n
			return
		}
		n -= left
		q.frames[q.head] = nil
		q.head++
		q.offset = 0
	}
	if q.head == len(q.frames) {
		o.release()
	}
}

// Abandon drops everything and seals: the socket is gone. It returns how many
// frames never left.
func (o *Outbox) Abandon() (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed, o.abandoned = true, true
	if o.queue == nil {
		return 0
	}
	dropped = len(o.queue.frames) - o.queue.head
	clear(o.queue.frames)
	o.bytes = 0
	o.release()
	return dropped
}

// WhileOpen runs f unless Abandon was called, and keeps Abandon waiting until
// f is done: inside, the socket's descriptor cannot be somebody else's. f must
// not block.
func (o *Outbox) WhileOpen(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.abandoned {
		f()
	}
}

// release gives an empty queue back.
func (o *Outbox) release() {
	q := o.queue
	o.queue = nil
	if cap(q.frames) <= maxPooledFrames {
		*q = frameQueue{frames: q.frames[:0]}
		queuePool.Put(q)
	}
}
