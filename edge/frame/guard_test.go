package frame

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"hawser/proto/cause"
)

// Raw frames for the tests. key is not zero, so that a Guard which forgets to
// unmask fails.
var key = [4]byte{0x37, 0xfa, 0x21, 0x3d} // RFC 6455 §5.7

// client builds one masked frame with any first byte.
func client(first byte, payload string) []byte {
	b := AppendMasked(nil, Binary, []byte(payload), key)
	b[0] = first
	return b
}

// join concatenates.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// small are limits that a short test can pass.
var small = Limits{MaxMessageBytes: 300, MaxFrameBytes: 200, MaxFragments: 4}

// broken has a stream for every rule. ok counts the bytes before the one that
// breaks it.
var broken = []struct {
	name   string
	limits Limits
	stream []byte
	ok     int
	rule   rule
}{
	{"rsv1 not negotiated", small, client(0xc1, "a"), 0, reservedBit},
	{"rsv2", small, client(0xa1, "a"), 0, reservedBit},
	{"rsv3", small, client(0x91, "a"), 0, reservedBit},
	{"rsv1 on a ping", compressed, client(0xc9, "a"), 0, reservedBit},
	{"rsv1 on a continuation", compressed, join(client(0x41, "a"), client(0xc0, "b")), 7, reservedBit},
	{"opcode 3", small, client(0x83, ""), 0, reservedOpcode},
	{"opcode 7", small, client(0x87, ""), 0, reservedOpcode},
	{"opcode 11", small, client(0x8b, ""), 0, reservedOpcode},
	{"opcode 15", small, client(0x8f, ""), 0, reservedOpcode},
	{"ping without fin", small, client(0x09, ""), 0, fragmentedControl},
	{"close without fin", small, client(0x08, ""), 0, fragmentedControl},
	{"continuation first", small, client(0x80, "a"), 0, strayContinuation},
	{"continuation after fin", small, join(client(0x81, "a"), client(0x80, "b")), 7, strayContinuation},
	{"text inside text", small, join(client(0x01, "a"), client(0x81, "b")), 7, interleavedMessage},
	{"five fragments", small, join(client(0x02, ""), client(0, ""), client(0, ""), client(0, ""), client(0, "")), 24, tooManyFragments},
	{"unmasked", small, []byte{0x81, 0x01, 'a'}, 1, unmasked},
	{"masked to a client", Limits{Role: Client}, client(0x81, "a"), 1, masked},
	{"ping of 126", small, []byte{0x89, 0xfe, 0, 126, 1, 2, 3, 4}, 1, longControl},
	{"close of 1", small, []byte{0x88, 0x81, 1, 2, 3, 4, 3}, 1, shortClose},
	{"top bit", small, []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 2, topBit},
	{"all bits", small, []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 2, topBit},
	{"16 bits for 125", small, []byte{0x82, 0xfe, 0, 125, 1, 2, 3, 4}, 3, longEncoding},
	{"64 bits for 65535", Limits{}, []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}, 9, longEncoding},
	{"frame of 201", small, []byte{0x82, 0xfe, 0, 201, 1, 2, 3, 4}, 3, bigFrame},
	{"63 bits of length", small, []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, bigFrame},
	{"fragments of 301", small, join(client(0x02, strings.Repeat("x", 200)), client(0x80, strings.Repeat("x", 101))), 209, bigMessage},
	{"close code 1005", small, client(0x88, "\x03\xed"), 7, badCloseCode},
	{"close code 5000", small, client(0x88, "\x13\x88bye"), 7, badCloseCode},
	{"text with a lone continuation", small, client(0x81, "abc\x80d"), 9, badUTF8},
	{"text cut in a character", small, client(0x81, "abc\xe2\x82"), 10, badUTF8},
	{"fragments cut in a character", small, join(client(0x01, "\xe2\x82"), client(0x80, "")), 13, badUTF8},
	{"surrogate over two fragments", small, join(client(0x01, "\xed"), client(0x80, "\xa0\x80")), 13, badUTF8},
	{"close reason", small, client(0x88, "\x03\xe8\xff"), 8, badUTF8},
	{"close reason cut in a character", small, client(0x88, "\x03\xe8\xc3"), 8, badUTF8},
	{"close reason in an open text", small, join(client(0x01, "\xe2"), client(0x88, "\x03\xe8\x82")), 15, badUTF8},
}

var compressed = Limits{AllowCompressed: true}

