package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

func TestFanOutReachesSubscribersOnly(t *testing.T) {
	w := newWorld(t, nil)
	var listeners, others []*client
	for i := range 10 {
		listeners = append(listeners, w.dial("ann").subscribe("news", "chat"))
		others = append(others, w.dial("bob").subscribe("chat"))
		listeners[i].take()
		others[i].take()
	}
	w.system.Deliver("acme", "news", 7, []byte(`{"x":1}`))
	w.system.Deliver("acme", "silent", 8, []byte("2"))
	w.system.Deliver("rival", "news", 9, []byte("3"))
	w.settle()
	for i := range listeners {
		listeners[i].wants(`{"publication":{"channel":"news","seq":7,"data":{"x":1}}}`)
		others[i].wants()
	}
	if got := w.recorder.delivered.Load(); got != 10 {
		t.Errorf("delivered: counted %d, want 10", got)
	}
}

func TestEachProtocolGetsItsFrame(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.attach(codec.JSON), w.attach(codec.Proto)
	for _, c := range []*client{a, b} {
		c.say(connectMessage(1, "", ""))
		c.subscribe("news").take()
	}
	w.system.Deliver("acme", "news", 1, []byte("1"))
	w.settle()
	a.wants(`{"publication":{"channel":"news","seq":1,"data":1}}`)
	b.wants(`P{"publication":{"channel":"news","seq":1,"data":1}}`)
}

// Subscribers of every wire form on one channel: each form is encoded once,
// whoever has it shares the frame, and the order is the same for all.
func TestEachWireFormIsEncodedOnce(t *testing.T) {
	w := newWorld(t, nil)
	prefixes := map[Wire]string{{Protocol: codec.JSON}: "", {Protocol: codec.Proto}: "P",
		{Protocol: codec.JSON, Deflate: true}: "Z", {Protocol: codec.Proto, Deflate: true}: "ZP"}
	type member struct {
		client *client
		prefix string
	}
	var members []member
	for wire, prefix := range prefixes {
		for range 3 {
			c := w.attachWire(wire)
			c.say(connectMessage(1, "", ""))
			c.subscribe("news").take()
			members = append(members, member{c, prefix})
		}
	}
	w.encoded.Store(0)
	var want []string
	for seq := range 5 {
		w.system.Deliver("acme", "news", uint64(seq+1), []byte("1"))
		want = append(want, fmt.Sprintf(`{"publication":{"channel":"news","seq":%d,"data":1}}`, seq+1))
	}
	w.settle()
	if got := w.encoded.Load(); got != int64(5*wireCount) {
		t.Errorf("encoded %d frames for 5 publications to %d subscribers, want %d", got, len(members), 5*wireCount)
	}
	for _, m := range members {
		var prefixed []string
		for _, frame := range want {
			prefixed = append(prefixed, m.prefix+frame)
		}
		m.client.wants(prefixed...)
	}
	w.encoded.Store(0)
	for _, m := range members {
		if m.prefix != "Z" {
			m.client.conn.SocketClosed(cause.ClientClosed)
		}
	}
	w.settle()
	w.system.Deliver("acme", "news", 6, []byte("1"))
	w.settle()
	if got := w.encoded.Load(); got != 1 {
		t.Errorf("encoded %d frames for the one form that is left, want 1", got)
	}
}

func TestWire_IndexAndBack(t *testing.T) {
	for i := range wireCount {
		if got := wireAt(i).index(); got != i {
			t.Errorf("index %d: %+v has index %d", i, wireAt(i), got)
		}
	}
}

func TestBurstIsOneFlush(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 })
	c := w.dial("ann").subscribe("news")
	c.take()
	block := w.block(0)
	for i := range 50 {
		w.system.Deliver("acme", "news", uint64(i), []byte("1"))
	}
	before := c.conn.out.Queued()
	close(block)
	w.settle()
	if got := len(c.take()); got != 50 || before != 0 {
		t.Errorf("got %d frames (%d bytes early), want 50 after the burst", got, before)
	}
}

// block keeps a shard busy until the channel is closed.
func (w *world) block(shard int) chan struct{} {
	block, entered := make(chan struct{}), make(chan struct{})
	sh := w.system.shards[shard]
	sh.send(touch{&Conn{system: w.system, shard: sh, transport: blocker{entered, block}}})
	<-entered
	return block
}

// blocker is a Transport whose Flush waits.
type blocker struct{ entered, block chan struct{} }

