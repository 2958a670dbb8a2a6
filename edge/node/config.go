package node

import (
	"log/slog"
	"time"
)

// Config is everything a node can be told. Start from DefaultConfig, or let
// Load merge file, environment and flags over it.
//
// This file is the one source of the configuration's documentation: the field
// comments below are what `hawser config default`, `hawser config doc` and
// `--help` print (see fieldDocs), the yaml tag is the key, the range and enum
// tags are what Validate accepts, and reload:"live" marks what SIGHUP changes
// without a restart.
type Config struct {
	// Node is the process: its name, its directory, its log, how it stops.
	Node NodeConfig `yaml:"node"`
	// Edge is the WebSocket side: where clients connect and what each may use.
	Edge EdgeConfig `yaml:"edge"`
	// Auth says which tokens are good. The one section that must be filled in:
	// a node to which nobody could connect refuses to start.
	Auth AuthConfig `yaml:"auth"`
	// Channels says who may subscribe and publish where. The first rule whose
	// pattern matches decides; a channel that none matches does not exist
	// (error 404). As HAWSER_CHANNELS or --channels, write the list in one
	// line: [{pattern: "chat.*", subscribe: allow, publish: allow, publish_to: channel}].
	Channels []ChannelRule `yaml:"channels" reload:"live"`
	// NATS is the fabric behind the edge: embedded here, or an external cluster.
	NATS NATSConfig `yaml:"nats"`
	// Admin is the operators' HTTP endpoint: health, metrics, profiles.
	Admin AdminConfig `yaml:"admin"`
}

// NodeConfig is the section node.
type NodeConfig struct {
	// ID is the node's name in NATS subjects, logs and metrics: letters,
	// digits, _ and -, unique in the cluster. Empty means the host name with
	// every other character replaced by -.
	ID string `yaml:"id"`
	// DataDir is the directory of the embedded NATS server's streams. Default
	// ./hawser-data. Relative paths, here and below, start at the working
	// directory of the process. One directory serves one node at a time.
	DataDir string `yaml:"data_dir"`
	// LogLevel is the lowest level that is logged. Default info. At info a line
	// is something to act on or to date an incident by; debug logs each
	// connection.
	LogLevel string `yaml:"log_level" enum:"debug,info,warn,error" reload:"live"`
	// LogFormat is how log lines look. Default json. text is for people at a
	// terminal.
	LogFormat string `yaml:"log_format" enum:"json,text"`
	// DrainTimeout is how long a stop may take: connections are told to come
	// back elsewhere and closed within it. Default 30s. Longer spreads the
	// reconnects; it must stay below the supervisor's own kill timeout.
	DrainTimeout time.Duration `yaml:"drain_timeout" range:"0s..1h" reload:"live"`
	// DrainRate is how many connections a draining node closes per second.
	// 0 means 200, so that a node with few clients stops soon. A rate that
	// cannot finish in drain_timeout is raised until it can.
	DrainRate int `yaml:"drain_rate" range:"0..1000000" reload:"live"`
}

