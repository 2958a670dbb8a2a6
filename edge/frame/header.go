package frame

import (
	"encoding/binary"
	"math"
)

// Header is what the first bytes of a frame say.
type Header struct {
	Op      Opcode
	FIN     bool
	RSV1    bool // compressed, when the extension was negotiated
	Masked  bool
	Key     [4]byte // zero when not Masked
	Offset  int     // of the payload, in bytes from the start of the frame
	Payload int     // length in bytes
}

// Next reads the header of the frame at the start of b. size is the length of
// the whole frame, header included, or 0 while b does not hold the whole
// header; the frame is complete when size <= len(b).
//
// Next finds frames, it does not judge them: give it bytes that a Guard has
// passed. A length that no int can hold comes back as a size of math.MaxInt,
// never as a negative number.
func Next(b []byte) (h Header, size int) {
	if len(b) < 2 {
		return Header{}, 0
	}
	h = Header{
		Op:     Opcode(b[0] & maskOp),
		FIN:    b[0]&bitFIN != 0,
		RSV1:   b[0]&bitRSV1 != 0,
		Masked: b[1]&bitMask != 0,
		Offset: headerSize(b[1]),
	}
	if len(b) < h.Offset {
		return Header{}, 0
	}
	if h.Masked {
		h.Key = [4]byte(b[h.Offset-4 : h.Offset])
	}
	n := payloadLength(b)
	if n > math.MaxInt-MaxHeader {
		h.Payload = math.MaxInt - h.Offset
		return h, math.MaxInt
	}
	h.Payload = int(n)
	return h, h.Offset + h.Payload
}

// headerSize is the length in bytes of the header whose second byte is b1.
func headerSize(b1 byte) int {
	size := 2
	switch b1 & maskLen {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if b1&bitMask != 0 {
		size += 4
	}
	return size
}

// payloadLength reads the length from a whole header.
func payloadLength(b []byte) uint64 {
	switch n := b[1] & maskLen; n {
	case length16:
		return uint64(binary.BigEndian.Uint16(b[2:]))
	case length64:
		return binary.BigEndian.Uint64(b[2:])
	default:
		return uint64(n)
	}
}

// Mask masks or unmasks p in place, RFC 6455 §5.3: the operation is its own
// inverse. key[0] belongs to p[0].
func Mask(p []byte, key [4]byte) {
	k := binary.LittleEndian.Uint32(key[:])
	wide := widen(k)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}

// widen repeats a mask key to the width of a word.
func widen(key uint32) uint64 { return uint64(key)<<32 | uint64(key) }
