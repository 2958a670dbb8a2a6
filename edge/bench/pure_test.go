package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBucketsTile(t *testing.T) {
	for i := range buckets {
		end := bucketEnd(i)
		if got := bucketOf(end); got != i {
			t.Fatalf("bucketOf(%d) = %d, want %d, whose end it is", end, got, i)
		}
		if end == math.MaxUint64 {
			return // the last one
		}
		if got := bucketOf(end + 1); got != i+1 {
			t.Fatalf("bucketOf(%d) = %d, want %d", end+1, got, i+1)
		}
	}
}

func TestHistogramAgainstSorting(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var a, b histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		all = append(all, d)
		if random.IntN(2) == 0 {
			a.record(d)
		} else {
			b.record(d)
		}
	}
	a.merge(&b)
	slices.Sort(all)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		if got := a.quantile(q); got < want || float64(got) > float64(want)*(1+1.0/(1<<subBits))+1 {
			t.Errorf("seed %d: quantile(%v) = %v, want %v and at most 1.6 %% more", seed, q, got, want)
		}
	}
	if a.total != uint64(len(all)) || a.most != all[len(all)-1] {
		t.Errorf("total %d, most %v", a.total, a.most)
	}
}

func TestHistogramEdges(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("empty: got %v", got)
	}
	h.record(-time.Second)
	if got := h.quantile(1); got != 0 || h.total != 1 {
		t.Errorf("negative: got %v of %d", got, h.total)
	}
	h.record(math.MaxInt64)
	if got := h.quantile(1); got != math.MaxInt64 {
		t.Errorf("largest: got %v", got)
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name                        string
		came                        []uint32
		sent                        uint32
		lost, reordered, duplicated int
	}{
		{"all", []uint32{0, 1, 2, 3}, 4, 0, 0, 0},
		{"none", nil, 4, 4, 0, 0},
		{"tail missing", []uint32{0, 1}, 4, 2, 0, 0},
		{"gap", []uint32{0, 3}, 4, 2, 0, 0},
		{"late", []uint32{0, 2, 1, 3}, 4, 0, 1, 0},
		{"twice", []uint32{0, 0, 1, 1, 1}, 2, 0, 0, 3},
		{"late and twice", []uint32{2, 0, 1, 0}, 3, 0, 2, 1},
		{"gap and late", []uint32{5, 3}, 6, 4, 1, 0},
	} {
		var o order
		var reorderedCount, duplicatedCount int
		for _, n := range c.came {
			switch o.see(n) {
			case reordered:
				reorderedCount++
			case duplicated:
				duplicatedCount++
			}
		}
		if got := o.lost(c.sent); got != c.lost || reorderedCount != c.reordered || duplicatedCount != c.duplicated {
			t.Errorf("%s: got %d lost, %d reordered, %d duplicated, want %d, %d, %d",
				c.name, got, reorderedCount, duplicatedCount, c.lost, c.reordered, c.duplicated)
		}
	}
}

