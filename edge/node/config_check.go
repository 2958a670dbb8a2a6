package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"hawser/proto/names"
)

func (k *checker) node(n NodeConfig) {
	if len(n.ID) > maxNodeIDBytes || strings.ContainsFunc(n.ID, func(r rune) bool { return !isIDRune(r) }) {
		k.fail("node.id", n.ID, "at most %d letters, digits, _ and -", maxNodeIDBytes)
	}
	if n.DataDir == "" {
		k.fail("node.data_dir", "", "a directory")
	}
}

func (k *checker) edge(e EdgeConfig) {
	for _, origin := range e.Origins {
		if !isOrigin(origin) {
			k.fail("edge.origins", origin, `scheme://host[:port] without a path, scheme://*.host, or "*"`)
		}
	}
	if e.PongTimeout >= e.PingInterval {
		k.fail("edge.pong_timeout", e.PongTimeout, "below edge.ping_interval %s, or pings overtake their pongs", formatDuration(e.PingInterval))
	}
	for _, network := range e.ProxyProtocolFrom {
		if _, err := netip.ParsePrefix(network); err != nil {
			k.fail("edge.proxy_protocol_from", network, "a network such as 10.0.0.0/8 or 2001:db8::/32")
		}
	}
	if e.BalancerTimeout > 0 && e.BalancerTimeout <= e.PingInterval+e.PongTimeout {
		k.fail("edge.balancer_timeout", e.BalancerTimeout, "above edge.ping_interval %s + edge.pong_timeout %s, or the balancer cuts what the node would still ping",
			formatDuration(e.PingInterval), formatDuration(e.PongTimeout))
	}
	if e.MaxFrameBytes > e.MaxMessageBytes {
		k.fail("edge.max_frame_bytes", e.MaxFrameBytes, "at most edge.max_message_bytes %s, as a frame is part of a message", e.MaxMessageBytes)
	}
	if e.OutboxBytes < e.MaxMessageBytes {
		k.fail("edge.outbox_bytes", e.OutboxBytes, "at least edge.max_message_bytes %s, or one message closes its readers", e.MaxMessageBytes)
	}
	if e.OutboxTotalBytes < e.OutboxBytes {
		k.fail("edge.outbox_total_bytes", e.OutboxTotalBytes, "at least edge.outbox_bytes %s, or one client fills the node", e.OutboxBytes)
	}
	if e.Engine == "poll" && e.TLSCertFile != "" {
		k.fail("edge.engine", e.Engine, "auto or goroutine with edge.tls_cert_file: TLS in this process needs a goroutine per connection")
	}
	if e.Engine == "poll" && runtime.GOOS != "linux" {
		k.fail("edge.engine", e.Engine, "auto or goroutine on %s: the poll engine is for Linux", runtime.GOOS)
	}
	k.together("edge.tls_cert_file", e.TLSCertFile, "edge.tls_key_file", e.TLSKeyFile)
}

// isOrigin reports whether s can equal an Origin header, RFC 6454 §6.1, or is
// a pattern for one.
func isOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(strings.Replace(s, "://*.", "://", 1))
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && !strings.Contains(u.Host, "*")
}

// minSecretBytes is the least that HS256 needs: a key as long as its hash,
// RFC 7518 §3.2.
const minSecretBytes = 32

const maxPublicKeys = 16 // as auth.Config has it

func (k *checker) auth(a AuthConfig) {
	k.secret("auth.hmac_secret", a.HMACSecret)
	k.secret("auth.hmac_previous", a.HMACPrevious)
	k.secret("auth.resume_secret", a.ResumeSecret)
	if a.HMACPrevious != "" && a.HMACSecret == "" {
		k.fail("auth.hmac_previous", a.HMACPrevious, "auth.hmac_secret beside it, or none")
	}
	if len(a.PublicKeys) > maxPublicKeys {
		k.fail("auth.public_keys", a.PublicKeys, "at most %d files", maxPublicKeys)
	}
	if a.JWKSURL != "" && !isKeySetURL(a.JWKSURL) {
		k.fail("auth.jwks_url", a.JWKSURL, "an https:// URL, or http:// on loopback, where nobody can change the keys on their way")
	}
	if a.HMACSecret == "" && len(a.PublicKeys) == 0 && a.JWKSURL == "" && !a.AllowAnonymous {
		k.fail("auth.hmac_secret", a.HMACSecret, "a secret, or auth.public_keys, auth.jwks_url or auth.allow_anonymous instead: without any, no client could connect")
	}
}

func isKeySetURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func (k *checker) secret(path string, s Secret) {
	if s != "" && len(s) < minSecretBytes {
		k.fail(path, s, "at least %d bytes, it has %d: hawser token keygen makes one", minSecretBytes, len(s))
	}
}

func (k *checker) channels(rules []ChannelRule) {
	for i, rule := range rules {
		path := func(name string) string { return fmt.Sprintf("channels[%d].%s", i, name) }
		if err := names.CheckPattern(rule.Pattern); err != nil {
			k.fail(path("pattern"), rule.Pattern, `tokens of letters, digits, _ and - with dots between, "*" for one, a last ">" for the rest`)
		}
		rule.Publish, rule.PublishTo = cmp.Or(rule.Publish, Refuse), cmp.Or(rule.PublishTo, ToApp)
		rule.Slow = cmp.Or(rule.Slow, Disconnect)
		k.tags(reflect.ValueOf(rule), path(""))
		if j := slices.IndexFunc(rules[:i], func(r ChannelRule) bool { return r.Pattern == rule.Pattern || r.Pattern == ">" }); j >= 0 {
			k.fail(path("pattern"), rule.Pattern, "it before rule %d (%s), which matches the same channels first", j+1, rules[j].Pattern)
		}
	}
}

// maxPrefixBytes keeps subjects short: it is in front of each.
const maxPrefixBytes = 32

func (k *checker) nats(n NATSConfig) {
	if n.Prefix == "" || len(n.Prefix) > maxPrefixBytes || strings.ContainsFunc(n.Prefix, func(r rune) bool { return !isIDRune(r) }) {
		k.fail("nats.prefix", n.Prefix, "1 to %d letters, digits, _ and -", maxPrefixBytes)
	}
	for _, server := range splitList(n.URL) {
		if !isNATSURL(server) {
			k.fail("nats.url", server, "nats://, tls://, ws:// or wss:// with a host, several with commas between")
		}
	}
	if n.Password != "" && n.User == "" {
		k.fail("nats.password", n.Password, "nats.user beside it")
	}
	k.together("nats.tls_cert_file", n.TLSCertFile, "nats.tls_key_file", n.TLSKeyFile)
	k.natsLogin(n)
	k.natsCluster(n)
	if n.URL == "" {
		k.natsEmbedded(n)
	}
}

func isNATSURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)
}

// natsLogin allows one way to log in.
func (k *checker) natsLogin(n NATSConfig) {
	var ways []string
	for _, way := range []struct{ key, value string }{
		{"nats.credentials_file", n.CredentialsFile},
		{"nats.user", n.User},
		{"nats.token", n.Token.String()},
	} {
		if way.value != "" {
			ways = append(ways, way.key)
		}
	}
	if len(ways) > 1 {
		k.fail(ways[1], "", "nothing beside %s: one way to log in", ways[0])
	}
}

// natsEmbedded checks what a server inside the process cannot use, and that
// the network cannot reach it without a password.
func (k *checker) natsEmbedded(n NATSConfig) {
	for _, field := range []struct{ key, value string }{
		{"nats.credentials_file", n.CredentialsFile},
		{"nats.tls_ca_file", n.TLSCAFile},
		{"nats.tls_cert_file", n.TLSCertFile},
	} {
		if field.value != "" {
			k.fail(field.key, field.value, "nats.url beside it: the embedded server does not use it")
		}
	}
	if n.User != "" && n.Password == "" {
		k.fail("nats.password", n.Password, "a value, as nats.user has one")
	}
	for _, l := range []listenAddress{{"nats.listen", n.Listen}, {"nats.cluster_listen", n.ClusterListen}} {
		if l.address != "" && !isLocal(l.address) && n.User == "" && n.Token == "" {
			k.fail(l.key, l.address, "a loopback address, or nats.user and nats.password, or nats.token: who reaches it speaks to every tenant")
		}
	}
}

