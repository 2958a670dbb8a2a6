package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"hawser/actors"
	"hawser/proto/cause"
	"hawser/proto/codec"
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

// core is what both engines are made of.
type core struct {
	// Immutable after init.
	config    Config
	admission *admission
	sessions  Sessions
	recorder  Recorder
	log       *slog.Logger
	ready     func() error
	upgraders [codec.Count]*gws.Upgrader
	health    *gws.Upgrader
	web       *webServer // nil without Config.Fallback
	inflows   *inflows

	conns    sync.WaitGroup // sockets, handshakes included
	stopping atomic.Bool
	lastFail atomic.Int64 // unix second of the last logged panic
}

func (e *core) init(c Config, a *admission, d Deps) {
	e.config, e.admission, e.sessions, e.recorder = c, a, d.Sessions, d.Recorder
	e.log, e.ready = d.Logger, d.Ready
	for p := range codec.Protocol(codec.Count) {
		e.upgraders[p] = newUpgrader(c, p.Subprotocol())
	}
	e.health = newUpgrader(c, "")
	e.web = newWebServer(c.Fallback, d.Logger)
	e.inflows = newInflows(c)
}

// newUpgrader configures gws for the least memory: no session map, no parallel
// reads. UTF-8 is the guard's business, which is stricter.
func newUpgrader(c Config, subprotocol string) *gws.Upgrader {
	o := &gws.ServerOption{
		ReadMaxPayloadSize: c.MaxMessageBytes,
		ParallelGolimit:    1,
		NewSession:         func() gws.SessionStorage { return nil },
		HandshakeTimeout:   c.HeaderTimeout,
		PermessageDeflate:  c.deflateOption(1), // to agree on it; nothing is read with this one
	}
	if subprotocol != "" {
		o.SubProtocols = []string{subprotocol}
	}
	return gws.NewUpgrader(new(gws.BuiltinEventHandler), o)
}

// enter counts a socket in by the address it will be counted out by. proxied
// says that a PROXY header comes first and names the client.
func (e *core) enter(peer netip.Addr) (remote netip.Addr, proxied bool, refusal *Refusal) {
	if proxied = e.config.trusts(peer); !proxied {
		remote = countedAddr(peer)
	}
	if refusal = e.admission.enter(remote); refusal != nil {
		e.recorder.Refused(refusal)
		return remote, proxied, refusal
	}
	e.conns.Add(1)
	return e.counted(remote), proxied, nil
}

// counted is the address that a socket is to be counted out by: none when it
// was not counted in, as a limit per address may begin while it is up.
func (e *core) counted(remote netip.Addr) netip.Addr {
	if e.admission.counts(remote) {
		return remote
	}
	return netip.Addr{}
}

// leave counts a socket out.
func (e *core) leave(remote netip.Addr) {
	e.admission.leave(remote)
	e.conns.Done()
}

// await waits for gone, which the engine's goroutines end, and closes what the
// connections shared.
func (e *core) await(ctx context.Context, gone func()) error {
	done := make(chan struct{}) // closed below, when the last connection has gone
	go func() {
		gone()
		e.conns.Wait()
		e.inflows.close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("edge: close: %d connections left: %w", e.admission.count(), context.Cause(ctx))
	}
}

// logPanic logs at most one panic a second: input that finds a defect must not
// be able to fill the disk as well.
func (e *core) logPanic(reason any) {
	now := time.Now().Unix()
	if e.lastFail.Swap(now) != now {
		e.log.Error("connection failed and was closed", "err", reason)
	}
}
