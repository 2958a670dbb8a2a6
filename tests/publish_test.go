package tests

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"hawser/edge/client"
)

// TestPublications: what an application publishes reaches the subscribers of
// every protocol, whole and in order.
func TestPublications(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	h := startHawser(t, setup{args: []string{"--edge.outbox_bytes=16MiB"}}) // the story is not about slow readers
	var sinks []*sink
	for _, p := range protocols {
		sinks = append(sinks, subscribeSDK(t, dialSDK(t, h, client.Config{Protocol: p}), "news"))
	}
	raw, _ := connectRaw(t, h, "")
	raw.subscribe("news")

	nc := app(t, h.nats)
	want := make([][]byte, 1000)
	for i := range want {
		want[i] = fmt.Appendf(nil, `{"n":%d,"pad":%q}`, i, strings.Repeat("x", random.IntN(2000)))
		if err := nc.Publish("hw.fire.demo.news", want[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sinks {
		s.want(t, want...)
	}
	for i := range want {
		p := raw.next().Publication
		if p == nil || p.Channel != "news" || !bytes.Equal(p.Data, want[i]) {
			t.Fatalf("publication %d of the raw client is %+v, want %s", i, p, want[i])
		}
	}
	h.checkAccounts()
}

// TestOtherChannelsAndTenants: nothing goes to those who did not ask for it.
func TestOtherChannelsAndTenants(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{})
	mine := subscribeSDK(t, dialSDK(t, h, client.Config{}), "news.de")
	other := subscribeSDK(t, dialSDK(t, h, client.Config{URL: "ws://" + h.edge + "/ws/other"}), "news.de")
	nc := app(t, h.nats)
	fire(t, nc, "news", []byte(`"parent"`))
	fire(t, nc, "news.de.berlin", []byte(`"child"`))
	if err := nc.Publish("hw.fire.other.news.de", []byte(`"other"`)); err != nil {
		t.Fatal(err)
	}
	fire(t, nc, "news.de", []byte(`"mine"`))
	mine.want(t, []byte(`"mine"`))
	other.want(t, []byte(`"other"`))
}

// TestPayloads: an application may publish any bytes. The binary protocol
// passes them on; JSON has a form for each.
func TestPayloads(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, sent string
		json       string // of data, in the raw protocol
		base64     bool   // data_base64 has them instead
		sdkJSON    string // what the SDK hands over with JSON
	}{
		{"object", `{"a":[1,2.50,"ü"]}`, `{"a":[1,2.50,"ü"]}`, false, `{"a":[1,2.50,"ü"]}`},
		{"number", "18446744073709551616", "18446744073709551616", false, "18446744073709551616"},
		{"text", "hello \"you\"\n", `"hello \"you\"\n"`, false, `"hello \"you\"\n"`},
		{"almost JSON", `{"a":`, `"{\"a\":"`, false, `"{\"a\":"`},
		{"binary", "\xff\x00\x80", "", true, "\xff\x00\x80"},
		{"empty", "", "", false, ""},
	}
	h := startHawser(t, setup{})
	proto := subscribeSDK(t, dialSDK(t, h, client.Config{Protocol: client.Proto}), "any")
	sdk := subscribeSDK(t, dialSDK(t, h, client.Config{Protocol: client.JSON}), "any")
	raw, _ := connectRaw(t, h, "")
	raw.subscribe("any")
	nc := app(t, h.nats)
	var sent, viaJSON [][]byte
	for _, c := range cases {
		fire(t, nc, "any", []byte(c.sent))
		sent, viaJSON = append(sent, []byte(c.sent)), append(viaJSON, []byte(c.sdkJSON))
		r := raw.next()
		wantBase64 := ""
		if c.base64 {
			wantBase64 = c.sent
		}
		if p := r.Publication; p == nil || string(p.Data) != c.json || string(p.DataBase64) != wantBase64 {
			t.Errorf("%s: got %s, want data %s, base64 %v", c.name, r.text, c.json, c.base64)
		}
	}
	proto.want(t, sent...)
	sdk.want(t, viaJSON...)
}

// classes has one channel of each class.
const classes = `
auth: {allow_anonymous: true, hmac_secret: "` + secret + `"}
channels:
  - {pattern: 'read.>', subscribe: allow, publish: refuse}
  - {pattern: 'app.>', subscribe: allow, publish: allow, publish_to: app}
  - {pattern: 'chat.>', subscribe: allow, publish: allow, publish_to: channel}
  - {pattern: 'closed', subscribe: refuse, publish: refuse}
`

// TestClientPublish: the channel's class says where a client's publication
// goes.
func TestClientPublish(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: classes})
	nc := app(t, h.nats)
	toApp, toChannel := subscribed(t, nc, "hw.in.>"), subscribed(t, nc, "hw.fire.>")
	for _, p := range protocols {
		ctx := bounded(t)
		c := dialSDK(t, h, client.Config{Protocol: p, Token: tokenOf(mint(t, "--user=ann b@example.org"))})
		wantSDKError(t, c.Publish(ctx, "read.a", []byte(`1`)), 403)
		wantSDKError(t, c.Publish(ctx, "nowhere", []byte(`1`)), 404)
		_, err := c.Subscribe(ctx, "closed", func(context.Context, client.Publication) {})
		wantSDKError(t, err, 403)

		if err := c.Publish(ctx, "app.orders", []byte(`{"n":1}`)); err != nil {
			t.Fatal(err)
		}
		m := message(t, toApp)
		if m.Subject != "hw.in.demo.app.orders" || string(m.Data) != `{"n":1}` ||
			m.Header.Get("Hw-User") != "ann b@example.org" || m.Header.Get("Hw-Session") != c.Session().ID {
			t.Errorf("the application got %s %v %s", m.Subject, m.Header, m.Data)
		}

		chat := subscribeSDK(t, c, "chat.1")
		if err := c.Publish(ctx, "chat.1", []byte(`"hi"`)); err != nil {
			t.Fatal(err)
		}
		chat.want(t, []byte(`"hi"`))
		if m := message(t, toChannel); m.Subject != "hw.fire.demo.chat.1" || string(m.Data) != `"hi"` {
			t.Errorf("NATS got %s %s", m.Subject, m.Data)
		}
	}
	raw, _ := connectRaw(t, h, "")
	raw.refused(403, `"publish":{"channel":"read.a","data":1}`)
	raw.refused(400, `"publish":{"channel":"app.*","data":1}`)
	raw.send(`{"id":3,"publish":{"channel":"app.x","data":"anonymous"}}`)
	if r := raw.next(); r.Published == nil {
		t.Errorf("got %s, want published", r.text)
	}
	m := message(t, toApp)
	if _, found := m.Header["Hw-User"]; found || m.Header.Get("Hw-Session") == "" {
		t.Errorf("an anonymous client has the headers %v, want a session and no user", m.Header)
	}
}
