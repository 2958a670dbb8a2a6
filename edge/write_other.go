//go:build !linux

package edge

import (
	"errors"
	"net"

	"hawser/actors"
)

// fastWriter exists on Linux only; elsewhere a writer goroutine writes.
type fastWriter struct{}

func newFastWriter(net.Conn, Recorder) *fastWriter { return nil }

// WriteBatch implements actors.Writer.
func (*fastWriter) WriteBatch([][]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*fastWriter) drain(*actors.Outbox) error { return errors.ErrUnsupported }
