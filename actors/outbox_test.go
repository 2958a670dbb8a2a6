package actors

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// naiveOutbox is what Outbox should do, in bytes alone.
type naiveOutbox struct {
	queue  []byte
	frames []int // bytes left of each
	begun  bool  // of frames[0], some bytes are written
	sealed bool
}

func (o *naiveOutbox) put(b []byte, limit int) error {
	switch {
	case o.sealed:
		return ErrSealed
	case len(o.queue) > 0 && len(o.queue)+len(b) > limit:
		return ErrOverflow
	}
	o.queue = append(o.queue, b...)
	o.frames = append(o.frames, len(b))
	return nil
}

func (o *naiveOutbox) wrote(n int) (written []byte) {
	written, o.queue = slices.Clone(o.queue[:n]), o.queue[n:]
	for n > 0 {
		k := min(n, o.frames[0])
		o.frames[0] -= k
		n -= k
		if o.begun = o.frames[0] > 0; !o.begun {
			o.frames = o.frames[1:]
		}
	}
	return written
}

// seal keeps the first inFlight frames, or the one that is partly written.
func (o *naiveOutbox) seal(discard bool, inFlight int, last []byte) (dropped int) {
	if o.sealed {
		return 0
	}
	if discard {
		if o.begun {
			inFlight = max(inFlight, 1)
		}
		dropped = len(o.frames) - inFlight
		o.frames = o.frames[:inFlight]
		keep := 0
		for _, n := range o.frames {
			keep += n
		}
		o.queue = o.queue[:keep]
	}
	_ = o.put(last, 1<<30)
	o.sealed = true
	return dropped
}

// partialWriter takes up to room bytes; before, if set, runs first.
type partialWriter struct {
	room   int
	got    []byte
	before func(bufs [][]byte)
	err    error
}

func (w *partialWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	if w.before != nil {
		w.before(bufs)
	}
	if w.err != nil {
		return 0, w.err
	}
	for _, b := range bufs {
		k := min(len(b), w.room)
		w.got = append(w.got, b[:k]...)
		w.room -= k
		n += k
	}
	return n, nil
}

// TestOutboxAgainstModel does the same to an Outbox and to a naive queue.
func TestOutboxAgainstModel(t *testing.T) {
	r := seeded(t)
	for round := range 300 {
		m := outboxModel{t: t, r: r, limit: 50 + r.IntN(2000)}
		for m.op < 200 && !m.over {
			m.op++
			m.step()
			if t.Failed() {
				t.Fatalf("round %d, operation %d", round, m.op)
			}
		}
	}
}

type outboxModel struct {
	t     *testing.T
	r     *rand.Rand
	real  Outbox
	naive naiveOutbox
	limit int
	op    int
	over  bool
}

func (m *outboxModel) step() {
	switch k := m.r.IntN(100); {
	case k < 60:
		m.put()
	case k < 80:
		m.drain()
	case k < 95:
		m.drainUnlocked(nil)
	case k < 97:
		m.seal(m.r.IntN(2) == 0, 0)
	case k < 98:
		m.drainUnlocked(func(inFlight int) { m.seal(true, inFlight) })
	case k < 99:
		m.drainUnlocked(func(int) { m.put(); m.put() })
	default:
		m.abandon()
	}
	if got, want := m.real.Queued(), len(m.naive.queue); got != want {
		m.t.Errorf("queued: got %d bytes, want %d", got, want)
	}
	if got, want := m.real.Sealed(), m.naive.sealed; got != want {
		m.t.Errorf("sealed: got %v, want %v", got, want)
	}
}

func (m *outboxModel) put() {
	b := bytes.Repeat([]byte{byte(m.op)}, 1+m.r.IntN(200))
	empty := len(m.naive.queue) == 0
	first, err := m.real.Put(NewFrame(b), m.limit)
	want := m.naive.put(b, m.limit)
	if err != want || first != (empty && want == nil) {
		m.t.Errorf("put of %d: got first %v, %v; want first %v, %v", len(b), first, err, empty && want == nil, want)
	}
}

func (m *outboxModel) drain() {
	w := &partialWriter{room: m.r.IntN(1500)}
	all := len(m.naive.queue)
	blocked, err := m.real.Drain(w)
	if err != nil || blocked != (len(w.got) < all) {
		m.t.Errorf("drain: got blocked %v, %v after %d of %d bytes", blocked, err, len(w.got), all)
	}
	m.same(w.got)
}

// drainUnlocked lets meanwhile run during the first write.
func (m *outboxModel) drainUnlocked(meanwhile func(inFlight int)) {
	w := &partialWriter{room: 1 << 30}
	w.before = func(bufs [][]byte) {
		if meanwhile != nil {
			meanwhile(len(bufs))
			meanwhile = nil
		}
	}
	if err := m.real.DrainUnlocked(w); err != nil {
		m.t.Errorf("drain unlocked: %v", err)
	}
	if left := m.real.Queued(); left != 0 {
		m.t.Errorf("drain unlocked: %d bytes left", left)
	}
	m.same(w.got)
}

func (m *outboxModel) same(got []byte) {
	if len(got) > len(m.naive.queue) {
		m.t.Errorf("wrote %d bytes, %d were queued", len(got), len(m.naive.queue))
		return
	}
	if want := m.naive.wrote(len(got)); !bytes.Equal(got, want) {
		m.t.Errorf("wrote other bytes: got %v, want %v", got, want)
	}
}

