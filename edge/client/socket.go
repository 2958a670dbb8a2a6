package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lxzan/gws"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
	"hawser/proto/codec"
)

const (
	// outLen is how many commands may wait for writeLoop. Overflow: the caller
	// waits, as long as its context allows.
	outLen = 64
	// batchBytes ends a frame of several commands. Well below the 64 KiB that a
	// server accepts by default, so that only one command can be too big.
	batchBytes = 16 << 10
)

// answer is called exactly once for a command: with what the server said to
// it, or with the error that ended the connection before. It runs on readLoop
// or session, and must not block.
type answer func(*clientv1.ServerMessage, error)

// socket is one WebSocket. readLoop and writeLoop are its only goroutines;
// wait joins both.
type socket struct {
	gws.BuiltinEventHandler

	// Immutable after open.
	ws       *gws.Conn
	wire     *wire
	codec    codec.Protocol
	pushed   func(*clientv1.ServerMessage) // each message that answers no command, on readLoop
	out      chan *clientv1.ClientMessage  // to writeLoop; never closed
	ended    chan struct{}                 // closed by readLoop, when err is set
	quit     chan struct{}                 // closed by abandon: pushed must not wait any more
	loops    sync.WaitGroup
	quitOnce sync.Once

	// Owned by readLoop.
	disconnect *clientv1.Disconnect // the server's last message
	refused    *DisconnectError     // what of the server's made us end it

	mu      sync.Mutex
	lastID  uint32            // guarded by mu
	waiting map[uint32]answer // guarded by mu; nil once ended
	err     *DisconnectError  // set by readLoop before it closes ended
}

// start runs the loops of a socket whose handshake is done.
func (s *socket) start() {
	s.loops.Go(s.readLoop)
	s.loops.Go(s.writeLoop)
}

// wait returns when both loops have.
func (s *socket) wait() { s.loops.Wait() }

// send queues a command. It blocks while the queue is full, and returns an
// error, without calling done, when ctx ends or the socket does before the
// command was taken. The returned id is for forget.
func (s *socket) send(ctx context.Context, m *clientv1.ClientMessage, done answer) (uint32, error) {
	s.mu.Lock()
	if s.waiting == nil {
		s.mu.Unlock()
		return 0, s.err
	}
	m.Id = s.freeID()
	s.waiting[m.Id] = done
	s.mu.Unlock()
	select {
	case s.out <- m:
		return m.Id, nil
	case <-s.ended:
		return m.Id, nil // fail has called done, or will
	case <-ctx.Done():
		if s.forget(m.Id) {
			return 0, context.Cause(ctx)
		}
		return m.Id, nil
	}
}

// freeID needs mu. 0 means "no answer" on the wire.
func (s *socket) freeID() uint32 {
	for {
		s.lastID++
		if _, taken := s.waiting[s.lastID]; s.lastID != 0 && !taken {
			return s.lastID
		}
	}
}

// forget gives up an answer. It reports whether done had not been called.
func (s *socket) forget(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.waiting[id]
	delete(s.waiting, id)
	return ok
}

// call sends a command and waits for the answer to it.
func (s *socket) call(ctx context.Context, m *clientv1.ClientMessage) (*clientv1.ServerMessage, error) {
	type result struct {
		m   *clientv1.ServerMessage
		err error
	}
	results := make(chan result, 1)
	id, err := s.send(ctx, m, func(m *clientv1.ServerMessage, err error) { results <- result{m, err} })
	if err != nil {
		return nil, err
	}
	select {
	case r := <-results:
		return r.m, r.err
	case <-ctx.Done():
		s.forget(id)
		return nil, context.Cause(ctx)
	}
}

// finish ends the socket from this side: a close frame, then at most timeout
// for the server's. It returns when the socket has ended.
func (s *socket) finish(code cause.Code, reason string, timeout time.Duration) {
	timer := time.AfterFunc(timeout, s.cut)
	defer timer.Stop()
	s.abandon()
	s.wire.finish(code, reason)
	<-s.ended
}

// cut ends the socket now.
func (s *socket) cut() {
	s.abandon()
	_ = s.wire.Close()
}

// abandon frees readLoop from waiting for handlers.
func (s *socket) abandon() { s.quitOnce.Do(func() { close(s.quit) }) }

