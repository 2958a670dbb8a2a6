package actors

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Frame is one complete WebSocket frame, immutable, shared by all connections
// it goes to.
type Frame struct {
	bytes []byte
	slow  SlowPolicy // what may become of it in the outbox of a slow client
	topic *topic     // of a publication: what SlowConflate goes by
}

// NewFrame wraps encoded bytes; the caller gives them up.
func NewFrame(encoded []byte) *Frame { return &Frame{bytes: encoded} }

// Bytes is the encoded frame; do not change it.
func (f *Frame) Bytes() []byte { return f.bytes }

// Len is the size on the wire in bytes.
func (f *Frame) Len() int { return len(f.bytes) }

// Errors of Outbox.Put.
var (
	ErrOverflow = errors.New("actors: outbox over its limit")
	ErrSealed   = errors.New("actors: outbox sealed by a close frame")
)

// errDropped is how press says that the channel's policy dropped the frame.
var errDropped = errors.New("actors: publication dropped for a slow client")

// frameQueue holds frames with the first offset bytes of the head already
// written. Pooled: an idle Outbox has none.
type frameQueue struct {
	frames []*Frame
	head   int // frames before it are written
	offset int
	flight int  // frames from head that DrainUnlocked is writing right now
	lossy  int  // frames from head whose channel allows to lose them
	full   bool // the last writer was left with something

	meter   *atomic.Int64 // the node's; nil when nobody counts
	metered int32         // bytes of this queue that are in meter
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
	return o.offer(f, bounds{bytes: limitBytes})
}

// bounds are what an outbox has to keep to, and to report.
type bounds struct {
	bytes int           // in one outbox
	meter *atomic.Int64 // bytes behind full sockets, all outboxes together; may be nil
}

func (o *Outbox) offer(f *Frame, b bounds) (first bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.sealed:
		return false, ErrSealed
	case !o.fits(f, b.bytes):
		return false, ErrOverflow
	}
	return o.put(f, b.meter), nil
}

func (o *Outbox) fits(f *Frame, limitBytes int) bool {
	return o.queue == nil || o.bytes == 0 || int(o.bytes)+f.Len() <= limitBytes
}

func (o *Outbox) put(f *Frame, meter *atomic.Int64) (first bool) {
	if o.queue == nil {
		o.queue = queuePool.Get().(*frameQueue)
		o.queue.meter = meter
		first = true
	}
	q := o.queue
	q.append(f)
	o.bytes += int32(f.Len())
	if f.slow != SlowDisconnect {
		q.lossy++
	}
	if q.full || q.metered > 0 || q.flight > 0 {
		q.count(q.metered + int32(f.Len()))
	}
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
		o.put(f, nil)
	}
	return dropped
}

func (o *Outbox) discard() (dropped int) {
	q := o.queue
	keep := q.begun()
	for i := keep; i < len(q.frames); i++ {
		o.strike(q.frames[i])
		q.frames[i] = nil
		dropped++
	}
	q.frames = q.frames[:keep]
	o.shrunk()
	return dropped
}

// begun is the end of the frames that the socket has seen something of, or is
// about to: they cannot be dropped.
func (q *frameQueue) begun() int {
	if q.offset > 0 && q.flight == 0 {
		return q.head + 1
	}
	return q.head + q.flight
}

// strike takes a frame off the books.
func (o *Outbox) strike(f *Frame) {
	o.bytes -= int32(f.Len())
	if f.slow != SlowDisconnect {
		o.queue.lossy--
	}
}

// shrunk ends a removal of frames.
func (o *Outbox) shrunk() {
	q := o.queue
	if q.head == len(q.frames) {
		o.release()
		return
	}
	q.count(min(q.metered, o.bytes))
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
			o.queue.full = true
			o.queue.count(o.bytes)
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
	if err != nil {
		return
	}
	if o.advance(n); o.queue != nil {
		o.queue.count(min(o.queue.metered, o.bytes))
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
		if q.frames[q.head].slow != SlowDisconnect {
			q.lossy--
		}
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

// count tells the node how much of this outbox waits behind a full socket.
// Only a writer that was left with something makes it more than zero, so that
// clients who read cost no atomic operation.
func (q *frameQueue) count(bytes int32) {
	if q.meter != nil && bytes != q.metered {
		q.meter.Add(int64(bytes - q.metered))
		q.metered = bytes
	}
}

// release gives an empty queue back.
func (o *Outbox) release() {
	q := o.queue
	q.count(0)
	o.queue = nil
	if cap(q.frames) <= maxPooledFrames {
		*q = frameQueue{frames: q.frames[:0]}
		queuePool.Put(q)
	}
}
