package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/names"
)

// Publication is a message of a channel. The handler owns Data.
type Publication struct {
	Channel string
	Seq     uint64 // position in the channel's stream; 0 without history
	Data    []byte
}

// Resubscribed says that a subscription went on over a new connection. What
// was published in between has not been delivered.
type Resubscribed struct {
	Channel string
}

// Handler is given the publications of one channel, in order and one at a
// time. ctx ends when Close is called.
type Handler func(ctx context.Context, p Publication)

// Subscription is the wish for the publications of a channel. It outlives
// connections; it ends by Unsubscribe, by the server, or by Close.
type Subscription struct {
	// Immutable after Subscribe.
	client  *Client
	channel string
	handler Handler
	ready   chan struct{} // closed when the server first granted it
	done    chan struct{} // closed when it has ended
	left    chan struct{} // closed when the server has been told, or need not be

	// Guarded by client.mu.
	phase   phase
	granted bool  // ready is closed
	ended   bool  // done is closed
	err     error // why it ended; nil for Unsubscribe
}

// phase is where a subscription stands on the present connection.
type phase uint8

const (
	idle  phase = iota // not asked for
	asked              // subscribe was sent
	live               // granted
	rests              // refused for now; asked for again after a pause
)

// Subscribe asks for a channel and returns when the server grants it. handler
// runs on the client's one dispatch goroutine. When the server refuses, also
// for now, the error is an *Error and nothing stays behind; the same when ctx
// ends first. One channel has at most one Subscription: ErrSubscribed.
//
// From then on the Subscription is kept up over reconnects and temporary
// refusals. See Done for its end.
func (c *Client) Subscribe(ctx context.Context, channel string, handler Handler) (*Subscription, error) {
	if err := names.CheckChannel(channel); err != nil {
		return nil, fmt.Errorf("client: subscribe: %w", err)
	}
	if handler == nil {
		return nil, errors.New("client: subscribe: handler is nil")
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	sub := &Subscription{client: c, channel: channel, handler: handler,
		ready: make(chan struct{}), done: make(chan struct{}), left: make(chan struct{})}
	if err := c.register(sub); err != nil {
		return nil, err
	}
	if err := sub.await(ctx); err != nil {
		c.leave(sub, err)
		return nil, err
	}
	return sub, nil
}

// Channel returns the name of the channel.
func (s *Subscription) Channel() string { return s.channel }

// Done is closed when the subscription has ended.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err says why the subscription ended: nil while it has not and after
// Unsubscribe, an *Error when the server ended it, ErrClosed after Close.
func (s *Subscription) Err() error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.err
}

// Unsubscribe ends the subscription and returns when the server knows, or at
// once when there is no connection. No handler call begins after it returns.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.client.leave(s, nil)
	ctx, cancel := s.client.bound(ctx)
	defer cancel()
	select {
	case <-s.left:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await returns when the server has granted or refused.
func (s *Subscription) await(ctx context.Context) error {
	for {
		s.client.mu.Lock()
		hopeless, changed := s.client.hopeless(), s.client.changed
		s.client.mu.Unlock()
		if hopeless != nil {
			return hopeless
		}
		select {
		case <-s.ready:
			return nil
		case <-s.done:
			return s.Err()
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// register adds a subscription for session to ask for.
func (c *Client) register(s *Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.hopeless(); err != nil {
		return err
	}
	if c.subs[s.channel] != nil {
		return ErrSubscribed
	}
	c.subs[s.channel] = s
	signal(c.nudge)
	return nil
}

// leave ends a subscription from this side. Session tells the server, and so
// keeps the order of unsubscribe and subscribe for one channel.
func (c *Client) leave(s *Subscription, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.ended {
		return
	}
	if s.phase == asked || s.phase == live {
		c.leaving = append(c.leaving, s)
		signal(c.nudge)
	} else {
		close(s.left)
	}
	c.drop(s, err)
}

// drop needs mu.
func (c *Client) drop(s *Subscription, err error) {
	s.ended, s.err = true, err
	close(s.done)
	delete(c.subs, s.channel)
}

// endAll ends what is left after the last session.
func (c *Client) endAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		c.drop(s, err)
		close(s.left)
	}
}

// sync tells the server what has changed, and reports whether subscriptions
// rest. Only session calls it. An error means that the socket has ended.
func (c *Client) sync(ctx context.Context, s *socket, wake bool) (resting bool, err error) {
	leaving, wanted, resting := c.changes(wake)
	for _, sub := range leaving {
		m := &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Unsubscribe{
			Unsubscribe: &clientv1.Unsubscribe{Channel: sub.channel}}}
		gone := func(*clientv1.ServerMessage, error) { close(sub.left) }
		if _, sendErr := s.send(ctx, m, gone); sendErr != nil {
			gone(nil, nil)
			err = sendErr
		}
	}
	for _, sub := range wanted {
		m := &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Subscribe{
			Subscribe: &clientv1.Subscribe{Channel: sub.channel}}}
		if _, err := s.send(ctx, m, func(_ *clientv1.ServerMessage, err error) { c.answered(s, sub, err) }); err != nil {
			return false, err
		}
	}
	return resting, err
}

