package actors

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/asynkron/protoactor-go/actor"

	clientv1 "hawser/proto/client/v1"
)

// Deps are the parts that a System needs from outside. All are required.
type Deps struct {
	Broker        Broker
	Authenticator Authenticator
	Resumer       Resumer
	Encoder       Encoder
	Recorder      Recorder
	Clock         Clock
	Random        io.Reader // session ids: crypto/rand.Reader, or a seeded one in tests
	Jitter        *rand.Rand
	Logger        *slog.Logger
}

// System holds the actors of one node: a shard actor per CPU and a connection
// actor per client. Create it with NewSystem, drive it with Tick, end it with
// Close.
type System struct {
	// Immutable after NewSystem.
	config        *settings
	limits        limits
	broker        Broker
	authenticator Authenticator
	resumer       Resumer
	encoder       Encoder
	recorder      Recorder
	clock         Clock
	log           *slog.Logger
	start         time.Time
	shutdown      func() // ends the actor system, once
	actors        *actor.ActorSystem
	root          *actor.RootContext
	shards        []*shard
	topics        *topics
	directory     *directory
	ping          *Frame // shared by all connections

	conns    atomic.Int64
	alive    atomic.Int64  // connection actors that have not stopped
	millis   atomic.Uint32 // that the node has run, as of the last Tick; wraps after 49 days
	next     atomic.Uint32 // shard of the next connection
	lastFail atomic.Int64  // unix second of the last logged panic
	stuck    atomic.Int64  // bytes behind full sockets: the meter of all outboxes
	relief   relief
	closing  sync.Once

	// Owned by the caller of Tick.
	ran    time.Duration // since start, without pauses, as of the last Tick
	paused time.Duration // not counted in ran

	mu     sync.Mutex
	random io.Reader  // guarded by mu
	jitter *rand.Rand // guarded by mu
}

// limits are the sweep's intervals in milliseconds.
type limits struct {
	connect    int64
	ping, pong int32
	gap        time.Duration // longest time between ticks that counts as silence
}

// NewSystem starts the shard actors. It returns the error of
// Config.Validate.
func NewSystem(config Config, deps Deps) (*System, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Shards == 0 {
		config.Shards = runtime.GOMAXPROCS(0)
	}
	settings := newSettings(config)
	s := &System{
		config: settings, broker: deps.Broker, authenticator: deps.Authenticator, resumer: deps.Resumer,
		encoder: deps.Encoder, recorder: deps.Recorder, clock: deps.Clock, log: deps.Logger,
		start: deps.Clock.Now(), random: deps.Random, jitter: deps.Jitter,
		topics: newTopics(deps.Broker, config.Shards, settings.slow), directory: newDirectory(), ping: deps.Encoder.Ping(),
		limits: limits{connect: config.ConnectTimeout.Milliseconds(),
			ping: int32(config.PingInterval.Milliseconds()), pong: int32(config.PongTimeout.Milliseconds()),
			gap: config.PongTimeout / 2},
	}
	// protoactor logs each panic at Info before the guardian hears of it.
	s.actors = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	s.shutdown = sync.OnceFunc(s.actors.Shutdown)
	s.root = s.actors.Root.Copy().WithGuardian(guardian{s})
	for i := range config.Shards {
		sh := newShard(i, s)
		sh.pid = s.root.Spawn(actor.PropsFromProducer(func() actor.Actor { return sh }))
		sh.spawn.init(fmt.Sprintf("conn-%d", i))
		s.shards = append(s.shards, sh)
	}
	return s, nil
}

// AttachParams describes a connection whose WebSocket handshake is done.
type AttachParams struct {
	Transport Transport
	Wire      Wire   // what the handshake agreed on
	Tenant    string // checked by names.CheckTenant
	Token     string // from the handshake's Authorization header, or ""
	// Bind is called with the connection before anyone else can reach it: the
	// Transport must be ready to work when it returns.
	Bind func(*Conn)
}

// Attach starts the actor of a connection. The engine calls it before it reads
// the first frame and owes one SocketClosed in the end.
func (s *System) Attach(p AttachParams) *Conn {
	sh := s.shards[int(s.next.Add(1))%len(s.shards)]
	c := &Conn{system: s, shard: sh, transport: p.Transport, tenant: unique.Make(p.Tenant).Value(), wire: p.Wire,
		opened: s.clockMillis(), session: newSession(s.config, p.Token)}
	c.seen.Store(s.millis.Load())
	c.pinged = c.seen.Load() - 1 // not equal: no ping is out
	s.alive.Add(1)
	c.pid = sh.spawn.spawn(s.root, c)
	p.Bind(c)
	s.recorder.Opened() // before a sweep or a drain can find c and end it
	s.conns.Add(1)
	sh.attach(c)
	return c
}

