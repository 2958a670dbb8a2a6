package bench

import (
	"context"
	"net"
	"sync"
	"time"
)

// socketTimeout bounds a dial, and a write that the server does not read.
const socketTimeout = 10 * time.Second

// goroutineEngine reads each connection on a goroutine of its own. It runs
// everywhere and costs the machine more than what it measures; figures of it
// are for systems without the poll engine.
type goroutineEngine struct {
	ctx    context.Context
	cancel context.CancelFunc
	reads  sync.WaitGroup
	swarm  *swarm
}

func newGoroutineEngine(s *swarm) *goroutineEngine {
	e := &goroutineEngine{swarm: s}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// close implements engine.
func (e *goroutineEngine) close() {
	e.cancel()
	e.reads.Wait()
}

// dial implements engine.
func (e *goroutineEngine) dial(p *peer) (socket, error) {
	s := new(goroutineSocket)
	e.reads.Go(func() { e.read(p, s) })
	return s, nil
}

// read is the life of one connection.
func (e *goroutineEngine) read(p *peer, s *goroutineSocket) {
	ctx, cancel := context.WithTimeout(e.ctx, socketTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.swarm.addr.String())
	l := p.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fail(p, err)
		return
	}
	if s.closed {
		_ = conn.Close()
		return
	}
	s.conn = conn
	l.opened(p)
	b := make([]byte, 16<<10)
	for p.phase != gone {
		l.mu.Unlock()
		n, err := conn.Read(b)
		l.mu.Lock()
		l.arrived(p, b[:n])
		if err != nil {
			l.fail(p, err)
		}
	}
}

// goroutineSocket is guarded by the mu of its peer's loop.
type goroutineSocket struct {
	conn   net.Conn // nil until dialed
	closed bool
}

// write implements socket. It blocks the loop while the server does not read.
func (s *goroutineSocket) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(socketTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// close implements socket.
func (s *goroutineSocket) close() {
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
