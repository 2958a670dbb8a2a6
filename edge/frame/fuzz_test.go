package frame

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var seedFlag = flag.Uint64("seed", 0, "replay TestGuardAgainstReference with this seed; 0 picks one")

// judge runs a Guard over a stream in random splits and returns what it said.
func judge(l Limits, stream []byte, rng *rand.Rand) verdict {
	g := NewGuard(l)
	ok := 0
	for ok < len(stream) {
		p := stream[ok:min(len(stream), ok+1+rng.IntN(1+rng.IntN(64)))]
		n, v := g.Scan(p)
		ok += n
		if v != nil || n < len(p) {
			break
		}
	}
	code, closed := g.CloseSeen()
	return verdict{ok: ok, rule: g.broken, closed: closed, code: code, pause: g.AtBoundary()}
}

// compare fails when Guard and reference disagree on a stream.
func compare(t *testing.T, l Limits, stream []byte, rng *rand.Rand) {
	t.Helper()
	before := bytes.Clone(stream)
	want := reference(l, stream)
	if got := judge(l, stream, rng); got != want {
		t.Fatalf("limits %+v, stream % x:\ngot  %+v (%v)\nwant %+v (%v)", l, stream, got, &violations[got.rule], want, &violations[want.rule])
	}
	if !bytes.Equal(stream, before) {
		t.Fatalf("the Guard changed the stream % x", before)
	}
}

// fuzzLimits picks limits from one byte, so that the fuzzer can reach all.
func fuzzLimits(b byte) Limits {
	l := Limits{Role: Role(b & 1), AllowCompressed: b&2 != 0, MaxFragments: 1 + int(b>>2&3)}
	switch b >> 4 & 3 {
	case 0:
		l.MaxMessageBytes, l.MaxFrameBytes = 40, 30
	case 1:
		l.MaxMessageBytes, l.MaxFrameBytes = 200, 200
	case 2:
		l.MaxMessageBytes, l.MaxFrameBytes = 1<<17, 1<<16
	}
	return l
}

// FuzzGuard feeds any bytes to the Guard and the reference.
func FuzzGuard(f *testing.F) {
	for _, tc := range broken {
		f.Add(byte(0), uint64(1), tc.stream)
	}
	f.Add(byte(3), uint64(2), Append(Append(nil, Text, []byte("€")), Close, []byte{3, 232}))
	f.Fuzz(func(t *testing.T, limits byte, seed uint64, stream []byte) {
		compare(t, fuzzLimits(limits), stream, rand.New(rand.NewPCG(seed, 0)))
	})
}

// TestGuardAgainstReference does the same with streams that are mostly legal,
// which random bytes hardly ever are: one in two has one thing wrong.
func TestGuardAgainstReference(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay: go test ./edge/frame -run TestGuardAgainstReference -seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	for range rounds {
		l := fuzzLimits(byte(rng.Uint32()))
		stream := randomStream(rng, l)
		walk(t, stream)
		if rng.IntN(2) == 0 && len(stream) > 0 {
			stream[rng.IntN(len(stream))] ^= 1 << rng.IntN(8)
		}
		compare(t, l, stream, rng)
	}
}

// walk finds the frames of a stream of whole ones with Next, as an engine does
// after Scan.
func walk(t *testing.T, stream []byte) {
	t.Helper()
	for p := stream; len(p) > 0; {
		h, size := Next(p)
		if size == 0 || size > len(p) || h.Offset+h.Payload != size {
			t.Fatalf("stream % x: Next on % x: got %+v and %d", stream, p, h, size)
		}
		p = p[size:]
	}
}

// randomStream builds up to 12 legal frames within generous limits.
func randomStream(rng *rand.Rand, l Limits) []byte {
	var b []byte
	open := false
	for range rng.IntN(12) {
		fin := rng.IntN(3) > 0
		op := Opcode(rng.IntN(3))
		switch {
		case rng.IntN(4) == 0:
			op, fin = Ping+Opcode(rng.IntN(2)), true
		case open:
			op = Continuation
		case op == Continuation:
			op = Text
		}
		first := byte(op)
		if fin {
			first |= bitFIN
		}
		if l.AllowCompressed && op.Data() && rng.IntN(4) == 0 {
			first |= bitRSV1
		}
		b = appendRandom(b, rng, l.Role, first)
		if !op.Control() {
			open = !fin
		}
	}
	if rng.IntN(3) == 0 {
		b = appendSide(b, l.Role, Close, append([]byte{3, byte(0xe8 + rng.IntN(4))}, randomText(rng)...))
	}
	return b
}

