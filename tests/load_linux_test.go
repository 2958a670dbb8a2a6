package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/edge/client"
	"hawser/proto/cause"
)

// unlimited takes connections as fast as they come.
var unlimited = []string{"--edge.accept_rate=0", "--nats.interest_linger=0s"}

// footprint is what a node holds that must go with its clients.
type footprint struct{ goroutines, fds int }

func (h *hawser) footprint() footprint {
	h.t.Helper()
	return footprint{int(h.metric("go_goroutines")), h.fds()}
}

// awaitFootprint waits until a node holds no more than it did.
func (h *hawser) awaitFootprint(want footprint) {
	h.t.Helper()
	var got footprint
	if !poll(func() bool {
		got = h.footprint()
		return got.goroutines <= want.goroutines && got.fds <= want.fds
	}) {
		h.t.Errorf("after all have closed: %+v, want no more than %+v", got, want)
	}
}

// TestTenThousand: 10,000 connections on one node each get what was published
// through NATS, once and in order, and leave nothing behind.
func TestTenThousand(t *testing.T) {
	const connections, channels, rounds = 10_000, 100, 10
	needFiles(t, 20_000)
	h := startHawser(t, setup{plain: true, args: unlimited})
	nc := app(t, h.nats)
	first(connectRaw(t, h, "")).goodbye() // what the first one allocates stays
	before := h.footprint()

	began := time.Now()
	s := newSwarm(t, h, connections, func(i int) []string { return []string{"all", fmt.Sprintf("room.%d", i%channels)} })
	t.Logf("%d connections in %v", connections, since(began))
	if up := h.metric("hawser_actors_connections"); up != connections {
		t.Errorf("%v connections are up, want %d", up, connections)
	}

	began = time.Now()
	fire(t, nc, "all", number(0))
	s.await(connections)
	t.Logf("one publication to each in %v", since(began))

	began = time.Now()
	var want []string
	for round := range rounds {
		want = append(want, string(number(round)))
		for c := range channels {
			publish(t, nc, fmt.Sprintf("room.%d", c), number(round))
		}
	}
	s.await(connections + connections*rounds)
	t.Logf("%d publications over %d channels, %d deliveries, in %v", rounds*channels, channels, connections*rounds, since(began))

	// A last one on each channel: what came twice would have come before it.
	fire(t, nc, "all", []byte(`"last"`))
	for c := range channels {
		publish(t, nc, fmt.Sprintf("room.%d", c), []byte(`"last"`))
	}
	s.await(connections*(1+rounds) + 2*connections)
	s.check("all", []string{string(number(0)), `"last"`})
	for c := range channels {
		s.check(fmt.Sprintf("room.%d", c), append(want, `"last"`))
	}

	s.closeAll(func(i int, p *swarmPeer) {
		switch i % 3 {
		case 0:
			p.sayGoodbye()
		case 1:
			p.reset()
		}
	})
	eventually(t, "all connections have ended", func() bool { return h.metric("hawser_actors_connections") == 0 })
	h.awaitFootprint(before)
	h.checkAccounts()
	all := h.metrics()
	if opened := all["hawser_actors_opened_total"]; opened != connections+1 {
		t.Errorf("%v connections were opened, want %d", opened, connections+1)
	}
	for _, gauge := range []string{"hawser_edge_sockets", "hawser_actors_sessions", "hawser_actors_channels", "hawser_fabric_interests"} {
		if all[gauge] != 0 {
			t.Errorf("%s is %v, want 0", gauge, all[gauge])
		}
	}
}

// publish is fire without waiting for the server.
func publish(t *testing.T, nc *nats.Conn, channel string, data []byte) {
	t.Helper()
	if err := nc.Publish("hw.fire.demo."+channel, data); err != nil {
		t.Fatal(err)
	}
}