// EdgeConfig is the section edge.
type EdgeConfig struct {
	// Listen is the address that clients connect to. Default 127.0.0.1:8080.
	// Use :8080 for all interfaces; port 0 picks a free one.
	Listen string `yaml:"listen"`
	// Engine is how sockets are read. Default auto. poll serves plain TCP on
	// Linux with one epoll loop per CPU, at a tenth of the memory; goroutine
	// reads each connection on a goroutine of its own, and is for TLS in this
	// process and other systems. auto takes poll where it can.
	Engine string `yaml:"engine" enum:"auto,poll,goroutine"`
	// Origins are the web pages that may connect, such as
	// https://app.example.org; https://*.example.org allows its subdomains.
	// Empty allows pages of the same host only; "*" allows any page, which is
	// safe only while no cookie identifies the user. Clients that send no
	// Origin header, as programs do, always pass.
	Origins []string `yaml:"origins" reload:"live"`
	// HeaderTimeout is how long a client may take to send its HTTP request.
	// Default 5s. It ends slowloris connections (RFC 9110 §15.5.9, 408).
	HeaderTimeout time.Duration `yaml:"header_timeout" range:"100ms..1m"`
	// MaxHeaderBytes is the largest HTTP request, line and headers together.
	// Default 8KiB. Larger gets 431. Cookies of the same site count.
	MaxHeaderBytes Size `yaml:"max_header_bytes" range:"1KiB..1MiB"`
	// ConnectTimeout is how long a client may take from the upgrade to a
	// finished connect command. Default 10s. Then it is closed with 4440.
	ConnectTimeout time.Duration `yaml:"connect_timeout" range:"1s..5m"`
	// PingInterval is how long a connection may be silent before the server
	// pings it. Default 25s. Shorter costs phones battery; longer lets idle
	// connections be cut by balancers and NATs, many of which do so at 60s.
	PingInterval time.Duration `yaml:"ping_interval" range:"100ms..10m"`
	// PongTimeout is how long after a ping a client may stay silent before it
	// is closed with 4408. Default 10s. Shorter finds dead peers sooner; longer
	// forgives phones in tunnels. Must be below ping_interval.
	PongTimeout time.Duration `yaml:"pong_timeout" range:"50ms..5m"`
	// CloseTimeout is how long the server waits for the client's close frame,
	// and for the last bytes to leave, before it cuts the TCP connection.
	// Default 5s.
	CloseTimeout time.Duration `yaml:"close_timeout" range:"100ms..1m"`
	// MaxMessageBytes is the largest message that a client may send, all its
	// fragments together. Default 64KiB. Larger is closed with 1009.
	MaxMessageBytes Size `yaml:"max_message_bytes" range:"128B..64MiB"`
	// MaxFrameBytes is the largest single frame that a client may send. 0 means
	// max_message_bytes, and it cannot be above it.
	MaxFrameBytes Size `yaml:"max_frame_bytes" range:"0B..64MiB"`
	// Compression offers permessage-deflate (RFC 7692) to clients. Default off.
	// on saves most of the bytes of long JSON messages; each publication is
	// compressed once for all its readers of a protocol, at a few µs per KiB.
	Compression string `yaml:"compression" enum:"off,on"`
	// CompressionMinBytes is how long a message must be to be compressed.
	// Default 512B. Shorter ones gain too little.
	CompressionMinBytes Size `yaml:"compression_min_bytes" range:"0B..64MiB"`
	// MaxConnections is how many connections this node accepts; more get 503.
	// Default 100000. 0 leaves it to the limits of the system. Each needs one
	// file descriptor.
	MaxConnections int `yaml:"max_connections" range:"0..10000000" reload:"live"`
	// MaxConnectionsPerIP is how many connections one client address may hold;
	// more get 429. 0 is no limit. Offices and mobile carriers put thousands of
	// users behind one address, and a balancer in front puts all of them.
	MaxConnectionsPerIP int `yaml:"max_connections_per_ip" range:"0..10000000" reload:"live"`
	// AcceptRate is how many new connections per second this node takes; more
	// get 503 with Retry-After. Default 2000. 0 is no limit. It keeps a
	// reconnect storm from starving the connections that are up.
	AcceptRate int `yaml:"accept_rate" range:"0..1000000" reload:"live"`
	// AcceptBurst is how many new connections may come at once before
	// accept_rate bites. Default 2000.
	AcceptBurst int `yaml:"accept_burst" range:"1..1000000" reload:"live"`
	// ProxyProtocolFrom are the networks of balancers that send a PROXY protocol
	// version 2 header, such as 10.0.0.0/8. They must send it, and limits per
	// address then count the client it names. Empty means none.
	ProxyProtocolFrom []string `yaml:"proxy_protocol_from"`
	// BalancerTimeout is after how long the balancer in front cuts a silent
	// connection. Default 0s, for none. It must be above ping_interval
	// and pong_timeout together, or it cuts before a ping can tell who is dead.
	BalancerTimeout time.Duration `yaml:"balancer_timeout" range:"0s..24h"`
	// RateMessages is how many commands per second one connection may send.
	// Default 100. 0 is no limit. Above it commands get error 429, and a client
	// that goes on is closed with 4429.
	RateMessages int `yaml:"rate_messages" range:"0..1000000"`
	// RateBurst is how many commands may come at once before rate_messages
	// bites. Default 200. Reconnecting clients subscribe to all their channels
	// at once.
	RateBurst int `yaml:"rate_burst" range:"1..1000000"`
	// RateBytes is how many bytes per second one connection may send. Default
	// 1MiB. 0 is no limit. Two seconds' worth may come at once; above it commands
	// get error 429, as with rate_messages.
	RateBytes Size `yaml:"rate_bytes" range:"0B..1GiB"`
	// OutboxBytes is how much may wait for one client that reads slowly before
	// the slow rule of the channel applies: by default it is closed with 4413.
	// Default 256KiB. More forgives slow phones and costs memory only while they
	// lag. At least max_message_bytes.
	OutboxBytes Size `yaml:"outbox_bytes" range:"4KiB..1GiB"`
	// OutboxTotalBytes is how much may wait for all slow clients together before
	// those with the most waiting give way: what their channels' slow rule lets
	// go is dropped, others are closed with 4413. Default 256MiB. A message
	// counts once for each client that it waits for, so memory stays below it.
	OutboxTotalBytes Size `yaml:"outbox_total_bytes" range:"4KiB..1TiB"`
	// MaxChannels is how many channels one connection may subscribe to; more
	// get error 429. Default 128.
	MaxChannels int `yaml:"max_channels" range:"1..10000"`
	// MaxRPCInFlight is how many rpc calls of one connection may wait for their
	// answers; more get error 429. Default 16.
	MaxRPCInFlight int `yaml:"max_rpc_in_flight" range:"1..10000"`
	// Shards is how many parts the connections are split into, each fanned out
	// by its own actor. 0 means one per CPU (GOMAXPROCS).
	Shards int `yaml:"shards" range:"0..1024"`
	// Demo serves the demo page and the JavaScript client at /. Default false;
	// hawser dev turns it on.
	Demo bool `yaml:"demo"`
	// TLSCertFile is the PEM certificate chain for wss:// in this process.
	// Empty means plain ws://, for use behind a balancer that ends TLS.
	TLSCertFile string `yaml:"tls_cert_file"`
	// TLSKeyFile is the PEM private key of tls_cert_file.
	TLSKeyFile string `yaml:"tls_key_file"`
}

