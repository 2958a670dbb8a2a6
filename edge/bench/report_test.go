package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a report with every kind of part.
func sample() *Report {
	var h histogram
	for i := range 1000 {
		h.record(time.Duration(i) * time.Millisecond)
	}
	r := &Report{
		Machine:  Machine{OS: "linux", Arch: "amd64", CPUs: 2, Go: "go1.26.0"},
		Protocol: "hawser.v1.proto",
		Payload:  128,
		Notes:    []string{"a note"},
	}
	for _, target := range []struct {
		name string
		cost float64
	}{{"hawser", 1}, {"bare gws", 8}} {
		idle := Run{Target: target.name, Scenario: "idle", Conns: 1000}
		idle.add("rss_bytes_per_connection", 1000.4*target.cost)
		idle.add("user_bytes_per_connection", -12.34*target.cost)
		r.Runs = append(r.Runs, idle)
		for _, name := range []string{"burst 1", "burst 16"} {
			fanout := Run{Target: target.name, Scenario: "fanout", Case: name, Conns: 1000}
			fanout.add("lost_count", 0)
			fanout.addLatency("delivery", &h)
			fanout.add("server_cpu_ns_per_delivery", 500.25*target.cost)
			r.Runs = append(r.Runs, fanout)
		}
	}
	// Of one target, and with figures that the others do not have.
	stalled := Run{Target: "hawser", Scenario: "fanout", Case: "burst 16, 1% stalled", Conns: 1000}
	stalled.add("lost_count", 0)
	stalled.add("stalled_count", 10)
	stalled.add("delivery_p99_stall_ratio", 1.0401)
	crowd := Run{Target: "hawser", Scenario: "crowd", Case: "12 servers", Conns: 204_000}
	crowd.add("connections_count", 204_000)
	crowd.add("answered_count", 204_000)
	crowd.addWeight(weight{known: true},
		weight{servers: usage{RSS: 204_000 * 1500, Heap: 204_000 * 900, Stack: 204_000 * 200, Runtime: 204_000 * 100, Go: true},
			kernel: memory{slab: 204_000 * 9500}, known: true}, 204_000)
	r.Runs = slices.Insert(r.Runs, 3, stalled, crowd) // after hawser's, as in a real run
	r.compare()
	return r
}

func TestReportGolden(t *testing.T) {
	for format, name := range map[string]string{"table": "report.txt", "json": "report.json"} {
		var got bytes.Buffer
		if err := sample().write(&got, format); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s\nrun with -update if that is meant", name, got.Bytes(), want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12: "12", 1.23456: "1.235", 12.3456: "12.3", 1234.56: "1235", -0.5: "-0.500"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
