package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
	"hawser/proto/codec"
)

// TestMain fails when a test leaves a goroutine of ours behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(5 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits until no goroutine but the test's own runs our code or gws'.
func leaked(most time.Duration) string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(most)
	for {
		buf := make([]byte, 1<<20)
		var ours []string
		for i, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if i > 0 && (strings.Contains(stack, "hawser/") || strings.Contains(stack, "lxzan/gws")) {
				ours = append(ours, stack)
			}
		}
		if len(ours) == 0 {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline:
			return strings.Join(ours, "\n\n")
		}
	}
}

// fake is a hawser of one goroutine a connection, which speaks the protocol
// and does what the test's hooks say.
type fake struct {
	gws.BuiltinEventHandler
	t        testing.TB
	upgrader *gws.Upgrader

	mu      sync.Mutex
	dials   int
	refused int // dials to refuse
	conns   map[*gws.Conn]*fakeConn
	history []*clientv1.ClientMessage // all commands, in order
	when    []time.Time               // of each dial

	// Hooks, nil for the default. They run on the connection's goroutine.
	onConnect   func(*clientv1.Connect) *clientv1.ServerMessage
	onSubscribe func(channel string) *clientv1.Error
	onPublish   func(*clientv1.Publish) *clientv1.Error
	onRPC       func(*clientv1.Rpc) (*clientv1.ServerMessage, bool)
	onRefresh   func(token string) *clientv1.ServerMessage
	mute        bool // answers nothing
}

type fakeConn struct {
	ws    *gws.Conn
	codec codec.Protocol
	subs  map[string]bool // guarded by fake.mu
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, conns: make(map[*gws.Conn]*fakeConn)}
	f.upgrader = gws.NewUpgrader(f, &gws.ServerOption{SubProtocols: []string{string(Proto), string(JSON)}})
	return f
}

// dial is a Config.Dial over a pipe, so that a synctest bubble sees its waits.
func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	f.dials++
	f.when = append(f.when, time.Now())
	refuse := f.refused > 0
	if refuse {
		f.refused--
	}
	f.mu.Unlock()
	if refuse {
		return nil, fmt.Errorf("connection refused")
	}
	ours, theirs := net.Pipe()
	go f.serve(theirs) // ends with the pipe
	return ours, nil
}

// serve is one connection of the server.
func (f *fake) serve(conn net.Conn) {
	br := bufio.NewReader(conn)
	request, err := http.ReadRequest(br)
	if err != nil {
		_ = conn.Close()
		return
	}
	if ws, err := f.upgrader.UpgradeFromConn(conn, br, request); err == nil {
		ws.ReadLoop()
	}
}

func (f *fake) OnOpen(ws *gws.Conn) {
	p, _ := codec.Parse(ws.SubProtocol())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[ws] = &fakeConn{ws: ws, codec: p, subs: make(map[string]bool)}
}

func (f *fake) OnClose(ws *gws.Conn, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, ws)
}

func (f *fake) OnMessage(ws *gws.Conn, frame *gws.Message) {
	f.mu.Lock()
	conn := f.conns[ws]
	f.mu.Unlock()
	messages, err := codec.DecodeClient(conn.codec, frame.Bytes())
	if err != nil {
		f.t.Errorf("server cannot decode %q: %v", frame.Bytes(), err)
	}
	f.mu.Lock()
	f.history = append(f.history, messages...)
	mute := f.mute
	f.mu.Unlock()
	for _, m := range messages {
		if mute {
			continue
		}
		if answer := f.answer(conn, m); answer != nil {
			answer.Id = m.Id
			f.write(conn, answer)
			if d := answer.GetDisconnect(); d != nil {
				_ = ws.WriteClose(uint16(d.Code), []byte(d.Reason))
			}
		}
	}
}

func (f *fake) answer(conn *fakeConn, m *clientv1.ClientMessage) *clientv1.ServerMessage {
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		if f.onConnect != nil {
			return f.onConnect(body.Connect)
		}
		return connectedAnswer(0)
	case *clientv1.ClientMessage_Subscribe:
		if f.onSubscribe != nil {
			if e := f.onSubscribe(body.Subscribe.Channel); e != nil {
				return errorAnswer(e)
			}
		}
		f.mu.Lock()
		conn.subs[body.Subscribe.Channel] = true
		f.mu.Unlock()
		return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Subscribed{Subscribed: &clientv1.Subscribed{Channel: body.Subscribe.Channel}}}
	case *clientv1.ClientMessage_Unsubscribe:
		f.mu.Lock()
		delete(conn.subs, body.Unsubscribe.Channel)
		f.mu.Unlock()
		return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Unsubscribed{Unsubscribed: &clientv1.Unsubscribed{Channel: body.Unsubscribe.Channel}}}
	case *clientv1.ClientMessage_Publish:
		if f.onPublish != nil {
			if e := f.onPublish(body.Publish); e != nil {
				return errorAnswer(e)
			}
		}
		f.push(body.Publish.Channel, body.Publish.Data)
		return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Published{Published: &clientv1.Published{}}}
	case *clientv1.ClientMessage_Rpc:
		if f.onRPC != nil {
			if m, ok := f.onRPC(body.Rpc); ok {
				return m
			}
			return nil
		}
		return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Rpc{Rpc: &clientv1.RpcResult{Data: body.Rpc.Data}}}
	case *clientv1.ClientMessage_Refresh:
		return f.onRefresh(body.Refresh.Token)
	}
	return nil
}

