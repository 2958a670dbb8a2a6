package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"hawser/proto/names"
)

// Receiver takes what comes in. Its methods are called on dispatch goroutines,
// one at a time for a channel, in order. They may block for backpressure: then
// the lane's channel fills, and at its end NATS drops messages, which shows in
// Stats.Dropped. Data is theirs to keep, and shared by nobody.
type Receiver interface {
	// Deliver hands over a publication to a channel. seq is 0 for a
	// publication without history.
	Deliver(tenant, channel string, seq uint64, data []byte)
	// DeliverUser hands over a message to a user; it returns how many sessions
	// on this node took it.
	DeliverUser(tenant, user string, data []byte) (sessions int)
	// DeliverSession hands over a message to a session; it returns whether the
	// session is on this node.
	DeliverSession(tenant, session string, data []byte) bool
}

// Fabric is one node's connection to NATS. Its methods may be called from any
// goroutine between Open and Close, and later: they then fail with 503.
type Fabric struct {
	// Immutable after Open.
	cfg       Config
	receiver  Receiver
	log       *slog.Logger
	limit     *logLimiter
	subjects  subjects
	nonce     string // of this Open; tells our canaries from a namesake's
	start     time.Time
	server    *embedded // nil with an external NATS
	control   *link
	answers   *nats.Subscription // of our inbox, on control
	lanes     []*lane
	count     *interestCount
	publisher *publisher
	requests  *requests
	verdicts  *verdicts
	sweepKick chan struct{} // capacity 1; never closed

	// ctx ends with Close, and all loops but publishLoop with it; publishing
	// ends when publishLoop has sent the rest.
	ctx        context.Context
	cancel     context.CancelCauseFunc
	loops      sync.WaitGroup // interestLoop, sweepLoop, canaryLoop
	dispatches sync.WaitGroup // dispatchLoop, replyLoop
	publishing sync.WaitGroup // publishLoop
	closing    sync.Once
	closed     chan struct{} // closed by Close, last of all
	closeErr   error         // readable once closed is closed

	messagesIn, bytesIn, foreign atomic.Uint64
	rtt                          atomic.Int64 // nanoseconds, of the last canary
}

// Open starts the embedded server, if there is no URL, connects and starts
// the goroutines. ctx bounds the start only; Close ends the fabric. An
// external NATS that is not reachable is no error: Ready says so. Errors are a
// bad Config, a port in use, a store of another mode, and unreadable files.
func Open(ctx context.Context, cfg Config, receiver Receiver) (*Fabric, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := newFabric(cfg, receiver)
	if err := f.open(ctx); err != nil {
		f.cancel(err)
		f.closeLinks()
		f.server.shutdown()
		return nil, err
	}
	f.run()
	return f, nil
}

func newFabric(cfg Config, receiver Receiver) *Fabric {
	f := &Fabric{
		cfg:       cfg,
		receiver:  receiver,
		log:       cfg.Logger,
		limit:     newLogLimiter(cfg.Logger),
		subjects:  newSubjects(cfg.Prefix, cfg.NodeID),
		nonce:     nuid.Next(),
		start:     time.Now(),
		count:     &interestCount{max: int64(cfg.MaxInterests)},
		sweepKick: make(chan struct{}, 1),
		closed:    make(chan struct{}),
	}
	// The fabric outlives the ctx of Open, which bounds the start.
	f.ctx, f.cancel = context.WithCancelCause(context.Background())
	f.requests = newRequests(cfg, f.wakeSweep)
	f.verdicts = newVerdicts(cfg, f.wakeSweep)
	f.control = &link{name: "control", log: f.limit, inOrder: true, onConnect: func() {}}
	f.control.onSlow = func(*nats.Subscription) {} // Stats asks answers itself
	f.publisher = newPublisher(cfg, f.control)
	for i := range cfg.DataConns {
		l := &link{name: "data " + strconv.Itoa(i), log: f.limit}
		f.lanes = append(f.lanes, newLane(f.ctx, cfg, l, f.count))
	}
	return f
}

// open does what may fail: the server, the links and their fixed
// subscriptions.
func (f *Fabric) open(ctx context.Context) (err error) {
	if f.cfg.URL == "" {
		if f.server, err = startEmbedded(ctx, f.cfg, f.log); err != nil {
			return err
		}
	}
	for _, l := range f.links() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("fabric: open: %w", context.Cause(ctx))
		}
		if err := l.open(f.cfg, f.server); err != nil {
			return err
		}
	}
	if err := f.subscribeFixed(); err != nil {
		return fmt.Errorf("fabric: open: %w", err)
	}
	for _, n := range f.lanes {
		n.settle()
	}
	return nil
}

