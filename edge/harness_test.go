package edge

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
	"hawser/tests/wsconform"
)

// patience is how long a condition may take before a test fails. It is not a
// measurement: it only ends tests that hang.
const patience = 20 * time.Second

// counts is a Recorder of both rooms that tests can ask.
type counts struct {
	mu       sync.Mutex
	opened   int
	closed   map[cause.Code]int
	refused  map[string]int
	writes   int
	frames   int
	blocked  int
	dropped  map[actors.DropReason]int
	commands int
}

func newCounts() *counts {
	return &counts{closed: map[cause.Code]int{}, refused: map[string]int{}, dropped: map[actors.DropReason]int{}}
}

func (c *counts) with(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }

func (c *counts) Opened()                                 { c.with(func() { c.opened++ }) }
func (c *counts) Closed(code cause.Code, _ time.Duration) { c.with(func() { c.closed[code]++ }) }
func (c *counts) Command(string)                          { c.with(func() { c.commands++ }) }
func (c *counts) CommandError(uint32)                     {}
func (c *counts) Delivered(int, int)                      {}
func (c *counts) Dropped(r actors.DropReason, n int)      { c.with(func() { c.dropped[r] += n }) }
func (c *counts) Refused(r *Refusal)                      { c.with(func() { c.refused[r.Reason]++ }) }
func (c *counts) Handshake(time.Duration)                 {}
func (c *counts) Read(int)                                {}
func (c *counts) Wrote(frames, _ int, blocked bool) {
	c.with(func() {
		c.writes++
		c.frames += frames
		if blocked {
			c.blocked++
		}
	})
}

func (c *counts) closedAs(code cause.Code) (n int)  { c.with(func() { n = c.closed[code] }); return n }
func (c *counts) refusedAs(r *Refusal) (n int)      { c.with(func() { n = c.refused[r.Reason] }); return n }
func (c *counts) drops(r actors.DropReason) (n int) { c.with(func() { n = c.dropped[r] }); return n }

// memoryBroker delivers publications to the System of the same process.
type memoryBroker struct{ system *actors.System }

func (b *memoryBroker) Subscribe(_, _ string, ready func(error)) { ready(nil) }
func (b *memoryBroker) Unsubscribe(_, _ string)                  {}
func (b *memoryBroker) PublishChannel(tenant, channel string, data []byte) error {
	b.system.Deliver(tenant, channel, 0, data)
	return nil
}
func (b *memoryBroker) PublishApp(_, _, _, _ string, _ []byte) error { return nil }
func (b *memoryBroker) Request(_, _, _, _ string, data []byte, done func([]byte, error)) {
	done(data, nil)
}

type anyone struct{}

func (anyone) Verify(_, token string, done func(actors.Identity, error)) {
	if token == "bad" {
		done(actors.Identity{}, errors.New("bad token"))
		return
	}
	done(actors.Identity{User: token}, nil)
}

type noResume struct{}

func (noResume) Issue(actors.ResumeState) string { return "" }
func (noResume) Open(string) (actors.ResumeState, error) {
	return actors.ResumeState{}, errors.New("no")
}

type wall struct{}

func (wall) Now() time.Time { return time.Now() }

// rig is a Server with its actors on a real listener.
type rig struct {
	t        *testing.T
	server   *Server
	system   *actors.System // nil for an echo rig
	counts   *counts
	addr     string
	notReady error
}

// rigOptions change the defaults of a rig.
type rigOptions struct {
	edge   func(*Config)
	actors func(*actors.Config)
	echo   bool // data frames come back instead of reaching actors
}

