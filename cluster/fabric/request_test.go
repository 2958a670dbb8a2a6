package fabric

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestRequestAndAnswer(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	nc := app(t, f.URL())
	service(t, nc, "hw.rpc.acme.billing.quote", func(m *nats.Msg) {
		_ = m.Respond(fmt.Appendf(nil, "%s|%s|%s", m.Data, m.Header.Get(HeaderUser), m.Header.Get(HeaderSession)))
	})
	for i := range 50 {
		got := request(t, f, "acme", "billing.quote", "ann", "s1", fmt.Append(nil, i))
		if want := fmt.Sprintf("%d|ann|s1", i); got.data != want || got.err != nil {
			t.Fatalf("got %+v, want %q", got, want)
		}
	}
	if n := f.Stats().RequestsInFlight; n != 0 {
		t.Errorf("got %d in flight, want 0", n)
	}
}

func TestRequestErrors(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	nc := app(t, f.URL())
	for _, c := range []struct {
		name      string
		header    nats.Header
		code      uint32
		text      string
		temporary bool
	}{
		{"plain", nats.Header{headerServiceText: {"no such plan"}, headerServiceCode: {"404"}}, 404, "no such plan", false},
		{"server", nats.Header{headerServiceText: {"broken"}, headerServiceCode: {"500"}}, 500, "broken", false},
		{"busy", nats.Header{headerServiceText: {"busy"}, headerServiceCode: {"503"}}, 503, "busy", true},
		{"rate", nats.Header{headerServiceText: {"slower"}, headerServiceCode: {"429"}}, 429, "slower", true},
		{"own", nats.Header{headerServiceText: {"own"}, headerServiceCode: {"70001"}}, 70001, "own", false},
		{"low", nats.Header{headerServiceText: {"low"}, headerServiceCode: {"1"}}, 500, "low", false},
		{"word", nats.Header{headerServiceText: {"word"}, headerServiceCode: {"E_BAD"}}, 500, "word", false},
		{"huge", nats.Header{headerServiceText: {"huge"}, headerServiceCode: {"99999999999"}}, 500, "huge", false},
		{"textonly", nats.Header{headerServiceText: {"text"}}, 500, "text", false},
		{"codeonly", nats.Header{headerServiceCode: {"409"}}, 409, "svc.codeonly failed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			service(t, nc, "hw.rpc.acme.svc."+c.name, func(m *nats.Msg) {
				_ = m.RespondMsg(&nats.Msg{Header: c.header})
			})
			e := wantError(t, request(t, f, "acme", "svc."+c.name, "", "s", nil).err, c.code, c.temporary)
			if e.Message != c.text {
				t.Errorf("got %q, want %q", e.Message, c.text)
			}
		})
	}
}

func TestRequestWithoutService(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	e := wantError(t, request(t, f, "acme", "nobody.home", "", "s", nil).err, CodeUnavailable, true)
	if want := "no service answers nobody.home"; e.Message != want {
		t.Errorf("got %q, want %q", e.Message, want)
	}
}

func TestRequestTimesOut(t *testing.T) {
	cfg := testConfig()
	cfg.RPCTimeout = 20 * time.Millisecond
	f := openFabric(t, cfg, newRecorder())
	nc := app(t, f.URL())
	asked := make(chan *nats.Msg, 10)
	service(t, nc, "hw.rpc.acme.slow.op", func(m *nats.Msg) { asked <- m })
	for range 3 {
		wantError(t, request(t, f, "acme", "slow.op", "", "s", nil).err, CodeTimeout, true)
	}
	if n := f.Stats().RequestTimeouts; n != 3 {
		t.Errorf("got %d timeouts, want 3", n)
	}
	// An answer after the timeout is counted and goes nowhere.
	if err := take(t, "request", asked).Respond(nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late answer is counted", func() bool { return f.Stats().LateReplies == 1 })
}

func TestRequestsAreBounded(t *testing.T) {
	cfg := testConfig()
	cfg.PendingRequests = 3
	f := openFabric(t, cfg, newRecorder())
	nc := app(t, f.URL())
	asked := make(chan *nats.Msg, 10)
	service(t, nc, "hw.rpc.acme.slow.op", func(m *nats.Msg) { asked <- m })
	done := make(chan answer, 10)
	for range 3 {
		f.Request("acme", "slow.op", "", "s", nil, func(b []byte, err error) { done <- answer{string(b), err} })
	}
	e := wantError(t, request(t, f, "acme", "slow.op", "", "s", nil).err, CodeUnavailable, true)
	if want := "too many requests in flight on this node"; e.Message != want {
		t.Errorf("got %q, want %q", e.Message, want)
	}
	if s := f.Stats(); s.RequestsInFlight != 3 || s.RequestsRefused != 1 {
		t.Errorf("got %d in flight and %d refused, want 3 and 1", s.RequestsInFlight, s.RequestsRefused)
	}
	for range 3 {
		m := take(t, "request", asked)
		// The second answer must not reach anyone.
		if err := m.Respond([]byte("ok")); err != nil {
			t.Fatal(err)
		}
		if err := m.Respond([]byte("again")); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if a := take(t, "answer", done); a.data != "ok" || a.err != nil {
			t.Errorf("got %+v, want ok", a)
		}
	}
	eventually(t, "second answers are counted", func() bool { return f.Stats().LateReplies == 3 })
}

func TestAnswerToAForgedInboxIsIgnored(t *testing.T) {
	f := openFabric(t, testConfig(), newRecorder())
	nc := app(t, f.URL())
	// A request goes after the subscription for answers on the same link: once
	// it is refused, the server has both.
	wantError(t, request(t, f, "acme", "no.one", "", "s", nil).err, CodeUnavailable, true)
	for _, id := range []string{"zzzz", "!", "-1", "0"} {
		if err := nc.Publish(f.requests.inbox+id, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are counted", func() bool { return f.Stats().LateReplies == 4 })
}
