package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
)

// goroutineEngine reads each connection on a goroutine of its own. It is the
// engine for TLS in process and for systems without epoll.
type goroutineEngine struct {
	core
	heads sync.Pool // *[]byte of MaxHeaderBytes

	mu       sync.Mutex
	listener net.Listener          // guarded by mu
	first    *socket               // guarded by mu; list of all sockets
	pending  map[net.Conn]struct{} // guarded by mu; in their handshake
}

var _ Engine = (*goroutineEngine)(nil)

func newGoroutineEngine(c Config, a *admission, d Deps) *goroutineEngine {
	e := &goroutineEngine{pending: make(map[net.Conn]struct{})}
	e.init(c, a, d)
	e.heads.New = func() any { b := make([]byte, c.MaxHeaderBytes); return &b }
	return e
}

// Name implements Engine.
func (e *goroutineEngine) Name() string { return "goroutine" }

// Serve implements Engine.
func (e *goroutineEngine) Serve(ln net.Listener) error {
	e.mu.Lock()
	e.listener = ln
	e.mu.Unlock()
	if e.stopping.Load() {
		ln.Close()
	}
	var delay time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			delay = 0
			e.accept(nc)
		case e.stopping.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default: // out of descriptors, most likely: those in use must end first
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			e.log.Warn("accept failed: raise the open-file limit if it says so", "err", err)
			time.Sleep(delay)
		}
	}
}

// accept turns the excess away before it costs a goroutine.
func (e *goroutineEngine) accept(nc net.Conn) {
	remote, proxied, refusal := e.enter(peerAddr(nc.RemoteAddr()))
	if refusal != nil {
		if e.config.TLS == nil { // a TLS client could not read it
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			nc.Write(refusal.response())
		}
		nc.Close()
		return
	}
	e.mu.Lock()
	e.pending[nc] = struct{}{}
	e.mu.Unlock()
	go e.shake(nc, remote, proxied, time.Now()) // joined by conns
}

// shake does the handshake. Whatever comes of it, the socket stays counted
// until leave.
func (e *goroutineEngine) shake(raw net.Conn, remote netip.Addr, proxied bool, accepted time.Time) {
	taken := false
	defer func() {
		if reason := recover(); reason != nil {
			e.logPanic(reason)
		}
		e.mu.Lock()
		delete(e.pending, raw)
		e.mu.Unlock()
		if !taken {
			raw.Close()
			e.leave(remote)
		}
	}()
	raw.SetDeadline(time.Now().Add(e.config.HeaderTimeout))
	buf := e.heads.Get().(*[]byte)
	defer e.heads.Put(buf)
	var refusal *Refusal
	if proxied {
		remote, refusal = e.unwrap(raw, *buf)
	}
	nc := raw
	if e.config.TLS != nil {
		nc = tls.Server(raw, e.config.TLS)
	}
	var head, early []byte
	if refusal == nil {
		head, early, refusal = readHead(nc, *buf)
	}
	var r *http.Request
	if refusal == nil {
		r, refusal = parseRequest(head)
	}
	var req request
	if refusal == nil {
		req, refusal = e.admission.route(r)
	}
	if refusal == nil && req.fallback && e.web == nil {
		refusal = RefuseNotFound
	}
	switch {
	case refusal != nil:
		e.refuse(nc, refusal)
	case req.fallback:
		taken = true
		e.web.serve(&webConn{Conn: nc, early: bytes.Clone((*buf)[:len(head)+len(early)]), gone: func() { e.leave(remote) }})
	case req.health:
		e.answerHealth(nc, req)
	default:
		taken = e.start(nc, remote, req, bytes.Clone(early), accepted)
	}
}

