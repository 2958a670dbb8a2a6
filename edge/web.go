package edge

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// webServer serves the HTTP requests that come to the clients' port and are
// not for /ws/: the demo page. Its listener is fed by the engine, which has
// read the head already to know.
type webServer struct {
	server   *http.Server
	conns    chan net.Conn // unbuffered: a handshake goroutine waits, within its deadline
	done     chan struct{} // closed by close
	once     sync.Once
	finished chan struct{} // closed when Serve has returned
}

// newWebServer returns nil without a handler.
func newWebServer(h http.Handler, log *slog.Logger) *webServer {
	if h == nil {
		return nil
	}
	w := &webServer{conns: make(chan net.Conn), done: make(chan struct{}), finished: make(chan struct{}),
		server: &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}}
	// One request per connection: the next on it might be for /ws/, which this
	// server does not know.
	w.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(w.finished)
		w.server.Serve(w)
	}()
	return w
}

// serve hands c over; c.gone is called in the end.
func (w *webServer) serve(c net.Conn) {
	select {
	case w.conns <- c:
	case <-w.done:
		c.Close()
	}
}

func (w *webServer) close() {
	if w == nil {
		return
	}
	w.once.Do(func() { close(w.done) })
	w.server.Close()
	<-w.finished
}

// Accept implements net.Listener.
func (w *webServer) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *webServer) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr implements net.Listener.
func (w *webServer) Addr() net.Addr { return &net.TCPAddr{} }

// webConn gives back what was read of it, and says when it is gone.
type webConn struct {
	net.Conn
	early []byte // owned by the reader
	gone  func()
	once  sync.Once
}

// Read implements net.Conn.
func (c *webConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *webConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.gone)
	return err
}
