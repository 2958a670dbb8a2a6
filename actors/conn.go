package actors

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// Conn is one client socket: the actor that decides about it, its session
// state and its outbox in a single allocation. The I/O engine calls Receive,
// Ping, Violate and SocketClosed from the goroutine that reads the socket;
// everything else is reached by messages.
type Conn struct {
	mailbox mailbox // the actor's; runs it on the sender's goroutine

	// Immutable after Attach.
	system    *System
	shard     *shard
	pid       *actor.PID
	transport Transport
	tenant    string // interned: the handshake's string would keep the whole request
	opened    int64  // System.clockMillis
	wire      Wire

	// Any goroutine.
	out     Outbox
	seen    atomic.Uint32 // System.millis of the last bytes from the client
	expires atomic.Uint32 // second of System.start at which the token expires; 0: never
	frames  atomic.Int32  // Received events not yet handled
	greeted atomic.Bool   // connected is in the outbox
	stopped atomic.Bool   // the actor ended; what comes now is dropped

	// Owned by the actor.
	session Session
	held    []*topic // acquired and not yet released

	// Written by the actor before directory.enter; then guarded by directory.mu.
	sessionID, user        string
	generation             uint64
	nextOfUser, prevOfUser *Conn

	// Owned by the shard actor.
	hubs   []hubSlot
	dirty  bool   // on the shard's flush list
	pinged uint32 // seen at the last ping; while they are equal it is unanswered

	slot int32 // in shard.table; guarded by shard.mu
}

// hubSlot says where a connection stands in a topic.
type hubSlot struct {
	topic *topic
	index int32 // in topic.shards[shard].conns, or notYet
}

// place notes where c stands in t, for the shard actor.
func (c *Conn) place(t *topic, index int32) {
	for i := range c.hubs {
		if c.hubs[i].topic == t {
			c.hubs[i].index = index
			return
		}
	}
}

// maxInbox is how many decoded frames of one client may wait for its actor.
// Overflow: the reader waits, so TCP pushes back on the client.
const maxInbox = 64

// Receive hands over the commands of one data frame, wireBytes long. It may
// wait for the actor, never for the network. Only the reader calls it.
func (c *Conn) Receive(messages []*clientv1.ClientMessage, wireBytes int) {
	c.Touch()
	if c.frames.Add(1) > maxInbox {
		for c.frames.Load() > maxInbox && !c.stopped.Load() {
			runtime.Gosched() // another goroutine is in the actor and will drain it
		}
	}
	c.send(Received{Messages: messages, Bytes: wireBytes, Now: c.system.clock.Now()})
}

// Ping hands over a ping frame; the actor answers with a pong. payload is
// copied.
func (c *Conn) Ping(payload []byte) {
	c.Touch()
	c.send(PingFrame{Payload: append([]byte(nil), payload...), Now: c.system.clock.Now()})
}

// Touch notes that the client is alive. The engine calls it for pongs; the
// other methods call it themselves.
func (c *Conn) Touch() { c.seen.Store(c.system.millis.Load()) }

// Violate ends the connection because of what the client sent.
func (c *Conn) Violate(code cause.Code) { c.send(Verdict{Code: code}) }

// Kick ends the connection with a cause. retryAfter is the mean delay advised
// to the client, jittered for each; 0 leaves it to the client's own back-off.
func (c *Conn) Kick(code cause.Code, retryAfter time.Duration) {
	c.send(Verdict{Code: code, RetryAfter: retryAfter})
}

// SocketClosed is the engine's last call: the socket is gone and what the
// outbox still holds is dropped. code is the client's close code, or
// cause.PeerLost; it does not matter when the server closed first.
func (c *Conn) SocketClosed(code cause.Code) {
	if n := c.out.Abandon(); n > 0 {
		c.system.recorder.Dropped(DropClosed, n)
	}
	c.send(SocketClosed{code})
}

// Outbox is the queue that the engine empties into the socket.
func (c *Conn) Outbox() *Outbox { return &c.out }

// Protocol is the wire form that the client chose.
func (c *Conn) Protocol() codec.Protocol { return c.wire.Protocol }

// Tenant is the tenant of the handshake's path.
func (c *Conn) Tenant() string { return c.tenant }

// send posts an event to the actor, past protoactor's registry.
func (c *Conn) send(e Event) {
	if c.stopped.Load() {
		return
	}
	c.mailbox.PostUserMessage(e)
}

// Receive's namesake for protoactor lives on connActor, so that Conn's own
// method can have the natural name.
type connActor struct{ *Conn }

// Receive implements actor.Actor.
func (a connActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Event:
		a.handle(m)
	case *actor.Stopping:
		a.abort()
	case *actor.Stopped:
		a.system.alive.Add(-1)
	}
}

