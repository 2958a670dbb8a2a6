package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	clientv1 "hawser/proto/client/v1"
)

// TestRoundTrip sends random messages of every kind through both protocols.
func TestRoundTrip(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := random{rand.New(rand.NewPCG(seed, 0))}
	const rounds = 2000
	for i := range rounds {
		for _, p := range All {
			if err := errors.Join(roundTripClient(t, p, r.client(i)), roundTripServer(t, p, r.server(i))); err != nil {
				t.Fatalf("seed %d, message %d, %s: %v", seed, i, p.Subprotocol(), err)
			}
		}
	}
}

func roundTripClient(t *testing.T, p Protocol, m *clientv1.ClientMessage) error {
	return roundTrip(t, p, m, AppendClient, DecodeClient)
}

func roundTripServer(t *testing.T, p Protocol, m *clientv1.ServerMessage) error {
	return roundTrip(t, p, m, AppendServer, DecodeServer)
}

// roundTrip encodes m behind other bytes, decodes it and compares.
func roundTrip[M proto.Message](t *testing.T, p Protocol, m M, encode func([]byte, Protocol, M) []byte,
	decode func(Protocol, []byte) ([]M, error)) error {
	const before = "kept"
	frame := encode([]byte(before), p, m)
	if string(frame[:len(before)]) != before {
		return fmt.Errorf("%q: bytes in front of the message changed", frame)
	}
	frame = frame[len(before):]
	got, err := decode(p, frame)
	if err != nil {
		return fmt.Errorf("%q: %w", frame, err)
	}
	want := m
	if p == JSON {
		want = asJSON(t, m)
	}
	if len(got) != 1 || !proto.Equal(got[0], want) {
		return fmt.Errorf("%q: got %v, want %v", frame, got, want)
	}
	return nil
}

// TestGolden pins the JSON form to the letter: clients are written after it.
func TestGolden(t *testing.T) {
	client := map[string]*clientv1.ClientMessage{
		`{"id":1,"connect":{"token":"…"}}`:                   {Id: 1, Body: &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{Token: "…"}}},
		`{"id":2,"subscribe":{"channel":"news"}}`:            {Id: 2, Body: &clientv1.ClientMessage_Subscribe{Subscribe: &clientv1.Subscribe{Channel: "news"}}},
		`{"unsubscribe":{"channel":"news"}}`:                 {Body: &clientv1.ClientMessage_Unsubscribe{Unsubscribe: &clientv1.Unsubscribe{Channel: "news"}}},
		`{"id":3,"publish":{"channel":"news","data":[1,2]}}`: {Id: 3, Body: &clientv1.ClientMessage_Publish{Publish: &clientv1.Publish{Channel: "news", Data: []byte("[1,2]")}}},
		`{"id":4,"rpc":{"method":"svc.op","data":{"a":1}}}`:  {Id: 4, Body: &clientv1.ClientMessage_Rpc{Rpc: &clientv1.Rpc{Method: "svc.op", Data: []byte(`{"a":1}`)}}},
		`{"id":5,"refresh":{"token":"new"}}`:                 {Id: 5, Body: &clientv1.ClientMessage_Refresh{Refresh: &clientv1.Refresh{Token: "new"}}},
		`{"ping":{}}`:                                        {Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}},
	}
	for text, m := range client {
		checkGolden(t, text, m, AppendClient, DecodeClient)
	}
	server := map[string]*clientv1.ServerMessage{
		`{"id":1,"connected":{"session":"…","resume_token":"…","ping_ms":25000,"node":"…"}}`: {Id: 1, Body: &clientv1.ServerMessage_Connected{
			Connected: &clientv1.Connected{Session: "…", ResumeToken: "…", PingMs: 25000, Node: "…"}}},
		`{"id":2,"subscribed":{"channel":"news"}}`: {Id: 2, Body: &clientv1.ServerMessage_Subscribed{Subscribed: &clientv1.Subscribed{Channel: "news"}}},
		`{"publication":{"channel":"news","seq":42,"data":"hi"}}`: {Body: &clientv1.ServerMessage_Publication{
			Publication: &clientv1.Publication{Channel: "news", Seq: 42, Data: []byte(`"hi"`)}}},
		`{"id":3,"error":{"code":404,"message":"unknown channel","temporary":false}}`: {Id: 3, Body: &clientv1.ServerMessage_Error{
			Error: &clientv1.Error{Code: 404, Message: "unknown channel"}}},
		`{"unsubscribed":{"channel":"news","error":{"code":503,"message":"gone","temporary":true}}}`: {Body: &clientv1.ServerMessage_Unsubscribed{
			Unsubscribed: &clientv1.Unsubscribed{Channel: "news", Error: &clientv1.Error{Code: 503, Message: "gone", Temporary: true}}}},
		`{"id":3,"published":{}}`:                {Id: 3, Body: &clientv1.ServerMessage_Published{Published: &clientv1.Published{}}},
		`{"id":4,"rpc":{"data":{"sum":3}}}`:      {Id: 4, Body: &clientv1.ServerMessage_Rpc{Rpc: &clientv1.RpcResult{Data: []byte(`{"sum":3}`)}}},
		`{"id":5,"refreshed":{"expires_ms":60}}`: {Id: 5, Body: &clientv1.ServerMessage_Refreshed{Refreshed: &clientv1.Refreshed{ExpiresMs: 60}}},
		`{"pong":{}}`:                            {Body: &clientv1.ServerMessage_Pong{Pong: &clientv1.Pong{}}},
		`{"direct":{"data_base64":"/w=="}}`:      {Body: &clientv1.ServerMessage_Direct{Direct: &clientv1.Direct{Data: []byte{0xff}}}},
		`{"disconnect":{"code":1012,"reason":"shutdown","reconnect":true,"retry_after_ms":900}}`: {Body: &clientv1.ServerMessage_Disconnect{
			Disconnect: &clientv1.Disconnect{Code: 1012, Reason: "shutdown", Reconnect: true, RetryAfterMs: 900}}},
	}
	for text, m := range server {
		checkGolden(t, text, m, AppendServer, DecodeServer)
	}
}

