// Package codec turns the messages of one WebSocket frame into bytes and
// back, for both subprotocols. The edge, the Go SDK, the bench tool and the
// simulator share it, so there is one reading of PROTOCOL.md.
//
// It is pure: no goroutine, no state. Decoders copy what they keep, so a
// caller may reuse its frame buffer at once.
package codec

import (
	"errors"
	"fmt"

	clientv1 "hawser/proto/client/v1"
)

// Protocol is a subprotocol of the wire.
type Protocol uint8

// The subprotocols.
const (
	JSON  Protocol = iota // text frames: one object, or an array of objects
	Proto                 // binary frames: records of type byte, length, message
	protocols
)

// All lists the protocols. When a client offers several, its own order decides.
var All = [...]Protocol{Proto, JSON}

// Count is the number of protocols: the size of a table indexed by one.
const Count = int(protocols)

// Subprotocol is the name in Sec-WebSocket-Protocol.
func (p Protocol) Subprotocol() string {
	if p == Proto {
		return "hawser.v1.proto"
	}
	return "hawser.v1.json"
}

// Text reports whether p travels in text frames.
func (p Protocol) Text() bool { return p == JSON }

// Parse finds the protocol of a subprotocol name.
func Parse(subprotocol string) (Protocol, bool) {
	for _, p := range All {
		if p.Subprotocol() == subprotocol {
			return p, true
		}
	}
	return 0, false
}

// MaxMessagesPerFrame bounds the work one frame can ask for.
const MaxMessagesPerFrame = 128

// ErrMalformed is wrapped by every decoding error. The server closes with
// cause.BadRequest; it does not guess.
var ErrMalformed = errors.New("malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// DecodeClient reads the commands of one frame. A command this version does
// not know comes back with a nil Body: answer it with error 400, as a newer
// client may live without it.
func DecodeClient(p Protocol, frame []byte) ([]*clientv1.ClientMessage, error) {
	if p == Proto {
		return decodeRecords(frame, clientType, func() *clientv1.ClientMessage { return new(clientv1.ClientMessage) })
	}
	return decodeJSON(frame, clientFromJSON)
}

// DecodeServer reads the answers and pushes of one frame. Ones this version
// does not know come back with a nil Body: ignore them.
func DecodeServer(p Protocol, frame []byte) ([]*clientv1.ServerMessage, error) {
	if p == Proto {
		return decodeRecords(frame, serverType, func() *clientv1.ServerMessage { return new(clientv1.ServerMessage) })
	}
	return decodeJSON(frame, serverFromJSON)
}

// AppendClient appends m as a whole frame payload of one message.
func AppendClient(dst []byte, p Protocol, m *clientv1.ClientMessage) []byte {
	if p == Proto {
		return appendRecord(dst, clientType(m), m)
	}
	return appendClientJSON(dst, m)
}

// AppendServer appends m as a whole frame payload of one message.
func AppendServer(dst []byte, p Protocol, m *clientv1.ServerMessage) []byte {
	if p == Proto {
		return appendRecord(dst, serverType(m), m)
	}
	return appendServerJSON(dst, m)
}
