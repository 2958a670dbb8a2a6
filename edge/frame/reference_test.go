package frame

import (
	"unicode/utf8"

	"hawser/proto/cause"
)

// The reference is the slow, obvious reading of RFC 6455: it has the whole
// stream at hand, parses one frame after the other, unmasks into new memory
// and checks texts with the standard library. The Guard must agree with it on
// every stream, however the stream is split.

// verdict is what a Guard must say after a whole stream.
type verdict struct {
	ok     int  // bytes to hand on
	rule   rule // broken, or obeyed
	closed bool
	code   cause.Code
	pause  bool // AtBoundary
}

// refMessage is the open message.
type refMessage struct {
	open, plainText bool
	payload         []byte
	frames          int
}

// reference judges a stream.
func reference(l Limits, b []byte) verdict {
	l = l.withDefaults()
	var m refMessage
	at := 0
	for at < len(b) {
		f, bad := refHeader(l, m, b[at:])
		if bad.rule != obeyed {
			return verdict{ok: at + bad.at, rule: bad.rule}
		}
		if f == nil { // the header is not whole
			return verdict{ok: len(b)}
		}
		start := at + f.size
		end := min(len(b), start+f.length)
		payload := refUnmask(b[start:end], f.key)
		if bad := refPayload(f, &m, payload, end-start == f.length); bad.rule != obeyed {
			if bad.at < 0 { // an empty payload: the last header byte tells
				return verdict{ok: start - 1, rule: bad.rule}
			}
			return verdict{ok: start + bad.at, rule: bad.rule}
		}
		if end-start < f.length {
			return verdict{ok: len(b)}
		}
		at = end
		if f.op == Close {
			return verdict{ok: at, closed: true, code: refCode(payload)}
		}
	}
	return verdict{ok: at, pause: !m.open}
}

// refFrame is one header.
type refFrame struct {
	fin, rsv1 bool
	op        Opcode
	size      int // of the header
	length    int // of the payload
	key       [4]byte
}

// refBad is a rule broken at a byte of a header or payload.
type refBad struct {
	at   int
	rule rule
}

// refHeader reads a header; nil when b ends inside it.
func refHeader(l Limits, m refMessage, b []byte) (*refFrame, refBad) {
	f := &refFrame{fin: b[0]>>7 == 1, rsv1: b[0]>>6&1 == 1, op: Opcode(b[0] & 15)}
	data := f.op == Text || f.op == Binary
	control := f.op == Close || f.op == Ping || f.op == Pong
	switch {
	case b[0]>>5&1 == 1, b[0]>>4&1 == 1:
		return nil, refBad{0, reservedBit}
	case f.rsv1 && !l.AllowCompressed, f.rsv1 && !data:
		return nil, refBad{0, reservedBit}
	case !data && !control && f.op != Continuation:
		return nil, refBad{0, reservedOpcode}
	case control && !f.fin:
		return nil, refBad{0, fragmentedControl}
	case f.op == Continuation && !m.open:
		return nil, refBad{0, strayContinuation}
	case data && m.open:
		return nil, refBad{0, interleavedMessage}
	case !control && m.frames+1 > l.MaxFragments:
		return nil, refBad{0, tooManyFragments}
	}
	if len(b) < 2 {
		return nil, refBad{}
	}
	hasMask, n := b[1]>>7 == 1, int(b[1]&127)
	switch {
	case l.Role == Server && !hasMask:
		return nil, refBad{1, unmasked}
	case l.Role == Client && hasMask:
		return nil, refBad{1, masked}
	case control && n > 125:
		return nil, refBad{1, longControl}
	case f.op == Close && n == 1:
		return nil, refBad{1, shortClose}
	}
	return refLength(l, m, f, b, hasMask, control)
}

// refLength reads the length and key of a header.
func refLength(l Limits, m refMessage, f *refFrame, b []byte, hasMask, control bool) (*refFrame, refBad) {
	wide := map[byte]int{126: 2, 127: 8}[b[1]&127]
	if wide == 8 && len(b) > 2 && b[2] >= 0x80 {
		return nil, refBad{2, topBit}
	}
	if len(b) < 2+wide {
		return nil, refBad{}
	}
	n := uint64(b[1] & 127)
	if wide > 0 {
		n = 0
		for _, c := range b[2 : 2+wide] {
			n = n*256 + uint64(c)
		}
	}
	last := 1 + wide
	switch {
	case wide == 2 && n < 126, wide == 8 && n < 65536:
		return nil, refBad{last, longEncoding}
	case !control && n > uint64(l.MaxFrameBytes):
		return nil, refBad{last, bigFrame}
	case !control && uint64(len(m.payload))+n > uint64(l.MaxMessageBytes):
		return nil, refBad{last, bigMessage}
	}
	f.length, f.size = int(n), 2+wide
	if hasMask {
		if len(b) < f.size+4 {
			return nil, refBad{}
		}
		copy(f.key[:], b[f.size:])
		f.size += 4
	}
	return f, refBad{}
}

// refUnmask copies p unmasked.
func refUnmask(p []byte, key [4]byte) []byte {
	out := make([]byte, len(p))
	for i := range p {
		out[i] = p[i] ^ key[i%4]
	}
	return out
}

// refPayload judges what has come of a payload and adds it to the message. A
// negative index in refBad.at is the last byte of the header.
func refPayload(f *refFrame, m *refMessage, p []byte, whole bool) refBad {
	switch f.op {
	case Ping, Pong:
		return refBad{}
	case Close:
		if len(p) < 2 {
			return refBad{}
		}
		if !refValidCode(int(refCode(p))) {
			return refBad{1, badCloseCode}
		}
		return refText(p[2:], 2, len(p), whole)
	case Text, Binary:
		*m = refMessage{open: true, plainText: f.op == Text && !f.rsv1}
	}
	before := len(m.payload)
	m.payload = append(m.payload, p...)
	m.frames++
	if m.plainText {
		if bad := refText(m.payload, -before, len(p), whole && f.fin); bad.rule != obeyed {
			return bad
		}
	}
	if whole && f.fin {
		*m = refMessage{}
	}
	return refBad{}
}

// refText judges a text of which all but the last bytes were fine before.
// shift turns an index of the text into one of the payload, which has n bytes.
func refText(text []byte, shift, n int, whole bool) refBad {
	at, open := firstImpossible(text)
	switch {
	case at >= 0:
		return refBad{at + shift, badUTF8}
	case open && whole:
		return refBad{n - 1, badUTF8}
	}
	return refBad{}
}

// firstImpossible returns the index of the first byte at which no valid text
// can begin with text[:index+1], or -1, and whether text ends inside a
// character. It leans on utf8.FullRune, which calls a prefix full exactly when
// no more bytes could make it valid or it is valid.
func firstImpossible(text []byte) (at int, open bool) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r != utf8.RuneError || size != 1 {
			i += size
			continue
		}
		for k := 1; k <= len(text)-i; k++ {
			if utf8.FullRune(text[i : i+k]) {
				return i + k - 1, false
			}
		}
		return -1, true
	}
	return -1, false
}

// refCode is the status code of a close payload.
func refCode(p []byte) cause.Code {
	if len(p) < 2 {
		return cause.NoStatus
	}
	return cause.Code(int(p[0])*256 + int(p[1]))
}

// refValidCode is the IANA WebSocket Close Code registry, spelled out.
func refValidCode(code int) bool {
	switch code {
	case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}