// unwrap reads the PROXY header of a balancer, and not a byte more.
func (e *goroutineEngine) unwrap(nc net.Conn, buf []byte) (remote netip.Addr, refusal *Refusal) {
	buf = buf[:min(len(buf), proxyMaxBytes)]
	for n, want := 0, proxyFixedBytes; ; {
		k, err := nc.Read(buf[n:min(want, len(buf))])
		n += k
		client, size, bad := parseProxy(buf[:n])
		switch {
		case bad != nil || err != nil && size == 0:
			return netip.Addr{}, RefuseBadRequest
		case size > 0:
			client = countedAddr(client)
			if refusal := e.admission.claim(client); refusal != nil {
				return netip.Addr{}, refusal
			}
			return e.counted(client), nil
		case n >= proxyFixedBytes:
			want = proxyFixedBytes + int(buf[14])<<8 + int(buf[15])
		}
	}
}

// refuse answers with HTTP. An empty reason means that nobody is there to read.
func (e *goroutineEngine) refuse(nc net.Conn, refusal *Refusal) {
	e.recorder.Refused(refusal)
	nc.SetDeadline(time.Now().Add(time.Second))
	nc.Write(refusal.response())
}

// start makes a WebSocket of nc. It reports whether a socket took over.
func (e *goroutineEngine) start(nc net.Conn, remote netip.Addr, req request, early []byte, accepted time.Time) bool {
	req.settle(e.config.Compression)
	var answer capture
	_, err := e.upgraders[req.protocol].UpgradeFromConn(&answer, nil, req.http)
	if err == nil {
		_, err = nc.Write(answer.written)
	}
	if err != nil {
		e.recorder.Refused(RefuseBadRequest)
		return false
	}
	nc.SetDeadline(time.Time{})
	e.recorder.Handshake(time.Since(accepted))
	k := newSocket(e, nc, remote, req.deflate)
	e.remember(k)
	e.sessions.Attach(actors.AttachParams{Transport: k, Wire: req.wire(), Tenant: req.tenant, Token: req.token},
		func(p Peer) { k.peer = p })
	// A fresh goroutine: parsing HTTP has grown this one's stack, and the new
	// one keeps its small stack for as long as the client stays.
	go k.readLoop(early) // joined by conns
	return true
}

// answerHealth is GET /ws/health: balancers that can speak WebSocket see what
// a client would.
func (e *goroutineEngine) answerHealth(nc net.Conn, req request) {
	if err := e.ready(); err != nil {
		e.refuse(nc, RefuseNotReady)
		return
	}
	req.http.Header.Del("Sec-Websocket-Extensions")
	var answer capture
	if _, err := e.health.UpgradeFromConn(&answer, nil, req.http); err != nil {
		return
	}
	b := frame.Append(answer.written, frame.Text, []byte("OK"))
	nc.Write(frame.AppendClose(b, cause.ClientClosed, ""))
}

func (e *goroutineEngine) remember(k *socket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k.next = e.first; k.next != nil {
		k.next.prev = k
	}
	e.first = k
}

// forget counts a socket out that has ended.
func (e *goroutineEngine) forget(k *socket) {
	e.mu.Lock()
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		e.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	}
	e.mu.Unlock()
	e.leave(k.remote)
}

// Stop implements Engine.
func (e *goroutineEngine) Stop() {
	e.stopping.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listener != nil {
		e.listener.Close()
	}
}

// Close implements Engine.
func (e *goroutineEngine) Close(ctx context.Context) error {
	e.Stop()
	e.web.close()
	e.mu.Lock()
	for k := e.first; k != nil; k = k.next {
		k.cut()
	}
	for nc := range e.pending {
		nc.Close()
	}
	e.mu.Unlock()
	return e.await(ctx, func() {})
}

// readHead reads up to and including the blank line that ends an HTTP request
// head. Bytes that came with it are early.
func readHead(nc net.Conn, buf []byte) (head, early []byte, refusal *Refusal) {
	for n := 0; ; {
		if n == len(buf) {
			return nil, nil, RefuseHeaderTooBig
		}
		k, err := nc.Read(buf[n:])
		from := max(n-3, 0)
		n += k
		if i := bytes.Index(buf[from:n], []byte("\r\n\r\n")); i >= 0 {
			end := from + i + 4
			return buf[:end], buf[end:n], nil
		}
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return nil, nil, RefuseHeaderTimeout
			}
			return nil, nil, RefuseBadRequest
		}
	}
}
