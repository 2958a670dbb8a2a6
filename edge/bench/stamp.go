package bench

import (
	"bytes"
	"strconv"
	"time"
)

// A stamp is the start of a payload: number and time in hexadecimal of fixed
// width, inside a JSON string, so that a payload is the same bytes in both
// subprotocols.
//
//	"0000002a 000000012a05f200 xxxx…"
const (
	stampNumber = 1 // offset, after the quote
	stampTime   = stampNumber + 8 + 1
	stampEnd    = stampTime + 16
	// MinPayloadBytes is a payload of a stamp and the quotes only.
	MinPayloadBytes = stampEnd + 1
)

// newPayload returns a payload of size bytes, at least MinPayloadBytes.
func newPayload(size int) []byte {
	b := bytes.Repeat([]byte{'x'}, max(size, MinPayloadBytes))
	b[0], b[len(b)-1] = '"', '"'
	b[stampTime-1] = ' '
	if len(b) > MinPayloadBytes {
		b[stampEnd] = ' '
	}
	putStamp(b, 0, 0)
	return b
}

// putStamp writes number and time into a payload.
func putStamp(payload []byte, number uint32, at time.Duration) {
	putHex(payload[stampNumber:stampNumber+8], uint64(number))
	putHex(payload[stampTime:stampEnd], uint64(at))
}

// readStamp reads them back. ok is false for a payload that is not ours.
func readStamp(payload []byte) (number uint32, at time.Duration, ok bool) {
	if len(payload) < MinPayloadBytes {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(string(payload[stampNumber:stampNumber+8]), 16, 32)
	if err != nil {
		return 0, 0, false
	}
	t, err := strconv.ParseUint(string(payload[stampTime:stampEnd]), 16, 63)
	if err != nil {
		return 0, 0, false
	}
	return uint32(n), time.Duration(t), true
}

func putHex(dst []byte, v uint64) {
	const digits = "0123456789abcdef"
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = digits[v&15]
		v >>= 4
	}
}
