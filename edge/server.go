package edge

import (
	"context"
	"log/slog"
	"net"
)

// Deps are the parts that a Server needs from outside. All are required.
type Deps struct {
	Sessions Sessions
	Recorder Recorder
	Ready    func() error // nil error: the node delivers; must be cheap
	Logger   *slog.Logger
}

// Server is the clients' side of a node: admission and one I/O engine over one
// listener.
type Server struct {
	config    Config
	admission *admission
	engine    Engine
}

// NewServer returns a Server that listens to nothing yet.
func NewServer(c Config, d Deps) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := newAdmission(c.Limits)
	engine, err := newEngine(c, a, d)
	if err != nil {
		return nil, err
	}
	return &Server{config: c, admission: a, engine: engine}, nil
}

// newEngine chooses: TLS needs a goroutine per connection, since crypto/tls
// reads from a blocking connection.
func newEngine(c Config, a *admission, d Deps) (Engine, error) {
	if c.Engine == "poll" || c.Engine == "auto" && pollSupported && c.TLS == nil {
		return newPollEngine(c, a, d)
	}
	return newGoroutineEngine(c, a, d), nil
}

// Serve accepts clients from ln until Stop or Close; it returns nil then.
func (s *Server) Serve(ln net.Listener) error { return s.engine.Serve(ln) }

// Engine is the name of the I/O engine in use.
func (s *Server) Engine() string { return s.engine.Name() }

// SetLimits changes what admission refuses, for connections to come.
func (s *Server) SetLimits(l Limits) error {
	if err := l.Validate(); err != nil {
		return err
	}
	s.admission.set(l)
	return nil
}

// Sockets is the number of sockets, handshakes included.
func (s *Server) Sockets() int { return s.admission.count() }

// Stop stops accepting: new handshakes get 503 while the listener closes.
func (s *Server) Stop() {
	s.admission.draining.Store(true)
	s.engine.Stop()
}

// Close cuts what is left and waits for it until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	s.admission.draining.Store(true)
	return s.engine.Close(ctx)
}