// handle steps the session and does what it wants. Effects that answer at
// once post their event behind whatever waits, so order is kept.
func (c *Conn) handle(e Event) {
	c.note(e)
	scratch := effectPool.Get().(*effects)
	scratch.list = c.session.Step(e, scratch.list[:0])
	flush := false
	for _, effect := range scratch.list {
		flush = c.do(effect) || flush
	}
	clear(scratch.list)
	effectPool.Put(scratch)
	if flush {
		c.transport.Flush()
	}
}

// note does what an event means to the shell, before the session sees it.
func (c *Conn) note(e Event) {
	switch e := e.(type) {
	case Received:
		c.frames.Add(-1)
		for _, m := range e.Messages {
			c.system.recorder.Command(kindOf(m))
		}
	case Interest:
		if i := slices.Index(c.held, e.topic); e.Err != nil && i >= 0 {
			c.held = slices.Delete(c.held, i, i+1)
		}
	}
}

// do performs one effect and reports whether a flush is owed.
func (c *Conn) do(effect Effect) (flush bool) {
	switch e := effect.(type) {
	case Reply:
		return c.reply(e.Message)
	case Pong:
		first, _ := c.put(c.system.encoder.Pong(e.Payload))
		return first
	case Authenticate:
		c.authenticate(e)
	case Open:
		c.open(e)
	case Extend:
		c.setExpiry(e.Expires)
	case Acquire:
		c.acquire(e)
	case Release:
		c.release(e.Channel)
	case Join:
		t := c.held[c.holding(e.Channel)]
		t.count(c, 1)
		c.shard.send(join{c, t, e.ID})
	case Leave:
		c.shard.send(leave{c, e.Channel, e.ID})
	case Publish:
		c.publish(e)
	case Request:
		c.system.broker.Request(c.tenant, e.Method, c.user, c.sessionID, e.Data, func(data []byte, err error) {
			c.send(Answered{ID: e.ID, Data: data, Err: err})
		})
	case Close:
		c.close(e)
	case Ended:
		c.end(e)
	}
	return false
}

// put queues f for this client, from any goroutine; who gets first owes a
// flush. Where an outbox is full, publications that may be lost make room for
// any frame. A client too slow for its own answers is closed like one too slow
// for publications.
func (c *Conn) put(f *Frame) (first bool, err error) {
	limits := c.system.bounds()
	if first, err = c.out.offer(f, limits); err == ErrOverflow {
		c.flush() // what only waits for the shard's flush does not make a client slow
		var lost losses
		first, lost, err = c.out.press(f, limits)
		c.system.lost(lost)
	}
	switch err {
	case ErrOverflow:
		c.system.recorder.Dropped(DropSlow, 1)
		c.send(Verdict{Code: cause.SlowConsumer, RetryAfter: c.system.config.RetryAfter})
	case ErrSealed:
		c.system.recorder.Dropped(DropClosed, 1)
	}
	return first, err
}

// flush keeps a defect of the transport to its own connection, on goroutines
// that are not the actor's.
func (c *Conn) flush() {
	defer func() {
		if reason := recover(); reason != nil {
			c.system.panicked(reason, flush{})
			c.Kick(cause.Internal, c.system.config.RetryAfter)
		}
	}()
	c.transport.Flush()
}

func (c *Conn) reply(m *clientv1.ServerMessage) (flush bool) {
	if failed := m.GetError(); failed != nil {
		c.system.recorder.CommandError(failed.Code)
	}
	flush, _ = c.put(c.system.encoder.Message(c.wire, m))
	if m.GetConnected() != nil {
		c.greeted.Store(true) // from now on direct messages may follow
	}
	return flush
}

// acquire notes the topic down before it asks the broker: should that panic,
// abort gives back what is held.
func (c *Conn) acquire(e Acquire) {
	t, fresh := c.system.topics.acquire(topicKey{c.tenant, e.Channel}, c, e.Attempt)
	c.held = append(c.held, t)
	if fresh {
		c.system.topics.subscribe(t)
	}
}

func (c *Conn) release(channel string) {
	i := c.holding(channel)
	if i < 0 {
		return // it failed, and note dropped it
	}
	t := c.held[i]
	c.held = slices.Delete(c.held, i, i+1)
	c.system.topics.release(t, c)
}

// holding is the place of a channel in held, or -1.
func (c *Conn) holding(channel string) int {
	return slices.IndexFunc(c.held, func(t *topic) bool { return t.key.channel == channel })
}

func (c *Conn) authenticate(e Authenticate) {
	c.system.authenticator.Verify(c.tenant, e.Token, func(id Identity, err error) {
		c.send(Verified{ID: e.ID, Refresh: e.Refresh, Identity: id, Err: err, Now: c.system.clock.Now()})
	})
}