// changes takes what session has to tell the server. wake ends all rests.
func (c *Client) changes(wake bool) (leaving, wanted []*Subscription, resting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaving, c.leaving = c.leaving, nil
	for _, sub := range c.subs {
		if sub.phase == idle || wake && sub.phase == rests {
			sub.phase = asked
			wanted = append(wanted, sub)
		}
		resting = resting || sub.phase == rests
	}
	slices.SortFunc(wanted, func(a, b *Subscription) int { return cmp.Compare(a.channel, b.channel) })
	return leaving, wanted, resting
}

// answered takes the answer to subscribe, on readLoop.
func (c *Client) answered(s *socket, sub *Subscription, err error) {
	var refused *Error
	switch {
	case err == nil:
		if c.grant(sub) {
			c.queue.push(func() { c.cfg.OnResubscribed(c.life, Resubscribed{sub.channel}) }, s.quit)
		}
	case errors.As(err, &refused):
		c.refuse(sub, refused)
	}
	// Else the connection ended: detach has it asked for on the next.
}

// grant reports whether the subscription had been granted before.
func (c *Client) grant(sub *Subscription) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub.ended {
		return false
	}
	sub.phase = live
	if sub.granted {
		return true
	}
	sub.granted = true
	close(sub.ready)
	return false
}

// refuse lets a subscription that has been granted rest after a temporary
// error, and ends it otherwise.
func (c *Client) refuse(sub *Subscription, err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub.ended {
		return
	}
	if sub.granted && err.Temporary {
		sub.phase = rests
		signal(c.nudge)
		return
	}
	close(sub.left)
	c.drop(sub, err)
}

// publication hands a message to its handler, on readLoop.
func (c *Client) publication(s *socket, p *clientv1.Publication) {
	c.mu.Lock()
	c.stats.Received++
	sub := c.subs[p.Channel]
	ok := sub != nil && sub.phase == live // else it is of a subscription that was given up
	c.mu.Unlock()
	if !ok {
		return
	}
	c.queue.push(func() {
		if !sub.over() {
			sub.handler(c.life, Publication{Channel: p.Channel, Seq: p.Seq, Data: p.Data})
		}
	}, s.quit)
}

// over reports whether the subscription has ended.
func (s *Subscription) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// attach makes s the socket that calls use.
func (c *Client) attach(s *socket, session Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket, c.session = s, session
}

// detach forgets a socket whose loops have ended, and what it was told.
func (c *Client) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = nil
	for _, sub := range c.subs {
		sub.phase = idle
	}
	for _, sub := range c.leaving {
		close(sub.left)
	}
	c.leaving = nil
}
