package actors

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hawser/proto/cause"
)

// TestPoliciesAgainstModel does the same to an Outbox, with frames of all
// policies and a meter, and to a plain list.
func TestPoliciesAgainstModel(t *testing.T) {
	r := seeded(t)
	topics := []*topic{{}, {}, {}}
	for round := range 300 {
		m := policyModel{t: t, r: r, topics: topics, limit: 100 + r.IntN(2000)}
		for op := range 300 {
			m.step()
			if t.Failed() {
				t.Fatalf("round %d, operation %d", round, op)
			}
		}
		m.real.Abandon()
		if left := m.meter.Load(); left != 0 {
			t.Fatalf("round %d: the meter shows %d bytes after the end", round, left)
		}
	}
}

type policyModel struct {
	t      *testing.T
	r      *rand.Rand
	topics []*topic
	limit  int
	meter  atomic.Int64
	number int

	real   Outbox
	plain  []*Frame // oldest first
	offset int      // bytes of plain[0] that are written
	flight int      // frames that a blocking writer has
	stuck  bool     // the last writer was left with something
}

func (m *policyModel) bounds() bounds { return bounds{m.limit, &m.meter} }

func (m *policyModel) step() {
	switch k := m.r.IntN(100); {
	case k < 75:
		m.put()
	case k < 90:
		m.drain()
	case k < 96:
		m.drainUnlocked()
	default:
		m.yield()
	}
	if got, want := m.real.Queued(), m.queued(); got != want {
		m.t.Errorf("queued: got %d bytes, want %d", got, want)
	}
	if q := m.real.queue; q != nil {
		m.checkQueue(q)
	} else {
		m.stuck = false // whoever puts next owes a flush, which will tell
	}
}

// checkQueue compares the frames, and the books that are kept of them.
func (m *policyModel) checkQueue(q *frameQueue) {
	lossy := 0
	for _, f := range m.plain {
		if f.slow != SlowDisconnect {
			lossy++
		}
	}
	if !slices.Equal(q.frames[q.head:], m.plain) || q.lossy != lossy || q.offset != m.offset {
		m.t.Errorf("got %d frames, %d lossy, offset %d; want %d, %d, %d",
			len(q.frames)-q.head, q.lossy, q.offset, len(m.plain), lossy, m.offset)
	}
	if int64(q.metered) != m.meter.Load() || q.metered > m.real.bytes {
		m.t.Errorf("metered %d of %d bytes, the meter shows %d", q.metered, m.real.bytes, m.meter.Load())
	}
	if m.stuck && q.metered != m.real.bytes {
		m.t.Errorf("metered %d behind a full socket, want %d", q.metered, m.real.bytes)
	}
}

func (m *policyModel) queued() (bytes int) {
	for _, f := range m.plain {
		bytes += f.Len()
	}
	return bytes - m.offset
}

func (m *policyModel) fits(f *Frame) bool {
	return m.queued() == 0 || m.queued()+f.Len() <= m.limit
}

// begun is how many frames must stay.
func (m *policyModel) begun() int {
	if m.offset > 0 {
		return max(m.flight, 1)
	}
	return m.flight
}

func (m *policyModel) put() {
	m.number++
	f := NewFrame(bytes.Repeat([]byte{byte(m.number)}, 1+m.r.IntN(150)))
	if m.r.IntN(50) == 0 {
		f = NewFrame(make([]byte, m.limit+1))
	}
	if k := m.r.IntN(8); k < 7 { // else an answer
		f.slow, f.topic = SlowPolicy(k%3), m.topics[m.r.IntN(len(m.topics))]
	}
	_, err := m.real.offer(f, m.bounds())
	var lost losses
	if fits := m.fits(f); (err == nil) != fits {
		m.t.Errorf("offer of %d bytes: got %v, want it to fit: %v", f.Len(), err, fits)
	}
	if err == ErrOverflow {
		_, lost, err = m.real.press(f, m.bounds())
	}
	if wantLost, want := m.press(f); lost != wantLost || err != want {
		m.t.Errorf("press of %d bytes: got %+v, %v; want %+v, %v", f.Len(), lost, err, wantLost, want)
	}
}

// press is what offer and press do together, step by step.
func (m *policyModel) press(f *Frame) (lost losses, err error) {
	if !m.fits(f) {
		lost.conflated = m.conflate(f)
	}
	if before := slices.Clone(m.plain); !m.fits(f) {
		for !m.fits(f) && m.dropOne() {
			lost.oldest++
		}
		if !m.fits(f) { // it was for nothing
			m.plain, lost.oldest = before, 0
		}
	}
	switch {
	case m.fits(f):
		m.plain = append(m.plain, f)
		return lost, nil
	case f.slow == SlowDropOldest:
		lost.oldest++
		return lost, errDropped
	}
	return lost, ErrOverflow
}

func (m *policyModel) conflate(next *Frame) (dropped int) {
	for i := m.begun(); i < len(m.plain); {
		f := m.plain[i]
		same := func(g *Frame) bool { return g.slow == SlowConflate && g.topic == f.topic }
		superseded := slices.ContainsFunc(m.plain[i+1:], same) || next != nil && same(next)
		if f.slow != SlowConflate || !superseded {
			i++
			continue
		}
		m.plain = slices.Delete(m.plain, i, i+1)
		dropped++
	}
	return dropped
}