// AuthConfig is the section auth.
type AuthConfig struct {
	// HMACSecret is the shared secret of HS256 tokens, at least 32 bytes (RFC
	// 7518 §3.2). hawser token keygen makes one.
	HMACSecret Secret `yaml:"hmac_secret" reload:"live"`
	// HMACPrevious is the secret before the last rotation; its tokens stay good
	// until it is removed here.
	HMACPrevious Secret `yaml:"hmac_previous" reload:"live"`
	// PublicKeys are PEM files with the public keys (RSA, P-256, Ed25519) of
	// RS256, ES256 and EdDSA tokens: each FILE, or KID=FILE for tokens that name
	// their key, as all must beside jwks_url.
	PublicKeys []string `yaml:"public_keys" reload:"live"`
	// JWKSURL is where an identity provider publishes its keys (RFC 7517): https,
	// or http on loopback.
	JWKSURL string `yaml:"jwks_url"`
	// JWKSRefresh is how often jwks_url is fetched again. Default 15m. A token
	// with a new key id fetches it sooner, at most once per 30s for the node.
	JWKSRefresh time.Duration `yaml:"jwks_refresh" range:"30s..24h"`
	// Audience is what the aud of tokens must hold, where the identity provider
	// puts the name of an API there; the tenant may then stand in the claim
	// tenant. Empty means that aud must name the tenant, as NAME or hawser:NAME.
	Audience string `yaml:"audience" reload:"live"`
	// Issuer is the iss that tokens must carry. Empty accepts any.
	Issuer string `yaml:"issuer" reload:"live"`
	// Leeway is how far exp, nbf and iat may be off, for clocks that differ.
	// Default 30s.
	Leeway time.Duration `yaml:"leeway" range:"0s..5m" reload:"live"`
	// AllowAnonymous lets clients connect without a token. Default false;
	// hawser dev turns it on. A token that is sent must still be good.
	AllowAnonymous bool `yaml:"allow_anonymous" reload:"live"`
	// ResumeSecret signs resume tokens, at least 32 bytes, the same on every
	// node. Empty means a random one, so that sessions resume only at this
	// process.
	ResumeSecret Secret `yaml:"resume_secret"`
	// ResumeWindow is how long after a disconnect a session can be resumed.
	// Default 2m. 0s turns resume off.
	ResumeWindow time.Duration `yaml:"resume_window" range:"0s..24h"`
}

