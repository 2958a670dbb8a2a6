package tests

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/edge/client"
	"hawser/edge/frame"
)

// endings are the ways in which a connection of the soak ends. Each is given a
// client that is subscribed, and leaves none.
var endings = []func(t *testing.T, h *hawser, c *rawClient){
	func(_ *testing.T, _ *hawser, c *rawClient) { c.goodbye() },
	func(_ *testing.T, _ *hawser, c *rawClient) { c.conn.Close() },
	func(_ *testing.T, _ *hawser, c *rawClient) {
		_ = c.conn.(*net.TCPConn).SetLinger(0) // RST
		c.conn.Close()
	},
	func(_ *testing.T, _ *hawser, c *rawClient) { // no JSON: 4400
		c.send("{")
		c.closed()
		c.conn.Close()
	},
	func(_ *testing.T, _ *hawser, c *rawClient) { // wrong type: 1003
		c.write(frame.Binary, []byte("x"))
		c.closed()
		c.conn.Close()
	},
	func(_ *testing.T, _ *hawser, c *rawClient) { // half a frame, and gone
		_, _ = c.conn.Write([]byte{0x81, 0xfe, 0x10})
		c.conn.Close()
	},
	func(_ *testing.T, _ *hawser, c *rawClient) { // an answer is under way
		c.send(`{"id":5,"rpc":{"method":"no.answer"}}`)
		c.send(`{"id":6,"subscribe":{"channel":"other"}}`)
		c.conn.Close()
	},
	func(t *testing.T, h *hawser, c *rawClient) { // a handshake that stops half-way
		if half, err := net.Dial("tcp", h.edge); err == nil {
			_, _ = half.Write([]byte("GET /ws/demo HTTP/1.1\r\nHost:"))
			half.Close()
		}
		c.goodbye()
	},
}

// TestNothingLeaks: rounds of connections that end in every way leave no
// goroutine, descriptor or memory behind.
func TestNothingLeaks(t *testing.T) {
	const rounds, connections = 20, 200
	random := seeded(t)
	h := startHawser(t, setup{plain: true, args: append([]string{"--admin.pprof", "--auth.resume_window=0s", "--nats.rpc_timeout=200ms",
		"--edge.header_timeout=1s", "--edge.close_timeout=1s"}, unlimited...)}) // a node may remember a connection for so long
	nc := app(t, h.nats)
	respond(t, nc, "no.answer", func(*nats.Msg) *nats.Msg { return nil })
	round := func() {
		var all []*rawClient
		for i := range connections {
			c, _ := connectRaw(t, h, "")
			c.subscribe(fmt.Sprintf("room.%d", i%10))
			all = append(all, c)
		}
		publish(t, nc, fmt.Sprintf("room.%d", random.IntN(10)), number(1))
		for _, i := range random.Perm(connections) {
			endings[i%len(endings)](t, h, all[i])
		}
		sdk := newSDK(t, h, client.Config{})
		if err := sdk.Connect(bounded(t)); err != nil {
			t.Fatal(err)
		}
		subscribeSDK(t, sdk, "room.1")
		if err := sdk.Close(bounded(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all have ended", func() bool {
			all := h.metrics()
			return all["hawser_actors_connections"] == 0 && all["hawser_edge_sockets"] == 0 &&
				all["hawser_fabric_interests"] == 0 && all["hawser_fabric_requests_in_flight"] == 0
		})
	}
	var third footprint
	var heap float64
	for n := 1; n <= rounds; n++ {
		round()
		if n == 3 { // pools and tables have their size by now
			third, heap = h.footprint(), h.settledHeap()
		}
	}
	h.awaitFootprint(third)
	// protoactor keeps live actors in 1024 × 32 maps, and each map keeps
	// its first block of some 280 bytes: 9 MB in all, however long a node runs,
	// of which each new actor of a young process takes a share. What is lost of
	// a connection would be its kilobyte.
	const slack = 400 * (rounds - 3) * connections // bytes
	last := h.settledHeap()
	t.Logf("heap after round 3: %.0f KiB, after round %d: %.0f KiB", heap/1024, rounds, last/1024)
	if last > heap+slack {
		t.Errorf("heap grew from %.0f to %.0f bytes in %d rounds of %d connections", heap, last, rounds-3, connections)
	}
	h.checkAccounts()
}

// settledHeap is the live heap of a node once it has not fallen for longer than
// the node remembers a connection.
func (h *hawser) settledHeap() float64 {
	h.t.Helper()
	const (
		every = 100 * time.Millisecond
		quiet = 15       // measurements
		noise = 16 << 10 // bytes
	)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	least := h.heap()
	for same := 0; same < quiet; same++ {
		<-ticker.C
		if now := h.heap(); now < least {
			if now < least-noise {
				same = 0
			}
			least = now
		}
	}
	return least
}

// heap is the live heap of a node with admin.pprof, in bytes, after two
// collections: the first only moves pools to their victim caches.
func (h *hawser) heap() float64 {
	h.t.Helper()
	for range 2 {
		if status, _, err := get("http://" + h.admin + "/debug/pprof/heap?gc=1"); err != nil || status != 200 {
			h.t.Fatalf("collect: status %d, %v", status, err)
		}
	}
	return h.metric("go_memstats_heap_alloc_bytes")
}
