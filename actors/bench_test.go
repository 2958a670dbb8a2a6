package actors

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
)

// sink is a Transport that takes everything and keeps nothing.
type sink struct{ conn *Conn }

var _ Transport = (*sink)(nil)

// Flush implements Transport.
func (s *sink) Flush() { _, _ = s.conn.out.Drain(nullWriter{}) }

// Finish implements Transport.
func (s *sink) Finish() { s.Flush() }

// nullRecorder counts nothing.
type nullRecorder struct{}

func (nullRecorder) Opened()                          {}
func (nullRecorder) Closed(cause.Code, time.Duration) {}
func (nullRecorder) Command(string)                   {}
func (nullRecorder) CommandError(uint32)              {}
func (nullRecorder) Delivered(int, int)               {}
func (nullRecorder) Dropped(DropReason, int)          {}

// bench is a System with sinks for clients.
type bench struct {
	b      *testing.B
	clock  *manualClock
	system *System
	conns  []*Conn
}

func newBench(b *testing.B, shards int) *bench {
	s := &bench{b: b, clock: newManualClock()}
	config := DefaultConfig()
	config.Node, config.Shards, config.OutboxBytes, config.OutboxTotalBytes = "n1", shards, 1<<30, 1<<30
	config.Rules = []Rule{{Pattern: ">", Subscribe: Allow}}
	var err error
	s.system, err = NewSystem(config, Deps{
		Broker: newFakeBroker(), Authenticator: &fakeAuth{clock: s.clock}, Resumer: new(fakeResumer), Encoder: textEncoder{},
		Recorder: nullRecorder{}, Clock: s.clock, Random: rand.NewChaCha8([32]byte{}), Jitter: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.close)
	return s
}

// dial connects n clients to a channel each, which channel names.
func (s *bench) dial(n int, channel func(i int) string) {
	for i := range n {
		k := new(sink)
		c := s.system.Attach(AttachParams{Transport: k, Tenant: "acme", Bind: func(c *Conn) { k.conn = c }})
		c.Receive([]*clientv1.ClientMessage{connectMessage(1, fmt.Sprint("user", i), "")}, 50)
		c.Receive([]*clientv1.ClientMessage{subscribeMessage(2, channel(i))}, 50)
		s.conns = append(s.conns, c)
	}
	s.settle()
}

// settle waits until the shards are idle and have flushed.
func (s *bench) settle() {
	for _, sh := range s.system.shards {
		passed := make(chan struct{})
		sh.send(touch{&Conn{system: s.system, shard: sh, transport: signal(passed)}})
		<-passed
	}
}

func (s *bench) close() {
	for _, c := range s.conns {
		c.SocketClosed(cause.PeerLost)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.system.Close(ctx); err != nil {
		s.b.Error(err)
	}
}

// BenchmarkIdleConnection reports the heap of this package per connection
// with a user, a session and one subscription: actor, hub and directory
// included, transport and socket not. The run keeps b.N connections, at least
// 100,000: go test -run xxx -bench Idle -benchtime 100000x.
func BenchmarkIdleConnection(b *testing.B) {
	const fanOut = 100 // subscribers of a channel
	n := max(b.N, 100_000)
	s := newBench(b, 2)
	before := heap()
	b.ResetTimer()
	s.dial(n, func(i int) string { return fmt.Sprint("channel", i/fanOut) })
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(n), "B/conn")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/conn")
	b.ReportMetric(0, "ns/op") // of no meaning here
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second one empties the pools' victims
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFanOut is the cost of one delivery to one of 1,000 subscribers:
// encode once, shard, outbox, and a writer that does nothing. burst is how
// many publications come back to back.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 1000
	for _, burst := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			s := newBench(b, 2)
			s.dial(subscribers, func(int) string { return "news" })
			data := []byte(`"` + strings.Repeat("x", 126) + `"`)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			for range b.N {
				for i := range burst {
					s.system.Deliver("acme", "news", uint64(i+1), data)
				}
				s.settle()
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			deliveries := float64(b.N * burst * subscribers)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSweep is the cost of one look at one connection.
func BenchmarkSweep(b *testing.B) {
	const n = 100_000
	s := newBench(b, 1)
	s.dial(n, func(int) string { return "news" })
	sh := s.system.shards[0]
	b.ResetTimer()
	for range b.N {
		sh.inspectAll(0)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/conn")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCommand is one client publication through actor and session.
func BenchmarkCommand(b *testing.B) {
	s := newBench(b, 1)
	s.dial(1, func(int) string { return "news" })
	c := s.conns[0]
	m := []*clientv1.ClientMessage{pingMessage(1)}
	b.ReportAllocs()
	for range b.N {
		s.clock.advance(time.Second)
		c.Receive(m, 50)
	}
}
