package node

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hawser/actors"
	"hawser/cluster/fabric"
	"hawser/edge"
	"hawser/edge/auth"
	"hawser/edge/demo"
	"hawser/edge/metrics"
)

// The interfaces between the rooms, where both sides are in sight.
var (
	_ actors.Broker   = (*fabric.Fabric)(nil)
	_ fabric.Receiver = (*receiver)(nil)
)

var errDraining = errors.New("node: draining")

// Addrs are the addresses a node really listens on, ports of 0 resolved.
type Addrs struct {
	Edge  string // host:port for clients
	Admin string // host:port for health and metrics
	NATS  string // URL for applications
}

// Node is one process of hawser, wired. Create it with New, run it with Run,
// once.
type Node struct {
	// Immutable after New.
	log     *slog.Logger
	version string
	started chan struct{}           // closed by Run when the node serves
	killed  context.Context         // ends with Kill
	kill    context.CancelCauseFunc // of killed

	// Set by Run before started is closed.
	addrs    Addrs
	fabric   *fabric.Fabric
	system   *actors.System
	edge     *edge.Server
	verifier *auth.Verifier
	draining atomic.Bool

	mu     sync.Mutex
	config Config // guarded by mu; its live keys change with Reload
}

// New checks cfg. Nothing is opened yet.
func New(cfg Config, log *slog.Logger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: cfg.Resolve(), log: log, version: Version(), started: make(chan struct{})}
	// A Node is a lifetime: Kill ends it from outside of Run.
	n.killed, n.kill = context.WithCancelCause(context.Background())
	return n, nil
}

// Started is closed when the node serves clients.
func (n *Node) Started() <-chan struct{} { return n.started }

// Addrs may be called once Started is closed.
func (n *Node) Addrs() Addrs { return n.addrs }

// Kill cuts a drain short: Run closes what is left at once.
func (n *Node) Kill() { n.kill(errors.New("told to stop at once")) }

// Ready reports why the node does not deliver, or nil. It is what /readyz
// says.
func (n *Node) Ready() error {
	select {
	case <-n.started:
	default:
		return errors.New("node: starting")
	}
	if n.draining.Load() {
		return errDraining
	}
	return n.fabric.Ready()
}

func (n *Node) current() Config {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config
}

// Run serves until ctx ends, then drains and returns nil. It returns an error
// when it could not start, or when something it needs broke. What was opened
// is closed again in the reverse order, by the defers.
func (n *Node) Run(ctx context.Context) (err error) {
	cfg := n.current()
	defer n.kill(nil)

	edgeListener, err := listen(edge.ListenConfig(cfg.Edge.PingInterval+cfg.Edge.PongTimeout), "edge.listen", cfg.Edge.Listen)
	if err != nil {
		return err
	}
	defer edgeListener.Close()
	adminListener, err := listen(new(net.ListenConfig), "admin.listen", cfg.Admin.Listen)
	if err != nil {
		return err
	}
	defer adminListener.Close()

	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	if err := n.openAuth(ctx, cfg, m); err != nil {
		return err
	}
	defer n.verifier.Close()
	inbox := new(receiver)
	if n.fabric, err = fabric.Open(ctx, cfg.fabric(n.log, m), inbox); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	if err := n.openSystem(cfg, m); err != nil {
		n.closing("fabric", n.fabric.Close)
		return err
	}
	defer n.closing("actors", n.system.Close)
	defer n.closing("fabric", n.fabric.Close) // first: it must not deliver to stopped shards
	inbox.system.Store(n.system)
	if err := n.openEdge(cfg, m); err != nil {
		return err
	}
	watch(registry, sources{actors: n.system.Stats, fabric: n.fabric.Stats, sockets: n.edge.Sockets, ready: n.Ready,
		node: cfg.Node.ID, version: n.version, engine: n.edge.Engine()})
	n.addrs = Addrs{Edge: edgeListener.Addr().String(), Admin: adminListener.Addr().String(), NATS: n.fabric.URL()}

	admin := n.adminServer(cfg, registry)
	var loops sync.WaitGroup
	defer loops.Wait()
	failed := make(chan error, 2) // room for both servers
	ticking, stopTicking := context.WithCancel(context.Background())
	defer stopTicking()
	loops.Go(func() { n.tickLoop(ticking, cfg.actors().TickInterval()) })
	loops.Go(func() { trimLoop(ticking) })
	loops.Go(func() { failed <- n.edge.Serve(edgeListener) })
	loops.Go(func() { failed <- admin.Serve(adminListener) })
	defer admin.Close()
	defer n.closing("edge", n.edge.Close)

	close(n.started)
	n.log.Info("serving", "node", cfg.Node.ID, "version", n.version, "edge", n.addrs.Edge, "admin", n.addrs.Admin, "nats", n.addrs.NATS)
	select {
	case err = <-failed:
		return fmt.Errorf("node: a listener broke: %w", err)
	case <-ctx.Done():
	}
	n.drain()
	return nil
}

