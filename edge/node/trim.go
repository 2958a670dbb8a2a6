package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimLoop gives memory back to the system after a burst. A connect storm
// leaves garbage behind, and the collector lets the heap stand at twice what is
// live until something allocates again; with idle connections nothing does. So
// when much is held and not used, and it has been quiet, one forced collection
// returns it: half of the RSS of a node with idle connections, measured with
// `hawser bench idle`.
func trimLoop(ctx context.Context) {
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	var last memory
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := readMemory()
		if now.wasteful() && now.quietSince(last) {
			debug.FreeOSMemory()
			now = readMemory()
		}
		last = now
	}
}

const (
	// trimInterval is how often the heap is looked at, and the least time
	// between two forced collections. One costs about 1 ms per 1000 connections.
	trimInterval = 2 * time.Second
	// trimSlack is how much held and unused memory is left alone, beside a
	// quarter of what is live.
	trimSlack = 4 << 20 // bytes
	// trimQuiet is the most that may be allocated in an interval for the node to
	// count as quiet: less than 4 MiB/s is pings and a little talk.
	trimQuiet = 8 << 20 // bytes
)

// memory is what the runtime says of the heap, in bytes.
type memory struct {
	objects   uint64 // live, and garbage not yet found
	live      uint64 // as of the last collection
	unused    uint64 // held from the system without an object in it
	allocated uint64 // since the start
}

func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	return memory{objects: samples[0].Value.Uint64(), live: samples[1].Value.Uint64(),
		unused: samples[2].Value.Uint64(), allocated: samples[3].Value.Uint64()}
}

// wasteful reports whether a collection would give back enough to be worth it.
func (m memory) wasteful() bool {
	garbage := m.objects - min(m.objects, m.live)
	return garbage+m.unused > trimSlack+m.live/4
}

func (m memory) quietSince(last memory) bool {
	return last.allocated != 0 && m.allocated-last.allocated < trimQuiet
}
