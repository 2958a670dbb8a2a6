package frame

import (
	"fmt"
	"math"

	"hawser/proto/cause"
)

// Role is the side of the connection that a Guard protects.
type Role uint8

// The roles.
const (
	Server Role = iota // reads from a client: every frame must be masked
	Client             // reads from a server: no frame may be masked
)

// The defaults of Limits.
const (
	DefaultMaxMessageBytes = 64 << 10
	DefaultMaxFragments    = 1024
)

// Limits bounds what a Guard lets through.
type Limits struct {
	// Role is the side to protect. Default Server.
	Role Role
	// MaxMessageBytes bounds the payload of one message, all its fragments
	// together, as sent: compressed bytes when compressed. More closes with
	// cause.TooBig. Default DefaultMaxMessageBytes.
	MaxMessageBytes int
	// MaxFrameBytes bounds the payload of one frame. More closes with
	// cause.TooBig. Default MaxMessageBytes.
	MaxFrameBytes int
	// MaxFragments bounds the frames of one message: without it a client
	// can keep a message open for ever with empty fragments. More closes with
	// cause.TooBig. Default DefaultMaxFragments.
	MaxFragments int
	// AllowCompressed lets RSV1 through on the first frame of a message. Set
	// it only when permessage-deflate was negotiated, RFC 7692 §6.
	AllowCompressed bool
}

// Validate reports the first field that cannot work, with its value and range.
func (l Limits) Validate() error {
	switch {
	case l.Role > Client:
		return fmt.Errorf("frame: Role %d: want Server or Client", l.Role)
	case l.MaxMessageBytes < 0 || l.MaxMessageBytes > math.MaxInt32:
		return fmt.Errorf("frame: MaxMessageBytes %d: want 0 to %d", l.MaxMessageBytes, math.MaxInt32)
	case l.MaxFrameBytes < 0 || l.MaxFrameBytes > math.MaxInt32:
		return fmt.Errorf("frame: MaxFrameBytes %d: want 0 to %d", l.MaxFrameBytes, math.MaxInt32)
	case l.MaxFragments < 0 || l.MaxFragments > math.MaxInt32:
		return fmt.Errorf("frame: MaxFragments %d: want 0 to %d", l.MaxFragments, math.MaxInt32)
	}
	return nil
}

