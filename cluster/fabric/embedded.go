package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"hawser/proto/names"
)

// embeddedStart is how long the listeners of the embedded server may take. A
// start takes 30 ms when nothing is wrong; routes wait for their listener.
const embeddedStart = 10 * time.Second

// embedded is the NATS server inside the process. A nil *embedded is an
// external one: it is always ready, and never alone.
type embedded struct {
	server    *server.Server
	store     *store // nil without JetStream
	clustered bool
}

// startEmbedded starts the server and waits until it listens and, when it is
// asked for, JetStream is up.
func startEmbedded(ctx context.Context, cfg Config, log *slog.Logger) (*embedded, error) {
	e := &embedded{clustered: cfg.Embedded.Cluster.Name != ""}
	if cfg.Embedded.JetStream {
		var err error
		if e.store, err = openStore(cfg.Embedded); err != nil {
			return nil, err
		}
	}
	if err := e.start(ctx, cfg, log); err != nil {
		e.shutdown()
		return nil, err
	}
	return e, nil
}

func (e *embedded) start(ctx context.Context, cfg Config, log *slog.Logger) error {
	options, err := serverOptions(cfg, e.store)
	if err != nil {
		return err
	}
	if e.server, err = server.NewServer(options); err != nil {
		return fmt.Errorf("fabric: embedded NATS: %w", err)
	}
	lines := &serverLog{log: log}
	e.server.SetLoggerV2(lines, false, false, false)
	e.server.Start() // returns once the client listener is there, or failed
	if err := startError(cfg.Embedded, lines.firstFatal()); err != nil {
		return err
	}
	wait := embeddedStart
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if !e.server.ReadyForConnections(wait) {
		if err := startError(cfg.Embedded, lines.firstFatal()); err != nil {
			return err
		}
		return fmt.Errorf("fabric: embedded NATS did not listen within %v", wait)
	}
	if cfg.Embedded.JetStream && !e.server.JetStreamEnabled() {
		return errors.New("fabric: embedded NATS started without JetStream; its log line says why")
	}
	return nil
}

// serverOptions translates cfg for nats-server.
func serverOptions(cfg Config, st *store) (*server.Options, error) {
	host, port, err := splitListen(cfg.Embedded.Listen)
	if err != nil {
		return nil, fmt.Errorf("fabric: Embedded.Listen: %w", err)
	}
	options := &server.Options{
		ServerName:    cfg.Embedded.ServerName,
		Host:          host,
		Port:          freePort(port),
		Username:      cfg.User,
		Password:      cfg.Password,
		Authorization: cfg.Token,
		NoSigs:        true, // signals belong to the process
	}
	if options.ServerName == "" {
		options.ServerName = cfg.NodeID
	}
	if st != nil {
		options.JetStream = true
		options.StoreDir = st.dir
		options.JetStreamMaxMemory = cfg.Embedded.MaxMemoryBytes
		options.JetStreamMaxStore = cfg.Embedded.MaxStoreBytes
	}
	if cfg.Embedded.Cluster.Name == "" {
		return options, nil
	}
	return options, addCluster(options, cfg)
}

// addCluster adds the routes. Peers sign in like clients do, so the route
// URLs get this node's own user.
func addCluster(options *server.Options, cfg Config) error {
	cluster := cfg.Embedded.Cluster
	host, port, err := splitListen(cluster.Listen)
	if err != nil {
		return fmt.Errorf("fabric: Embedded.Cluster.Listen: %w", err)
	}
	user, password := cfg.User, cfg.Password
	if cfg.Token != "" {
		user, password = cluster.Name, cfg.Token // routes know no tokens
	}
	options.Cluster = server.ClusterOpts{
		Name: cluster.Name, Host: host, Port: freePort(port), Username: user, Password: password,
	}
	for _, route := range cluster.Routes {
		u, err := url.Parse(route)
		if err != nil || u.Host == "" {
			return fmt.Errorf("fabric: Embedded.Cluster.Routes %q: want nats://host:port", names.Clip(route))
		}
		if user != "" && u.User == nil {
			u.User = url.UserPassword(user, password)
		}
		options.Routes = append(options.Routes, u)
	}
	return nil
}

// freePort translates "pick one" for nats-server, where 0 means 4222.
func freePort(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// startError makes what nats-server calls fatal an error that says what to do.
func startError(e Embedded, fatal string) error {
	switch {
	case fatal == "":
		return nil
	case strings.HasPrefix(fatal, "Error listening on port"):
		return fmt.Errorf("fabric: cannot listen on %s for NATS clients (%s): stop what listens there, set another nats.listen, or set nats.url to use the NATS server that is there", e.Listen, fatal)
	case strings.HasPrefix(fatal, "Error listening on router port"):
		return fmt.Errorf("fabric: cannot listen on %s for NATS routes (%s): set another cluster address", e.Cluster.Listen, fatal)
	}
	return fmt.Errorf("fabric: embedded NATS does not start: %s", fatal)
}

// shutdown stops the server, waits for it, and releases its store.
func (e *embedded) shutdown() {
	if e == nil {
		return
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	if e.store != nil {
		e.store.release()
	}
}

// ready reports whether the server serves, streams included.
func (e *embedded) ready() error {
	switch {
	case e == nil:
		return nil
	case !e.server.Running():
		return errors.New("embedded NATS has stopped; restart the node")
	case e.store == nil:
		return nil
	case !e.server.JetStreamEnabled():
		return errors.New("embedded NATS: JetStream is off, most often for a full or failing disk; its log line says why")
	case e.clustered && !e.server.JetStreamIsCurrent():
		return errors.New("embedded NATS: forming: no JetStream leader yet; are most of the cluster's nodes up?")
	}
	return nil
}

// ownInterests is how many subscriptions of ours match a direct message: the
// lane's wildcard and the arbiter's.
const ownInterests = 2

// isAlone reports whether nobody but this node takes subject, so that it may
// answer "gone" at once. It asks the server, as other nodes may be clients of
// this one's server. A program that listens to everything makes it false: then
// the answer just takes GoneDelay.
func (e *embedded) isAlone(subject string) bool {
	return e != nil && !e.clustered && e.server.GlobalAccount().Interest(subject) <= ownInterests
}

// serverLog sends nats-server's lines to slog. Its notices are debug lines
// here: nobody has to act on them.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex
	fatal string // the first, for startEmbedded
}

var _ server.Logger = (*serverLog)(nil)

// Noticef logs at level debug.
func (l *serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Warnf logs at level warn.
func (l *serverLog) Warnf(format string, v ...any) { l.line(slog.LevelWarn, format, v) }

// Errorf logs at level error.
func (l *serverLog) Errorf(format string, v ...any) { l.line(slog.LevelError, format, v) }

// Debugf logs at level debug; the server calls it only when told to.
func (l *serverLog) Debugf(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Tracef logs at level debug; the server calls it only when told to.
func (l *serverLog) Tracef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Fatalf remembers the first line. It does not end the process: only a start
// is fatal, and startEmbedded returns it.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

func (l *serverLog) firstFatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *serverLog) line(level slog.Level, format string, v []any) {
	ctx := context.Background() // slog's way to say none
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "nats server", "line", fmt.Sprintf(format, v...))
	}
}
