package fabric

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// externalConfig is a node at an external server.
func externalConfig(url string) Config {
	cfg := testConfig()
	cfg.URL = url
	return cfg
}

// port is the port that the system picked for s, to start it there again.
func port(s *server.Server) int { return s.Addr().(*net.TCPAddr).Port }

func TestExternalDownAtOpen(t *testing.T) {
	s := external(t, -1, nil)
	url, p := s.ClientURL(), port(s)
	stopServer(s)
	got := newRecorder()
	f := openFabric(t, externalConfig(url), got)
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "not connected since") {
		t.Fatalf("got %v, want not connected since when", err)
	}
	wantError(t, f.PublishChannel("acme", "room", nil), CodeUnavailable, true)
	wantError(t, f.PublishApp("acme", "room", "", "s", nil), CodeUnavailable, true)
	wantError(t, trySubscribe(t, f, "acme", "room"), CodeUnavailable, true)
	wantError(t, request(t, f, "acme", "a.b", "", "s", nil).err, CodeUnavailable, true)

	external(t, p, nil)
	eventuallyReady(t, f)
	subscribe(t, f, "acme", "room")
	if err := f.PublishChannel("acme", "room", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	take(t, "publication", got.got)
	closeFabric(t, f) // before the server stops
}

func TestExternalRestart(t *testing.T) {
	s := external(t, -1, nil)
	url, p := s.ClientURL(), port(s)
	got := newRecorder()
	f := openFabric(t, externalConfig(url), got)
	eventuallyReady(t, f)
	for _, channel := range []string{"a", "b", "c", "d"} {
		subscribe(t, f, "acme", channel)
	}
	stopServer(s)
	eventually(t, "red", func() bool { return f.Ready() != nil })
	eventually(t, "all links are down", func() bool { return f.Stats().LinksUp == 0 })
	wantError(t, f.PublishChannel("acme", "a", nil), CodeUnavailable, true)
	// A live interest is no promise while the server is away.
	wantError(t, trySubscribe(t, f, "acme", "a"), CodeUnavailable, true)

	external(t, p, nil)
	eventuallyReady(t, f)
	nc := app(t, url)
	for _, channel := range []string{"a", "b", "c", "d"} {
		if err := nc.Publish("hw.fire.acme."+channel, []byte("back")); err != nil {
			t.Fatal(err)
		}
		want := delivery{kindFire, "acme", channel, 0, "back"}
		if d := take(t, "publication after the restart", got.got); d != want {
			t.Errorf("got %v, want %v", d, want)
		}
	}
	if n := f.Stats().Reconnects; n != 3 {
		t.Errorf("got %d reconnects, want 3, one a link", n)
	}
	closeFabric(t, f) // before the server stops
}

// A server that is stopped, not only disconnected, must leave nothing behind
// when the fabric closes while it is still trying.
func TestCloseWhileDisconnected(t *testing.T) {
	s := external(t, -1, nil)
	f := openFabric(t, externalConfig(s.ClientURL()), newRecorder())
	eventuallyReady(t, f)
	stopServer(s)
	eventually(t, "all links are down", func() bool { return f.Stats().LinksUp == 0 })
	closeFabric(t, f)
}

// gate is a dialer whose connections can be made to hold what the server
// sends, and then to break.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	holding bool
	dials   int
	conns   []*gatedConn // made since the last cut
}

func newGate() *gate {
	g := &gate{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// Dial makes g a nats.CustomDialer.
func (g *gate) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dials++
	c := &gatedConn{Conn: conn, gate: g}
	g.conns = append(g.conns, c)
	return c, nil
}

// dialed is how many connections were made.
func (g *gate) dialed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dials
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

// cut breaks the connections made so far; new ones pass freely.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = false
	for _, c := range g.conns {
		c.broken = true
		_ = c.Conn.Close()
	}
	g.conns = nil
	g.changed.Broadcast()
}

type gatedConn struct {
	net.Conn
	gate   *gate
	broken bool // guarded by gate.mu
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	for c.gate.holding {
		c.gate.changed.Wait()
	}
	if c.broken {
		return 0, io.EOF
	}
	return n, err
}

// A subscription whose round trip is cut must become ready after the
// reconnect, once, and receive each publication once.
func TestSubscribePendingAtADisconnect(t *testing.T) {
	s := external(t, -1, nil)
	cfg := externalConfig(s.ClientURL())
	g := newGate()
	cfg.Dialer = g
	got := newRecorder()
	f := openFabric(t, cfg, got)
	eventuallyReady(t, f)
	g.hold()
	ready := make(chan error, 10)
	for range 3 {
		f.Subscribe("acme", "room", func(err error) { ready <- err })
	}
	eventually(t, "the server has the subscription", func() bool {
		return s.GlobalAccount().Interest("hw.fire.acme.room") == 1
	})
	if len(ready) > 0 {
		t.Fatalf("ready without an answer of the server: %v", <-ready)
	}
	g.cut()
	for range 3 {
		if err := take(t, "ready", ready); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
	eventuallyReady(t, f)
	eventually(t, "the old connection's subscription is gone", func() bool {
		return s.GlobalAccount().Interest("hw.fire.acme.room") == 1
	})
	nc := app(t, cfg.URL)
	for _, data := range []string{"one", "two"} {
		if err := nc.Publish("hw.fire.acme.room", []byte(data)); err != nil {
			t.Fatal(err)
		}
		if d := take(t, "publication", got.got); d.data != data {
			t.Errorf("got %v, want %s once", d, data)
		}
	}
	if len(ready) > 0 {
		t.Error("ready was called twice")
	}
}

// Holding what the server sends makes a half-open peer: connected, and silent.
func TestReadyNamesAHalfOpenServer(t *testing.T) {
	s := external(t, -1, nil)
	cfg := externalConfig(s.ClientURL())
	cfg.CanaryTimeout = 100 * time.Millisecond
	g := newGate()
	cfg.Dialer = g
	f := openFabric(t, cfg, newRecorder())
	eventuallyReady(t, f)
	g.hold()
	eventually(t, "red by the canary", func() bool {
		err := f.Ready()
		return err != nil && strings.Contains(err.Error(), "last canary came back")
	})
	g.cut()
	eventuallyReady(t, f)
}

// Close must not wait for a server that does not answer, beyond its ctx.
func TestCloseWithAHalfOpenServer(t *testing.T) {
	s := external(t, -1, nil)
	cfg := externalConfig(s.ClientURL())
	g := newGate()
	cfg.Dialer = g
	f, err := Open(t.Context(), cfg, newRecorder())
	if err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, f)
	g.hold()
	defer g.cut() // lets nats.go's read loops end
	ready := make(chan error, 2)
	f.Subscribe("acme", "room", func(err error) { ready <- err })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Close(ctx); err == nil {
		t.Error("a close that could not flush said nothing")
	}
	wantError(t, take(t, "ready", ready), CodeUnavailable, true)
	take(t, "the end of the shutdown", f.closed)
}

