package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
)

// bubble runs a story in virtual time over both subprotocols.
func bubble(t *testing.T, story func(t *testing.T, p Protocol)) {
	for _, p := range []Protocol{Proto, JSON} {
		t.Run(string(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { story(t, p) })
		})
	}
}

func connect(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

func subscribe(t *testing.T, c *Client, channel string, h Handler) *Subscription {
	t.Helper()
	sub, err := c.Subscribe(t.Context(), channel, h)
	if err != nil {
		t.Fatalf("subscribe %s: %v", channel, err)
	}
	return sub
}

// pass lets virtual time pass, and then everything that is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func wantText(t *testing.T, what, got string, want ...string) {
	t.Helper()
	if got != strings.Join(want, "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
	}
}

func TestConversation(t *testing.T) {
	bubble(t, func(t *testing.T, p Protocol) {
		var seen recorder
		f := newFake(t)
		c := start(t, f, func(cfg *Config) { cfg.Protocol = p; cfg.OnState = seen.states() })
		connect(t, c)
		synctest.Wait()
		sub := subscribe(t, c, "news", seen.handler())
		for i := range 3 {
			if err := c.Publish(t.Context(), "news", fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
				t.Fatalf("publish: %v", err)
			}
		}
		answer, err := c.RPC(t.Context(), "echo.say", []byte(`"hi"`))
		if err != nil || string(answer) != `"hi"` {
			t.Errorf("rpc: got %q and %v", answer, err)
		}
		synctest.Wait() // what is queued when Unsubscribe is called is not delivered
		if err := sub.Unsubscribe(t.Context()); err != nil || sub.Err() != nil {
			t.Errorf("unsubscribe: got %v and %v", err, sub.Err())
		}
		f.push("news", []byte(`"late"`))
		synctest.Wait()
		if got, want := c.Session(), (Session{ID: "s1", User: "ann", Node: "n1"}); got != want {
			t.Errorf("session: got %+v, want %+v", got, want)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		wantText(t, "callbacks", seen.text(), "connected", `news={"n":0}`, `news={"n":1}`, `news={"n":2}`, "closed")
		want := []string{"connect", "subscribe news", "publish news", "publish news", "publish news", "rpc echo.say", "unsubscribe news"}
		if got := f.commands(); !slices.Equal(got, want) {
			t.Errorf("commands: got %v, want %v", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, p Protocol) {
		f := newFake(t)
		f.onSubscribe = func(string) *clientv1.Error { return &clientv1.Error{Code: 403, Message: "not yours"} }
		f.onPublish = func(*clientv1.Publish) *clientv1.Error {
			return &clientv1.Error{Code: 503, Message: "no NATS", Temporary: true}
		}
		f.onRPC = func(*clientv1.Rpc) (*clientv1.ServerMessage, bool) {
			return errorAnswer(&clientv1.Error{Code: 1001, Message: "app says no"}), true
		}
		c := start(t, f, func(cfg *Config) { cfg.Protocol = p })
		connect(t, c)
		_, err := c.Subscribe(t.Context(), "secret", func(context.Context, Publication) {})
		wantError(t, "subscribe", err, &Error{403, "not yours", false})
		wantError(t, "publish", c.Publish(t.Context(), "news", nil), &Error{503, "no NATS", true})
		_, err = c.RPC(t.Context(), "app.op", nil)
		wantError(t, "rpc", err, &Error{1001, "app says no", false})
		f.onSubscribe = nil // nothing stayed behind: the channel is free again
		subscribe(t, c, "secret", func(context.Context, Publication) {})
		_, err = c.Subscribe(t.Context(), "secret", func(context.Context, Publication) {})
		if !errors.Is(err, ErrSubscribed) {
			t.Errorf("second subscribe: got %v, want ErrSubscribed", err)
		}
	})
}

func wantError(t *testing.T, what string, err error, want *Error) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) || *got != *want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestBadNamesNeverReachTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		for _, name := range []string{"", "a..b", "a b", "*", "a.>", strings.Repeat("x", 300)} {
			if err := c.Publish(t.Context(), name, nil); err == nil {
				t.Errorf("publish to %q: no error", name)
			}
			if _, err := c.Subscribe(t.Context(), name, func(context.Context, Publication) {}); err == nil {
				t.Errorf("subscribe to %q: no error", name)
			}
			if _, err := c.RPC(t.Context(), name, nil); err == nil {
				t.Errorf("rpc of %q: no error", name)
			}
		}
		if _, err := c.Subscribe(t.Context(), "news", nil); err == nil {
			t.Error("subscribe with a nil handler: no error")
		}
		if got := f.commands(); !slices.Equal(got, []string{"connect"}) {
			t.Errorf("commands: got %v", got)
		}
	})
}

func TestCallsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		if err := c.Publish(t.Context(), "news", nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("before Connect: got %v, want ErrNotConnected", err)
		}
		connect(t, c)
		f.mu.Lock()
		f.mute = true
		f.mu.Unlock()
		begin := time.Now()
		if err := c.Publish(t.Context(), "news", nil); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("without a deadline: got %v, want ErrNoAnswer", err)
		}
		if got := time.Since(begin); got != DefaultCommandTimeout {
			t.Errorf("without a deadline: waited %v, want %v", got, DefaultCommandTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.RPC(ctx, "svc.op", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: got %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, "news", func(context.Context, Publication) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("subscribe: got %v", err)
		}
		synctest.Wait()
		if got := f.commands(); got[len(got)-1] != "unsubscribe news" {
			t.Errorf("commands: got %v, want the given-up subscription to be unsubscribed", got)
		}
	})
}

func TestReconnectResubscribesAndResumes(t *testing.T) {
	bubble(t, func(t *testing.T, p Protocol) {
		var seen recorder
		f := newFake(t)
		var resumes []string
		f.onConnect = func(m *clientv1.Connect) *clientv1.ServerMessage {
			resumes = append(resumes, m.ResumeToken)
			return connectedAnswer(0)
		}
		c := start(t, f, func(cfg *Config) {
			cfg.Protocol, cfg.OnState = p, seen.states()
			cfg.OnResubscribed = func(_ context.Context, r Resubscribed) { seen.add("again %s", r.Channel) }
		})
		connect(t, c)
		synctest.Wait()
		subscribe(t, c, "b", seen.handler())
		subscribe(t, c, "a", seen.handler())
		gone := subscribe(t, c, "c", seen.handler())
		if err := gone.Unsubscribe(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.push("a", []byte("1"))
		synctest.Wait()
		f.kill()
		synctest.Wait()
		pass(backoffFirst)
		f.push("b", []byte("2"))
		synctest.Wait()
		wantText(t, "callbacks", seen.text(), "connected", "a=1", "suspended: peer_lost", "connected",
			"again a", "again b", "b=2")
		want := []string{"connect", "subscribe b", "subscribe a", "subscribe c", "unsubscribe c", "connect", "subscribe a", "subscribe b"}
		if got := f.commands(); !slices.Equal(got, want) {
			t.Errorf("commands: got %v, want %v", got, want)
		}
		if !slices.Equal(resumes, []string{"", "r1"}) {
			t.Errorf("resume tokens: got %q", resumes)
		}
	})
}

func TestRetryAfterIsAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		begin := time.Now()
		f.disconnect(cause.Shutdown, 7*time.Second)
		synctest.Wait()
		state, err := c.State()
		if state != Suspended || err.Cause.Code != cause.Shutdown || err.RetryAfter != 7*time.Second {
			t.Errorf("got %v, %+v", state, err)
		}
		connect(t, c) // waits for it
		if got := f.when[1].Sub(begin); got < 7*time.Second || got > 7*time.Second+backoffFirst {
			t.Errorf("came back after %v, want 7s and at most %v", got, backoffFirst)
		}
	})
}

func TestAttemptsBackOffWithFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.refused = 12
		c := start(t, f, nil)
		connect(t, c)
		last := f.when[0]
		distinct := make(map[time.Duration]bool)
		for n, at := range f.when[1:] {
			pause := at.Sub(last)
			if pause < 0 || pause > backoff(n) {
				t.Errorf("pause %d is %v: want at most %v", n, pause, backoff(n))
			}
			distinct[pause] = true
			last = at
		}
		if len(f.when) != 13 || len(distinct) < 12 {
			t.Errorf("%d attempts, %d different pauses", len(f.when), len(distinct))
		}
		if got := c.Stats().Attempts; got != 13 {
			t.Errorf("stats: got %d attempts", got)
		}
	})
}

func TestStopAdviceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		subscribe(t, c, "news", func(context.Context, Publication) {})
		f.disconnect(cause.Replaced, 0)
		synctest.Wait()
		err := c.Publish(t.Context(), "news", nil)
		var d *DisconnectError
		if !errors.As(err, &d) || d.Cause.Code != cause.Replaced {
			t.Errorf("publish: got %v, want replaced", err)
		}
		pass(time.Hour)
		if f.dials != 1 {
			t.Errorf("got %d dials, want 1: stop means stop", f.dials)
		}
		connect(t, c) // a decision of the application
		synctest.Wait()
		if got := f.commands(); got[len(got)-1] != "subscribe news" {
			t.Errorf("commands: got %v, want the subscription back", got)
		}
	})
}

func TestCloseFrameAloneIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[cause.Code]State{cause.Overload: Suspended, cause.Kicked: Failed, 4999: Suspended} {
			f := newFake(t)
			c := start(t, f, nil)
			connect(t, c)
			f.each(func(conn *fakeConn) { _ = conn.ws.WriteClose(uint16(code), []byte("why")) })
			synctest.Wait()
			state, err := c.State()
			if state != want || err.Code != code || err.Reason != "why" {
				t.Errorf("code %d: got %v, %+v, want %v", code, state, err, want)
			}
		}
	})
}

func TestSilenceIsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.onConnect = func(*clientv1.Connect) *clientv1.ServerMessage {
			m := connectedAnswer(0)
			m.GetConnected().PingMs, m.GetConnected().PongMs = 25_000, 10_000
			return m
		}
		c := start(t, f, nil)
		connect(t, c)
		pass(30 * time.Second)
		f.each(func(conn *fakeConn) { _ = conn.ws.WritePing(nil) }) // counts as a sign of life
		pass(34 * time.Second)
		if state, _ := c.State(); state != Connected {
			t.Errorf("after 34s of silence: got %v, want connected", state)
		}
		pass(time.Second)
		if _, err := c.State(); err == nil || err.Cause.Code != cause.PeerLost || !strings.Contains(err.Error(), "nothing read for 35s") {
			t.Errorf("after 35s of silence: got %v", err)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.mute = true
		c := start(t, f, func(cfg *Config) { cfg.ConnectTimeout = 3 * time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		err := c.Connect(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no connection within ConnectTimeout 3s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRevokedSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		ended := subscribe(t, c, "ended", func(context.Context, Publication) {})
		rests := subscribe(t, c, "rests", func(context.Context, Publication) {})
		push := func(channel string, e *clientv1.Error) {
			f.each(func(conn *fakeConn) {
				f.write(conn, &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Unsubscribed{
					Unsubscribed: &clientv1.Unsubscribed{Channel: channel, Error: e}}})
			})
		}
		refusals := 3
		f.onSubscribe = func(string) *clientv1.Error {
			if refusals--; refusals >= 0 {
				return &clientv1.Error{Code: 503, Message: "later", Temporary: true}
			}
			return nil
		}
		push("ended", &clientv1.Error{Code: 403, Message: "no more"})
		push("rests", &clientv1.Error{Code: 503, Message: "later", Temporary: true})
		push("unknown", nil)
		<-ended.Done()
		wantError(t, "ended", ended.Err(), &Error{403, "no more", false})
		pass(time.Minute)
		got := strings.Join(f.commands(), ", ")
		want := "connect, subscribe ended, subscribe rests" + strings.Repeat(", subscribe rests", 4)
		if got != want || rests.Err() != nil {
			t.Errorf("got %q and %v, want %q", got, rests.Err(), want)
		}
	})
}

