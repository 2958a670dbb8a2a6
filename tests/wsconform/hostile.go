package wsconform

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"hawser/proto/cause"
)

// Stream is what a broken or hostile client sends after the handshake.
type Stream struct {
	Name  string
	Bytes []byte

	// Codes are the close codes with which a server may end the connection;
	// it must send one of them. Empty when it must not end it.
	Codes []cause.Code
	// Survives: the server may also go on, and then answers a ping.
	Survives bool
	// Split: each byte is sent on its own.
	Split bool
	// Vanish: the client closes TCP after the bytes. There is nobody left to
	// send a code to: the test looks for what the server still holds.
	Vanish bool
}

// Hostile lists streams for a server with these limits, the short ones a
// second time to be sent byte by byte. None holds a complete message before
// what is wrong with it, so the subprotocol does not matter. Slow handshakes
// and clients that never read are not here: they need the edge's own clocks
// and counters.
func Hostile(l Limits) []Stream {
	l = l.withDefaults()
	list := slices.Concat(badHeaders(), badLengths(l), badControls(), badMessages(l), badTexts(), noise())
	for _, s := range list {
		if len(s.Bytes) <= maxSplit {
			s.Name += ", byte by byte"
			s.Split = true
			list = append(list, s)
		}
	}
	return slices.Concat(list, floods(), vanishing())
}

// maxSplit is the longest stream, in bytes, that is also sent byte by byte.
const maxSplit = 32

// Check opens a connection, sends the stream and returns an error when the
// server does not behave. patience is how long each answer may take.
func (s Stream) Check(dial Dial, patience time.Duration) error {
	conn, err := dial()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	p := newPeer(conn, true)
	defer p.close()
	piece := max(1, len(s.Bytes))
	if s.Split {
		piece = 1
	}
	for b := range slices.Chunk(s.Bytes, piece) {
		p.write(b, patience)
	}
	if s.Vanish {
		return nil
	}
	if s.Survives {
		p.write(whole(ping, stillThere), patience)
	}
	settled := p.wait(patience, func(got []event, ended bool) bool {
		return closedOrEnded(got, ended) || s.Survives && slices.Contains(got, event{op: pong, data: stillThere})
	})
	if !settled {
		return fmt.Errorf("%s: no answer within %v", s.Name, patience)
	}
	return s.judge(p, patience)
}

// stillThere is the payload of the ping that a surviving server answers.
const stillThere = "still there?"

// judge looks at how the server took it.
func (s Stream) judge(p *peer, patience time.Duration) error {
	got := p.events()
	i := closeIndex(got)
	if i < 0 {
		if s.Survives && slices.Contains(got, event{op: pong, data: stillThere}) {
			return nil
		}
		return fmt.Errorf("%s: dropped without a close frame, want one of %d", s.Name, s.Codes)
	}
	if code := cause.Code(got[i].code); !slices.Contains(s.Codes, code) {
		return fmt.Errorf("%s: got %v, want one of %d", s.Name, got[i], s.Codes)
	}
	p.write(closing(1000, ""), patience)
	if !p.wait(patience, func(_ []event, ended bool) bool { return ended }) {
		return fmt.Errorf("%s: TCP still open %v after the close frames", s.Name, patience)
	}
	return nil
}

// refuse is a stream that must end with one code.
func refuse(name string, code cause.Code, parts ...[]byte) Stream {
	return Stream{Name: name, Bytes: slices.Concat(parts...), Codes: []cause.Code{code}}
}

// header is the start of a masked frame with a 64-bit length, and no payload.
func header(first byte, length uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{first, mask | 127}, length)
	return append(b, 1, 2, 3, 4)
}

// badHeaders are wrong in their first two bytes.
func badHeaders() []Stream {
	list := []Stream{
		refuse("unmasked text", cause.ProtocolError, []byte{fin | text, 2, 'h', 'i'}),
		refuse("unmasked ping", cause.ProtocolError, []byte{fin | ping, 0}),
		refuse("unmasked close", cause.ProtocolError, []byte{fin | clos, 2, 3, 232}),
	}
	for bits := byte(1); bits < 8; bits++ {
		list = append(list, refuse(fmt.Sprintf("reserved bits %03b", bits), cause.ProtocolError, frame(fin|bits<<4|bin, "x")))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		list = append(list, refuse(fmt.Sprintf("opcode %d", op), cause.ProtocolError, whole(op, "x")))
	}
	return list
}

// badLengths lie about their length or announce too much. No payload follows:
// the header alone must be enough.
func badLengths(l Limits) []Stream {
	limit := uint64(l.MaxMessageBytes)
	list := []Stream{
		refuse("length of 2^63-1", cause.TooBig, header(fin|bin, 1<<63-1)),
		refuse("length of 2^32", cause.TooBig, header(fin|bin, 1<<32)),
		refuse("length of 2^31", cause.TooBig, header(fin|bin, 1<<31)),
		refuse("one byte above the limit", cause.TooBig, whole(bin, strings.Repeat("x", int(limit)+1))[:14]),
		refuse("16-bit length for 125 bytes", cause.ProtocolError, []byte{fin | bin, mask | 126, 0, 125, 1, 2, 3, 4}),
		refuse("16-bit length for nothing", cause.ProtocolError, []byte{fin | bin, mask | 126, 0, 0, 1, 2, 3, 4}),
		refuse("64-bit length for 65535 bytes", cause.ProtocolError, header(fin|bin, 65535)),
		refuse("64-bit length for nothing", cause.ProtocolError, header(fin|bin, 0)),
		refuse("ping with a 64-bit length", cause.ProtocolError, header(fin|ping, 1<<63)),
		refuse("top bit in a continuation", cause.ProtocolError, part(bin, "x"), header(fin|cont, 1<<63)),
		refuse("top bit, unmasked", cause.ProtocolError, []byte{fin | bin, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}),
	}
	for _, n := range []uint64{1 << 63, 1<<63 + 1, 1<<64 - 1, 1<<64 - 4, 1<<64 - 10} {
		list = append(list, refuse(fmt.Sprintf("length %#x with the top bit set", n), cause.ProtocolError, header(fin|bin, n)))
	}
	return list
}

