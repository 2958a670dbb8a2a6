package edge

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
)

// pollStage is where a pollSocket stands. It only goes forward.
type pollStage uint8

const (
	stageShaking pollStage = iota // reading the HTTP request
	stageOpen                     // a WebSocket
	stageDeaf                     // what comes is read and dropped until the client ends TCP
	stageEnded                    // the descriptor is closed or given away
)

// pollSocket is one connection of the poll engine: idle, it is this struct and
// its actor. Its loop's goroutine does everything but the Transport's methods.
type pollSocket struct {
	// Immutable after add.
	loop       *pollLoop
	fd         int32
	slot       uint32
	generation uint32

	// Owned by the loop.
	remote *netip.Addr // what admission counted; nil while it counts no addresses
	peer   Peer        // from stageOpen on
	in     inbound
	stage  pollStage
	hangup bool       // the client has ended its side: read to the end
	code   cause.Code // of the client's close frame; 0: none yet

	ending atomic.Bool // any goroutine: a close frame is queued
	deaf   atomic.Bool // any goroutine: the client broke the protocol
}

var (
	_ actors.Transport = (*pollSocket)(nil)
	_ actors.Writer    = (*pollSocket)(nil)
	_ host             = (*pollSocket)(nil)
)

// Flush implements actors.Transport. What the socket does not take waits for
// EPOLLOUT, whose edge can only come after Drain has let go of the outbox.
func (s *pollSocket) Flush() {
	if blocked, err := s.peer.Outbox().Drain(s); err == nil && !blocked {
		s.drained()
	} // an error comes again as EPOLLERR or EPOLLHUP, which ends the socket
}

// WriteBatch implements actors.Writer. Drain calls it under the outbox's lock
// and never after the peer was told Closed, so the descriptor is still ours.
func (s *pollSocket) WriteBatch(bufs [][]byte) (n int, err error) {
	c := writevPool.Get().(*writevCall)
	defer writevPool.Put(c)
	offered := c.load(bufs)
	c.writev(uintptr(s.fd))
	return c.done(s.loop.engine.recorder, offered)
}

// drained half-closes behind the close frame to a client that broke the
// protocol: from it, only the end of TCP is of interest.
func (s *pollSocket) drained() {
	if s.ending.Load() && s.deaf.Load() {
		s.peer.Outbox().WhileOpen(func() { syscall.Shutdown(int(s.fd), syscall.SHUT_WR) })
	}
}

// Finish implements actors.Transport.
func (s *pollSocket) Finish() {
	s.ending.Store(true)
	s.loop.closeBy(s)
	s.Flush()
}

// writable continues a blocked write, and ends a socket whose closing
// handshake waited for it.
func (s *pollSocket) writable() {
	if s.peer == nil || s.stage == stageEnded {
		return
	}
	s.Flush()
	s.endIfDone()
}

// endIfDone ends a socket once both close frames have passed.
func (s *pollSocket) endIfDone() {
	if s.code != 0 && s.peer.Outbox().Queued() == 0 {
		s.end()
	}
}

// end closes the socket. The order matters: once the peer is told, no other
// goroutine writes to the descriptor, and it may be reused.
func (s *pollSocket) end() {
	if s.stage == stageEnded {
		return
	}
	s.stage = stageEnded
	s.loop.remove(s)
	if s.peer != nil {
		code := s.code
		if code == 0 {
			code = cause.PeerLost
		}
		s.peer.Closed(code)
	}
	syscall.Close(int(s.fd))
	s.in.rest = nil
	s.loop.engine.leave(s.counted())
}

// read takes what the socket has, at most turns buffers of it. It reports
// whether there may be more.
func (s *pollSocket) read(turns int) (more bool) {
	defer s.survive()
	for ; turns > 0 && s.stage != stageEnded; turns-- {
		n, err := syscall.Read(int(s.fd), s.loop.buf)
		switch {
		case err == syscall.EAGAIN:
			return false
		case err == syscall.EINTR:
			continue
		case err != nil || n == 0:
			s.end()
			return false
		}
		s.take(s.loop.buf[:n])
		if n < len(s.loop.buf) && !s.hangup {
			return false // edge-triggered: what comes later is a new event
		}
	}
	return s.stage != stageEnded
}

// survive keeps a defect in the read path to its own connection.
func (s *pollSocket) survive() {
	if reason := recover(); reason != nil {
		s.loop.engine.logPanic(reason)
		if s.peer != nil {
			s.peer.Violate(cause.Internal)
		}
		s.end()
	}
}

// take handles bytes in the order in which they came.
func (s *pollSocket) take(b []byte) {
	switch s.stage {
	case stageShaking:
		s.takeHead(b)
	case stageOpen:
		s.takeFrames(b)
	case stageDeaf: // an answer in HTTP was sent, and the client talks on
		if s.in.drops += int32(len(b)); s.in.drops > maxDiscardBytes {
			s.end()
		}
	}
}

func (s *pollSocket) takeFrames(b []byte) {
	if !s.in.take(b, s, s.peer) {
		s.end()
	}
}

// closing implements host.
func (s *pollSocket) closing() bool { return s.ending.Load() }

// gone implements host.
func (s *pollSocket) gone() { s.deaf.Store(true) }

// recorder implements host.
func (s *pollSocket) recorder() Recorder { return s.loop.engine.recorder }

// unfold implements host.
func (s *pollSocket) unfold(message []byte, sink func(text bool, payload []byte)) cause.Code {
	return s.loop.engine.inflows.unfold(message, sink)
}

