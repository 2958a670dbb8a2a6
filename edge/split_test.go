package edge

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"hawser/edge/frame"
	"hawser/proto/codec"
)

var splitSeed = flag.Uint64("split-seed", 0, "replay TestRandomSplits with this seed; 0 takes a new one")

// Any message, fragmented anyhow, with control frames in between and TCP
// segments cut anywhere, comes back whole.
func TestRandomSplits(t *testing.T) {
	seed := *splitSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay with: go test ./edge -run TestRandomSplits -split-seed %d", seed)
	eachEngine(t, func(t *testing.T, engine string) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newRig(t, engine, rigOptions{echo: true})
		for range 8 {
			conn, err := r.raw("/ws/echo", codec.JSON)
			if err != nil {
				t.Fatal(err)
			}
			var sent, want []byte
			for range 20 {
				message := make([]byte, random.IntN(3000))
				if random.IntN(8) == 0 {
					message = make([]byte, random.IntN(64<<10))
				}
				for i := range message {
					message[i] = 'a' + byte(random.IntN(26))
				}
				op := frame.Text
				if random.IntN(2) == 0 {
					op = frame.Binary
				}
				var pongs []byte
				sent, pongs = appendFragmented(sent, op, message, random)
				want = append(want, pongs...)
				want = frame.Append(want, op, message)
			}
			if got := exchange(t, conn, sent, len(want), random); !bytes.Equal(got, want) {
				t.Fatalf("what came back differs at byte %d of %d", firstDifference(got, want), len(want))
			}
			conn.Close()
		}
	})
}

// appendFragmented appends message in random fragments with pings in between,
// and returns the pongs that they ask for.
func appendFragmented(b []byte, op frame.Opcode, message []byte, random *rand.Rand) (_, pongs []byte) {
	for first := true; ; first = false {
		n := len(message)
		if random.IntN(3) == 0 {
			n = random.IntN(n + 1)
		}
		part, last := message[:n], n == len(message) && random.IntN(10) > 0
		message = message[n:]
		start := len(b)
		fragment := op
		if !first {
			fragment = frame.Continuation
		}
		b = frame.AppendMasked(b, fragment, part, [4]byte{byte(random.Uint32()), 2, 3, 4})
		if !last {
			b[start] &^= 0x80 // FIN
		}
		if random.IntN(4) == 0 && !last {
			payload := fmt.Appendf(nil, "%d", random.IntN(1000))
			b = frame.AppendMasked(b, frame.Ping, payload, [4]byte{9})
			pongs = frame.Append(pongs, frame.Pong, payload)
		}
		if last {
			return b, pongs
		}
	}
}

// exchange writes sent in random pieces while it reads length bytes.
func exchange(t *testing.T, conn net.Conn, sent []byte, length int, random *rand.Rand) []byte {
	t.Helper()
	pieces := rand.New(rand.NewPCG(random.Uint64(), 1))
	done := make(chan error, 1)
	go func() {
		for len(sent) > 0 {
			n := min(len(sent), 1+pieces.IntN(1+pieces.IntN(8000)))
			if _, err := conn.Write(sent[:n]); err != nil {
				done <- err
				return
			}
			sent = sent[n:]
		}
		done <- nil
	}()
	got := make([]byte, 0, length)
	buf := make([]byte, 32<<10)
	for len(got) < length {
		n, err := conn.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			t.Fatalf("after %d of %d bytes: %v", len(got), length, err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return got
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// The poll engine has no goroutine per connection; the other has one.
func TestGoroutinesPerConnection(t *testing.T) {
	const conns = 300
	for engine, want := range map[string]int{"poll": 0, "goroutine": 1} {
		t.Run(engine, func(t *testing.T) {
			if engine == "poll" && !pollSupported {
				t.Skip("this system has no poll engine")
			}
			r := newRig(t, engine, rigOptions{})
			r.connected(t)
			r.until("the first handshake is over", func() bool { return r.system.Conns() == 1 })
			before := runtime.NumGoroutine()
			for range conns {
				r.connected(t)
			}
			// Handshake goroutines end a moment after the client has its answer.
			r.until(fmt.Sprintf("%d goroutines per connection", want), func() bool {
				per := float64(runtime.NumGoroutine()-before) / conns
				return per > float64(want)-0.1 && per < float64(want)+0.1
			})
		})
	}
}