func (m *outboxModel) seal(discard bool, inFlight int) {
	last := []byte("close")
	got := m.real.Seal(discard, NewFrame(last))
	if want := m.naive.seal(discard, inFlight, last); got != want {
		m.t.Errorf("seal: dropped %d, want %d", got, want)
	}
}

func (m *outboxModel) abandon() {
	if got, want := m.real.Abandon(), len(m.naive.frames); got != want {
		m.t.Errorf("abandon: dropped %d, want %d", got, want)
	}
	m.naive.queue, m.naive.frames, m.naive.sealed, m.over = nil, nil, true, true
}

func TestAbandonDuringWrite(t *testing.T) {
	var o Outbox
	for range 3 {
		o.Put(NewFrame([]byte("frame")), 1000)
	}
	w := &partialWriter{room: 1000, before: func([][]byte) { o.Abandon() }}
	if err := o.DrainUnlocked(w); err != nil || o.Queued() != 0 || !o.Sealed() {
		t.Errorf("got %v, %d bytes queued, sealed %v; want nothing left", err, o.Queued(), o.Sealed())
	}
	if _, err := o.Put(NewFrame([]byte("late")), 1000); err != ErrSealed {
		t.Errorf("put after abandon: got %v, want %v", err, ErrSealed)
	}
}

func TestDrainReportsWriterError(t *testing.T) {
	broken := errors.New("reset")
	var o Outbox
	o.Put(NewFrame([]byte("frame")), 1000)
	if _, err := o.Drain(&partialWriter{err: broken}); err != broken {
		t.Errorf("drain: got %v, want %v", err, broken)
	}
	if err := o.DrainUnlocked(&partialWriter{err: broken}); err != broken {
		t.Errorf("drain unlocked: got %v, want %v", err, broken)
	}
	if o.Queued() != len("frame") {
		t.Errorf("queued %d bytes, want the frame kept for Abandon to count", o.Queued())
	}
}

func TestLargeFrameFitsEmptyOutbox(t *testing.T) {
	var o Outbox
	if first, err := o.Put(NewFrame(make([]byte, 5000)), 100); !first || err != nil {
		t.Errorf("got first %v, %v; want it queued", first, err)
	}
	if _, err := o.Put(NewFrame([]byte("x")), 100); err != ErrOverflow {
		t.Errorf("behind it: got %v, want %v", err, ErrOverflow)
	}
}

// TestOutboxNeverEmptyStaysShort keeps a backlog of ten frames for long: the
// queue must not remember what it has written.
func TestOutboxNeverEmptyStaysShort(t *testing.T) {
	var o Outbox
	f := NewFrame(make([]byte, 100))
	for range 10 {
		o.Put(f, 1<<20)
	}
	for range 100_000 {
		o.Put(f, 1<<20)
		if blocked, err := o.Drain(&partialWriter{room: 100}); !blocked || err != nil {
			t.Fatalf("drain: got blocked %v, %v", blocked, err)
		}
	}
	if got, most := cap(o.queue.frames), 64; got > most {
		t.Errorf("room for %d frames with 10 queued: want at most %d", got, most)
	}
}

// orderWriter checks that each sender's frames come in order.
type orderWriter struct {
	next   map[byte]int
	frames int
	wrong  []string
}

func (w *orderWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		var sender byte
		var i int
		if _, err := fmt.Sscanf(string(b), "%c %d", &sender, &i); err != nil || i != w.next[sender] {
			w.wrong = append(w.wrong, fmt.Sprintf("%q, want %c %d", b, sender, w.next[sender]))
		}
		w.next[sender]++
		w.frames++
		n += len(b)
	}
	return n, nil
}

// TestOutboxConcurrentPutAndDrain: who is told that its frame is the first
// flushes, and so nothing stays behind.
func TestOutboxConcurrentPutAndDrain(t *testing.T) {
	const senders, each = 4, 5000
	var o Outbox
	w := &orderWriter{next: make(map[byte]int)}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				first, err := o.Put(NewFrame(fmt.Appendf(nil, "%c %d", 'a'+s, i)), 1<<30)
				if err != nil {
					t.Errorf("put: %v", err)
				}
				if first {
					if _, err := o.Drain(w); err != nil {
						t.Errorf("drain: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	if len(w.wrong) > 0 {
		t.Errorf("out of order: %v", w.wrong[:min(3, len(w.wrong))])
	}
	if w.frames != senders*each {
		t.Errorf("wrote %d frames, want %d", w.frames, senders*each)
	}
}

func TestOutboxAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items on purpose under -race")
	}
	var o Outbox
	w := nullWriter{}
	f := NewFrame(make([]byte, 128))
	burst := func() {
		for range 16 {
			o.Put(f, 1<<20)
		}
		o.Drain(w)
	}
	burst()
	if got := testing.AllocsPerRun(1000, burst); got >= 1 {
		t.Errorf("%v allocations per burst, want 0", got)
	}
}

// nullWriter takes everything.
type nullWriter struct{}

func (nullWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}

// BenchmarkOutbox is the cost of one queued and written frame, without the
// system call, by frames in a burst.
func BenchmarkOutbox(b *testing.B) {
	for _, burst := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			var o Outbox
			var w Writer = nullWriter{}
			f := NewFrame(make([]byte, 128))
			b.ReportAllocs()
			for range b.N / burst {
				for range burst {
					o.Put(f, 1<<20)
				}
				o.Drain(w)
			}
		})
	}
}
