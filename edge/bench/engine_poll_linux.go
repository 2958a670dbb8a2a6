package bench

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const pollOffered = true

// pollWait is how long a loop may not notice that it is to stop, in ms.
const pollWait = 50

// pollEngine waits with one epoll and one thread a loop: an idle connection
// costs a struct here, so that the tool is not what is measured.
type pollEngine struct {
	swarm *swarm
	polls []*poll
	stop  atomic.Bool
	loops sync.WaitGroup
}

// poll is the epoll of one loop.
type poll struct {
	// Immutable after newPollEngine.
	engine *pollEngine
	loop   *loop
	fd     int // of the epoll

	// Guarded by loop.mu.
	sockets []*pollSocket // by descriptor
	last    int32         // generation of the newest socket

	// Owned by run.
	events []unix.EpollEvent
	buf    []byte
}

func newPollEngine(s *swarm) (engine, error) {
	e := &pollEngine{swarm: s}
	for _, l := range s.loops {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			e.close()
			return nil, fmt.Errorf("bench: %w", os.NewSyscallError("epoll_create1", err))
		}
		p := &poll{engine: e, loop: l, fd: fd, events: make([]unix.EpollEvent, 512), buf: make([]byte, 256<<10)}
		e.polls = append(e.polls, p)
		e.loops.Go(p.run)
	}
	return e, nil
}

// close implements engine.
func (e *pollEngine) close() {
	e.stop.Store(true)
	e.loops.Wait()
	for _, p := range e.polls {
		_ = unix.Close(p.fd)
	}
}

// dial implements engine.
func (e *pollEngine) dial(p *peer) (socket, error) {
	s := &pollSocket{peer: p}
	for _, poll := range e.polls {
		if poll.loop == p.loop {
			s.poll = poll
		}
	}
	fd, err := startConnect(e.swarm.addr, e.swarm.source+p.index/sourcePorts)
	if err != nil {
		return nil, err
	}
	s.fd = fd
	if err := s.poll.add(s); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// startConnect opens a socket and starts to connect it.
func startConnect(to netip.AddrPort, source int) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err := connectFrom(fd, to, source); err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func connectFrom(fd int, to netip.AddrPort, source int) error {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if to.Addr().Is4() && to.Addr().IsLoopback() {
		// All of 127.0.0.0/8 is this host, on Linux: each address has its own ports.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + source%250)}}); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if to.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// add watches a socket that is connecting. Needs loop.mu.
func (p *poll) add(s *pollSocket) error {
	for len(p.sockets) <= s.fd {
		p.sockets = append(p.sockets, nil)
	}
	p.last++
	s.generation, s.writing = p.last, true
	event := s.event()
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.sockets[s.fd] = s
	return nil
}

// run waits for events until the engine stops.
func (p *poll) run() {
	for !p.engine.stop.Load() {
		n, err := unix.EpollWait(p.fd, p.events, pollWait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("bench: epoll_wait on our own descriptor %d: %v", p.fd, err))
		}
		p.loop.mu.Lock()
		for i := range max(n, 0) {
			p.handle(&p.events[i])
		}
		p.loop.mu.Unlock()
	}
}

// handle takes one event. The generation tells a socket from an older one of
// the same descriptor, closed after epoll_wait had reported it.
func (p *poll) handle(event *unix.EpollEvent) {
	s := p.sockets[event.Fd]
	if s == nil || s.generation != event.Pad {
		return
	}
	if s.stalled { // nothing comes but the end
		p.loop.fail(s.peer, io.ErrUnexpectedEOF)
		return
	}
	if event.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if err := s.writable(); err != nil {
			p.loop.fail(s.peer, err)
		}
	}
	if event.Events&(unix.EPOLLIN|unix.EPOLLHUP) != 0 && s.peer.phase != gone {
		s.readable()
	}
}

// pollSocket is guarded by the mu of its peer's loop.
type pollSocket struct {
	peer       *peer
	poll       *poll
	fd         int
	generation int32
	open       bool   // TCP is connected
	writing    bool   // epoll watches for room to write
	stalled    bool   // epoll watches for the end only
	out        []byte // what the kernel did not take; nil when none
}

func (s *pollSocket) event() unix.EpollEvent {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd), Pad: s.generation}
	if s.stalled {
		event.Events = unix.EPOLLRDHUP
		return event
	}
	if s.writing {
		event.Events |= unix.EPOLLOUT
	}
	return event
}

// writable finishes the connect, or writes what was kept.
func (s *pollSocket) writable() error {
	if !s.open {
		code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			return os.NewSyscallError("connect", err)
		}
		s.open = true
		s.peer.loop.opened(s.peer)
		if s.peer.phase == gone {
			return nil
		}
	}
	if len(s.out) > 0 {
		rest := s.out
		s.out = nil
		return s.write(rest)
	}
	return s.watch(false)
}

// write implements socket.
func (s *pollSocket) write(b []byte) error {
	if len(s.out) > 0 || !s.open {
		s.out = append(s.out, b...)
		return s.watch(true)
	}
	for len(b) > 0 {
		n, err := unix.Write(s.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			s.out = append([]byte(nil), b...)
			return s.watch(true)
		case err != nil:
			return os.NewSyscallError("write", err)
		default:
			b = b[n:]
		}
	}
	return s.watch(false)
}

// watch sets whether epoll reports room to write.
func (s *pollSocket) watch(writing bool) error {
	if s.writing == writing {
		return nil
	}
	s.writing = writing
	event := s.event()
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.poll.fd, unix.EPOLL_CTL_MOD, s.fd, &event))
}

// stallBuffer is the receive buffer of a stalled peer in bytes, which the
// kernel doubles: small, so that the server notices within a test.
const stallBuffer = 4 << 10

// stall implements staller. It sees a reset at once; a FIN waits behind what
// the peer does not read.
func (s *pollSocket) stall() error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, stallBuffer); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	s.stalled = true
	event := s.event()
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.poll.fd, unix.EPOLL_CTL_MOD, s.fd, &event))
}

// readable reads once; epoll reports again while there is more.
func (s *pollSocket) readable() {
	n, err := unix.Read(s.fd, s.poll.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil:
		s.peer.loop.fail(s.peer, os.NewSyscallError("read", err))
	case n == 0:
		s.peer.loop.fail(s.peer, io.ErrUnexpectedEOF)
	default:
		s.peer.loop.arrived(s.peer, s.poll.buf[:n])
	}
}

// close implements socket. Closing takes the descriptor out of the epoll.
func (s *pollSocket) close() {
	s.poll.sockets[s.fd] = nil
	_ = unix.Close(s.fd)
}
