package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Timings of a NATS connection. nats.go's own defaults are for programs that
// may wait: it gives up after 60 tries, and finds a dead peer after 4 minutes.
const (
	dialTimeout   = 2 * time.Second        // per server address
	pingInterval  = 5 * time.Second        // two missed: the peer is dead after 10 to 15s
	writeTimeout  = 5 * time.Second        // of one flush to the socket; then reconnect
	reconnectWait = 250 * time.Millisecond // plus jitter, once all servers were tried
	reconnectSpan = 750 * time.Millisecond // jitter: a cluster must not come back at once
)

// link is one NATS connection and what is known of its state. nats.go changes
// the state on its callback goroutine, in order.
type link struct {
	// Immutable after open.
	name       string // in logs and Ready: "control", "data 0"
	log        *logLimiter
	connection *nats.Conn
	// inOrder is for a link whose own SUBs go before all that needs them on
	// the same connection: connected is confirmed.
	inOrder   bool
	onConnect func()                   // after each (re)connect; must not block
	onSlow    func(*nats.Subscription) // a subscription began to drop; must not block

	reconnects atomic.Uint64
	maxPayload atomic.Int64 // bytes; of the server last connected to

	mu        sync.Mutex
	session   uint64 // counts connects; 0: never connected
	connected bool
	confirmed bool // the server answered a round trip in this session
	since     time.Time
	lastErr   error
	closing   bool
}

// open connects. A server that cannot be reached is no error; nats.go then
// goes on trying until close.
func (l *link) open(cfg Config, server *embedded) error {
	l.since = time.Now()
	options, err := cfg.options(server)
	if err != nil {
		return err
	}
	connection, err := nats.Connect(cfg.URL, append(options,
		nats.Name("hawser "+cfg.NodeID+" "+l.name),
		nats.ConnectHandler(l.handleConnect),
		nats.ReconnectHandler(l.handleConnect),
		nats.DisconnectErrHandler(l.handleDisconnect),
		nats.ReconnectErrHandler(l.handleRetry),
		nats.ClosedHandler(l.handleClosed),
		nats.ErrorHandler(l.handleError),
	)...)
	if err != nil {
		return fmt.Errorf("fabric: connect %s link: %w", l.name, err)
	}
	l.connection = connection
	if connection.IsConnected() {
		// The handler tells us too, but later: whoever has an open Fabric in
		// hand may publish at once.
		l.connect(connection, false)
	}
	return nil
}

// options are those of every link.
func (c Config) options(server *embedded) ([]nats.Option, error) {
	options := []nats.Option{
		nats.CustomInboxPrefix("_INBOX." + c.NodeID),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a wrong password may be put right at the server
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectSpan, reconnectSpan),
		nats.ReconnectBufSize(-1), // fail at once: no burst of stale messages later
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
	}
	if c.User != "" {
		options = append(options, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		options = append(options, nats.Token(c.Token))
	}
	if server != nil {
		return append(options, nats.InProcessServer(server.server)), nil
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	if c.TLS.CAFile != "" {
		options = append(options, nats.RootCAs(c.TLS.CAFile))
	}
	if c.TLS.CertFile != "" {
		options = append(options, nats.ClientCert(c.TLS.CertFile, c.TLS.KeyFile))
	}
	if c.Dialer != nil {
		options = append(options, nats.SetCustomDialer(c.Dialer))
	}
	return options, nil
}

// close ends the connection at once; what was not flushed is lost. No message
// is put on a channel after it.
func (l *link) close() {
	l.mu.Lock()
	l.closing, l.connected, l.confirmed = true, false, false
	l.mu.Unlock()
	if l.connection != nil {
		l.connection.Close()
	}
}

// flush does one round trip, at most writeTimeout long.
func (l *link) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return l.connection.FlushWithContext(ctx)
}

// state returns the running session, and whether it is connected.
func (l *link) state() (session uint64, connected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session, l.connected
}

// confirm records a round trip that began in session.
func (l *link) confirm(session uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected && l.session == session {
		l.confirmed = true
	}
}

// isConfirmed reports whether the server holds every interest that was sent
// before the last round trip.
func (l *link) isConfirmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirmed
}

// isConnected reports whether publishing has a chance.
func (l *link) isConnected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}

