package edge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
)

// readBufferBytes is the bufio.Reader of each connection: frames of chat size
// fit, and it is held while idle (gws needs one per ReadLoop).
const readBufferBytes = 512

// maxDiscardBytes is how much is read from a client that broke the protocol,
// so that it sees our close frame rather than a reset.
const maxDiscardBytes = 1 << 20

// socket is one connection of the goroutine engine. It is the net.Conn that
// gws reads, with the frame guard in between, and the Transport that the
// actor writes through. readLoop is its goroutine; a writer goroutine exists
// while the socket is full, or for each burst where writes can block (TLS).
// The one of them that ends last ends the connection.
type socket struct {
	// Immutable after start.
	engine *goroutineEngine
	nc     net.Conn
	fast   *fastWriter // non-blocking writes; nil where the system or TLS has none
	peer   Peer
	remote netip.Addr // what admission counted

	// Owned by readLoop.
	guard     frame.Guard
	early     []byte           // came with the handshake
	violation *frame.Violation // found, and acted on at the next Read
	discarded int              // bytes read since the client broke the protocol
	shaking   bool             // gws writes its 101 straight through

	// Any goroutine.
	holders atomic.Int32  // readLoop and the writer goroutine
	writing atomic.Bool   // a writer goroutine is at work
	ending  atomic.Bool   // a close frame is queued: only the client's is of interest
	broken  atomic.Bool   // the client broke the protocol: no byte reaches gws any more
	code    atomic.Uint32 // how it ended, for Peer.Closed

	next, prev *socket // guarded by goroutineEngine.mu
}

var (
	_ net.Conn         = (*socket)(nil)
	_ actors.Transport = (*socket)(nil)
)

func newSocket(e *goroutineEngine, nc net.Conn, remote netip.Addr, early []byte) *socket {
	k := &socket{engine: e, nc: nc, remote: remote, early: early, guard: frame.NewGuard(e.limits), shaking: true}
	k.fast = newFastWriter(nc, e.recorder)
	k.holders.Store(1)
	k.code.Store(uint32(cause.PeerLost))
	return k
}

// upgrade answers the handshake with 101, which gws writes to the socket
// itself.
func (k *socket) upgrade(u *gws.Upgrader, r *http.Request) (*gws.Conn, error) {
	ws, err := u.UpgradeFromConn(k, bufio.NewReaderSize(k, readBufferBytes), r)
	k.shaking = false
	return ws, err
}

// readLoop runs until the client's side of the connection is over.
func (k *socket) readLoop(ws *gws.Conn) {
	defer k.release()
	defer k.linger()
	defer k.survive()
	ws.ReadLoop()
	if code, ok := k.guard.CloseSeen(); ok {
		k.code.Store(uint32(code))
	}
}

// survive keeps a defect in the read path to its own connection.
func (k *socket) survive() {
	if reason := recover(); reason != nil {
		k.engine.logPanic(reason)
		k.peer.Violate(cause.Internal)
	}
}

// linger gives a queued close frame CloseTimeout to leave. Without one nothing
// is worth waiting for.
func (k *socket) linger() {
	out := k.peer.Outbox()
	if !out.Sealed() || out.Queued() == 0 {
		k.nc.Close()
		return
	}
	k.nc.SetDeadline(time.Now().Add(k.engine.config.CloseTimeout))
	k.Flush()
}