func checkGolden[M proto.Message](t *testing.T, text string, m M, encode func([]byte, Protocol, M) []byte,
	decode func(Protocol, []byte) ([]M, error)) {
	t.Helper()
	if got := string(encode(nil, JSON, m)); got != text {
		t.Errorf("encode: got %s, want %s", got, text)
	}
	got, err := decode(JSON, []byte(text))
	if err != nil || len(got) != 1 || !proto.Equal(got[0], m) {
		t.Errorf("decode %s: got %v, %v, want %v", text, got, err, m)
	}
}

// TestData is the table of PROTOCOL.md, "Data".
func TestData(t *testing.T) {
	for data, want := range map[string]string{
		``:              `{"publication":{"channel":"c"}}`,
		`{"a": 1}`:      `{"publication":{"channel":"c","data":{"a": 1}}}`,
		`null`:          `{"publication":{"channel":"c","data":null}}`,
		`hello`:         `{"publication":{"channel":"c","data":"hello"}}`,
		`{"a":`:         `{"publication":{"channel":"c","data":"{\"a\":"}}`,
		"\xff\x00":      `{"publication":{"channel":"c","data_base64":"/wA="}}`,
		"\"\xff\"":      `{"publication":{"channel":"c","data_base64":"Iv8i"}}`,
		"a\u2028b":      `{"publication":{"channel":"c","data":"a\u2028b"}}`,
		"tab\tand\x01":  `{"publication":{"channel":"c","data":"tab\tand\u0001"}}`,
		`"a` + "\u2029": `{"publication":{"channel":"c","data":"\"a\u2029"}}`,
	} {
		m := &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{Publication: &clientv1.Publication{Channel: "c", Data: []byte(data)}}}
		got := AppendServer(nil, JSON, m)
		if string(got) != want {
			t.Errorf("data %q: got %s, want %s", data, got, want)
		}
		if !json.Valid(got) {
			t.Errorf("data %q: %s is not JSON", data, got)
		}
	}
}

// TestDataFromClient: data_base64 wins over data, and an empty one is data too.
func TestDataFromClient(t *testing.T) {
	for frame, want := range map[string]string{
		`{"publish":{"channel":"c","data":{"a" : 1}}}`:              `{"a" : 1}`,
		`{"publish":{"channel":"c","data":null}}`:                   `null`,
		`{"publish":{"channel":"c"}}`:                               ``,
		`{"publish":{"channel":"c","data_base64":"/wA="}}`:          "\xff\x00",
		`{"publish":{"channel":"c","data":1,"data_base64":"YQ=="}}`: "a",
		`{"publish":{"channel":"c","data":1,"data_base64":""}}`:     "",
	} {
		got, err := DecodeClient(JSON, []byte(frame))
		if err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		if data := string(got[0].GetPublish().GetData()); data != want {
			t.Errorf("%s: got data %q, want %q", frame, data, want)
		}
	}
}

