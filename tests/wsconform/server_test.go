package wsconform_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/lxzan/gws"

	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/tests/wsconform"
)

// fault says what is wrong with a server. The zero fault is a good one.
type fault struct {
	bare      bool       // gws without the guard
	closeCode cause.Code // instead of the violation's
	noClose   bool       // drop TCP on a violation
	noPong    bool
	echoes    int // of each message; 0 means 1
	swallow   bool
	binary    bool // echo everything as binary
	deflate   bool // take offers of compression as gws does
	window    bool // of these, keep the context
}

var guarded = fault{}

// echoServer echoes messages with gws behind the frame guard, as the
// goroutine engine of the edge does. acceptLoop and one handle for each
// connection are its goroutines; stop waits for them.
type echoServer struct {
	// Immutable after serve.
	listener net.Listener
	limits   frame.Limits
	upgrader *gws.Upgrader
	fault    fault
	wg       sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	conns   map[net.Conn]bool
	stopped bool
}

// serve starts a server that stops with the test.
func serve(t *testing.T, l wsconform.Limits, f fault) *echoServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits := frame.Limits{MaxMessageBytes: l.MaxMessageBytes, MaxFragments: l.MaxFragments}
	if limits.MaxMessageBytes == 0 {
		limits.MaxMessageBytes = frame.DefaultMaxMessageBytes
	}
	s := &echoServer{listener: listener, limits: limits, fault: f, conns: map[net.Conn]bool{}}
	s.upgrader = gws.NewUpgrader(handler{fault: f}, &gws.ServerOption{ReadMaxPayloadSize: limits.MaxMessageBytes, CheckUtf8Enabled: f.bare,
		PermessageDeflate: gws.PermessageDeflate{Enabled: f.deflate, ServerContextTakeover: f.window, ServerMaxWindowBits: 15, Threshold: 1, PoolSize: 1}})
	s.wg.Add(1)
	go s.acceptLoop()
	t.Cleanup(s.stop)
	return s
}

// dial is a wsconform.Dial.
func (s *echoServer) dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	return wsconform.Handshake(conn, "/")
}

// offer is a wsconform.Offer.
func (s *echoServer) offer(extensions string) (net.Conn, string, error) {
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return nil, "", err
	}
	return wsconform.HandshakeOffer(conn, "/", extensions)
}

// stop ends the server and waits for it. It may be called twice.
func (s *echoServer) stop() {
	s.listener.Close()
	s.mu.Lock()
	s.stopped = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *echoServer) acceptLoop() {
	defer s.wg.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Add(1)
		go s.handle(conn)
	}
}

// track remembers conn so that stop can close it, and reports whether the
// server is still running.
func (s *echoServer) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = true
	return !s.stopped
}

// handle serves one connection from handshake to end.
func (s *echoServer) handle(conn net.Conn) {
	defer s.wg.Done()
	defer conn.Close()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	if !s.track(conn) {
		return
	}
	br := bufio.NewReader(conn)
	request, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	// Bytes that came with the request are in br: gws must get a reader of
	// its own, or they would pass by the guard.
	gc := &guardedConn{Conn: conn, r: br, guard: frame.NewGuard(s.limits), fault: s.fault}
	ws, err := s.upgrader.UpgradeFromConn(gc, bufio.NewReader(gc), request)
	if err != nil {
		return
	}
	ws.ReadLoop()
}

// handler echoes.
type handler struct {
	gws.BuiltinEventHandler
	fault fault
}

// OnPing answers with the payload, RFC 6455 §5.5.3.
func (h handler) OnPing(socket *gws.Conn, payload []byte) {
	if !h.fault.noPong {
		socket.WritePong(payload)
	}
}

// OnMessage echoes.
func (h handler) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	if h.fault.swallow {
		return
	}
	op := message.Opcode
	if h.fault.binary {
		op = gws.OpcodeBinary
	}
	for range max(1, h.fault.echoes) {
		socket.WriteMessage(op, message.Bytes())
	}
}

// guardedConn is the net.Conn that gws gets. All of it runs on the goroutine
// of gws' ReadLoop, as this server writes only from there.
type guardedConn struct {
	net.Conn
	r     io.Reader
	guard frame.Guard
	fault fault
	bad   *frame.Violation // found; told at the next Read
	over  bool             // nothing goes out any more
}

// Read hands on what the guard passes. A violation waits until gws has dealt
// with the good frames before it: only then does it read again.
func (c *guardedConn) Read(p []byte) (int, error) {
	if c.fault.bare {
		return c.r.Read(p)
	}
	if c.bad != nil {
		return 0, c.fail()
	}
	n, err := c.r.Read(p)
	ok, v := c.guard.Scan(p[:n])
	if c.bad = v; v != nil && ok == 0 {
		return 0, c.fail()
	}
	if ok < n {
		return ok, nil
	}
	return n, err
}

// fail sends the close frame of the violation, once, and ends the stream.
func (c *guardedConn) fail() error {
	code := c.bad.Code
	if c.fault.closeCode != 0 {
		code = c.fault.closeCode
	}
	if !c.over && !c.fault.noClose {
		c.Conn.Write(frame.AppendClose(nil, code, c.bad.Reason))
	}
	c.over = true
	return io.EOF
}

// Write swallows what gws still has to say after a violation: our close frame
// was the last word.
func (c *guardedConn) Write(p []byte) (int, error) {
	if c.over {
		return len(p), nil
	}
	return c.Conn.Write(p)
}
