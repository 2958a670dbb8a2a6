package edge

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"

	"hawser/edge/frame"
	"hawser/proto/cause"
)

// emptyBlock ends a flushed deflate stream. RFC 7692 §7.2.1: it is left off,
// and the receiver puts it back.
var emptyBlock = []byte{0x00, 0x00, 0xff, 0xff}

// deflatePool lends buffers for what comes out of the encoder.
var deflatePool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// deflated is a compressed frame of payload, or nil where compression would
// not make it shorter. The encoder is the stateless one of klauspost/compress:
// as fast as its level 1 (BenchmarkDeflate has its cost) and 4 to 7 % of JSON
// larger, but without 490 KB of state for each frame in the making.
func deflated(op frame.Opcode, payload []byte) []byte {
	out := deflatePool.Get().(*bytes.Buffer)
	defer deflatePool.Put(out)
	out.Reset()
	if err := flate.StatelessDeflate(out, payload, false, nil); err != nil {
		panic(fmt.Sprintf("edge: deflate %d bytes into memory: %v", len(payload), err))
	}
	short := bytes.TrimSuffix(out.Bytes(), emptyBlock)
	if len(short) >= len(payload) {
		return nil
	}
	return frame.AppendCompressed(make([]byte, 0, frame.Size(len(short))), op, short)
}

// inflateCause is why gws gave up on a message that the guard had passed. The
// bound on inflated bytes is told from bad data by gws' status code, whose
// type it does not export.
func inflateCause(err error) cause.Code {
	if status, ok := err.(interface{ Uint16() uint16 }); ok && cause.Code(status.Uint16()) == cause.TooBig {
		return cause.TooBig
	}
	return cause.ProtocolError
}
