package fabric

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/proto/names"
)

// Defaults of Config.
const (
	DefaultPrefix              = "hw"
	DefaultListen              = "127.0.0.1:4222"
	DefaultRPCTimeout          = 5 * time.Second
	DefaultInterestLinger      = 10 * time.Second
	DefaultDataConns           = 2
	DefaultPendingMessages     = 65536
	DefaultPendingRequests     = 4096
	DefaultPendingPublishes    = 8192
	DefaultPendingPublishBytes = 16 << 20
	DefaultMaxInterests        = 1 << 20
	DefaultCanaryInterval      = time.Second
	DefaultCanaryTimeout       = 3 * time.Second
	DefaultGoneDelay           = 200 * time.Millisecond
	DefaultMaxMemoryBytes      = 256 << 20
	DefaultMaxStoreBytes       = 10 << 30
)

// Config tunes one Fabric. Start from DefaultConfig.
type Config struct {
	// NodeID names this node: 1 to 64 of [A-Za-z0-9_-], unique in the cluster.
	// Required.
	NodeID string
	// Prefix is the first token of every subject. Default "hw". Two fabrics on
	// one NATS cluster need two prefixes.
	Prefix string

	// URL is the external NATS cluster, or several with commas between. Empty
	// runs the embedded server. A server that cannot be reached is no error of
	// Open: Ready says so, and the fabric goes on trying.
	URL string
	// CredentialsFile is the .creds file for URL.
	CredentialsFile string
	// User and Password sign in at URL. With the embedded server they are what
	// its TCP clients and cluster peers must present.
	User, Password string
	// Token signs in at URL, or at the embedded server, instead of a user.
	Token string
	// TLS has the PEM files for URL.
	TLS TLS
	// Dialer makes the TCP connections to URL. Nil uses net.Dialer. The
	// simulator sets it.
	Dialer nats.CustomDialer

	// Embedded is the server inside the process, used while URL is empty.
	Embedded Embedded

	// RPCTimeout is how long Request waits for the service. Default 5s. It must
	// be shorter than the clients' own timeout, or they give up first.
	RPCTimeout time.Duration
	// InterestLinger is how long an interest is kept after its last subscriber
	// left. Default 10s. It spares NATS the churn of page reloads; 0 gives up
	// at once.
	InterestLinger time.Duration
	// GoneDelay is how long the arbiter waits for a holder's answer before it
	// answers "gone". Default 200ms. Shorter answers sooner, and wrongly more
	// often when a node is busy.
	GoneDelay time.Duration

	// DataConns is how many NATS connections receive. Default 2. More use more
	// cores; each costs a lane channel and two goroutines.
	DataConns int
	// PendingMessages is how many messages wait in one lane. Default 65536.
	// More survives longer bursts and pauses, with older messages. When it is
	// full, messages are dropped and counted.
	PendingMessages int
	// PendingRequests is how many requests may be in flight. Default 4096.
	PendingRequests int
	// PendingPublishes and PendingPublishBytes bound what waits for the control
	// link. Defaults 8192 messages and 16 MiB.
	PendingPublishes, PendingPublishBytes int
	// MaxInterests is how many channels this node may hold at once, lingering
	// ones included. Default 1048576. BenchmarkInterest has the bytes of one.
	MaxInterests int

	// CanaryInterval is the time between canaries. Default 1s.
	CanaryInterval time.Duration
	// CanaryTimeout is how old the last canary that came back may be before
	// Ready fails. Default 3s, so that readiness is red well within 5s of a fault.
	// Must be above CanaryInterval.
	CanaryTimeout time.Duration
	// OnCanary, if set, gets the round trip of each canary of each lane. It is
	// called on dispatch goroutines and must not block.
	OnCanary func(rtt time.Duration)

	// Logger gets the fabric's lines and those of the embedded server. Nil
	// discards them.
	Logger *slog.Logger
}

// TLS has the PEM files for an external NATS. All empty leaves it to URL's
// scheme and the system's authorities.
type TLS struct {
	CAFile            string // authorities that sign the servers' certificates
	CertFile, KeyFile string // this node's certificate; both or none
}

