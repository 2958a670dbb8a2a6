package edge

import (
	"net"
	"time"
)

// TCP settings of client sockets. They are set on the listener and inherited,
// so they cost no system call per connection.
const (
	// keepAliveIdle, keepAliveInterval and keepAliveCount find peers that
	// vanished while nothing was sent. Pings find them much sooner; this is for
	// sockets that still shake hands or already close.
	keepAliveIdle     = 600 * time.Second
	keepAliveInterval = 30 * time.Second
	keepAliveCount    = 3
	// unsentLowBytes is TCP_NOTSENT_LOWAT: a socket counts as full while so much
	// has not been sent yet. A backlog then waits in the outbox, where it is
	// bounded and can be dropped, and not in up to 4 MB of kernel memory.
	unsentLowBytes = 16 << 10
	// userTimeoutSlack is how much longer TCP_USER_TIMEOUT (RFC 5482) is than
	// ping interval and pong timeout together, so that the ping, which knows the
	// cause, comes first.
	userTimeoutSlack = 5 * time.Second
)

// ListenConfig opens listeners for Serve. silence is how long a client may be
// silent before it is closed: ping interval plus pong timeout.
func ListenConfig(silence time.Duration) *net.ListenConfig {
	lc := &net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
		Control:         socketOptions(silence + userTimeoutSlack),
	}
	// Go listens with multipath TCP by default since 1.24; such sockets refuse
	// some of these options, and cost more.
	lc.SetMultipathTCP(false)
	return lc
}
