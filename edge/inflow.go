package edge

import (
	"bufio"
	"io"
	"iter"
	"net/http"
	"runtime"
	"sync"

	"github.com/lxzan/gws"

	"hawser/proto/cause"
)

// inflow is a gws.Conn that belongs to no socket: it unfolds and inflates whole
// messages, one at a time. gws wants to own a goroutine that reads for ever; here that
// goroutine is a coroutine (iter.Pull) which runs only while its borrower waits
// for it, and which Read leaves when the bytes of the message are used up.
// Between messages gws holds no state, so a few serve everybody.
type inflow struct {
	net   capture
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	feed  []byte
	sink  func(text bool, payload []byte)
	ended bool  // gws has given up
	why   error // it has, in its words
}

// inflowBufferBytes is what gws reads ahead; a message is in memory already.
const inflowBufferBytes = 4096

func newInflow(u *gws.Upgrader, header http.Header) (*inflow, error) {
	f := new(inflow)
	conn := inflowConn{&f.net, f}
	ws, err := u.UpgradeFromConn(conn, bufio.NewReaderSize(conn, inflowBufferBytes),
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

// run unfolds the raw frames of one message. It returns what is wrong with
// them, or 0.
func (f *inflow) run(message []byte, sink func(text bool, payload []byte)) cause.Code {
	f.feed, f.sink = message, sink
	f.next()
	f.feed, f.sink = nil, nil
	if f.ended {
		return inflateCause(f.why)
	}
	return 0
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

// OnClose implements gws.Event.
func (inflowEvents) OnClose(ws *gws.Conn, err error) { ws.NetConn().(inflowConn).inflow.why = err }

// inflowHeader is the handshake that gws asks for before it reads. Whoever has
// not agreed on the extension is kept from it by the guard.
func inflowHeader() http.Header {
	return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Extensions": {deflateTerms}}
}

// inflows lends inflows to connections for one message each.
type inflows struct {
	upgrader *gws.Upgrader

	mu   sync.Mutex
	free []*inflow // guarded by mu; at most maxFreeInflows
}

// maxFreeInflows bounds the ones kept for the next message; what more were
// needed at once end when they are given back.
const maxFreeInflows = 64

func newInflows(c Config) *inflows {
	return &inflows{upgrader: gws.NewUpgrader(inflowEvents{}, &gws.ServerOption{ReadMaxPayloadSize: c.MaxMessageBytes,
		ParallelGolimit: 1, NewSession: func() gws.SessionStorage { return nil }, PermessageDeflate: c.deflateOption(runtime.GOMAXPROCS(0))})}
}

// unfold gives gws the raw frames of one message. It returns what is wrong with
// them, or 0.
func (p *inflows) unfold(message []byte, sink func(text bool, payload []byte)) cause.Code {
	f, err := p.borrow()
	if err != nil {
		return cause.Internal
	}
	if bad := f.run(message, sink); bad != 0 {
		f.stop() // its closed flag is set for good
		return bad
	}
	p.giveBack(f)
	return 0
}

func (p *inflows) borrow() (*inflow, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free = p.free[:n-1]
		return f, nil
	}
	return newInflow(p.upgrader, inflowHeader())
}

func (p *inflows) giveBack(f *inflow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == maxFreeInflows {
		f.stop()
		return
	}
	p.free = append(p.free, f)
}

// close ends the free ones; the connections are gone by then, and with them
// the others.
func (p *inflows) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.free {
		f.stop()
	}
	p.free = nil
}