// TestGuardRefuses breaks every rule, with the stream whole and byte by byte.
func TestGuardRefuses(t *testing.T) {
	var covered [rules]bool
	for _, tc := range broken {
		covered[tc.rule] = true
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{len(tc.stream), 1, 3} {
				g := NewGuard(tc.limits)
				ok, v := feed(&g, tc.stream, step)
				if ok != tc.ok || v != &violations[tc.rule] {
					t.Errorf("in steps of %d: got %d bytes and %v, want %d and %v", step, ok, v, tc.ok, &violations[tc.rule])
				}
				if n, again := g.Scan([]byte{0x81}); n != 0 || again != v {
					t.Errorf("after the violation: got %d bytes and %v, want 0 and the same", n, again)
				}
				if g.AtBoundary() {
					t.Error("at a boundary after a violation")
				}
			}
		})
	}
	for r := obeyed + 1; r < rules; r++ {
		if !covered[r] {
			t.Errorf("no stream breaks the rule %q", violations[r].Reason)
		}
	}
}

// feed scans a stream in steps and stops at the first byte not taken.
func feed(g *Guard, stream []byte, step int) (ok int, v *Violation) {
	for ok < len(stream) {
		p := stream[ok:min(len(stream), ok+step)]
		n, v := g.Scan(p)
		ok += n
		if v != nil || n < len(p) {
			return ok, v
		}
	}
	return ok, nil
}

func TestGuardPasses(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		stream []byte
		pause  bool
	}{
		{"nothing", small, nil, true},
		{"empty text", small, client(0x81, ""), true},
		{"RFC 6455 §5.7 hello", small, client(0x81, "Hello"), true},
		{"euro", small, client(0x81, "€ 𝄞 ü"), true},
		{"character over fragments", small, join(client(0x01, "\xf0"), client(0x00, "\x9d\x84"), client(0x80, "\x9e")), true},
		{"ping inside a character", small, join(client(0x01, "\xe2\x82"), client(0x89, "\xff\xfe"), client(0x80, "\xac")), true},
		{"any bytes in binary", small, client(0x82, "\xff\xfe\x80"), true},
		{"compressed text is not looked at", compressed, client(0xc1, "\xff\xfe"), true},
		{"compressed fragments", compressed, join(client(0x41, "\xff"), client(0x80, "\xfe")), true},
		{"plain after compressed", compressed, join(client(0xc1, "\xff"), client(0x81, "ok")), true},
		{"four fragments", small, join(client(0x02, ""), client(0, ""), client(0, ""), client(0x80, "")), true},
		{"frame of 200", small, client(0x82, strings.Repeat("x", 200)), true},
		{"message of 300", small, join(client(0x02, strings.Repeat("x", 200)), client(0x80, strings.Repeat("x", 100))), true},
		{"again 300", small, join(client(0x02, strings.Repeat("x", 200)), client(0x80, strings.Repeat("x", 100)), client(0x82, strings.Repeat("x", 200))), true},
		{"ping of 125", Limits{MaxMessageBytes: 1}, client(0x89, strings.Repeat("x", 125)), true},
		{"64-bit length", Limits{MaxMessageBytes: 1 << 17}, client(0x82, strings.Repeat("x", 1<<16)), true},
		{"server frame to a client", Limits{Role: Client}, Append(nil, Text, []byte("€")), true},
		{"half a header", small, client(0x81, "Hello")[:3], false},
		{"half a payload", small, client(0x81, "Hello")[:8], false},
		{"open message", small, client(0x01, "Hello"), false},
		{"ping in an open message", small, join(client(0x01, "Hello"), client(0x89, "")), false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{max(1, len(tc.stream)), 1, 3} {
				g := NewGuard(tc.limits)
				if ok, v := feed(&g, tc.stream, step); ok != len(tc.stream) || v != nil {
					t.Errorf("in steps of %d: got %d bytes and %v, want all %d", step, ok, v, len(tc.stream))
				}
				if got := g.AtBoundary(); got != tc.pause {
					t.Errorf("AtBoundary: got %v, want %v", got, tc.pause)
				}
				if code, ok := g.CloseSeen(); ok {
					t.Errorf("CloseSeen: got %d without a close frame", code)
				}
			}
		})
	}
}

