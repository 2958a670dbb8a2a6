package actors

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hawser/proto/cause"
)

// sliced makes the shards take n connections in one go.
func (w *world) sliced(n int) *world {
	for _, sh := range w.system.shards {
		sh.slice = n
	}
	return w
}

// idle waits until no fan-out is under way and all is flushed.
func (w *world) idle() {
	w.t.Helper()
	eventually(w.t, "the shards are idle", func() bool {
		w.settle()
		return w.system.Stats().Backlog == 0
	})
	w.settle()
}

// TestHugeFanOutLetsOthersIn blocks the shard, lets work for a large channel
// and small things behind it pile up, and looks at the order of the writes:
// the small things come after one slice, not after all of them.
func TestHugeFanOutLetsOthersIn(t *testing.T) {
	const slice, listeners, publications = 8, 200, 3
	w := newWorld(t, func(c *Config) { c.Shards = 1 }).sliced(slice)
	large := make([]*client, listeners)
	for i := range large {
		large[i] = w.dial("ann").subscribe("large")
		w.idle()
		large[i].take()
	}
	other := w.dial("bob").subscribe("small")
	joiner := w.dial("cid")
	quiet := w.dial("dee")
	w.idle()
	other.take()
	joiner.take()
	quiet.take()

	served := func() (n int) {
		for _, c := range large {
			c.mu.Lock()
			n += min(len(c.frames), 1)
			c.mu.Unlock()
		}
		return n
	}
	var before []int
	observe := func(c *client) { c.onFlush = func() { before = append(before, served()) } }
	observe(other)
	observe(joiner)
	observe(quiet)

	block := w.block(0)
	for i := range publications {
		w.system.Deliver("acme", "large", uint64(i+1), []byte("1"))
	}
	w.system.Deliver("acme", "small", 1, []byte("1"))
	joiner.say(subscribeMessage(1, "small"))
	w.system.DeliverSession("acme", quiet.conn.sessionID, []byte("1"))
	close(block)
	w.idle()

	for _, c := range large {
		if got := seqs(t, c.take()); len(got) != publications || !slices.IsSorted(got) {
			t.Fatalf("a listener got %v, want 1 to %d", got, publications)
		}
	}
	if len(before) != 3 || slices.Max(before) > 2*slice {
		t.Errorf("others were served after %v of %d listeners: want each at most two slices", before, listeners)
	}
}

// TestSlicesCoalesce: what waits for a large channel is one write for each
// listener.
func TestSlicesCoalesce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 }).sliced(4)
	var all []*client
	writes := 0
	for range 30 {
		c := w.dial("ann").subscribe("large")
		all = append(all, c)
	}
	w.idle()
	for _, c := range all {
		c.take()
		c.onFlush = func() { writes++ }
	}
	block := w.block(0)
	for i := range 16 {
		w.system.Deliver("acme", "large", uint64(i+1), []byte("1"))
	}
	close(block)
	w.idle()
	if writes != len(all) {
		t.Errorf("%d writes for %d listeners and 16 publications, want one each", writes, len(all))
	}
	for _, c := range all {
		if got := len(c.take()); got != 16 {
			t.Errorf("got %d publications, want 16", got)
		}
	}
}