func (b blocker) Flush()  { close(b.entered); <-b.block }
func (b blocker) Finish() {}

// TestSubscriptionBoundaries: under publishing that never stops, nothing of a
// channel comes before subscribed or after unsubscribed, and in between
// nothing is missing.
func TestSubscriptionBoundaries(t *testing.T) {
	const clients, rounds = 6, 200
	w := newWorld(t, nil)
	stop := make(chan struct{}) // closed when the clients are done
	var publishing, all sync.WaitGroup
	publishing.Go(func() {
		for seq := uint64(1); ; seq++ {
			select {
			case <-stop:
				return
			default:
				w.system.Deliver("acme", "news", seq, []byte("1"))
				runtime.Gosched()
			}
		}
	})
	for range clients {
		all.Go(func() {
			c := w.dial("ann")
			for i := range rounds {
				c.say(subscribeMessage(1, "news"))
				if i%3 != 0 {
					w.waitFor(c, "subscribed")
				}
				c.say(unsubscribeMessage(2, "news"))
				w.waitFor(c, "unsubscribed")
				if err := checkBoundaries(c.take()); err != nil {
					t.Errorf("round %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(stop)
	publishing.Wait()
}

// waitFor returns when the last of one kind of frame has come.
func (w *world) waitFor(c *client, kind string) {
	if !poll(func() bool { return strings.Contains(c.got(), `"`+kind+`"`) }) {
		w.t.Errorf("no %s came", kind)
	}
}

func checkBoundaries(frames []string) error {
	subscribed := false
	var last uint64
	for _, f := range frames {
		m, err := codec.DecodeServer(codec.JSON, []byte(f))
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		switch p := m[0].GetPublication(); {
		case m[0].GetSubscribed() != nil:
			subscribed, last = true, 0
		case m[0].GetUnsubscribed() != nil:
			subscribed = false
		case p == nil:
		case !subscribed:
			return fmt.Errorf("publication %d outside a subscription", p.Seq)
		case last != 0 && p.Seq != last+1:
			return fmt.Errorf("publication %d after %d", p.Seq, last)
		default:
			last = p.Seq
		}
	}
	return nil
}

// TestBurstDoesNotMakeASlowConsumer: what gathers for a common write while the
// shard is busy must not count against clients that read all they get.
func TestBurstDoesNotMakeASlowConsumer(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards, c.OutboxBytes = 1, 4096 })
	c := w.dial("ann").subscribe("news")
	session := c.connected().Session
	block := w.block(0)
	data := []byte(`"` + strings.Repeat("x", 700) + `"`)
	for i := range 500 {
		w.system.Deliver("acme", "news", uint64(i+1), data)
	}
	close(block)
	w.settle()
	block = w.block(0)
	for range 20 { // their flush waits for the shard
		if !w.system.DeliverSession("acme", session, data) {
			t.Error("a direct message was refused")
		}
	}
	close(block)
	w.settle()
	if got := len(c.take()); got != 520 || w.system.Conns() != 1 {
		t.Errorf("got %d messages, %d connections up; want 520 and 1", got, w.system.Conns())
	}
}

func TestSlowConsumerDoesNotTouchNeighbours(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.OutboxBytes = 4096 })
	slow := w.dial("slow").subscribe("news")
	fast := w.dial("fast").subscribe("news")
	fast.take()
	slow.take()
	slow.set(&slow.stalled, true)
	slow.set(&slow.stays, true)
	const n = 200
	for i := range n {
		w.system.Deliver("acme", "news", uint64(i+1), []byte(`"0123456789012345678901234567890123456789"`))
	}
	w.settle()
	if got := len(fast.take()); got != n {
		t.Errorf("the fast neighbour got %d publications, want %d", got, n)
	}
	slow.set(&slow.stalled, false)
	slow.Flush()
	got := slow.take()
	if tail := got[len(got)-1]; tail != "close slow_consumer" || len(got) > 3 {
		t.Errorf("the slow one got %d frames, the last %q: want its backlog gone and close slow_consumer", len(got), tail)
	}
	slow.conn.SocketClosed(cause.PeerLost)
	if got := w.recorder.closedBy(cause.SlowConsumer); got != 1 {
		t.Errorf("closed as slow_consumer: got %d, want 1", got)
	}
	if w.recorder.drops(DropSlow) == 0 {
		t.Error("nothing counted as dropped")
	}
}

// TestSlowForItsOwnAnswers: the same limit holds for answers and direct
// messages, and DeliverSession does not claim what it could not queue.
func TestSlowForItsOwnAnswers(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.OutboxBytes = 4096 })
	c := w.dial("ann")
	session := c.connected().Session
	c.set(&c.stalled, true)
	queued := 0
	for range 1000 {
		if !w.system.DeliverSession("acme", session, []byte(`"0123456789012345678901234567890123456789"`)) {
			break
		}
		queued++
	}
	if queued == 0 || queued > 4096/40 {
		t.Errorf("queued %d messages in 4 KiB", queued)
	}
	if got := w.recorder.closedBy(cause.SlowConsumer); got != 1 {
		t.Errorf("closed as slow_consumer: got %d, want 1", got)
	}
}

