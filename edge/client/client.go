package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/names"
)

// StateChange is one step of a client's life.
type StateChange struct {
	From, To State
	// Err says why, for Suspended and Failed; nil otherwise.
	Err *DisconnectError
}

// Session is what the server said of the present connection.
type Session struct {
	ID      string // survives reconnects
	User    string // empty for an anonymous client
	Node    string // holds the connection
	Resumed bool   // the session id is that of the connection before
}

// Stats counts since New.
type Stats struct {
	Attempts uint64 // sockets tried
	Received uint64 // publications and direct messages read
	Stalls   uint64 // times that reading waited for a handler (backpressure)
}

// Client is one session with hawser. All methods may be called from any
// goroutine, also from handlers, but for Close: it waits for them. A handler
// that waits for an answer, as Publish and RPC do, delays the messages behind
// it; when QueueLen of them are waiting the answer itself is behind them, and
// the call ends by its context.
type Client struct {
	// Immutable after New.
	cfg    Config
	addr   string // host:port of cfg.URL
	queue  *queue // to dispatch; overflow: backpressure
	events chan posted
	nudge  chan struct{} // 1 deep: subscriptions changed; never closed
	life   context.Context
	end    context.CancelCauseFunc // ends life: handlers should return
	kill   context.Context
	murder context.CancelFunc // ends kill: sockets are cut without a close frame

	closing    chan struct{} // closed by run when the state is Closed
	ran        chan struct{} // closed by run, last of all
	dispatched chan struct{} // closed by dispatch, last of all
	sessions   sync.WaitGroup

	// Owned by run.
	retry  *time.Timer
	stable *time.Timer
	hangUp context.CancelFunc // ends the running attempt; may be nil

	// Owned by session, handed on from each to the next through run.
	token        string
	hasToken     bool
	tokenExpires time.Time // zero: never, as far as we know
	resumeToken  string

	mu      sync.Mutex
	rand    *rand.Rand               // guarded by mu
	started bool                     // guarded by mu; run and dispatch were started
	state   State                    // guarded by mu
	err     *DisconnectError         // guarded by mu; why the last connection ended
	changed chan struct{}            // guarded by mu; closed and replaced at each change of state
	socket  *socket                  // guarded by mu; nil while there is none to use
	session Session                  // guarded by mu
	subs    map[string]*Subscription // guarded by mu
	leaving []*Subscription          // guarded by mu; to be unsubscribed by session
	stats   Stats                    // guarded by mu; Stalls is the queue's
}

// New returns a client that does nothing yet. It fails when cfg does not
// Validate.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Client{
		cfg:        cfg,
		addr:       dialAddr(cfg.URL),
		queue:      newQueue(cfg.QueueLen),
		events:     make(chan posted),
		nudge:      make(chan struct{}, 1),
		closing:    make(chan struct{}),
		ran:        make(chan struct{}),
		dispatched: make(chan struct{}),
		rand:       cfg.Rand,
		changed:    make(chan struct{}),
		subs:       make(map[string]*Subscription),
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.kill, c.murder = context.WithCancel(context.Background())
	return c, nil
}

// Connect starts the client and returns when it is connected, or with the
// reason why it cannot be: ctx ended, the server said stop, Close was called.
// When ctx ends first the client goes on trying; Connect may be called again,
// also to start over after Failed.
func (c *Client) Connect(ctx context.Context) error {
	c.mu.Lock()
	if !c.started {
		c.started = true
		c.retry, c.stable = stoppedTimer(), stoppedTimer()
		go c.run()      // joined by Close through ran
		go c.dispatch() // joined by Close through dispatched
	}
	c.mu.Unlock()
	if !c.post(connectCalled{}) {
		return ErrClosed
	}
	_, err := c.connection(ctx)
	return err
}

// Close ends the connection with code 1000 and returns when every goroutine
// of the client has ended. Messages that no handler has begun are not
// delivered. When ctx ends first the socket is cut and Close returns the
// context's error; what may still run then is a callback of the application
// that ignores its context. Close may be called more than once.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.started {
		c.started = true
		close(c.ran)
		close(c.dispatched)
		close(c.closing)
		c.state = Closed
	}
	c.mu.Unlock()
	c.post(closeCalled{}) // first: else the end of the attempt would be a loss
	c.end(ErrClosed)
	defer c.murder()
	stop := context.AfterFunc(ctx, c.murder)
	defer stop()
	for _, done := range []chan struct{}{c.ran, c.dispatched} {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// State returns the present state and why the last connection ended, nil if
// none has.
func (c *Client) State() (State, *DisconnectError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.err
}

// Session returns what the server said of the present or last connection; the
// zero Session before the first.
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Stalls = c.queue.stalls.Load()
	return s
}

// Publish sends data to a channel and returns when hawser has handed it on.
// Where it goes is the channel's class: to its subscribers, to the
// application, or nowhere, which is an *Error. A *DisconnectError means that
// the connection ended first: data may or may not have been sent. Over JSON,
// data that is not a JSON value is sent as a string.
func (c *Client) Publish(ctx context.Context, channel string, data []byte) error {
	if err := names.CheckChannel(channel); err != nil {
		return fmt.Errorf("client: publish: %w", err)
	}
	_, err := c.call(ctx, &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Publish{
		Publish: &clientv1.Publish{Channel: channel, Data: data}}})
	return err
}

// RPC calls method ("service.method") of the application and returns its
// answer. Errors are as those of Publish.
func (c *Client) RPC(ctx context.Context, method string, data []byte) ([]byte, error) {
	if err := names.CheckMethod(method); err != nil {
		return nil, fmt.Errorf("client: rpc: %w", err)
	}
	m, err := c.call(ctx, &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Rpc{
		Rpc: &clientv1.Rpc{Method: method, Data: data}}})
	return m.GetRpc().GetData(), err
}

// call waits for a connection, sends and waits for the answer.
func (c *Client) call(ctx context.Context, m *clientv1.ClientMessage) (*clientv1.ServerMessage, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	s, err := c.connection(ctx)
	if err != nil {
		return nil, err
	}
	return s.call(ctx, m)
}

// bound gives a context without a deadline that of the configuration.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.cfg.CommandTimeout, ErrNoAnswer)
}

// connection returns the socket in use, waiting for one as long as ctx allows.
func (c *Client) connection(ctx context.Context) (*socket, error) {
	for {
		s, changed, err := c.present()
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if _, last := c.State(); last != nil {
				return nil, fmt.Errorf("client: not connected: %w; last: %w", context.Cause(ctx), last)
			}
			return nil, fmt.Errorf("client: not connected: %w", context.Cause(ctx))
		}
	}
}

// present returns the socket in use, or the error that there will be none, or
// what to wait for.
func (c *Client) present() (*socket, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.hopeless(); err != nil {
		return nil, nil, err
	}
	if c.state == Connected {
		return c.socket, c.changed, nil
	}
	return nil, c.changed, nil
}

// hopeless needs mu. It is nil while a connection is there or on its way.
func (c *Client) hopeless() error {
	switch c.state {
	case Initialized:
		if !c.started {
			return ErrNotConnected
		}
	case Failed:
		return c.err
	case Closed:
		return ErrClosed
	}
	return nil
}
