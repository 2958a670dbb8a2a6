package edge

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What accepted sockets inherit from the listener, as the kernel sees it.
func TestListenConfig_Inherited(t *testing.T) {
	ln, err := ListenConfig(35*time.Second).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for _, test := range []struct {
			name                string
			level, option, want int
		}{
			{"protocol", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP}, // not IPPROTO_MPTCP
			{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 600},
			{"interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 30},
			{"count", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{"nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"user timeout", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 40_000},
			{"unsent low water", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16 << 10},
		} {
			got, err := unix.GetsockoptInt(int(fd), test.level, test.option)
			if err != nil || got != test.want {
				t.Errorf("%s: got %d, %v, want %d", test.name, got, err, test.want)
			}
		}
	})
}
