package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lxzan/gws"

	"hawser/proto/codec"
)

// pollEngine serves plain TCP with one epoll loop per CPU and no goroutine,
// buffer or gws.Conn per idle connection. See DESIGN.md, "The poll engine".
type pollEngine struct {
	// Immutable after newPollEngine.
	config    Config
	admission *admission
	sessions  Sessions
	recorder  Recorder
	log       *slog.Logger
	ready     func() error
	upgraders [codec.Count]*gws.Upgrader
	health    *gws.Upgrader
	web       *webServer
	inflows   *inflows
	start     time.Time // deadlines count from here
	loops     []*pollLoop

	conns    sync.WaitGroup // sockets
	running  sync.WaitGroup // loops
	stopping atomic.Bool
	lastFail atomic.Int64 // unix second of the last logged panic

	mu       sync.Mutex
	accepter *os.File // guarded by mu; a duplicate of the listener, in Go's poller
}

var _ Engine = (*pollEngine)(nil)

// pollSupported says that this system has the poll engine.
const pollSupported = true

func newPollEngine(c Config, a *admission, d Deps) (Engine, error) {
	e := &pollEngine{config: c, admission: a, sessions: d.Sessions, recorder: d.Recorder,
		log: d.Logger, ready: d.Ready, health: newUpgrader(c, ""), inflows: newInflows(c), start: time.Now()}
	for p := range codec.Protocol(codec.Count) {
		e.upgraders[p] = newUpgrader(c, p.Subprotocol())
	}
	for range runtime.GOMAXPROCS(0) {
		l, err := newPollLoop(e, len(e.loops))
		if err != nil {
			for _, l := range e.loops {
				l.file.Close()
			}
			return nil, fmt.Errorf("edge: epoll: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	e.web = newWebServer(c.Fallback, d.Logger)
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
func (e *pollEngine) accepted(fd int, remote netip.Addr) {
	proxied := e.config.trusts(remote)
	remote = countedAddr(remote)
	if proxied {
		remote = netip.Addr{} // known after the PROXY header
	}
	if refusal := e.admission.enter(remote); refusal != nil {
		e.recorder.Refused(refusal)
		syscall.Write(fd, refusal.response())
		syscall.Close(fd)
		return
	}
	e.conns.Add(1)
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

func (e *pollEngine) leave(remote netip.Addr) {
	e.admission.leave(remote)
	e.conns.Done()
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
	done := make(chan struct{}) // closed below, when the last loop has gone
	go func() {
		e.running.Wait()
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

// logPanic logs at most one panic a second.
func (e *pollEngine) logPanic(reason any) {
	now := time.Now().Unix()
	if e.lastFail.Swap(now) != now {
		e.log.Error("connection failed and was closed", "err", reason)
	}
}
