package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/lxzan/gws"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
)

const (
	// closeTimeout is how long Close waits for the server's close frame.
	closeTimeout = 5 * time.Second
	// tokenTimeout bounds Config.Token.
	tokenTimeout = 30 * time.Second
	// longest bounds what a server may announce: a refresh once in 41 days does
	// no harm, and larger values overflow time.Duration.
	longest = 1000 * time.Hour
)

// attempt is the life of one connection, from the token to the end. Only one
// runs at a time. It returns why it ended, never nil.
func (c *Client) attempt(ctx context.Context, d dial) *DisconnectError {
	if err := c.renewToken(ctx, d.reason); err != nil {
		return tokenFailure(err)
	}
	s, answer, err := c.open(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(c.kill, s.cut)
	defer stop()
	c.resumeToken = answer.ResumeToken
	s.wire.expect(millis(uint64(answer.PingMs) + uint64(answer.PongMs)))
	c.attach(s, Session{ID: answer.Session, User: answer.User, Node: answer.Node, Resumed: answer.Resumed})
	defer c.detach()
	defer s.wait()
	c.post(established{d.attempt})
	return c.serve(ctx, s, c.noteExpiry(answer.ExpiresMs))
}

// open dials, upgrades and connects.
func (c *Client) open(ctx context.Context) (*socket, *clientv1.Connected, *DisconnectError) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout,
		fmt.Errorf("no connection within ConnectTimeout %v", c.cfg.ConnectTimeout))
	defer cancel()
	c.mu.Lock()
	c.stats.Attempts++
	c.mu.Unlock()
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, nil, lostPeer(err)
	}
	// Below this, ctx and kill act by closing the connection.
	s := c.newSocket(conn)
	for _, end := range []context.Context{ctx, c.kill} {
		stop := context.AfterFunc(end, s.cut)
		defer stop()
	}
	if err := c.upgrade(ctx, s); err != nil {
		return nil, nil, err
	}
	s.start()
	m, err := s.call(ctx, c.connectCommand())
	answer := m.GetConnected()
	if err == nil && answer == nil {
		err = errors.New("the answer to connect is of another kind")
	}
	if err == nil && ctx.Err() == nil {
		return s, answer, nil
	}
	s.cut()
	s.wait()
	return nil, nil, c.connectFailure(ctx, s, err)
}

// dial opens the byte stream, with TLS for wss.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := c.cfg.Dial(ctx, "tcp", c.addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", c.addr, err)
	}
	u, _ := url.Parse(c.cfg.URL) // Validate has
	if u.Scheme != "wss" {
		return conn, nil
	}
	config := c.cfg.TLS.Clone() // of nil is nil
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("tls with %s: %w", c.addr, err)
	}
	return secure, nil
}

func (c *Client) newSocket(conn net.Conn) *socket {
	s := &socket{
		wire:    newWire(conn, c.cfg.WriteTimeout, c.cfg.MaxMessageBytes),
		codec:   c.cfg.Protocol.codec(),
		out:     make(chan *clientv1.ClientMessage, outLen),
		ended:   make(chan struct{}),
		quit:    make(chan struct{}),
		waiting: make(map[uint32]answer),
	}
	s.pushed = func(m *clientv1.ServerMessage) { c.pushed(s, m) }
	return s
}

// upgrade does the WebSocket handshake.
func (c *Client) upgrade(ctx context.Context, s *socket) *DisconnectError {
	header := c.cfg.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set("Sec-WebSocket-Protocol", string(c.cfg.Protocol))
	ws, response, err := gws.NewClientFromConn(s, &gws.ClientOption{
		Addr:               c.cfg.URL,
		RequestHeader:      header,
		ReadMaxPayloadSize: c.cfg.MaxMessageBytes,
		// ctx ends the handshake. gws' own timeout must come later: it leaves a
		// goroutine behind (client.go, request: send on a channel nobody reads).
		HandshakeTimeout: 2 * c.cfg.ConnectTimeout,
	}, s.wire)
	if err != nil {
		s.cut()
		return c.upgradeFailure(ctx, response, err)
	}
	s.ws, s.wire.opened = ws, true
	return nil
}

func (c *Client) connectCommand() *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{
		Token:         c.token,
		ResumeToken:   c.resumeToken,
		ClientName:    c.cfg.Name,
		ClientVersion: c.cfg.Version,
	}}}
}