func TestDirectMessages(t *testing.T) {
	w := newWorld(t, nil)
	a1, a2, b := w.dial("ann"), w.dial("ann"), w.dial("bob")
	waiting := w.dial("later")
	session := a1.connected().Session
	a2.take()
	b.take()
	if got := w.system.DeliverUser("acme", "ann", []byte("1")); got != 2 {
		t.Errorf("to ann: queued for %d, want 2", got)
	}
	if got := w.system.DeliverUser("rival", "ann", []byte("1")) + w.system.DeliverUser("acme", "", []byte("1")); got != 0 {
		t.Errorf("to nobody: queued for %d, want 0", got)
	}
	if !w.system.DeliverSession("acme", session, []byte("2")) || w.system.DeliverSession("acme", "nobody", []byte("2")) {
		t.Error("session: want it found, and no other")
	}
	w.settle()
	a1.wants(`{"direct":{"data":1}}`, `{"direct":{"data":2}}`)
	a2.wants(`{"direct":{"data":1}}`)
	b.wants()
	waiting.wants()
	a1.conn.SocketClosed(cause.ClientGone)
	if w.system.DeliverSession("acme", session, []byte("3")) {
		t.Error("delivered to a session that has gone")
	}
	if got := w.system.DeliverUser("acme", "ann", []byte("4")); got != 1 {
		t.Errorf("to what is left of ann: queued for %d, want 1", got)
	}
}

// TestNothingComesBeforeConnected: a session is in the directory a moment
// before its client is told; a direct message must not come in between.
func TestNothingComesBeforeConnected(t *testing.T) {
	w := newWorld(t, nil)
	c := w.attach(codec.JSON)
	stall(c.conn, func() {
		c.conn.handle(Received{Messages: messages(connectMessage(1, "ann", ""))})
		c.conn.user = "ann"
		c.conn.handle(Verified{ID: 1, Identity: Identity{User: "ann"}, Now: w.clock.Now()}) // opens; connected waits in the mailbox
		if st := w.system.Stats(); st.Sessions != 1 {
			t.Fatalf("got %+v, want the session entered", st)
		}
		if got := w.system.DeliverUser("acme", "ann", []byte("1")); got != 0 {
			t.Errorf("queued for %d sessions that are not connected", got)
		}
	})
	w.settle()
	if got := c.take(); len(got) == 0 || !strings.Contains(got[0], `"connected"`) {
		t.Errorf("got %q, want connected first", got)
	}
}

func TestKickAndViolate(t *testing.T) {
	w := newWorld(t, nil)
	kicked, violator := w.dial("ann"), w.dial("bob")
	kicked.take()
	violator.take()
	kicked.conn.Kick(cause.Shutdown, 2*time.Second)
	kicked.conn.Kick(cause.Kicked, 0) // nothing comes after the first
	violator.conn.Violate(cause.TooBig)
	frames := kicked.take()
	m, err := codec.DecodeServer(codec.JSON, []byte(frames[0]))
	if err != nil || len(frames) != 2 || frames[1] != "close shutdown" {
		t.Fatalf("got %q, %v; want a disconnect message and close shutdown", frames, err)
	}
	d := m[0].GetDisconnect()
	if d.Code != 1012 || !d.Reconnect || d.RetryAfterMs < 1000 || d.RetryAfterMs > 3000 {
		t.Errorf("got %v, want 1012, reconnect, half to one and a half of 2s", d)
	}
	violator.wants(`{"disconnect":{"code":1009,"reason":"too_big","reconnect":false,"retry_after_ms":0}}`, "close too_big")
}