// ready is nil while the link is connected and confirmed; else it says what
// is wrong since when.
func (l *link) ready(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.confirmed {
		return nil
	}
	what := "not connected"
	if l.connected {
		what = "connected, but no answer yet"
	}
	err := fmt.Errorf("NATS link %s: %s since %s (%s)", l.name, what,
		l.since.UTC().Format(time.RFC3339), now.Sub(l.since).Round(100*time.Millisecond))
	if l.lastErr != nil {
		err = fmt.Errorf("%w: %w", err, l.lastErr)
	}
	return err
}

// handleConnect is nats.go's callback for a connect and a reconnect.
func (l *link) handleConnect(connection *nats.Conn) { l.connect(connection, true) }

// connect records that the connection is up. The first connect may be
// reported twice, by open and by nats.go.
func (l *link) connect(connection *nats.Conn, wake bool) {
	l.maxPayload.Store(connection.MaxPayload())
	l.mu.Lock()
	again := l.connected
	if !again {
		l.session++
		l.connected, l.confirmed = true, l.inOrder
		l.since, l.lastErr = time.Now(), nil
	}
	session := l.session
	l.mu.Unlock()
	if again {
		return
	}
	if session > 1 {
		l.reconnects.Add(1)
		l.log.Info("nats link is back", "link", l.name, "server", connection.ConnectedUrlRedacted())
	}
	if wake {
		l.onConnect()
	}
}

func (l *link) handleDisconnect(_ *nats.Conn, err error) {
	l.mu.Lock()
	l.connected, l.confirmed = false, false
	l.since = time.Now()
	if err != nil {
		l.lastErr = err
	}
	closing := l.closing
	l.mu.Unlock()
	if !closing {
		l.log.Warn("nats link is down", "link", l.name, "err", err)
	}
}

// handleRetry is called for each failed try to connect.
func (l *link) handleRetry(_ *nats.Conn, err error) {
	l.mu.Lock()
	l.lastErr = err
	l.mu.Unlock()
	l.log.Warn("nats link does not connect", "link", l.name, "err", err)
}

// handleClosed is called when nats.go gives a connection up for good, which
// it does on a few protocol errors only. Readiness stays red from then on, so
// that a supervisor restarts the node.
func (l *link) handleClosed(connection *nats.Conn) {
	l.mu.Lock()
	closing := l.closing
	l.connected, l.confirmed = false, false
	if !closing {
		l.since = time.Now()
		l.lastErr = fmt.Errorf("closed for good, restart the node: %w", connection.LastError())
	}
	l.mu.Unlock()
	if !closing {
		l.log.Error("nats link is closed for good; restart the node", "link", l.name, "err", connection.LastError())
	}
}

// handleError is nats.go's callback for what has no caller to return to.
func (l *link) handleError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		l.onSlow(sub)
		l.log.Error("messages dropped: this node delivers too slowly", "link", l.name, "subject", sub.Subject)
		return
	}
	l.log.Error("nats error", "link", l.name, "err", err)
}

// logRate is how often one constant message is logged at most.
const logRate = 10 * time.Second

// logLimiter logs each message of each link at most once per logRate, and
// says how many it left out. A broken NATS would else fill the disk.
type logLimiter struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]*seenLine // by message; messages are constants, so it is small
}

type seenLine struct {
	last    time.Time
	skipped int
}

func newLogLimiter(log *slog.Logger) *logLimiter {
	return &logLimiter{log: log, seen: make(map[string]*seenLine)}
}

// Info, Warn and Error are slog's, limited.
func (l *logLimiter) Info(message string, attributes ...any) {
	l.line(slog.LevelInfo, message, attributes)
}

// Warn is like Info.
func (l *logLimiter) Warn(message string, attributes ...any) {
	l.line(slog.LevelWarn, message, attributes)
}

// Error is like Info.
func (l *logLimiter) Error(message string, attributes ...any) {
	l.line(slog.LevelError, message, attributes)
}

func (l *logLimiter) line(level slog.Level, message string, attributes []any) {
	skipped, now := 0, time.Now()
	l.mu.Lock()
	line := l.seen[message]
	if line == nil {
		line = &seenLine{}
		l.seen[message] = line
	}
	if now.Sub(line.last) < logRate {
		line.skipped++
		l.mu.Unlock()
		return
	}
	skipped, line.skipped, line.last = line.skipped, 0, now
	l.mu.Unlock()
	if skipped > 0 {
		attributes = append(attributes, "skipped", skipped)
	}
	l.log.Log(context.Background(), level, message, attributes...)
}
