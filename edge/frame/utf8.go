package frame

import (
	"encoding/binary"
	"math/bits"
)

// textState is a UTF-8 check stopped between two bytes. The zero value is the
// start of a text.
type textState struct {
	need   uint8 // continuation bytes still due for the open character
	lo, hi uint8 // what the next one may be, when need is above 0
}

// highBits is the top bit of each byte of a word: clear in ASCII.
const highBits = 0x8080808080808080

// scan checks masked text as far as it goes and returns how many bytes of p
// are fine: len(p), or the index of the first byte that no valid text has
// there. key is turned so that its low byte belongs to p[0]; 0 when unmasked.
func (s *textState) scan(p []byte, key uint32) int {
	for i := 0; i < len(p); {
		if s.need == 0 {
			i += ascii(p[i:], turn(key, i))
			i += characters(p[i:], turn(key, i))
			if i == len(p) {
				break
			}
		}
		if !s.step(p[i] ^ byte(turn(key, i))) {
			return i
		}
		i++
	}
	return len(p)
}

// complete reports whether the text may end here.
func (s *textState) complete() bool { return s.need == 0 }

// ascii returns how many bytes at the start of p are surely ASCII. It looks
// at whole words, and at single bytes only for the tail.
func ascii(p []byte, key uint32) int {
	wide := widen(key)
	n := 0
	for len(p)-n >= 8 {
		word := (binary.LittleEndian.Uint64(p[n:]) ^ wide) & highBits
		if word != 0 {
			return n + bits.TrailingZeros64(word)/8
		}
		n += 8
	}
	for n < len(p) && (p[n]^byte(turn(key, n)))&0x80 == 0 {
		n++
	}
	return n
}

// characters returns how many bytes at the start of p are surely whole
// characters of 2 to 4 bytes. Anything it is not sure of is for step.
func characters(p []byte, key uint32) int {
	n := 0
	for len(p)-n >= 4 {
		size := character(binary.LittleEndian.Uint32(p[n:]) ^ turn(key, n))
		if size == 0 {
			break
		}
		n += size
	}
	return n
}

// character returns the length of the multi-byte character at the low end of
// word, or 0 when there is none or it is not valid. The limits are those of
// step, as masks over the lead byte and the one after it.
func character(word uint32) int {
	switch {
	case word&0xc0e0 == 0x80c0 && word&0x1e != 0:
		return 2
	case word&0xc0c0f0 == 0x8080e0 && word&0x200f != 0 && word&0x200f != 0x200d:
		return 3
	case word&0xc0c0c0f8 == 0x808080f0 && word&0x3007 != 0 && word&7 < 4:
		return 4 // below plane 16, which is for private use: step may have it
	}
	return 0
}

// turn rotates a mask key by n payload bytes.
func turn(key uint32, n int) uint32 { return bits.RotateLeft32(key, -8*(n&3)) }

// step takes one byte and reports whether a valid text can go on with it.
// The ranges are table 3-7 of the Unicode standard, which RFC 3629 §4 repeats:
// they bar overlong forms, surrogates and anything above U+10FFFF at the
// second byte of a character, the first at which it can be known.
func (s *textState) step(c byte) bool {
	if s.need > 0 {
		if c < s.lo || c > s.hi {
			return false
		}
		s.need--
		s.lo, s.hi = 0x80, 0xbf
		return true
	}
	s.lo, s.hi = 0x80, 0xbf
	switch {
	case c < 0x80:
		return true
	case c < 0xc2: // a continuation byte, or an overlong form of ASCII
		return false
	case c < 0xe0:
		s.need = 1
	case c < 0xf0:
		s.need = 2
	case c < 0xf5:
		s.need = 3
	default:
		return false
	}
	switch c { // the leads after which not every continuation byte may come
	case 0xe0:
		s.lo = 0xa0 // below U+0800 is overlong
	case 0xed:
		s.hi = 0x9f // U+D800 to U+DFFF are surrogates
	case 0xf0:
		s.lo = 0x90 // below U+10000 is overlong
	case 0xf4:
		s.hi = 0x8f // above U+10FFFF is nothing
	}
	return true
}
