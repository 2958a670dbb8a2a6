package browser

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"github.com/nats-io/nats.go"

	"hawser/edge/node"
)

// Node is a hawser as `hawser dev` makes it, in this process.
type Node struct {
	t    *testing.T
	cfg  node.Config
	stop func() // ends Run and waits for it

	addrs node.Addrs
}

// startNode starts a node on free ports, changed by options, and stops it with
// the test.
func startNode(t *testing.T, options ...func(*node.Config)) *Node {
	t.Helper()
	cfg := node.DevConfig()
	cfg.Edge.Listen, cfg.Admin.Listen, cfg.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Node.DataDir = t.TempDir()
	for _, change := range options {
		change(&cfg)
	}
	n := &Node{t: t, cfg: cfg}
	n.start()
	n.cfg.Edge.Listen = n.addrs.Edge // a restart comes back where clients look for it
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *Node) start() {
	n.t.Helper()
	running, err := node.New(n.cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- running.Run(ctx) }()
	select {
	case <-running.Started():
	case err := <-done:
		cancel()
		n.t.Fatal(err)
	}
	n.addrs = running.Addrs()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("node: %v", err)
		}
		n.stop = func() {}
	}
}

// Page is the address of the demo page.
func (n *Node) Page() string { return "http://" + n.addrs.Edge + "/" }

// NATS connects as an application does, until the test ends.
func (n *Node) NATS() *nats.Conn {
	n.t.Helper()
	c, err := nats.Connect(n.addrs.NATS)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}