func TestWrongPasswordIsRetried(t *testing.T) {
	password := func(p string) func(*server.Options) {
		return func(o *server.Options) { o.Username, o.Password = "hawser", p }
	}
	s := external(t, -1, password("old"))
	p := port(s)
	cfg := externalConfig(s.ClientURL())
	cfg.User, cfg.Password = "hawser", "new"
	g := newGate()
	cfg.Dialer = g
	f := openFabric(t, cfg, newRecorder())
	eventually(t, "the reason is told", func() bool {
		err := f.Ready()
		return err != nil && strings.Contains(err.Error(), "Authorization")
	})
	if strings.Contains(f.Ready().Error(), "new") {
		t.Error("the password is in the error")
	}
	// nats.go gives up after the second refusal by default.
	eventually(t, "each link was refused more than twice", func() bool { return g.dialed() > 3*3 })
	stopServer(s)
	external(t, p, password("new"))
	eventuallyReady(t, f)
	closeFabric(t, f) // before the server stops
}

// NATS answers a refused SUB and then the round trip, so a round trip alone
// would call it ready.
func TestSubscribeThatNATSDoesNotAllow(t *testing.T) {
	s := external(t, -1, func(o *server.Options) {
		o.Users = []*server.User{{Username: "hawser", Password: "x", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Deny: []string{"hw.fire.secret.>"}},
		}}}
	})
	cfg := externalConfig(s.ClientURL())
	cfg.User, cfg.Password = "hawser", "x"
	cfg.DataConns = 1
	got := newRecorder()
	f := openFabric(t, cfg, got)
	eventuallyReady(t, f)
	type result struct {
		tenant string
		err    error
	}
	results := make(chan result, 10)
	for _, tenant := range []string{"acme", "secret", "secret", "other"} {
		f.Subscribe(tenant, "room", func(err error) { results <- result{tenant, err} })
	}
	for range 4 {
		r := take(t, "ready", results)
		if r.tenant != "secret" && r.err != nil {
			t.Errorf("%s: got %v, want nil", r.tenant, r.err)
		}
		if r.tenant == "secret" {
			wantError(t, r.err, CodeForbidden, false)
		}
	}
	if n := f.Stats().Interests; n != 2 {
		t.Errorf("got %d interests, want 2", n)
	}
	// It may be allowed later, so it is asked again each time.
	wantError(t, trySubscribe(t, f, "secret", "room"), CodeForbidden, false)
	for _, tenant := range []string{"acme", "other"} {
		if err := f.PublishChannel(tenant, "room", nil); err != nil {
			t.Fatal(err)
		}
		if d := take(t, "publication", got.got); d.tenant != tenant {
			t.Errorf("got %v, want tenant %s", d, tenant)
		}
	}
}

func TestClusterOfEmbeddedServers(t *testing.T) {
	cfg := testConfig()
	cfg.User, cfg.Password = "u", "p" // signs in at the routes too
	cfg.Embedded.Cluster = Cluster{Name: "c", Listen: "127.0.0.1:0"}
	got := newRecorder()
	a := openFabric(t, cfg, newRecorder())
	cfg.NodeID = "n2"
	cfg.Embedded.Cluster.Routes = []string{"nats://" + a.server.server.ClusterAddr().String()}
	b := openFabric(t, cfg, got)
	eventuallyReady(t, a)
	eventuallyReady(t, b)
	subscribe(t, b, "acme", "room")
	eventually(t, "the route carries the interest", func() bool {
		return a.server.server.GlobalAccount().Interest("hw.fire.acme.room") == 1
	})
	if err := a.PublishChannel("acme", "room", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if d := take(t, "publication", got.got); d.data != "hi" {
		t.Errorf("got %v, want hi", d)
	}
	nc, err := nats.Connect(a.URL(), nats.UserInfo("u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	got.hold("acme", "s2", 1)
	if answer := ask(t, nc, "hw.session.acme.s2"); answer != answerOne {
		t.Errorf("got %s, want %s", answer, answerOne)
	}
	if answer := ask(t, nc, "hw.session.acme.s3"); answer != answerGone {
		t.Errorf("got %s, want %s", answer, answerGone)
	}
}
