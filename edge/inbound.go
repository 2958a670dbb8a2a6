package edge

import (
	"bytes"
	"net"
	"time"
	"unicode/utf8"

	"hawser/edge/frame"
	"hawser/proto/cause"
)

// maxDiscardBytes is how much is read from a client that broke the protocol,
// so that it sees our close frame rather than a reset.
const maxDiscardBytes = 1 << 20

// host is the socket around an inbound: it knows the peer, and what to do when
// the client closes.
type host interface {
	// closing reports whether a close frame is queued: then only the client's
	// is of interest.
	closing() bool
	// gone is called when the client broke the protocol, before its Peer is
	// told: nothing it sends means anything any more.
	gone()
	// closed is called when the client's close frame has come.
	closed(code cause.Code)
	// unfold gives gws the raw frames of one whole message, and sink the result.
	// It returns what is wrong with the message, or 0.
	unfold(message []byte, sink func(text bool, payload []byte)) cause.Code
	recorder() Recorder
}

// inbound turns the bytes of one client into calls of its Peer, the same way
// in both engines. It is 64 bytes without anything allocated while no frame or
// message is incomplete. Only the goroutine that reads the socket uses it.
type inbound struct {
	guard frame.Guard // set when the handshake has settled the extension
	rest  *remainder  // nil unless something is incomplete
	drops int32       // bytes dropped since the client broke the protocol
	deaf  bool        // the client broke the protocol
}

// remainder is what a connection owns while something is incomplete: an HTTP
// head, a frame, a fragmented message.
type remainder struct {
	accepted time.Time // in the poll engine's handshake
	proxied  bool      // in the poll engine's handshake: a PROXY header comes first
	tail     []byte    // bytes from the start of the head or frame
	message  []byte    // complete frames of the open message, raw
}

// take handles bytes in the order in which they came; it may change b. It
// reports false when the socket is to be closed without further ado.
func (in *inbound) take(b []byte, h host, peer Peer) bool {
	if in.deaf {
		in.drops += int32(len(b))
		return in.drops <= maxDiscardBytes
	}
	ok, violation := in.guard.Scan(b)
	left := b[:ok]
	if in.rest != nil && len(in.rest.tail) > 0 {
		in.rest.tail = append(in.rest.tail, left...)
		left = in.rest.tail
	}
	left = in.run(left, h, peer)
	if in.deaf {
		return true
	}
	in.keep(left)
	// The good frames before a violation count; only now it takes effect.
	if violation != nil {
		in.fail(h, peer, violation.Code)
	}
	return true
}

func (in *inbound) fail(h host, peer Peer, code cause.Code) {
	in.deaf, in.rest = true, nil
	h.gone()
	peer.Violate(code)
}

// keep stores an incomplete frame; memory follows the bytes that came, never
// a length that was announced.
func (in *inbound) keep(left []byte) {
	switch {
	case len(left) == 0 && (in.rest == nil || in.rest.message == nil):
		in.rest = nil
	case len(left) == 0:
		in.rest.tail = nil
	case in.rest == nil:
		in.rest = &remainder{tail: bytes.Clone(left)}
	case len(in.rest.tail) == 0:
		in.rest.tail = bytes.Clone(left)
	case len(left) == len(in.rest.tail): // nothing was complete: it is the tail itself
	default: // left is the end of the tail
		in.rest.tail = in.rest.tail[:copy(in.rest.tail, left)]
	}
}

// run runs the complete frames at the start of b and returns the rest.
func (in *inbound) run(b []byte, h host, peer Peer) []byte {
	for !in.deaf {
		head, size := frame.Next(b)
		if size == 0 || size > len(b) {
			break
		}
		in.runFrame(head, b[:size], h, peer)
		b = b[size:]
	}
	return b
}

// runFrame is the fast path: control frames and whole uncompressed messages
// need nothing but their mask taken off, and the guard has checked the rest.
// Everything else goes to gws once its message is complete.
func (in *inbound) runFrame(head frame.Header, raw []byte, h host, peer Peer) {
	payload := raw[head.Offset:]
	switch {
	case head.Op == frame.Close:
		if code, ok := in.guard.CloseSeen(); ok {
			h.closed(code)
		}
	case h.closing(): // only the close frame is of interest
	case head.Op == frame.Ping:
		frame.Mask(payload, head.Key)
		peer.Ping(payload)
	case head.Op == frame.Pong:
		peer.Pong()
	case head.FIN && head.Op.Data() && !head.RSV1:
		frame.Mask(payload, head.Key)
		h.recorder().Read(len(payload))
		peer.Message(head.Op == frame.Text, payload)
	default:
		in.collect(head, raw, h, peer)
	}
}

// collect gathers the frames of a message and gives gws the whole.
func (in *inbound) collect(head frame.Header, raw []byte, h host, peer Peer) {
	if in.rest == nil {
		in.rest = new(remainder)
	}
	in.rest.message = append(in.rest.message, raw...)
	if !head.FIN {
		return
	}
	message := in.rest.message
	in.rest.message = nil
	first, _ := frame.Next(message)
	notUTF8 := false
	bad := h.unfold(message, func(text bool, payload []byte) {
		if notUTF8 = text && first.RSV1 && !utf8.Valid(payload); notUTF8 { // the guard cannot see inside
			return
		}
		h.recorder().Read(len(payload))
		peer.Message(text, payload)
	})
	if notUTF8 {
		bad = cause.BadUTF8
	}
	if bad != 0 {
		in.fail(h, peer, bad)
	}
}

// capture is the net.Conn that gws writes its 101 to.
type capture struct {
	net.Conn
	written []byte
}

// Write implements net.Conn.
func (c *capture) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	return len(p), nil
}

// SetDeadline implements net.Conn.
func (c *capture) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *capture) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *capture) SetWriteDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (c *capture) Close() error { return nil }
