package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// staller is a socket that can stop reading and still tell when the server
// ends it: the poll engine's.
type staller interface {
	// stall stops reading for good. Called with the loop's mu held.
	stall() error
}

// maxStall is the largest share of clients that may stall, in percent: those
// that read are what is measured.
const maxStall = 50

// stallShare is --stall in percent; 0 without it.
func (o options) stallShare() (float64, error) {
	if o.stall == "" {
		return 0, nil
	}
	digits, ok := strings.CutSuffix(o.stall, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(share > 0 && share <= maxStall) {
		return 0, fmt.Errorf("--stall %q: want a percentage above 0%% and at most %d%%, such as 1%%", o.stall, maxStall)
	}
	return share, nil
}

func (o options) validateStall() error {
	share, err := o.stallShare()
	switch {
	case err != nil:
		return err
	case share == 0:
		return nil
	case o.conns < 2:
		return fmt.Errorf("--stall %s: want at least 2 connections, one of which reads", o.stall)
	case !pollOffered || o.engine == "goroutine":
		return errors.New("--stall: the goroutine engine cannot stop reading: want --engine poll, on Linux")
	}
	return nil
}

// stallers is how many connections stall: at least one, and never all.
func (o options) stallers() int {
	share, err := o.stallShare()
	if err != nil {
		panic(fmt.Sprintf("bench: stallers before validate: %v", err))
	}
	return min(int(math.Ceil(float64(o.conns)*share/100)), o.conns-1)
}

// measureStalled repeats a measurement while some peers do not read, and says
// how the latency of the others compares. New peers then take the place of the
// stalled, so that the next burst begins as this one did.
func (f *fanout) measureStalled(ctx context.Context, burst int, healthy Run) (Run, error) {
	n := f.options.stallers()
	if err := f.swarm.stall(n); err != nil {
		return Run{}, err
	}
	f.stalled = n
	r, err := f.measure(ctx, burst)
	f.stalled = 0
	if err != nil {
		return Run{}, err
	}
	r.Case += ", " + f.options.stall + " stalled"
	for _, quantile := range []string{"p50", "p99"} {
		without, _ := healthy.value("delivery_" + quantile + "_ms")
		with, _ := r.value("delivery_" + quantile + "_ms")
		if without > 0 {
			r.add("delivery_"+quantile+"_stall_ratio", with/without)
		}
	}
	return r, f.swarm.replaceStalled(ctx, n, f.number)
}

// stall has n ready peers stop reading, spread over the loops.
func (s *swarm) stall(n int) error {
	var err error
	for i, l := range s.loops {
		share := n*(i+1)/len(s.loops) - n*i/len(s.loops)
		l.mu.Lock()
		for _, p := range l.peers {
			if share > 0 && p.phase == ready {
				err = errors.Join(err, l.stall(p))
				share--
			}
		}
		l.mu.Unlock()
	}
	return err
}

// stall has a ready peer stop reading. Needs mu.
func (l *loop) stall(p *peer) error {
	l.tally.ready--
	p.phase = stalled
	return p.socket.(staller).stall()
}

// replaceStalled ends the stalled peers and dials n others, who expect number
// next. Nothing may be under way.
func (s *swarm) replaceStalled(ctx context.Context, n int, number uint32) error {
	s.each(func(l *loop) {
		for _, p := range l.peers {
			if p.phase == stalled {
				l.end(p)
			}
		}
	})
	first := s.dialed
	if _, err := s.join(ctx, n, sameChannel(fanoutChannel)); err != nil {
		return err
	}
	s.each(func(l *loop) {
		for _, p := range l.peers {
			if p.index >= first {
				p.order.next = number
			}
		}
	})
	return nil
}
