package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// manualClock stands still until it is told to move.
type manualClock struct {
	nanos atomic.Int64
	asked atomic.Int64 // calls of Now
}

func newManualClock() *manualClock {
	c := new(manualClock)
	c.nanos.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *manualClock) Now() time.Time {
	c.asked.Add(1)
	return time.Unix(0, c.nanos.Load())
}

func (c *manualClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// statusError is a StatusError.
type statusError struct {
	code      uint32
	message   string
	temporary bool
}

func (e statusError) Error() string                  { return e.message }
func (e statusError) Status() (uint32, string, bool) { return e.code, e.message, e.temporary }

var (
	errFake401 = statusError{401, "bad token", false}
	errFake503 = statusError{503, "no NATS", true}
)

// fakeBroker keeps the interest of a node and what was published. It checks
// its own contract: Unsubscribe once for each Subscribe that became ready.
type fakeBroker struct {
	mu           sync.Mutex
	hold         bool // answers wait for answerAll
	fail         error
	interest     map[topicKey]int // ready and not given back
	pending      []func(err error)
	subscribed   int // calls
	ready        int // calls that became ready
	unsubscribed int
	violations   []string
	published    []string
	requests     []fakeRequest
	publishErr   error
	onPublish    func()
}

type fakeRequest struct {
	method, user, session, data string
	done                        func([]byte, error)
}

var _ Broker = (*fakeBroker)(nil)

func newFakeBroker() *fakeBroker { return &fakeBroker{interest: make(map[topicKey]int)} }

func (b *fakeBroker) Subscribe(tenant, channel string, ready func(error)) {
	b.mu.Lock()
	b.subscribed++
	answer := func(err error) {
		b.mu.Lock()
		if err == nil {
			b.ready++
			b.interest[topicKey{tenant, channel}]++
		}
		b.mu.Unlock()
		ready(err)
	}
	hold, fail := b.hold, b.fail
	if hold {
		b.pending = append(b.pending, answer)
	}
	b.mu.Unlock()
	if !hold {
		answer(fail)
	}
}

// answerAll answers every Subscribe that waits.
func (b *fakeBroker) answerAll(err error) {
	b.mu.Lock()
	pending := b.pending
	b.pending = nil
	b.mu.Unlock()
	for _, answer := range pending {
		answer(err)
	}
}

func (b *fakeBroker) Unsubscribe(tenant, channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsubscribed++
	key := topicKey{tenant, channel}
	if b.interest[key]--; b.interest[key] < 0 {
		b.violations = append(b.violations, fmt.Sprintf("Unsubscribe(%s, %s) without interest", tenant, channel))
	}
	if b.interest[key] == 0 {
		delete(b.interest, key)
	}
}

func (b *fakeBroker) PublishChannel(tenant, channel string, data []byte) error {
	return b.publish("channel", tenant, channel, "", "", data)
}

func (b *fakeBroker) PublishApp(tenant, channel, user, session string, data []byte) error {
	return b.publish("app", tenant, channel, user, session, data)
}

func (b *fakeBroker) publish(to, tenant, channel, user, session string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onPublish != nil {
		b.onPublish()
	}
	from := ""
	if session != "" {
		from = " from " + user
	}
	b.published = append(b.published, fmt.Sprintf("%s %s/%s%s: %s", to, tenant, channel, from, data))
	return b.publishErr
}

func (b *fakeBroker) Request(tenant, method, user, session string, data []byte, done func([]byte, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, fakeRequest{method, user, session, string(data), done})
}

func (b *fakeBroker) counts() (subscribed, ready, unsubscribed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subscribed, b.ready, b.unsubscribed
}

// check fails the test when interest is left or was given back too often.
func (b *fakeBroker) check(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.violations {
		t.Errorf("broker: %s", v)
	}
	if len(b.interest) != 0 || b.unsubscribed != b.ready {
		t.Errorf("broker: %d became ready, %d given back, interest left in %v", b.ready, b.unsubscribed, b.interest)
	}
}

// fakeAuth takes tokens such as "ann", "ann expires=60s", "" for anonymous;
// "bad" fails, and "later" waits for answer.
type fakeAuth struct {
	clock  Clock
	mu     sync.Mutex
	waits  []func(Identity, error)
	onCall func()
}

func (a *fakeAuth) Verify(_, token string, done func(Identity, error)) {
	if a.onCall != nil {
		a.onCall()
	}
	user, rest, _ := strings.Cut(token, " ")
	switch user {
	case "bad":
		done(Identity{}, errFake401)
		return
	case "later":
		a.mu.Lock()
		a.waits = append(a.waits, done)
		a.mu.Unlock()
		return
	}
	id := Identity{User: user}
	if life, ok := strings.CutPrefix(rest, "expires="); ok {
		d, err := time.ParseDuration(life)
		if err != nil {
			panic(err)
		}
		id.Expires = a.clock.Now().Add(d)
	}
	done(id, nil)
}

// answer answers the oldest Verify that waits.
func (a *fakeAuth) answer(id Identity, err error) {
	a.mu.Lock()
	done := a.waits[0]
	a.waits = a.waits[1:]
	a.mu.Unlock()
	done(id, err)
}

// fakeResumer writes tokens that one can read. stale makes all of them so.
type fakeResumer struct{ stale atomic.Bool }

func (r *fakeResumer) Issue(s ResumeState) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (r *fakeResumer) Open(token string) (s ResumeState, err error) {
	if err := json.Unmarshal([]byte(token), &s); err != nil {
		return s, errors.New("forged")
	}
	s.Stale = r.stale.Load()
	return s, nil
}

// textEncoder writes frames that one can read: JSON for both protocols, with
// a P ahead for protobuf and a Z for compression, and words for control
// frames.
type textEncoder struct {
	fail         *atomic.Bool
	publications *atomic.Int64 // encoded; nil: not counted
}

func (e textEncoder) Message(wire Wire, m *clientv1.ServerMessage) *Frame {
	if e.fail != nil && e.fail.Load() {
		panic("encoder broke")
	}
	var b []byte
	if wire.Deflate {
		b = append(b, 'Z')
	}
	if wire.Protocol == codec.Proto {
		b = append(b, 'P')
	}
	if m.GetPublication() != nil && e.publications != nil {
		e.publications.Add(1)
	}
	return NewFrame(codec.AppendServer(b, codec.JSON, m))
}

func (textEncoder) Ping() *Frame              { return NewFrame([]byte("ping")) }
func (textEncoder) Pong(p []byte) *Frame      { return NewFrame(append([]byte("pong "), p...)) }
func (textEncoder) Close(c cause.Code) *Frame { return NewFrame([]byte("close " + c.String())) }

// fakeRecorder counts.
type fakeRecorder struct {
	opened, delivered, commands, commandErrors atomic.Int64

	mu      sync.Mutex
	closed  map[cause.Code]int
	dropped map[DropReason]int
	lived   []time.Duration
	onDrop  func()
}

func newFakeRecorder() *fakeRecorder {
	return &fakeRecorder{closed: make(map[cause.Code]int), dropped: make(map[DropReason]int)}
}

func (r *fakeRecorder) Opened()                { r.opened.Add(1) }
func (r *fakeRecorder) Command(string)         { r.commands.Add(1) }
func (r *fakeRecorder) CommandError(uint32)    { r.commandErrors.Add(1) }
func (r *fakeRecorder) Delivered(conns, _ int) { r.delivered.Add(int64(conns)) }

func (r *fakeRecorder) Closed(c cause.Code, lived time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed[c]++
	r.lived = append(r.lived, lived)
}

func (r *fakeRecorder) Dropped(reason DropReason, n int) {
	if r.onDrop != nil {
		r.onDrop()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped[reason] += n
}

func (r *fakeRecorder) closedBy(c cause.Code) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed[c]
}

func (r *fakeRecorder) closedAll() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.closed {
		n += k
	}
	return n
}

