package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// pollEngine serves plain TCP with one epoll loop per CPU and no goroutine,
// buffer or gws.Conn per idle connection. See DESIGN.md, "The poll engine".
type pollEngine struct {
	core
	start   time.Time      // deadlines count from here; immutable
	loops   []*pollLoop    // immutable after newPollEngine
	running sync.WaitGroup // loops

	mu       sync.Mutex
	accepter *os.File // guarded by mu; a duplicate of the listener, in Go's poller
}

var _ Engine = (*pollEngine)(nil)

// pollSupported says that this system has the poll engine.
const pollSupported = true

func newPollEngine(c Config, a *admission, d Deps) (Engine, error) {
	e := &pollEngine{start: time.Now()}
	e.init(c, a, d)
	for range runtime.GOMAXPROCS(0) {
		l, err := newPollLoop(e)
		if err != nil {
			e.web.close()
			for _, l := range e.loops {
				l.file.Close()
			}
			return nil, fmt.Errorf("edge: epoll: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		e.running.Go(l.run)
	}
	return e, nil
}

// Name implements Engine.
func (e *pollEngine) Name() string { return "poll" }

// Serve implements Engine. ln must be a *net.TCPListener.
func (e *pollEngine) Serve(ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("edge: the poll engine serves TCP listeners, got %T: use edge.engine goroutine", ln)
	}
	// A TCPListener's own RawConn cannot be waited on; that of a duplicate can,
	// and what it accepts stays a plain descriptor that Go's poller never
	// hears of.
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("edge: duplicate the listener: %w", err)
	}
	tcp.Close()
	e.mu.Lock()
	e.accepter = file
	e.mu.Unlock()
	if e.stopping.Load() {
		file.Close()
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("edge: listener: %w", err)
	}
	err = raw.Read(func(fd uintptr) (done bool) { return e.acceptAll(int(fd)) })
	if e.stopping.Load() || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return fmt.Errorf("edge: accept: %w", err)
}

// acceptAll takes what waits in the listen queue. It returns true when the
// listener is to be left for good.
func (e *pollEngine) acceptAll(listener int) (done bool) {
	for !e.stopping.Load() {
		fd, addr, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			e.accepted(fd, remoteOf(addr))
		case syscall.EAGAIN:
			return false
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO: // that client is gone
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			e.log.Warn("accept failed: raise the open-file limit if it says so", "err", err)
			time.Sleep(50 * time.Millisecond) // those in use must end first
		default:
			e.log.Error("accept failed for good", "err", err)
			return true
		}
	}
	return true
}

func remoteOf(addr syscall.Sockaddr) netip.Addr {
	switch a := addr.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap()
	}
	return netip.Addr{}
}

// accepted turns the excess away before it costs anything, and gives the rest
// to the loop with the fewest sockets.
func (e *pollEngine) accepted(fd int, peer netip.Addr) {
	remote, proxied, refusal := e.enter(peer)
	if refusal != nil {
		syscall.Write(fd, refusal.response())
		syscall.Close(fd)
		return
	}
	least := e.loops[0]
	for _, l := range e.loops[1:] {
		if l.open.Load() < least.open.Load() {
			least = l
		}
	}
	if err := least.add(fd, remote, proxied); err != nil {
		e.log.Warn("epoll refused a socket", "err", err)
		syscall.Close(fd)
		e.leave(remote)
	}
}

// Stop implements Engine.
func (e *pollEngine) Stop() {
	e.stopping.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.accepter != nil {
		e.accepter.Close()
	}
}

// Close implements Engine.
func (e *pollEngine) Close(ctx context.Context) error {
	e.Stop()
	e.web.close()
	for _, l := range e.loops {
		l.closing.Store(true)
	}
	return e.await(ctx, e.running.Wait)
}
