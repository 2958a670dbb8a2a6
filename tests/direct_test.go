package tests

import (
	"context"
	"testing"

	"hawser/edge/client"
)

const gone = `{"status":"gone"}`

// TestDirect: an application reaches a user or a session outside of channels,
// and learns whether there was one.
func TestDirect(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: classes})
	nc := app(t, h.nats)
	var sinks []*sink
	var sessions []string
	for _, p := range protocols {
		s := new(sink)
		c := dialSDK(t, h, client.Config{Protocol: p, Token: tokenOf(mint(t, "--user=ann@example.org")),
			OnDirect: func(_ context.Context, data []byte) { s.add(data) }})
		sinks, sessions = append(sinks, s), append(sessions, c.Session().ID)
	}
	raw, connected := connectRaw(t, h, "")
	session := connected.Connected.Session

	if got := ask(t, nc, "hw.user.demo.ann%40example%2Eorg", `"to the user"`); got != `{"status":"delivered","sessions":2}` {
		t.Errorf("user: got %s, want two sessions", got)
	}
	if got := ask(t, nc, "hw.session.demo."+sessions[1], `"to the session"`); got != `{"status":"delivered","sessions":1}` {
		t.Errorf("session: got %s, want delivered", got)
	}
	sinks[0].want(t, []byte(`"to the user"`))
	sinks[1].want(t, []byte(`"to the user"`), []byte(`"to the session"`))

	if got := ask(t, nc, "hw.session.demo."+session, `plain text`); got != `{"status":"delivered","sessions":1}` {
		t.Errorf("raw session: got %s, want delivered", got)
	}
	if r := raw.next(); r.Direct == nil || string(r.Direct.Data) != `"plain text"` {
		t.Errorf("got %s, want the direct message", r.text)
	}
	raw.goodbye()
	for _, subject := range []string{"hw.session.demo." + session, "hw.session.other." + sessions[0], "hw.user.demo.nobody", "hw.user.other.ann%40example%2Eorg"} {
		if got := ask(t, nc, subject, `1`); got != gone {
			t.Errorf("%s: got %s, want gone", subject, got)
		}
	}
}
