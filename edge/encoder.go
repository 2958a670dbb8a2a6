package edge

import (
	"sync"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// Encoder makes the server's WebSocket frames. It has no state.
type Encoder struct {
	// CompressMinBytes is how long a message must be to be compressed for the
	// connections that agreed on it, RFC 7692 §6: below it the gain is not
	// worth the work. 0 compresses whatever gets shorter.
	CompressMinBytes int
}

var _ actors.Encoder = Encoder{}

// Message implements actors.Encoder.
func (e Encoder) Message(w actors.Wire, m *clientv1.ServerMessage) *actors.Frame {
	op := frame.Binary
	if w.Protocol.Text() {
		op = frame.Text
	}
	scratch := scratchPool.Get().(*[]byte)
	payload := codec.AppendServer((*scratch)[:0], w.Protocol, m)
	var b []byte
	// A resume token is not compressed: the length of a frame would tell about
	// it beside text that others chose (CRIME).
	if w.Deflate && len(payload) >= e.CompressMinBytes && m.GetConnected() == nil {
		b = deflated(op, payload)
	}
	if b == nil {
		b = frame.Append(make([]byte, 0, frame.Size(len(payload))), op, payload)
	}
	if cap(payload) <= maxScratchBytes {
		*scratch = payload
		scratchPool.Put(scratch)
	}
	return actors.NewFrame(b)
}

// scratchPool lends payload buffers, so that a frame is allocated once, at its
// size: it may wait in an outbox.
var scratchPool = sync.Pool{New: func() any { return new([]byte) }}

const maxScratchBytes = 64 << 10

// Ping implements actors.Encoder.
func (Encoder) Ping() *actors.Frame { return actors.NewFrame(frame.Append(nil, frame.Ping, nil)) }

// Pong implements actors.Encoder.
func (Encoder) Pong(payload []byte) *actors.Frame {
	return actors.NewFrame(frame.Append(nil, frame.Pong, payload))
}

// Close implements actors.Encoder: the code and, as reason, the cause's name.
func (Encoder) Close(c cause.Code) *actors.Frame {
	return actors.NewFrame(frame.AppendClose(nil, c, cause.Of(c).Name))
}