// closing closes a part with a time limit and logs what is left over: by then
// there is nobody to return an error to.
func (n *Node) closing(part string, close func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := close(ctx); err != nil {
		n.log.Error("close took too long", "part", part, "err", err)
	}
}

// closeTimeout bounds the close of each part after the drain.
const closeTimeout = 5 * time.Second

func (n *Node) openAuth(ctx context.Context, cfg Config, m *metrics.Metrics) error {
	c, err := cfg.Auth.Verifier()
	if err != nil {
		return err
	}
	n.verifier, err = auth.New(c, auth.Options{Log: n.log, Observe: m.Verified})
	if err != nil {
		return err
	}
	n.verifier.Open(ctx)
	return nil
}

func (n *Node) openSystem(cfg Config, m *metrics.Metrics) error {
	resumer, err := auth.NewResumer(auth.ResumeConfig{Secret: cfg.Auth.ResumeSecret.Reveal()}, nil)
	if err != nil {
		return err
	}
	n.system, err = actors.NewSystem(cfg.actors(), actors.Deps{
		Broker: n.fabric, Authenticator: n.verifier, Resumer: resumeTokens{resumer, cfg.Auth.ResumeWindow},
		Encoder: cfg.encoder(), Recorder: m, Clock: wallClock{}, Random: crand.Reader,
		Jitter: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Logger: n.log,
	})
	return err
}

func (n *Node) openEdge(cfg Config, m *metrics.Metrics) (err error) {
	c := cfg.edge()
	if cfg.Edge.Demo {
		c.Fallback = demo.Handler()
	}
	if cfg.Edge.TLSCertFile != "" {
		if c.TLS, err = newTLS(cfg.Edge.TLSCertFile, cfg.Edge.TLSKeyFile); err != nil {
			return err
		}
	}
	n.edge, err = edge.NewServer(c, edge.Deps{Sessions: edge.Actors(n.system), Recorder: m, Ready: n.Ready, Logger: n.log})
	return err
}

func (n *Node) tickLoop(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.system.Tick()
		}
	}
}

// Reload takes over the live keys of next. Keys that need a restart stay as
// they are and are named in the log.
func (n *Node) Reload(next Config) error {
	if err := next.Validate(); err != nil {
		return err
	}
	<-n.started
	n.mu.Lock()
	defer n.mu.Unlock()
	live, restart := n.config.Changed(next.Resolve())
	c := n.config.WithLive(next)
	verifier, err := c.Auth.Verifier()
	if err != nil {
		return err
	}
	if err := errors.Join(n.verifier.Reload(verifier), n.system.SetRules(c.rules()), n.edge.SetLimits(c.limits())); err != nil {
		return err
	}
	n.config = c
	n.log.Info("configuration reloaded", "changed", live, "needs_restart", restart)
	return nil
}

// receiver passes what NATS brings to the actors, which are opened later than
// the fabric: until then nobody is connected who could want it.
type receiver struct{ system atomic.Pointer[actors.System] }

// Deliver implements fabric.Receiver.
func (r *receiver) Deliver(tenant, channel string, seq uint64, data []byte) {
	if s := r.system.Load(); s != nil {
		s.Deliver(tenant, channel, seq, data)
	}
}

// DeliverUser implements fabric.Receiver.
func (r *receiver) DeliverUser(tenant, user string, data []byte) (sessions int) {
	if s := r.system.Load(); s != nil {
		return s.DeliverUser(tenant, user, data)
	}
	return 0
}

// DeliverSession implements fabric.Receiver.
func (r *receiver) DeliverSession(tenant, session string, data []byte) bool {
	s := r.system.Load()
	return s != nil && s.DeliverSession(tenant, session, data)
}

type wallClock struct{}

// Now implements actors.Clock.
func (wallClock) Now() time.Time { return time.Now() }

// resumeTokens gives resume tokens the configured window.
type resumeTokens struct {
	resumer *auth.Resumer
	window  time.Duration
}

// Issue implements actors.Resumer.
func (r resumeTokens) Issue(s actors.ResumeState) string {
	if r.window == 0 {
		return "" // resume is off
	}
	return r.resumer.Issue(auth.ResumeClaims{Session: s.Session, Tenant: s.Tenant, User: s.User,
		Generation: s.Generation, Expires: time.Now().Add(r.window)})
}

// Open implements actors.Resumer.
func (r resumeTokens) Open(token string) (actors.ResumeState, error) {
	c, err := r.resumer.Open(token)
	s := actors.ResumeState{Session: c.Session, Tenant: c.Tenant, User: c.User, Generation: c.Generation}
	var failed *auth.Error
	if errors.As(err, &failed) && failed.Reason == auth.ReasonExpired {
		s.Stale = true
		return s, nil
	}
	if r.window == 0 && err == nil {
		return s, errors.New("node: resume is off")
	}
	return s, err
}

// WebSocket is the URL that clients of a tenant connect to.
func (a Addrs) WebSocket(tenant string) string { return "ws://" + a.Edge + "/ws/" + tenant }