// ChannelRule says who may do what in the channels that match a pattern.
type ChannelRule struct {
	// Pattern selects channels: tokens with dots between, * for exactly one
	// token, a last > for one or more, as in NATS.
	Pattern string `yaml:"pattern"`
	// Subscribe is who may subscribe: allow is every connected client, token
	// only those whose token grants the channel, refuse nobody. Required.
	Subscribe Access `yaml:"subscribe" enum:"allow,token,refuse"`
	// Publish is who may publish from a client: allow, token or refuse. Default
	// refuse. Applications publish through NATS and are not asked.
	Publish Access `yaml:"publish,omitempty" enum:"allow,token,refuse"`
	// PublishTo is where a client's publication goes: app sends it to the
	// application (hw.in.TENANT.CHANNEL), which may publish it on; channel
	// sends it to all subscribers at once, as a chat wants. Default app.
	PublishTo Target `yaml:"publish_to,omitempty" enum:"app,channel"`
	// Slow is what happens when outbox_bytes are full for a client that reads too
	// slowly: disconnect closes it with 4413, drop_oldest drops the oldest
	// publications that wait, conflate keeps only the newest of each channel.
	// Default disconnect. The others leave gaps, for values that soon change.
	Slow SlowPolicy `yaml:"slow,omitempty" enum:"disconnect,drop_oldest,conflate"`
}

// SlowPolicy is what becomes of publications that a client reads too slowly.
type SlowPolicy string

// The policies.
const (
	Disconnect SlowPolicy = "disconnect"  // the client is closed
	DropOldest SlowPolicy = "drop_oldest" // the oldest that wait are dropped
	Conflate   SlowPolicy = "conflate"    // the newest of each channel is kept
)

// Access is who may do something in a channel.
type Access string

// The accesses.
const (
	Allow   Access = "allow"  // every connected client
	ByToken Access = "token"  // clients whose token grants the channel
	Refuse  Access = "refuse" // nobody
)

// Target is where a client's publication goes.
type Target string

// The targets.
const (
	ToApp     Target = "app"     // hw.in.<tenant>.<channel>, for the application
	ToChannel Target = "channel" // all subscribers of the channel
)

// NATSConfig is the section nats.
type NATSConfig struct {
	// URL is the external NATS cluster, such as nats://a:4222,nats://b:4222.
	// Empty runs a server inside this process, which needs nothing else.
	URL string `yaml:"url"`
	// Listen is where the embedded server takes applications' NATS clients.
	// Default 127.0.0.1:4222. Whoever reaches it may publish to every tenant, so
	// other than loopback needs user and password, or token.
	Listen string `yaml:"listen"`
	// CredentialsFile is the .creds file (JWT and seed) for url.
	CredentialsFile string `yaml:"credentials_file"`
	// User is the user name for url, or the one that the embedded server asks of
	// its clients.
	User string `yaml:"user"`
	// Password is the password of user.
	Password Secret `yaml:"password"`
	// Token is the token for url or of the embedded server, instead of a user.
	Token Secret `yaml:"token"`
	// TLSCAFile is the PEM file of the authorities that sign the certificates
	// of url. Empty means the system's.
	TLSCAFile string `yaml:"tls_ca_file"`
	// TLSCertFile is this node's PEM certificate, where url asks for one.
	TLSCertFile string `yaml:"tls_cert_file"`
	// TLSKeyFile is the PEM private key of tls_cert_file.
	TLSKeyFile string `yaml:"tls_key_file"`
	// Prefix is the first token of every subject. Default hw. Two fabrics on
	// one NATS cluster need two prefixes.
	Prefix string `yaml:"prefix"`
	// RPCTimeout is how long a client's rpc waits for the service before it
	// gets error 504. Default 5s.
	RPCTimeout time.Duration `yaml:"rpc_timeout" range:"100ms..5m"`
	// InterestLinger is how long a node stays subscribed to a channel after its
	// last subscriber left. Default 10s. It spares NATS the churn of page
	// reloads; 0s gives up at once.
	InterestLinger time.Duration `yaml:"interest_linger" range:"0s..10m"`
	// DataConnections is how many connections carry publications from NATS; a
	// channel always uses the same one. Default 2. More use more cores.
	DataConnections int `yaml:"data_connections" range:"1..64"`
	// JetStream turns on streams in the embedded server. Default true.
	JetStream bool `yaml:"jetstream"`
	// MaxMemory is the most memory for streams of the embedded server. Default
	// 256MiB. 0 leaves it to NATS: three quarters of the machine's.
	MaxMemory Size `yaml:"max_memory" range:"0B..1TiB"`
	// MaxStore is the most disk for streams of the embedded server. Default
	// 10GiB. 0 leaves it to NATS: three quarters of what is free.
	MaxStore Size `yaml:"max_store" range:"0B..1PiB"`
	// ClusterName makes the embedded server part of a NATS cluster of this
	// name, the same on every node. Empty means it stands alone.
	ClusterName string `yaml:"cluster_name"`
	// ClusterListen is where the embedded server takes its cluster's routes,
	// such as 10.0.0.1:6222.
	ClusterListen string `yaml:"cluster_listen"`
	// Routes are the cluster_listen addresses of other nodes, such as
	// nats://10.0.0.2:6222.
	Routes []string `yaml:"routes"`
	// AcceptFreshStore lets a node that changed between standalone and cluster
	// start with an empty store beside the old one. Default false, which
	// refuses: the streams would seem to be gone.
	AcceptFreshStore bool `yaml:"accept_fresh_store"`
}

