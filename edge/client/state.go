package client

import (
	"time"

	"hawser/proto/cause"
)

// State is where a client stands. The package comment has the table.
type State uint8

// The states.
const (
	Initialized State = iota
	Connecting
	Connected
	Suspended
	Failed
	Closed
)

// String is the state's name in lower case.
func (s State) String() string {
	return [...]string{"initialized", "connecting", "connected", "suspended", "failed", "closed"}[s]
}

// Backoff, as AWS' "full jitter": rand(0, min(backoffMost, backoffFirst × 2ⁿ)).
const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 20 * time.Second
)

// backoff is the ceiling of the wait after n failures in a row.
func backoff(n int) time.Duration {
	const doublings = 6 // 500 ms × 2⁶ is past backoffMost
	return min(backoffMost, backoffFirst<<min(n, doublings))
}

// machine is the life of a client without its goroutines, sockets, clock and
// dice: step is its only rule. Owned by run.
type machine struct {
	// Fixed.
	canRenew      bool // there is a token callback
	maxRejections int

	state    State
	attempt  int         // number of the newest attempt; events of older ones are ignored
	failures int         // attempts and unstable connections that ended, in a row
	rejected int         // tokens refused, in a row
	reason   TokenReason // why the next attempt needs another token; "" when it does not
}

// The events of step.
type (
	// connectCalled: the application wants a connection.
	connectCalled struct{}
	// closeCalled: the application wants no connection any more.
	closeCalled struct{}
	// established: the server answered connect.
	established struct{ attempt int }
	// lost: an attempt failed, or its connection ended. Exactly one an attempt.
	lost struct {
		attempt int
		err     *DisconnectError
	}
	// retryDue: the wait of a suspended client is over.
	retryDue struct{}
	// stableDue: the connection has lasted for Config.StableAfter.
	stableDue struct{}
)

type event interface{ isEvent() }

func (connectCalled) isEvent() {}
func (closeCalled) isEvent()   {}
func (established) isEvent()   {}
func (lost) isEvent()          {}
func (retryDue) isEvent()      {}
func (stableDue) isEvent()     {}

// The effects of step, to be done in their order.
type (
	// enter: the state changed, for the reason err, which may be nil.
	enter struct {
		state State
		err   *DisconnectError
	}
	// dial starts an attempt. With a reason it needs another token.
	dial struct {
		attempt int
		reason  TokenReason
	}
	// wait starts the retry timer: floor + rand(0, ceiling). The jitter comes on
	// top, as all clients of a stopped node are given the same floor.
	wait struct{ floor, ceiling time.Duration }
	// watch starts the stability timer; unwatch stops it.
	watch   struct{}
	unwatch struct{}
	// hangUp stops the retry timer and ends the running attempt.
	hangUp struct{}
)

type effect interface{ isEffect() }

func (enter) isEffect()   {}
func (dial) isEffect()    {}
func (wait) isEffect()    {}
func (watch) isEffect()   {}
func (unwatch) isEffect() {}
func (hangUp) isEffect()  {}

// step says what an event means. Events that mean nothing in a state, as late
// ones do, change nothing.
func (m machine) step(ev event) (machine, []effect) {
	switch ev := ev.(type) {
	case connectCalled:
		if m.state == Initialized || m.state == Failed {
			m.failures, m.rejected = 0, 0
			return m.dial()
		}
	case retryDue:
		if m.state == Suspended {
			return m.dial()
		}
	case established:
		if m.state == Connecting && ev.attempt == m.attempt {
			m.state, m.rejected = Connected, 0
			return m, []effect{watch{}, enter{Connected, nil}}
		}
	case stableDue:
		if m.state == Connected {
			m.failures = 0
		}
	case lost:
		if (m.state == Connecting || m.state == Connected) && ev.attempt == m.attempt {
			return m.lose(ev.err)
		}
	case closeCalled:
		if m.state != Closed {
			m.state = Closed
			return m, []effect{unwatch{}, hangUp{}, enter{Closed, nil}}
		}
	}
	return m, nil
}

func (m machine) dial() (machine, []effect) {
	m.state = Connecting
	m.attempt++
	reason := m.reason
	m.reason = "" // session remembers from here on
	return m, []effect{enter{Connecting, nil}, dial{m.attempt, reason}}
}

// lose follows the advice of a disconnect.
func (m machine) lose(err *DisconnectError) (machine, []effect) {
	stop := err.Advice == cause.Stop
	if err.Advice == cause.Token {
		m.reason = TokenRejected
		if err.Cause.Code == cause.TokenExpired {
			m.reason = TokenExpired
		}
		m.rejected++
		stop = !m.canRenew || m.rejected >= m.maxRejections
	}
	if stop {
		m.state = Failed
		return m, []effect{unwatch{}, enter{Failed, err}}
	}
	m.state = Suspended
	pause := wait{err.RetryAfter, backoff(m.failures)}
	m.failures++
	return m, []effect{unwatch{}, enter{Suspended, err}, pause}
}