// TestMalformed is what a server closes with cause.BadRequest for.
func TestMalformed(t *testing.T) {
	frames := map[Protocol]map[string]string{
		JSON: {
			"empty":                 "",
			"white space":           " \n",
			"number":                "1",
			"string":                `"ping"`,
			"null":                  "null",
			"not JSON":              "{",
			"trailing comma":        `{"ping":{},}`,
			"two objects":           `{"ping":{}}{"ping":{}}`,
			"bytes after it":        `{"ping":{}} x`,
			"empty array":           `[]`,
			"array of numbers":      `[1]`,
			"array in an array":     `[[{"ping":{}}]]`,
			"null in an array":      `[null]`,
			"second element bad":    `[{"ping":{}},{"id":-1}]`,
			"two commands":          `{"ping":{},"subscribe":{"channel":"a"}}`,
			"id of text":            `{"id":"1","ping":{}}`,
			"id below 0":            `{"id":-1,"ping":{}}`,
			"id above 32 bits":      `{"id":4294967296,"ping":{}}`,
			"id with a fraction":    `{"id":1.5,"ping":{}}`,
			"body of another type":  `{"subscribe":"news"}`,
			"channel of a number":   `{"subscribe":{"channel":1}}`,
			"base64 that is none":   `{"publish":{"channel":"a","data_base64":"*"}}`,
			"base64 unpadded":       `{"publish":{"channel":"a","data_base64":"YQ"}}`,
			"deeper than any stack": strings.Repeat("[", 100_000),
			"one message too many":  "[" + strings.Repeat(`{"ping":{}},`, MaxMessagesPerFrame) + `{"ping":{}}]`,
		},
		Proto: {
			"empty":                "",
			"type byte alone":      "\x07",
			"length past the end":  "\x07\x03\x42\x00",
			"length of 2^63":       "\x07\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
			"length of 2^64":       "\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
			"unfinished length":    "\x07\x80",
			"not protobuf":         "\x07\x02\xff\xff",
			"type byte of another": "\x01\x02\x42\x00", // connect over ping
			"bad UTF-8":            "\x03\x05\x1a\x03\x0a\x01\xff",
			"second record bad":    "\x07\x02\x42\x00\x07",
			"one message too many": strings.Repeat("\x07\x02\x42\x00", MaxMessagesPerFrame+1),
		},
	}
	for p, cases := range frames {
		for name, frame := range cases {
			if got, err := DecodeClient(p, []byte(frame)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: got %v, %v, want ErrMalformed", p.Subprotocol(), name, got, err)
			}
		}
	}
}

// TestFullFrame: the limit itself is good, in one frame and in order.
func TestFullFrame(t *testing.T) {
	object := make([]string, MaxMessagesPerFrame)
	var records []byte
	for i := range object {
		m := &clientv1.ClientMessage{Id: uint32(i + 1), Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}}
		object[i] = string(AppendClient(nil, JSON, m))
		records = AppendClient(records, Proto, m)
	}
	for p, frame := range map[Protocol][]byte{JSON: []byte(" [" + strings.Join(object, " ,\n") + "] "), Proto: records} {
		got, err := DecodeClient(p, frame)
		if err != nil || len(got) != MaxMessagesPerFrame {
			t.Fatalf("%s: got %d messages, %v, want %d", p.Subprotocol(), len(got), err, MaxMessagesPerFrame)
		}
		for i, m := range got {
			if m.Id != uint32(i+1) || m.GetPing() == nil {
				t.Fatalf("%s: message %d: got %v", p.Subprotocol(), i, m)
			}
		}
	}
}

// TestUnknown: what a later version says must not end the conversation.
func TestUnknown(t *testing.T) {
	for p, frame := range map[Protocol]string{
		JSON:  `{"id":7,"presence":{"channel":"news"},"later":1}`,
		Proto: "\x0c\x06\x08\x07\xaa\x06\x01\x61", // type 0x0c, id 7, field 101 of bytes
	} {
		client, err := DecodeClient(p, []byte(frame))
		if err != nil || len(client) != 1 || client[0].Body != nil || client[0].Id != 7 {
			t.Errorf("%s: got %v, %v, want id 7 without a body", p.Subprotocol(), client, err)
		}
		server, err := DecodeServer(p, []byte(frame))
		if err != nil || len(server) != 1 || server[0].Body != nil || server[0].Id != 7 {
			t.Errorf("%s: got %v, %v, want id 7 without a body", p.Subprotocol(), server, err)
		}
	}
	got, err := DecodeClient(JSON, []byte(`{"subscribe":{"channel":"a","since":{"seq":1}}}`))
	if err != nil || got[0].GetSubscribe().GetChannel() != "a" {
		t.Errorf("unknown field of a known command: got %v, %v, want it ignored", got, err)
	}
}

