package tests

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hawser/edge/client"
	"hawser/edge/node"
)

// TestProtocolPermissions runs a node and an application on a NATS server that
// has the permissions of PROTOCOL.md, and uses every subject of its table.
func TestProtocolPermissions(t *testing.T) {
	t.Setenv("DEMO_APP", "app-secret")
	t.Setenv("HAWSER", "node-secret")
	broker := startPermitted(t, strings.Join(examples(t, readProtocol(t), "conf"), "\n"))
	url := broker.ClientURL()
	running := startPermittedNode(t, url)
	nc, err := nats.Connect(url, nats.UserInfo("demo-app", "app-secret"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	ctx := bounded(t)

	inbound := subscribed(t, nc, "hw.in.demo.>")
	service, err := nc.Subscribe("hw.rpc.demo.clock.now", func(m *nats.Msg) { _ = m.Respond([]byte(`"noon"`)) })
	if err = errors.Join(err, nc.FlushTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	defer service.Unsubscribe()
	got := make(chan string, 2) // one publication, one direct
	c, err := client.New(client.Config{URL: running.Addrs().WebSocket("demo"),
		OnDirect: func(_ context.Context, data []byte) { got <- string(data) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, "news", func(_ context.Context, p client.Publication) { got <- string(p.Data) }); err != nil {
		t.Fatal(err)
	}

	fire(t, nc, "news", []byte(`"to all"`))
	await(t, got, `"to all"`)
	if answer := ask(t, nc, "hw.session.demo."+c.Session().ID, `"to one"`); answer != `{"status":"delivered","sessions":1}` {
		t.Errorf("session: got %s, want it delivered", answer)
	}
	await(t, got, `"to one"`)
	if answer := ask(t, nc, "hw.user.demo.nobody", "1"); answer != `{"status":"gone"}` {
		t.Errorf("user: got %s, want gone", answer)
	}
	if answer, err := c.RPC(ctx, "clock.now", nil); err != nil || string(answer) != `"noon"` {
		t.Errorf("rpc: got %s, %v, want noon", answer, err)
	}
	if err := c.Publish(ctx, "orders", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if m := message(t, inbound); m.Subject != "hw.in.demo.orders" || m.Header.Get("Hw-Session") != c.Session().ID {
		t.Errorf("inbound: got %s %v, want orders of session %s", m.Subject, m.Header, c.Session().ID)
	}
	checkForbidden(t, nc)
}

// startPermitted runs a NATS server with a configuration, in this process.
func startPermitted(t *testing.T, config string) *server.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server does not listen")
	}
	return s
}

// startPermittedNode runs a node that sends the channel orders to the
// application, and waits until it is green.
func startPermittedNode(t *testing.T, url string) *node.Node {
	t.Helper()
	cfg := node.DevConfig()
	cfg.Edge.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.NATS.URL, cfg.NATS.User, cfg.NATS.Password = url, "hawser", "node-secret"
	cfg.Channels = []node.ChannelRule{
		{Pattern: "orders", Subscribe: node.Refuse, Publish: node.Allow, PublishTo: node.ToApp},
		{Pattern: ">", Subscribe: node.Allow, Publish: node.Refuse},
	}
	n, err := node.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Started():
	case err := <-done:
		done <- err
		t.FailNow()
	}
	eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	return n
}

// checkForbidden: an application of demo cannot speak to clients of others.
func checkForbidden(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for _, subject := range []string{"hw.fire.other.news", "hw.session.other.x", "_hw.canary.x"} {
		if err := errors.Join(nc.Publish(subject, nil), nc.FlushTimeout(patience)); err != nil {
			t.Fatal(err)
		}
		eventually(t, subject+" is refused", func() bool {
			err := nc.LastError()
			return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), subject)
		})
	}
}

// await wants want to be what comes next.
func await(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case s := <-got:
		if s != want {
			t.Errorf("got %s, want %s", s, want)
		}
	case <-bounded(t).Done():
		t.Fatalf("%s did not come", want)
	}
}