// subscribeFixed makes the subscriptions that the fabric has for life.
func (f *Fabric) subscribeFixed() (err error) {
	inbox := f.control.connection.NewInbox()
	f.requests.inbox = inbox + "."
	f.answers, err = f.control.connection.ChanSubscribe(inbox+".*", f.requests.replies)
	for _, n := range f.lanes {
		_, e := n.link.connection.ChanSubscribe(f.subjects.canary, n.in)
		err = errors.Join(err, e)
	}
	// Users and sessions on different lanes, if there are two.
	users, sessions := f.lanes[0], f.lanes[len(f.lanes)-1]
	return errors.Join(err,
		subscribeDirect(users, f.subjects.user),
		subscribeDirect(sessions, f.subjects.session))
}

// subscribeDirect takes each direct message once to look for its target, and
// once more when this node is picked as its arbiter.
func subscribeDirect(n *lane, prefix string) error {
	_, err := n.link.connection.ChanSubscribe(prefix+">", n.in)
	_, arbiter := n.link.connection.ChanQueueSubscribe(prefix+">", arbiterQueue, n.in)
	return errors.Join(err, arbiter)
}

func (f *Fabric) run() {
	for _, n := range f.lanes {
		f.loops.Go(n.interestLoop)
		f.dispatches.Go(func() { f.dispatchLoop(n) })
	}
	f.dispatches.Go(f.requests.replyLoop)
	f.publishing.Go(func() { f.publisher.publishLoop(f.ctx, f.requests.fail) })
	f.loops.Go(func() { f.sweepLoop(f.ctx) })
	f.loops.Go(func() { f.canaryLoop(f.ctx) })
}

// Close stops: nothing more is accepted, what waits to be published is sent,
// requests in flight fail with 503, messages that already came are handed to
// the Receiver, and all goroutines are joined. ctx bounds the wait for a
// Receiver that blocks; then the error says so, and Close may be called again.
// The embedded server is shut down in any case.
func (f *Fabric) Close(ctx context.Context) error {
	f.closing.Do(func() {
		f.cancel(errStopping)
		go f.shutdown(ctx) // ends by closing f.closed, which Close waits for
	})
	select {
	case <-f.closed:
		return f.closeErr
	case <-ctx.Done():
		return fmt.Errorf("fabric: close: the receiver or NATS holds a goroutine: %w", context.Cause(ctx))
	}
}

// shutdown is Close's work, in the order that loses least.
func (f *Fabric) shutdown(ctx context.Context) {
	defer close(f.closed)
	f.loops.Wait()
	f.requests.close()
	f.publishing.Wait()
	if f.control.isConnected() {
		if err := f.control.flush(ctx); err != nil {
			f.closeErr = fmt.Errorf("fabric: close: the last publishes may be lost: %w", err)
		}
	}
	f.closeLinks()
	f.server.shutdown()
	// No message comes any more: a nil one behind the last ends each loop.
	for _, n := range f.lanes {
		n.in <- nil
	}
	f.requests.replies <- nil
	f.dispatches.Wait()
}

func (f *Fabric) closeLinks() {
	for _, l := range f.links() {
		l.close()
	}
}

// links are all links, control first.
func (f *Fabric) links() []*link {
	links := append(make([]*link, 0, 1+len(f.lanes)), f.control)
	for _, n := range f.lanes {
		links = append(links, n.link)
	}
	return links
}

// URL is where applications connect: that of the embedded server with its
// real port, or Config.URL with whatever password stands in it.
func (f *Fabric) URL() string {
	if f.server != nil {
		return f.server.server.ClientURL()
	}
	return f.cfg.URL
}

// Subscribe asks for the live messages of a channel. ready is called once:
// with nil when the NATS server holds the interest, else with an *Error. It
// may be called before Subscribe returns, must not block, and messages may
// come before it. After an error there is nothing to unsubscribe. A Subscribe
// that is pending when NATS goes down waits until NATS is back.
func (f *Fabric) Subscribe(tenant, channel string, ready func(error)) {
	subject, bad := f.subjects.fireSubject(tenant, channel)
	if bad != nil {
		ready(bad)
		return
	}
	f.lane(subject).subscribe(subject, ready)
}