func (r *fakeRecorder) drops(reason DropReason) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped[reason]
}

// world is a System with fakes around it.
type world struct {
	t        testing.TB
	clock    *manualClock
	broker   *fakeBroker
	auth     *fakeAuth
	resumer  *fakeResumer
	recorder *fakeRecorder
	broken   atomic.Bool  // the encoder panics
	encoded  atomic.Int64 // publications
	system   *System
}

// newWorld starts a System of two shards that allows all channels. Its Close,
// and that nothing is left by then, is part of the test.
func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: newManualClock(), broker: newFakeBroker(), resumer: new(fakeResumer), recorder: newFakeRecorder()}
	w.auth = &fakeAuth{clock: w.clock}
	config := DefaultConfig()
	config.Node, config.Shards, config.RateMessages, config.RateBytes = "n1", 2, 0, 0
	config.Rules = []Rule{{Pattern: ">", Subscribe: Allow, Publish: Allow, Destination: ToChannel}}
	if change != nil {
		change(&config)
	}
	var err error
	w.system, err = NewSystem(config, Deps{
		Broker: w.broker, Authenticator: w.auth, Resumer: w.resumer, Encoder: textEncoder{&w.broken, &w.encoded}, Recorder: w.recorder,
		Clock: w.clock, Random: rand.NewChaCha8([32]byte{1}), Jitter: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("NewSystem: %v", err)
	}
	t.Cleanup(w.close)
	return w
}

// close ends what is connected, closes the system and looks for leftovers.
func (w *world) close() {
	w.t.Helper()
	for _, c := range w.system.Snapshot() {
		c.SocketClosed(cause.PeerLost)
	}
	w.broker.answerAll(errFake503)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.system.Close(ctx); err != nil {
		w.t.Errorf("close: %v", err)
	}
	if got := w.system.Stats(); got != (Stats{}) {
		w.t.Errorf("stats after all closed: got %+v, want zeros", got)
	}
	if opened, closed := int(w.recorder.opened.Load()), w.recorder.closedAll(); opened != closed {
		w.t.Errorf("opened %d, closed %d: want each opened connection closed once", opened, closed)
	}
	w.broker.check(w.t)
}

