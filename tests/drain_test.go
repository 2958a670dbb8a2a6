package tests

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"hawser/edge/client"
	"hawser/proto/cause"
)

// fleet is many SDK clients behind a balancer, each with a subscription.
type fleet struct {
	t       *testing.T
	clients []*client.Client
	sinks   []*sink

	mu           sync.Mutex
	losses       []*client.DisconnectError // one for each connection that ended
	resubscribed int
}

// newFleet connects n clients, half of them with either protocol, to channel
// news.
func newFleet(t *testing.T, b *balancer, n int) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for i := range n {
		c := newSDK(t, nil, client.Config{URL: "ws://balancer/ws/demo", Protocol: protocols[i%2], Dial: b.dial,
			OnState: func(_ context.Context, change client.StateChange) {
				if change.From == client.Connected && change.To != client.Closed {
					f.lost(change.Err)
				}
			},
			OnResubscribed: func(context.Context, client.Resubscribed) { f.back() },
		})
		f.clients = append(f.clients, c)
	}
	f.each(func(i int, c *client.Client) error { return c.Connect(bounded(t)) })
	f.sinks = make([]*sink, n)
	f.each(func(i int, c *client.Client) error {
		f.sinks[i] = new(sink)
		_, err := c.Subscribe(bounded(t), "news", func(_ context.Context, p client.Publication) { f.sinks[i].add(p.Data) })
		return err
	})
	return f
}

// each runs do for all clients, some at a time.
func (f *fleet) each(do func(i int, c *client.Client) error) {
	f.t.Helper()
	const workers = 16
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(f.clients) && errs[w] == nil; i += workers {
				errs[w] = do(i, f.clients[i])
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fleet) lost(why *client.DisconnectError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.losses = append(f.losses, why)
}

func (f *fleet) back() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resubscribed++
}

// awaitLosses waits until each client has lost a connection once more.
func (f *fleet) awaitLosses() []*client.DisconnectError {
	f.t.Helper()
	eventually(f.t, "every client noticed", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.losses) >= len(f.clients)
	})
	return f.losses
}

// awaitBack waits until each client is subscribed again.
func (f *fleet) awaitBack() {
	f.t.Helper()
	eventually(f.t, "every client has resubscribed", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.resubscribed >= len(f.clients)
	})
}

// resumable keeps sessions over a restart.
const resumable = `
auth: {allow_anonymous: true, resume_secret: "` + secret + `"}
channels: [{pattern: '>', subscribe: allow}]
`

// TestTerm: TERM tells each of 500 clients to come back later, at the
// configured pace, and ends with 0. They find the next process by themselves,
// with their sessions and subscriptions.
func TestTerm(t *testing.T) {
	const clients, rate = 500, 250
	s := setup{config: resumable, args: []string{fmt.Sprintf("--node.drain_rate=%d", rate)}}
	h := startHawser(t, s)
	b := new(balancer)
	b.route(h.edge)
	f := newFleet(t, b, clients)
	sessions := make(map[string]bool, clients)
	for _, c := range f.clients {
		sessions[c.Session().ID] = true
	}
	raw, _ := connectRaw(t, h, "")

	b.route("")
	h.signal(syscall.SIGTERM)
	if code, last := raw.closed(); code != cause.Shutdown || last.Disconnect == nil ||
		last.Disconnect.Code != int(cause.Shutdown) || !last.Disconnect.Reconnect || last.Disconnect.RetryAfterMs <= 0 {
		t.Errorf("got close %d after %s, want %d with reconnect and retry_after_ms", code, last.text, cause.Shutdown)
	}
	raw.ended()
	raw.conn.Close()
	for _, why := range f.awaitLosses() {
		if why.Code != cause.Shutdown || why.Advice != cause.Retry || why.RetryAfter <= 0 {
			t.Fatalf("a client was told %v, retry after %v; want %d with a time", why, why.RetryAfter, cause.Shutdown)
		}
	}
	if code := h.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	checkPace(t, h, clients, rate)

	next := startHawser(t, s)
	b.route(next.edge)
	f.awaitBack()
	for _, c := range f.clients {
		if s := c.Session(); !s.Resumed || !sessions[s.ID] {
			t.Fatalf("session %+v, want one of before, resumed", s)
		}
	}
	fire(t, app(t, next.nats), "news", []byte(`"back"`))
	for _, s := range f.sinks {
		s.want(t, []byte(`"back"`))
	}
	next.checkAccounts()
}

// checkPace reads from the node's own log how long the drain took: a machine
// may make it longer, and nothing may make it shorter.
func checkPace(t *testing.T, h *hawser, clients, rate int) {
	t.Helper()
	begin, end := h.log.find("draining"), h.log.find("drained")
	if begin == nil || end == nil {
		t.Fatalf("no draining and drained in the log:\n%s", h.log)
	}
	took := timeOf(t, end).Sub(timeOf(t, begin))
	least := time.Duration(clients) * time.Second / time.Duration(rate) * 9 / 10 // the first step is free
	t.Logf("%d connections drained in %v", clients, took)
	if took < least {
		t.Errorf("%d connections drained in %v: want at least %v at %d per second", clients, took, least, rate)
	}
}

func timeOf(t *testing.T, line map[string]any) time.Time {
	t.Helper()
	text, _ := line["time"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestSecondTerm: whoever cannot wait for the drain sends a second TERM.
func TestSecondTerm(t *testing.T) {
	t.Parallel()
	// At this rate the drain would take 24 s, four fifths of its timeout.
	h := startHawser(t, setup{args: []string{"--node.drain_rate=1"}})
	var all []*rawClient
	for range 50 {
		all = append(all, first(connectRaw(t, h, "")))
	}
	h.signal(syscall.SIGTERM)
	eventually(t, "the drain has begun", func() bool { return h.log.find("draining") != nil })
	if r := h.log.find("draining"); r["connections"] != 50.0 {
		t.Errorf("draining %v connections, want 50", r["connections"])
	}
	h.signal(syscall.SIGTERM)
	if code := h.exit(); code != 1 {
		t.Errorf("exit code %d, want 1: the drain was cut short", code)
	}
	for _, c := range all {
		c.ended()
	}
	if took := timeOf(t, h.log.find("drain cut short")).Sub(timeOf(t, h.log.find("draining"))); took > 20*time.Second {
		t.Errorf("the second TERM took %v", took)
	}
}

// TestKill: clients of a node that dies without a word come back by
// themselves.
func TestKill(t *testing.T) {
	t.Parallel()
	const clients = 50
	s := setup{config: resumable}
	h := startHawser(t, s)
	b := new(balancer)
	b.route(h.edge)
	f := newFleet(t, b, clients)
	b.route("")
	h.kill()
	for _, why := range f.awaitLosses() {
		if why.Code != cause.PeerLost {
			t.Fatalf("a client was told %v, want %d", why, cause.PeerLost)
		}
	}
	next := startHawser(t, s)
	b.route(next.edge)
	f.awaitBack()
	fire(t, app(t, next.nats), "news", []byte(`"back"`))
	for _, s := range f.sinks {
		s.want(t, []byte(`"back"`))
	}
}