// Embedded configures the server inside the process.
type Embedded struct {
	// Listen is the TCP address for applications. Default 127.0.0.1:4222. Port
	// 0 picks a free one (see Fabric.URL). Other than loopback needs
	// Config.User or Config.Token: who reaches it speaks to every tenant.
	Listen string
	// ServerName is the server's name in its cluster. Default Config.NodeID.
	ServerName string
	// JetStream turns on streams. Default true; needs StoreDir.
	JetStream bool
	// StoreDir is the data directory. The server uses nats-standalone or
	// nats-cluster in it, by mode, and refuses a store of the other mode.
	StoreDir string
	// AcceptFreshStore lets the server start with an empty store although the
	// other mode's store in StoreDir holds streams, which are then not served.
	// Needed once; the store remembers it.
	AcceptFreshStore bool
	// MaxMemoryBytes and MaxStoreBytes bound the streams in memory and on
	// disk. Defaults 256 MiB and 10 GiB. 0 leaves it to NATS: three quarters of
	// the machine's memory and of the free disk.
	MaxMemoryBytes, MaxStoreBytes int64
	// Cluster joins embedded servers. Zero is one node alone, for which it
	// must be zero: a lone clustered server elects no leader and has no streams.
	Cluster Cluster
}

// Cluster configures the routes between embedded servers.
type Cluster struct {
	Name   string   // of the cluster; empty: standalone
	Listen string   // address for routes, host:port
	Routes []string // URLs of the peers' route addresses, such as nats://10.0.0.2:6222
}

// DefaultConfig is a node with an embedded server; NodeID and
// Embedded.StoreDir have to be set.
func DefaultConfig() Config {
	return Config{
		Prefix:              DefaultPrefix,
		RPCTimeout:          DefaultRPCTimeout,
		InterestLinger:      DefaultInterestLinger,
		GoneDelay:           DefaultGoneDelay,
		DataConns:           DefaultDataConns,
		PendingMessages:     DefaultPendingMessages,
		PendingRequests:     DefaultPendingRequests,
		PendingPublishes:    DefaultPendingPublishes,
		PendingPublishBytes: DefaultPendingPublishBytes,
		MaxInterests:        DefaultMaxInterests,
		CanaryInterval:      DefaultCanaryInterval,
		CanaryTimeout:       DefaultCanaryTimeout,
		Embedded: Embedded{
			Listen:         DefaultListen,
			JetStream:      true,
			MaxMemoryBytes: DefaultMaxMemoryBytes,
			MaxStoreBytes:  DefaultMaxStoreBytes,
		},
	}
}

// Validate reports the first field that cannot work, with its value and
// range. Secrets are not printed.
func (c Config) Validate() error {
	if err := checkToken("NodeID", c.NodeID); err != nil {
		return err
	}
	if err := checkToken("Prefix", c.Prefix); err != nil {
		return err
	}
	if err := c.validateNumbers(); err != nil {
		return err
	}
	if c.URL == "" {
		return c.validateEmbedded()
	}
	return c.validateExternal()
}

// validateNumbers checks the durations and the limits against their ranges.
func (c Config) validateNumbers() error {
	for _, d := range []struct {
		field             string
		value, least, max time.Duration
	}{
		{"RPCTimeout", c.RPCTimeout, time.Millisecond, 10 * time.Minute},
		{"InterestLinger", c.InterestLinger, 0, time.Hour},
		{"GoneDelay", c.GoneDelay, time.Millisecond, time.Minute},
		{"CanaryInterval", c.CanaryInterval, time.Millisecond, time.Minute},
		{"CanaryTimeout", c.CanaryTimeout, c.CanaryInterval + 1, 10 * time.Minute},
	} {
		if d.value < d.least || d.value > d.max {
			return fmt.Errorf("fabric: %s %v: want %v to %v", d.field, d.value, d.least, d.max)
		}
	}
	for _, n := range []struct {
		field      string
		value, max int
	}{
		{"DataConns", c.DataConns, 64},
		{"PendingMessages", c.PendingMessages, 1 << 24},
		{"PendingRequests", c.PendingRequests, 1 << 20},
		{"PendingPublishes", c.PendingPublishes, 1 << 24},
		{"PendingPublishBytes", c.PendingPublishBytes, 1 << 30},
		{"MaxInterests", c.MaxInterests, 1 << 28},
	} {
		if n.value < 1 || n.value > n.max {
			return fmt.Errorf("fabric: %s %d: want 1 to %d", n.field, n.value, n.max)
		}
	}
	return nil
}

