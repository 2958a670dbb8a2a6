package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	clientv1 "hawser/proto/client/v1"
)

// scenario measures one thing on one target.
type scenario struct {
	name string
	help string
	run  func(ctx context.Context, t *target, o options) ([]Run, error)
}

// scenarios, in the order of `bench all`.
var scenarios = []scenario{
	{"connect", "how fast connections come up, from dial to subscribed", runConnect},
	{"idle", "what a connection costs that does nothing", runIdle},
	{"fanout", "one publication to all connections, in bursts", runFanout},
	{"echo", "publish to an own channel and wait for it: one at a time, or at --rate", runEcho},
}

// sameChannel has all peers of a swarm subscribe to one channel.
func sameChannel(name string) func(int) string { return func(int) string { return name } }

// ownChannel gives each peer a channel.
func ownChannel(index int) string { return "bench.echo." + strconv.Itoa(index) }

func runConnect(ctx context.Context, t *target, o options) ([]Run, error) {
	s, err := newSwarm(t.swarmConfig(o))
	if err != nil {
		return nil, err
	}
	defer s.close()
	begin := s.now()
	before, after, known, err := t.metered(ctx, func() error {
		return s.connect(ctx, o.conns, o.rate, sameChannel("bench.connect"))
	})
	if err != nil {
		return nil, err
	}
	took := s.now() - begin
	sum := s.take()
	if sum.joined == 0 {
		return nil, fmt.Errorf("%w: %w", errNoneJoined, sum.firstError)
	}
	r := Run{Target: t.name, Scenario: "connect", Conns: o.conns}
	r.add("connections_per_second", float64(sum.joined)/took.Seconds())
	r.add("failed_count", float64(sum.failed))
	r.addLatency("subscribed", &sum.joins)
	r.addCPU(before, after, known, time.Microsecond, "server_cpu_us_per_connection", sum.joined)
	return []Run{r}, nil
}