// closed implements host: it answers the client's close frame with its own
// code, RFC 6455 §5.5.1, unless ours is queued already.
func (s *pollSocket) closed(code cause.Code) {
	s.code = code
	if !s.ending.Swap(true) {
		s.peer.Outbox().Seal(false, actors.NewFrame(frame.AppendClose(nil, s.code, "")))
		s.loop.closeBy(s)
		s.Flush()
	}
	s.endIfDone()
}

// takeHead gathers the HTTP request, and acts on it when it is whole.
func (s *pollSocket) takeHead(b []byte) {
	head := append(s.in.rest.tail, b...)
	from := max(len(s.in.rest.tail)-3, 0)
	s.in.rest.tail = head
	if s.in.rest.proxied {
		if s.unwrap(head) {
			request := s.in.rest.tail
			s.in.rest.tail = nil // so that the search for its end starts at its start
			s.takeHead(request)
		}
		return
	}
	limit := s.loop.engine.config.MaxHeaderBytes
	i := bytes.Index(head[from:], []byte("\r\n\r\n"))
	if i < 0 && len(head) < limit {
		return
	}
	end := from + i + 4
	if i < 0 || end > limit {
		s.refuse(RefuseHeaderTooBig)
		return
	}
	accepted := s.in.rest.accepted
	s.in.rest = nil
	early := head[end:]
	r, refusal := parseRequest(head[:end])
	var req request
	if refusal == nil {
		req, refusal = s.loop.engine.admission.route(r)
	}
	if refusal == nil && req.fallback && s.loop.engine.web == nil {
		refusal = RefuseNotFound
	}
	switch {
	case refusal != nil:
		s.refuse(refusal)
	case req.fallback:
		s.giveAway(head)
	case req.health:
		s.answerHealth(req)
	default:
		s.open(req, early, accepted)
	}
}

// countAs notes what admission counted. Only limits per address need it, so
// that without them a connection does not carry its address.
func (s *pollSocket) countAs(addr netip.Addr) {
	if addr = s.loop.engine.core.counted(addr); addr.IsValid() {
		s.remote = &addr
	}
}

func (s *pollSocket) counted() netip.Addr {
	if s.remote == nil {
		return netip.Addr{}
	}
	return *s.remote
}

// unwrap takes the PROXY header of a balancer off. It reports whether it was
// whole and good.
func (s *pollSocket) unwrap(head []byte) bool {
	client, size, err := parseProxy(head)
	switch {
	case err != nil:
		s.refuse(RefuseBadRequest)
		return false
	case size == 0:
		return false
	}
	client = countedAddr(client)
	if refusal := s.loop.engine.admission.claim(client); refusal != nil {
		s.refuse(refusal)
		return false
	}
	s.countAs(client)
	s.in.rest.proxied = false
	s.in.rest.tail = head[size:]
	return true
}

// say writes to a socket that has no peer: its buffer is empty, so all fits.
func (s *pollSocket) say(b []byte) bool {
	n, err := syscall.Write(int(s.fd), b)
	return err == nil && n == len(b)
}

// refuse answers with HTTP and waits for the client to end TCP: closing with
// bytes unread would reset the connection, and the answer with it.
func (s *pollSocket) refuse(refusal *Refusal) {
	s.loop.engine.recorder.Refused(refusal)
	s.farewell(refusal.response())
}

func (s *pollSocket) farewell(b []byte) {
	s.say(b)
	syscall.Shutdown(int(s.fd), syscall.SHUT_WR)
	s.stage = stageDeaf
	s.in.rest = nil
	s.loop.closeBy(s)
}

// open makes a WebSocket of it. gws writes the 101.
func (s *pollSocket) open(req request, early []byte, accepted time.Time) {
	e := s.loop.engine
	req.settle(e.config.Compression)
	var answer capture
	if _, err := e.upgraders[req.protocol].UpgradeFromConn(&answer, nil, req.http); err != nil || !s.say(answer.written) {
		e.recorder.Refused(RefuseBadRequest)
		s.end()
		return
	}
	e.recorder.Handshake(time.Since(accepted))
	s.stage = stageOpen
	s.in.guard = frame.NewGuard(e.config.frameLimits(req.deflate))
	e.sessions.Attach(actors.AttachParams{Transport: s, Wire: req.wire(), Tenant: req.tenant, Token: req.token},
		func(p Peer) { s.peer = p })
	if len(early) > 0 {
		s.takeFrames(early)
	}
}

func (s *pollSocket) answerHealth(req request) {
	e := s.loop.engine
	if err := e.ready(); err != nil {
		s.refuse(RefuseNotReady)
		return
	}
	req.http.Header.Del("Sec-Websocket-Extensions")
	var answer capture
	if _, err := e.health.UpgradeFromConn(&answer, nil, req.http); err != nil {
		s.end()
		return
	}
	b := frame.Append(answer.written, frame.Text, []byte("OK"))
	s.farewell(frame.AppendClose(b, cause.ClientClosed, ""))
}

// giveAway hands the socket to the HTTP server, as a net.Conn of its own.
func (s *pollSocket) giveAway(head []byte) {
	e := s.loop.engine
	syscall.EpollCtl(s.loop.epoll, syscall.EPOLL_CTL_DEL, int(s.fd), nil)
	s.stage = stageEnded
	s.loop.remove(s)
	file := os.NewFile(uintptr(s.fd), "socket")
	nc, err := net.FileConn(file) // duplicates
	file.Close()
	if err != nil {
		e.leave(s.counted())
		return
	}
	remote := s.counted()
	web := &webConn{Conn: nc, early: head, gone: func() { e.leave(remote) }}
	go e.web.serve(web) // ends with web.close at the latest; counted by conns
}
