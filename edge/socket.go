package edge

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
)

// socket is one connection of the goroutine engine, and the Transport that the
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
	in inbound

	// Any goroutine.
	holders atomic.Int32  // readLoop and the writer goroutine
	writing atomic.Bool   // a writer goroutine is at work
	ending  atomic.Bool   // a close frame is queued: only the client's is of interest
	broken  atomic.Bool   // the client broke the protocol
	code    atomic.Uint32 // of the client's close frame; 0: none yet

	next, prev *socket // guarded by goroutineEngine.mu
}

var (
	_ actors.Transport = (*socket)(nil)
	_ host             = (*socket)(nil)
)

func newSocket(e *goroutineEngine, nc net.Conn, remote netip.Addr, deflate bool) *socket {
	k := &socket{engine: e, nc: nc, remote: remote}
	k.in.guard = frame.NewGuard(e.config.frameLimits(deflate))
	k.fast = newFastWriter(nc, e.recorder)
	k.holders.Store(1)
	return k
}

// readLoop runs until the client's side of the connection is over. It waits
// near the bottom of its stack, so that the stack stays small: 4 KB instead of
// the 8 KB that waiting below a parser would keep.
func (k *socket) readLoop(early []byte) {
	defer k.release()
	defer k.linger()
	defer k.survive()
	if len(early) > 0 && !k.take(early) {
		return
	}
	if raw, ok := rawReader(k.nc); ok {
		k.readRaw(raw)
		return
	}
	k.readBuffered(make([]byte, ownBufferBytes))
}

// ownBufferBytes is the read buffer of a connection that can only be read by
// waiting in Read, as with TLS.
const ownBufferBytes = 2 << 10

func (k *socket) readBuffered(buf []byte) {
	for {
		n, err := k.nc.Read(buf)
		if n > 0 && !k.take(buf[:n]) || err != nil {
			return
		}
	}
}

// readRaw waits for the socket without holding a buffer.
func (k *socket) readRaw(raw syscall.RawConn) {
	for {
		var got *readBuffer
		var n int
		var err error
		waitErr := raw.Read(func(fd uintptr) (done bool) {
			got = readPool.Get().(*readBuffer)
			for {
				if n, err = syscall.Read(int(fd), got.bytes[:]); err != syscall.EINTR {
					break
				}
			}
			if err == syscall.EAGAIN {
				readPool.Put(got)
				got = nil
				return false
			}
			return true
		})
		if got == nil {
			return // a deadline, or closed
		}
		more := waitErr == nil && err == nil && n > 0 && k.take(got.bytes[:n])
		readPool.Put(got)
		if !more {
			return
		}
	}
}

// readBuffer is lent to a connection while there is something to read.
type readBuffer struct{ bytes [16 << 10]byte }

var readPool = sync.Pool{New: func() any { return new(readBuffer) }}

// rawReader returns the raw connection of a plain TCP socket.
func rawReader(nc net.Conn) (syscall.RawConn, bool) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	return raw, err == nil
}

// take runs bytes, and reports whether to read on.
func (k *socket) take(b []byte) bool {
	return k.in.take(b, k, k.peer) && k.code.Load() == 0
}

// closing implements host.
func (k *socket) closing() bool { return k.ending.Load() }

// gone implements host.
func (k *socket) gone() { k.broken.Store(true) }

// recorder implements host.
func (k *socket) recorder() Recorder { return k.engine.recorder }

// unfold implements host.
func (k *socket) unfold(message []byte, sink func(text bool, payload []byte)) cause.Code {
	return k.engine.inflows.unfold(message, sink)
}

// closed implements host: it answers the client's close frame with its own
// code, RFC 6455 §5.5.1, unless ours is queued already. linger sends it.
func (k *socket) closed(code cause.Code) {
	k.code.Store(uint32(code))
	if !k.ending.Swap(true) {
		k.peer.Outbox().Seal(false, actors.NewFrame(frame.AppendClose(nil, code, "")))
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
	code := cause.Code(k.code.Load())
	if code == 0 {
		code = cause.PeerLost
	}
	k.peer.Closed(code)
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