func TestStamp(t *testing.T) {
	for _, size := range []int{0, MinPayloadBytes, MinPayloadBytes + 1, 128} {
		b := newPayload(size)
		if len(b) != max(size, MinPayloadBytes) {
			t.Errorf("size %d: got %d bytes", size, len(b))
		}
		putStamp(b, math.MaxUint32, math.MaxInt64)
		if n, at, ok := readStamp(b); n != math.MaxUint32 || at != math.MaxInt64 || !ok {
			t.Errorf("size %d: got %d, %v, %v", size, n, at, ok)
		}
	}
	for _, foreign := range []string{"", `"hello"`, strings.Repeat("x", 200)} {
		if _, _, ok := readStamp([]byte(foreign)); ok {
			t.Errorf("%q was read as a stamp", foreign)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	const text = `# HELP process_cpu_seconds_total CPU
process_cpu_seconds_total 1.25
process_resident_memory_bytes 1.048576e+06
go_memstats_heap_alloc_bytes 1000
go_memstats_stack_inuse_bytes 200
go_memstats_mspan_inuse_bytes 1
go_memstats_mcache_inuse_bytes 2
go_memstats_buck_hash_sys_bytes 4
go_memstats_gc_sys_bytes 8
go_memstats_other_sys_bytes 16
hawser_conns{shard="0"} 7
`
	got, err := parseMetrics(strings.NewReader(text))
	want := usage{CPU: 1250 * time.Millisecond, RSS: 1 << 20, Heap: 1000, Stack: 200, Runtime: 31, Go: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "process_cpu_seconds_total x\n", "go_memstats_heap_alloc_bytes 1\n"} {
		if _, err := parseMetrics(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseStat(t *testing.T) {
	const stat = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 100 1000000 3 18446744073709551615 1 1"
	got, err := parseStat(stat)
	if err != nil || got.CPU != 2*time.Second || got.RSS == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "12 (x) S", strings.Replace(stat, "150", "x", 1)} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func goodOptions() options {
	return options{conns: 1, duration: time.Second, bursts: []int{1}, payload: 128, window: 1,
		protocol: "proto", engine: "auto", format: "table", tolerance: time.Second}
}

func TestValidate(t *testing.T) {
	if err := goodOptions().validate(); err != nil {
		t.Errorf("good: %v", err)
	}
	for flag, edit := range map[string]func(*options){
		"conns":        func(o *options) { o.conns = 0 },
		"payload":      func(o *options) { o.payload = 3 },
		"rate":         func(o *options) { o.rate = -1 },
		"window":       func(o *options) { o.window = 0 },
		"duration":     func(o *options) { o.duration = time.Hour },
		"loss-timeout": func(o *options) { o.tolerance = 0 },
		"bursts":       func(o *options) { o.bursts = []int{0} },
		"protocol":     func(o *options) { o.protocol = "xml" },
		"engine":       func(o *options) { o.engine = "uring" },
		"output":       func(o *options) { o.format = "yaml" },
		"compare":      func(o *options) { o.other = "nginx" },
		"stall":        func(o *options) { o.stall = "1" },
	} {
		o := goodOptions()
		edit(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("%s: got %v, want an error that names the flag", flag, err)
		}
	}
	o := goodOptions()
	o.bursts = nil
	if err := o.validate(); err == nil {
		t.Error("no bursts: no error")
	}
	o = goodOptions()
	o.conns = maxConns
	if err := o.validate(); err == nil || !strings.Contains(err.Error(), "files") {
		t.Errorf("more connections than files: got %v", err)
	}
}

func TestStallShare(t *testing.T) {
	for _, c := range []struct {
		stall       string
		conns, want int
	}{{"1%", 1000, 10}, {"1%", 1001, 11}, {"0.5%", 1000, 5}, {"1%", 2, 1}, {"50%", 3, 2}} {
		o := goodOptions()
		o.stall, o.conns = c.stall, c.conns
		if err := o.validateStall(); err != nil && pollOffered {
			t.Errorf("%s of %d: %v", c.stall, c.conns, err)
		} else if got := o.stallers(); got != c.want {
			t.Errorf("%s of %d: got %d, want %d", c.stall, c.conns, got, c.want)
		}
	}
	for _, bad := range []string{"%", "0%", "-1%", "51%", "NaN%", "1", "one%"} {
		o := goodOptions()
		o.stall = bad
		if _, err := o.stallShare(); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	o := goodOptions()
	o.stall, o.conns, o.engine = "1%", 10, "goroutine"
	if err := o.validateStall(); err == nil {
		t.Error("goroutine engine: no error")
	}
	o.conns, o.engine = 1, "auto"
	if err := o.validateStall(); err == nil {
		t.Error("nobody reads: no error")
	}
}

func TestParseMeminfo(t *testing.T) {
	const text = "MemTotal:       24689804 kB\nMemAvailable:   22097128 kB\nSlab:             382640 kB\nHugePages_Total:       0\n"
	got, ok := parseMeminfo(text)
	if want := (memory{available: 22097128 << 10, slab: 382640 << 10}); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for _, bad := range []string{"", "Slab: 1 kB\n", strings.Replace(text, "382640", "many", 1)} {
		if _, ok := parseMeminfo(bad); ok {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, good := range []string{"ws://127.0.0.1:1/ws/demo", "ws://[::1]/ws/demo"} {
		if _, _, err := resolve(t.Context(), good, false); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"wss://127.0.0.1/ws/demo":  "balancer",
		"http://127.0.0.1/ws/demo": "want ws://",
		"ws:///ws/demo":            "want ws://",
		"ws://127.0.0.1/chat":      "/ws/<tenant>",
		"ws://127.0.0.1/ws/a.b":    "tenant",
		"ws://127.0.0.1/ws/health": "reserved",
		"ws://192.0.2.1/ws/demo":   "--i-own-this-target",
		"ws://127.0.0.1:x/ws/demo": "port",
	} {
		if _, _, err := resolve(t.Context(), bad, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", bad, err, want)
		}
	}
	if _, addr, err := resolve(t.Context(), "ws://192.0.2.1/ws/demo", true); err != nil || addr.Port() != 80 {
		t.Errorf("owned: got %v, %v", addr, err)
	}
}
