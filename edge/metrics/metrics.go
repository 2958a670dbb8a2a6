package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hawser/actors"
	"hawser/edge"
	"hawser/edge/auth"
	"hawser/proto/cause"
)

// Metrics counts for one node. Its methods may be called from any goroutine.
type Metrics struct {
	opened        prometheus.Counter
	closed        map[cause.Code]prometheus.Counter // complete; read only after New
	lifetime      prometheus.Histogram
	commands      *prometheus.CounterVec
	commandErrors *prometheus.CounterVec
	publications  prometheus.Counter
	fanout        prometheus.Histogram
	deliveries    prometheus.Counter
	deliveryBytes prometheus.Counter
	dropped       *prometheus.CounterVec

	handshakes    prometheus.Counter
	handshakeTime prometheus.Histogram
	refused       map[string]prometheus.Counter // complete; read only after New
	writes        prometheus.Counter
	writtenFrames prometheus.Counter
	writtenBytes  prometheus.Counter
	blocked       prometheus.Counter
	readMessages  prometheus.Counter
	readBytes     prometheus.Counter

	verifications *prometheus.CounterVec
	canary        prometheus.Histogram
}

var (
	_ actors.Recorder = (*Metrics)(nil)
	_ edge.Recorder   = (*Metrics)(nil)
)

const namespace = "hawser"

// New registers every metric on r. Call Watch for the gauges.
func New(r prometheus.Registerer) *Metrics {
	f := factory{r}
	m := &Metrics{
		opened:        f.counter("actors", "opened_total", "Connections accepted and upgraded."),
		lifetime:      f.histogram("actors", "lifetime_seconds", "Life of closed connections, in seconds.", prometheus.ExponentialBuckets(0.1, 4, 12)),
		commands:      f.counters("actors", "commands_total", "Commands received, by kind.", "kind"),
		commandErrors: f.counters("actors", "command_errors_total", "Commands answered with an error, by code; an application's own codes count as app.", "code"),
		publications:  f.counter("actors", "publications_total", "Publications fanned out, counted once per shard with listeners."),
		fanout:        f.histogram("actors", "fanout_connections", "Connections one publication went to, per shard.", prometheus.ExponentialBuckets(1, 4, 10)),
		deliveries:    f.counter("actors", "deliveries_total", "Publications queued to connections."),
		deliveryBytes: f.counter("actors", "delivery_bytes_total", "Bytes of publications queued to connections, frame headers included."),
		dropped:       f.counters("actors", "dropped_total", "Frames not delivered, by reason.", "reason"),
		handshakes:    f.counter("edge", "handshakes_total", "WebSocket handshakes completed."),
		handshakeTime: f.histogram("edge", "handshake_seconds", "Time from accept to the 101 response, in seconds.", prometheus.ExponentialBuckets(0.0001, 4, 10)),
		writes:        f.counter("edge", "writes_total", "Write system calls."),
		writtenFrames: f.counter("edge", "written_frames_total", "Frames offered to those writes; divide by writes_total for the coalescing."),
		writtenBytes:  f.counter("edge", "written_bytes_total", "Bytes written, before TLS."),
		blocked:       f.counter("edge", "blocked_writes_total", "Writes that the socket did not take whole, since the client reads slowly."),
		readMessages:  f.counter("edge", "read_messages_total", "Data messages read."),
		readBytes:     f.counter("edge", "read_bytes_total", "Bytes of data messages read."),
		verifications: f.counters("auth", "verifications_total", "Tokens judged, by outcome.", "reason"),
		canary:        f.histogram("fabric", "canary_seconds", "Round trip of the node's canary through NATS, in seconds.", prometheus.ExponentialBuckets(0.00005, 4, 10)),
	}
	m.closed = make(map[cause.Code]prometheus.Counter, len(cause.Table))
	closed := f.counters("actors", "closed_total", "Connections closed, by cause; opened_total is this plus the connections gauge.", "cause")
	for _, row := range cause.Table {
		m.closed[row.Code] = closed.WithLabelValues(row.Name)
	}
	m.refused = make(map[string]prometheus.Counter, len(edge.Refusals))
	refused := f.counters("edge", "refused_total", "Handshakes turned down, by reason.", "reason")
	for _, refusal := range edge.Refusals {
		m.refused[refusal.Reason] = refused.WithLabelValues(refusal.Reason)
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// factory registers metrics under our names.
type factory struct{ registerer prometheus.Registerer }

func (f factory) counter(room, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: room, Name: name, Help: help})
	f.registerer.MustRegister(c)
	return c
}

func (f factory) counters(room, name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: room, Name: name, Help: help}, []string{label})
	f.registerer.MustRegister(c)
	return c
}

func (f factory) histogram(room, name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: room, Name: name, Help: help, Buckets: buckets})
	f.registerer.MustRegister(h)
	return h
}

// Opened implements actors.Recorder.
func (m *Metrics) Opened() { m.opened.Inc() }

// Closed implements actors.Recorder.
func (m *Metrics) Closed(c cause.Code, lived time.Duration) {
	m.closed[cause.Of(c).Code].Inc()
	m.lifetime.Observe(lived.Seconds())
}

// Command implements actors.Recorder.
func (m *Metrics) Command(kind string) { m.commands.WithLabelValues(kind).Inc() }

// CommandError implements actors.Recorder.
func (m *Metrics) CommandError(code uint32) {
	label := "app" // any number may come from an application's rpc
	if code < 600 {
		label = strconv.Itoa(int(code))
	}
	m.commandErrors.WithLabelValues(label).Inc()
}

// Delivered implements actors.Recorder.
func (m *Metrics) Delivered(conns, bytes int) {
	m.publications.Inc()
	m.fanout.Observe(float64(conns))
	m.deliveries.Add(float64(conns))
	m.deliveryBytes.Add(float64(bytes))
}

// Dropped implements actors.Recorder.
func (m *Metrics) Dropped(reason actors.DropReason, n int) {
	m.dropped.WithLabelValues(string(reason)).Add(float64(n))
}

// Refused implements edge.Recorder.
func (m *Metrics) Refused(r *edge.Refusal) { m.refused[r.Reason].Inc() }

// Handshake implements edge.Recorder.
func (m *Metrics) Handshake(took time.Duration) {
	m.handshakes.Inc()
	m.handshakeTime.Observe(took.Seconds())
}

// Wrote implements edge.Recorder.
func (m *Metrics) Wrote(frames, bytes int, blocked bool) {
	m.writes.Inc()
	m.writtenFrames.Add(float64(frames))
	m.writtenBytes.Add(float64(bytes))
	if blocked {
		m.blocked.Inc()
	}
}

// Read implements edge.Recorder.
func (m *Metrics) Read(bytes int) {
	m.readMessages.Inc()
	m.readBytes.Add(float64(bytes))
}

// Verified counts a judged token; it is auth's Options.Observe.
func (m *Metrics) Verified(reason auth.Reason) {
	m.verifications.WithLabelValues(reason.String()).Inc()
}

// Canary counts a canary that came back; it is fabric's Config.OnCanary.
func (m *Metrics) Canary(rtt time.Duration) { m.canary.Observe(rtt.Seconds()) }
