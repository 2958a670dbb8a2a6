package fabric

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// canaryLoop publishes a canary every CanaryInterval. Each lane subscribes to
// it, so one message proves the publish queue, the control link, the server,
// each data link and each dispatcher with the Receiver behind it.
func (f *Fabric) canaryLoop(ctx context.Context) {
	ticker := time.NewTicker(f.cfg.CanaryInterval)
	defer ticker.Stop()
	for number := uint64(1); ; number++ {
		f.sendCanary(number)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sendCanary publishes "<nonce> <number> <nanoseconds since start>". While
// NATS is down it fails, and Ready sees the silence.
func (f *Fabric) sendCanary(number uint64) {
	b := append(make([]byte, 0, 64), f.nonce...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, number, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(time.Since(f.start)), 10)
	_ = f.publisher.push(outgoing{subject: f.subjects.canary, data: b})
}

// takeCanary records a canary that came back on lane n.
func (f *Fabric) takeCanary(n *lane, m *nats.Msg) {
	fields := bytes.Fields(m.Data)
	if len(fields) != 3 {
		f.foreign.Add(1)
		return
	}
	if string(fields[0]) != f.nonce {
		f.foreign.Add(1)
		f.limit.Error("another process uses this node id: give each node its own, or wait for the old one to stop",
			"node", f.cfg.NodeID)
		return
	}
	sent, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		f.foreign.Add(1)
		return
	}
	now := time.Since(f.start)
	n.back.Store(int64(now))
	rtt := now - time.Duration(sent)
	f.rtt.Store(int64(rtt))
	if f.cfg.OnCanary != nil {
		f.cfg.OnCanary(rtt)
	}
}

// Ready is nil while the node delivers: the embedded server, if any, works,
// every link is up, and the last canary came back on every lane within
// CanaryTimeout. Else the error says what is wrong since when. It may be
// called from any goroutine at any time.
func (f *Fabric) Ready() error {
	if f.ctx.Err() != nil {
		return errStopping
	}
	if err := f.server.ready(); err != nil {
		return err
	}
	now := time.Now()
	for _, l := range f.links() {
		if err := l.ready(now); err != nil {
			return err
		}
	}
	for _, n := range f.lanes {
		if err := f.canaryError(n, now); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fabric) canaryError(n *lane, now time.Time) error {
	back := time.Duration(n.back.Load())
	if back == 0 {
		return fmt.Errorf("NATS link %s: no canary has come back yet", n.link.name)
	}
	if age := now.Sub(f.start) - back; age > f.cfg.CanaryTimeout {
		return fmt.Errorf("NATS link %s: last canary came back %s ago, limit %s: NATS or this node is overloaded",
			n.link.name, age.Round(100*time.Millisecond), f.cfg.CanaryTimeout)
	}
	return nil
}
