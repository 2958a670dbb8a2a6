package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"hawser/edge/frame"
	"hawser/proto/cause"
)

// maxHandshakeBytes bounds the server's answer to the upgrade request.
const maxHandshakeBytes = 16 << 10

var errHandshakeTooLong = fmt.Errorf("handshake answer above %d bytes", maxHandshakeBytes)

// wire is the net.Conn that gws is given. It keeps gws from frames that it
// does not survive (a 64-bit length with the top bit set ends the process in
// 1.8.9), bounds each read and write in time, and ends what is written with
// the close frame.
type wire struct {
	net.Conn     // Close ends both directions at once
	writeTimeout time.Duration
	silence      atomic.Int64 // ns a read may wait; 0 for ever

	// Set by session before the loops start.
	opened bool // the handshake is over: what follows are frames

	// Owned by the reader: session in the handshake, then readLoop.
	handshook int    // bytes of the handshake read
	ahead     []byte // read from the socket, not yet handed on
	buffer    []byte // backs ahead in the handshake
	guard     frame.Guard
	ended     error // after the last byte that may be handed on

	writeMu   sync.Mutex
	finished  bool  // guarded by writeMu; the close frame was written, or a write failed
	unwritten error // guarded by writeMu; of the write that failed
}

func newWire(conn net.Conn, writeTimeout time.Duration, maxMessageBytes int) *wire {
	limits := frame.Limits{Role: frame.Client, MaxMessageBytes: maxMessageBytes}
	return &wire{Conn: conn, writeTimeout: writeTimeout, guard: frame.NewGuard(limits)}
}

// Read hands on the handshake line by line, then only good frames.
func (w *wire) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case !w.opened:
		return w.readLine(p)
	case w.ended != nil:
		return 0, w.ended
	}
	n, err := w.fill(p)
	if n == 0 {
		return 0, err
	}
	ok, broken := w.guard.Scan(p[:n])
	if broken != nil {
		w.ended = broken
		w.finish(broken.Code, broken.Reason)
	} else if ok < n {
		w.ended = io.EOF // bytes behind a close frame mean nothing, RFC 6455 §5.5.1
	}
	if ok == 0 {
		return 0, w.ended
	}
	return ok, nil
}

// readLine hands on at most one line of the handshake. So the reader in
// net/http, which reads by lines, holds nothing back behind the empty one, and
// the guard sees every byte of every frame, whatever the server sends at once.
func (w *wire) readLine(p []byte) (int, error) {
	if w.handshook > maxHandshakeBytes {
		return 0, errHandshakeTooLong
	}
	if len(w.ahead) == 0 {
		if w.buffer == nil {
			w.buffer = make([]byte, 1024)
		}
		n, err := w.Conn.Read(w.buffer)
		if n == 0 {
			return 0, err
		}
		w.ahead = w.buffer[:n]
	}
	n := 0
	for n < len(p) && n < len(w.ahead) {
		n++
		if w.ahead[n-1] == '\n' {
			break
		}
	}
	copy(p, w.ahead[:n])
	w.ahead = w.ahead[n:]
	w.handshook += n
	return n, nil
}

// fill reads what is left over from the handshake, then the socket.
func (w *wire) fill(p []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(p, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	w.buffer = nil
	if silence := time.Duration(w.silence.Load()); silence > 0 {
		if err := w.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	n, err := w.Conn.Read(p)
	if isTimeout(err) {
		err = fmt.Errorf("nothing read for %v: %w", time.Duration(w.silence.Load()), err)
	}
	return n, err
}

// expect sets how long a read may wait, from now on. 0 is for ever.
func (w *wire) expect(silence time.Duration) {
	w.silence.Store(int64(silence))
	if silence > 0 {
		// For the read that is under way. The reader finds out if it fails.
		_ = w.SetReadDeadline(time.Now().Add(silence))
	}
}

// violation is the rule that the server broke, or nil. For readLoop.
func (w *wire) violation() *frame.Violation {
	var v *frame.Violation
	errors.As(w.ended, &v)
	return v
}

// Write writes whole frames. After the close frame it takes and drops them:
// RFC 6455 §5.5.1 allows no frame behind a close frame, and gws sends a second
// one by itself.
//
// Nor does gws hear of an error once the handshake is over: it would close the
// connection, and with it what the server said last and readLoop has not read
// yet, such as when to come back. A connection that cannot be written to is
// not silent for long: the kernel or the server ends it, or expect does. Only
// one that takes nothing for the write timeout is closed here.
func (w *wire) Write(p []byte) (int, error) {
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	if w.finished {
		return len(p), nil
	}
	err := w.SetWriteDeadline(time.Now().Add(w.writeTimeout))
	if err == nil {
		_, err = w.Conn.Write(p)
	}
	if err == nil {
		return len(p), nil
	}
	if !w.opened {
		return 0, err
	}
	w.finished, w.unwritten = true, err
	if isTimeout(err) {
		_ = w.Conn.Close()
	}
	return len(p), nil
}

// writeError is the error of the first failed write, or nil.
func (w *wire) writeError() error {
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	return w.unwritten
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// finish writes a close frame, the last of this side. It may wait for a write
// that is under way, at most the write timeout.
func (w *wire) finish(code cause.Code, reason string) {
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	if w.finished {
		return
	}
	w.finished = true
	if err := w.SetWriteDeadline(time.Now().Add(w.writeTimeout)); err != nil {
		return // the socket is closed already
	}
	_, _ = w.Conn.Write(closeFrame(code, reason)) // the reader finds out
}

func closeFrame(code cause.Code, reason string) []byte {
	var payload [frame.MaxControlPayload]byte
	var key [4]byte
	rand.Read(key[:]) // never fails, crypto/rand
	return frame.AppendMasked(nil, frame.Close, frame.AppendClosePayload(payload[:0], code, reason), key)
}
