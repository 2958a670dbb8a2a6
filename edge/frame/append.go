package frame

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"hawser/proto/cause"
)

// Opcode says what a frame is, RFC 6455 §5.2.
type Opcode uint8

// The opcodes. 3–7 and 11–15 are reserved.
const (
	Continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

// Control reports whether op is a control frame: never fragmented, at most
// MaxControlPayload bytes, allowed between the fragments of a message.
func (op Opcode) Control() bool { return op&8 != 0 }

// Data reports whether op starts a message.
func (op Opcode) Data() bool { return op == Text || op == Binary }

// Sizes of RFC 6455 §5.2 and §5.5, in bytes.
const (
	MaxControlPayload = 125                   // of a ping, pong or close
	MaxCloseReason    = MaxControlPayload - 2 // after the status code
	MaxHeader         = 14                    // 2, a 64-bit length, a mask key
)

// The bits of the first two header bytes, RFC 6455 §5.2.
const (
	bitFIN  = 0x80
	bitRSV1 = 0x40 // compressed, RFC 7692 §6
	bitRSV2 = 0x20
	bitRSV3 = 0x10
	maskOp  = 0x0f
	bitMask = 0x80
	maskLen = 0x7f

	length16 = 126 // the length is in the next 2 bytes
	length64 = 127 // the length is in the next 8 bytes

	max16 = 1<<16 - 1 // the longest length that 2 bytes hold
)

// Append adds one unmasked FIN frame, as a server sends it, to dst and returns
// the extended slice. It panics when the payload of a control frame is longer
// than MaxControlPayload: that is a bug of the caller, never of a peer.
func Append(dst []byte, op Opcode, payload []byte) []byte {
	dst = appendHeader(dst, op, len(payload), 0)
	return append(dst, payload...)
}

// AppendCompressed adds one unmasked FIN data frame whose payload is deflated,
// RFC 7692 §6.
func AppendCompressed(dst []byte, op Opcode, payload []byte) []byte {
	start := len(dst)
	dst = Append(dst, op, payload)
	dst[start] |= bitRSV1
	return dst
}

// AppendMasked adds one masked FIN frame, as a client sends it. key must be
// fresh and unpredictable for each frame, RFC 6455 §5.3. payload is not
// changed. It panics as Append does.
func AppendMasked(dst []byte, op Opcode, payload []byte, key [4]byte) []byte {
	dst = appendHeader(dst, op, len(payload), bitMask)
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	Mask(dst[start:], key)
	return dst
}

// AppendClose adds one unmasked close frame. reason is clipped as in
// AppendClosePayload.
func AppendClose(dst []byte, code cause.Code, reason string) []byte {
	var room [MaxControlPayload]byte
	return Append(dst, Close, AppendClosePayload(room[:0], code, reason))
}

// AppendClosePayload adds the payload of a close frame: code, then as much of
// reason as fits in MaxCloseReason bytes without cutting a character in two.
// Codes that RFC 6455 §7.4.1 bars from the wire (cause.NoStatus,
// cause.PeerLost) add nothing: the frame is then a close without a code.
func AppendClosePayload(dst []byte, code cause.Code, reason string) []byte {
	if code == cause.NoStatus || code == cause.PeerLost {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, clip(reason, MaxCloseReason)...)
}

// clip returns the longest prefix of s that has at most limit bytes and ends
// between two characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Size is the length in bytes of an unmasked frame with n bytes of payload.
func Size(n int) int {
	switch {
	case n < length16:
		return 2 + n
	case n <= max16:
		return 4 + n
	default:
		return 10 + n
	}
}

// appendHeader adds a FIN header with the shortest length encoding, which
// RFC 6455 §5.2 demands. mask is bitMask or 0.
func appendHeader(dst []byte, op Opcode, n int, mask byte) []byte {
	if op.Control() && n > MaxControlPayload {
		panic(fmt.Sprintf("frame: control frame %d with %d bytes: want at most %d", op, n, MaxControlPayload))
	}
	dst = append(dst, bitFIN|byte(op))
	switch {
	case n < length16:
		return append(dst, mask|byte(n))
	case n <= max16:
		dst = append(dst, mask|length16)
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, mask|length64)
		return binary.BigEndian.AppendUint64(dst, uint64(n))
	}
}
