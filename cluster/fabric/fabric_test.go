package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestChannelFromApplicationToSubscribers(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "news.eu")
	subscribe(t, f, "other", "news.eu")
	nc := app(t, f.URL())
	for i := range 100 {
		if err := nc.Publish("hw.fire.acme.news.eu", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		want := delivery{kindFire, "acme", "news.eu", 0, fmt.Sprint(i)}
		if d := take(t, "publication", got.got); d != want {
			t.Fatalf("got %v, want %v", d, want)
		}
	}
	if s := f.Stats(); s.MessagesIn != 100 || s.BytesIn != 190 || s.Interests != 2 {
		t.Errorf("got %+v, want 100 messages of 190 bytes and 2 interests", s)
	}
}

func TestPublishChannelReachesOtherNode(t *testing.T) {
	first, second := newRecorder(), newRecorder()
	a := openFabric(t, testConfig(), first)
	cfg := testConfig()
	cfg.NodeID, cfg.URL = "n2", a.URL()
	b := openFabric(t, cfg, second)
	subscribe(t, a, "acme", "room")
	subscribe(t, b, "acme", "room")
	if err := a.PublishChannel("acme", "room", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	want := delivery{kindFire, "acme", "room", 0, "hi"}
	for _, r := range []*recorder{first, second} {
		if d := take(t, "publication", r.got); d != want {
			t.Errorf("got %v, want %v", d, want)
		}
	}
}

// The caller may use his buffer again as soon as a publish returns.
func TestPublishCopiesData(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "room")
	buf := []byte("first")
	if err := f.PublishChannel("acme", "room", buf); err != nil {
		t.Fatal(err)
	}
	copy(buf, "XXXXX")
	if d := take(t, "publication", got.got); d.data != "first" {
		t.Errorf("got %q, want %q", d.data, "first")
	}
}

func TestInterestIsCountedAndLingers(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "room")
	subscribe(t, f, "acme", "room")
	if n := f.Stats().Interests; n != 1 {
		t.Fatalf("got %d interests, want 1 for two holders", n)
	}
	f.Unsubscribe("acme", "room")
	if s := f.Stats(); s.Lingering != 0 {
		t.Fatalf("got %d lingering, want 0 while one holder is left", s.Lingering)
	}
	f.Unsubscribe("acme", "room")
	eventually(t, "the interest is gone after its linger", func() bool { return f.Stats().Interests == 0 })
	eventually(t, "the server dropped the subscription", func() bool {
		return f.server.server.GlobalAccount().Interest("hw.fire.acme.room") == 0
	})
	f.Unsubscribe("acme", "room") // nobody holds it: ignored
	subscribe(t, f, "acme", "room")
	if err := f.PublishChannel("acme", "room", []byte("again")); err != nil {
		t.Fatal(err)
	}
	if d := take(t, "publication", got.got); d.data != "again" {
		t.Errorf("got %q, want %q", d.data, "again")
	}
}

func TestInterestRevivedInLingerIsReadyAtOnce(t *testing.T) {
	cfg := testConfig()
	cfg.InterestLinger = time.Hour
	f := openFabric(t, cfg, newRecorder())
	subscribe(t, f, "acme", "room")
	for range 3 {
		f.Unsubscribe("acme", "room")
		if s := f.Stats(); s.Lingering != 1 || s.Interests != 1 {
			t.Fatalf("got %d lingering of %d, want 1 of 1", s.Lingering, s.Interests)
		}
		called := false
		f.Subscribe("acme", "room", func(err error) { called = err == nil })
		if !called {
			t.Fatal("a lingering interest was not ready before Subscribe returned")
		}
	}
	if n := len(f.lane("hw.fire.acme.room").idle); n > 1 {
		t.Errorf("got %d linger entries for one interest, want at most 1", n)
	}
}

func TestInterestRevivedInLingerOutlivesIt(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "room")
	f.Unsubscribe("acme", "room")
	subscribe(t, f, "acme", "room")
	n := f.lane("hw.fire.acme.room")
	eventually(t, "the linger is over", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.idle) == 0
	})
	if err := f.PublishChannel("acme", "room", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	take(t, "publication", got.got)
}

func TestUnsubscribeWhilePendingStillCallsReady(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	ready := make(chan error, 2)
	f.Subscribe("acme", "room", func(err error) { ready <- err })
	f.Unsubscribe("acme", "room")
	if err := take(t, "ready", ready); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	eventually(t, "the interest is gone", func() bool { return f.Stats().Interests == 0 })
}