func TestPublishAndCall(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Rules = []Rule{{Pattern: "in", Publish: Allow, Destination: ToApp}, {Pattern: "room", Publish: Allow, Destination: ToChannel}}
	})
	c := w.dial("ann")
	session := c.connected().Session
	c.say(publishMessage(2, "in", "1"), publishMessage(3, "room", "2"), rpcMessage(4, "svc.op", "3"))
	c.wants(`{"id":2,"published":{}}`, `{"id":3,"published":{}}`)
	if want := []string{"app acme/in from ann: 1", "channel acme/room: 2"}; !slices.Equal(w.broker.published, want) {
		t.Errorf("published %q, want %q", w.broker.published, want)
	}
	if r := w.broker.requests[0]; r.method != "svc.op" || r.user != "ann" || r.session != session || r.data != "3" {
		t.Errorf("requested %+v", r)
	}
	w.broker.publishErr = errFake503
	c.say(publishMessage(5, "in", "1"))
	c.wants(`{"id":5,"error":{"code":503,"message":"no NATS","temporary":true}}`)
	w.broker.requests[0].done(nil, statusError{1007, "app says no", false})
	c.wants(`{"id":4,"error":{"code":1007,"message":"app says no","temporary":false}}`)
	if got := w.recorder.commandErrors.Load(); got != 2 {
		t.Errorf("errors counted: got %d, want 2", got)
	}
}

// TestLateAnswersAreDropped: the socket goes while a token, an rpc and an
// interest are under way.
func TestLateAnswersAreDropped(t *testing.T) {
	w := newWorld(t, nil)
	w.broker.hold = true
	c := w.dial("ann")
	c.say(rpcMessage(2, "svc.op", "1"), subscribeMessage(3, "news"), refreshMessage(4, "later"))
	half := w.dial("later")
	c.conn.SocketClosed(cause.ClientGone)
	half.conn.SocketClosed(cause.PeerLost)
	c.take()
	w.broker.requests[0].done([]byte("late"), nil)
	w.broker.answerAll(nil)
	w.auth.answer(Identity{User: "ann"}, nil)
	w.auth.answer(Identity{}, errors.New("late"))
	c.wants()
	half.wants()
}

func TestHandshakeTokenServesOnce(t *testing.T) {
	w := newWorld(t, nil)
	c := &client{w: w}
	w.system.Attach(AttachParams{Transport: c, Tenant: "acme", Token: "ann", Bind: func(conn *Conn) { c.conn = conn }})
	c.say(connectMessage(1, "", ""))
	if got := c.connected().User; got != "ann" {
		t.Errorf("user %q, want ann", got)
	}
	c.say(refreshMessage(2, ""))
	if got := c.got(); !strings.Contains(got, `"code":403`) {
		t.Errorf("an empty refresh got %s, want 403 as it is anonymous", got)
	}
}

// TestBacklogBlocksDeliver: a busy shard holds the broker's dispatcher back
// after maxBacklog publications, and lets it go on.
func TestBacklogBlocksDeliver(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards, c.OutboxBytes, c.OutboxTotalBytes = 1, 1<<30, 1<<30 })
	c := w.dial("ann").subscribe("news")
	c.take()
	block := w.block(0)
	var delivered atomic.Int64
	var publishing sync.WaitGroup
	const n = maxBacklog + 200
	publishing.Go(func() {
		for i := range n {
			w.system.Deliver("acme", "news", uint64(i+1), []byte("1"))
			delivered.Add(1)
		}
	})
	eventually(t, "the backlog is full", func() bool { return w.system.Stats().Backlog == maxBacklog })
	if got := delivered.Load(); got > maxBacklog {
		t.Errorf("%d publications taken by a blocked shard, want %d", got, maxBacklog)
	}
	close(block)
	publishing.Wait()
	w.settle()
	if got := len(c.take()); got != n {
		t.Errorf("got %d publications, want %d", got, n)
	}
}

// TestShardSurvivesDefect: a panic in a shard costs its clients their
// connection, who are told; it must not leave them without deliveries.
func TestShardSurvivesDefect(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 })
	a, b := w.dial("ann").subscribe("news"), w.dial("bob")
	w.system.shards[0].send(leave{}) // no connection: a defect
	w.settle()
	for _, c := range []*client{a, b} {
		if got := c.got(); !strings.HasSuffix(got, "close internal") {
			t.Errorf("got %s, want close internal", got)
		}
	}
	again := w.dial("ann").subscribe("news")
	again.take()
	w.system.Deliver("acme", "news", 1, []byte("1"))
	w.settle()
	again.wants(`{"publication":{"channel":"news","seq":1,"data":1}}`)
	if got := w.recorder.drops(DropPanic); got != 1 {
		t.Errorf("panics counted: got %d, want 1", got)
	}
}