func (c Config) validateExternal() error {
	if err := checkURLs(c.URL); err != nil {
		return err
	}
	ways := 0
	for _, set := range []bool{c.CredentialsFile != "", c.User != "", c.Token != ""} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("fabric: CredentialsFile, User and Token: want at most one of them")
	case c.Password != "" && c.User == "":
		return errors.New("fabric: Password without User: want both or none")
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return fmt.Errorf("fabric: TLS.CertFile %q and TLS.KeyFile %q: want both or none", c.TLS.CertFile, c.TLS.KeyFile)
	}
	return nil
}

// checkURLs parses each server of the list, so that nats.go need not: its
// error would print a password that stands in it.
func checkURLs(list string) error {
	for i, server := range strings.Split(list, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return fmt.Errorf("fabric: URL: server %d of the list (not printed, it may hold a password): want nats://host:port", i+1)
		}
	}
	return nil
}

func (c Config) validateEmbedded() error {
	e := c.Embedded
	switch {
	case c.CredentialsFile != "" || c.TLS != TLS{}:
		return errors.New("fabric: CredentialsFile and TLS are for an external NATS: want URL set as well")
	case (c.User == "") != (c.Password == ""):
		return errors.New("fabric: User and Password: the embedded server wants both or none")
	case c.User != "" && c.Token != "":
		return errors.New("fabric: User and Token: want at most one of them")
	case e.JetStream && e.StoreDir == "":
		return errors.New("fabric: Embedded.StoreDir is empty: want the data directory, or Embedded.JetStream off")
	case e.MaxMemoryBytes < 0 || e.MaxStoreBytes < 0:
		return fmt.Errorf("fabric: Embedded.MaxMemoryBytes %d, MaxStoreBytes %d: want 0 or more", e.MaxMemoryBytes, e.MaxStoreBytes)
	}
	if err := c.checkListen("Embedded.Listen", e.Listen); err != nil {
		return err
	}
	return c.validateCluster()
}

func (c Config) validateCluster() error {
	cluster := c.Embedded.Cluster
	if cluster.Name == "" {
		if cluster.Listen != "" || len(cluster.Routes) > 0 {
			return errors.New("fabric: Embedded.Cluster has Listen or Routes but no Name: want a Name, or none of them")
		}
		return nil
	}
	if err := checkToken("Embedded.Cluster.Name", cluster.Name); err != nil {
		return err
	}
	return c.checkListen("Embedded.Cluster.Listen", cluster.Listen)
}

// checkListen refuses an address that cannot be listened on, and one that is
// open to the network without a password.
func (c Config) checkListen(field, address string) error {
	host, _, err := splitListen(address)
	if err != nil {
		return fmt.Errorf("fabric: %s %q: want host:port: %w", field, address, err)
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	if !loopback && c.User == "" && c.Token == "" {
		return fmt.Errorf("fabric: %s %q: who reaches it speaks to every tenant: want a loopback address, or User and Password, or Token", field, address)
	}
	return nil
}

// splitListen is net.SplitHostPort with a numeric port.
func splitListen(address string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: want 0 to 65535", service)
	}
	return host, int(n), nil
}

func checkToken(field, s string) error {
	const most = 64 // bytes; subjects stay below 256
	if len(s) > most || !names.IsToken(s) {
		return fmt.Errorf("fabric: %s %q: want 1 to %d letters, digits, _ and -", field, names.Clip(s), most)
	}
	return nil
}