func (m *policyModel) dropOne() bool {
	for i := m.begun(); i < len(m.plain); i++ {
		if m.plain[i].slow == SlowDropOldest {
			m.plain = slices.Delete(m.plain, i, i+1)
			return true
		}
	}
	return false
}

func (m *policyModel) yield() {
	before := m.queued()
	want := losses{conflated: m.conflate(nil)}
	for m.dropOne() {
		want.oldest++
	}
	lost, freed, left := m.real.yield()
	if lost != want || freed != before-m.queued() || left != m.queued() {
		m.t.Errorf("yield: got %+v, %d freed, %d left; want %+v, %d, %d", lost, freed, left, want, before-m.queued(), m.queued())
	}
}

func (m *policyModel) wrote(n int) {
	for m.offset += n; len(m.plain) > 0 && m.offset >= m.plain[0].Len(); m.plain = m.plain[1:] {
		m.offset -= m.plain[0].Len()
	}
	m.plain = slices.Clone(m.plain)
}

func (m *policyModel) drain() {
	w := &partialWriter{room: m.r.IntN(1500)}
	blocked, err := m.real.Drain(w)
	m.wrote(len(w.got))
	m.stuck = blocked
	if err != nil || blocked != (len(m.plain) > 0) {
		m.t.Errorf("drain: got blocked %v, %v with %d frames left", blocked, err, len(m.plain))
	}
}

// drainUnlocked puts while the first batch is being written: what of it is
// with the socket must stay.
func (m *policyModel) drainUnlocked() {
	m.stuck = false
	w := &partialWriter{room: 1 << 30}
	first := true
	w.before = func(bufs [][]byte) {
		m.flight = len(bufs)
		for range m.r.IntN(20) {
			if first {
				m.put()
			}
		}
		first = false
		bytes := 0
		for _, b := range bufs {
			bytes += len(b)
		}
		m.wrote(bytes)
		m.flight = 0
	}
	if err := m.real.DrainUnlocked(w); err != nil || len(m.plain) > 0 {
		m.t.Errorf("drain unlocked: got %v with %d frames left", err, len(m.plain))
	}
}

// lossyRules gives the channels oldest.* and newest.* their policies.
func lossyRules(c *Config) {
	c.Shards, c.OutboxBytes = 1, 4096
	c.Rules = []Rule{{Pattern: "oldest.>", Subscribe: Allow, Slow: SlowDropOldest},
		{Pattern: "newest.>", Subscribe: Allow, Slow: SlowConflate}, {Pattern: ">", Subscribe: Allow}}
}

// stall is a client that has read everything so far and then stops.
func (w *world) stall(channels ...string) *client {
	c := w.dial("slow").subscribe(channels...)
	c.take()
	c.set(&c.stalled, true)
	return c
}

// wake lets a stalled client read what waits for it.
func (c *client) wake() []string {
	c.set(&c.stalled, false)
	c.Flush()
	return c.take()
}

func (w *world) deliver(channel string, from, to int) {
	w.t.Helper()
	for i := from; i <= to; i++ {
		w.system.Deliver("acme", channel, uint64(i), []byte(`"0123456789012345678901234567890123456789"`))
	}
	w.settle()
}

// seqs parses the publications among frames as channel/seq.
func seqs(t testing.TB, frames []string) (all []string) {
	t.Helper()
	for _, f := range frames {
		channel, seq := "", 0
		rest, ok := strings.CutPrefix(f, `{"publication":{"channel":"`)
		if !ok {
			continue
		}
		channel, rest, _ = strings.Cut(rest, `"`)
		if _, err := fmt.Sscanf(rest, `,"seq":%d,`, &seq); err != nil {
			t.Errorf("no publication: %s", f)
		}
		all = append(all, fmt.Sprint(channel, "/", seq))
	}
	return all
}

func TestDropOldestKeepsTheNewest(t *testing.T) {
	w := newWorld(t, lossyRules)
	slow, fast := w.stall("oldest.a"), w.dial("fast").subscribe("oldest.a")
	fast.take()
	w.deliver("oldest.a", 1, 500)
	if got := len(fast.take()); got != 500 {
		t.Errorf("the neighbour got %d publications, want 500", got)
	}
	slow.say(pingMessage(7)) // an answer finds room, too
	got := slow.wake()
	if tail := got[len(got)-1]; tail != `{"id":7,"pong":{}}` {
		t.Errorf("last frame %s, want the answer", tail)
	}
	kept := seqs(t, got)
	for i, publication := range kept {
		if want := fmt.Sprint("oldest.a/", 500-len(kept)+i+1); publication != want {
			t.Fatalf("place %d of %d: got %s, want %s", i, len(kept), publication, want)
		}
	}
	if drops := w.recorder.drops(DropOldest); len(kept) < 30 || drops != 500-len(kept) || w.recorder.closedAll() != 0 {
		t.Errorf("kept %d, counted %d dropped, %d closed; want 500 together and nobody closed", len(kept), drops, w.recorder.closedAll())
	}
}

