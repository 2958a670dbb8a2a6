//go:build !linux

package edge

import (
	"syscall"
	"time"
)

// socketOptions has nothing to add to what net sets.
func socketOptions(time.Duration) func(string, string, syscall.RawConn) error { return nil }