func newRig(t *testing.T, engine string, o rigOptions) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	descriptors := openDescriptors()
	r := &rig{t: t, counts: newCounts()}
	cfg := DefaultConfig()
	cfg.Engine = engine
	if o.edge != nil {
		o.edge(&cfg)
	}
	deps := Deps{Recorder: r.counts, Ready: func() error { return r.notReady }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if o.echo {
		deps.Sessions = echoSessions{}
	} else {
		r.system = r.newSystem(o)
		deps.Sessions = Actors(r.system)
	}
	server, err := NewServer(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	r.server = server
	ln, err := ListenConfig(time.Minute).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	var loops sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	loops.Go(func() {
		if err := server.Serve(ln); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	if r.system != nil {
		loops.Go(func() { r.tick(ctx) })
	}
	t.Cleanup(func() {
		limit, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := server.Close(limit); err != nil {
			t.Error(err)
		}
		if r.system != nil {
			r.until("connections are gone", func() bool { return r.system.Conns() == 0 })
			r.checkAccounts()
			if err := r.system.Close(limit); err != nil {
				t.Error(err)
			}
		}
		cancel()
		loops.Wait()
		r.until("goroutines are back", func() bool { return runtime.NumGoroutine() <= before })
		r.until("descriptors are back", func() bool { return openDescriptors() <= descriptors })
	})
	return r
}

func (r *rig) newSystem(o rigOptions) *actors.System {
	cfg := actors.DefaultConfig()
	cfg.Node = "test"
	cfg.RateMessages = 0
	cfg.Rules = []actors.Rule{{Pattern: ">", Subscribe: actors.Allow, Publish: actors.Allow, Destination: actors.ToChannel}}
	if o.actors != nil {
		o.actors(&cfg)
	}
	broker := new(memoryBroker)
	system, err := actors.NewSystem(cfg, actors.Deps{Broker: broker, Authenticator: anyone{}, Resumer: noResume{}, Encoder: Encoder{},
		Recorder: r.counts, Clock: wall{}, Random: rand.Reader, Jitter: mrand.New(mrand.NewPCG(1, 2)),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		r.t.Fatal(err)
	}
	broker.system = system
	return system
}

func (r *rig) tick(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.system.Tick()
		}
	}
}

// checkAccounts is promise P3 on one node: each open has one close.
func (r *rig) checkAccounts() {
	r.counts.mu.Lock()
	defer r.counts.mu.Unlock()
	closed := 0
	for _, n := range r.counts.closed {
		closed += n
	}
	if closed != r.counts.opened {
		r.t.Errorf("opened %d, closed %d: %v", r.counts.opened, closed, r.counts.closed)
	}
}

// until waits for a condition.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			r.t.Fatalf("%s: still not after %v\n%s", what, patience, buf[:runtime.Stack(buf, true)])
		}
	}
}

func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// echoSessions sends every data message back, for the conformance suite.
type echoSessions struct{}

func (echoSessions) Attach(p actors.AttachParams, bind func(Peer)) {
	bind(&echoPeer{transport: p.Transport, deflate: p.Wire.Deflate})
}

type echoPeer struct {
	out       actors.Outbox
	transport actors.Transport
	deflate   bool
}

func (p *echoPeer) put(b []byte) {
	if first, err := p.out.Put(actors.NewFrame(b), 64<<20); err == nil && first {
		p.transport.Flush()
	}
}

func (p *echoPeer) Message(text bool, payload []byte) {
	op := frame.Binary
	if text {
		op = frame.Text
	}
	if p.deflate {
		if b := deflated(op, payload); b != nil {
			p.put(b)
			return
		}
	}
	p.put(frame.Append(nil, op, payload))
}
func (p *echoPeer) Ping(payload []byte) { p.put(frame.Append(nil, frame.Pong, payload)) }
func (p *echoPeer) Pong()               {}
func (p *echoPeer) Violate(code cause.Code) {
	p.out.Seal(false, actors.NewFrame(frame.AppendClose(nil, code, "")))
	p.transport.Finish()
}
func (p *echoPeer) Closed(cause.Code)      { p.out.Abandon() }
func (p *echoPeer) Outbox() *actors.Outbox { return &p.out }

// raw opens a connection whose handshake is done.
func (r *rig) raw(target string, protocol codec.Protocol) (net.Conn, error) {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	return wsconform.Handshake(conn, target, "Sec-WebSocket-Protocol: "+protocol.Subprotocol())
}

// offer is raw with an offer of extensions.
func (r *rig) offer(target string, protocol codec.Protocol, extensions string) (net.Conn, string, error) {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil, "", err
	}
	conn.SetDeadline(time.Now().Add(patience))
	return wsconform.HandshakeOffer(conn, target, extensions, "Sec-WebSocket-Protocol: "+protocol.Subprotocol())
}

// testClient speaks a protocol, frame by frame: JSON where not said otherwise.
type testClient struct {
	t        *testing.T
	conn     net.Conn
	br       *bufio.Reader
	todo     []*clientv1.ServerMessage
	protocol codec.Protocol
	deflate  bool // agreed on
	inflated int  // frames that came compressed
}