func runIdle(ctx context.Context, t *target, o options) ([]Run, error) {
	if err := warmUp(ctx, t, o); err != nil {
		return nil, err
	}
	s, err := newSwarm(t.swarmConfig(o))
	if err != nil {
		return nil, err
	}
	defer s.close()
	t.meter.collect(ctx)
	before, after, known, err := t.metered(ctx, func() error {
		if _, err := s.join(ctx, o.conns, sameChannel("bench.idle")); err != nil {
			return err
		}
		t.meter.collect(ctx)
		err := settle(ctx, t.meter)
		t.meter.collect(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, errNoMeter
	}
	if ended := s.take().failed; ended > 0 {
		return nil, fmt.Errorf("bench: %d idle connections ended", ended)
	}
	r := Run{Target: t.name, Scenario: "idle", Conns: o.conns}
	per := func(name string, before, after int64) {
		r.add(name+"_bytes_per_connection", float64(after-before)/float64(o.conns))
	}
	per("rss", before.RSS, after.RSS)
	if before.Go {
		per("user", before.user(), after.user())
		per("heap", before.Heap, after.Heap)
		per("stack", before.Stack, after.Stack)
		per("runtime", before.Runtime, after.Runtime)
	}
	return []Run{r}, nil
}

const (
	settleQuiet = 5 * time.Second  // the resident size must not have fallen for so long
	settleMost  = 30 * time.Second // and if it never rests, it is taken as it is
	settleLook  = 500 * time.Millisecond
)

// settle waits until the server's resident size stops falling: what a storm of
// connects left behind is not what idle connections cost. Servers that give
// nothing back are done after settleQuiet.
func settle(ctx context.Context, m meter) error {
	ticker := time.NewTicker(settleLook)
	defer ticker.Stop()
	var least int64
	for waited, quiet := time.Duration(0), time.Duration(0); waited < settleMost && quiet < settleQuiet; waited += settleLook {
		u, err := m.read(ctx)
		if errors.Is(err, errNoMeter) {
			return nil
		} else if err != nil {
			return err
		}
		if quiet += settleLook; least == 0 || u.RSS < least-least/100 {
			least, quiet = u.RSS, 0
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

// warmUp has the server make what it makes once: pools, shards, the interest
// in a channel. It would be counted as the first connection's. Few connections
// do, and leave little behind that would make the others look cheap.
func warmUp(ctx context.Context, t *target, o options) error {
	o.conns = min(o.conns, 16)
	s, err := newSwarm(t.swarmConfig(o))
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.join(ctx, o.conns, sameChannel("bench.idle"))
	return err
}

// counter is the script that checks and times publications.
type counter struct{ loop *loop }

func (c counter) publication(p *peer, data []byte) { c.loop.stamped(p, data) }
func (c counter) refused(*peer, *clientv1.Error)   {}

func runFanout(ctx context.Context, t *target, o options) ([]Run, error) {
	s, err := newSwarm(t.swarmConfig(o))
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.join(ctx, o.conns, sameChannel(fanoutChannel)); err != nil {
		return nil, err
	}
	publisher, err := t.publisher(ctx, o, fanoutChannel)
	if err != nil {
		return nil, err
	}
	defer publisher.close()
	s.play(func(l *loop) script { return counter{l} })
	f := &fanout{target: t, options: o, swarm: s, publisher: publisher, payload: newPayload(o.payload)}
	if _, err := f.round(ctx, o.bursts[0]); err != nil { // warm-up
		return nil, err
	}
	s.take()
	var runs []Run
	for _, burst := range o.bursts {
		r, err := f.measure(ctx, burst)
		if err != nil {
			return runs, err
		}
		runs = append(runs, r)
		if o.stall == "" {
			continue
		}
		r, err = f.measureStalled(ctx, burst, r)
		if err != nil {
			return runs, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

const fanoutChannel = "bench.fanout"

// fanout publishes in rounds: a burst back to back, then a wait until every
// peer has all of it.
type fanout struct {
	target    *target
	options   options
	swarm     *swarm
	publisher publisher
	payload   []byte
	number    uint32 // of the next message
	stalled   int    // peers that do not read
}

// measure runs rounds of one burst size for the duration.
func (f *fanout) measure(ctx context.Context, burst int) (Run, error) {
	lostBefore := f.swarm.lost(f.number)
	messages, stuck := 0, false
	var took time.Duration
	sum := new(tally)
	before, after, known, err := f.target.metered(ctx, func() error {
		begin := f.swarm.now() // the meter's own time does not count
		defer func() { took = f.swarm.now() - begin }()
		for f.swarm.now()-begin < f.options.duration && !stuck {
			complete, err := f.round(ctx, burst)
			if err != nil {
				return err
			}
			stuck = !complete
			messages += burst
			sum.add(f.swarm.take())
			sum.ready = 0
		}
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	deliveries := int(sum.deliveries.total)
	r := Run{Target: f.target.name, Scenario: "fanout", Case: "burst " + strconv.Itoa(burst), Conns: f.options.conns}
	r.add("messages_count", float64(messages))
	r.add("deliveries_count", float64(deliveries))
	r.add("lost_count", float64(f.swarm.lost(f.number)-lostBefore))
	r.add("duplicated_count", float64(sum.duplicated))
	r.add("reordered_count", float64(sum.reordered))
	r.add("failed_count", float64(sum.failed)) // connections
	r.add("deliveries_per_second", float64(deliveries)/took.Seconds())
	r.addLatency("delivery", &sum.deliveries)
	r.addCPU(before, after, known, time.Nanosecond, "server_cpu_ns_per_delivery", deliveries)
	if f.stalled > 0 {
		r.add("stalled_count", float64(f.stalled))
		r.add("stalled_reset_count", float64(sum.cut))
	}
	return r, nil
}

// round publishes one burst and waits for it. complete is false when it had
// not all come within the tolerance.
func (f *fanout) round(ctx context.Context, burst int) (complete bool, err error) {
	want := 0
	f.swarm.each(func(l *loop) { want += l.tally.ready * burst })
	if want == 0 {
		return false, errors.New("bench: the server closed all connections")
	}
	for range burst {
		putStamp(f.payload, f.number, f.swarm.now())
		f.number++
		if err := f.publisher.publish(f.payload); err != nil {
			return false, fmt.Errorf("bench: publish: %w", err)
		}
	}
	flush, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	if err := f.publisher.flush(flush); err != nil {
		return false, fmt.Errorf("bench: publish: %w", err)
	}
	return f.swarm.awaitReceived(ctx, want, f.options.tolerance)
}

// awaitReceived waits until want publications have come since the last take.
func (s *swarm) awaitReceived(ctx context.Context, want int, most time.Duration) (bool, error) {
	for begin := s.now(); s.received() < want; {
		if s.now()-begin > most {
			return false, nil
		}
		if err := pause(ctx, 200*time.Microsecond); err != nil {
			return false, err
		}
	}
	return true, nil
}

// echo is the script of the echo scenario.
type echo struct {
	loop    *loop
	closed  bool   // a peer sends the next message when it has the last
	payload []byte // guarded by loop.mu, as all of echo
	stopped bool
	echoes  int
}

// send publishes a peer's next message, stamped with the time it was due.
func (e *echo) send(p *peer, due time.Duration) {
	if e.stopped || p.phase != ready {
		return
	}
	putStamp(e.payload, p.number, due)
	p.number++
	e.loop.publish(p, e.payload)
}

func (e *echo) publication(p *peer, data []byte) {
	if _, ok := e.loop.stamped(p, data); !ok {
		return
	}
	e.echoes++
	if e.closed {
		e.send(p, e.loop.swarm.now())
	}
}

// refused has the peer try again at the next tick, when the server's rate
// limit has had a little time.
func (e *echo) refused(p *peer, _ *clientv1.Error) { p.waits = true }

func runEcho(ctx context.Context, t *target, o options) ([]Run, error) {
	s, err := newSwarm(t.swarmConfig(o))
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.join(ctx, o.conns, ownChannel); err != nil {
		return nil, err
	}
	s.play(func(l *loop) script { return &echo{loop: l, closed: o.rate == 0, payload: newPayload(o.payload)} })
	begin := s.now()
	before, after, known, err := t.metered(ctx, func() error {
		if o.rate == 0 {
			return s.closedLoop(ctx, o.duration)
		}
		return s.openLoop(ctx, o.duration, o.rate)
	})
	if err != nil {
		return nil, err
	}
	took := s.now() - begin
	sum := s.take()
	echoes := int(sum.deliveries.total)
	if echoes == 0 {
		return nil, fmt.Errorf("bench: no echo came back (%d refused by the server): clients must be allowed to publish to channels", sum.refused)
	}
	r := Run{Target: t.name, Scenario: "echo", Case: "closed loop", Conns: o.conns}
	if o.rate > 0 {
		r.Case = fmt.Sprintf("%d/s", o.rate)
	}
	r.add("echoes_per_second", float64(echoes)/took.Seconds())
	r.add("refused_count", float64(sum.refused))
	r.add("failed_count", float64(sum.failed))
	r.addLatency("echo", &sum.deliveries)
	r.addCPU(before, after, known, time.Microsecond, "server_cpu_us_per_echo", echoes)
	return []Run{r}, nil
}

// echoTick is how often the echo scenario looks at what is due.
const echoTick = time.Millisecond

// closedLoop keeps one message of each peer under way.
func (s *swarm) closedLoop(ctx context.Context, d time.Duration) error {
	begin := s.now()
	s.eachPeer(func(e *echo, p *peer) { e.send(p, s.now()) })
	for s.now()-begin < d {
		if err := pause(ctx, 20*echoTick); err != nil {
			return err
		}
		s.eachPeer(func(e *echo, p *peer) {
			if p.waits {
				p.waits = false
				p.order.next = p.number // the refused message never comes
				e.send(p, s.now())
			}
		})
	}
	s.each(func(l *loop) { l.script.(*echo).stopped = true })
	return nil
}

// openLoop sends at a rate, whatever comes back, from one peer after the
// other.
func (s *swarm) openLoop(ctx context.Context, d time.Duration, rate int) error {
	begin := s.now()
	next := make([]int, len(s.loops))
	for sent := 0; ; {
		elapsed := s.now() - begin
		if elapsed >= d {
			return nil
		}
		for due := int(elapsed.Seconds() * float64(rate)); sent < due; sent++ {
			at := begin + time.Duration(float64(sent)/float64(rate)*float64(time.Second))
			i := sent % len(s.loops)
			l := s.loops[i]
			l.mu.Lock()
			l.script.(*echo).send(l.peers[next[i]%len(l.peers)], at)
			l.mu.Unlock()
			next[i]++
		}
		if err := pause(ctx, echoTick); err != nil {
			return err
		}
	}
}

// eachPeer calls do for each peer with its loop's mu held.
func (s *swarm) eachPeer(do func(*echo, *peer)) {
	s.each(func(l *loop) {
		for _, p := range l.peers {
			do(l.script.(*echo), p)
		}
	})
}
