package frame

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"hawser/proto/cause"
)

// sizes are the edges of the three length encodings, in bytes.
var sizes = []int{0, 1, 125, 126, 127, 65535, 65536, 70000}

func TestAppendAndNext(t *testing.T) {
	for _, n := range sizes {
		payload := bytes.Repeat([]byte("hawser!"), n/7+1)[:n]
		for _, role := range []Role{Server, Client} {
			b, wantKey := []byte("kept"), [4]byte{}
			if role == Server {
				b, wantKey = AppendMasked(b, Binary, payload, key), key
			} else {
				b = Append(b, Binary, payload)
			}
			if string(b[:4]) != "kept" {
				t.Fatalf("%d bytes: what was in dst is gone", n)
			}
			b = b[4:]
			h, size := Next(b)
			want := Header{Op: Binary, FIN: true, Masked: role == Server, Key: wantKey, Offset: len(b) - n, Payload: n}
			if h != want || size != len(b) {
				t.Errorf("%d bytes: got %+v and %d, want %+v and %d", n, h, size, want, len(b))
			}
			g := NewGuard(Limits{Role: role, MaxMessageBytes: 1 << 20})
			if ok, v := g.Scan(b); ok != len(b) || v != nil {
				t.Errorf("%d bytes: the Guard passed %d of %d: %v", n, ok, len(b), v)
			}
			Mask(b[h.Offset:], h.Key)
			if !bytes.Equal(b[h.Offset:], payload) {
				t.Errorf("%d bytes: another payload came back", n)
			}
		}
	}
}

// TestNextWaitsForTheHeader cuts every header everywhere.
func TestNextWaitsForTheHeader(t *testing.T) {
	for _, n := range sizes {
		b := AppendMasked(nil, Text, make([]byte, n), key)
		whole, size := Next(b)
		for cut := range whole.Offset {
			if h, size := Next(b[:cut]); h != (Header{}) || size != 0 {
				t.Errorf("%d bytes of the header of %d: got %+v and %d, want nothing", cut, n, h, size)
			}
		}
		if h, got := Next(b[:whole.Offset]); h != whole || got != size {
			t.Errorf("header of %d alone: got %+v and %d, want %+v and %d", n, h, got, whole, size)
		}
	}
}

// TestNextHugeLength: unguarded bytes must not give a negative size.
func TestNextHugeLength(t *testing.T) {
	for _, b := range [][]byte{
		{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4},
		{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		{0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if h, size := Next(b); size != math.MaxInt || h.Payload <= 0 || h.Offset+h.Payload != size {
			t.Errorf("% x: got %+v and %d, want a size of math.MaxInt", b, h, size)
		}
	}
}

func TestAppendRefusesLongControl(t *testing.T) {
	mustPanic(t, func() { Append(nil, Ping, make([]byte, 126)) })
	mustPanic(t, func() { AppendMasked(nil, Pong, make([]byte, 126), key) })
}

func TestAppendMaskedKeepsThePayload(t *testing.T) {
	payload := []byte("do not touch")
	AppendMasked(nil, Text, payload, key)
	if string(payload) != "do not touch" {
		t.Errorf("payload became %q", payload)
	}
}

func TestAppendClose(t *testing.T) {
	tests := []struct {
		name, reason string
		code         cause.Code
		want         string // payload
	}{
		{"short", "bye", cause.Shutdown, "\x03\xf4bye"},
		{"no reason", "", cause.Kicked, "\x11\x3a"},
		{"just fits", strings.Repeat("x", 123), cause.Internal, "\x03\xf3" + strings.Repeat("x", 123)},
		{"clipped", strings.Repeat("x", 124), cause.Internal, "\x03\xf3" + strings.Repeat("x", 123)},
		{"clipped before a character", strings.Repeat("x", 121) + "€", cause.Internal, "\x03\xf3" + strings.Repeat("x", 121)},
		{"no status", "lost", cause.NoStatus, ""},
		{"never on the wire", "lost", cause.PeerLost, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := AppendClose(nil, tc.code, tc.reason)
			h, size := Next(b)
			if h.Op != Close || size != len(b) || string(b[h.Offset:]) != tc.want {
				t.Errorf("got % x, want a close with %q", b, tc.want)
			}
			g := NewGuard(Limits{Role: Client})
			if ok, v := g.Scan(b); ok != len(b) || v != nil {
				t.Errorf("the Guard passed %d of %d: %v", ok, len(b), v)
			}
			if !utf8.Valid(b[min(len(b), h.Offset+2):]) {
				t.Error("a character was cut in two")
			}
		})
	}
}

func TestSize(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		if got, want := Size(n), len(Append(nil, Binary, make([]byte, n))); got != want {
			t.Errorf("Size(%d): got %d, want %d", n, got, want)
		}
	}
}