func TestDirect(t *testing.T) {
	bubble(t, func(t *testing.T, p Protocol) {
		var seen recorder
		f := newFake(t)
		c := start(t, f, func(cfg *Config) {
			cfg.Protocol = p
			cfg.OnDirect = func(_ context.Context, data []byte) { seen.add("%s", data) }
		})
		connect(t, c)
		f.each(func(conn *fakeConn) {
			f.write(conn, &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Direct{Direct: &clientv1.Direct{Data: []byte(`{"a":1}`)}}})
		})
		synctest.Wait()
		wantText(t, "direct", seen.text(), `{"a":1}`)
	})
}

func TestSlowHandlerStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, func(cfg *Config) { cfg.QueueLen = 2 })
		connect(t, c)
		release, count := make(chan struct{}), 0
		subscribe(t, c, "news", func(context.Context, Publication) { <-release; count++ })
		const sent = 10
		done := make(chan struct{})
		go func() {
			for range sent {
				f.push("news", nil)
			}
			close(done)
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("the server could write everything: nothing pushed back")
		default:
		}
		if c.Stats().Stalls == 0 {
			t.Error("no stall was counted")
		}
		close(release)
		<-done
		synctest.Wait()
		if count != sent {
			t.Errorf("handled %d of %d: backpressure must lose nothing", count, sent)
		}
	})
}

func TestCloseWhileHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, func(cfg *Config) { cfg.QueueLen = 1 })
		connect(t, c)
		calls := 0
		subscribe(t, c, "news", func(ctx context.Context, _ Publication) { calls++; <-ctx.Done() })
		go func() {
			for range 5 {
				f.push("news", nil)
			}
		}()
		synctest.Wait()
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if calls != 1 {
			t.Errorf("handler was called %d times, want 1: Close delivers nothing more", calls)
		}
	})
}

func TestCloseCutsAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		stuck := make(chan struct{})
		f.onPublish = func(*clientv1.Publish) *clientv1.Error { <-stuck; return nil }
		failed := make(chan error)
		go func() { failed <- c.Publish(t.Context(), "news", nil) }()
		synctest.Wait()
		begin := time.Now()
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if got := time.Since(begin); got > closeTimeout {
			t.Errorf("close took %v, want at most %v", got, closeTimeout)
		}
		if err := <-failed; err == nil {
			t.Error("publish under way: no error")
		}
		close(stuck)
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := start(t, f, nil)
		connect(t, c)
		release := make(chan struct{})
		subscribe(t, c, "news", func(context.Context, Publication) { <-release }) // ignores its context
		f.push("news", nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: got %v, want deadline exceeded", err)
		}
		close(release)
	})
}

func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		for _, connected := range []bool{false, true} {
			c := start(t, f, nil)
			var sub *Subscription
			if connected {
				connect(t, c)
				sub = subscribe(t, c, "news", func(context.Context, Publication) {})
			}
			for range 2 {
				if err := c.Close(t.Context()); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			_, subErr := c.Subscribe(t.Context(), "news", func(context.Context, Publication) {})
			for name, err := range map[string]error{"connect": c.Connect(t.Context()), "publish": c.Publish(t.Context(), "a", nil), "subscribe": subErr} {
				if !errors.Is(err, ErrClosed) {
					t.Errorf("%s after close: got %v, want ErrClosed", name, err)
				}
			}
			if connected {
				<-sub.Done()
				if !errors.Is(sub.Err(), ErrClosed) {
					t.Errorf("subscription: got %v, want ErrClosed", sub.Err())
				}
				if err := sub.Unsubscribe(t.Context()); err != nil {
					t.Errorf("unsubscribe: %v", err)
				}
			}
		}
	})
}

func TestCloseWhileSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.refused = 1000
		c := start(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("connect: got %v", err)
		}
		begin := time.Now()
		if err := c.Close(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("close: %v after %v", err, time.Since(begin))
		}
	})
}
