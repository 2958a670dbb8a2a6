package tests

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"hawser/edge/client"
)

// protocols are the two of the SDK.
var protocols = []client.Protocol{client.Proto, client.JSON}

// dialSDK connects a client to tenant demo and closes it with the test. An
// empty URL means h.
func dialSDK(t *testing.T, h *hawser, cfg client.Config) *client.Client {
	t.Helper()
	c := newSDK(t, h, cfg)
	if err := c.Connect(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

// newSDK is dialSDK without the connect.
func newSDK(t *testing.T, h *hawser, cfg client.Config) *client.Client {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = "ws://" + h.edge + "/ws/demo"
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// sink keeps what a handler was given.
type sink struct {
	mu  sync.Mutex
	got [][]byte
}

// subscribeSDK subscribes and collects.
func subscribeSDK(t *testing.T, c *client.Client, channel string) *sink {
	t.Helper()
	s := new(sink)
	if _, err := c.Subscribe(bounded(t), channel, func(_ context.Context, p client.Publication) { s.add(p.Data) }); err != nil {
		t.Fatalf("subscribe %s: %v", channel, err)
	}
	return s
}

func (s *sink) add(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, data)
}

func (s *sink) all() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// want waits for exactly these publications, in this order.
func (s *sink) want(t *testing.T, want ...[]byte) {
	t.Helper()
	poll(func() bool { return len(s.all()) >= len(want) })
	if got := s.all(); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %d publications, want %d in order; the first that differs is %d", len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(got, want [][]byte) int {
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i], want[i]) {
			return i
		}
	}
	return min(len(got), len(want))
}

// wantSDKError wants an *client.Error of that code.
func wantSDKError(t *testing.T, err error, code uint32) {
	t.Helper()
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("got error %v, want code %d", err, code)
	}
}

// balancer is what clients dial when nodes come and go: it knows the node that
// serves now. Nodes take a free port each time, as real ones take a new
// address.
type balancer struct {
	mu   sync.Mutex
	edge string // "" while there is none
}

func (b *balancer) route(edge string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.edge = edge
}

// dial is a client's Config.Dial.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.mu.Lock()
	edge := b.edge
	b.mu.Unlock()
	if edge == "" {
		return nil, errors.New("the balancer has no node")
	}
	return new(net.Dialer).DialContext(ctx, network, edge)
}