func TestConflateKeepsTheNewestOfEach(t *testing.T) {
	w := newWorld(t, lossyRules)
	slow := w.stall("newest.a", "newest.b")
	w.deliver("newest.a", 1, 1)
	w.deliver("newest.b", 1, 500)
	kept := seqs(t, slow.wake())
	if kept[0] != "newest.a/1" || kept[len(kept)-1] != "newest.b/500" {
		t.Errorf("kept %s to %s, want newest.a/1 to newest.b/500", kept[0], kept[len(kept)-1])
	}
	if drops := w.recorder.drops(DropConflated); drops != 501-len(kept) || w.recorder.closedAll() != 0 {
		t.Errorf("kept %d, counted %d conflated, %d closed; want 501 together and nobody closed", len(kept), drops, w.recorder.closedAll())
	}
}

// TestLossyBacklogSparesOthers: publications that may be lost make room for
// those that may not, and do not make the client a slow consumer.
func TestLossyBacklogSparesOthers(t *testing.T) {
	w := newWorld(t, lossyRules)
	slow := w.stall("oldest.a", "news")
	w.deliver("oldest.a", 1, 100)
	w.deliver("news", 1, 10)
	w.deliver("oldest.a", 101, 200)
	var news []string
	for _, publication := range seqs(t, slow.wake()) {
		if strings.HasPrefix(publication, "news/") {
			news = append(news, publication)
		}
	}
	if len(news) != 10 || news[0] != "news/1" || news[9] != "news/10" {
		t.Errorf("got %v, want news/1 to news/10", news)
	}
	slow.set(&slow.stalled, true)
	w.deliver("news", 11, 200)
	if got := w.recorder.closedBy(cause.SlowConsumer); got != 1 {
		t.Errorf("closed as slow_consumer after the channel that loses nothing filled the outbox: got %d, want 1", got)
	}
}

// TestPingPassesFullOutbox: a client whose outbox is always full is still
// asked whether it lives.
func TestPingPassesFullOutbox(t *testing.T) {
	w := newWorld(t, lossyRules)
	slow := w.stall("oldest.a")
	w.deliver("oldest.a", 1, 500)
	out, limit := slow.conn.Outbox(), w.system.config.OutboxBytes
	if _, err := out.Put(NewFrame(make([]byte, limit-out.Queued())), limit); err != nil {
		t.Fatalf("to the last byte: %v", err)
	}
	w.tick(w.system.config.PingInterval)
	if got := slow.wake(); !slices.Contains(got, "ping") {
		t.Errorf("no ping among %d frames", len(got))
	}
}

// TestRulesChangePolicy: SetRules holds for subscriptions that are up.
func TestRulesChangePolicy(t *testing.T) {
	w := newWorld(t, lossyRules)
	w.stall("news")
	if err := w.system.SetRules([]Rule{{Pattern: ">", Subscribe: Allow, Slow: SlowDropOldest}}); err != nil {
		t.Fatal(err)
	}
	w.deliver("news", 1, 500)
	if got := w.recorder.closedAll(); got != 0 {
		t.Errorf("%d closed, want none", got)
	}
	if err := w.system.SetRules([]Rule{{Pattern: ">", Slow: 3}}); err == nil {
		t.Error("a policy that is none was taken")
	}
}

// TestNodeLimit: beyond the bytes of the node those with the most give way,
// each by its policies, and nobody else.
func TestNodeLimit(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		lossyRules(c)
		c.OutboxBytes, c.OutboxTotalBytes = 1<<20, 4<<20
	})
	fast := w.dial("fast").subscribe("oldest.a", "news", "few")
	fast.take()
	lossy := w.stall("oldest.a")
	few := w.stall("few")
	var slow []*client
	for range 8 {
		slow = append(slow, w.stall("news"))
	}
	const n = 9000
	w.deliver("few", 1, 5)
	w.deliver("oldest.a", 1, n)
	if got := w.system.Stats().StuckBytes; got < 500<<10 || got > 1<<20 {
		t.Errorf("%d bytes stuck, want about %d publications' worth", got, n)
	}
	w.deliver("news", 1, n) // 8 times 780 KB
	if got := w.system.Stats().StuckBytes; got > 4<<20 {
		t.Errorf("%d bytes stuck, want at most 4 MiB", got)
	}
	if got := len(fast.take()); got != 2*n+5 {
		t.Errorf("the fast neighbour got %d publications, want %d", got, 2*n+5)
	}
	if got := len(seqs(t, few.wake())); got != 5 {
		t.Errorf("who was hardly behind got %d publications, want 5", got)
	}
	if w.recorder.drops(DropOldest) == 0 || lossy.conn.out.Sealed() {
		t.Error("the client of a channel that may lose publications: want it up and its backlog dropped")
	}
	if got := w.recorder.closedBy(cause.SlowConsumer); got == 0 || got >= len(slow) {
		t.Errorf("closed %d of %d, want some", got, len(slow))
	}
}
