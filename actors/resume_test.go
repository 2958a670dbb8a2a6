package actors

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hawser/proto/cause"
)

func TestResumeReplacesOlderConnection(t *testing.T) {
	w := newWorld(t, nil)
	first := w.dial("ann")
	one := first.connected()
	second := w.resume("ann", one.ResumeToken)
	two := second.connected()
	if two.Session != one.Session || !two.Resumed || one.Resumed {
		t.Errorf("got session %s resumed %v, want %s resumed", two.Session, two.Resumed, one.Session)
	}
	first.wants(`{"disconnect":{"code":4409,"reason":"replaced","reconnect":false,"retry_after_ms":0}}`, "close replaced")
	if w.system.directory.session("acme", one.Session) != second.conn {
		t.Error("the session does not belong to the newer connection")
	}
	if st := w.system.Stats(); st.Sessions != 1 || st.Users != 1 {
		t.Errorf("got %+v, want one session of one user", st)
	}
	for i, token := range []string{one.ResumeToken, two.ResumeToken} {
		s, err := w.resumer.Open(token)
		if err != nil || s.Generation != uint64(i+1) {
			t.Errorf("token %d: generation %d, %v; want %d", i, s.Generation, err, i+1)
		}
	}
	// The old token once more: its generation is behind, the fence is not.
	third := w.resume("ann", one.ResumeToken)
	if s, err := w.resumer.Open(third.connected().ResumeToken); err != nil || s.Generation != 3 {
		t.Errorf("generation %d, %v; want 3", s.Generation, err)
	}
}

func TestResumeIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for name, token := range map[string]string{
		"forged":         "not a token",
		"another tenant": w.resumer.Issue(ResumeState{Session: "s", Tenant: "rival", User: "ann", Generation: 1}),
		"another user":   w.resumer.Issue(ResumeState{Session: "s", Tenant: "acme", User: "bob", Generation: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			if c := w.resume("ann", token).connected(); c.Resumed || c.Session == "s" {
				t.Errorf("got session %s resumed %v, want a new one", c.Session, c.Resumed)
			}
		})
	}
}

// TestStaleTokenNeedsKnownSession: older than the window, a token is good for
// a session that is still here, or left within the window.
func TestStaleTokenNeedsKnownSession(t *testing.T) {
	w := newWorld(t, nil)
	first := w.dial("ann")
	token := first.connected().ResumeToken
	w.resumer.stale.Store(true)
	resumed := func(want bool) *client {
		t.Helper()
		c := w.resume("ann", token)
		if got := c.connected().Resumed; got != want {
			t.Errorf("resumed %v, want %v", got, want)
		}
		return c
	}
	second := resumed(true) // while the first is connected
	second.conn.SocketClosed(cause.PeerLost)
	w.clock.advance(DefaultResumeWindow)
	w.system.Tick()
	third := resumed(true) // just within the window
	third.conn.SocketClosed(cause.PeerLost)
	w.clock.advance(DefaultResumeWindow + 1)
	w.system.Tick()
	resumed(false)
	if n := len(w.system.directory.resumable) + len(w.system.directory.gone); n != 0 {
		t.Errorf("%d departures remembered, want none", n)
	}
}

func TestDeparturesAreBounded(t *testing.T) {
	d := newDirectory()
	start := time.Unix(0, 0)
	for i := range maxResumable + 10 {
		c := &Conn{tenant: "acme", sessionID: fmt.Sprint(i)}
		d.enter(c)
		d.leave(c, start)
	}
	d.expire(start.Add(-time.Hour))
	if len(d.resumable) != maxResumable || len(d.gone) != maxResumable {
		t.Errorf("%d and %d remembered, want %d", len(d.resumable), len(d.gone), maxResumable)
	}
	if d.knows("acme", "9") || !d.knows("acme", "10") {
		t.Error("want the first ten forgotten, and no other")
	}
	d.expire(start.Add(time.Hour))
	if len(d.resumable)+len(d.gone) != 0 {
		t.Errorf("%d and %d left after the window", len(d.resumable), len(d.gone))
	}
}

// BenchmarkDeparture reports what a session without a connection costs until
// the resume window has passed.
func BenchmarkDeparture(b *testing.B) {
	const n = maxResumable
	d := newDirectory()
	before := heap()
	for i := range n {
		c := &Conn{tenant: "acme", sessionID: fmt.Sprintf("%022d", i)}
		d.enter(c)
		d.leave(c, time.Unix(0, int64(i)))
	}
	b.ReportMetric(float64(heap()-before)/n, "B/session")
	b.ReportMetric(0, "ns/op")
	if len(d.resumable) != n {
		b.Errorf("%d remembered, want %d", len(d.resumable), n)
	}
}

// TestComebackIsNotForgotten: a session that left, came back and left again is
// remembered from its last departure.
func TestComebackIsNotForgotten(t *testing.T) {
	d := newDirectory()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	c := &Conn{tenant: "acme", sessionID: "s"}
	d.enter(c)
	d.leave(c, at(1))
	d.enter(c)
	d.leave(c, at(5))
	d.expire(at(3))
	if !d.knows("acme", "s") {
		t.Error("forgotten with its first departure")
	}
	d.expire(at(6))
	if d.knows("acme", "s") || len(d.gone) != 0 {
		t.Error("not forgotten with its last departure")
	}
}

func TestUserListSurvivesAnyOrder(t *testing.T) {
	r := seeded(t)
	d := newDirectory()
	alive := map[*Conn]bool{}
	for i := range 3000 {
		if r.IntN(2) == 0 || len(alive) == 0 {
			c := &Conn{tenant: "acme", sessionID: fmt.Sprint(i), user: fmt.Sprint("u", r.IntN(3))}
			d.enter(c)
			alive[c] = true
		} else {
			for c := range alive {
				d.leave(c, time.Time{})
				delete(alive, c)
				break
			}
		}
		for u := range 3 {
			want := map[*Conn]bool{}
			for c := range alive {
				if c.user == fmt.Sprint("u", u) {
					want[c] = true
				}
			}
			got := d.ofUser("acme", fmt.Sprint("u", u))
			for _, c := range got {
				if !want[c] {
					t.Fatalf("step %d: a connection that is not of u%d", i, u)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("step %d: %d of u%d, want %d", i, len(got), u, len(want))
			}
		}
	}
	for c := range alive {
		d.leave(c, time.Time{})
	}
	if sessions, users := d.sizes(); sessions != 0 || users != 0 {
		t.Errorf("%d sessions and %d users left", sessions, users)
	}
}

// TestResumeStorm: many connections fight for one session. One has it in the
// end, all others were replaced, and generations never repeat.
func TestResumeStorm(t *testing.T) {
	w := newWorld(t, nil)
	token := w.dial("ann").connected().ResumeToken
	const n = 40
	clients := make([]*client, n)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { clients[i] = w.resume("ann", token) })
	}
	all.Wait()
	w.settle()
	if got := w.recorder.closedBy(cause.Replaced); got != n {
		t.Errorf("closed as replaced: got %d, want %d", got, n)
	}
	seen := map[uint64]bool{}
	open := 0
	for _, c := range clients {
		if !strings.Contains(c.got(), "close replaced") {
			open++
		}
		if g := c.conn.generation; seen[g] {
			t.Errorf("generation %d twice", g)
		} else {
			seen[g] = true
		}
	}
	if open != 1 || w.system.Conns() != 1 {
		t.Errorf("%d connections hold the session, %d are up; want 1", open, w.system.Conns())
	}
}
