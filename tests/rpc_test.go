package tests

import (
	"testing"

	"github.com/nats-io/nats.go"

	"hawser/edge/client"
)

// respond makes a service of one method out of a reply.
func respond(t *testing.T, nc *nats.Conn, method string, answer func(m *nats.Msg) *nats.Msg) {
	t.Helper()
	if _, err := nc.Subscribe("hw.rpc.demo."+method, func(m *nats.Msg) {
		if a := answer(m); a != nil {
			_ = m.RespondMsg(a) // the caller's error tells
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// failing is the answer of a service that says no, by ADR-32's headers.
func failing(code, text string) func(*nats.Msg) *nats.Msg {
	return func(*nats.Msg) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {code}, "Nats-Service-Error": {text}}}
	}
}

// TestRPC: a service answers a client by NATS' own request and reply, and each
// way of failing has its code.
func TestRPC(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: classes, args: []string{"--nats.rpc_timeout=500ms"}})
	nc := app(t, h.nats)
	respond(t, nc, "echo.say", func(m *nats.Msg) *nats.Msg { return &nats.Msg{Data: m.Data} })
	respond(t, nc, "who.am.i", func(m *nats.Msg) *nats.Msg {
		return &nats.Msg{Data: []byte(m.Header.Get("Hw-User") + " " + m.Header.Get("Hw-Session"))}
	})
	respond(t, nc, "fail.soft", failing("429", "later"))
	respond(t, nc, "fail.own", failing("1234", "out of cheese"))
	respond(t, nc, "fail.odd", failing("none", ""))
	respond(t, nc, "slow.poke", func(*nats.Msg) *nats.Msg { return nil })
	for _, p := range protocols {
		c := dialSDK(t, h, client.Config{Protocol: p, Token: tokenOf(mint(t, "--user=ann"))})
		call := func(method, data string) (string, error) {
			answer, err := c.RPC(bounded(t), method, []byte(data))
			return string(answer), err
		}
		if got, err := call("echo.say", `{"x":[1]}`); err != nil || got != `{"x":[1]}` {
			t.Errorf("%s: got %s, %v; want the echo", p, got, err)
		}
		want := "ann " + c.Session().ID
		if p == client.JSON {
			want = `"` + want + `"` // text is a JSON string there
		}
		if got, err := call("who.am.i", ""); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", p, got, err, want)
		}
		for method, code := range map[string]uint32{
			"fail.soft": 429, "fail.own": 1234, "fail.odd": 500, "no.body": 503, "slow.poke": 504,
		} {
			_, err := call(method, `1`)
			wantSDKError(t, err, code)
		}
	}
	raw, _ := connectRaw(t, h, "")
	if e := raw.refused(1234, `"rpc":{"method":"fail.own","data":1}`); e.Message != "out of cheese" || e.Temporary {
		t.Errorf("got %+v, want the service's own words", e)
	}
	if e := raw.refused(503, `"rpc":{"method":"no.body"}`); !e.Temporary {
		t.Errorf("got %+v, want a temporary error", e)
	}
	raw.refused(400, `"rpc":{"method":"onetoken"}`)
}