// TestSlicesAgainstModel lets connections join, leave and go at random between
// the slices of fan-outs. The shard is stopped while a batch of work piles up,
// so the mailbox's order is known: each gets exactly what came between its
// join and its leave. Further steps come from the shard's own flushes, and so
// between two slices.
func TestSlicesAgainstModel(t *testing.T) {
	r := seeded(t)
	for round := range 12 {
		m := slicesModel{w: newWorld(t, func(c *Config) { c.Shards = 1 }).sliced(1 + r.IntN(4)), r: r}
		for range 12 {
			m.listeners = append(m.listeners, m.dial())
		}
		for range 6 {
			m.phase()
			m.check()
		}
		if m.w.close(); t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

type slicesModel struct {
	w         *world
	r         *rand.Rand
	listeners []*listener
	seq       int
	between   int // steps to do between slices
}

// listener is a client and what it should get.
type listener struct {
	*client
	in   map[string]bool
	want map[string][]string // by channel
}

func (m *slicesModel) dial() *listener {
	l := &listener{m.w.dial("ann"), map[string]bool{}, map[string][]string{}}
	l.onFlush = m.flushed
	return l
}

// phase lets work pile up and waits until it is done, twice: the second time
// for the steps that came in between.
func (m *slicesModel) phase() {
	block := m.w.block(0)
	for range 30 {
		m.step()
	}
	m.between = 60
	close(block)
	m.w.idle()
	block = m.w.block(0)
	m.between = 0
	close(block)
	m.w.idle()
}

// flushed runs on the shard while between is above zero, else not at all. It
// must not come out of a step again.
func (m *slicesModel) flushed() {
	if left := m.between; left > 0 {
		m.between = 0
		m.step()
		m.between = left - 1
	}
}

func (m *slicesModel) step() {
	i, channel := m.r.IntN(len(m.listeners)), []string{"a", "b"}[m.r.IntN(2)]
	l := m.listeners[i]
	switch k := m.r.IntN(100); {
	case k < 50:
		m.publish(channel)
	case k < 75:
		l.say(subscribeMessage(1, channel))
		l.in[channel] = true
	case k < 97:
		l.say(unsubscribeMessage(1, channel))
		l.in[channel] = false
	default:
		l.conn.SocketClosed(cause.PeerLost)
		m.listeners[i] = m.dial()
	}
}

func (m *slicesModel) publish(channel string) {
	m.seq++
	m.w.system.Deliver("acme", channel, uint64(m.seq), []byte("1"))
	for _, l := range m.listeners {
		if l.in[channel] {
			l.want[channel] = append(l.want[channel], fmt.Sprint(channel, "/", m.seq))
		}
	}
}

func (m *slicesModel) check() {
	for i, l := range m.listeners {
		got := map[string][]string{}
		for _, p := range seqs(m.w.t, l.take()) {
			channel, _, _ := strings.Cut(p, "/")
			got[channel] = append(got[channel], p)
		}
		if !maps.EqualFunc(got, l.want, slices.Equal) {
			m.w.t.Errorf("listener %d got %v, want %v", i, got, l.want)
		}
		clear(l.want)
	}
}

// TestCloseFinishesSlices: a fan-out that is under way when the shard stops is
// done to the end.
func TestCloseFinishesSlices(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 }).sliced(4)
	var all []*client
	for range 50 {
		all = append(all, w.dial("ann").subscribe("large"))
	}
	w.idle()
	for _, c := range all {
		c.take()
	}
	block := w.block(0)
	for i := range 5 {
		w.system.Deliver("acme", "large", uint64(i+1), []byte("1"))
	}
	w.system.closing.Do(func() { w.system.root.Poison(w.system.shards[0].pid) })
	close(block)
	<-w.system.shards[0].done
	for _, c := range all {
		if got := len(c.take()); got != 5 {
			t.Fatalf("got %d publications, want 5", got)
		}
	}
	if got := w.system.Stats().Backlog; got != 0 {
		t.Errorf("backlog %d after the stop, want 0", got)
	}
	for _, c := range all {
		c.conn.SocketClosed(cause.ClientGone)
		c.conn.shard.detach(c.conn) // the actor that would is gone
	}
}

// TestSlicesSurviveDefect: a panic within a slice costs the clients their
// connection, not the channel its fan-out.
func TestSlicesSurviveDefect(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 }).sliced(2)
	var all []*client
	for range 10 {
		all = append(all, w.dial("ann").subscribe("large"))
	}
	w.idle()
	all[4].set(&all[4].stays, true)
	all[4].conn.Kick(cause.Kicked, 0) // so that its publication is dropped
	panics := 1
	w.recorder.onDrop = func() {
		if panics--; panics == 0 {
			panic("recorder broke")
		}
	}
	w.system.Deliver("acme", "large", 1, []byte("1"))
	w.idle()
	if got := w.recorder.closedBy(cause.Internal); got != 9 {
		t.Errorf("closed as internal: got %d, want 9", got)
	}
	again := w.dial("ann").subscribe("large")
	w.idle()
	again.take()
	w.system.Deliver("acme", "large", 2, []byte("1"))
	w.idle()
	if got := seqs(t, again.take()); len(got) != 1 {
		t.Errorf("got %v, want one publication", got)
	}
}
