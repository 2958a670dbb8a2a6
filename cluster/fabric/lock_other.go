//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package fabric

import "os"

// lockStore only opens path: this system has no flock, so two processes on one
// store are not found.
func lockStore(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
