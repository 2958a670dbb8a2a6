package actors

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hawser/proto/cause"
)

// TestHubAgainstModel lets connections come, go, join and leave at random, and
// compares the dense lists of the hub with plain sets after each step.
func TestHubAgainstModel(t *testing.T) {
	r := seeded(t)
	w := newWorld(t, nil)
	m := hubModel{t: t, w: w, r: r, listens: make(map[*client]map[string]bool)}
	for step := range 1500 {
		m.step()
		w.settle()
		m.check(step)
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
}

type hubModel struct {
	t       *testing.T
	w       *world
	r       *rand.Rand
	order   []*client
	listens map[*client]map[string]bool
	seq     uint64
}

func (m *hubModel) step() {
	channel := fmt.Sprint("c", m.r.IntN(5))
	k := m.r.IntN(100)
	if k < 15 || len(m.order) == 0 {
		c := m.w.dial("ann")
		m.order = append(m.order, c)
		m.listens[c] = make(map[string]bool)
		return
	}
	i := m.r.IntN(len(m.order))
	c := m.order[i]
	switch {
	case k < 25:
		c.conn.SocketClosed(cause.ClientGone)
		delete(m.listens, c)
		m.order = append(m.order[:i], m.order[i+1:]...)
	case k < 75:
		c.say(subscribeMessage(1, channel)) // 409 when it is already
		m.listens[c][channel] = true
	default:
		c.say(unsubscribeMessage(1, channel))
		delete(m.listens[c], channel)
	}
}

func (m *hubModel) check(step int) {
	m.t.Helper()
	m.checkIndexes()
	for _, c := range m.order {
		c.take()
	}
	m.seq++
	channel := fmt.Sprint("c", step%5)
	m.w.system.Deliver("acme", channel, m.seq, []byte("1"))
	m.w.settle()
	for _, c := range m.order {
		want := 0
		if m.listens[c][channel] {
			want = 1
		}
		if got := len(c.take()); got != want {
			m.t.Errorf("a client got %d publications of %s, want %d", got, channel, want)
		}
	}
}

// checkIndexes verifies that connection, hub and table point at each other.
func (m *hubModel) checkIndexes() {
	m.t.Helper()
	held := make(map[string]bool)
	for _, c := range m.order {
		conn := c.conn
		if len(conn.hubs) != len(m.listens[c]) || len(conn.held) != len(conn.hubs) {
			m.t.Errorf("a client is in %d hubs and holds %d topics, want %d", len(conn.hubs), len(conn.held), len(m.listens[c]))
		}
		if conn.shard.table[conn.slot] != conn {
			m.t.Errorf("slot %d is another's", conn.slot)
		}
		for _, h := range conn.hubs {
			held[h.topic.key.channel] = true
			if h.topic.shards[conn.shard.number].conns[h.index] != conn {
				m.t.Errorf("place %d in %s is another's", h.index, h.topic.key.channel)
			}
		}
	}
	if got := m.w.system.topics.count(); got != len(held) {
		m.t.Errorf("%d topics, want %d", got, len(held))
	}
	for key, topic := range m.w.system.topics.byKey {
		refs, all := topic.refs, int32(0)
		for i := range topic.shards {
			refs -= len(topic.shards[i].conns)
			all += topic.shards[i].live.Load()
		}
		if refs != 0 || all != topic.wires[0].Load() {
			m.t.Errorf("%v: %d references too many; %d live, %d by wire", key, refs, all, topic.wires[0].Load())
		}
	}
}

// TestJoinOfClosedConnection: the socket goes while the join waits behind a
// backlog. The connection was counted in for Deliver, and must be out again.
func TestJoinOfClosedConnection(t *testing.T) {
	w := newWorld(t, nil)
	stays, goes := w.dial("ann"), w.dial("bob") // on different shards
	stays.subscribe("news")
	block := w.block(goes.conn.shard.number)
	goes.say(subscribeMessage(2, "news"))
	goes.conn.SocketClosed(cause.PeerLost)
	close(block)
	w.settle()
	topic := w.system.topics.find(topicKey{"acme", "news"})
	if live, all := topic.shards[goes.conn.shard.number].live.Load(), topic.wires[0].Load(); live != 0 || all != 1 {
		t.Errorf("%d live on the shard, %d in all; want 0 and 1", live, all)
	}
}