func TestInterestLimit(t *testing.T) {
	cfg := testConfig()
	cfg.MaxInterests = 2
	cfg.InterestLinger = 0
	f := openFabric(t, cfg, newRecorder())
	subscribe(t, f, "acme", "a")
	subscribe(t, f, "acme", "b")
	wantError(t, trySubscribe(t, f, "acme", "c"), CodeUnavailable, true)
	if n := f.Stats().InterestsRefused; n != 1 {
		t.Errorf("got %d refused, want 1", n)
	}
	subscribe(t, f, "acme", "a") // held already
	f.Unsubscribe("acme", "b")
	eventually(t, "b is gone", func() bool { return f.Stats().Interests == 1 })
	subscribe(t, f, "acme", "c")
}

func TestManyInterestsTakeFewGoroutines(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	const channels = 5000
	ready := make(chan error, channels)
	for i := range channels {
		f.Subscribe("acme", fmt.Sprintf("c%d", i), func(err error) { ready <- err })
	}
	for range channels {
		if err := take(t, "ready", ready); err != nil {
			t.Fatal(err)
		}
	}
	if n := stacksWith("fabric."); n > 20 {
		t.Errorf("got %d goroutines in this package for %d channels", n, channels)
	}
}

func TestPublishAppCarriesSender(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	nc := app(t, f.URL())
	in := make(chan *nats.Msg, 4)
	if _, err := nc.ChanSubscribe("hw.in.acme.>", in); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	for _, user := range []string{"ann@example.org", "", "Zoë|5f7c"} {
		if err := f.PublishApp("acme", "room", user, "s1", []byte(user)); err != nil {
			t.Fatal(err)
		}
		m := take(t, "message for the application", in)
		if m.Subject != "hw.in.acme.room" || string(m.Data) != user {
			t.Errorf("got %s %q", m.Subject, m.Data)
		}
		if got := m.Header.Get(HeaderUser); got != user {
			t.Errorf("got user %q, want %q", got, user)
		}
		if _, has := m.Header[HeaderUser]; has != (user != "") {
			t.Errorf("user header of %q present: %v", user, has)
		}
		if got := m.Header.Get(HeaderSession); got != "s1" {
			t.Errorf("got session %q, want s1", got)
		}
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ tenant, name, user, session string }{
		{"", "room", "", "s"},
		{"a.b", "room", "", "s"},
		{"acme", "", "", "s"},
		{"acme", "a..b", "", "s"},
		{"acme", "a.*", "", "s"},
		{"acme", ">", "", "s"},
		{"acme", "a b", "", "s"},
		{"acme", "a\r\nPUB x 0", "", "s"},
		{"acme", long, "", "s"},
		{"acme", "room.one", "", ""},
		{"acme", "room.one", "", "a.b"},
		{"acme", "room.one", "ann\r\nHw-User: root", "s"},
		{"acme", "room.one", "ann ", "s"},
		{"acme", "room.one", long, "s"},
	} {
		err := f.PublishApp(c.tenant, c.name, c.user, c.session, nil)
		wantError(t, err, CodeBadName, false)
		wantError(t, request(t, f, c.tenant, c.name, c.user, c.session, nil).err, CodeBadName, false)
		if c.name != "room.one" {
			wantError(t, f.PublishChannel(c.tenant, c.name, nil), CodeBadName, false)
			wantError(t, trySubscribe(t, f, c.tenant, c.name), CodeBadName, false)
			f.Unsubscribe(c.tenant, c.name)
		}
	}
}