// TestSlowConsumer: one client that does not read is closed for it, and a
// thousand beside it, some on the very channel that it chokes on, get all.
func TestSlowConsumer(t *testing.T) {
	const healthy, readers = 1000, 5
	h := startHawser(t, setup{plain: true, args: unlimited})
	s := newSwarm(t, h, healthy, func(i int) []string {
		if i < readers {
			return []string{"news", "bulk"}
		}
		return []string{"news"}
	})
	slow, _ := connectRaw(t, h, "")
	slow.subscribe("bulk")
	nc := app(t, h.nats)

	// As much as the sockets' buffers hold comes before the outbox fills.
	chunk := []byte(`"` + strings.Repeat("x", 60<<10) + `"`)
	var bulk, news []string
	closed := func() bool { return h.metric(closedBy("slow_consumer")) == 1 }
	for n := 0; !closed(); n++ {
		if n == 1000 {
			t.Fatalf("the slow client is still there after %d MiB", n*len(chunk)>>20)
		}
		fire(t, nc, "bulk", chunk)
		bulk = append(bulk, string(chunk))
		if n%10 == 0 {
			fire(t, nc, "news", number(n))
			news = append(news, string(number(n)))
		}
		s.await(readers*len(bulk) + healthy*len(news))
	}
	t.Logf("the slow client was closed within %d messages of 60 KiB", len(bulk))
	s.check("bulk", bulk)
	s.check("news", news)
	if n := h.metric(`hawser_actors_dropped_total{reason="slow_consumer"}`); n == 0 {
		t.Error("nothing was counted as dropped")
	}
	if up := h.metric("hawser_actors_connections"); up != healthy {
		t.Errorf("%v connections are up, want the %d healthy ones", up, healthy)
	}
	if n := h.metric(`hawser_fabric_dropped_total`); n != 0 {
		t.Errorf("the node lost %v messages from NATS, want 0", n)
	}
	h.checkAccounts()
}

// TestHalfOpen: a peer that is gone without a word, as behind a cut cable, is
// found by its missing pong.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{args: []string{"--edge.ping_interval=500ms", "--edge.pong_timeout=300ms",
		"--edge.close_timeout=200ms", "--nats.rpc_timeout=400ms"}})
	healthy := subscribeSDK(t, dialSDK(t, h, client.Config{}), "news")
	dead, _ := connectRaw(t, h, "")
	eventually(t, "the dead peer is closed", func() bool { return h.metric(closedBy("pong_timeout")) == 1 })
	for { // what was on its way: pings and the goodbye
		r, code, err := dead.readSilently()
		if err != nil {
			t.Fatalf("read: %v, want a close frame", err)
		}
		if r.Disconnect != nil && (r.Disconnect.Code != int(cause.PongTimeout) || !r.Disconnect.Reconnect) {
			t.Errorf("got %s, want %d with reconnect", r.text, cause.PongTimeout)
		}
		if code != 0 {
			if code != cause.PongTimeout {
				t.Errorf("closed with %d, want %d", code, cause.PongTimeout)
			}
			break
		}
	}
	fire(t, app(t, h.nats), "news", number(1))
	healthy.want(t, number(1))
	if up := h.metric("hawser_actors_connections"); up != 1 {
		t.Errorf("%v connections are up, want the healthy one", up)
	}
	h.checkAccounts()
}

// TestFlood: a client over its rate is told so, and closed when it goes on;
// its neighbour is not touched.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{args: []string{"--edge.rate_messages=10", "--edge.rate_burst=20"}})
	neighbour, _ := connectRaw(t, h, "")
	flood, _ := connectRaw(t, h, "")
	for range 100 {
		flood.send(`{"id":3,"ping":{}}`)
	}
	told := 0
	for {
		r, code, err := flood.read()
		if err != nil {
			t.Fatalf("read: %v, want a close frame", err)
		}
		if r.Error != nil && r.Error.Code == 429 && r.Error.Temporary {
			told++
		}
		if code != 0 {
			flood.conn.Close()
			if code != cause.RateLimited || told == 0 {
				t.Errorf("closed with %d after %d errors 429, want %d after some", code, told, cause.RateLimited)
			}
			break
		}
	}
	neighbour.alive()
	eventually(t, "the flood is accounted for", func() bool { return h.metric(closedBy("rate_limited")) == 1 })
	h.checkAccounts()
}
