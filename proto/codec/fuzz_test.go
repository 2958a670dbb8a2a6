package codec

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	clientv1 "hawser/proto/client/v1"
)

// FuzzDecodeClient: no frame makes the server's decoder panic, and what it
// reads means the same in both protocols.
func FuzzDecodeClient(f *testing.F) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	for i := range 2 * kindCount(&clientv1.ClientMessage{}) {
		for _, p := range All {
			f.Add(p.Text(), AppendClient(nil, p, r.client(i)))
		}
	}
	f.Add(true, []byte(`[{"ping":{}},{"id":2,"presence":{}}]`))
	f.Add(false, []byte("\x0c\x06\x08\x07\xaa\x06\x01\x61"))
	f.Fuzz(func(t *testing.T, text bool, frame []byte) {
		got, err := DecodeClient(protocolOf(text), frame)
		if err != nil {
			return
		}
		for _, m := range got {
			if m.Body != nil {
				checkBoth(t, m, AppendClient, DecodeClient)
			}
		}
	})
}

// FuzzDecodeServer is the same for the decoder of the Go SDK.
func FuzzDecodeServer(f *testing.F) {
	r := random{rand.New(rand.NewPCG(3, 4))}
	for i := range 2 * kindCount(&clientv1.ServerMessage{}) {
		for _, p := range All {
			f.Add(p.Text(), AppendServer(nil, p, r.server(i)))
		}
	}
	f.Fuzz(func(t *testing.T, text bool, frame []byte) {
		got, err := DecodeServer(protocolOf(text), frame)
		if err != nil {
			return
		}
		for _, m := range got {
			if m.Body != nil {
				checkBoth(t, m, AppendServer, DecodeServer)
			}
		}
	})
}

func protocolOf(text bool) Protocol {
	if text {
		return JSON
	}
	return Proto
}

// checkBoth: m survives the binary form as it is, and the JSON form but for
// application data that is text and no JSON, which has become a JSON string.
func checkBoth[M proto.Message](t *testing.T, m M, encode func([]byte, Protocol, M) []byte, decode func(Protocol, []byte) ([]M, error)) {
	t.Helper()
	if err := roundTrip(t, Proto, m, encode, decode); err != nil {
		t.Fatalf("binary: %v", err)
	}
	text := encode(nil, JSON, m)
	if !json.Valid(text) {
		t.Fatalf("JSON form of %v is no JSON: %q", m, text)
	}
	if err := roundTrip(t, JSON, m, encode, decode); err != nil {
		t.Fatalf("JSON: %v", err)
	}
}