// spawner spawns connection actors with one shared Props: protoactor asks the
// producers synchronously, so current says whom it is about.
//
// The actors are not in protoactor's registry. It finds actors by name, and
// connections are found by the directory; its 32,768 maps would add 170 to 290
// bytes to each connection of a node with fewer than 100,000. So each is
// registered under the spawner's one name, its PID learns the process with the
// first message, and the name is free again.
type spawner struct {
	name string // unique in the system

	mu      sync.Mutex
	current *Conn // guarded by mu
	props   *actor.Props
}

func (sp *spawner) init(name string) {
	sp.name = name
	sp.props = actor.PropsFromProducer(
		func() actor.Actor { return connActor{sp.current} },
		actor.WithMailbox(func() actor.Mailbox { return &sp.current.mailbox }))
}

// introduce is the first message of a connection's actor, which ignores it.
type introduce struct{}

func (sp *spawner) spawn(root *actor.RootContext, c *Conn) *actor.PID {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.current = c
	pid, err := root.SpawnNamed(sp.props, sp.name)
	sp.current = nil
	if err != nil {
		panic(fmt.Sprintf("actors: spawn %s: %v", sp.name, err)) // the name is ours alone
	}
	root.Send(pid, introduce{}) // now the PID holds its process
	root.ActorSystem().ProcessRegistry.LocalPIDs.GetBucket(sp.name).Pop(sp.name)
	pid.Id = "" // the end of this actor must not unregister the next one
	return pid
}

// guardian supervises every actor: it stops the one that failed. A connection
// cannot be restarted, its client resumes elsewhere; protoactor's default
// would restart it ten times over a dead socket.
type guardian struct{ system *System }

// HandleFailure implements actor.SupervisorStrategy.
func (g guardian) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, message any) {
	g.system.logPanic(reason, message) // abort counts it
	supervisor.StopChildren(child)
}

// panicked counts and logs a panic that a shard survived.
func (s *System) panicked(reason, message any) {
	s.recorder.Dropped(DropPanic, 1)
	s.logPanic(reason, message)
}

// logPanic logs at most one panic a second: input that finds a defect must
// not be able to fill the disk as well. DropPanic counts all.
func (s *System) logPanic(reason, message any) {
	now := s.clock.Now().Unix()
	if s.lastFail.Swap(now) == now {
		return
	}
	s.log.Error("actor failed", "node", s.config.Node, "err", reason, "event", fmt.Sprintf("%T", message))
}

// Tick advances the coarse clock and sweeps for silent connections. The node
// calls it every TickInterval.
func (s *System) Tick() {
	t := s.clock.Now()
	now := s.advance(t.Sub(s.start))
	s.millis.Store(now)
	s.relief.futile.Store(false)
	s.directory.expire(t.Add(-s.config.ResumeWindow))
	for _, sh := range s.shards {
		if !sh.sweeping.Swap(true) { // else the last one still waits behind a backlog
			sh.send(sweep{now})
		}
	}
}

// advance returns how many milliseconds the node has run. A node that was
// paused, by a migration of its VM or a debugger, has not heard its clients:
// but for the first half of the pong timeout the pause does not count, or the
// first sweep after it would close everyone.
func (s *System) advance(sinceStart time.Duration) uint32 {
	ran := sinceStart - s.paused
	if pause := ran - s.ran - s.limits.gap; pause > 0 {
		s.paused += pause
		ran -= pause
	}
	s.ran = ran
	return uint32(ran / time.Millisecond)
}

// TickInterval is how often Tick wants to be called: an eighth of the shortest
// limit, at most a second.
func (c Config) TickInterval() time.Duration {
	shortest := min(c.PingInterval, c.PongTimeout, c.ConnectTimeout)
	return min(max(shortest/8, 5*time.Millisecond), time.Second)
}

