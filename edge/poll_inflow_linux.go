package edge

import (
	"bufio"
	"io"
	"iter"
	"net/http"

	"github.com/lxzan/gws"
)

// inflow is a gws.Conn that belongs to no socket: it unfolds whole messages,
// one at a time, for all connections of a loop. gws wants to own a goroutine
// that reads for ever; here that goroutine is a coroutine (iter.Pull) which
// runs only while the loop waits for it, and which Read leaves when the bytes
// of the message are used up. Between messages gws holds no state, so one
// serves everybody.
type inflow struct {
	net   capture
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	feed  []byte
	sink  func(text bool, payload []byte)
	ended bool
}

func newInflow(u *gws.Upgrader, header http.Header) (*inflow, error) {
	f := new(inflow)
	ws, err := u.UpgradeFromConn(inflowConn{&f.net, f}, bufio.NewReaderSize(inflowConn{&f.net, f}, readBufferBytes),
		&http.Request{Method: http.MethodGet, Header: header})
	if err != nil {
		return nil, err
	}
	f.next, f.stop = iter.Pull(func(yield func(struct{}) bool) {
		f.yield = yield
		ws.ReadLoop()
		f.ended = true
	})
	f.next() // up to its first Read
	return f, nil
}

// run unfolds the raw frames of one message. It reports whether gws took them.
func (f *inflow) run(message []byte, sink func(text bool, payload []byte)) bool {
	f.feed, f.sink = message, sink
	f.next()
	f.feed, f.sink = nil, nil
	return !f.ended
}

// inflowConn is the net.Conn of an inflow; gws finds its way back through it.
type inflowConn struct {
	*capture
	inflow *inflow
}

// Read implements net.Conn.
func (c inflowConn) Read(p []byte) (int, error) {
	for len(c.inflow.feed) == 0 {
		if !c.inflow.yield(struct{}{}) {
			return 0, io.EOF // stop
		}
	}
	n := copy(p, c.inflow.feed)
	c.inflow.feed = c.inflow.feed[n:]
	return n, nil
}

// inflowEvents hands messages to the sink.
type inflowEvents struct{ gws.BuiltinEventHandler }

// OnMessage implements gws.Event.
func (inflowEvents) OnMessage(ws *gws.Conn, m *gws.Message) {
	defer m.Close()
	ws.NetConn().(inflowConn).inflow.sink(m.Opcode == gws.OpcodeText, m.Bytes())
}

// inflowHeader is the handshake that gws asks for before it reads.
func inflowHeader() http.Header {
	return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
}

// unfold gives gws a message and its peer the result.
func (l *pollLoop) unfold(s *pollSocket, message []byte) bool {
	if l.inflow == nil {
		u := gws.NewUpgrader(inflowEvents{}, &gws.ServerOption{ReadMaxPayloadSize: l.engine.config.MaxMessageBytes,
			ParallelGolimit: 1, NewSession: func() gws.SessionStorage { return nil }})
		f, err := newInflow(u, inflowHeader())
		if err != nil {
			l.engine.log.Error("gws does not start", "err", err)
			return false
		}
		l.inflow = f
	}
	ok := l.inflow.run(message, func(text bool, payload []byte) {
		l.engine.recorder.Read(len(payload))
		s.peer.Message(text, payload)
	})
	if !ok {
		l.dropInflow() // its closed flag is set for good
	}
	return ok
}

func (l *pollLoop) dropInflow() {
	if l.inflow != nil {
		l.inflow.stop()
		l.inflow = nil
	}
}