// Unsubscribe gives up one Subscribe that succeeded or is pending.
func (f *Fabric) Unsubscribe(tenant, channel string) {
	if subject, bad := f.subjects.fireSubject(tenant, channel); bad == nil {
		f.lane(subject).unsubscribe(subject)
	}
}

// PublishChannel sends data to the subscribers of a channel, on all nodes.
// Nil means that it waits for the control link; it may still be lost with it.
// Data is copied. Errors are of type *Error.
func (f *Fabric) PublishChannel(tenant, channel string, data []byte) error {
	subject, bad := f.subjects.fireSubject(tenant, channel)
	if bad != nil {
		return bad
	}
	return orNil(f.publisher.push(outgoing{subject: subject, data: data}))
}

// PublishApp sends what a client published to the application, with user and
// session as headers. Empty user: anonymous. As PublishChannel else.
func (f *Fabric) PublishApp(tenant, channel, user, session string, data []byte) error {
	subject, bad := dotted(f.subjects.in, tenant, channel, names.CheckChannel)
	if bad == nil {
		bad = checkSender(user, session)
	}
	if bad != nil {
		return bad
	}
	return orNil(f.publisher.push(outgoing{subject: subject, user: user, session: session, data: data}))
}

// Request calls a service method, such as "billing.quote". done is called
// once, with the answer or an *Error; it must not block. Data is copied.
func (f *Fabric) Request(tenant, method, user, session string, data []byte, done func([]byte, error)) {
	subject, bad := dotted(f.subjects.rpc, tenant, method, names.CheckMethod)
	if bad == nil {
		bad = checkSender(user, session)
	}
	if bad != nil {
		done(nil, bad)
		return
	}
	id, refused := f.requests.begin(method, time.Now(), done)
	if refused != nil {
		done(nil, refused)
		return
	}
	failed := f.publisher.push(outgoing{
		subject: subject,
		reply:   f.requests.inbox + strconv.FormatUint(id, 36),
		user:    user, session: session,
		data:    data,
		request: id,
	})
	if failed != nil {
		f.requests.fail(id, failed)
	}
}

// orNil keeps a nil *Error from becoming a non-nil error.
func orNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// lane picks the lane of a subject. FNV-1a: all messages of a channel must
// take the same lane, for their order; which one does not matter.
func (f *Fabric) lane(subject string) *lane {
	const offset, prime = 2166136261, 16777619
	hash := uint32(offset)
	for i := range len(subject) {
		hash = (hash ^ uint32(subject[i])) * prime
	}
	return f.lanes[hash%uint32(len(f.lanes))]
}

// dispatchLoop hands the messages of one lane to the Receiver until a nil
// message comes.
func (f *Fabric) dispatchLoop(n *lane) {
	for m := range n.in {
		if m == nil {
			return
		}
		f.dispatch(n, m)
	}
}

func (f *Fabric) dispatch(n *lane, m *nats.Msg) {
	k, tenant, name := f.subjects.parse(m.Subject)
	switch k {
	case kindFire:
		f.countIn(m)
		f.receiver.Deliver(tenant, name, 0, m.Data)
	case kindUser, kindSession:
		f.direct(m, k, tenant, name)
	case kindCanary:
		f.takeCanary(n, m)
	default:
		if m.Sub.Queue == "" { // else it is counted twice
			f.foreign.Add(1)
		}
	}
}

func (f *Fabric) countIn(m *nats.Msg) {
	f.messagesIn.Add(1)
	f.bytesIn.Add(uint64(len(m.Data)))
}

// sweepLoop ends what waited too long. It sleeps until the oldest deadline.
func (f *Fabric) sweepLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.sweepKick:
		case <-timer.C:
		}
		timer.Reset(f.sweep(time.Now()))
	}
}

// sweep returns how long nothing will be due.
func (f *Fabric) sweep(now time.Time) time.Duration {
	wait := time.Hour
	if next, more := f.requests.expire(now); more {
		wait = min(wait, next.Sub(now))
	}
	gone := func(reply string) { f.respond(reply, answerGone) }
	if next, more := f.verdicts.expire(now, gone); more {
		wait = min(wait, next.Sub(now))
	}
	return wait
}

func (f *Fabric) wakeSweep() {
	select {
	case f.sweepKick <- struct{}{}:
	default:
	}
}
