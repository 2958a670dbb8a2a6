package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hawser/edge/frame"
	"hawser/proto/cause"
)

// swarm is many connections of the raw JSON protocol on one epoll and one
// goroutine, so that ten thousand of them cost this process little.
type swarm struct {
	// Immutable after newSwarm.
	t     *testing.T
	epoll int
	peers []*swarmPeer
	stop  atomic.Bool
	loop  sync.WaitGroup // readLoop

	mu   sync.Mutex
	byFD map[int]*swarmPeer // guarded by mu; those that are up
	err  error              // guarded by mu; the first end that nobody asked for
	got  int                // guarded by mu; publications, all peers together
}

// swarmPeer is one connection. Guarded by swarm.mu once it is connected.
type swarmPeer struct {
	fd       int
	stream   io.ReadWriter // the net.Conn, then the descriptor
	channels []string
	in       []byte              // an incomplete frame
	got      map[string][]string // data of publications, by channel
}

// newSwarm connects n peers, each to the channels that it is given, and ends
// with the test.
func newSwarm(t *testing.T, h *hawser, n int, channels func(i int) []string) *swarm {
	t.Helper()
	needFiles(t, n+1000)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	s := &swarm{t: t, epoll: epoll, peers: make([]*swarmPeer, n), byFD: make(map[int]*swarmPeer, n)}
	s.loop.Go(s.readLoop)
	t.Cleanup(func() {
		s.stop.Store(true)
		s.loop.Wait()
		s.closeAll(func(int, *swarmPeer) {})
		_ = unix.Close(epoll)
	})
	const workers = 8
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				s.peers[i] = &swarmPeer{channels: channels(i), got: map[string][]string{}}
				errs[w] = s.connect(h, s.peers[i])
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return s
}

// needFiles raises the limit of open files, and skips where that is not
// enough.
func needFiles(t *testing.T, n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < uint64(n) {
		t.Skipf("this needs %d open files in each of two processes, and the hard limit is %d: raise it (ulimit -Hn)", n, limit.Max)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// connect does the handshake, connect and subscribe, and hands the socket to
// readLoop.
func (s *swarm) connect(h *hawser, p *swarmPeer) error {
	conn, err := net.Dial("tcp", h.edge)
	if err != nil {
		return err
	}
	defer conn.Close()                             // the peer goes on with a duplicate, out of the runtime's poller
	_ = conn.SetDeadline(time.Now().Add(patience)) // a dead connection tells by itself
	p.stream = conn
	if err := p.shake(h.edge); err != nil {
		return err
	}
	if p.fd, err = duplicate(conn.(*net.TCPConn)); err != nil {
		return err
	}
	p.stream = descriptor(p.fd)
	s.mu.Lock()
	s.byFD[p.fd] = p // from here on closeAll closes it
	s.mu.Unlock()
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.fd)}
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, p.fd, &event)
}

// duplicate returns a second, non-blocking descriptor of a connection.
func duplicate(conn *net.TCPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return 0, e
	}
	return fd, err
}

// descriptor reads and writes a non-blocking socket.
type descriptor int

// Read implements io.Reader; it returns EAGAIN when there is nothing.
func (d descriptor) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(d), b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements io.Writer. The frames of a swarm are small: a socket that
// does not take one whole is an error.
func (d descriptor) Write(b []byte) (int, error) {
	for {
		n, err := unix.Write(int(d), b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("write", err)
		case n < len(b):
			return n, io.ErrShortWrite
		default:
			return n, nil
		}
	}
}

// shake returns when the peer is subscribed to all its channels.
func (p *swarmPeer) shake(host string) error {
	if _, err := fmt.Fprintf(p.stream, "GET /ws/demo HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: hawser.v1.json\r\n\r\n", host); err != nil {
		return err
	}
	end := []byte("\r\n\r\n")
	for !bytes.Contains(p.in, end) {
		if err := p.fill(); err != nil {
			return err
		}
	}
	answer, rest, _ := bytes.Cut(p.in, end)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("handshake: %s", answer)
	}
	p.in = rest
	commands := []byte(`[{"id":1,"connect":{}}`)
	for i, channel := range p.channels {
		commands = fmt.Appendf(commands, `,{"id":%d,"subscribe":{"channel":%q}}`, i+2, channel)
	}
	if err := p.write(frame.Text, append(commands, ']')); err != nil {
		return err
	}
	return p.awaitGranted()
}