// badControls are control frames that no peer may send.
func badControls() []Stream {
	list := []Stream{
		refuse("ping without FIN", cause.ProtocolError, part(ping, "x")),
		refuse("pong without FIN", cause.ProtocolError, part(pong, "x")),
		refuse("close without FIN", cause.ProtocolError, frame(clos, "\x03\xe8")),
		refuse("ping of 126 bytes", cause.ProtocolError, whole(ping, strings.Repeat("x", 126))),
		refuse("close of 126 bytes", cause.ProtocolError, closing(1000, strings.Repeat("x", 124))),
		refuse("close with half a code", cause.ProtocolError, whole(clos, "\x03")),
		refuse("close with a reason that is no UTF-8", cause.BadUTF8, closing(1000, "\xff")),
		refuse("close with a reason cut in a character", cause.BadUTF8, closing(1000, "\xe2\x82")),
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		list = append(list, refuse(fmt.Sprintf("close %d", code), cause.ProtocolError, closing(code, "")))
	}
	return list
}

// badMessages are wrong as a sequence of frames.
func badMessages(l Limits) []Stream {
	half := part(bin, strings.Repeat("x", l.MaxMessageBytes/2+1))
	empty := slices.Repeat(part(cont, ""), l.MaxFragments)
	single := slices.Repeat(part(cont, "x"), l.MaxFragments)
	return []Stream{
		refuse("continuation of nothing", cause.ProtocolError, whole(cont, "x")),
		refuse("continuation of nothing without FIN", cause.ProtocolError, part(cont, "x")),
		refuse("text inside a text", cause.ProtocolError, part(text, "x"), whole(text, "y")),
		refuse("binary inside a text", cause.ProtocolError, part(text, "x"), part(bin, "y")),
		refuse("fragments above the limit together", cause.TooBig, half, frame(cont, strings.Repeat("x", l.MaxMessageBytes/2+1))),
		refuse("empty fragments without end", cause.TooBig, part(bin, ""), empty),
		refuse("fragments of one byte without end", cause.TooBig, part(bin, "x"), single),
	}
}

// badTexts are no UTF-8.
func badTexts() []Stream {
	list := []Stream{
		refuse("text cut in a character", cause.BadUTF8, whole(text, "abc\xe2\x82")),
		refuse("fragments cut in a character", cause.BadUTF8, part(text, "\xe2\x82"), whole(cont, "")),
		refuse("surrogate over three fragments", cause.BadUTF8, part(text, "\xed"), part(cont, "\xa0"), whole(cont, "\x80")),
		refuse("impossible byte in an open frame", cause.BadUTF8, whole(text, "ok\xff"+strings.Repeat("x", 100))[:9]),
	}
	for _, s := range []string{"\x80", "\xc0\xaf", surrogate, above, "\xfe"} {
		list = append(list, refuse(fmt.Sprintf("text % x", s), cause.BadUTF8, whole(text, s)))
	}
	return list
}

// floodFrames is how many legal frames a flood has.
const floodFrames = 10_000

// floods are legal frames, too many of them.
func floods() []Stream {
	flood := func(name string, frame []byte) Stream {
		return Stream{Name: name, Bytes: slices.Repeat(frame, floodFrames), Survives: true, Codes: []cause.Code{cause.RateLimited, cause.SlowConsumer}}
	}
	return []Stream{
		flood("flood of empty pings", whole(ping, "")),
		flood("flood of pings of 125 bytes", whole(ping, strings.Repeat("x", 125))),
		flood("flood of pongs", whole(pong, "x")),
	}
}

// noise is what other protocols and lost clients send.
func noise() []Stream {
	return []Stream{
		refuse("an HTTP request", cause.ProtocolError, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
		refuse("a TLS handshake", cause.ProtocolError, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")),
		refuse("zeros", cause.ProtocolError, make([]byte, 4096)),
		refuse("ones", cause.ProtocolError, slices.Repeat([]byte{0xff}, 4096)),
		{Name: "garbage after a close", Bytes: append(closing(1000, ""), "\xff\xff\xff\xff"...), Codes: []cause.Code{1000}},
		{Name: "a close inside a message", Bytes: slices.Concat(part(text, "x"), closing(1000, "")), Codes: []cause.Code{1000}},
	}
}

// vanishing clients leave the server in the middle of something.
func vanishing() []Stream {
	message := whole(bin, strings.Repeat("x", 1000))
	var list []Stream
	for _, cut := range []int{0, 1, 2, 3, 6, 8, 500, len(message) - 1} {
		list = append(list, Stream{Name: fmt.Sprintf("gone after %d bytes of a frame", cut), Bytes: message[:cut], Vanish: true})
	}
	return append(list,
		Stream{Name: "gone inside a message", Bytes: part(bin, "x"), Vanish: true},
		Stream{Name: "gone after a close frame", Bytes: closing(1001, ""), Vanish: true})
}
