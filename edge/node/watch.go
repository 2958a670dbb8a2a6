package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"hawser/actors"
	"hawser/cluster/fabric"
)

// sources are what the gauges are read from, at each scrape.
type sources struct {
	actors                func() actors.Stats
	fabric                func() fabric.Stats
	sockets               func() int
	ready                 func() error
	node, version, engine string // labels of hawser_node_info
}

// watch registers the gauges and counters that others keep. They live here and
// not in edge/metrics, since only the wiring may know both actors and fabric.
func watch(r prometheus.Registerer, s sources) {
	w := &watcher{sources: s}
	w.info = prometheus.NewDesc("hawser_node_info", "Always 1; the labels say what this node is.", []string{"node", "version", "engine"}, nil)
	w.gauge("node", "ready", "1 while /readyz is green.", func(*scrape) float64 {
		if s.ready() != nil {
			return 0
		}
		return 1
	})
	w.gauge("edge", "sockets", "Client sockets, handshakes included.", func(*scrape) float64 { return float64(s.sockets()) })
	w.actors()
	w.fabric()
	r.MustRegister(w)
}

// scrape is one reading of all sources, so that its numbers belong together.
type scrape struct {
	actors actors.Stats
	fabric fabric.Stats
}

type watched struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*scrape) float64
}

// watcher is a prometheus.Collector over sources.
type watcher struct {
	sources sources
	info    *prometheus.Desc
	all     []watched
}

func (w *watcher) add(kind prometheus.ValueType, room, name, help string, value func(*scrape) float64) {
	w.all = append(w.all, watched{prometheus.NewDesc(prometheus.BuildFQName("hawser", room, name), help, nil, nil), kind, value})
}

func (w *watcher) gauge(room, name, help string, value func(*scrape) float64) {
	w.add(prometheus.GaugeValue, room, name, help, value)
}

func (w *watcher) counter(name, help string, value func(fabric.Stats) uint64) {
	w.add(prometheus.CounterValue, "fabric", name, help, func(s *scrape) float64 { return float64(value(s.fabric)) })
}

func (w *watcher) level(name, help string, value func(fabric.Stats) int) {
	w.gauge("fabric", name, help, func(s *scrape) float64 { return float64(value(s.fabric)) })
}

func (w *watcher) actors() {
	size := func(name, help string, value func(actors.Stats) int) {
		w.gauge("actors", name, help, func(s *scrape) float64 { return float64(value(s.actors)) })
	}
	size("connections", "Connections that are up.", func(s actors.Stats) int { return s.Conns })
	size("alive", "Actors of connections that have not stopped.", func(s actors.Stats) int { return s.Actors })
	size("sessions", "Sessions with a connection.", func(s actors.Stats) int { return s.Sessions })
	size("users", "Users with a session.", func(s actors.Stats) int { return s.Users })
	size("channels", "Channels with a local subscriber.", func(s actors.Stats) int { return s.Channels })
	size("backlog_messages", "Publications waiting for shards.", func(s actors.Stats) int { return s.Backlog })
	size("stuck_bytes", "Bytes waiting behind full sockets, for clients that read slowly.", func(s actors.Stats) int { return s.StuckBytes })
}

func (w *watcher) fabric() {
	w.counter("messages_in_total", "Messages received from NATS.", func(s fabric.Stats) uint64 { return s.MessagesIn })
	w.counter("bytes_in_total", "Payload bytes received from NATS.", func(s fabric.Stats) uint64 { return s.BytesIn })
	w.counter("dropped_total", "Messages lost because this node read NATS too slowly.", func(s fabric.Stats) uint64 { return s.Dropped })
	w.counter("foreign_total", "Messages ignored because their subject is not one of ours.", func(s fabric.Stats) uint64 { return s.ForeignMessages })
	w.counter("published_total", "Messages given to NATS.", func(s fabric.Stats) uint64 { return s.Published })
	w.counter("publishes_refused_total", "Publishes answered with an error.", func(s fabric.Stats) uint64 { return s.PublishesRefused })
	w.counter("publishes_lost_total", "Publishes lost as the connection to NATS broke.", func(s fabric.Stats) uint64 { return s.PublishesLost })
	w.counter("request_timeouts_total", "Requests that no service answered in time.", func(s fabric.Stats) uint64 { return s.RequestTimeouts })
	w.counter("requests_refused_total", "Requests refused because too many were in flight.", func(s fabric.Stats) uint64 { return s.RequestsRefused })
	w.counter("late_replies_total", "Answers that came after their request had timed out.", func(s fabric.Stats) uint64 { return s.LateReplies })
	w.counter("gone_answers_total", "Direct messages answered gone by this node.", func(s fabric.Stats) uint64 { return s.GoneAnswers })
	w.counter("verdicts_dropped_total", "Direct messages left without a gone answer, for lack of room.", func(s fabric.Stats) uint64 { return s.VerdictsDropped })
	w.counter("reconnects_total", "Reconnects of the node's connections to NATS.", func(s fabric.Stats) uint64 { return s.Reconnects })
	w.counter("interests_refused_total", "Channels refused over the limit of interests.", func(s fabric.Stats) uint64 { return s.InterestsRefused })
	w.level("pending_publishes", "Messages waiting for the control connection.", func(s fabric.Stats) int { return s.PendingPublishes })
	w.level("requests_in_flight", "Requests waiting for an answer.", func(s fabric.Stats) int { return s.RequestsInFlight })
	w.level("connections", "Connections to NATS.", func(s fabric.Stats) int { return s.Links })
	w.level("connections_up", "Connections to NATS that are up.", func(s fabric.Stats) int { return s.LinksUp })
	w.level("interests", "Channels subscribed to on NATS, lingering ones included.", func(s fabric.Stats) int { return s.Interests })
	w.level("lingering", "Channels subscribed to without a local subscriber.", func(s fabric.Stats) int { return s.Lingering })
	w.level("pending_messages", "Messages waiting in the fullest queue from NATS.", func(s fabric.Stats) int { return s.PendingMessages })
}

// Describe implements prometheus.Collector.
func (w *watcher) Describe(ch chan<- *prometheus.Desc) {
	ch <- w.info
	for _, m := range w.all {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (w *watcher) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(w.info, prometheus.GaugeValue, 1, w.sources.node, w.sources.version, w.sources.engine)
	now := &scrape{actors: w.sources.actors(), fabric: w.sources.fabric()}
	for _, m := range w.all {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(now))
	}
}
