package codec

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	clientv1 "hawser/proto/client/v1"
)

// random fills messages of the schema. It goes by the schema itself, so a new
// field is tested the day it is added.
type random struct{ *rand.Rand }

// texts are strings that have broken encoders before.
var texts = []string{"", "a", "news.sport", `"quoted" \ slash`, "line\nend\r\t", "nul\x00bell\x07", "ünïcödé", "\u2028\u2029",
	"😀 outside the BMP", "\uFFFD", "</script>", strings.Repeat("long ", 300)}

// payloads are application data: JSON, text, and neither.
var payloads = [][]byte{nil, []byte(`{"a":1}`), []byte(`null`), []byte(`"text"`), []byte(`[1, 2]`), []byte(` true `), []byte("-0.5e3"),
	[]byte("plain text"), []byte("{not json"), []byte("\xff\x00\xfe"), []byte("a\u2028b"), []byte("\x00"), []byte(`"\ud800"`), []byte("\"\xff\"")}

func (r random) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil || r.IntN(4) == 0 {
			continue
		}
		r.set(m, f)
	}
}

func (r random) set(m protoreflect.Message, f protoreflect.FieldDescriptor) {
	switch f.Kind() {
	case protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(texts[r.IntN(len(texts))]))
	case protoreflect.BytesKind:
		m.Set(f, protoreflect.ValueOfBytes(payloads[r.IntN(len(payloads))]))
	case protoreflect.Uint32Kind:
		m.Set(f, protoreflect.ValueOfUint32(r.Uint32()>>r.IntN(32)))
	case protoreflect.Uint64Kind:
		m.Set(f, protoreflect.ValueOfUint64(r.Uint64()>>r.IntN(64)))
	case protoreflect.BoolKind:
		m.Set(f, protoreflect.ValueOfBool(r.IntN(2) == 0))
	case protoreflect.MessageKind:
		r.fill(m.Mutable(f).Message())
	default:
		panic("random: no value for a field of kind " + f.Kind().String())
	}
}

// body sets the n-th kind of message.
func (r random) body(m protoreflect.Message, n int) {
	kinds := m.Descriptor().Oneofs().ByName("body").Fields()
	r.fill(m)
	r.fill(m.Mutable(kinds.Get(n % kinds.Len())).Message())
}

func (r random) client(n int) *clientv1.ClientMessage {
	m := new(clientv1.ClientMessage)
	r.body(m.ProtoReflect(), n)
	return m
}

func (r random) server(n int) *clientv1.ServerMessage {
	m := new(clientv1.ServerMessage)
	r.body(m.ProtoReflect(), n)
	return m
}

// kindCount is the number of kinds of message in m's oneof.
func kindCount(m proto.Message) int {
	return m.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Len()
}

// asJSON is m as it looks to a reader of its JSON form: application data has
// become one JSON value, unless it is neither JSON nor text, and fields of a
// later version are gone.
func asJSON[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	m = proto.Clone(m).(M)
	dropUnknown(m.ProtoReflect())
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() != protoreflect.MessageKind {
			return true
		}
		body := v.Message()
		if data := body.Descriptor().Fields().ByName("data"); data != nil && body.Has(data) {
			body.Set(data, protoreflect.ValueOfBytes(jsonData(t, body.Get(data).Bytes())))
		}
		return true
	})
	return m
}

func jsonData(t *testing.T, data []byte) []byte {
	t.Helper()
	switch {
	case !utf8.Valid(data):
		return data
	case json.Valid(data):
		return bytes.Trim(data, " \t\r\n") // RFC 8259 §2: the white space around a value is not part of it
	}
	return appendString(nil, string(data))
}

func dropUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.MessageKind {
			dropUnknown(v.Message())
		}
		return true
	})
}
