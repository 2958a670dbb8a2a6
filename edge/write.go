package edge

import (
	"net"
	"sync"

	"hawser/actors"
)

// blockingWriter writes where a write may block: TLS, and connections that
// are no sockets. Small frames are joined, so that a burst is one TLS record.
type blockingWriter struct {
	nc       net.Conn
	recorder Recorder
}

var _ actors.Writer = blockingWriter{}

// joinBytes is the largest write that is copied together: a TLS record.
const joinBytes = 16 << 10

var joinPool = sync.Pool{New: func() any { b := make([]byte, 0, joinBytes); return &b }}

// WriteBatch implements actors.Writer.
func (w blockingWriter) WriteBatch(bufs [][]byte) (n int, err error) {
	joined := joinPool.Get().(*[]byte)
	defer joinPool.Put(joined)
	for i := 0; i < len(bufs) && err == nil; {
		b := (*joined)[:0]
		for i < len(bufs) && len(b)+len(bufs[i]) <= joinBytes {
			b = append(b, bufs[i]...)
			i++
		}
		if len(b) == 0 { // one frame larger than a record
			b = bufs[i]
			i++
		}
		var wrote int
		wrote, err = w.nc.Write(b)
		n += wrote
	}
	w.recorder.Wrote(len(bufs), n, false)
	return n, err
}
