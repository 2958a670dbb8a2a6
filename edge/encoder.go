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
type Encoder struct{}

var _ actors.Encoder = Encoder{}

// Message implements actors.Encoder.
func (Encoder) Message(p codec.Protocol, m *clientv1.ServerMessage) *actors.Frame {
	op := frame.Binary
	if p.Text() {
		op = frame.Text
	}
	scratch := scratchPool.Get().(*[]byte)
	payload := codec.AppendServer((*scratch)[:0], p, m)
	f := actors.NewFrame(frame.Append(make([]byte, 0, frame.Size(len(payload))), op, payload))
	if cap(payload) <= maxScratchBytes {
		*scratch = payload
		scratchPool.Put(scratch)
	}
	return f
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
