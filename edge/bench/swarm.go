package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"runtime"
	"time"

	"hawser/edge/frame"
	"hawser/proto/codec"
)

// engine opens the sockets of a swarm and reads them: poll on Linux, or a
// goroutine a connection.
type engine interface {
	// dial starts a connection; opened, arrived and fail of the peer's loop
	// follow. Called with the loop's mu held.
	dial(p *peer) (socket, error)
	// close stops reading and joins the engine's goroutines.
	close()
}

// swarm is the connections of one scenario.
type swarm struct {
	// Immutable after newSwarm.
	addr    netip.AddrPort // of the target
	token   string
	request []byte
	epoch   time.Time // zero of all times in stamps and tallies
	source  int       // which 127.0.0.x the first peers dial from
	engine  engine
	loops   []*loop
	slots   chan struct{} // one for each peer that is not joined yet; never closed

	// Owned by run.
	dialed int
}

// swarmConfig says what a swarm connects to.
type swarmConfig struct {
	url    *url.URL
	addr   netip.AddrPort
	token  string
	codec  codec.Protocol
	engine string // "poll", "goroutine", or "auto"
	window int    // peers that may be joining at once
	source int    // see swarm
}

// sourcePorts is how many connections one source address is used for: below
// half the 28,232 ports of the default net.ipv4.ip_local_port_range. connect(2)
// takes every other port first, and looks through all of those again for each
// connection once they are taken. The ports of the swarm before may also still
// be in TIME_WAIT.
const sourcePorts = 10_000

// sources is how many source addresses n connections take.
func sources(n int) int { return 1 + n/sourcePorts }

func newSwarm(c swarmConfig) (*swarm, error) {
	s := &swarm{
		addr:    c.addr,
		token:   c.token,
		request: upgradeRequest(c.url, c.codec),
		epoch:   time.Now(),
		source:  c.source,
		slots:   make(chan struct{}, c.window),
	}
	opcode := frame.Binary
	if c.codec.Text() {
		opcode = frame.Text
	}
	for range runtime.GOMAXPROCS(0) {
		s.loops = append(s.loops, &loop{swarm: s, codec: c.codec, opcode: opcode,
			masks: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))})
	}
	var err error
	s.engine, err = newEngine(c.engine, s)
	return s, err
}

// newEngine makes the engine of that name. auto is the lighter one.
func newEngine(name string, s *swarm) (engine, error) {
	switch {
	case name == "goroutine", name == "auto" && !pollOffered:
		return newGoroutineEngine(s), nil
	case name == "poll" || name == "auto":
		return newPollEngine(s)
	}
	return nil, fmt.Errorf("bench: engine %q: want auto, poll or goroutine", name)
}

// now is the time in stamps.
func (s *swarm) now() time.Duration { return time.Since(s.epoch) }

// release gives back the slot of a peer that joined or never will.
func (s *swarm) release() { <-s.slots }

// connect adds n peers, with at most the window of them joining at once and at
// most rate a second (0: no limit). channel names the channel of each. It
// returns when all have joined or failed.
func (s *swarm) connect(ctx context.Context, n, rate int, channel func(index int) string) error {
	begin := s.now()
	for i := range n {
		if rate > 0 {
			due := begin + time.Duration(i)*time.Second/time.Duration(rate)
			if err := pause(ctx, due-s.now()); err != nil {
				return err
			}
		}
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.loops[s.dialed%len(s.loops)].dial(s.dialed, channel(s.dialed))
		s.dialed++
	}
	return s.settled(ctx)
}

// settled returns when no peer is joining.
func (s *swarm) settled(ctx context.Context) error {
	for filled := range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			for range filled {
				s.release()
			}
			return fmt.Errorf("bench: connections are still joining: %w", context.Cause(ctx))
		}
	}
	for range cap(s.slots) {
		s.release()
	}
	return nil
}

// each calls do for each loop, with its mu held.
func (s *swarm) each(do func(*loop)) {
	for _, l := range s.loops {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

// play gives all loops a script, one of make each.
func (s *swarm) play(make func(*loop) script) {
	s.each(func(l *loop) { l.script = make(l) })
}

// take returns the sum of what the loops have counted since the last take.
func (s *swarm) take() *tally {
	sum := new(tally)
	for _, l := range s.loops {
		t := l.take()
		sum.add(&t)
	}
	return sum
}

// received is how many publications have come since the last take.
func (s *swarm) received() int {
	n := 0
	s.each(func(l *loop) { n += l.tally.received })
	return n
}

// lost counts the messages of those numbered below sent that live peers have
// not got.
func (s *swarm) lost(sent uint32) int {
	n := 0
	s.each(func(l *loop) {
		for _, p := range l.peers {
			if p.phase == ready {
				n += p.order.lost(sent)
			}
		}
	})
	return n
}

// close says goodbye to all peers and joins the engine.
func (s *swarm) close() {
	s.each(func(l *loop) {
		for _, p := range l.peers {
			l.goodbye(p)
		}
	})
	s.engine.close()
}

var errNoneJoined = errors.New("bench: no connection could join")

// join connects n peers and fails when some of them could not join: figures
// of half a swarm mislead.
func (s *swarm) join(ctx context.Context, n int, channel func(int) string) (*tally, error) {
	if err := s.connect(ctx, n, 0, channel); err != nil {
		return nil, err
	}
	t := s.take()
	if t.joined < n {
		return t, fmt.Errorf("%w: %d of %d failed, the first: %w", errNoneJoined, t.failed, n, t.firstError)
	}
	return t, nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
