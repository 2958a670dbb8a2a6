package actors

import (
	"fmt"
	"sync/atomic"
	"time"

	"hawser/proto/names"
)

// Defaults of Config.
const (
	DefaultPingInterval     = 25 * time.Second
	DefaultPongTimeout      = 10 * time.Second
	DefaultConnectTimeout   = 10 * time.Second
	DefaultResumeWindow     = 120 * time.Second // Ably's
	DefaultRetryAfter       = time.Second
	DefaultOutboxBytes      = 256 << 10
	DefaultOutboxTotalBytes = 256 << 20
	DefaultMaxChannels      = 128 // Centrifugo's channel_limit
	DefaultMaxRPCInFlight   = 16
	DefaultRateMessages     = 100
	DefaultRateBurst        = 200
	DefaultRateBytes        = 1 << 20
)

// Access says who may do something on a channel.
type Access uint8

// The accesses.
const (
	Refuse  Access = iota // nobody
	Allow                 // everyone with a connection
	ByToken               // those whose token grants the channel
)

// Destination is where a client's publication goes.
type Destination uint8

// The destinations.
const (
	ToApp     Destination = iota // hw.in.<tenant>.<channel>
	ToChannel                    // all subscribers of the channel
)

// Rule gives the channels that match Pattern their class. The first rule that
// matches decides; a channel that no rule matches is unknown (error 404).
type Rule struct {
	Pattern     string // names.Match
	Subscribe   Access
	Publish     Access
	Destination Destination // of publications, where Publish is not Refuse
	Slow        SlowPolicy  // for clients that read the channel too slowly
}

// Config tunes the actors of one node. Start from DefaultConfig.
type Config struct {
	// Node is the name that clients and logs see. Required.
	Node string
	// Shards is the number of shard actors. 0 means one per CPU that Go uses.
	Shards int
	// PingInterval is how long a client may be silent before it is pinged.
	// Default 25s: below the 30 s at which some mobile NATs forget a flow.
	PingInterval time.Duration
	// PongTimeout is how long after a ping a client may stay silent before it
	// is closed with cause.PongTimeout. Default 10s. Must be below
	// PingInterval.
	PongTimeout time.Duration
	// ConnectTimeout bounds the time from the handshake to a verified connect
	// command. Default 10s.
	ConnectTimeout time.Duration
	// ResumeWindow is how long a resume token is good. Default 120s.
	ResumeWindow time.Duration
	// RetryAfter is the mean delay advised to clients that are closed and
	// should come back; each gets between half and one and a half of it.
	// Default 1s.
	RetryAfter time.Duration
	// OutboxBytes bounds what waits for one client. Beyond it publications are
	// dropped where Rule.Slow allows, and else the client is closed with
	// cause.SlowConsumer. Default 256 KiB.
	OutboxBytes int
	// OutboxTotalBytes bounds what waits behind full sockets, all clients
	// together; a frame counts once for each client it waits for. Beyond it
	// those with the most give way, as for OutboxBytes. Default 256 MiB. At
	// least OutboxBytes.
	OutboxTotalBytes int
	// MaxChannels bounds the subscriptions of one connection. Default 128.
	MaxChannels int
	// MaxRPCInFlight bounds the unanswered rpc of one connection. Default 16.
	MaxRPCInFlight int
	// RateMessages and RateBurst bound the messages and pings of one
	// connection: a steady rate per second, and how many may come at once.
	// Beyond it commands get error 429; a client that goes on for another
	// burst is closed with cause.RateLimited. Defaults 100 and 200. Rate 0
	// means no limit.
	RateMessages, RateBurst int
	// RateBytes bounds the message bytes per second of one connection, with a
	// burst of two seconds' worth. Default 1 MiB. 0 means no limit.
	RateBytes int
	// Rules are the channel classes, in order.
	Rules []Rule
}

// DefaultConfig has every default, no rule and no node name.
func DefaultConfig() Config {
	return Config{
		PingInterval:     DefaultPingInterval,
		PongTimeout:      DefaultPongTimeout,
		ConnectTimeout:   DefaultConnectTimeout,
		ResumeWindow:     DefaultResumeWindow,
		RetryAfter:       DefaultRetryAfter,
		OutboxBytes:      DefaultOutboxBytes,
		OutboxTotalBytes: DefaultOutboxTotalBytes,
		MaxChannels:      DefaultMaxChannels,
		MaxRPCInFlight:   DefaultMaxRPCInFlight,
		RateMessages:     DefaultRateMessages,
		RateBurst:        DefaultRateBurst,
		RateBytes:        DefaultRateBytes,
	}
}