// serve keeps subscriptions and token up until the socket ends or ctx does.
func (c *Client) serve(ctx context.Context, s *socket, life time.Duration) *DisconnectError {
	rest, refresh := stoppedTimer(), stoppedTimer()
	defer rest.Stop()
	defer refresh.Stop()
	if life > 0 && c.cfg.Token != nil {
		refresh.Reset(c.refreshAfter(life))
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewal sync.WaitGroup
	defer renewal.Wait()
	defer cancel()
	renewed := make(chan time.Duration, 1) // when to renew next
	pauses, resting := 0, false
	signal(c.nudge) // look at the subscriptions first of all
	for {
		wake := false
		select {
		case <-s.ended:
			return s.err
		case <-ctx.Done():
			s.finish(cause.ClientClosed, "", closeTimeout)
			return s.err
		case <-refresh.C:
			renewal.Go(func() { renewed <- c.refresh(ctx, s) })
			continue
		case next := <-renewed:
			if next > 0 {
				refresh.Reset(next)
			}
			continue
		case <-rest.C:
			wake, resting = true, false
		case <-c.nudge:
		}
		rests, err := c.sync(ctx, s, wake)
		if err != nil {
			continue // s has ended or ctx has
		}
		if rests && !resting {
			resting = true
			rest.Reset(c.jitter(backoff(pauses)))
			pauses++
		}
	}
}

// pushed takes a message that answers nothing, on readLoop.
func (c *Client) pushed(s *socket, m *clientv1.ServerMessage) {
	switch body := m.Body.(type) {
	case *clientv1.ServerMessage_Publication:
		c.publication(s, body.Publication)
	case *clientv1.ServerMessage_Direct:
		c.mu.Lock()
		c.stats.Received++
		c.mu.Unlock()
		c.queue.push(func() { c.cfg.OnDirect(c.life, body.Direct.Data) }, s.quit)
	case *clientv1.ServerMessage_Unsubscribed:
		c.revoked(body.Unsubscribed)
	case *clientv1.ServerMessage_Error:
		c.cfg.Logger.Info("client error without a command", "code", body.Error.Code, "err", body.Error.Message)
	}
	// Unknown kinds are a newer server's: PROTOCOL.md has us ignore them.
}

// revoked takes the server's end of a subscription.
func (c *Client) revoked(u *clientv1.Unsubscribed) {
	c.mu.Lock()
	sub := c.subs[u.Channel]
	c.mu.Unlock()
	if sub == nil {
		return
	}
	err := &Error{Code: u.Error.GetCode(), Message: u.Error.GetMessage(), Temporary: u.Error.GetTemporary()}
	if u.Error == nil {
		err = &Error{Code: http.StatusForbidden, Message: "the server ended the subscription"}
	}
	c.refuse(sub, err)
}

// upgradeFailure says what a failed handshake means. A response says it by
// its status, before hawser or in it.
func (c *Client) upgradeFailure(ctx context.Context, response *http.Response, err error) *DisconnectError {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		return lostPeer(fmt.Errorf("handshake: %w", err))
	}
	d := disconnected(statusCause(response.StatusCode), "", fmt.Errorf("handshake: the server answered %s", response.Status))
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 32); err == nil {
		d.RetryAfter = min(time.Duration(seconds)*time.Second, longest)
	}
	return d
}

// connectFailure says what an attempt died of after the handshake. The loops
// of s have ended.
func (c *Client) connectFailure(ctx context.Context, s *socket, err error) *DisconnectError {
	var refused *Error
	if errors.As(err, &refused) {
		d := disconnected(statusCause(int(refused.Code)), refused.Message, nil)
		if refused.Temporary && d.Advice == cause.Stop {
			d.Advice = cause.Retry
		}
		return d
	}
	if s.disconnect != nil {
		return announced(s.disconnect)
	}
	if ctx.Err() != nil {
		return lostPeer(context.Cause(ctx))
	}
	var disconnect *DisconnectError
	if errors.As(err, &disconnect) {
		return disconnect
	}
	return violated(cause.ProtocolError, err)
}

// statusCause maps an HTTP status to the row with the same advice.
func statusCause(status int) cause.Code {
	switch {
	case status == http.StatusUnauthorized:
		return cause.BadToken
	case status == http.StatusForbidden:
		return cause.Forbidden
	case status == http.StatusTooManyRequests:
		return cause.RateLimited
	case status == http.StatusServiceUnavailable:
		return cause.Overload
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return cause.PeerLost
	case status >= 400 && status < 500:
		return cause.BadRequest
	default:
		return cause.Internal
	}
}

// dialAddr is host:port of a URL that Validate has passed.
func dialAddr(raw string) string {
	u, _ := url.Parse(raw)
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// millis is a server's number as a duration, bounded.
func millis(ms uint64) time.Duration {
	return time.Duration(min(ms, uint64(longest/time.Millisecond))) * time.Millisecond
}