// withDefaults fills the fields left zero.
func (l Limits) withDefaults() Limits {
	if l.MaxMessageBytes == 0 {
		l.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if l.MaxFrameBytes == 0 {
		l.MaxFrameBytes = l.MaxMessageBytes
	}
	if l.MaxFragments == 0 {
		l.MaxFragments = DefaultMaxFragments
	}
	return l
}

// Guard checks one direction of one connection, byte by byte as they arrive.
// It is 48 bytes without a pointer, so a connection embeds it by value. It is
// not for concurrent use. A Guard comes from NewGuard; the zero Guard refuses
// every data frame.
type Guard struct {
	// Immutable after NewGuard.
	maxMessage   uint32 // bytes
	maxFrame     uint32 // bytes
	maxFragments uint32
	role         Role
	compressed   bool // RSV1 is allowed

	// The frame being read.
	stage  stage
	first  byte   // its first header byte
	left   uint64 // its length, then the payload bytes still to come
	key    uint32 // its mask, turned so that the low byte belongs to the next byte; 0 in a Client
	second byte   // its second header byte
	due    uint8  // bytes still to come of the long length, the key or the close code

	// The message being read.
	message   uint32 // payload bytes announced so far
	fragments uint32 // frames so far
	open      byte   // first header byte of its first frame; 0: no open message
	text      textState

	// How the stream ended.
	code   cause.Code // of the peer's close frame
	broken rule       // in stageBroken
}

// stage is where in a frame the next byte belongs.
type stage uint8

const (
	stageFirst   stage = iota // FIN, RSV, opcode
	stageSecond               // mask bit, short length
	stageLength               // long length
	stageKey                  // mask key
	stagePayload              // left bytes of payload
	stageClosed               // after a close frame; final
	stageBroken               // after a violation; final
)

// NewGuard returns a Guard at the start of a stream. It panics when l does not
// Validate.
func NewGuard(l Limits) Guard {
	if err := l.Validate(); err != nil {
		panic(err)
	}
	l = l.withDefaults()
	return Guard{
		maxMessage:   uint32(l.MaxMessageBytes),
		maxFrame:     uint32(l.MaxFrameBytes),
		maxFragments: uint32(l.MaxFragments),
		role:         l.Role,
		compressed:   l.AllowCompressed,
	}
}

// Scan looks at the next bytes of the stream, however it is split. The first
// ok bytes of p may be handed on. v is the first violation, or nil; the byte
// that breaks the rule is not handed on, nor anything after it, so a parser
// behind the Guard never holds a complete bad header or a complete bad text.
// From then on every Scan returns 0 and the same violation.
//
// Bytes after the peer's close frame mean nothing (RFC 6455 §5.5.1): Scan
// does not count them in ok and reports no violation. See CloseSeen.
//
// Scan does not change p, keep it, block or allocate.
func (g *Guard) Scan(p []byte) (ok int, v *Violation) {
	for ok < len(p) {
		n, r := g.advance(p[ok:])
		ok += n
		if r != obeyed {
			g.stage, g.broken = stageBroken, r
		}
		if g.stage >= stageClosed {
			break
		}
	}
	if g.stage == stageBroken {
		return ok, &violations[g.broken]
	}
	return ok, nil
}

// AtBoundary reports whether the stream may pause here without a trace: no
// frame partly read, no message open, not ended.
func (g *Guard) AtBoundary() bool { return g.stage == stageFirst && g.open == 0 }

// CloseSeen returns the code of the peer's close frame once Scan has passed
// all of it: cause.NoStatus when it carried none.
func (g *Guard) CloseSeen() (code cause.Code, ok bool) {
	if g.stage != stageClosed {
		return 0, false
	}
	return g.code, true
}

// advance takes at least one byte of p, unless it breaks a rule or the stream
// has ended, and returns how many it took.
func (g *Guard) advance(p []byte) (n int, r rule) {
	switch g.stage {
	case stageFirst:
		r = g.firstByte(p[0])
	case stageSecond:
		r = g.secondByte(p[0])
	case stageLength:
		r = g.lengthByte(p[0])
	case stageKey:
		return g.keyBytes(p)
	case stagePayload:
		return g.payload(p)
	default:
		return 0, g.broken
	}
	if r != obeyed {
		return 0, r
	}
	return 1, obeyed
}

// firstByte checks FIN, RSV bits and opcode against the open message.
func (g *Guard) firstByte(c byte) rule {
	op, fin := Opcode(c&maskOp), c&bitFIN != 0
	switch {
	case c&(bitRSV2|bitRSV3) != 0, c&bitRSV1 != 0 && !(g.compressed && op.Data()):
		return reservedBit
	case op > Pong, op > Binary && op < Close:
		return reservedOpcode
	case op.Control() && !fin:
		return fragmentedControl
	case op == Continuation && g.open == 0:
		return strayContinuation
	case op.Data() && g.open != 0:
		return interleavedMessage
	case !op.Control() && g.fragments == g.maxFragments:
		return tooManyFragments
	}
	if !op.Control() {
		g.fragments++
	}
	if op.Data() {
		g.open = c
	}
	g.first, g.stage = c, stageSecond
	return obeyed
}

// secondByte checks the mask bit and what a control frame may be, and learns
// how long the length is.
func (g *Guard) secondByte(c byte) rule {
	g.second = c
	n := c & maskLen
	switch op := g.op(); {
	case g.role == Server && c&bitMask == 0:
		return unmasked
	case g.role == Client && c&bitMask != 0:
		return masked
	case op.Control() && n > MaxControlPayload:
		return longControl
	case op == Close && n == 1:
		return shortClose
	}
	switch n {
	case length16:
		return g.expectLength(2)
	case length64:
		return g.expectLength(8)
	default:
		return g.announce(uint64(n))
	}
}

// expectLength starts a length of n bytes.
func (g *Guard) expectLength(n uint8) rule {
	g.left, g.due, g.stage = 0, n, stageLength
	return obeyed
}

// lengthByte takes one byte of a long length. The last one must not pass
// before the length is known to be sane: gws 1.8.9 does not check the top bit.
func (g *Guard) lengthByte(c byte) rule {
	if g.due == 8 && c&0x80 != 0 {
		return topBit
	}
	g.left = g.left<<8 | uint64(c)
	if g.due--; g.due > 0 {
		return obeyed
	}
	// RFC 6455 §5.2: "the minimal number of bytes MUST be used".
	if g.left < length16 || g.second&maskLen == length64 && g.left <= max16 {
		return longEncoding
	}
	return g.announce(g.left)
}

// announce checks a payload of n bytes against the limits, and opens what
// follows the length.
func (g *Guard) announce(n uint64) rule {
	if !g.op().Control() {
		switch {
		case n > uint64(g.maxFrame):
			return bigFrame
		case n > uint64(g.maxMessage-g.message):
			return bigMessage
		}
		g.message += uint32(n)
	}
	g.left = n
	if g.role == Client {
		return g.beginPayload()
	}
	g.due, g.stage = 4, stageKey
	return obeyed
}

// keyBytes takes what p holds of the mask key. The last byte of the header is
// not taken when an empty frame is bad as a whole.
func (g *Guard) keyBytes(p []byte) (n int, r rule) {
	for ; n < len(p) && g.due > 0; n++ {
		g.key = g.key>>8 | uint32(p[n])<<24
		g.due--
	}
	if g.due > 0 {
		return n, obeyed
	}
	if r = g.beginPayload(); r != obeyed {
		return n - 1, r
	}
	return n, obeyed
}

// beginPayload ends the header.
func (g *Guard) beginPayload() rule {
	if g.op() == Close {
		g.code, g.text = cause.NoStatus, textState{} // no message goes on after a close
		g.due = 2
	}
	if g.left == 0 {
		return g.endFrame()
	}
	g.stage = stagePayload
	return obeyed
}

// payload takes what p holds of the payload. The last byte of a frame is not
// taken when the frame as a whole is bad.
func (g *Guard) payload(p []byte) (n int, r rule) {
	p = p[:min(uint64(len(p)), g.left)]
	n, r = g.content(p)
	if r != obeyed {
		return n, r
	}
	g.left -= uint64(n)
	g.key = turn(g.key, n)
	if g.left > 0 {
		return n, obeyed
	}
	if r = g.endFrame(); r != obeyed {
		return n - 1, r
	}
	return n, obeyed
}

// content reads payload bytes of which something is demanded.
func (g *Guard) content(p []byte) (n int, r rule) {
	switch {
	case g.op() == Close && g.due > 0:
		return g.codeByte(p[0])
	case g.op() == Close, !g.op().Control() && g.textOpen():
		if n = g.text.scan(p, g.key); n < len(p) {
			return n, badUTF8
		}
	}
	return len(p), obeyed
}

// codeByte takes one byte of the status code of a close frame. Two of them
// push out the cause.NoStatus that stood for no code.
func (g *Guard) codeByte(c byte) (n int, r rule) {
	g.code = g.code<<8 | cause.Code(c^byte(g.key))
	if g.due--; g.due == 0 && !validCode(g.code) {
		return 0, badCloseCode
	}
	return 1, obeyed
}

// endFrame looks at a frame whose last byte has come.
func (g *Guard) endFrame() rule {
	g.stage = stageFirst
	switch {
	case g.op() == Close:
		g.stage = stageClosed
		if !g.text.complete() {
			return badUTF8
		}
	case g.first&bitFIN != 0 && !g.op().Control():
		if !g.text.complete() {
			return badUTF8
		}
		g.message, g.fragments, g.open = 0, 0, 0
	}
	return obeyed
}

// op is the opcode of the frame being read.
func (g *Guard) op() Opcode { return Opcode(g.first & maskOp) }

// textOpen reports whether the open message is plain text.
func (g *Guard) textOpen() bool {
	return Opcode(g.open&maskOp) == Text && g.open&bitRSV1 == 0
}

// validCode reports whether a close frame may carry code: RFC 6455 §7.4.1,
// plus 1012 to 1014 of the IANA registry, plus the ranges that §7.4.2 leaves
// to libraries and applications.
func validCode(code cause.Code) bool {
	switch {
	case code >= 3000:
		return code < 5000
	case code >= 1007:
		return code <= 1014
	default:
		return code >= 1000 && code <= 1003
	}
}