func TestTooLarge(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "room.one")
	most := int(f.control.maxPayload.Load())
	data := bytes.Repeat([]byte("x"), most)
	if err := f.PublishChannel("acme", "room.one", data); err != nil {
		t.Errorf("message of exactly the limit: %v", err)
	}
	if d := take(t, "the largest message", got.got); len(d.data) != most {
		t.Errorf("got %d bytes, want %d", len(d.data), most)
	}
	wantError(t, f.PublishChannel("acme", "room.one", append(data, 'x')), CodeTooLarge, false)
	// Headers count too.
	wantError(t, f.PublishApp("acme", "room.one", "", "s", data), CodeTooLarge, false)
	wantError(t, request(t, f, "acme", "room.one", "", "s", data).err, CodeTooLarge, false)
	if n := f.Stats().RequestsInFlight; n != 0 {
		t.Errorf("got %d requests in flight, want 0", n)
	}
	// The header size is exact: the largest that passes here passes at NATS.
	in := make(chan *nats.Msg, 1)
	nc := app(t, f.URL())
	if _, err := nc.ChanSubscribe("hw.in.>", in); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	o := outgoing{user: "ann", session: "s"}
	fits := data[:most-o.headerBytes()]
	if err := f.PublishApp("acme", "room.one", "ann", "s", fits); err != nil {
		t.Fatal(err)
	}
	if m := take(t, "the largest message with headers", in); len(m.Data) != len(fits) {
		t.Errorf("got %d bytes, want %d", len(m.Data), len(fits))
	}
}

func TestPublishQueueIsBounded(t *testing.T) {
	cfg := testConfig()
	cfg.PendingPublishes, cfg.PendingPublishBytes = 2, 10
	l := &link{inOrder: true, connected: true}
	l.maxPayload.Store(100)
	p := newPublisher(cfg, l)
	push := func(size int) error { return orNil(p.push(outgoing{subject: "s", data: make([]byte, size)})) }
	if err := push(50); err != nil {
		t.Fatalf("one message of any size: %v", err)
	}
	wantError(t, push(1), CodeUnavailable, true)
	p.take(nil)
	if err := errors.Join(push(1), push(1)); err != nil {
		t.Fatal(err)
	}
	wantError(t, push(1), CodeUnavailable, true)
	if n := p.refused.Load(); n != 2 {
		t.Errorf("got %d refused, want 2", n)
	}
	p.take(nil)
	if !p.close() {
		t.Error("an empty queue did not close")
	}
	wantError(t, push(1), CodeUnavailable, true)
}

func TestReadyAndCanary(t *testing.T) {
	cfg := testConfig()
	rtts := make(chan time.Duration, 1000)
	cfg.OnCanary = func(rtt time.Duration) {
		select {
		case rtts <- rtt:
		default:
		}
	}
	f := openFabric(t, cfg, newRecorder())
	eventuallyReady(t, f)
	if rtt := take(t, "canary", rtts); rtt <= 0 {
		t.Errorf("got round trip %v, want above 0", rtt)
	}
	s := f.Stats()
	if s.CanaryRTT <= 0 || s.Links != 3 || s.LinksUp != 3 {
		t.Errorf("got %+v, want a canary and 3 of 3 links", s)
	}
}