// AdminConfig is the section admin.
type AdminConfig struct {
	// Listen is the address of /livez, /readyz and /metrics. Default
	// 127.0.0.1:8090. It asks for no password: keep it off the internet.
	Listen string `yaml:"listen"`
	// Pprof serves Go profiles at /debug/pprof. Default false. Profiles show
	// memory contents to whoever can reach admin.listen.
	Pprof bool `yaml:"pprof"`
}

// DefaultConfig is what `hawser serve` runs without file, environment and
// flags. It does not validate yet: the section auth needs a key, or
// allow_anonymous.
func DefaultConfig() Config {
	return Config{
		Node: NodeConfig{
			DataDir:      "./hawser-data",
			LogLevel:     "info",
			LogFormat:    "json",
			DrainTimeout: 30 * time.Second,
		},
		Edge: defaultEdge(),
		Auth: AuthConfig{
			JWKSRefresh:  15 * time.Minute,
			Leeway:       30 * time.Second,
			ResumeWindow: 2 * time.Minute,
		},
		Channels: []ChannelRule{{Pattern: ">", Subscribe: Allow, Publish: Refuse}},
		NATS: NATSConfig{
			Listen:          "127.0.0.1:4222",
			Prefix:          "hw",
			RPCTimeout:      5 * time.Second,
			InterestLinger:  10 * time.Second,
			DataConnections: 2,
			JetStream:       true,
			MaxMemory:       256 * MiB,
			MaxStore:        10 * GiB,
		},
		Admin: AdminConfig{Listen: "127.0.0.1:8090"},
	}
}

func defaultEdge() EdgeConfig {
	return EdgeConfig{
		Listen:              "127.0.0.1:8080",
		Engine:              "auto",
		HeaderTimeout:       5 * time.Second,
		MaxHeaderBytes:      8 * KiB,
		ConnectTimeout:      10 * time.Second,
		PingInterval:        25 * time.Second,
		PongTimeout:         10 * time.Second,
		CloseTimeout:        5 * time.Second,
		MaxMessageBytes:     64 * KiB,
		Compression:         "off",
		CompressionMinBytes: 512,
		MaxConnections:      100_000,
		AcceptRate:          2000,
		AcceptBurst:         2000,
		RateMessages:        100,
		RateBurst:           200,
		RateBytes:           1 * MiB,
		OutboxBytes:         256 * KiB,
		OutboxTotalBytes:    256 * MiB,
		MaxChannels:         128,
		MaxRPCInFlight:      16,
	}
}

// DevConfig is what `hawser dev` runs: DefaultConfig with the demo page, text
// logs, no token needed, and publications by clients sent to the channel. It
// is for loopback only: see CheckDev.
func DevConfig() Config {
	c := DefaultConfig()
	c.Node.LogFormat = "text"
	c.Edge.Demo = true
	c.Auth.AllowAnonymous = true
	c.Channels = []ChannelRule{{Pattern: ">", Subscribe: Allow, Publish: Allow, PublishTo: ToChannel}}
	return c
}

// Level is log_level as slog has it. Info when log_level is not valid.
func (c NodeConfig) Level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return l
}