func TestGuardCloseSeen(t *testing.T) {
	tests := []struct {
		payload string
		want    cause.Code
	}{
		{"", cause.NoStatus},
		{"\x03\xe8", cause.ClientClosed},
		{"\x03\xe9going away", cause.ClientGone},
		{"\x0f\xa1\xe2\x82\xac", cause.BadToken},
	}
	for _, tc := range tests {
		frame := client(0x88, tc.payload)
		stream := join(client(0x01, "cut \xe2"), frame, []byte("anything at all"))
		want := len(stream) - len("anything at all")
		for _, step := range []int{len(stream), 1, 3} {
			g := NewGuard(small)
			ok, v := feed(&g, stream, step)
			if ok != want || v != nil {
				t.Errorf("%q in steps of %d: got %d bytes and %v, want %d", tc.payload, step, ok, v, want)
			}
			if code, seen := g.CloseSeen(); code != tc.want || !seen {
				t.Errorf("%q: CloseSeen: got %d, %v, want %d", tc.payload, code, seen, tc.want)
			}
			if n, v := g.Scan(frame); n != 0 || v != nil {
				t.Errorf("%q: Scan after the close: got %d, %v, want 0 and no violation", tc.payload, n, v)
			}
			if g.AtBoundary() {
				t.Error("at a boundary after the close")
			}
		}
	}
}

// TestGuardCloseCodes asks for every code there is.
func TestGuardCloseCodes(t *testing.T) {
	for code := range 1 << 16 {
		g := NewGuard(small)
		_, v := g.Scan(client(0x88, string([]byte{byte(code >> 8), byte(code)})))
		if got, want := v == nil, refValidCode(code); got != want {
			t.Errorf("close code %d: passed %v, want %v", code, got, want)
		}
	}
}

// TestGuardIsSmall keeps the promise of Guard's comment: connections embed it.
func TestGuardIsSmall(t *testing.T) {
	typ := reflect.TypeFor[Guard]()
	if got := typ.Size(); got > 48 {
		t.Errorf("Guard has %d bytes, want at most 48", got)
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		switch f.Type.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func:
			t.Errorf("field %s holds a pointer", f.Name)
		}
	}
}

// TestZeroGuard lets nothing through that could cost memory.
func TestZeroGuard(t *testing.T) {
	var g Guard
	if ok, v := g.Scan(client(0x82, "x")); ok != 0 || v == nil {
		t.Errorf("zero Guard: got %d bytes and %v, want a violation", ok, v)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	good := join(client(0x81, "a text, ünïcödé"), client(0x02, "x"), client(0x89, "p"), client(0x80, "y"))
	bad := client(0x81, "\xff")
	n := testing.AllocsPerRun(100, func() {
		g := NewGuard(small)
		g.Scan(good)
		g.Scan(bad)
	})
	if n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestLimitsValidate(t *testing.T) {
	tests := []struct {
		limits Limits
		want   string // in the error
	}{
		{Limits{}, ""},
		{Limits{Role: Client, MaxMessageBytes: math.MaxInt32, MaxFrameBytes: math.MaxInt32, MaxFragments: math.MaxInt32}, ""},
		{Limits{Role: 2}, "Role 2"},
		{Limits{MaxMessageBytes: -1}, "MaxMessageBytes -1"},
		{Limits{MaxMessageBytes: math.MaxInt32 + 1}, "MaxMessageBytes"},
		{Limits{MaxFrameBytes: -1}, "MaxFrameBytes -1"},
		{Limits{MaxFrameBytes: math.MaxInt32 + 1}, "MaxFrameBytes"},
		{Limits{MaxFragments: -1}, "MaxFragments -1"},
		{Limits{MaxFragments: math.MaxInt32 + 1}, "MaxFragments"},
	}
	for _, tc := range tests {
		err := tc.limits.Validate()
		if tc.want == "" {
			if err != nil {
				t.Errorf("%+v: got %v, want it valid", tc.limits, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want an error about %q", tc.limits, err, tc.want)
		}
		mustPanic(t, func() { NewGuard(tc.limits) })
	}
}

// mustPanic fails when f returns.
func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

// TestViolations checks that every row can go into a close frame.
func TestViolations(t *testing.T) {
	for r := obeyed + 1; r < rules; r++ {
		v := &violations[r]
		if row := cause.Of(v.Code); row.Code != v.Code || row.Who != cause.Server || !row.OnWire {
			t.Errorf("%v: code %d is no close code of a server", v, v.Code)
		}
		if v.Reason == "" || len(v.Reason) > MaxCloseReason {
			t.Errorf("%v: reason of %d bytes: want 1 to %d", v, len(v.Reason), MaxCloseReason)
		}
	}
}
