package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"hawser/proto/codec"
	"hawser/proto/names"
)

// options are the flags. The zero value is not useful; see addFlags for the
// defaults.
type options struct {
	// The target.
	url    string
	nats   string
	prefix string
	admin  string
	pid    int
	token  string
	own    bool // the user says that a target off this host is his
	spawn  bool
	other  string // "", "bare-gws" or "bare-epoll"

	// The load.
	conns     int
	duration  time.Duration // of each case
	bursts    []int
	payload   int
	rate      int
	window    int
	protocol  string
	engine    string
	format    string
	tolerance time.Duration // how long a message may take before it counts as lost
	stall     string        // fanout: share of the clients, as "1%"; "" for none
	servers   int           // crowd only
	source    int           // crowd's clients only: see swarm.source
}

// The bounds of the flags.
const (
	maxConns    = 1_000_000
	maxDuration = 10 * time.Minute
	maxBurst    = 4096
	maxPayload  = 48 << 10 // bytes; below hawser's default message limit
	maxRate     = 1_000_000
	maxWindow   = 4096
)

// validate reports the first flag that cannot work, with its value and range.
func (o options) validate() error {
	for _, n := range []struct {
		flag               string
		value, least, most int
	}{
		{"conns", o.conns, 1, maxConns},
		{"payload", o.payload, MinPayloadBytes, maxPayload},
		{"rate", o.rate, 0, maxRate},
		{"window", o.window, 1, maxWindow},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("--%s %d: want %d to %d", n.flag, n.value, n.least, n.most)
		}
	}
	for flag, d := range map[string]time.Duration{"duration": o.duration, "loss-timeout": o.tolerance} {
		if d <= 0 || d > maxDuration {
			return fmt.Errorf("--%s %v: want above 0 and at most %v", flag, d, maxDuration)
		}
	}
	if len(o.bursts) == 0 {
		return errors.New("--bursts: want at least one number")
	}
	for _, b := range o.bursts {
		if b < 1 || b > maxBurst {
			return fmt.Errorf("--bursts %d: want 1 to %d", b, maxBurst)
		}
	}
	for flag, choice := range map[string][]string{
		"protocol": {o.protocol, "proto", "json"},
		"engine":   {o.engine, "auto", "poll", "goroutine"},
		"output":   {o.format, "table", "json"},
		"compare":  {o.other, "", "bare-gws", "bare-epoll"},
	} {
		if !slices.Contains(choice[1:], choice[0]) {
			return fmt.Errorf("--%s %q: want %s", flag, choice[0], strings.Join(choice[1:], " or "))
		}
	}
	if err := o.validateStall(); err != nil {
		return err
	}
	return checkFiles(o.conns)
}

func (o options) codec() codec.Protocol {
	if o.protocol == "json" {
		return codec.JSON
	}
	return codec.Proto
}

// resolve checks a client URL and finds its address. Other hosts are refused
// unless own: a load tool must not be pointed at strangers by a typing error.
func resolve(ctx context.Context, raw string, own bool) (*url.URL, netip.AddrPort, error) {
	fail := func(format string, args ...any) (*url.URL, netip.AddrPort, error) {
		return nil, netip.AddrPort{}, fmt.Errorf("--url: "+format, args...)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fail("%w", err)
	}
	if u.Scheme != "ws" || u.Host == "" {
		return fail("%q: want ws://host:port/ws/<tenant>; measure wss behind its balancer", u.Redacted())
	}
	if tenant, ok := strings.CutPrefix(u.Path, "/ws/"); !ok {
		return fail("path %q: want /ws/<tenant>", u.Path)
	} else if err := names.CheckTenant(tenant); err != nil {
		return fail("%w", err)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	tcp, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return fail("%w", err)
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(tcp[0].Unmap().String(), port))
	if err != nil {
		return fail("%w", err)
	}
	if !addr.Addr().IsLoopback() && !own {
		return fail("%s is not this host: put load only on what is yours, and say so with --i-own-this-target", addr.Addr())
	}
	return u, addr, nil
}
