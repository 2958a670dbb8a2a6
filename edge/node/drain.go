package node

import (
	"context"
	"errors"
	"time"

	"hawser/actors"
	"hawser/proto/cause"
)

// drain closes every connection at the configured pace, each with
// cause.Shutdown and its own delay to come back after, and waits for them to
// go. /readyz is red from the first moment, so that balancers look elsewhere.
func (n *Node) drain() {
	cfg := n.current().Node
	n.draining.Store(true)
	n.edge.Stop()
	conns := n.system.Snapshot()
	n.log.Info("draining", "node", cfg.ID, "connections", len(conns), "timeout", cfg.DrainTimeout.String())
	ctx, cancel := context.WithTimeoutCause(n.killed, cfg.DrainTimeout, errors.New("drain_timeout is over"))
	defer cancel()
	pace(ctx, conns, drainRate(len(conns), cfg))
	if err := n.awaitEmpty(ctx); err != nil {
		n.log.Warn("drain cut short", "node", cfg.ID, "connections", n.system.Conns(), "err", err)
	} else {
		n.log.Info("drained", "node", cfg.ID)
	}
}

// minDrainRate is the least closes per second: a node with few clients stops
// at once, whatever its drain_timeout.
const minDrainRate = 200

// drainRate is how many connections to close per second: as configured, but
// enough to be done in four fifths of the time, so that the last close frames
// can still be answered.
func drainRate(conns int, cfg NodeConfig) float64 {
	needed := float64(conns) / max(cfg.DrainTimeout.Seconds()*0.8, 0.001)
	rate := float64(cfg.DrainRate)
	if rate == 0 {
		rate = minDrainRate
	}
	return max(rate, needed)
}

// pace kicks conns at rate per second, until ctx ends.
func pace(ctx context.Context, conns []*actors.Conn, rate float64) {
	const step = 10 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for due := 0.0; len(conns) > 0; {
		for due += rate * step.Seconds(); due >= 1 && len(conns) > 0; due-- {
			conns[0].Kick(cause.Shutdown, actors.DefaultRetryAfter)
			conns = conns[1:]
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// awaitEmpty also closes who slipped in while the listener closed.
func (n *Node) awaitEmpty(ctx context.Context) error {
	const look = 10 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for n.system.Conns() > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			for _, c := range n.system.Snapshot() {
				c.Kick(cause.Shutdown, actors.DefaultRetryAfter) // a second one does nothing
			}
		}
	}
	return nil
}
