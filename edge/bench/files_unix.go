//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// checkFiles reports when this process may not open enough sockets. Go raises
// the soft limit to the hard one by itself.
func checkFiles(conns int) error {
	const others = 100 // descriptors beside the connections
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("bench: getrlimit: %w", err)
	}
	if uint64(conns)+others > uint64(limit.Max) {
		return fmt.Errorf("--conns %d: this process may open %d files: want at most %d, or a higher limit (ulimit -n)",
			conns, limit.Max, limit.Max-others)
	}
	return nil
}