// readLoop hands each message to its caller or to pushed, until the end.
func (s *socket) readLoop() {
	s.ws.ReadLoop() // ends in OnClose
	s.cut()
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	close(s.ended)
	for _, done := range waiting {
		done(nil, s.err)
	}
}

// writeLoop writes commands, as many at once as there are.
func (s *socket) writeLoop() {
	opcode := gws.OpcodeBinary
	if s.codec.Text() {
		opcode = gws.OpcodeText
	}
	var buf []byte
	for {
		select {
		case <-s.ended:
			return
		case m := <-s.out:
			buf = s.batch(buf[:0], m)
			if err := s.ws.WriteMessage(opcode, buf); err != nil {
				return // closed: the wire reports no other error
			}
		}
	}
}

// batch appends m and what else waits as the payload of one frame.
func (s *socket) batch(buf []byte, m *clientv1.ClientMessage) []byte {
	buf = codec.AppendClient(buf, s.codec, m)
	n := 1
	for ; n < codec.MaxMessagesPerFrame && len(buf) < batchBytes; n++ {
		select {
		case m = <-s.out:
		default:
			return s.bracket(buf, n)
		}
		if s.codec == codec.JSON {
			buf = append(buf, ',')
		}
		buf = codec.AppendClient(buf, s.codec, m)
	}
	return s.bracket(buf, n)
}

// bracket makes an array of several JSON objects.
func (s *socket) bracket(buf []byte, n int) []byte {
	if s.codec != codec.JSON || n == 1 {
		return buf
	}
	buf = append(buf, ']', 0)
	copy(buf[1:], buf[:len(buf)-1])
	buf[0] = '['
	return buf
}

// OnPing answers the server's ping. gws calls it on readLoop.
func (s *socket) OnPing(ws *gws.Conn, payload []byte) {
	_ = ws.WritePong(payload) // gws ends the connection by itself on an error
}

// OnMessage reads the messages of one frame. gws calls it on readLoop.
func (s *socket) OnMessage(_ *gws.Conn, frame *gws.Message) {
	defer frame.Close()
	if (frame.Opcode == gws.OpcodeText) != s.codec.Text() {
		s.refuse(cause.WrongDataType, errors.New("frame type does not fit "+s.codec.Subprotocol()))
		return
	}
	messages, err := codec.DecodeServer(s.codec, frame.Bytes())
	if err != nil {
		s.refuse(cause.ProtocolError, err)
		return
	}
	for _, m := range messages {
		s.dispatch(m)
	}
}

// refuse ends the socket for what the server sent.
func (s *socket) refuse(code cause.Code, err error) {
	s.refused = violated(code, err)
	s.wire.finish(code, code.String())
	s.cut()
}

func (s *socket) dispatch(m *clientv1.ServerMessage) {
	if d := m.GetDisconnect(); d != nil {
		s.disconnect = d
		return
	}
	if m.Id == 0 {
		s.pushed(m)
		return
	}
	s.mu.Lock()
	done := s.waiting[m.Id]
	delete(s.waiting, m.Id)
	s.mu.Unlock()
	if done == nil {
		return // forgotten by its caller
	}
	if e := m.GetError(); e != nil {
		done(nil, errorFrom(e))
		return
	}
	done(m, nil)
}

// OnClose finds the reason. gws calls it on readLoop, as its last.
func (s *socket) OnClose(_ *gws.Conn, err error) { s.err = s.endOf(err) }

// endOf picks the best witness: what we refused, the server's disconnect
// message, a broken rule, the close frame, a failed write, the read error.
func (s *socket) endOf(err error) *DisconnectError {
	if s.refused != nil {
		return s.refused
	}
	if s.disconnect != nil {
		return announced(s.disconnect)
	}
	if v := s.wire.violation(); v != nil {
		return violated(v.Code, v)
	}
	var closed *gws.CloseError
	if errors.As(err, &closed) {
		if closed.Code == 0 {
			return disconnected(cause.NoStatus, "", nil)
		}
		return disconnected(cause.Code(closed.Code), string(closed.Reason), nil)
	}
	if unwritten := s.wire.writeError(); unwritten != nil {
		return lostPeer(fmt.Errorf("write: %w", unwritten))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // no close frame came first
	}
	return lostPeer(err)
}
