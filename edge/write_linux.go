package edge

import (
	"net"
	"sync"
	"syscall"
	"unsafe"

	"hawser/actors"
)

// fastWriter hands a batch to the kernel with one writev that never blocks.
type fastWriter struct {
	raw      syscall.RawConn
	recorder Recorder
}

var _ actors.Writer = (*fastWriter)(nil)

// newFastWriter returns nil for what is not a plain TCP socket.
func newFastWriter(nc net.Conn, recorder Recorder) *fastWriter {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return &fastWriter{raw, recorder}
}

// writevCall carries one writev through RawConn.Control without allocating:
// its method value is bound once.
type writevCall struct {
	vec   [actors.MaxBatch]syscall.Iovec
	count int
	wrote int
	errno syscall.Errno
	run   func(fd uintptr)
}

var writevPool = sync.Pool{New: func() any {
	c := new(writevCall)
	c.run = c.writev
	return c
}}

func (c *writevCall) writev(fd uintptr) {
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&c.vec[0])), uintptr(c.count))
		switch errno {
		case 0:
			c.wrote, c.errno = int(n), 0
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			c.wrote, c.errno = 0, 0
		default:
			c.wrote, c.errno = 0, errno
		}
		return
	}
}

// WriteBatch implements actors.Writer. It takes what the socket has room for.
func (w *fastWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	c := writevPool.Get().(*writevCall)
	defer writevPool.Put(c)
	offered := c.load(bufs)
	// Control, not Write: Write would queue behind a writer goroutine that
	// waits for this socket and needs the outbox's lock, which we hold.
	if err := w.raw.Control(c.run); err != nil {
		return 0, err
	}
	return c.done(w.recorder, offered)
}

func (c *writevCall) load(bufs [][]byte) (offered int) {
	for i, b := range bufs {
		c.vec[i].Base = &b[0]
		c.vec[i].SetLen(len(b))
		offered += len(b)
	}
	c.count = len(bufs)
	return offered
}

func (c *writevCall) done(r Recorder, offered int) (int, error) {
	clear(c.vec[:c.count])
	r.Wrote(c.count, c.wrote, c.wrote < offered)
	if c.errno != 0 {
		return 0, c.errno
	}
	return c.wrote, nil
}

// drain empties out, waiting in Go's poller while the socket is full. Only the
// writer goroutine calls it.
func (w *fastWriter) drain(out *actors.Outbox) (err error) {
	waitErr := w.raw.Write(func(fd uintptr) (done bool) {
		var blocked bool
		blocked, err = out.Drain(heldWriter{w, fd})
		return err != nil || !blocked
	})
	if err == nil {
		err = waitErr
	}
	return err
}

// heldWriter is fastWriter for a descriptor that RawConn.Write holds already.
type heldWriter struct {
	fast *fastWriter
	fd   uintptr
}

// WriteBatch implements actors.Writer.
func (h heldWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	c := writevPool.Get().(*writevCall)
	defer writevPool.Put(c)
	offered := c.load(bufs)
	c.writev(h.fd)
	return c.done(h.fast.recorder, offered)
}