// natsCluster checks the keys of the embedded server's cluster.
func (k *checker) natsCluster(n NATSConfig) {
	for _, field := range []struct{ key, value string }{
		{"nats.cluster_name", n.ClusterName},
		{"nats.cluster_listen", n.ClusterListen},
		{"nats.routes", strings.Join(n.Routes, ",")},
	} {
		if n.URL != "" && field.value != "" {
			k.fail(field.key, field.value, "nothing: it is for the embedded server, and nats.url names another")
		}
	}
	if len(n.Routes) > 0 && n.ClusterListen == "" {
		k.fail("nats.routes", n.Routes, "nats.cluster_listen beside it")
	}
	if n.URL == "" && n.JetStream && n.ClusterListen != "" && len(n.Routes) == 0 {
		// nats-server refuses it, without the name of our key.
		k.fail("nats.routes", "", "the cluster_listen of at least one other node, which need not run yet: clustered streams have copies there")
	}
	k.together("nats.cluster_name", n.ClusterName, "nats.cluster_listen", n.ClusterListen)
	for _, route := range n.Routes {
		if u, err := url.Parse(route); err != nil || u.Port() == "" {
			k.fail("nats.routes", route, "nats://host:port")
		}
	}
}

// together complains of one of two values that only work as a pair.
func (k *checker) together(aKey, a, bKey, b string) {
	switch {
	case a != "" && b == "":
		k.fail(bKey, "", "a value, as %s has one", aKey)
	case a == "" && b != "":
		k.fail(aKey, "", "a value, as %s has one", bKey)
	}
}

// listeners checks the addresses, and that no two are the same.
// ladder wants the timeouts of application, gateway and balancer in this
// order, so that the one nearest to a fault names it.
func (k *checker) ladder(c Config) {
	if silence := c.Edge.PingInterval + c.Edge.PongTimeout; c.NATS.RPCTimeout >= silence {
		k.fail("nats.rpc_timeout", c.NATS.RPCTimeout, "below edge.ping_interval + edge.pong_timeout %s: the application answers before the gateway gives up", formatDuration(silence))
	}
}

func (k *checker) listeners(c Config) {
	seen := map[string]string{}
	for _, l := range c.listenAddresses() {
		host, port, err := net.SplitHostPort(l.address)
		number, notNumber := strconv.ParseUint(port, 10, 16)
		if err != nil || notNumber != nil || strings.ContainsAny(host, " /") {
			k.fail(l.key, l.address, "host:port, such as 127.0.0.1:8080, or :8080 for all interfaces")
			continue
		}
		if other, taken := seen[l.address]; taken && number != 0 {
			k.fail(l.key, l.address, "an address of its own: %s has it", other)
		}
		seen[l.address] = l.key
	}
}

type listenAddress struct{ key, address string }

// listenAddresses lists what c listens on, with the keys to change it.
func (c Config) listenAddresses() []listenAddress {
	all := []listenAddress{{"edge.listen", c.Edge.Listen}, {"admin.listen", c.Admin.Listen}}
	if c.NATS.URL == "" {
		all = append(all, listenAddress{"nats.listen", c.NATS.Listen})
		if c.NATS.ClusterListen != "" {
			all = append(all, listenAddress{"nats.cluster_listen", c.NATS.ClusterListen})
		}
	}
	return all
}

// CheckDev reports why c cannot run as `hawser dev`, which lets in everyone
// who reaches it: each address must be of this machine only.
func CheckDev(c Config) error {
	var all []error
	for _, l := range c.listenAddresses() {
		if !isLocal(l.address) {
			all = append(all, &KeyError{l.key, l.address,
				"a loopback address, as hawser dev asks nobody for a token: use hawser serve for other machines"})
		}
	}
	return errors.Join(all...)
}

// isLocal reports whether only this machine reaches address.
func isLocal(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	return isLoopback(host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Warnings are what works but is hardly meant, for the log at start and for
// config check.
func (c Config) Warnings() []string {
	var all []string
	if len(c.Channels) == 0 {
		all = append(all, "channels: no rule, so no channel exists")
	}
	if c.Auth.AllowAnonymous && !isLocal(c.Edge.Listen) {
		all = append(all, "auth.allow_anonymous: whoever reaches "+c.Edge.Listen+" may connect")
	}
	if c.Edge.TLSCertFile == "" && !isLocal(c.Edge.Listen) {
		all = append(all, "edge.listen "+c.Edge.Listen+" without TLS: tokens cross the network readable unless a balancer in front ends TLS")
	}
	if c.Admin.Pprof && !isLocal(c.Admin.Listen) {
		all = append(all, "admin.pprof: whoever reaches "+c.Admin.Listen+" can read this process's memory")
	}
	return all
}
