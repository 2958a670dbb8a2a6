package actors

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hawser/proto/cause"
	"hawser/proto/codec"
)

func TestSilentClientIsPingedThenClosed(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann")
	c.take()
	w.tick(19 * time.Second)
	c.wants() // a fifth of 25s early at most
	w.tick(7 * time.Second)
	c.wants("ping")
	w.tick(9 * time.Second)
	c.wants() // pinged once
	w.tick(2 * time.Second)
	if got := c.take(); len(got) != 2 || got[1] != "close pong_timeout" {
		t.Errorf("got %q, want close pong_timeout", got)
	}
	if got := w.recorder.closedBy(cause.PongTimeout); got != 1 {
		t.Errorf("closed as pong_timeout: got %d, want 1", got)
	}
	if got, want := w.recorder.lived[0], 36*time.Second; got != want {
		t.Errorf("lived %v, want %v", got, want)
	}
}

func TestPongKeepsAlive(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann")
	c.take()
	for range 200 {
		w.tick(time.Second)
		if slices.Contains(c.take(), "ping") {
			c.conn.Touch()
		}
	}
	if got := w.system.Conns(); got != 1 {
		t.Errorf("%d connections, want the one that answers", got)
	}
}

func TestTalkingClientIsNotPinged(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann")
	c.take()
	for range 100 {
		w.tick(time.Second)
		c.conn.Ping([]byte("x"))
	}
	if frames := c.take(); slices.Contains(frames, "ping") || len(frames) != 100 {
		t.Errorf("got %d frames, want 100 pongs and no ping", len(frames))
	}
}

// TestPingAfterLongUptime: a comparison of wrapped times once took every
// client that came after 24.9 days as pinged already, and closed the silent
// ones unasked.
func TestPingAfterLongUptime(t *testing.T) {
	for _, uptime := range []time.Duration{24 * time.Hour, 25 * 24 * time.Hour, 49 * 24 * time.Hour, 1<<32*time.Millisecond - 10*time.Second} {
		t.Run(uptime.String(), func(t *testing.T) {
			w := newWorld(t, nil)
			w.clock.advance(uptime)
			w.system.ran = uptime
			w.system.Tick()
			c := w.dial("ann")
			c.take()
			var frames []string
			for range 60 {
				w.tick(time.Second)
				now := c.take()
				if slices.Contains(now, "ping") {
					c.conn.Touch()
				}
				frames = append(frames, now...)
			}
			if !slices.Equal(frames, []string{"ping", "ping"}) {
				t.Errorf("got %q, want two pings in a minute and no close", frames)
			}
		})
	}
}

// TestPauseIsForgiven: a node that stood still for an hour has heard nobody.
// Who is alive must get the time to show it.
func TestPauseIsForgiven(t *testing.T) {
	w := newWorld(t, nil)
	alive, dead := w.dial("ann"), w.dial("bob")
	w.tick(10 * time.Second)
	w.clock.advance(time.Hour)
	w.system.Tick()
	w.settle()
	if got := w.system.Conns(); got != 2 {
		t.Fatalf("%d connections after the pause, want 2", got)
	}
	w.tick(11 * time.Second)
	if !slices.Contains(alive.take(), "ping") {
		t.Error("no ping after the pause")
	}
	alive.conn.Touch()
	w.tick(12 * time.Second)
	if got := dead.got(); !strings.HasSuffix(got, "close pong_timeout") || w.system.Conns() != 1 {
		t.Errorf("the dead one got %s; %d connections, want 1", got, w.system.Conns())
	}
}

func TestConnectTimeout(t *testing.T) {
	w := newWorld(t, nil)
	mute, verifying := w.attach(codec.JSON), w.dial("later")
	w.tick(10 * time.Second)
	mute.wants()
	w.tick(time.Second)
	for _, c := range []*client{mute, verifying} {
		if got := c.take(); len(got) != 2 || got[1] != "close connect_timeout" {
			t.Errorf("got %q, want close connect_timeout", got)
		}
	}
	if got := w.recorder.closedBy(cause.ConnectTimeout); got != 2 {
		t.Errorf("closed as connect_timeout: got %d, want 2", got)
	}
}

func TestTokenExpiry(t *testing.T) {
	w := newWorld(t, nil)
	short, refreshed := w.dial("ann expires=60s"), w.dial("bob expires=60s")
	forever, far := w.dial("eve"), w.dial("fay expires=4294967326s") // 2^32 + 30
	if got := short.connected().ExpiresMs; got != 60_000 {
		t.Errorf("expires_ms %d, want 60000", got)
	}
	refreshed.say(refreshMessage(2, "bob expires=120s"))
	alive := func(want int) {
		t.Helper()
		if got := w.system.Conns(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	live := func(d time.Duration) {
		for ; d > 0; d -= time.Second {
			w.tick(time.Second)
			for _, c := range []*client{short, refreshed, forever, far} {
				c.conn.Touch()
			}
		}
	}
	live(59 * time.Second)
	alive(4)
	live(time.Second)
	alive(3)
	if got := short.got(); !strings.HasSuffix(got, "close token_expired") {
		t.Errorf("got %s, want close token_expired", got)
	}
	live(60 * time.Second)
	alive(2)
	if got := w.recorder.closedBy(cause.TokenExpired); got != 2 {
		t.Errorf("closed as token_expired: got %d, want 2", got)
	}
}

// TestPingsAreSpread: clients that came in one burst are not pinged in one.
func TestPingsAreSpread(t *testing.T) {
	w := newWorld(t, nil)
	const n = 400
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = w.dial("ann")
		clients[i].take()
	}
	most, total := 0, 0
	for range 26 {
		w.tick(time.Second)
		now := 0
		for _, c := range clients {
			now += len(c.take())
		}
		most, total = max(most, now), total+now
	}
	if total != n || most > n/3 {
		t.Errorf("%d pings, at most %d in a second: want %d over five seconds", total, most, n)
	}
}

// TestSweepsDoNotPileUp: a shard that is behind gets one sweep, not one for
// each tick.
func TestSweepsDoNotPileUp(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 })
	block := w.block(0)
	for range 1000 {
		w.system.Tick()
	}
	asked := w.clock.asked.Load()
	close(block)
	w.settle()
	if got := w.clock.asked.Load() - asked; got != 1 {
		t.Errorf("swept %d times, want once", got)
	}
	w.system.Tick()
	w.settle()
	if got := w.clock.asked.Load() - asked; got != 3 { // Tick looks at the clock as well
		t.Errorf("looked at the clock %d times, want 3: no sweep came after the first", got)
	}
}
