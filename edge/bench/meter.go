package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what the server's process has used up to now, or holds.
type usage struct {
	CPU     time.Duration // user and system, since its start
	RSS     int64         // resident bytes, of both Go and C
	Heap    int64         // bytes of live and not yet swept objects
	Stack   int64         // bytes of goroutine stacks
	Runtime int64         // bytes the Go runtime keeps beside them
	Go      bool          // Heap, Stack and Runtime are known
}

// user is what the Go runtime holds, beside code and caches of the kernel.
func (u usage) user() int64 { return u.Heap + u.Stack + u.Runtime }

// add adds all of other; the sum has Go figures when other has.
func (u *usage) add(other usage) {
	u.CPU += other.CPU
	u.RSS += other.RSS
	u.Heap += other.Heap
	u.Stack += other.Stack
	u.Runtime += other.Runtime
	u.Go = other.Go
}

// meter reads the usage of a server.
type meter interface {
	read(ctx context.Context) (usage, error)
	// collect has the server collect its garbage, where it offers that.
	collect(ctx context.Context)
}

// newMeter chooses how to read: a process id needs this host; the admin
// endpoint works across hosts, and knows the Go heap.
func newMeter(admin string, pid int) meter {
	switch {
	case pid > 0:
		return procMeter{pid}
	case admin != "":
		return metricsMeter{strings.TrimSuffix(admin, "/")}
	}
	return noMeter{}
}

var errNoMeter = errors.New("bench: no server figures: give --admin or --pid")

// noMeter knows nothing.
type noMeter struct{}

func (noMeter) read(context.Context) (usage, error) { return usage{}, errNoMeter }
func (noMeter) collect(context.Context)             {}

// metricsMeter reads Prometheus metrics.
type metricsMeter struct{ admin string }

func (m metricsMeter) read(ctx context.Context) (usage, error) {
	response, err := get(ctx, m.admin+"/metrics")
	if err != nil {
		return usage{}, err
	}
	defer response.Body.Close()
	return parseMetrics(response.Body)
}

// collect uses the heap profile, which hawser offers with admin.pprof. A
// server without it is measured with its garbage.
func (m metricsMeter) collect(ctx context.Context) {
	for range 2 { // the second frees what finalizers and pools held
		response, err := get(ctx, m.admin+"/debug/pprof/heap?gc=1")
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// get fails for every status but 200.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	request.Close = true // a kept connection would be one of the server's
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("bench: %s answered %s", url, response.Status)
	}
	return response, nil
}

// parseMetrics finds what usage needs in the Prometheus text format.
func parseMetrics(r io.Reader) (usage, error) {
	var u usage
	seconds := -1.0
	fields := map[string]func(float64){
		"process_cpu_seconds_total":     func(v float64) { seconds = v },
		"process_resident_memory_bytes": func(v float64) { u.RSS = int64(v) },
		"go_memstats_heap_alloc_bytes":  func(v float64) { u.Heap, u.Go = int64(v), true },
		"go_memstats_stack_inuse_bytes": func(v float64) { u.Stack = int64(v) },
	}
	for _, name := range []string{"mspan_inuse", "mcache_inuse", "buck_hash_sys", "gc_sys", "other_sys"} {
		fields["go_memstats_"+name+"_bytes"] = func(v float64) { u.Runtime += int64(v) }
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		set := fields[name]
		if set == nil {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return usage{}, fmt.Errorf("bench: metric %s: %w", name, err)
		}
		set(v)
	}
	if err := lines.Err(); err != nil {
		return usage{}, fmt.Errorf("bench: metrics: %w", err)
	}
	if seconds < 0 {
		return usage{}, errors.New("bench: the metrics have no process_cpu_seconds_total: on this system give --pid")
	}
	u.CPU = time.Duration(seconds * float64(time.Second))
	return u, nil
}

// procMeter reads /proc of a process on this host, proc(5).
type procMeter struct{ pid int }

func (m procMeter) read(context.Context) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(m.pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("bench: server process: %w", err)
	}
	return parseStat(string(stat))
}

func (procMeter) collect(context.Context) {}

// parseStat reads utime, stime and rss. The name, in parentheses, may hold
// anything.
func parseStat(stat string) (usage, error) {
	const (
		hertz  = 100 // USER_HZ of every Linux that Go runs on
		utime  = 14 - 3
		stime  = 15 - 3
		rss    = 24 - 3
		fields = rss + 1
	)
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < fields {
		return usage{}, fmt.Errorf("bench: /proc stat has %d fields", len(f))
	}
	var n [fields]int64
	for _, i := range []int{utime, stime, rss} {
		var err error
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return usage{}, fmt.Errorf("bench: /proc stat: %w", err)
		}
	}
	return usage{
		CPU: time.Duration(n[utime]+n[stime]) * time.Second / hertz,
		RSS: n[rss] * int64(os.Getpagesize()),
	}, nil
}

// memory is what /proc/meminfo says of this machine, in bytes, proc_meminfo(5).
type memory struct {
	available int64 // for new processes, without swapping
	slab      int64 // the kernel's own structures: sockets, epoll items
}

// readMemory reads it; ok is false on systems without.
func readMemory() (m memory, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return memory{}, false
	}
	return parseMeminfo(string(text))
}

func parseMeminfo(text string) (m memory, ok bool) {
	fields := map[string]*int64{"MemAvailable": &m.available, "Slab": &m.slab}
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		field := fields[name]
		if field == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, false
		}
		*field = kib << 10
		found++
	}
	return m, found == len(fields)
}