func (p *swarmPeer) awaitGranted() error {
	for granted := 0; granted < len(p.channels); {
		if err := p.fill(); err != nil {
			return err
		}
		if err := p.take(func(r reply) error {
			switch {
			case r.Error != nil || r.Disconnect != nil:
				return fmt.Errorf("refused: %s", r.text)
			case r.Subscribed != nil:
				granted++
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once.
func (p *swarmPeer) fill() error {
	var b [8 << 10]byte
	n, err := p.stream.Read(b[:])
	p.in = append(p.in, b[:n]...)
	return err
}

func (p *swarmPeer) write(op frame.Opcode, payload []byte) error {
	_, err := p.stream.Write(frame.AppendMasked(nil, op, payload, [4]byte{7, 1, 9, 3}))
	return err
}

// take gives each whole message in p.in to visit.
func (p *swarmPeer) take(visit func(reply) error) error {
	for {
		h, size := frame.Next(p.in)
		if size == 0 || size > len(p.in) {
			if p.in = slices.Clone(p.in); len(p.in) == 0 {
				p.in = nil
			}
			return nil
		}
		payload := p.in[h.Offset:size]
		p.in = p.in[size:]
		switch h.Op {
		case frame.Ping:
			if err := p.write(frame.Pong, payload); err != nil {
				return err
			}
		case frame.Close:
			return fmt.Errorf("closed: %q", payload)
		case frame.Text:
			replies, err := parseReplies(payload)
			if err != nil {
				return err
			}
			for _, r := range replies {
				if err := visit(r); err != nil {
					return err
				}
			}
		}
	}
}

// readLoop reads all peers until stop.
func (s *swarm) readLoop() {
	const wait = 20 // ms; how long stop may go unnoticed
	events := make([]unix.EpollEvent, 256)
	for !s.stop.Load() {
		n, err := unix.EpollWait(s.epoll, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("epoll_wait on our own descriptor %d: %v", s.epoll, err))
		}
		s.mu.Lock()
		for _, event := range events[:max(n, 0)] {
			if p := s.byFD[int(event.Fd)]; p != nil {
				s.read(p)
			}
		}
		s.mu.Unlock()
	}
}

// read takes what a peer got. Needs mu.
func (s *swarm) read(p *swarmPeer) {
	err := p.fill()
	if err == nil {
		err = p.take(func(r reply) error {
			if r.Publication != nil {
				p.got[r.Publication.Channel] = append(p.got[r.Publication.Channel], string(r.Publication.Data))
				s.got++
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		if s.err == nil {
			s.err = err
		}
		s.drop(p)
	}
}

// drop closes a peer's socket. Needs mu.
func (s *swarm) drop(p *swarmPeer) {
	delete(s.byFD, p.fd)
	_ = unix.Close(p.fd)
}

// await waits until all peers together have got n publications, or one ended.
func (s *swarm) await(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the swarm has %d publications", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.got >= n || s.err != nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		s.t.Fatalf("a connection of the swarm ended: %v", s.err)
	}
	if s.got != n {
		s.t.Errorf("the swarm got %d publications, want %d", s.got, n)
	}
}

// check compares what each peer got of a channel.
func (s *swarm) check(channel string, want []string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.peers {
		if slices.Contains(p.channels, channel) && !slices.Equal(p.got[channel], want) {
			s.t.Fatalf("peer %d got %d publications of %s, want %d: %v", i, len(p.got[channel]), channel, len(want), clipList(p.got[channel]))
		}
	}
}

func clipList(list []string) []string { return list[:min(len(list), 20)] }

// closeAll ends each peer that is up: how is told by its index first.
func (s *swarm) closeAll(how func(i int, p *swarmPeer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.peers {
		if p != nil && s.byFD[p.fd] == p {
			how(i, p)
			s.drop(p)
		}
	}
}

// sayGoodbye sends a close frame.
func (p *swarmPeer) sayGoodbye() {
	_ = p.write(frame.Close, frame.AppendClosePayload(nil, cause.ClientClosed, "")) // the node's accounts tell
}

// reset makes the coming close an RST.
func (p *swarmPeer) reset() {
	_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// number is the data of publication n.
func number(n int) []byte {
	b, _ := json.Marshal(map[string]int{"n": n}) // of ints: cannot fail
	return b
}

// since is for logs.
func since(begin time.Time) time.Duration { return time.Since(begin).Round(time.Millisecond) }