// hold counts a goroutine in, unless the connection has ended.
func (k *socket) hold() bool {
	for {
		n := k.holders.Load()
		if n == 0 {
			return false
		}
		if k.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release counts it out; the last one ends the connection.
func (k *socket) release() {
	if k.holders.Add(-1) > 0 {
		return
	}
	k.nc.Close()
	k.peer.Closed(cause.Code(k.code.Load()))
	k.engine.forget(k)
}

// Flush implements actors.Transport: one writev for all that is queued. What
// the socket does not take waits for a writer goroutine.
func (k *socket) Flush() {
	if k.writing.Load() {
		return // it looks at the outbox once more after it stopped
	}
	if k.fast != nil {
		blocked, err := k.peer.Outbox().Drain(k.fast)
		if err != nil {
			k.nc.Close() // readLoop sees it
			return
		}
		if !blocked {
			k.drained()
			return
		}
	}
	k.startWriter()
}

// drained is called when the outbox is empty. Behind the last close frame to a
// client that broke the protocol comes FIN: its next frames mean nothing to
// us, so it is the end of TCP that we wait for, and not a close frame.
func (k *socket) drained() {
	if !k.broken.Load() || !k.ending.Load() {
		return
	}
	if half, ok := k.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

func (k *socket) startWriter() {
	if k.writing.Swap(true) {
		return
	}
	if !k.hold() {
		return
	}
	go k.writeLoop() // joined by release
}

// writeLoop empties the outbox, waiting for the client as long as it takes:
// the outbox limit and the pong timeout end a client that never reads.
func (k *socket) writeLoop() {
	defer k.release()
	for {
		err := k.drain()
		k.writing.Store(false)
		if err != nil {
			k.nc.Close()
			return
		}
		k.drained()
		// What came after the drain and before the store is ours to write.
		if k.peer.Outbox().Queued() == 0 || k.writing.Swap(true) {
			return
		}
	}
}

func (k *socket) drain() error {
	if k.fast != nil {
		return k.fast.drain(k.peer.Outbox())
	}
	return k.peer.Outbox().DrainUnlocked(blockingWriter{k.nc, k.engine.recorder})
}

// Finish implements actors.Transport.
func (k *socket) Finish() {
	k.ending.Store(true)
	k.nc.SetDeadline(time.Now().Add(k.engine.config.CloseTimeout))
	k.Flush()
}

// cut ends the connection without a word.
func (k *socket) cut() { k.nc.Close() }

// Read implements net.Conn for gws: nothing reaches it that Guard did not
// pass, as gws itself trusts the length that a frame announces.
func (k *socket) Read(p []byte) (int, error) {
	for {
		k.punish()
		n, err := k.receive(p)
		switch {
		case n > 0 && k.broken.Load():
			k.discarded += n
		case n > 0:
			ok, violation := k.guard.Scan(p[:n])
			k.violation = violation
			if ok > 0 {
				return ok, nil
			}
			if violation == nil {
				return 0, io.EOF // bytes after a close frame mean nothing
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		if k.discarded > maxDiscardBytes {
			return 0, io.EOF
		}
	}
}

// punish acts on a violation, once gws has had what came before it: those
// messages count. From here on, nothing reaches gws any more.
func (k *socket) punish() {
	if k.violation != nil && !k.broken.Swap(true) {
		k.peer.Violate(k.violation.Code)
	}
}

func (k *socket) receive(p []byte) (int, error) {
	if len(k.early) == 0 {
		return k.nc.Read(p)
	}
	n := copy(p, k.early)
	if k.early = k.early[n:]; len(k.early) == 0 {
		k.early = nil
	}
	return n, nil
}

// Write implements net.Conn for gws. After the handshake gws writes nothing
// but its half of the closing handshake: our frames go past it.
func (k *socket) Write(p []byte) (int, error) {
	if k.shaking {
		return k.nc.Write(p)
	}
	k.ending.Store(true)
	k.peer.Outbox().Seal(false, actors.NewFrame(append([]byte(nil), p...)))
	k.Flush()
	return len(p), nil
}

// Close implements net.Conn for gws, which calls it after its close frame:
// linger closes the socket when that has left.
func (k *socket) Close() error { return nil }

// LocalAddr implements net.Conn.
func (k *socket) LocalAddr() net.Addr { return k.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (k *socket) RemoteAddr() net.Addr { return k.nc.RemoteAddr() }

// SetDeadline implements net.Conn; gws sets it around its 101.
func (k *socket) SetDeadline(t time.Time) error { return k.nc.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (k *socket) SetReadDeadline(t time.Time) error { return k.nc.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (k *socket) SetWriteDeadline(t time.Time) error { return k.nc.SetWriteDeadline(t) }

// events turns gws callbacks into calls of the socket's peer. gws passes its
// own Conn; the socket is the net.Conn below it.
type events struct{}

var _ gws.Event = events{}

// OnOpen implements gws.Event.
func (events) OnOpen(*gws.Conn) {}

// OnClose implements gws.Event; readLoop does what is due.
func (events) OnClose(*gws.Conn, error) {}

// OnPing implements gws.Event.
func (events) OnPing(ws *gws.Conn, payload []byte) {
	if k := ws.NetConn().(*socket); !k.ending.Load() {
		k.peer.Ping(payload)
	}
}

// OnPong implements gws.Event.
func (events) OnPong(ws *gws.Conn, _ []byte) { ws.NetConn().(*socket).peer.Pong() }

// OnMessage implements gws.Event.
func (events) OnMessage(ws *gws.Conn, m *gws.Message) {
	defer m.Close()
	k := ws.NetConn().(*socket)
	if k.ending.Load() {
		return
	}
	k.engine.recorder.Read(len(m.Bytes()))
	k.peer.Message(m.Opcode == gws.OpcodeText, m.Bytes())
}
