package frame

import "io"

// Reader is a Guard in front of a blocking parser: it hands on what the Guard
// passes and nothing else. The parser must read from it without a buffer of
// unguarded bytes in between, from the first byte after the handshake.
//
// It is for the goroutine that reads the connection, and no other.
type Reader struct {
	r     io.Reader
	guard Guard
	v     *Violation // found, not yet told
}

// NewReader returns a Reader of r. It panics when l does not Validate.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{r: r, guard: NewGuard(l)}
}

// Read reads once from the reader behind it and hands on what is good. The
// error is a *Violation when the stream broke a rule: it comes with the first
// Read after the last good byte, so a parser has by then dealt with every
// frame before the bad one, and the answers to them go out before the close
// frame. After the peer's close frame the error is io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.v != nil {
		return 0, r.v
	}
	if _, closed := r.guard.CloseSeen(); closed {
		return 0, io.EOF
	}
	n, err := r.r.Read(p)
	ok, v := r.guard.Scan(p[:n])
	r.v = v
	switch {
	case v != nil && ok == 0:
		return 0, v
	case ok < n: // the rest is bad, or comes after a close frame
		return ok, nil
	}
	return n, err
}

// Guard is the state of the stream so far: AtBoundary, CloseSeen.
func (r *Reader) Guard() *Guard { return &r.guard }
