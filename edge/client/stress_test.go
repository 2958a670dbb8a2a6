package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// listen serves f on a real socket.
func (f *fake) listen(t *testing.T, secure bool) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := f.upgrader.Upgrade(w, r); err == nil {
			ws.ReadLoop()
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that distrust us
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() { f.kill(); server.Close() })
	return server
}

func TestTLS(t *testing.T) {
	f := newFake(t)
	server := f.listen(t, true)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := start(t, f, func(cfg *Config) {
		cfg.URL = "wss" + strings.TrimPrefix(server.URL, "https") + "/ws/demo"
		cfg.Dial, cfg.TLS = nil, &tls.Config{RootCAs: roots}
	})
	connect(t, c)
	if err := c.Publish(t.Context(), "news", nil); err != nil {
		t.Error(err)
	}
	distrusts := start(t, f, func(cfg *Config) {
		cfg.URL, cfg.Dial = c.cfg.URL, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	distrusts.cfg.OnState = func(context.Context, StateChange) {
		if state, _ := distrusts.State(); state == Suspended {
			cancel()
		}
	}
	var unknown x509.UnknownAuthorityError
	if err := distrusts.Connect(ctx); !errors.As(err, &unknown) {
		t.Errorf("without the root: got %v, want unknown authority", err)
	}
}

// TestStress has many goroutines use one client over a real socket while the
// server keeps cutting it. Each publication on "order" that a live connection
// carried must come in order, each call must end, and nothing may leak.
func TestStress(t *testing.T) {
	for _, p := range []Protocol{Proto, JSON} {
		t.Run(string(p), func(t *testing.T) { stress(t, p, rand.Uint64()) })
	}
}

func stress(t *testing.T, p Protocol, seed uint64) {
	t.Logf("seed %d", seed)
	f := newFake(t)
	server := f.listen(t, false)
	c := start(t, f, func(cfg *Config) {
		cfg.URL, cfg.Protocol = "ws"+strings.TrimPrefix(server.URL, "http")+"/ws/demo", p
		cfg.Dial = new(net.Dialer).DialContext
		cfg.QueueLen = 4
		cfg.Rand = rand.New(rand.NewPCG(seed, 1))
	})
	connect(t, c)
	last := -1
	ordered := subscribe(t, c, "order", func(_ context.Context, p Publication) {
		var n int
		if _, err := fmt.Sscan(string(p.Data), &n); err != nil || n <= last {
			t.Errorf("order: got %q after %d", p.Data, last)
		}
		last = n
	})
	var users sync.WaitGroup
	users.Go(func() {
		for n := range 200 {
			tolerate(t, c.Publish(t.Context(), "order", fmt.Append(nil, n)))
		}
	})
	for u := range 4 {
		users.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(u)+2))
			for range 50 {
				use(t, c, random)
			}
		})
	}
	users.Go(func() {
		for range 3 {
			f.kill()
			tolerate(t, c.Publish(t.Context(), "any", nil)) // waits for the next connection
		}
	})
	users.Wait()
	if err := ordered.Unsubscribe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// use does one random thing with c.
func use(t *testing.T, c *Client, random *rand.Rand) {
	channel := fmt.Sprintf("c%d", random.IntN(3))
	switch random.IntN(3) {
	case 0:
		_, err := c.RPC(t.Context(), "echo.say", []byte(`"x"`))
		tolerate(t, err)
	case 1:
		tolerate(t, c.Publish(t.Context(), channel, []byte(`1`)))
	case 2:
		sub, err := c.Subscribe(t.Context(), channel, func(context.Context, Publication) {})
		if errors.Is(err, ErrSubscribed) {
			return
		}
		tolerate(t, err)
		if err == nil {
			tolerate(t, sub.Unsubscribe(t.Context()))
		}
	}
}

// tolerate accepts that a connection was cut under a call.
func tolerate(t *testing.T, err error) {
	t.Helper()
	var d *DisconnectError
	if err != nil && !errors.As(err, &d) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, p := range []Protocol{Proto, JSON} {
		b.Run(string(p), func(b *testing.B) {
			f := newFake(b)
			c, err := New(Config{URL: "ws://hawser.test/ws/demo", Dial: f.dial, Protocol: p})
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Connect(b.Context()); err != nil {
				b.Fatal(err)
			}
			left := make(chan struct{}, b.N)
			if _, err := c.Subscribe(b.Context(), "news", func(context.Context, Publication) { left <- struct{}{} }); err != nil {
				b.Fatal(err)
			}
			data := []byte(`{"text":"` + strings.Repeat("x", 100) + `"}`)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				f.push("news", data)
			}
			for range b.N {
				<-left
			}
			b.StopTimer()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := c.Close(ctx); err != nil {
				b.Error(err)
			}
		})
	}
}
