package edge

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Refusal is why a handshake was turned down: an HTTP status, a metric label
// and a sentence for whoever debugs the client.
type Refusal struct {
	Status     int
	Reason     string // metric label: [a-z_]
	Sentence   string
	RetryAfter int // seconds for Retry-After; 0: no such header
}

// The refusals, in the order in which a handshake meets them.
var (
	RefuseFull          = &Refusal{503, "full", "this node holds all the connections it may", 5}
	RefuseRate          = &Refusal{503, "accept_rate", "too many new connections right now", 1}
	RefusePerIP         = &Refusal{429, "per_ip", "too many connections from this address", 30}
	RefuseDraining      = &Refusal{503, "draining", "this node is stopping; connect again for another", 1}
	RefuseHeaderTimeout = &Refusal{408, "header_timeout", "the request did not arrive in time", 0}
	RefuseHeaderTooBig  = &Refusal{431, "header_too_big", "the request header is too large", 0}
	RefuseBadRequest    = &Refusal{400, "bad_request", "not an HTTP/1.1 request", 0}
	RefuseNotFound      = &Refusal{404, "not_found", "nothing here: clients connect to /ws/{tenant}", 0}
	RefuseMethod        = &Refusal{405, "method", "use GET", 0}
	RefuseNotWebSocket  = &Refusal{426, "not_websocket", "this is a WebSocket endpoint: send Upgrade: websocket, Connection: Upgrade and Sec-WebSocket-Version: 13", 0}
	RefuseKey           = &Refusal{400, "bad_key", "Sec-WebSocket-Key must be 16 bytes in base64", 0}
	RefuseTenant        = &Refusal{404, "bad_tenant", "the tenant in the path must be 1 to 64 letters, digits, _ or -", 0}
	RefuseOrigin        = &Refusal{403, "origin", "pages of this origin may not connect: see edge.origins", 0}
	RefuseSubprotocol   = &Refusal{400, "subprotocol", "ask for the subprotocol hawser.v1.json or hawser.v1.proto", 0}
	RefuseNotReady      = &Refusal{503, "not_ready", "this node is not delivering", 1}
)

// Refusals holds every refusal, for metrics, docs and tests.
var Refusals = []*Refusal{RefuseFull, RefuseRate, RefusePerIP, RefuseDraining, RefuseHeaderTimeout, RefuseHeaderTooBig,
	RefuseBadRequest, RefuseNotFound, RefuseMethod, RefuseNotWebSocket, RefuseKey, RefuseTenant, RefuseOrigin,
	RefuseSubprotocol, RefuseNotReady}

// Error implements error.
func (r *Refusal) Error() string { return r.Sentence }

// admission counts sockets and turns the excess away before it costs a read.
type admission struct {
	draining atomic.Bool
	origins  atomic.Pointer[[]originRule]

	mu     sync.Mutex
	limits Limits             // guarded by mu
	bucket *rate.Limiter      // guarded by mu; nil: no limit
	conns  int                // guarded by mu
	perIP  map[netip.Addr]int // guarded by mu; empty unless MaxConnsPerIP is set
}

func newAdmission(l Limits) *admission {
	a := &admission{perIP: make(map[netip.Addr]int)}
	a.set(l)
	return a
}

// set replaces the limits; l has been validated. Sockets that are up stay.
func (a *admission) set(l Limits) {
	rules := make([]originRule, 0, len(l.Origins))
	for _, o := range l.Origins {
		rule, _ := parseOrigin(o)
		rules = append(rules, rule)
	}
	a.origins.Store(&rules)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits = l
	a.bucket = nil
	if l.AcceptRate > 0 {
		a.bucket = rate.NewLimiter(rate.Limit(l.AcceptRate), l.AcceptBurst)
	}
}

// enter counts a socket in, or says why not. A socket let in owes a leave. An
// invalid address, of a balancer, does not count per address: see claim.
func (a *admission) enter(remote netip.Addr) *Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining.Load():
		return RefuseDraining
	case a.limits.MaxConns > 0 && a.conns >= a.limits.MaxConns:
		return RefuseFull
	case a.limits.MaxConnsPerIP > 0 && remote.IsValid() && a.perIP[remote] >= a.limits.MaxConnsPerIP:
		return RefusePerIP
	case a.bucket != nil && !a.bucket.Allow():
		return RefuseRate
	}
	a.conns++
	if a.limits.MaxConnsPerIP > 0 && remote.IsValid() {
		a.perIP[remote]++
	}
	return nil
}

// claim counts a socket of a balancer for the client behind it.
func (a *admission) claim(client netip.Addr) *Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.MaxConnsPerIP == 0 || !client.IsValid() {
		return nil
	}
	if a.perIP[client] >= a.limits.MaxConnsPerIP {
		return RefusePerIP
	}
	a.perIP[client]++
	return nil
}

// counts reports whether a socket of this address was counted for it.
func (a *admission) counts(client netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, counted := a.perIP[client]
	return counted
}

// leave counts a socket out.
func (a *admission) leave(remote netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns--
	if n, ok := a.perIP[remote]; ok {
		if n <= 1 {
			delete(a.perIP, remote)
		} else {
			a.perIP[remote] = n - 1
		}
	}
}

func (a *admission) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns
}

// peerAddr is the address of the other end of TCP.
func peerAddr(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// countedAddr is what MaxConnsPerIP counts by: the address, or its /64, which
// is what one IPv6 customer gets.
func countedAddr(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.Addr()
}

// hasToken reports whether a comma-separated header holds token, in any case.
func hasToken(header, token string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if strings.EqualFold(strings.TrimSpace(part), token) {
			return true
		}
	}
	return false
}
