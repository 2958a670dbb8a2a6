//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package fabric

import (
	"os"
	"syscall"
)

// lockStore takes an exclusive lock on path, which ends with the file's close
// or the process. nats-server takes none: two on one store corrupt it.
func lockStore(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
