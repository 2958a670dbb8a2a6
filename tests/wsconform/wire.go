package wsconform

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Opcodes, the FIN bit and the mask bit, RFC 6455 §5.2.
const (
	cont = 0x0
	text = 0x1
	bin  = 0x2
	clos = 0x8
	ping = 0x9
	pong = 0xa
	fin  = 0x80
	mask = 0x80
)

// maxFrame is how long a frame of the server may be, in bytes: four times the
// biggest message of the case list.
const maxFrame = 64 << 20

// frame builds one masked frame with any first byte.
func frame(first byte, payload string) []byte {
	b := make([]byte, 0, len(payload)+14)
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	key := [4]byte{0x9d, 0x02, 0xe7, 0x51} // any: no proxy is fooled by a test
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// whole builds an unfragmented frame.
func whole(op byte, payload string) []byte { return frame(fin|op, payload) }

// part builds a fragment that is not the last.
func part(op byte, payload string) []byte { return frame(op, payload) }

// closing builds a close frame with a code.
func closing(code int, reason string) []byte {
	return whole(clos, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// event is a message or control frame of the server.
type event struct {
	op   byte // text, bin, ping, pong, clos; 0: the server broke the RFC
	data string
	code int // of a close; noCode when it has none
}

// noCode stands for a close frame without a code, RFC 6455 §7.1.5.
const noCode = 1005

// String is for reports: big payloads are clipped.
func (e event) String() string {
	name := map[byte]string{text: "text", bin: "binary", ping: "ping", pong: "pong", clos: "close", 0: "bad frame"}[e.op]
	switch {
	case e.op == clos:
		return fmt.Sprintf("close %d %q", e.code, e.data)
	case len(e.data) > 32:
		return fmt.Sprintf("%s of %d bytes %q…", name, len(e.data), e.data[:24])
	default:
		return fmt.Sprintf("%s %q", name, e.data)
	}
}

// peer is the client side of one connection. readLoop is its only goroutine;
// close waits for it.
type peer struct {
	conn     net.Conn
	deflated bool          // the server may compress
	news     chan struct{} // a token when got or ended changed; never closed
	done     chan struct{} // closed by readLoop, last of all

	// Owned by the goroutine of the case.
	closeSent bool

	// Guarded by mu.
	mu    sync.Mutex
	got   []event
	ended bool // nothing more will come
}

func newPeer(conn net.Conn, deflated bool) *peer {
	p := &peer{conn: conn, deflated: deflated, news: make(chan struct{}, 1), done: make(chan struct{})}
	go p.readLoop()
	return p
}

// close ends the connection and waits for readLoop.
func (p *peer) close() {
	p.conn.Close()
	<-p.done
}

// write sends bytes. Errors are of no interest: what counts is what the server
// has said before it stopped listening.
func (p *peer) write(b []byte, patience time.Duration) {
	p.conn.SetWriteDeadline(time.Now().Add(patience))
	p.conn.Write(b)
}

// wait blocks until cond holds or patience is over, and reports cond. cond
// sees what has come so far; it is called under mu.
func (p *peer) wait(patience time.Duration, cond func(got []event, ended bool) bool) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		holds := cond(p.got, p.ended)
		p.mu.Unlock()
		if holds {
			return true
		}
		select {
		case <-p.news:
		case <-timeout.C:
			return false
		}
	}
}

// events is what has come so far.
func (p *peer) events() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// readLoop reads until the connection ends.
func (p *peer) readLoop() {
	defer close(p.done)
	r := messageReader{br: bufio.NewReader(p.conn), deflated: p.deflated}
	for {
		e, err := r.next()
		p.add(e, err)
		if err != nil {
			return
		}
	}
}

// add records one event, or the end.
func (p *peer) add(e event, err error) {
	p.mu.Lock()
	if err == nil {
		p.got = append(p.got, e)
	} else {
		p.ended = true
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// messageReader reads the frames of a server and puts messages together.
type messageReader struct {
	br       *bufio.Reader
	deflated bool // RSV1 may be set
	open     byte // opcode of the open message; 0: none
	packed   bool // it is compressed
	data     []byte
}

// next returns the next message or control frame. A frame that no server may
// send is an event of opcode 0, and the last but the error.
func (r *messageReader) next() (event, error) {
	for {
		first, payload, err := r.readFrame()
		if err != nil {
			return event{}, err
		}
		op := first & 0x0f
		switch {
		case first&0x30 != 0, first&rsv1 != 0 && !(r.deflated && (op == text || op == bin)), op >= clos && first&fin == 0, op >= clos && len(payload) > 125:
			return event{data: fmt.Sprintf("first byte %#x with %d bytes", first, len(payload))}, nil
		case op == clos:
			return closeEvent(payload), nil
		case op == ping, op == pong:
			return event{op: op, data: string(payload)}, nil
		case op > bin, op == cont && r.open == 0, op != cont && r.open != 0:
			return event{data: fmt.Sprintf("opcode %d in a message of opcode %d", op, r.open)}, nil
		case op != cont:
			r.open, r.packed, r.data = op, first&rsv1 != 0, nil
		}
		r.data = append(r.data, payload...)
		if first&fin != 0 {
			return r.message(), nil
		}
	}
}

// message takes the message that is complete.
func (r *messageReader) message() event {
	e := event{op: r.open, data: string(r.data)}
	if r.packed {
		data, err := inflate(e.data)
		e.data = data
		if err != nil {
			e = event{data: fmt.Sprintf("%d bytes that do not inflate: %v", len(r.data), err)}
		}
	}
	r.open, r.data = 0, nil
	return e
}

// readFrame reads one frame of a server: unmasked.
func (r *messageReader) readFrame() (first byte, payload []byte, err error) {
	var h [8]byte
	if _, err = io.ReadFull(r.br, h[:2]); err != nil {
		return 0, nil, err
	}
	first = h[0]
	n := uint64(h[1])
	switch {
	case n >= mask:
		return 0, nil, fmt.Errorf("wsconform: the server sent a masked frame")
	case n == 126:
		_, err = io.ReadFull(r.br, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case n == 127:
		_, err = io.ReadFull(r.br, h[:8])
		n = binary.BigEndian.Uint64(h[:8])
	}
	if err == nil && n > maxFrame {
		err = fmt.Errorf("wsconform: the server sent a frame of %d bytes", n)
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r.br, payload)
	return first, payload, err
}

// closeEvent reads a close frame.
func closeEvent(payload []byte) event {
	switch len(payload) {
	case 0:
		return event{op: clos, code: noCode}
	case 1:
		return event{data: "close frame with half a code"}
	}
	return event{op: clos, code: int(payload[0])<<8 | int(payload[1]), data: string(payload[2:])}
}
