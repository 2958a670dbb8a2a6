package edge

import (
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
	payload := codec.AppendServer(make([]byte, 0, 256), p, m)
	return actors.NewFrame(frame.Append(make([]byte, 0, len(payload)+10), op, payload))
}

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
