package edge

import (
	"context"
	"net"
	"time"

	"hawser/actors"
	"hawser/proto/cause"
)

// Engine accepts sockets and moves their bytes. There are two kinds: one
// goroutine per connection (goroutineEngine), and epoll loops.
type Engine interface {
	// Name is what edge.engine calls it.
	Name() string
	// Serve accepts from ln until Stop; it returns nil then.
	Serve(ln net.Listener) error
	// Stop closes the listener. Connections that are up stay.
	Stop()
	// Close cuts every connection and waits for all goroutines, until ctx
	// ends.
	Close(ctx context.Context) error
}

// Sessions takes the connections whose handshake is done. The node's is
// Actors(system); conformance tests have one that echoes.
type Sessions interface {
	// Attach calls bind with the connection's Peer before anything can use the
	// Transport, and never after it returned.
	Attach(p actors.AttachParams, bind func(Peer))
}

// Peer is what an engine tells about one connection. All calls come from the
// goroutine that reads the socket, in order; none may block on the network.
type Peer interface {
	// Message is one whole data message; payload is valid during the call.
	Message(text bool, payload []byte)
	// Ping and Pong are control frames; payload is valid during the call.
	Ping(payload []byte)
	Pong()
	// Violate says that the client broke the protocol. The engine reads no
	// further frame.
	Violate(code cause.Code)
	// Closed is the last call: the socket is gone. code is the client's close
	// code, or cause.PeerLost.
	Closed(code cause.Code)
	// Outbox holds what the engine has to write.
	Outbox() *actors.Outbox
}

// Recorder counts what happens below the actors; edge/metrics implements it.
// Calls are cheap, safe for concurrent use, and never block.
type Recorder interface {
	// Refused counts a handshake that was turned down.
	Refused(r *Refusal)
	// Handshake counts a completed one, with the time since accept.
	Handshake(took time.Duration)
	// Wrote counts one write: frames, bytes, and whether the socket was full.
	Wrote(frames, bytes int, blocked bool)
	// Read counts the bytes of one data frame of a client.
	Read(bytes int)
}
