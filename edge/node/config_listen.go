package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens a TCP listener for a key. The error names the key, the address
// and what to do.
func listen(lc *net.ListenConfig, key, address string) (net.Listener, error) {
	l, err := lc.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s: another process has this port: stop it, or start with --%s and another one", key, address, key)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", key, address, err)
	}
	return l, nil
}