// appendRandom adds a frame with a random payload.
func appendRandom(b []byte, rng *rand.Rand, role Role, first byte) []byte {
	at := len(b)
	payload := randomText(rng)
	if rng.IntN(40) == 0 {
		payload = []byte(strings.Repeat("x", rng.IntN(70000)))
	}
	b = appendSide(b, role, Binary, payload)
	b[at] = first
	if Opcode(first&maskOp).Control() && len(payload) > MaxControlPayload {
		return b[:at]
	}
	return b
}

// appendSide adds a frame as the peer of role sends it.
func appendSide(b []byte, role Role, op Opcode, payload []byte) []byte {
	if role == Server {
		return AppendMasked(b, op, payload, key)
	}
	return Append(b, op, payload)
}

// randomText has characters of every length, the edges of each among them.
func randomText(rng *rand.Rand) []byte {
	const letters = "az\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff日本語"
	runes := []rune(letters)
	var b []byte
	for range rng.IntN(12) {
		b = utf8.AppendRune(b, runes[rng.IntN(len(runes))])
	}
	return b
}

// FuzzText compares the incremental check with the standard library, at every
// split of the text in two.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain ascii, long enough for a word", "κόσμε", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xc0\xaf", "\xf0\x80\x80\x80", "\xf8"} {
		f.Add([]byte(s), uint32(0x3d21fa37))
	}
	f.Fuzz(func(t *testing.T, text []byte, k uint32) {
		at, open := firstImpossible(text)
		if at < 0 {
			at = len(text)
		}
		if valid := at == len(text) && !open; valid != utf8.Valid(text) {
			t.Fatalf("the reference disagrees with utf8.Valid on % x", text)
		}
		maskedText := bytes.Clone(text)
		Mask(maskedText, [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)})
		for cut := range len(text) + 1 {
			var s textState
			n := s.scan(maskedText[:cut], k)
			if n == cut {
				n += s.scan(maskedText[cut:], turn(k, cut))
			}
			if n != at || n == len(text) && s.complete() == open {
				t.Fatalf("% x cut at %d: got %d, complete %v, want %d, open %v", text, cut, n, s.complete(), at, open)
			}
		}
	})
}

// TestTextShort asks for every text of two bytes, and every one of up to four
// bytes whose first two begin a longer character.
func TestTextShort(t *testing.T) {
	var text [4]byte
	for i := range 1 << 16 {
		text[0], text[1] = byte(i>>8), byte(i)
		checkText(t, text[:2])
		if text[0] < 0xe0 {
			continue
		}
		for _, c := range []byte{0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff} {
			for _, d := range []byte{0x7f, 0x80, 0xbf, 0xc0} {
				text[2], text[3] = c, d
				checkText(t, text[:3])
				checkText(t, text[:4])
			}
		}
	}
}

// checkText compares one unmasked text with the reference.
func checkText(t *testing.T, text []byte) {
	t.Helper()
	var s textState
	n := s.scan(text, 0)
	at, open := firstImpossible(text)
	if at < 0 {
		at = len(text)
	}
	if n != at || n == len(text) && s.complete() == open {
		t.Errorf("% x: got %d, complete %v, want %d, open %v", text, n, s.complete(), at, open)
	}
}

// FuzzNext: no bytes make a size that is negative or smaller than the header.
func FuzzNext(f *testing.F) {
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
	f.Add(AppendMasked(nil, Text, []byte("x"), key))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size := Next(b)
		if size == 0 {
			if h != (Header{}) {
				t.Fatalf("% x: got %+v with size 0", b, h)
			}
			return
		}
		if h.Payload < 0 || h.Offset < 2 || h.Offset > MaxHeader || h.Offset+h.Payload != size {
			t.Fatalf("% x: got %+v and size %d", b, h, size)
		}
	})
}
