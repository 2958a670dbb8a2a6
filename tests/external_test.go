package tests

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/edge/client"
)

// startOn runs a node on a NATS server of its own process.
func startOn(t *testing.T, n *natsServer, id string) *hawser {
	t.Helper()
	return startHawser(t, setup{args: []string{"--nats.url=" + n.url(), "--node.id=" + id}})
}

// TestNATSLoss: without NATS a node turns red, keeps its sockets and says so
// to whoever publishes; with NATS back it delivers again.
func TestNATSLoss(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	h := startOn(t, n, "a")
	var sinks []*sink
	for _, p := range protocols {
		sinks = append(sinks, subscribeSDK(t, dialSDK(t, h, client.Config{Protocol: p}), "news"))
	}
	raw, _ := connectRaw(t, h, "")
	fire(t, app(t, n.url()), "news", []byte(`"before"`))
	for _, s := range sinks {
		s.want(t, []byte(`"before"`))
	}

	n.kill()
	killed := time.Now()
	eventually(t, "/readyz is red", func() bool { return !h.ready() })
	t.Logf("/readyz was red %v after kill -9 of NATS; the promise is 5 s", time.Since(killed).Round(time.Millisecond))
	_, reason, err := get("http://" + h.admin + "/readyz")
	if err != nil || !strings.Contains(reason, "NATS") {
		t.Errorf("/readyz says %q, %v; want NATS in it", reason, err)
	}
	if status, _, err := get("http://" + h.admin + "/livez"); err != nil || status != http.StatusOK {
		t.Errorf("/livez: status %d, %v; want 200: a restart would not help", status, err)
	}
	eventually(t, "all links are down", func() bool { return h.metric("hawser_fabric_connections_up") == 0 })
	for _, command := range []string{
		`"publish":{"channel":"news","data":1}`, `"rpc":{"method":"a.b"}`, `"subscribe":{"channel":"other"}`,
	} {
		if e := raw.refused(503, command); !e.Temporary {
			t.Errorf("%s: got %+v, want a temporary error", command, e)
		}
	}
	raw.alive()
	if up := h.metric("hawser_actors_connections"); up != 3 {
		t.Errorf("%v connections are up, want 3", up)
	}

	n.restart()
	eventually(t, "/readyz is green again", h.ready)
	fire(t, app(t, n.url()), "news", []byte(`"after"`))
	for _, s := range sinks {
		s.want(t, []byte(`"before"`), []byte(`"after"`))
	}
	raw.subscribe("other")
	h.checkAccounts()
}

// TestFrozenNATS: green means delivering. A NATS that is connected and silent
// turns the node red too, by the canary that does not come back.
func TestFrozenNATS(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	h := startOn(t, n, "a")
	c := dialSDK(t, h, client.Config{})
	news := subscribeSDK(t, c, "news")
	n.signal(syscall.SIGSTOP)
	frozen := time.Now()
	eventually(t, "/readyz is red", func() bool { return !h.ready() })
	t.Logf("/readyz was red %v after NATS froze; the promise is 5 s", time.Since(frozen).Round(time.Millisecond))
	if _, reason, err := get("http://" + h.admin + "/readyz"); err != nil || !strings.Contains(reason, "canary") {
		t.Errorf("/readyz says %q, %v; want the canary in it", reason, err)
	}
	n.signal(syscall.SIGCONT)
	eventually(t, "/readyz is green again", h.ready)
	fire(t, app(t, n.url()), "news", []byte(`1`))
	news.want(t, []byte(`1`))
	if state, why := c.State(); state != client.Connected || why != nil {
		t.Errorf("the client is %v after %v, want connected all the time", state, why)
	}
}

// TestTwoNodes: two nodes on one NATS are one fabric for applications and
// clients.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	nodes := []*hawser{startOn(t, n, "a"), startOn(t, n, "b")}
	nc := app(t, n.url())
	var clients []*client.Client
	var sinks, direct []*sink
	for i, h := range nodes {
		for _, p := range protocols {
			d := new(sink)
			c := dialSDK(t, h, client.Config{Protocol: p, OnDirect: func(_ context.Context, data []byte) { d.add(data) }})
			clients, direct = append(clients, c), append(direct, d)
			sinks = append(sinks, subscribeSDK(t, c, "news"))
			if got, want := c.Session().Node, []string{"a", "b"}[i]; got != want {
				t.Errorf("the client is on node %s, want %s", got, want)
			}
		}
	}
	fire(t, nc, "news", []byte(`"from an application"`))
	for _, s := range sinks {
		s.want(t, []byte(`"from an application"`))
	}
	if err := clients[0].Publish(bounded(t), "news", []byte(`"from a client of a"`)); err != nil {
		t.Fatal(err)
	}
	for _, s := range sinks {
		s.want(t, []byte(`"from an application"`), []byte(`"from a client of a"`))
	}

	for i, c := range clients {
		if got := ask(t, nc, "hw.session.demo."+c.Session().ID, `"you"`); got != `{"status":"delivered","sessions":1}` {
			t.Errorf("client %d: got %s, want delivered", i, got)
		}
		direct[i].want(t, []byte(`"you"`))
	}
	for range 5 { // the node that answers is picked at random
		if got := ask(t, nc, "hw.session.demo.nobody", `1`); got != gone {
			t.Fatalf("got %s, want gone", got)
		}
	}
	leaving := clients[0].Session().ID
	if err := clients[0].Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node knows", func() bool { return nodes[0].metric("hawser_actors_connections") == 1 })
	if got := ask(t, nc, "hw.session.demo."+leaving, `1`); got != gone {
		t.Errorf("got %s, want gone once nobody holds the session", got)
	}
}

// TestStoreOfAnotherMode: NATS would delete the streams of a standalone store
// that is started in a cluster, so hawser refuses it, and says what to do.
func TestStoreOfAnotherMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A clustered JetStream wants a route; that nobody is there yet is fine.
	clustered := []string{"--nats.cluster_name=c", "--nats.cluster_listen=127.0.0.1:0", "--nats.routes=nats://127.0.0.1:9"}

	h := startHawser(t, setup{dataDir: dir})
	js, err := app(t, h.nats).JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("orders", []byte("1")); err != nil {
		t.Fatal(err)
	}
	h.stop()

	refused := launchHawser(t, setup{dataDir: dir, args: clustered})
	if code := refused.exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, text := range []string{"nats-standalone", "nats.accept_fresh_store", "nats stream backup"} {
		if !strings.Contains(refused.log.String(), text) {
			t.Errorf("%q is not in: %s", text, refused.log)
		}
	}

	accepted := launchHawser(t, setup{dataDir: dir, args: append(clustered, "--nats.accept_fresh_store"),
		errors: []string{"nats server"}}) // there is nobody at the route
	accepted.awaitServing()
	accepted.stop()

	again := startHawser(t, setup{dataDir: dir})
	js, err = app(t, again.nats).JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := js.StreamInfo("ORDERS"); err != nil || info.State.Msgs != 1 {
		t.Errorf("the stream after all that: %+v, %v; want its message", info, err)
	}
}