func (r *rig) dial(t *testing.T) *testClient {
	t.Helper()
	conn, err := r.raw("/ws/demo", codec.JSON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &testClient{t: t, conn: conn, br: bufio.NewReaderSize(conn, 64<<10)}
}

// compressed is a connected client of a protocol with compression; plain one
// without.
func (r *rig) compressed(t *testing.T, p codec.Protocol) *testClient {
	return r.connect(t, p, "permessage-deflate")
}
func (r *rig) plain(t *testing.T, p codec.Protocol) *testClient { return r.connect(t, p, "") }

func (r *rig) connect(t *testing.T, p codec.Protocol, extensions string) *testClient {
	t.Helper()
	conn, agreed, err := r.offer("/ws/demo", p, extensions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &testClient{t: t, conn: conn, br: bufio.NewReaderSize(conn, 64<<10), protocol: p, deflate: agreed != ""}
	c.command(&clientv1.ClientMessage{Id: 1, Body: &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{}}})
	if m := c.next(); m.GetConnected() == nil {
		t.Fatalf("got %v, want connected", m)
	}
	return c
}

// connected is dial and the connect command.
func (r *rig) connected(t *testing.T) *testClient {
	t.Helper()
	c := r.dial(t)
	c.send(`{"id":1,"connect":{}}`)
	if m := c.next(); m.GetConnected() == nil {
		t.Fatalf("got %v, want connected", m)
	}
	return c
}

func (c *testClient) send(text string) {
	c.t.Helper()
	c.write(frame.AppendMasked(nil, frame.Text, []byte(text), [4]byte{1, 2, 3, 4}))
}

// command sends m in the client's protocol.
func (c *testClient) command(m *clientv1.ClientMessage) {
	c.t.Helper()
	c.write(frame.AppendMasked(nil, c.opcode(), codec.AppendClient(nil, c.protocol, m), [4]byte{1, 2, 3, 4}))
}

func (c *testClient) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testClient) opcode() frame.Opcode {
	if c.protocol.Text() {
		return frame.Text
	}
	return frame.Binary
}

// frame reads one frame; pings are answered and skipped.
func (c *testClient) frame() (frame.Opcode, []byte, error) {
	for {
		head := make([]byte, 2, 10)
		if _, err := io.ReadFull(c.br, head); err != nil {
			return 0, nil, err
		}
		n := int(head[1])
		switch n {
		case 126:
			ext := make([]byte, 2)
			io.ReadFull(c.br, ext)
			n = int(ext[0])<<8 | int(ext[1])
		case 127:
			ext := make([]byte, 8)
			io.ReadFull(c.br, ext)
			n = int(ext[4])<<24 | int(ext[5])<<16 | int(ext[6])<<8 | int(ext[7])
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(c.br, payload); err != nil {
			return 0, nil, err
		}
		if head[0]&0x40 != 0 {
			if !c.deflate {
				return 0, nil, errors.New("RSV1 without permessage-deflate")
			}
			var err error
			if payload, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))); err != nil {
				return 0, nil, err
			}
			c.inflated++
		}
		op := frame.Opcode(head[0] & 15)
		if op != frame.Ping {
			return op, payload, nil
		}
		c.conn.Write(frame.AppendMasked(nil, frame.Pong, payload, [4]byte{}))
	}
}

// next reads one message.
func (c *testClient) next() *clientv1.ServerMessage {
	c.t.Helper()
	for len(c.todo) == 0 {
		op, payload, err := c.frame()
		if err != nil || op != c.opcode() {
			c.t.Fatalf("got opcode %d, payload %q, error %v; want a message", op, payload, err)
		}
		if c.todo, err = codec.DecodeServer(c.protocol, payload); err != nil {
			c.t.Fatal(err)
		}
	}
	m := c.todo[0]
	c.todo = c.todo[1:]
	return m
}

// closeCode reads to the close frame and answers it.
func (c *testClient) closeCode() cause.Code {
	c.t.Helper()
	for {
		op, payload, err := c.frame()
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
		if op == frame.Close {
			c.conn.Write(frame.AppendMasked(nil, frame.Close, payload, [4]byte{}))
			return cause.Code(payload[0])<<8 | cause.Code(payload[1])
		}
	}
}

// get sends a raw request and returns the answer's status and header.
func (r *rig) get(request string) *http.Response {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, strings.ReplaceAll(request, "\n", "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatalf("%q: %v", request, err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}
