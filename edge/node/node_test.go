package node

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"hawser/edge/client"
)

func TestSmoke(t *testing.T) {
	cfg := DevConfig()
	cfg.Edge.Listen, cfg.Admin.Listen, cfg.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Node.DataDir = t.TempDir()
	n, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case <-n.Started():
	case err := <-done:
		t.Fatal(err)
	}
	c, err := client.New(client.Config{URL: n.Addrs().WebSocket("demo")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	if _, err := c.Subscribe(ctx, "news", func(_ context.Context, p client.Publication) { got <- string(p.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, "news", []byte(`"hi"`)); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-got:
		t.Log(s)
	case <-time.After(5 * time.Second):
		t.Fatal("nothing")
	}
	resp, err := http.Get("http://" + n.Addrs().Admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	t.Log(resp.Status, string(b))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.Close(context.Background())
}
