//go:build linux

package bench

import (
	"slices"
	"testing"
)

func TestFanoutWithStalledReaders(t *testing.T) {
	c := spawned(t)
	r, err := runBench(t, append([]string{"fanout", "--conns", "20", "--duration", "100ms", "--bursts", "1,8", "--stall", "10%"}, urls(c)...)...)
	if err != nil {
		t.Fatal(err)
	}
	var cases []string
	for _, run := range r.Runs {
		cases = append(cases, run.Case)
		readers := 20.0
		if n, found := run.value("stalled_count"); found {
			readers -= n
			wantValue(t, run, "stalled_count", func(v float64) bool { return v == 2 })
			wantValue(t, run, "delivery_p50_stall_ratio", above)
			wantValue(t, run, "delivery_p99_stall_ratio", above)
		}
		messages, _ := run.value("messages_count")
		wantValue(t, run, "deliveries_count", func(v float64) bool { return v == messages*readers && v > 0 })
		for _, name := range []string{"lost_count", "duplicated_count", "reordered_count", "failed_count"} {
			wantValue(t, run, name, zero)
		}
	}
	want := []string{"burst 1", "burst 1, 10% stalled", "burst 8", "burst 8, 10% stalled"}
	if !slices.Equal(cases, want) {
		t.Errorf("got %q, want %q", cases, want)
	}
}

func TestBareEpollSpeaksJSON(t *testing.T) {
	c, err := startBare(t.Context(), testProgram, "bare-epoll")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	r, err := runBench(t, append([]string{"fanout", "--conns", "10", "--duration", "50ms", "--bursts", "4", "--protocol", "json"}, urls(c)...)...)
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, r.Runs[0], "deliveries_count", above)
	wantValue(t, r.Runs[0], "lost_count", zero)
}

// The bare epoll server closes who does not read. That is no failure of the
// run, and does not end it.
func TestStalledReadersAreCut(t *testing.T) {
	c, err := startBare(t.Context(), testProgram, "bare-epoll")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	target, err := childTarget(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	o := goodOptions()
	o.conns, o.payload, o.stall = 10, maxPayload, "20%"
	s, err := newSwarm(target.swarmConfig(o))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.join(t.Context(), o.conns, sameChannel(fanoutChannel)); err != nil {
		t.Fatal(err)
	}
	publisher, err := target.publisher(t.Context(), o, fanoutChannel)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.close()
	s.play(func(l *loop) script { return counter{l} })
	f := &fanout{target: target, options: o, swarm: s, publisher: publisher, payload: newPayload(o.payload)}
	if err := s.stall(o.stallers()); err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < o.stallers(); {
		if complete, err := f.round(t.Context(), 1); err != nil || !complete {
			t.Fatalf("healthy peers: got %v, %v", complete, err)
		}
		sum := s.take()
		if cut += sum.cut; sum.failed > 0 {
			t.Fatalf("%d healthy peers failed: %v", sum.failed, sum.firstError)
		}
	}
	if err := s.replaceStalled(t.Context(), o.stallers(), f.number); err != nil {
		t.Fatal(err)
	}
	if complete, err := f.round(t.Context(), 1); err != nil || !complete || s.lost(f.number) != 0 {
		t.Errorf("with new peers: got %v, %v, %d lost", complete, err, s.lost(f.number))
	}
}
