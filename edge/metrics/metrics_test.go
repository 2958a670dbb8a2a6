package metrics_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hawser/actors"
	"hawser/edge"
	"hawser/edge/auth"
	"hawser/edge/metrics"
	"hawser/edge/node"
	"hawser/proto/cause"
)

var rewrite = flag.Bool("rewrite", false, "write the table of METRICS.md")

// metric is one row of METRICS.md.
type metric struct{ name, kind, labels, help string }

// described is a Registerer that notes what is registered: a counter with a
// label shows nothing at a scrape before it has counted.
type described map[string]metric

var _ prometheus.Registerer = described{}

// desc reads the text of a prometheus.Desc, which has no other way out.
var desc = regexp.MustCompile(`^Desc\{fqName: "(hawser_.*?)", help: "(.*?)", (?:unit: ".*?", )?constLabels: \{\}, variableLabels: \{(.*?)\}\}$`)

// Register implements prometheus.Registerer. What is not ours is passed over.
func (d described) Register(c prometheus.Collector) error {
	kind := "counter"
	if _, ok := c.(prometheus.Histogram); ok {
		kind = "histogram"
	}
	all := make(chan *prometheus.Desc)
	go func() { // joined by the range below
		defer close(all)
		c.Describe(all)
	}()
	for one := range all {
		if m := desc.FindStringSubmatch(one.String()); m != nil {
			d[m[1]] = metric{name: m[1], kind: kind, help: m[2], labels: m[3]}
		}
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = d.Register(c) // always nil
	}
}

// Unregister implements prometheus.Registerer.
func (d described) Unregister(prometheus.Collector) bool { return false }

// scrape adds what a running node shows: the gauges of edge/node.
func (d described) scrape(t *testing.T) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(readMetrics(t)))
	var m metric
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP hawser_"); ok {
			name, help, _ := strings.Cut(rest, " ")
			m = metric{name: "hawser_" + name, help: help}
		} else if rest, ok := strings.CutPrefix(line, "# TYPE hawser_"); ok {
			_, m.kind, _ = strings.Cut(rest, " ")
		} else if _, known := d[m.name]; !known && strings.HasPrefix(line, "hawser_") {
			m.labels = labelsOf(line)
			d[m.name] = m
		}
	}
}

var labelName = regexp.MustCompile(`(\w+)="`)

// labelsOf are the names of the labels of a sample.
func labelsOf(sample string) string {
	var all []string
	for _, m := range labelName.FindAllStringSubmatch(sample, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, ",")
}

// readMetrics starts a node, reads its /metrics and stops it.
func readMetrics(t *testing.T) string {
	t.Helper()
	cfg := node.DevConfig()
	cfg.Edge.Listen, cfg.Admin.Listen, cfg.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Node.DataDir = t.TempDir()
	n, err := node.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-n.Started():
	case err := <-done:
		done <- err
		return ""
	}
	return get(t, "http://"+n.Addrs().Admin+"/metrics")
}

func get(t *testing.T, url string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s, %v", url, response.Status, err)
	}
	return string(body)
}

// TestDocument keeps METRICS.md complete, and each row in the house's form.
func TestDocument(t *testing.T) {
	before := runtime.NumGoroutine()
	all := described{}
	metrics.New(all)
	all.scrape(t)
	for _, m := range all {
		checkForm(t, m)
	}
	compare(t, "METRICS.md", all)
	awaitGoroutines(t, before)
}

