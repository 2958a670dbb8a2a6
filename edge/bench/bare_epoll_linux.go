package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hawser/edge/frame"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// bareEpoll is the floor that hawser is compared with: the protocol's connect,
// subscribe and publish on one epoll loop, one write for each message and
// subscriber, and nothing else. It keeps no output: a subscriber whose socket
// buffer is full is closed.
//
// It trusts its clients, which are this command's: it takes their one
// handshake key and does not judge frames. So it listens on loopback only.
type bareEpoll struct {
	// Immutable after newBareEpoll.
	listener int
	addr     string // of the listener
	epoll    int
	wake     int // eventfd that ends run

	// Owned by run.
	conns    map[int]*epollConn // by descriptor
	channels map[string][]*epollConn
	buf      []byte
}

// epollConn is one client. Owned by run.
type epollConn struct {
	fd       int
	codec    codec.Protocol
	upgraded bool
	channel  string
	in       []byte // an incomplete frame or request; nil when none
}

func newBareEpoll() (s *bareEpoll, err error) {
	s = &bareEpoll{listener: -1, epoll: -1, wake: -1, conns: make(map[int]*epollConn),
		channels: make(map[string][]*epollConn), buf: make([]byte, 256<<10)}
	if err := s.open(); err != nil {
		s.close()
		return nil, fmt.Errorf("bench: bare epoll: %w", err)
	}
	return s, nil
}

// open makes the three descriptors. The caller closes those that it made, also
// after an error.
func (s *bareEpoll) open() (err error) {
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.listener, unix.SOMAXCONN); err != nil {
		return os.NewSyscallError("listen", err)
	}
	name, err := unix.Getsockname(s.listener)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.addr = fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	return errors.Join(s.watch(s.listener), s.watch(s.wake))
}

func (s *bareEpoll) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

// close closes all descriptors. Call it when run has ended.
func (s *bareEpoll) close() {
	for fd := range s.conns {
		_ = unix.Close(fd)
	}
	for _, fd := range []int{s.listener, s.wake, s.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// stop ends run. Any goroutine may call it before close.
func (s *bareEpoll) stop() { _, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// run serves until stop.
func (s *bareEpoll) run() error {
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("bench: bare epoll: %w", os.NewSyscallError("epoll_wait", err))
		}
		for i := range max(n, 0) {
			switch fd := int(events[i].Fd); fd {
			case s.wake:
				return nil
			case s.listener:
				s.accept()
			default:
				if c := s.conns[fd]; c != nil { // else closed by an event before
					s.readable(c)
				}
			}
		}
	}
}

// accept takes all connections that wait.
func (s *bareEpoll) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // EAGAIN; anything else comes again with the next event
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if s.watch(fd) != nil {
			_ = unix.Close(fd)
			continue
		}
		s.conns[fd] = &epollConn{fd: fd}
	}
}

// readable reads once; epoll reports again while there is more.
func (s *bareEpoll) readable(c *epollConn) {
	n, err := unix.Read(c.fd, s.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil, n == 0:
		s.end(c)
		return
	}
	whole := s.buf[:n]
	if c.in != nil {
		c.in = append(c.in, whole...)
		whole = c.in
	}
	rest, ok := s.consume(c, whole)
	switch {
	case !ok:
		s.end(c)
	case len(rest) == 0:
		c.in = nil
	default:
		c.in = append([]byte(nil), rest...)
	}
}

// consume takes whole pieces from b and returns the rest. Without ok the
// connection is to end.
func (s *bareEpoll) consume(c *epollConn, b []byte) (rest []byte, ok bool) {
	if !c.upgraded {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return b, len(b) <= maxHead
		}
		if !s.upgrade(c, b[:end]) {
			return nil, false
		}
		b = b[end+4:]
	}
	for len(b) > 0 {
		h, size := frame.Next(b)
		if size == 0 || size > len(b) {
			return b, size <= maxMessage
		}
		frame.Mask(b[h.Offset:size], h.Key)
		if h.Op == frame.Close || h.Op.Data() && !s.message(c, b[h.Offset:size]) {
			return nil, false
		}
		b = b[size:]
	}
	return nil, true
}

// upgrade answers the one request that peers send.
func (s *bareEpoll) upgrade(c *epollConn, head []byte) bool {
	c.codec = codec.Proto
	if bytes.Contains(head, []byte(codec.JSON.Subprotocol())) {
		c.codec = codec.JSON
	}
	if !bytes.Contains(head, []byte(upgradeKey)) {
		return false
	}
	c.upgraded = true
	return s.write(c, fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", upgradeAccept, c.codec.Subprotocol()))
}

func (s *bareEpoll) message(c *epollConn, payload []byte) bool {
	commands, err := codec.DecodeClient(c.codec, payload)
	if err != nil {
		return false
	}
	for _, m := range commands {
		if !s.command(c, m) {
			return false
		}
	}
	return true
}

func (s *bareEpoll) command(c *epollConn, m *clientv1.ClientMessage) bool {
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		return s.write(c, encode(c.codec, bareConnected(m.Id)))
	case *clientv1.ClientMessage_Subscribe:
		c.channel = body.Subscribe.Channel
		s.channels[c.channel] = append(s.channels[c.channel], c)
		return s.write(c, encode(c.codec, bareSubscribed(m.Id, c.channel)))
	case *clientv1.ClientMessage_Publish:
		return s.publish(c, body.Publish)
	}
	return true
}

// publish sends to all subscribers of a channel, which all speak the
// publisher's protocol. It is false when the publisher itself is to end.
func (s *bareEpoll) publish(from *epollConn, m *clientv1.Publish) bool {
	push := encode(from.codec, barePublication(m))
	var full []*epollConn
	for _, c := range s.channels[m.Channel] {
		if !s.write(c, push) {
			full = append(full, c)
		}
	}
	for _, c := range full {
		// A FIN would wait behind what it does not read: reset it.
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		if c != from { // its caller ends that one
			s.end(c)
		}
	}
	return !slices.Contains(full, from)
}

// write sends all of b at once, or reports that it cannot.
func (s *bareEpoll) write(c *epollConn, b []byte) bool {
	n, err := unix.Write(c.fd, b)
	return err == nil && n == len(b)
}

func (s *bareEpoll) end(c *epollConn) {
	delete(s.conns, c.fd)
	if c.channel != "" {
		s.channels[c.channel] = slices.DeleteFunc(s.channels[c.channel], func(o *epollConn) bool { return o == c })
	}
	_ = unix.Close(c.fd)
}

// encode makes one frame of a message.
func encode(p codec.Protocol, m *clientv1.ServerMessage) []byte {
	op := frame.Binary
	if p.Text() {
		op = frame.Text
	}
	return frame.Append(nil, op, codec.AppendServer(nil, p, m))
}

// serveBareEpoll runs the server until ctx ends. It prints its addresses to
// out.
func serveBareEpoll(ctx context.Context, out io.Writer) error {
	s, err := newBareEpoll()
	if err != nil {
		return err
	}
	defer s.close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	admin := &http.Server{Handler: bareAdmin(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 2) // one of each goroutine
	var serving sync.WaitGroup
	serving.Go(func() { failed <- admin.Serve(listener) })
	serving.Go(func() { failed <- s.run() })
	if err = json.NewEncoder(out).Encode(bareAddrs{s.addr, listener.Addr().String()}); err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	s.stop()
	_ = admin.Close()
	serving.Wait()
	return err
}
