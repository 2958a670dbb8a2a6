package tests

import (
	"net/http"
	"testing"

	"hawser/proto/cause"
)

// TestResume: a resume token keeps the session id, and no two sockets speak
// for one session: the older one is closed.
func TestResume(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: classes})
	nc := app(t, h.nats)
	older, first := connectRaw(t, h, "")
	newer, second := connectRaw(t, h, `"resume_token":"`+first.Connected.ResumeToken+`"`)
	if !second.Connected.Resumed || second.Connected.Session != first.Connected.Session {
		t.Fatalf("got %s, want session %s resumed", second.text, first.Connected.Session)
	}
	if code, last := older.closed(); code != cause.Replaced || last.Disconnect == nil || last.Disconnect.Reconnect {
		t.Errorf("the older socket got close %d after %s, want %d without reconnect", code, last.text, cause.Replaced)
	}
	if got := ask(t, nc, "hw.session.demo."+second.Connected.Session, `1`); got != `{"status":"delivered","sessions":1}` {
		t.Errorf("got %s, want the session once", got)
	}
	if r := newer.next(); r.Direct == nil {
		t.Errorf("got %s, want the direct message", r.text)
	}

	newer.goodbye()
	last, third := connectRaw(t, h, `"resume_token":"`+second.Connected.ResumeToken+`"`)
	if !third.Connected.Resumed || third.Connected.Session != first.Connected.Session {
		t.Errorf("after a disconnect: got %s, want session %s resumed", third.text, first.Connected.Session)
	}
	last.alive()

	for name, body := range map[string]string{
		"forged":       `"resume_token":"` + first.Connected.ResumeToken[:len(first.Connected.ResumeToken)-4] + `AAAA"`,
		"garbage":      `"resume_token":"hello"`,
		"another user": `"token":"` + mint(t, "--user=mallory") + `","resume_token":"` + third.Connected.ResumeToken + `"`,
	} {
		if _, r := connectRaw(t, h, body); r.Connected.Resumed || r.Connected.Session == first.Connected.Session {
			t.Errorf("%s: got %s, want a new session", name, r.text)
		}
	}
	last.alive()
	if n := h.metric(closedBy("replaced")); n != 1 {
		t.Errorf("%v connections replaced, want 1", n)
	}
	h.checkAccounts()
}

// TestCaps: what a node may hold is all that it holds, and whoever is turned
// down is told by HTTP.
func TestCaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		status int
		reason string
	}{
		{[]string{"--edge.max_connections=2"}, http.StatusServiceUnavailable, "full"},
		{[]string{"--edge.max_connections_per_ip=2"}, http.StatusTooManyRequests, "per_ip"},
	} {
		h := startHawser(t, setup{args: c.args})
		a, _ := connectRaw(t, h, "")
		b, _ := connectRaw(t, h, "")
		r := refusal(t, h)
		if r.StatusCode != c.status || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %s, Retry-After %q; want %d and a time", c.reason, r.Status, r.Header.Get("Retry-After"), c.status)
		}
		a.goodbye()
		eventually(t, "there is room again", func() bool { return h.metric("hawser_edge_sockets") == 1 })
		again, _ := connectRaw(t, h, "")
		again.alive()
		b.alive()
		if n := h.metric(`hawser_edge_refused_total{reason="` + c.reason + `"}`); n != 1 {
			t.Errorf("%v handshakes refused as %s, want 1", n, c.reason)
		}
	}
}

// TestAcceptRate: a storm of connections is turned down above the rate.
func TestAcceptRate(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{args: []string{"--edge.accept_rate=1", "--edge.accept_burst=5"}})
	refused := 0
	for range 40 {
		if r := refusal(t, h); r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") == "1" {
			refused++
		}
	}
	if got := h.metric(`hawser_edge_refused_total{reason="accept_rate"}`); refused == 0 || got != float64(refused) {
		t.Errorf("%d of 40 refused, %v counted; want the same and some", refused, got)
	}
}