// checkForm is STYLE's: hawser_<room>_<noun>_<unit>[_total], base units, and
// no label that grows with the number of clients.
func checkForm(t *testing.T, m metric) {
	t.Helper()
	if (m.kind == "counter") != strings.HasSuffix(m.name, "_total") {
		t.Errorf("%s is a %s: want _total at counters and only there", m.name, m.kind)
	}
	if !regexp.MustCompile(`^hawser_(actors|edge|auth|fabric|node)_[a-z_]+$`).MatchString(m.name) {
		t.Errorf("%s: want hawser_<room>_<noun>_<unit>", m.name)
	}
	if regexp.MustCompile(`_(ms|millis|milliseconds|minutes|kb|kib|mb)(_|$)`).MatchString(m.name) {
		t.Errorf("%s: want base units", m.name)
	}
	if !strings.HasSuffix(m.help, ".") {
		t.Errorf("%s: help %q: want a sentence", m.name, m.help)
	}
	for _, label := range strings.FieldsFunc(m.labels, func(r rune) bool { return r == ',' }) {
		if !slices.Contains([]string{"reason", "cause", "code", "kind", "node", "version", "engine"}, label) {
			t.Errorf("%s has label %s: want only labels of bounded values", m.name, label)
		}
	}
}

func compare(t *testing.T, file string, all described) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)(<!-- metrics: [^\n]*-->\n).*?(<!-- end -->)`)
	if !block.Match(text) {
		t.Fatalf("%s has no table", file)
	}
	want := block.ReplaceAllString(string(text), "${1}\n"+strings.ReplaceAll(table(all), "$", "$$")+"\n${2}")
	switch {
	case string(text) == want:
	case *rewrite:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the code says: run go test ./edge/metrics -rewrite", file)
	}
}

func table(all described) string {
	var b strings.Builder
	b.WriteString("| metric | kind | labels | what |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.ReplaceAll(m.labels, ",", ", "), m.help)
	}
	return b.String()
}

// awaitGoroutines fails when more goroutines are left than there were.
func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		<-ticker.C
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// TestCounts calls each recorder once and reads the numbers back.
func TestCounts(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	m.Opened()
	m.Closed(cause.Kicked, time.Second)
	m.Closed(cause.Code(4999), time.Second) // a client's own code
	m.Command("subscribe")
	m.CommandError(404)
	m.CommandError(1234) // an application's
	m.Delivered(3, 300)
	m.Dropped(actors.DropSlow, 2)
	m.Refused(edge.RefuseOrigin)
	m.Handshake(time.Millisecond)
	m.Wrote(16, 1600, true)
	m.Read(7)
	m.Verified(auth.ReasonExpired)
	m.Canary(time.Millisecond)
	got := gather(t, registry)
	for sample, want := range map[string]float64{
		"hawser_actors_opened_total":                1,
		"hawser_actors_closed_total kicked":         1,
		"hawser_actors_closed_total client_closed":  1,
		"hawser_actors_closed_total replaced":       0, // there from the start: a rate needs a first value
		"hawser_actors_lifetime_seconds":            2,
		"hawser_actors_commands_total subscribe":    1,
		"hawser_actors_command_errors_total 404":    1,
		"hawser_actors_command_errors_total app":    1,
		"hawser_actors_publications_total":          1,
		"hawser_actors_fanout_connections":          1,
		"hawser_actors_deliveries_total":            3,
		"hawser_actors_delivery_bytes_total":        300,
		"hawser_actors_dropped_total slow_consumer": 2,
		"hawser_edge_refused_total origin":          1,
		"hawser_edge_refused_total full":            0,
		"hawser_edge_handshakes_total":              1,
		"hawser_edge_handshake_seconds":             1,
		"hawser_edge_writes_total":                  1,
		"hawser_edge_written_frames_total":          16,
		"hawser_edge_written_bytes_total":           1600,
		"hawser_edge_blocked_writes_total":          1,
		"hawser_edge_read_messages_total":           1,
		"hawser_edge_read_bytes_total":              7,
		"hawser_auth_verifications_total expired":   1,
		"hawser_fabric_canary_seconds":              1,
	} {
		if value, found := got[sample]; !found || value != want {
			t.Errorf("%s: got %v (there: %v), want %v", sample, value, found, want)
		}
	}
}

// gather reads every sample by its name and the values of its labels; a
// histogram is its number of observations.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, label := range m.Label {
				name += " " + label.GetValue()
			}
			if m.Histogram != nil {
				samples[name] = float64(m.Histogram.GetSampleCount())
			} else {
				samples[name] = m.Counter.GetValue()
			}
		}
	}
	return samples
}