// Validate reports the first field that cannot work, with its value and range.
func (c Config) Validate() error {
	bad := func(field string, value any, want string) error {
		return fmt.Errorf("actors: %s %v: want %s", field, value, want)
	}
	switch {
	case c.Node == "":
		return bad("Node", `""`, "a name")
	case c.Shards < 0 || c.Shards > 1024:
		return bad("Shards", c.Shards, "0 to 1024")
	case c.PingInterval < minInterval || c.PingInterval > maxInterval:
		return bad("PingInterval", c.PingInterval, "20ms to 1h")
	case c.PongTimeout < minInterval || c.PongTimeout >= c.PingInterval:
		return bad("PongTimeout", c.PongTimeout, fmt.Sprintf("at least 20ms and below PingInterval %v", c.PingInterval))
	case c.ConnectTimeout < minInterval || c.ConnectTimeout > maxInterval:
		return bad("ConnectTimeout", c.ConnectTimeout, "20ms to 1h")
	case c.ResumeWindow < 0 || c.ResumeWindow > 24*time.Hour:
		return bad("ResumeWindow", c.ResumeWindow, "0 to 24h")
	case c.RetryAfter < 0 || c.RetryAfter > maxInterval:
		return bad("RetryAfter", c.RetryAfter, "0 to 1h")
	case c.OutboxBytes < 4<<10 || c.OutboxBytes > 1<<30:
		return bad("OutboxBytes", c.OutboxBytes, "4096 to 1 GiB")
	case c.OutboxTotalBytes < c.OutboxBytes || c.OutboxTotalBytes > 1<<40:
		return bad("OutboxTotalBytes", c.OutboxTotalBytes, fmt.Sprintf("OutboxBytes %d to 1 TiB", c.OutboxBytes))
	case c.MaxChannels < 1 || c.MaxChannels > 10_000:
		return bad("MaxChannels", c.MaxChannels, "1 to 10000")
	case c.MaxRPCInFlight < 1 || c.MaxRPCInFlight > 10_000:
		return bad("MaxRPCInFlight", c.MaxRPCInFlight, "1 to 10000")
	case c.RateMessages < 0 || c.RateMessages > 1_000_000:
		return bad("RateMessages", c.RateMessages, "0 to 1000000")
	case c.RateBurst < 0 || c.RateBurst > 1_000_000 || c.RateMessages > 0 && c.RateBurst == 0:
		return bad("RateBurst", c.RateBurst, "1 to 1000000, or 0 without RateMessages")
	case c.RateBytes < 0 || c.RateBytes > 1<<30:
		return bad("RateBytes", c.RateBytes, "0 to 1 GiB")
	}
	for i, r := range c.Rules {
		if err := names.CheckPattern(r.Pattern); err != nil {
			return fmt.Errorf("actors: Rules[%d]: %w", i, err)
		}
		if r.Slow > SlowConflate {
			return bad(fmt.Sprintf("Rules[%d].Slow", i), r.Slow, "a SlowPolicy")
		}
	}
	return nil
}

const (
	minInterval = 20 * time.Millisecond // below it the sweep tick is too coarse
	maxInterval = time.Hour
)

// settings are a Config whose rules can change while sessions run.
type settings struct {
	Config // immutable but for Rules, which is not read
	rules  atomic.Pointer[[]Rule]
}

func newSettings(c Config) *settings {
	s := &settings{Config: c}
	s.rules.Store(&c.Rules)
	return s
}

// rule finds the rule of a channel.
func (s *settings) rule(channel string) (Rule, bool) {
	for _, r := range *s.rules.Load() {
		if names.Match(r.Pattern, channel) {
			return r, true
		}
	}
	return Rule{}, false
}

// slow is the policy of a channel.
func (s *settings) slow(channel string) SlowPolicy {
	rule, _ := s.rule(channel) // without one it has no subscribers left
	return rule.Slow
}

// grants reports whether a lets a bearer of patterns through.
func (a Access) grants(patterns []string, channel string) bool {
	switch a {
	case Allow:
		return true
	case ByToken:
		for _, p := range patterns {
			if names.Match(p, channel) {
				return true
			}
		}
	}
	return false
}