// TestBrokenTransportCostsItself: a transport that panics under the shard's
// flush takes nobody along.
func TestBrokenTransportCostsItself(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Shards = 1 })
	var clients []*client
	for range 5 {
		clients = append(clients, w.dial("ann").subscribe("news"))
	}
	for _, c := range clients {
		c.take()
	}
	clients[2].set(&clients[2].broken, true)
	for i := range 3 {
		w.system.Deliver("acme", "news", uint64(i+1), []byte("1"))
		w.settle()
	}
	for i, c := range clients {
		if got := len(c.take()); i != 2 && got != 3 {
			t.Errorf("neighbour %d got %d publications, want 3", i, got)
		}
	}
	if got := w.recorder.closedBy(cause.Internal); got != 1 {
		t.Errorf("closed as internal: got %d, want 1", got)
	}
}

func TestCloseFinishesWhatWaits(t *testing.T) {
	w := newWorld(t, nil)
	for range 100 {
		w.dial("ann").subscribe("news").conn.SocketClosed(cause.ClientGone)
	}
	for range 2 { // a second Close waits for the same
		if err := w.system.Close(t.Context()); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if n := w.system.Conns(); n != 0 {
		t.Errorf("%d connections left", n)
	}
	for range maxBacklog + 1 {
		w.system.shards[0].deliver(&delivery{}) // dropped, and does not wait for ever
	}
	drainCredits(w)
}

// drainCredits forgets what deliver queued for stopped shards.
func drainCredits(w *world) {
	for _, sh := range w.system.shards {
		for len(sh.credits) > 0 {
			<-sh.credits
		}
	}
}

func TestCloseGivesUp(t *testing.T) {
	w := newWorld(t, nil)
	block := w.block(0)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	if err := w.system.Close(ctx); err == nil || !strings.Contains(err.Error(), "0 connections left: no time") {
		t.Errorf("got %v, want how many are left and why", err)
	}
	close(block)
}

func TestJitterSpreads(t *testing.T) {
	w := newWorld(t, nil)
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := w.system.jittered(time.Second)
		low, high = min(low, d), max(high, d)
	}
	if low < 500*time.Millisecond || high > 1500*time.Millisecond || high-low < 900*time.Millisecond {
		t.Errorf("between %v and %v, want 0.5s to 1.5s", low, high)
	}
	if d := w.system.jittered(0); d != 0 {
		t.Errorf("of nothing: got %v, want 0", d)
	}
}

// TestReceiveBoundsTheInbox: a reader whose actor is busy elsewhere waits
// with maxInbox frames queued.
func TestReceiveBoundsTheInbox(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann")
	c.take()
	var reading sync.WaitGroup
	const n = maxInbox + 50
	c.conn.mailbox.running.Store(true)
	reading.Go(func() {
		for i := range n {
			c.say(pingMessage(uint32(i + 1)))
		}
	})
	eventually(t, "the reader waits", func() bool { return c.conn.frames.Load() == maxInbox+1 })
	c.conn.mailbox.running.Store(false)
	c.conn.mailbox.schedule()
	reading.Wait()
	if got := len(c.take()); got != n {
		t.Errorf("%d answers, want %d", got, n)
	}
}

// Connection actors are spawned under one name and are not to be found by it
// later; stopping one must not touch the others.
func TestSpawnLeavesNoName(t *testing.T) {
	w := newWorld(t, nil)
	clients := []*client{w.dial("a"), w.dial("b"), w.dial("c")}
	for _, name := range []string{w.system.shards[0].spawn.name, w.system.shards[1].spawn.name, ""} {
		if w.system.actors.ProcessRegistry.LocalPIDs.GetBucket(name).Has(name) {
			t.Errorf("%q is still registered", name)
		}
	}
	clients[1].conn.SocketClosed(cause.PeerLost)
	clients = append(clients, w.dial("d"))
	if got := w.system.Stats().Actors; got != 3 {
		t.Errorf("%d actors, want 3", got)
	}
	for _, c := range []*client{clients[0], clients[2], clients[3]} {
		c.take()
		c.say(&clientv1.ClientMessage{Id: 9, Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}})
		c.wants(`{"id":9,"pong":{}}`)
	}
}
