package fabric

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Many holders come and go on few channels while NATS connections break. At
// the end each channel that is still held gets a message once, and the others
// are gone from the server.
func TestChurn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := external(t, -1, nil)
	cfg := externalConfig(s.ClientURL())
	cfg.InterestLinger = time.Millisecond
	g := newGate()
	cfg.Dialer = g
	got := newRecorder()
	f := openFabric(t, cfg, got)
	eventuallyReady(t, f)

	const holders, channels, steps = 8, 6, 300
	held := make([][channels]int, holders)
	var wg sync.WaitGroup
	for h := range holders {
		rng := rand.New(rand.NewPCG(seed, uint64(h)))
		wg.Go(func() {
			for range steps {
				c := rng.IntN(channels)
				name := fmt.Sprintf("c%d", c)
				if held[h][c] > 0 && rng.IntN(3) > 0 {
					held[h][c]--
					f.Unsubscribe("acme", name)
					continue
				}
				ready := make(chan error, 2)
				f.Subscribe("acme", name, func(err error) { ready <- err })
				select {
				case err := <-ready:
					if err == nil { // else NATS was down
						held[h][c]++
					}
				case <-time.After(patience):
					t.Error("ready was never called")
					return
				}
				if h == 0 && rng.IntN(40) == 0 {
					g.cut()
				}
			}
		})
	}
	wg.Wait()
	eventuallyReady(t, f)
	nc := app(t, cfg.URL)
	for c := range channels {
		total := 0
		for h := range holders {
			total += held[h][c]
		}
		subject := fmt.Sprintf("hw.fire.acme.c%d", c)
		want := min(total, 1)
		eventually(t, fmt.Sprintf("%s has %d subscriptions for %d holders", subject, want, total), func() bool {
			return s.GlobalAccount().Interest(subject) == want
		})
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			continue
		}
		if d := take(t, "publication", got.got); d.name != fmt.Sprintf("c%d", c) {
			t.Errorf("got %v, want channel c%d", d, c)
		}
	}
	flush(t, nc)
	eventuallyReady(t, f)
	if len(got.got) > 0 {
		t.Errorf("got %v twice, or without a holder", <-got.got)
	}
}