func TestForeignCanaryIsNotOurs(t *testing.T) {
	cfg := testConfig()
	cfg.CanaryInterval, cfg.CanaryTimeout = time.Minute, 2*time.Minute
	f := openFabric(t, cfg, newRecorder())
	eventuallyReady(t, f)
	before := f.Stats()
	nc := app(t, f.URL())
	for _, data := range []string{"", "x", "a 1 2", f.nonce + " 1 x", f.nonce + " 1 2 3"} {
		if err := nc.Publish("_hw.canary.n1", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	// Both lanes see each of the five.
	eventually(t, "all are counted", func() bool { return f.Stats().ForeignMessages == before.ForeignMessages+10 })
}

func TestReadyNamesABlockedReceiver(t *testing.T) {
	cfg := testConfig()
	cfg.CanaryTimeout = 100 * time.Millisecond
	cfg.DataConns = 1
	got := newRecorder()
	got.got = make(chan delivery)
	f := openFabric(t, cfg, got)
	eventuallyReady(t, f)
	subscribe(t, f, "acme", "room")
	if err := f.PublishChannel("acme", "room", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "red while the receiver blocks", func() bool {
		err := f.Ready()
		return err != nil && strings.Contains(err.Error(), "last canary came back")
	})
	take(t, "publication", got.got)
	eventuallyReady(t, f)
}

func TestSlowReceiverDropsAreCounted(t *testing.T) {
	cfg := testConfig()
	cfg.DataConns, cfg.PendingMessages = 1, 16
	cfg.CanaryInterval, cfg.CanaryTimeout = time.Minute, 2*time.Minute // only the first
	lines := &lockedBuffer{}
	cfg.Logger = lines.logger()
	got := newRecorder()
	got.got = make(chan delivery)
	f := openFabric(t, cfg, got)
	eventuallyReady(t, f)
	subscribe(t, f, "acme", "room")
	nc := app(t, f.URL())
	const sent = 1000
	for range sent {
		if err := nc.Publish("hw.fire.acme.room", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, nc)
	eventually(t, "drops are counted", func() bool { return f.Stats().Dropped >= sent-16-1 })
	eventually(t, "drops are logged", func() bool { return strings.Contains(lines.String(), "messages dropped") })
	if n := strings.Count(lines.String(), "messages dropped"); n != 1 {
		t.Errorf("got %d lines for one overload, want 1", n)
	}
	go func() { // ends with the test's last delivery
		for range got.got {
		}
	}()
	t.Cleanup(func() { closeFabric(t, f); close(got.got) })
	eventually(t, "every message is delivered or counted, once", func() bool {
		s := f.Stats()
		return s.MessagesIn+s.Dropped == sent && s.PendingMessages == 0
	})
}

func TestCloseDeliversAndPublishesWhatIsLeft(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	server := external(t, -1, nil)
	cfg := testConfig()
	cfg.NodeID, cfg.URL = "n2", server.ClientURL()
	g := openFabric(t, cfg, newRecorder())
	nc := app(t, cfg.URL)
	in := make(chan *nats.Msg, 2000)
	if _, err := nc.ChanSubscribe("hw.in.>", in); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	for range 1000 {
		if err := g.PublishApp("acme", "room", "", "s", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	closeFabric(t, g)
	for range 1000 {
		take(t, "message published before close", in)
	}
	closeFabric(t, f)
	wantError(t, f.PublishChannel("acme", "room", nil), CodeUnavailable, true)
	wantError(t, trySubscribe(t, f, "acme", "room"), CodeUnavailable, true)
	wantError(t, request(t, f, "acme", "a.b", "", "s", nil).err, CodeUnavailable, true)
	if f.Ready() == nil {
		t.Error("a closed fabric is ready")
	}
	f.Stats()
	closeFabric(t, f) // again is fine
}

func TestCloseEndsRequestsInFlight(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	nc := app(t, f.URL())
	service(t, nc, "hw.rpc.acme.slow.op", func(*nats.Msg) {})
	done := make(chan error, 2)
	f.Request("acme", "slow.op", "", "s", nil, func(_ []byte, err error) { done <- err })
	closeFabric(t, f)
	wantError(t, take(t, "the answer", done), CodeUnavailable, true)
}

func TestCloseWithABlockedReceiverSaysSo(t *testing.T) {
	got := newRecorder()
	got.got = make(chan delivery)
	f, err := Open(t.Context(), testConfig(), got)
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, f, "acme", "room")
	if err := f.PublishChannel("acme", "room", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the receiver has it", func() bool { return f.Stats().MessagesIn == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a canceled close", err)
	}
	take(t, "publication", got.got)
	take(t, "the end of the shutdown", f.closed)
}

func TestOpenNamesPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := testConfig()
	cfg.Embedded.Listen = taken.Addr().String()
	_, err = Open(t.Context(), cfg, newRecorder())
	if err == nil {
		t.Fatal("opened on a port in use")
	}
	for _, part := range []string{taken.Addr().String(), "nats.listen", "nats.url"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func TestOpenRefusesBadFiles(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.TLS.CAFile = "/does/not/exist.pem" },
		func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "/does/not/exist.pem", "/does/not/exist.key" },
	} {
		cfg := testConfig()
		cfg.URL = "nats://127.0.0.1:1"
		change(&cfg)
		if f, err := Open(t.Context(), cfg, newRecorder()); err == nil {
			closeFabric(t, f)
			t.Errorf("opened with missing TLS files")
		}
	}
}

func TestEmbeddedWantsItsPassword(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.User, c.Password = "app", "secret" },
		func(c *Config) { c.Token = "secret" },
	} {
		cfg := testConfig()
		change(&cfg)
		f := openFabric(t, cfg, newRecorder())
		eventuallyReady(t, f)
		if nc, err := nats.Connect(f.URL()); err == nil {
			nc.Close()
			t.Error("connected without a password")
		}
		nc, err := nats.Connect(f.URL(), nats.UserInfo(cfg.User, cfg.Password), nats.Token(cfg.Token))
		if err != nil {
			t.Fatalf("with the password: %v", err)
		}
		nc.Close()
	}
}