// Deliver fans a message of a channel out to its local subscribers. It may
// wait while a shard is maxBacklog messages behind; calls for one channel must
// come from one goroutine, to keep their order. data must not change later.
func (s *System) Deliver(tenant, channel string, seq uint64, data []byte) {
	t := s.topics.find(topicKey{tenant, channel})
	if t == nil {
		return // the last subscriber left while it was on its way
	}
	var message *clientv1.ServerMessage
	var frames [wireCount]*Frame
	for i := range frames {
		if t.wires[i].Load() == 0 {
			continue
		}
		if message == nil {
			message = &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{
				Publication: &clientv1.Publication{Channel: channel, Seq: seq, Data: data}}}
		}
		frames[i] = s.encoder.Message(wireAt(i), message)
		frames[i].slow, frames[i].topic = SlowPolicy(t.slow.Load()), t
	}
	if message == nil {
		return
	}
	d := &delivery{topic: t, frames: frames}
	for i := range t.shards {
		if t.shards[i].live.Load() > 0 {
			s.shards[i].deliver(d)
		}
	}
}

// DeliverUser sends data to every connection of a user on this node and
// returns for how many it was queued.
func (s *System) DeliverUser(tenant, user string, data []byte) (sessions int) {
	message := direct(data)
	for _, c := range s.directory.ofUser(tenant, user) {
		if s.direct(c, message) {
			sessions++
		}
	}
	return sessions
}

// DeliverSession sends data to one session and reports whether it was queued
// for it: false when the session is not here, or on its way out.
func (s *System) DeliverSession(tenant, session string, data []byte) bool {
	c := s.directory.session(tenant, session)
	return c != nil && s.direct(c, direct(data))
}

func direct(data []byte) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Direct{Direct: &clientv1.Direct{Data: data}}}
}

// direct leaves the flush to the shard, so that a burst is one write. A client
// that was not yet told that it is connected cannot take the message.
func (s *System) direct(c *Conn, m *clientv1.ServerMessage) bool {
	if !c.greeted.Load() || c.out.Sealed() {
		return false
	}
	first, err := c.put(s.encoder.Message(c.wire, m))
	if first {
		c.shard.send(touch{c})
	}
	return err == nil
}

// SetRules replaces the channel rules for commands and publications that come
// from now on. Subscriptions that are up stay.
func (s *System) SetRules(rules []Rule) error {
	c := s.config.Config
	if c.Rules = rules; c.Validate() != nil {
		return c.Validate()
	}
	s.config.rules.Store(&rules)
	s.topics.reclass()
	return nil
}

// Conns is the number of connections.
func (s *System) Conns() int { return int(s.conns.Load()) }

// Stats are the sizes of a node.
type Stats struct {
	Conns, Sessions, Users, Channels int
	Actors                           int // of connections; more than Conns only while some stop
	Backlog                          int // publications waiting for shards
	StuckBytes                       int // behind full sockets; see Config.OutboxTotalBytes
}

// Stats may be called at any time.
func (s *System) Stats() Stats {
	st := Stats{Conns: s.Conns(), Actors: int(s.alive.Load()), Channels: s.topics.count(), StuckBytes: int(s.stuck.Load())}
	st.Sessions, st.Users = s.directory.sizes()
	for _, sh := range s.shards {
		st.Backlog += len(sh.credits)
	}
	return st
}

// Snapshot returns the connections of now, for a paced drain.
func (s *System) Snapshot() []*Conn {
	all := make([]*Conn, 0, s.Conns())
	for _, sh := range s.shards {
		all = sh.snapshot(all)
	}
	return all
}

// Close lets the shards finish what waits for them, stops them, and waits for
// that; a second call waits too. The sockets must be gone and the broker
// silent by then: what comes later is dropped.
func (s *System) Close(ctx context.Context) error {
	s.closing.Do(func() {
		for _, sh := range s.shards {
			s.root.Poison(sh.pid)
		}
	})
	for _, sh := range s.shards {
		select {
		case <-sh.done:
		case <-ctx.Done():
			return fmt.Errorf("actors: close: %d connections left: %w", s.Conns(), context.Cause(ctx))
		}
	}
	s.shutdown()
	return nil
}

// mint makes a session id: 128 random bits as a subject token.
func (s *System) mint() string {
	var id [16]byte
	s.mu.Lock()
	_, err := io.ReadFull(s.random, id[:])
	s.mu.Unlock()
	if err != nil {
		panic(fmt.Sprintf("actors: no randomness for a session id: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// jittered spreads clients that are closed together: between half and one and
// a half of mean.
func (s *System) jittered(mean time.Duration) time.Duration {
	if mean <= 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return mean/2 + time.Duration(s.jitter.Int64N(int64(mean)+1))
}

// clockMillis is the time since start, which a change of the wall clock does
// not touch.
func (s *System) clockMillis() int64 { return s.clock.Now().Sub(s.start).Milliseconds() }
