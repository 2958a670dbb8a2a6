package edge

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What a loop registers a socket for, once: edge-triggered, so that neither a
// write nor its completion needs another epoll_ctl.
const (
	epollET     = 1 << 31
	epollEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollET
	epollGone   = syscall.EPOLLHUP | syscall.EPOLLERR | syscall.EPOLLRDHUP
)

const (
	// loopBufferBytes is the read buffer that all connections of a loop share.
	loopBufferBytes = 64 << 10
	// loopEvents is how many sockets one epoll_wait reports.
	loopEvents = 256
	// maxReads is how often one socket is read before the others get their
	// turn.
	maxReads = 4
	// loopTick is how often a loop looks at its deadlines, and the resolution
	// of HeaderTimeout and CloseTimeout here.
	loopTick = 50 * time.Millisecond
)

// pollLoop is one epoll descriptor, its sockets and the goroutine that serves
// them. The descriptor is itself in Go's poller, so an idle loop holds no
// thread.
type pollLoop struct {
	// Immutable after newPollLoop.
	engine *pollEngine
	epoll  int
	file   *os.File // owns epoll

	open    atomic.Int32 // sockets
	closing atomic.Bool  // cut everything, then end

	mu    sync.Mutex
	slots []*pollSocket // guarded by mu; by slot number; nil when free
	free  []uint32      // guarded by mu; free slot numbers
	due   []deadline    // guarded by mu; closing sockets, oldest first
	shake []deadline    // guarded by mu; sockets in their handshake, oldest first
	next  uint32        // guarded by mu; generation of the next socket

	// Owned by run.
	events [loopEvents]syscall.EpollEvent
	buf    []byte        // what read(2) fills
	again  []*pollSocket // had more to read when their turn was over
}

// deadline is when a socket has to have moved on. The two queues have one
// timeout each, so they are in order. It names the socket by slot and
// generation: one that ended long before must not stay in memory.
type deadline struct {
	slot, generation uint32
	at               time.Duration // since pollEngine.start
}

func newPollLoop(e *pollEngine) (*pollLoop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(epoll, true); err != nil { // else os.File would not use the poller
		syscall.Close(epoll)
		return nil, err
	}
	return &pollLoop{engine: e, epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll"),
		buf: make([]byte, loopBufferBytes)}, nil
}

// add takes a socket in. Only the accept loop calls it.
func (l *pollLoop) add(fd int, remote netip.Addr, proxied bool) error {
	s := &pollSocket{loop: l, fd: int32(fd)}
	s.in.rest = &remainder{accepted: time.Now(), proxied: proxied}
	s.countAs(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	s.generation = l.next
	if n := len(l.free); n > 0 {
		s.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.slots[s.slot] = s
	} else {
		s.slot = uint32(len(l.slots))
		l.slots = append(l.slots, s)
	}
	// The kernel hands slot and generation back with each event: an event of a
	// descriptor that was closed and reused meanwhile finds nobody.
	ev := syscall.EpollEvent{Events: epollEvents, Fd: int32(s.slot), Pad: int32(s.generation)}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.slots[s.slot] = nil
		l.free = append(l.free, s.slot)
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.open.Add(1)
	l.shake = append(l.shake, l.deadlineOf(s, l.engine.config.HeaderTimeout))
	return nil
}

// remove takes a socket out of the table; its descriptor is closed by the
// caller.
func (l *pollLoop) remove(s *pollSocket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots[s.slot] = nil
	l.free = append(l.free, s.slot)
	l.open.Add(-1)
}

func (l *pollLoop) lookup(slot, generation uint32) *pollSocket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lookupLocked(slot, generation)
}

func (l *pollLoop) lookupLocked(slot, generation uint32) *pollSocket {
	if int(slot) >= len(l.slots) {
		return nil
	}
	if s := l.slots[slot]; s != nil && s.generation == generation {
		return s
	}
	return nil
}

func (l *pollLoop) deadlineOf(s *pollSocket, timeout time.Duration) deadline {
	return deadline{s.slot, s.generation, time.Since(l.engine.start) + timeout}
}

// closeBy sets the deadline of a closing socket. Any goroutine.
func (l *pollLoop) closeBy(s *pollSocket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = append(l.due, l.deadlineOf(s, l.engine.config.CloseTimeout))
}

// run serves until closing is set and the last socket has gone.
func (l *pollLoop) run() {
	defer l.file.Close()
	raw, err := l.file.SyscallConn()
	if err != nil {
		l.engine.log.Error("epoll loop ended", "err", err)
		return
	}
	for tick := (time.Time{}); ; {
		now := time.Now()
		if now.Sub(tick) >= loopTick {
			tick = now
			l.expire(now)
			if l.closing.Load() {
				l.cutAll()
				return
			}
			l.file.SetReadDeadline(now.Add(loopTick))
		}
		n, err := l.wait(raw)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.engine.log.Error("epoll loop ended", "err", err)
			l.cutAll()
			return
		}
		for i := range n {
			l.dispatch(&l.events[i])
		}
		l.finishReading()
	}
}

// wait returns the next events; none when the tick is over.
func (l *pollLoop) wait(raw syscall.RawConn) (n int, err error) {
	readErr := raw.Read(func(fd uintptr) (done bool) {
		n, err = syscall.EpollWait(int(fd), l.events[:], 0)
		if err == syscall.EINTR {
			n, err = 0, nil
			return false
		}
		return n > 0 || err != nil
	})
	if err != nil {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	if readErr != nil {
		return 0, readErr
	}
	return n, nil
}

func (l *pollLoop) dispatch(ev *syscall.EpollEvent) {
	s := l.lookup(uint32(ev.Fd), uint32(ev.Pad))
	if s == nil {
		return
	}
	if ev.Events&syscall.EPOLLOUT != 0 {
		s.writable()
	}
	if ev.Events&(syscall.EPOLLIN|epollGone) != 0 {
		s.hangup = s.hangup || ev.Events&epollGone != 0
		if s.read(maxReads) {
			l.again = append(l.again, s)
		}
	}
}

// finishReading goes round the sockets that had more than their turn's worth.
func (l *pollLoop) finishReading() {
	for len(l.again) > 0 {
		more := l.again[:0]
		for _, s := range l.again {
			if s.read(maxReads) {
				more = append(more, s)
			}
		}
		clear(l.again[len(more):])
		l.again = more
	}
}

// expire ends the sockets whose time is up.
func (l *pollLoop) expire(now time.Time) {
	for _, s := range l.overdue(&l.shake, now) {
		if s.stage == stageShaking {
			s.refuse(RefuseHeaderTimeout)
		}
	}
	for _, s := range l.overdue(&l.due, now) {
		if s.stage != stageEnded {
			s.end()
		}
	}
}

func (l *pollLoop) overdue(queue *[]deadline, now time.Time) (sockets []*pollSocket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, elapsed := 0, now.Sub(l.engine.start)
	for n < len(*queue) && elapsed > (*queue)[n].at {
		if s := l.lookupLocked((*queue)[n].slot, (*queue)[n].generation); s != nil {
			sockets = append(sockets, s)
		}
		n++
	}
	if n == len(*queue) {
		*queue = nil // a storm's queue is not kept
		return sockets
	}
	left := copy(*queue, (*queue)[n:])
	*queue = (*queue)[:left]
	return sockets
}

func (l *pollLoop) cutAll() {
	l.mu.Lock()
	sockets := make([]*pollSocket, 0, len(l.slots))
	for _, s := range l.slots {
		if s != nil {
			sockets = append(sockets, s)
		}
	}
	l.mu.Unlock()
	for _, s := range sockets {
		s.end()
	}
}
