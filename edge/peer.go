package edge

import (
	"hawser/actors"
	"hawser/proto/cause"
	"hawser/proto/codec"
)

// Actors makes a System the Sessions of an engine.
func Actors(system *actors.System) Sessions { return actorSessions{system} }

type actorSessions struct{ system *actors.System }

// Attach implements Sessions.
func (s actorSessions) Attach(p actors.AttachParams, bind func(Peer)) {
	p.Bind = func(c *actors.Conn) { bind(actorPeer{c}) }
	s.system.Attach(p)
}

// actorPeer decodes messages for the actor of a connection. It is one pointer,
// so it costs nothing inside an interface.
type actorPeer struct{ conn *actors.Conn }

// Message implements Peer.
func (p actorPeer) Message(text bool, payload []byte) {
	protocol := p.conn.Protocol()
	if text != protocol.Text() {
		p.conn.Violate(cause.WrongDataType)
		return
	}
	messages, err := codec.DecodeClient(protocol, payload)
	if err != nil {
		p.conn.Violate(cause.BadRequest)
		return
	}
	p.conn.Receive(messages, len(payload))
}

// Ping implements Peer.
func (p actorPeer) Ping(payload []byte) { p.conn.Ping(payload) }

// Pong implements Peer.
func (p actorPeer) Pong() { p.conn.Touch() }

// Violate implements Peer.
func (p actorPeer) Violate(code cause.Code) { p.conn.Violate(code) }

// Closed implements Peer.
func (p actorPeer) Closed(code cause.Code) { p.conn.SocketClosed(code) }

// Outbox implements Peer.
func (p actorPeer) Outbox() *actors.Outbox { return p.conn.Outbox() }
