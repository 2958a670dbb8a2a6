package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// target is a server under load.
type target struct {
	// Immutable after open.
	name  string
	url   *url.URL
	addr  netip.AddrPort
	nats  string // empty: publish over a WebSocket
	meter meter
	child *child // nil when somebody else started it

	// Owned by run.
	source int // of the next swarm, see swarm.source
}

// openTargets starts or finds what is to be measured: hawser first. The caller
// closes them, also after an error.
func openTargets(ctx context.Context, o options, launch launcher) (targets []*target, err error) {
	own, err := openHawser(ctx, o, launch)
	if err != nil {
		return nil, err
	}
	targets = append(targets, own)
	if o.other == "" {
		return targets, nil
	}
	c, err := startBare(ctx, launch, o.other)
	if err != nil {
		return targets, err
	}
	other, err := childTarget(ctx, c)
	if err != nil {
		c.stop()
		return targets, err
	}
	return append(targets, other), nil
}

func openHawser(ctx context.Context, o options, launch launcher) (*target, error) {
	if o.spawn {
		c, err := startHawser(ctx, launch)
		if err != nil {
			return nil, err
		}
		t, err := childTarget(ctx, c)
		if err != nil {
			c.stop()
			return nil, err
		}
		if o.nats == "" {
			t.nats = "" // publish as a client does, as on a bare server
		}
		return t, nil
	}
	u, addr, err := resolve(ctx, o.url, o.own)
	if err != nil {
		return nil, err
	}
	return &target{name: "hawser", url: u, addr: addr, nats: o.nats, meter: newMeter(o.admin, o.pid)}, nil
}

// childTarget is a server of ours. Its CPU is read from /metrics as well: the
// same way for all.
func childTarget(ctx context.Context, c *child) (*target, error) {
	u, addr, err := resolve(ctx, "ws://"+c.addrs.Edge+"/ws/demo", false)
	if err != nil {
		return nil, err
	}
	return &target{name: c.name, url: u, addr: addr, nats: c.addrs.NATS, child: c, meter: newMeter("http://"+c.addrs.Admin, 0)}, nil
}

// close ends a server of ours.
func (t *target) close() {
	if t.child != nil {
		t.child.stop()
	}
}

func (t *target) swarmConfig(o options) swarmConfig {
	// Each swarm dials from addresses of its own, where there are several: the
	// ports of the one before are in TIME_WAIT for a minute.
	source := t.source
	t.source += sources(o.conns)
	return swarmConfig{url: t.url, addr: t.addr, token: o.token, codec: o.codec(), engine: o.engine, window: o.window, source: source}
}

func (t *target) publisher(ctx context.Context, o options, channel string) (publisher, error) {
	if t.nats != "" {
		return dialNATS(t.nats, o.prefix, t.url, channel)
	}
	return dialSocket(ctx, t.swarmConfig(o), channel)
}

// metered measures what the server uses while do runs. Without a meter it
// reports so by known.
func (t *target) metered(ctx context.Context, do func() error) (before, after usage, known bool, err error) {
	before, err = t.meter.read(ctx)
	known = !errors.Is(err, errNoMeter)
	if err != nil && known {
		return before, after, known, err
	}
	if err := do(); err != nil {
		return before, after, known, err
	}
	if !known {
		return before, after, false, nil
	}
	after, err = t.meter.read(ctx)
	return before, after, true, err
}

// addCPU adds the server's CPU for each of n things, in unit.
func (r *Run) addCPU(before, after usage, known bool, unit time.Duration, name string, n int) {
	if known && n > 0 {
		r.add(name, float64(after.CPU-before.CPU)/float64(unit)/float64(n))
	}
}

// noteMeter says how far the server's own figures go.
func noteMeter(t *target) string {
	switch _, none := t.meter.(noMeter); {
	case none:
		return fmt.Sprintf("no CPU and memory of %s: give --admin http://host:port or --pid", t.name)
	case t.child == nil:
		return fmt.Sprintf("%s was not started by this command: what it did before and for others is in its CPU and memory", t.name)
	}
	return ""
}
