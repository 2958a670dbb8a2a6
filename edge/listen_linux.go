package edge

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketOptions sets what accepted sockets inherit.
func socketOptions(userTimeout time.Duration) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		set := func(fd, level, option, value int) {
			if err == nil {
				err = unix.SetsockoptInt(fd, level, option, value)
			}
		}
		controlErr := raw.Control(func(descriptor uintptr) {
			fd := int(descriptor)
			set(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
			set(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle/time.Second))
			set(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveInterval/time.Second))
			set(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount)
			set(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			set(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond))
			set(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLowBytes)
		})
		if err == nil {
			err = controlErr
		}
		return err
	}
}
