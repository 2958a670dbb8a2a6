package edge

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"hawser/edge/frame"
)

// Defaults of Config.
const (
	DefaultHeaderTimeout   = 5 * time.Second
	DefaultMaxHeaderBytes  = 8 << 10
	DefaultCloseTimeout    = 5 * time.Second
	DefaultMaxMessageBytes = frame.DefaultMaxMessageBytes
	DefaultMaxConns        = 100_000
	DefaultAcceptRate      = 2000
)

// Config tunes the WebSocket edge of one node. Start from DefaultConfig.
type Config struct {
	// Engine is "auto", or the name of an engine. Default auto: the best that
	// the system and the configuration allow.
	Engine string
	// HeaderTimeout bounds the TLS handshake and the HTTP request, each.
	// Default 5s: it ends slowloris connections.
	HeaderTimeout time.Duration
	// MaxHeaderBytes bounds the HTTP request line and headers. Default 8 KiB.
	MaxHeaderBytes int
	// CloseTimeout is how long a closing connection may take to send what is
	// left and to answer the close frame. Default 5s.
	CloseTimeout time.Duration
	// MaxMessageBytes bounds one message of a client. Default 64 KiB.
	MaxMessageBytes int
	// MaxFrameBytes bounds one frame. 0 means MaxMessageBytes.
	MaxFrameBytes int
	// Compression offers permessage-deflate without context takeover, RFC
	// 7692. Default off: it costs a compression per publication and protocol,
	// and inflating what clients send. A message is bounded by MaxMessageBytes
	// both as sent and inflated.
	Compression bool
	// Limits are what admission refuses beyond.
	Limits Limits
	// ProxyFrom are the addresses of balancers that send a PROXY protocol
	// version 2 header before each connection; one without it is refused. From
	// any other address such a header is not HTTP, and gets 400. Default none.
	ProxyFrom []netip.Prefix
	// TLS ends TLS in this process. Nil serves plain TCP.
	TLS *tls.Config
	// Fallback serves HTTP requests that are not for /ws/. Nil answers 404.
	Fallback http.Handler
}

// Limits bound what a node accepts. They may change while it runs.
type Limits struct {
	// MaxConns is the most sockets at a time, handshakes included. Default
	// 100 000. 0 leaves it to the system.
	MaxConns int
	// MaxConnsPerIP is the most per client address, an IPv6 /64 counting as
	// one. 0 means no limit.
	MaxConnsPerIP int
	// AcceptRate and AcceptBurst bound new sockets per second. Default 2000
	// each. Rate 0 means no limit.
	AcceptRate, AcceptBurst int
	// Origins are the pages that may connect: "https://app.example.org",
	// "https://*.example.org", or "*". Empty allows pages of the same host.
	Origins []string
}

// DefaultConfig has every default.
func DefaultConfig() Config {
	return Config{
		Engine:          "auto",
		HeaderTimeout:   DefaultHeaderTimeout,
		MaxHeaderBytes:  DefaultMaxHeaderBytes,
		CloseTimeout:    DefaultCloseTimeout,
		MaxMessageBytes: DefaultMaxMessageBytes,
		Limits:          Limits{MaxConns: DefaultMaxConns, AcceptRate: DefaultAcceptRate, AcceptBurst: DefaultAcceptRate},
	}
}

// Validate reports the first field that cannot work, with its value and range.
func (c Config) Validate() error {
	bad := func(field string, value any, want string) error {
		return fmt.Errorf("edge: %s %v: want %s", field, value, want)
	}
	switch {
	case c.Engine != "auto" && c.Engine != "goroutine" && c.Engine != "poll":
		return bad("Engine", c.Engine, `"auto", "poll" or "goroutine"`)
	case c.Engine == "poll" && !pollSupported:
		return bad("Engine", c.Engine, `"goroutine": this system has no epoll`)
	case c.Engine == "poll" && c.TLS != nil:
		return bad("Engine", c.Engine, `"goroutine" with TLS, or TLS ended in front`)
	case c.HeaderTimeout <= 0:
		return bad("HeaderTimeout", c.HeaderTimeout, "above 0")
	case c.MaxHeaderBytes < 256 || c.MaxHeaderBytes > 1<<20:
		return bad("MaxHeaderBytes", c.MaxHeaderBytes, "256 to 1 MiB")
	case c.CloseTimeout <= 0:
		return bad("CloseTimeout", c.CloseTimeout, "above 0")
	case c.MaxMessageBytes < 128 || c.MaxMessageBytes > 64<<20:
		return bad("MaxMessageBytes", c.MaxMessageBytes, "128 to 64 MiB")
	case c.MaxFrameBytes < 0 || c.MaxFrameBytes > c.MaxMessageBytes:
		return bad("MaxFrameBytes", c.MaxFrameBytes, fmt.Sprintf("0 to MaxMessageBytes %d", c.MaxMessageBytes))
	}
	return c.Limits.Validate()
}

// Validate reports the first field that cannot work, with its value and range.
func (l Limits) Validate() error {
	switch {
	case l.MaxConns < 0:
		return fmt.Errorf("edge: MaxConns %d: want 0 or more", l.MaxConns)
	case l.MaxConnsPerIP < 0:
		return fmt.Errorf("edge: MaxConnsPerIP %d: want 0 or more", l.MaxConnsPerIP)
	case l.AcceptRate < 0:
		return fmt.Errorf("edge: AcceptRate %d: want 0 or more", l.AcceptRate)
	case l.AcceptRate > 0 && l.AcceptBurst < 1:
		return fmt.Errorf("edge: AcceptBurst %d: want 1 or more with AcceptRate", l.AcceptBurst)
	}
	for _, o := range l.Origins {
		if _, err := parseOrigin(o); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) frameLimits(deflate bool) frame.Limits {
	return frame.Limits{Role: frame.Server, MaxMessageBytes: c.MaxMessageBytes, MaxFrameBytes: c.MaxFrameBytes, AllowCompressed: deflate}
}