// TestInvalidText: protobuf refuses invalid UTF-8 in strings. An application's
// error text can hold it, and once ended the connection it was for.
func TestInvalidText(t *testing.T) {
	const bad, want = "a\xffb", "a\uFFFDb"
	m := &clientv1.ServerMessage{Id: 9, Body: &clientv1.ServerMessage_Unsubscribed{Unsubscribed: &clientv1.Unsubscribed{
		Channel: bad, Error: &clientv1.Error{Code: 1000, Message: bad}}}}
	for _, p := range All {
		got, err := DecodeServer(p, AppendServer(nil, p, m))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: got %v, %v, want one message", p.Subprotocol(), got, err)
		}
		u := got[0].GetUnsubscribed()
		if got[0].Id != 9 || u.GetChannel() != want || u.GetError().GetMessage() != want {
			t.Errorf("%s: got %v, want %q in both texts", p.Subprotocol(), got[0], want)
		}
	}
	if m.GetUnsubscribed().GetChannel() != bad {
		t.Error("encoding changed the message")
	}
}

// TestTypeBytes: the commands are below 0x80, the others above, none twice,
// and each kind of the schema has one.
func TestTypeBytes(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 1))}
	seen := map[byte]bool{TypeUnknown: true}
	note := func(kind byte, client bool, m proto.Message) {
		if seen[kind] {
			t.Errorf("%v: type byte 0x%02x is taken or unknown", m, kind)
		}
		seen[kind] = true
		if client != (kind < 0x80) {
			t.Errorf("%v: type byte 0x%02x is on the wrong side of 0x80", m, kind)
		}
	}
	for i := range kindCount(&clientv1.ClientMessage{}) {
		m := r.client(i)
		note(AppendClient(nil, Proto, m)[0], true, m)
	}
	for i := range kindCount(&clientv1.ServerMessage{}) {
		m := r.server(i)
		note(AppendServer(nil, Proto, m)[0], false, m)
	}
}

func TestSubprotocols(t *testing.T) {
	for _, p := range All {
		if got, ok := Parse(p.Subprotocol()); !ok || got != p {
			t.Errorf("Parse(%q): got %v, %v", p.Subprotocol(), got, ok)
		}
	}
	for _, name := range []string{"", "hawser", "HAWSER.V1.JSON", "hawser.v2.json"} {
		if _, ok := Parse(name); ok {
			t.Errorf("Parse(%q): got ok, want none", name)
		}
	}
	if len(All) != Count {
		t.Errorf("got %d protocols in All, want %d", len(All), Count)
	}
}

// TestDecodersCopy: the caller reuses its buffer at once.
func TestDecodersCopy(t *testing.T) {
	m := &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Publish{Publish: &clientv1.Publish{Channel: "a", Data: []byte(`"payload"`)}}}
	for _, p := range All {
		frame := AppendClient(nil, p, m)
		got, err := DecodeClient(p, frame)
		if err != nil {
			t.Fatal(err)
		}
		clear(frame)
		if !proto.Equal(got[0], m) {
			t.Errorf("%s: got %v after the buffer was reused, want %v", p.Subprotocol(), got[0], m)
		}
	}
}

func BenchmarkAppendPublication(b *testing.B) {
	m := &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{Publication: &clientv1.Publication{
		Channel: "room.42", Seq: 42, Data: []byte(`{"from":"ann","text":"a message of common size, as in a chat"}`)}}}
	for _, p := range All {
		b.Run(p.Subprotocol(), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = AppendServer(buf[:0], p, m)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	m := &clientv1.ClientMessage{Id: 7, Body: &clientv1.ClientMessage_Publish{Publish: &clientv1.Publish{
		Channel: "room.42", Data: []byte(`{"from":"ann","text":"a message of common size, as in a chat"}`)}}}
	for _, p := range All {
		b.Run(p.Subprotocol(), func(b *testing.B) {
			b.ReportAllocs()
			frame := AppendClient(nil, p, m)
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := DecodeClient(p, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
