package client

import (
	"context"
	"time"
)

// posted is an event on its way to run.
type posted struct {
	event event
	done  chan struct{} // closed by run when the effects are done
}

// post hands an event to run and waits for its effects, none of which block.
// It reports false when run takes no events any more.
func (c *Client) post(ev event) bool {
	p := posted{ev, make(chan struct{})}
	select {
	case c.events <- p:
		<-p.done
		return true
	case <-c.closing:
		return false
	}
}

// run lives from the first Connect to Close and owns the machine.
func (c *Client) run() {
	defer close(c.ran)
	m := machine{canRenew: c.cfg.Token != nil, maxRejections: c.cfg.MaxRejections}
	for m.state != Closed {
		var p posted
		select {
		case p = <-c.events:
		case <-c.retry.C:
			p.event = retryDue{}
		case <-c.stable.C:
			p.event = stableDue{}
		}
		var effects []effect
		m, effects = m.step(p.event)
		for _, e := range effects {
			c.do(e)
		}
		if p.done != nil {
			close(p.done)
		}
	}
	c.sessions.Wait()
	c.endAll(ErrClosed)
}

// do does one effect. Only run calls it.
func (c *Client) do(e effect) {
	switch e := e.(type) {
	case enter:
		c.enter(e)
	case dial:
		ctx, cancel := context.WithCancel(c.kill)
		c.hangUp = cancel
		c.sessions.Go(func() {
			defer cancel()
			err := c.attempt(ctx, e)
			c.post(lost{e.attempt, err})
		})
	case wait:
		c.retry.Reset(e.floor + c.jitter(e.ceiling))
	case watch:
		c.stable.Reset(c.cfg.StableAfter)
	case unwatch:
		c.stable.Stop()
	case hangUp:
		c.retry.Stop()
		if c.hangUp != nil {
			c.hangUp()
		}
	}
}

// enter makes a state visible: to callers that wait, to OnState, to the log.
func (c *Client) enter(e enter) {
	c.mu.Lock()
	change := StateChange{From: c.state, To: e.state, Err: e.err}
	c.state = e.state
	if e.err != nil {
		c.err = e.err
	}
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if e.state == Closed {
		close(c.closing)
	}
	c.queue.pushChange(func() { c.cfg.OnState(c.life, change) })
	if e.err == nil {
		c.cfg.Logger.Info("client state", "state", e.state.String())
		return
	}
	c.cfg.Logger.Info("client state", "state", e.state.String(), "code", int(e.err.Code), "err", e.err)
}

// dispatch runs the callbacks in order. After Close it runs only what is left
// of state changes.
func (c *Client) dispatch() {
	defer close(c.dispatched)
	for {
		it, ok := c.queue.pop()
		if ok {
			if it.change || c.life.Err() == nil {
				it.run()
			}
			continue
		}
		select {
		case <-c.queue.work:
		case <-c.ran:
			if c.queue.empty() {
				return
			}
		}
	}
}

// jitter returns a random duration below ceiling.
func (c *Client) jitter(ceiling time.Duration) time.Duration {
	if ceiling <= 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.rand.Int64N(int64(ceiling)))
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
