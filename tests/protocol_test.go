package tests

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"hawser/edge"
	"hawser/edge/node"
	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// rewrite writes the tables that are made from code into their documents.
var rewrite = flag.Bool("rewrite", false, "write the generated tables into PROTOCOL.md")

const protocolFile = "proto/PROTOCOL.md"

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fromRoot(protocolFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProtocolTables compares each generated table with the code it is from.
func TestProtocolTables(t *testing.T) {
	text := readProtocol(t)
	want := text
	for name, table := range map[string]string{"refusals": refusalTable(), "types": typeTable(), "limits": limitTable(), "causes": causeTable()} {
		block := regexp.MustCompile(`(?s)(<!-- ` + name + `: [^\n]*-->\n).*?(<!-- end -->)`)
		if !block.MatchString(want) {
			t.Fatalf("%s has no table %s", protocolFile, name)
		}
		want = block.ReplaceAllString(want, "${1}\n"+strings.ReplaceAll(table, "$", "$$")+"\n${2}")
	}
	if text == want {
		return
	}
	if !*rewrite {
		t.Fatalf("%s: a table is not what the code says: run go test ./tests -run TestProtocolTables -rewrite and read the diff", protocolFile)
	}
	if err := os.WriteFile(fromRoot(protocolFile), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func refusalTable() string {
	var b strings.Builder
	b.WriteString("| HTTP | reason | Retry-After | what |\n|---|---|---|---|\n")
	for _, r := range edge.Refusals {
		after := ""
		if r.RetryAfter > 0 {
			after = fmt.Sprintf("%d s", r.RetryAfter)
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", r.Status, r.Reason, after, r.Sentence)
	}
	return b.String()
}

func causeTable() string {
	var b strings.Builder
	b.WriteString("| code | name | who | advice | what |\n|---|---|---|---|---|\n")
	for _, row := range cause.Table {
		sentence := row.Sentence
		if !row.OnWire {
			sentence += " Never on the wire."
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s |\n", row.Code, row.Name, row.Who, row.Advice, sentence)
	}
	return b.String()
}

// typeTable has the type byte of each kind, by encoding one.
func typeTable() string {
	rows := map[byte]string{}
	for _, f := range kinds(&clientv1.ClientMessage{}) {
		m := new(clientv1.ClientMessage)
		m.ProtoReflect().Mutable(f)
		rows[codec.AppendClient(nil, codec.Proto, m)[0]] = fmt.Sprintf("client | `%s`", f.Name())
	}
	for _, f := range kinds(&clientv1.ServerMessage{}) {
		m := new(clientv1.ServerMessage)
		m.ProtoReflect().Mutable(f)
		rows[codec.AppendServer(nil, codec.Proto, m)[0]] = fmt.Sprintf("server | `%s`", f.Name())
	}
	var b strings.Builder
	b.WriteString("| type | of | body |\n|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "| 0x%02x | %s |\n", kind, rows[kind])
	}
	return b.String()
}

// limitTable has the defaults a client can meet.
func limitTable() string {
	c := node.DefaultConfig()
	rows := []struct {
		key      string
		value    any
		overflow string
	}{
		{"edge.connect_timeout", c.Edge.ConnectTimeout, "from the handshake to a verified `connect`; then 4440"},
		{"edge.max_message_bytes", c.Edge.MaxMessageBytes, "one message of a client, all fragments together; then 1009"},
		{"edge.rate_messages", c.Edge.RateMessages, "messages and ping frames per second; then error 429, and 4429 for a client that goes on"},
		{"edge.rate_burst", c.Edge.RateBurst, "messages at once, before the rate counts"},
		{"edge.rate_bytes", c.Edge.RateBytes, "bytes of messages per second, two seconds' worth at once; then as for the rate"},
		{"edge.max_channels", c.Edge.MaxChannels, "subscriptions per connection; then error 429"},
		{"edge.max_rpc_in_flight", c.Edge.MaxRPCInFlight, "unanswered rpc per connection; then error 429"},
		{"edge.outbox_bytes", c.Edge.OutboxBytes, "what may wait for a client that reads slowly; then the channel's `slow` rule, by default 4413"},
		{"edge.outbox_total_bytes", c.Edge.OutboxTotalBytes, "what may wait for all slow clients of a node; then those with the most give way in the same manner"},
		{"edge.ping_interval", c.Edge.PingInterval, "`ping_ms`"},
		{"edge.pong_timeout", c.Edge.PongTimeout, "`pong_ms`; then 4408"},
		{"auth.resume_window", c.Auth.ResumeWindow, "`resume_ms`"},
		{"nats.rpc_timeout", c.NATS.RPCTimeout, "one rpc; then error 504"},
	}
	var b strings.Builder
	b.WriteString("| key | default | what, and what happens beyond |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %v | %s |\n", r.key, r.value, r.overflow)
	}
	return b.String()
}

// kinds are the bodies that a message can have, in the order of the schema.
func kinds(m proto.Message) []protoreflect.FieldDescriptor {
	fields := m.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	all := make([]protoreflect.FieldDescriptor, fields.Len())
	for i := range all {
		all[i] = fields.Get(i)
	}
	return all
}

// TestProtocolExamples decodes each JSON example with the decoder that it is
// for, and wants one of every kind of message.
func TestProtocolExamples(t *testing.T) {
	text := readProtocol(t)
	seen := map[protoreflect.FullName]bool{}
	for _, frame := range examples(t, text, "json client") {
		checkExample(t, []byte(frame), codec.DecodeClient, codec.AppendClient, seen)
	}
	for _, frame := range examples(t, text, "json server") {
		checkExample(t, []byte(frame), codec.DecodeServer, codec.AppendServer, seen)
	}
	for _, f := range slices.Concat(kinds(&clientv1.ClientMessage{}), kinds(&clientv1.ServerMessage{})) {
		if !seen[f.FullName()] {
			t.Errorf("%s has no example of %s", protocolFile, f.FullName())
		}
	}
}

// checkExample decodes a frame, and encodes what was understood again: an
// example with a member that we do not know would lose it.
func checkExample[M proto.Message](t *testing.T, frame []byte, decode func(codec.Protocol, []byte) ([]M, error),
	encode func([]byte, codec.Protocol, M) []byte, seen map[protoreflect.FullName]bool) {
	t.Helper()
	messages, err := decode(codec.JSON, frame)
	if err != nil {
		t.Errorf("%s: %v", frame, err)
		return
	}
	var got []any
	for _, m := range messages {
		body := m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().ByName("body"))
		if body == nil {
			t.Errorf("%s: a message that the codec does not know", frame)
			return
		}
		seen[body.FullName()] = true
		got = append(got, parse(t, encode(nil, codec.JSON, m)))
	}
	want := parse(t, frame)
	if _, array := want.([]any); !array {
		want = []any{want}
	}
	if !reflect.DeepEqual(any(got), want) {
		t.Errorf("%s: understood as %v", frame, got)
	}
}

func parse(t *testing.T, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// TestProtocolBinary decodes the hexadecimal examples.
func TestProtocolBinary(t *testing.T) {
	text := readProtocol(t)
	subscribe := &clientv1.ClientMessage{Id: 2, Body: &clientv1.ClientMessage_Subscribe{Subscribe: &clientv1.Subscribe{Channel: "news"}}}
	ping := &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}}
	subscribed := &clientv1.ServerMessage{Id: 2, Body: &clientv1.ServerMessage_Subscribed{Subscribed: &clientv1.Subscribed{Channel: "news"}}}
	client, err := codec.DecodeClient(codec.Proto, fromHex(t, examples(t, text, "hex client")))
	if err != nil || len(client) != 2 || !proto.Equal(client[0], ping) || !proto.Equal(client[1], subscribe) {
		t.Errorf("client example: got %v, %v, want %v and %v", client, err, ping, subscribe)
	}
	server, err := codec.DecodeServer(codec.Proto, fromHex(t, examples(t, text, "hex server")))
	if err != nil || len(server) != 1 || !proto.Equal(server[0], subscribed) {
		t.Errorf("server example: got %v, %v, want %v", server, err, subscribed)
	}
}

func fromHex(t *testing.T, lines []string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(lines, " ")), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// examples are the lines of all code blocks of a kind.
func examples(t *testing.T, text, kind string) (lines []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(m[1]), "\n")...)
	}
	if len(lines) == 0 {
		t.Fatalf("%s has no block %q", protocolFile, kind)
	}
	return lines
}
