package fabric

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// sink is a Receiver that does nothing and holds nobody.
type sink struct{}

func (sink) Deliver(string, string, uint64, []byte) {}

func (sink) DeliverUser(string, string, []byte) int { return 0 }

func (sink) DeliverSession(string, string, []byte) bool { return false }

func benchFabric(b *testing.B, receiver Receiver) *Fabric {
	b.Helper()
	cfg := testConfig()
	cfg.CanaryInterval = time.Second
	cfg.PendingMessages = DefaultPendingMessages
	f, err := Open(b.Context(), cfg, receiver)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := f.Close(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
	})
	return f
}

// BenchmarkInterest reports the heap bytes of one interest: ours, nats.go's
// and the embedded server's together. The time is that of 20,000 of them.
func BenchmarkInterest(b *testing.B) {
	const channels = 20_000
	for b.Loop() {
		b.StopTimer()
		f := benchFabric(b, sink{})
		before := heap()
		b.StartTimer()
		ready := make(chan error, channels)
		for i := range channels {
			f.Subscribe("acme", fmt.Sprintf("room.%d", i), func(err error) { ready <- err })
		}
		for range channels {
			if err := <-ready; err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/channels, "B/interest")
		if err := f.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkDispatch is the cost of one message after nats.go, and before the
// actors.
func BenchmarkDispatch(b *testing.B) {
	f := benchFabric(b, sink{})
	sub := &nats.Subscription{}
	for name, subject := range map[string]string{
		"fire":    "hw.fire.acme.room.42",
		"session": "hw.session.acme.0123456789abcdef",
		"user":    "hw.user.acme.ann",
	} {
		b.Run(name, func(b *testing.B) {
			m := &nats.Msg{Subject: subject, Data: make([]byte, 128), Sub: sub}
			b.ReportAllocs()
			for b.Loop() {
				f.dispatch(f.lanes[0], m)
			}
		})
	}
}

// BenchmarkChannel is the whole way of a publication of 128 bytes: an
// application over TCP, the embedded server, nats.go, the lane, the Receiver.
func BenchmarkChannel(b *testing.B) {
	f := benchFabric(b, sink{})
	const channels = 100
	ready := make(chan error, channels)
	subjects := make([]string, channels)
	for i := range channels {
		subjects[i] = fmt.Sprintf("hw.fire.acme.room.%d", i)
		f.Subscribe("acme", fmt.Sprintf("room.%d", i), func(err error) { ready <- err })
	}
	for range channels {
		<-ready
	}
	flood(b, f, subjects)
}

// BenchmarkDirect is the same for sessions that are elsewhere: what each node
// pays for each direct message in the cluster, as arbiter of all of them.
func BenchmarkDirect(b *testing.B) {
	f := benchFabric(b, sink{})
	subjects := make([]string, 100)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("hw.session.acme.s%d", i)
	}
	flood(b, f, subjects)
}

// flood publishes b.N messages of 128 bytes and waits until all came in.
func flood(b *testing.B, f *Fabric, subjects []string) {
	nc, err := nats.Connect(f.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	data := make([]byte, 128)
	b.ReportAllocs()
	sent := uint64(0)
	for b.Loop() {
		if err := nc.Publish(subjects[sent%uint64(len(subjects))], data); err != nil {
			b.Fatal(err)
		}
		// Stay below the lane's channel, so that nothing is dropped. A direct
		// message takes two places in it.
		for sent++; sent-f.messagesIn.Load() > DefaultPendingMessages/4; {
			runtime.Gosched()
		}
	}
	for f.messagesIn.Load() < sent {
		runtime.Gosched()
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
	if n := f.Stats().Dropped; n > 0 {
		b.Errorf("%d messages dropped", n)
	}
}

// BenchmarkRequest is one request at a time, service included.
func BenchmarkRequest(b *testing.B) {
	f := benchFabric(b, sink{})
	nc, err := nats.Connect(f.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("hw.rpc.acme.echo.op", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 128)
	done := make(chan error, 1)
	b.ReportAllocs()
	for b.Loop() {
		f.Request("acme", "echo.op", "ann", "s1", data, func(_ []byte, err error) { done <- err })
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublishChannel is the cost to the actor that publishes.
func BenchmarkPublishChannel(b *testing.B) {
	f := benchFabric(b, sink{})
	data := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		for f.PublishChannel("acme", "room", data) != nil {
			runtime.Gosched() // the queue is full
		}
	}
}