func (f *fake) write(conn *fakeConn, m *clientv1.ServerMessage) {
	opcode := gws.OpcodeBinary
	if conn.codec.Text() {
		opcode = gws.OpcodeText
	}
	_ = conn.ws.WriteMessage(opcode, codec.AppendServer(nil, conn.codec, m))
}

// each calls do for each connection, in no order.
func (f *fake) each(do func(*fakeConn)) {
	f.mu.Lock()
	var conns []*fakeConn
	for _, c := range f.conns {
		conns = append(conns, c)
	}
	f.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

// push publishes to the subscribers of a channel.
func (f *fake) push(channel string, data []byte) {
	f.each(func(c *fakeConn) {
		f.mu.Lock()
		subscribed := c.subs[channel]
		f.mu.Unlock()
		if subscribed {
			f.write(c, &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{
				Publication: &clientv1.Publication{Channel: channel, Data: data}}})
		}
	})
}

// disconnect ends all connections as hawser does.
func (f *fake) disconnect(code cause.Code, retryAfter time.Duration) {
	f.each(func(c *fakeConn) {
		f.write(c, disconnectMessage(code, retryAfter))
		_ = c.ws.WriteClose(uint16(code), []byte(code.String()))
	})
}

// kill ends all connections without a word.
func (f *fake) kill() { f.each(func(c *fakeConn) { _ = c.ws.NetConn().Close() }) }

// commands are those seen so far, as "kind" or "kind channel".
func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, m := range f.history {
		out = append(out, commandName(m))
	}
	return out
}

func commandName(m *clientv1.ClientMessage) string {
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		return "connect"
	case *clientv1.ClientMessage_Subscribe:
		return "subscribe " + body.Subscribe.Channel
	case *clientv1.ClientMessage_Unsubscribe:
		return "unsubscribe " + body.Unsubscribe.Channel
	case *clientv1.ClientMessage_Publish:
		return "publish " + body.Publish.Channel
	case *clientv1.ClientMessage_Rpc:
		return "rpc " + body.Rpc.Method
	case *clientv1.ClientMessage_Refresh:
		return "refresh " + body.Refresh.Token
	}
	return "unknown"
}

func connectedAnswer(expiresMs uint64) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Connected{Connected: &clientv1.Connected{
		Session: "s1", ResumeToken: "r1", Node: "n1", User: "ann", ExpiresMs: expiresMs}}}
}

func errorAnswer(e *clientv1.Error) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Error{Error: e}}
}

func disconnectMessage(code cause.Code, retryAfter time.Duration) *clientv1.ServerMessage {
	row := cause.Of(code)
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Disconnect{Disconnect: &clientv1.Disconnect{
		Code: uint32(code), Reason: row.Name, Reconnect: row.Reconnect(), RetryAfterMs: uint32(retryAfter.Milliseconds())}}}
}

// start returns a client of f, with edit applied to its configuration. The
// test closes it.
func start(t *testing.T, f *fake, edit func(*Config)) *Client {
	t.Helper()
	const seed = 7
	cfg := Config{URL: "ws://hawser.test/ws/demo", Dial: f.dial, Rand: rand.New(rand.NewPCG(seed, seed))}
	if edit != nil {
		edit(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// recorder keeps what callbacks were told.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// states notes changes but for those to Connecting, which may be merged with
// the change after them.
func (r *recorder) states() func(context.Context, StateChange) {
	return func(_ context.Context, c StateChange) {
		if c.To == Connecting {
			return
		}
		if c.Err != nil {
			r.add("%v: %s", c.To, c.Err.Cause.Name)
			return
		}
		r.add("%v", c.To)
	}
}

func (r *recorder) handler() Handler {
	return func(_ context.Context, p Publication) { r.add("%s=%s", p.Channel, bytes.Clone(p.Data)) }
}
