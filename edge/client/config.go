package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"hawser/proto/codec"
)

// Defaults of Config.
const (
	DefaultConnectTimeout  = 10 * time.Second
	DefaultCommandTimeout  = 10 * time.Second
	DefaultWriteTimeout    = 10 * time.Second
	DefaultStableAfter     = time.Minute
	DefaultMaxRejections   = 3
	DefaultQueueLen        = 1024    // messages
	DefaultMaxMessageBytes = 1 << 20 // bytes
)

// Protocol is the subprotocol of the wire.
type Protocol string

// The subprotocols. Data of a publication is the same bytes in both, with one
// exception: over JSON, data that is not a JSON value arrives as a JSON string.
const (
	Proto Protocol = "hawser.v1.proto"
	JSON  Protocol = "hawser.v1.json"
)

// TokenReason says why the client wants a token.
type TokenReason string

// The reasons.
const (
	TokenConnect  TokenReason = "connect"  // the first one
	TokenRefresh  TokenReason = "refresh"  // the present one runs out soon
	TokenExpired  TokenReason = "expired"  // it ran out, on a live connection or before one
	TokenRejected TokenReason = "rejected" // the server refused it
)

// Config tunes one Client. URL is required; the zero value of each other field
// means its default.
type Config struct {
	// URL is ws:// or wss://host[:port]/ws/<tenant>.
	URL string
	// Token returns a JWT for the connect command. It is called on the session
	// goroutine, at most once an attempt, with a context that ends with the
	// attempt, after 30s at the latest. Its error is retried with backoff,
	// unless it is ErrUnauthorized. Default nil: no token.
	Token func(ctx context.Context, reason TokenReason) (string, error)
	// Protocol is Proto or JSON. Default Proto: smaller, and cheaper to read.
	Protocol Protocol
	// Name and Version tell the operator what is connecting. At most 64 bytes
	// each. Default "hawser-go" and none.
	Name, Version string

	// OnState is told each change. When handlers are behind, a run of changes
	// that none of them could have acted on is told as its last one.
	OnState func(ctx context.Context, change StateChange)
	// OnDirect is given what was sent to this user or session outside channels.
	OnDirect func(ctx context.Context, data []byte)
	// OnResubscribed is told that a subscription is live again on a new
	// connection, between the last publication of the old one and the first
	// of the new one.
	OnResubscribed func(ctx context.Context, r Resubscribed)

	// Dial opens the byte stream to addr ("host:port"). Default net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is used for wss. Default: the system's roots and the host of URL.
	TLS *tls.Config
	// Header is added to the handshake, for proxies that want one.
	Header http.Header

	// ConnectTimeout bounds an attempt from dial to connected, without the
	// token. Default 10s.
	ConnectTimeout time.Duration
	// CommandTimeout bounds the calls whose context has no deadline. Default
	// 10s; a call that is to outlive it brings a deadline of its own.
	CommandTimeout time.Duration
	// WriteTimeout is how long one write may wait for the kernel before the
	// connection counts as lost. Default 10s.
	WriteTimeout time.Duration
	// StableAfter is how long a connection must last for the backoff to start
	// anew. Default 1m. Shorter reconnects faster to a server that flaps.
	StableAfter time.Duration
	// MaxRejections is how many tokens in a row the server may refuse before
	// the client fails. Default 3.
	MaxRejections int
	// QueueLen is how many messages wait for a handler before reading stops.
	// Default 1024. More forgives slow handlers and costs memory.
	QueueLen int
	// MaxMessageBytes is the longest message accepted from the server. Default
	// 1 MiB.
	MaxMessageBytes int

	// Logger gets a line at Info for each change of state. Default: none.
	Logger *slog.Logger
	// Rand is the source of jitter; the client becomes its only user. Default:
	// seeded from crypto/rand.
	Rand *mathrand.Rand
}

// Validate reports the first field that cannot work, with its value and range.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("client: URL: %w", err)
	}
	if (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
		return fmt.Errorf("client: URL %q: want ws:// or wss://host/ws/<tenant>", u.Redacted())
	}
	if c.Protocol != "" && c.Protocol != Proto && c.Protocol != JSON {
		return fmt.Errorf("client: Protocol %q: want %q or %q", c.Protocol, Proto, JSON)
	}
	if len(c.Name) > 64 || len(c.Version) > 64 {
		return fmt.Errorf("client: Name and Version have %d and %d bytes: want at most 64 each", len(c.Name), len(c.Version))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ConnectTimeout", c.ConnectTimeout}, {"CommandTimeout", c.CommandTimeout}, {"WriteTimeout", c.WriteTimeout}, {"StableAfter", c.StableAfter}} {
		if d.value < 0 {
			return fmt.Errorf("client: %s %v: want above 0, or 0 for the default", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxRejections", c.MaxRejections}, {"QueueLen", c.QueueLen}, {"MaxMessageBytes", c.MaxMessageBytes}} {
		if n.value < 0 {
			return fmt.Errorf("client: %s %d: want above 0, or 0 for the default", n.name, n.value)
		}
	}
	return nil
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	orDefault(&c.Protocol, Proto)
	orDefault(&c.Name, "hawser-go")
	orDefault(&c.ConnectTimeout, DefaultConnectTimeout)
	orDefault(&c.CommandTimeout, DefaultCommandTimeout)
	orDefault(&c.WriteTimeout, DefaultWriteTimeout)
	orDefault(&c.StableAfter, DefaultStableAfter)
	orDefault(&c.MaxRejections, DefaultMaxRejections)
	orDefault(&c.QueueLen, DefaultQueueLen)
	orDefault(&c.MaxMessageBytes, DefaultMaxMessageBytes)
	if c.OnState == nil {
		c.OnState = func(context.Context, StateChange) {}
	}
	if c.OnDirect == nil {
		c.OnDirect = func(context.Context, []byte) {}
	}
	if c.OnResubscribed == nil {
		c.OnResubscribed = func(context.Context, Resubscribed) {}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		var seed [32]byte
		rand.Read(seed[:]) // never fails, crypto/rand
		c.Rand = mathrand.New(mathrand.NewChaCha8(seed))
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (p Protocol) codec() codec.Protocol {
	if p == JSON {
		return codec.JSON
	}
	return codec.Proto
}