// open gives the session its id: the one of a good resume token of the same
// tenant and user, or a new one.
func (c *Conn) open(e Open) {
	s := c.system
	c.user = e.User
	resumed := false
	if e.ResumeToken != "" {
		state, err := s.resumer.Open(e.ResumeToken)
		resumed = err == nil && state.Tenant == c.tenant && state.User == e.User &&
			(!state.Stale || s.directory.knows(c.tenant, state.Session))
		if resumed {
			c.sessionID, c.generation = state.Session, state.Generation+1
		}
	}
	if !resumed {
		c.sessionID, c.generation = s.mint(), 1
	}
	c.setExpiry(e.Expires)
	if older := s.directory.enter(c); older != nil {
		older.Kick(cause.Replaced, 0)
	}
	token := s.resumer.Issue(ResumeState{Session: c.sessionID, Tenant: c.tenant, User: c.user, Generation: c.generation})
	var expiresIn time.Duration
	if !e.Expires.IsZero() {
		expiresIn = max(e.Expires.Sub(s.clock.Now()), time.Millisecond)
	}
	c.send(Opened{ID: e.ID, Session: c.sessionID, ResumeToken: token, Resumed: resumed, ExpiresIn: expiresIn})
}

func (c *Conn) setExpiry(t time.Time) {
	if t.IsZero() {
		c.expires.Store(0)
		return
	}
	now := c.system.clock.Now()
	at := math.Ceil(now.Sub(c.system.start).Seconds() + t.Sub(now).Seconds())
	c.expires.Store(uint32(min(max(at, 1), math.MaxUint32))) // some issuers say year 9999
}

func (c *Conn) publish(e Publish) {
	var err error
	if e.Destination == ToChannel {
		err = c.system.broker.PublishChannel(c.tenant, e.Channel, e.Data)
	} else {
		err = c.system.broker.PublishApp(c.tenant, e.Channel, c.user, c.sessionID, e.Data)
	}
	c.send(Published{ID: e.ID, Err: err})
}

// close says goodbye: a disconnect message, for what a close frame cannot
// carry, and the close frame. What a slow consumer has not read by now it
// would not read before the deadline either, so its backlog goes.
func (c *Conn) close(e Close) {
	defer c.transport.Finish() // also when the encoder fails: the socket must end
	row := cause.Of(e.Code)
	goodbye := c.system.encoder.Message(c.wire, &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Disconnect{
		Disconnect: &clientv1.Disconnect{Code: uint32(row.Code), Reason: row.Name, Reconnect: row.Reconnect(),
			RetryAfterMs: uint32(c.system.jittered(e.RetryAfter).Milliseconds())}}})
	discard := e.Code == cause.SlowConsumer || e.Code == cause.PongTimeout
	if n := c.out.Seal(discard, goodbye, c.system.encoder.Close(e.Code)); n > 0 {
		c.system.recorder.Dropped(DropSlow, n)
	}
}

// end gives everything back and stops the actor.
func (c *Conn) end(e Ended) {
	if !c.stopped.CompareAndSwap(false, true) {
		return
	}
	s := c.system
	c.shard.send(detach{c})
	for _, channel := range e.Channels {
		c.release(channel)
	}
	if c.sessionID != "" {
		s.directory.leave(c, s.clock.Now())
	}
	s.recorder.Closed(e.Code, time.Duration(s.clockMillis()-c.opened)*time.Millisecond)
	s.root.Stop(c.pid)
}

// abort is for an actor that stops without having ended: its code panicked.
// The guardian does not restart it, as a socket cannot be restarted. The
// client gets 1011 and resumes. What it held is known from held: the session
// may have got half-way through a step.
func (c *Conn) abort() {
	if c.stopped.Load() {
		return
	}
	c.system.recorder.Dropped(DropPanic, 1)
	code := cause.Internal
	if c.session.phase == phaseClosing {
		code = c.session.ended // the client was told already
	}
	defer c.end(Ended{Code: code, Channels: c.heldChannels()})
	defer c.survive() // the goodbye may meet the same defect
	c.session.phase = phaseEnded
	c.close(Close{Code: cause.Internal, RetryAfter: c.system.config.RetryAfter})
}

func (c *Conn) heldChannels() []string {
	channels := make([]string, len(c.held))
	for i, t := range c.held {
		channels[i] = t.key.channel
	}
	return channels
}

func (c *Conn) survive() {
	if reason := recover(); reason != nil {
		c.system.logPanic(reason, Close{})
	}
}

// effects is a reusable effect list.
type effects struct{ list []Effect }

var effectPool = sync.Pool{New: func() any { return &effects{make([]Effect, 0, 8)} }}

// kindOf is the metric label of a command.
func kindOf(m *clientv1.ClientMessage) string {
	switch m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		return "connect"
	case *clientv1.ClientMessage_Subscribe:
		return "subscribe"
	case *clientv1.ClientMessage_Unsubscribe:
		return "unsubscribe"
	case *clientv1.ClientMessage_Publish:
		return "publish"
	case *clientv1.ClientMessage_Rpc:
		return "rpc"
	case *clientv1.ClientMessage_Refresh:
		return "refresh"
	case *clientv1.ClientMessage_Ping:
		return "ping"
	}
	return "unknown"
}
