package wsconform

import (
	"fmt"
	"slices"
	"strings"

	"hawser/proto/cause"
)

// HostileDeflate lists streams for a connection on which compression is agreed
// on, the short ones a second time to be sent byte by byte, as in Hostile.
func HostileDeflate(l Limits) []Stream {
	l = l.withDefaults()
	bomb := deflate(strings.Repeat("\x00", l.MaxMessageBytes*100))
	full := deflate(strings.Repeat("\x00", l.MaxMessageBytes+1))
	list := []Stream{
		refuse("a bomb", cause.TooBig, packed(bin, bomb)),
		refuse("a bomb in fragments", cause.TooBig, frame(rsv1|bin, bomb[:40]), part(cont, bomb[40:80]), whole(cont, bomb[80:])),
		refuse("a bomb, and more behind it", cause.TooBig, packed(bin, bomb), slices.Repeat(whole(ping, "x"), 2000)),
		refuse("one byte above the limit when inflated", cause.TooBig, packed(bin, full)),
		refuse("above the limit as sent", cause.TooBig, header(fin|rsv1|bin, uint64(l.MaxMessageBytes)+1)),
		refuse("a reserved block type", cause.ProtocolError, packed(bin, "\x07")),
		refuse("a distance before the start", cause.ProtocolError, packed(bin, "\x03\x02\x00\x00")),
		refuse("a stored block with a wrong length", cause.ProtocolError, packed(bin, "\x00\x05\x00\x00\x00hello")),
		refuse("nothing at all", cause.ProtocolError, packed(bin, "")),
		refuse("noise", cause.ProtocolError, packed(text, strings.Repeat("\xff\x5a\x81", 300))),
		refuse("text cut in a character", cause.BadUTF8, packed(text, deflate("abc\xe2\x82"))),
		refuse("surrogate in fragments", cause.BadUTF8, compressed(text, "abc"+surrogate, 3)),
		refuse("a compressed ping", cause.ProtocolError, frame(fin|rsv1|ping, deflate("x"))),
		refuse("a compressed pong", cause.ProtocolError, frame(fin|rsv1|pong, deflate("x"))),
		refuse("a compressed close", cause.ProtocolError, frame(fin|rsv1|clos, "\x03\xe8")),
		refuse("a continuation with RSV1", cause.ProtocolError, part(bin, "x"), frame(fin|rsv1|cont, "y")),
		refuse("a second fragment with RSV1", cause.ProtocolError, frame(rsv1|bin, "x"), frame(fin|rsv1|cont, "y")),
		refuse("plain text that is no UTF-8", cause.BadUTF8, whole(text, "\xff")),
	}
	for bits := byte(1); bits < 8; bits++ {
		if bits != rsv1>>4 {
			list = append(list, refuse(fmt.Sprintf("reserved bits %03b", bits), cause.ProtocolError, frame(fin|bits<<4|bin, "x")))
		}
	}
	for _, s := range list {
		if len(s.Bytes) <= maxSplit {
			s.Name += ", byte by byte"
			s.Split = true
			list = append(list, s)
		}
	}
	whole := packed(bin, deflate(strings.Repeat("x", 1000)))
	return append(list, Stream{Name: "gone inside a compressed message", Bytes: whole[:len(whole)-1], Vanish: true},
		Stream{Name: "gone between compressed fragments", Bytes: frame(rsv1|bin, "x"), Vanish: true})
}

// packed builds an unfragmented frame with RSV1 around payload as it is.
func packed(op byte, payload string) []byte { return frame(fin|rsv1|op, payload) }