// settle returns when the shards have done all that waits for them now, and
// have flushed.
func (w *world) settle() {
	w.t.Helper()
	for _, sh := range w.system.shards {
		passed := make(chan struct{})
		sh.send(touch{&Conn{system: w.system, shard: sh, transport: signal(passed)}})
		select {
		case <-passed:
		case <-time.After(patience):
			w.t.Fatal("a shard does not get its work done")
		}
	}
}

// signal is a Transport that tells of its first Flush.
type signal chan struct{}

func (s signal) Flush()  { close(s) }
func (s signal) Finish() {}

// tick lets time pass as a node would.
func (w *world) tick(d time.Duration) {
	w.t.Helper()
	every := w.system.config.TickInterval()
	for ; d > 0; d -= every {
		w.clock.advance(min(every, d))
		w.system.Tick()
		w.settle()
	}
}

// client is the far end of a connection: the Transport that reads everything
// at once, unless it is told to stall.
type client struct {
	w    *world
	conn *Conn

	mu       sync.Mutex
	frames   []string
	stalled  bool   // takes no byte
	broken   bool   // Flush panics
	finished bool   // Finish was called
	stays    bool   // does not close its socket when the server wants to
	onFlush  func() // runs where the flush does, after it
}

var (
	_ Transport = (*client)(nil)
	_ Writer    = (*client)(nil)
)

// attach opens a connection that has said nothing yet.
func (w *world) attach(p codec.Protocol) *client { return w.attachWire(Wire{Protocol: p}) }

func (w *world) attachWire(wire Wire) *client {
	c := &client{w: w}
	w.system.Attach(AttachParams{Transport: c, Wire: wire, Tenant: "acme", Bind: func(conn *Conn) { c.conn = conn }})
	return c
}

// dial opens a connection and sends connect.
func (w *world) dial(token string) *client {
	c := w.attach(codec.JSON)
	c.say(connectMessage(1, token, ""))
	return c
}

// resume opens a connection that wants its session back.
func (w *world) resume(token, resumeToken string) *client {
	c := w.attach(codec.JSON)
	c.say(connectMessage(1, token, resumeToken))
	return c
}

// Flush implements Transport.
func (c *client) Flush() {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	if broken {
		panic("transport broke")
	}
	if _, err := c.conn.out.Drain(c); err != nil {
		panic(err)
	}
	if c.onFlush != nil {
		c.onFlush()
	}
}

// Finish implements Transport.
func (c *client) Finish() {
	c.Flush()
	c.mu.Lock()
	c.finished = true
	stays := c.stays
	c.mu.Unlock()
	if !stays {
		c.conn.SocketClosed(cause.PeerLost)
	}
}

// WriteBatch implements Writer.
func (c *client) WriteBatch(bufs [][]byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled {
		return 0, nil
	}
	for _, b := range bufs {
		c.frames = append(c.frames, string(b))
		n += len(b)
	}
	return n, nil
}

func (c *client) set(field *bool, value bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*field = value
}

// take returns the frames since the last take.
func (c *client) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.frames
	c.frames = nil
	return frames
}

// got returns all frames since the last take, in one string.
func (c *client) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.frames, "\n")
}

func (c *client) say(messages ...*clientv1.ClientMessage) { c.conn.Receive(messages, 100) }

// subscribe asks for channels and waits for the answers.
func (c *client) subscribe(channels ...string) *client {
	c.w.t.Helper()
	for i, channel := range channels {
		c.say(subscribeMessage(uint32(100+i), channel))
	}
	c.w.settle()
	return c
}

// connected parses the answer to connect.
func (c *client) connected() *clientv1.Connected {
	c.w.t.Helper()
	for _, f := range c.take() {
		messages, err := codec.DecodeServer(codec.JSON, []byte(f))
		if err != nil {
			continue
		}
		if m := messages[0].GetConnected(); m != nil {
			return m
		}
	}
	c.w.t.Fatal("no connected came")
	return nil
}

// wants fails the test unless the frames since the last take are these.
func (c *client) wants(want ...string) {
	c.w.t.Helper()
	if got := c.take(); !slices.Equal(got, want) {
		c.w.t.Errorf("frames:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func messages(m ...*clientv1.ClientMessage) []*clientv1.ClientMessage { return m }

func connectMessage(id uint32, token, resumeToken string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Connect{
		Connect: &clientv1.Connect{Token: token, ResumeToken: resumeToken}}}
}

func subscribeMessage(id uint32, channel string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Subscribe{Subscribe: &clientv1.Subscribe{Channel: channel}}}
}

func unsubscribeMessage(id uint32, channel string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Unsubscribe{Unsubscribe: &clientv1.Unsubscribe{Channel: channel}}}
}

func publishMessage(id uint32, channel, data string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Publish{
		Publish: &clientv1.Publish{Channel: channel, Data: []byte(data)}}}
}

func rpcMessage(id uint32, method, data string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Rpc{Rpc: &clientv1.Rpc{Method: method, Data: []byte(data)}}}
}

func refreshMessage(id uint32, token string) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Refresh{Refresh: &clientv1.Refresh{Token: token}}}
}

func pingMessage(id uint32) *clientv1.ClientMessage {
	return &clientv1.ClientMessage{Id: id, Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}}
}
