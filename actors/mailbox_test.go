package actors

import (
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

// parcel is a message of one of many senders.
type parcel struct{ sender, number int }

// orderActor checks that parcels come one at a time and in each sender's
// order.
type orderActor struct {
	mailbox mailbox
	inside  atomic.Int32
	next    map[int]int
	wrong   int
	got     atomic.Int64
}

func (a *orderActor) Receive(ctx actor.Context) {
	p, ok := ctx.Message().(parcel)
	if !ok {
		return
	}
	if a.inside.Add(1) != 1 || a.next[p.sender] != p.number {
		a.wrong++
	}
	a.next[p.sender] = p.number + 1
	if p.number%64 == 0 {
		runtime.Gosched() // lets other senders meet a running actor
	}
	a.inside.Add(-1)
	a.got.Add(1)
}

func (a *orderActor) spawn(t *testing.T) (*actor.RootContext, *actor.PID) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	t.Cleanup(system.Shutdown)
	return system.Root, system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a },
		actor.WithMailbox(func() actor.Mailbox { return &a.mailbox })))
}

// TestMailboxLosesNothing: when all senders have returned, every message has
// been handled, though most only left theirs to whoever ran the actor.
func TestMailboxLosesNothing(t *testing.T) {
	const senders, each = 8, 20_000
	a := &orderActor{next: make(map[int]int)}
	root, pid := a.spawn(t)
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				if i%2 == 0 {
					a.mailbox.PostUserMessage(parcel{s, i})
				} else {
					root.Send(pid, parcel{s, i})
				}
			}
		})
	}
	all.Wait()
	if got := a.got.Load(); got != senders*each || a.wrong != 0 {
		t.Errorf("handled %d, want %d; %d out of order or at once", got, senders*each, a.wrong)
	}
}

// TestMailboxFromInside: what the actor sends itself comes after what already
// waits.
func TestMailboxFromInside(t *testing.T) {
	var m mailbox
	var got []int
	m.RegisterHandlers(invoker(func(msg any) {
		if n := msg.(int); n == 1 {
			m.PostUserMessage(3)
			m.PostUserMessage(4)
			got = append(got, 1)
		} else {
			got = append(got, n)
		}
	}), nil)
	m.Start()
	m.PostUserMessage(1)
	m.PostUserMessage(5)
	want := []int{1, 3, 4, 5}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// invoker is a MessageInvoker without an actor.
type invoker func(msg any)

func (f invoker) InvokeUserMessage(msg any)   { f(msg) }
func (f invoker) InvokeSystemMessage(msg any) { f(msg) }
func (f invoker) EscalateFailure(any, any)    {}

// TestMailboxIdleOwnsNothing: a message that was handled is not kept.
func TestMailboxIdleOwnsNothing(t *testing.T) {
	var m mailbox
	m.RegisterHandlers(invoker(func(any) {}), nil)
	for i := range 1000 {
		m.PostUserMessage(i)
	}
	if m.batch != nil || !m.user.empty() || !m.system.empty() {
		t.Error("an idle mailbox still has messages")
	}
}

// TestPanicClosesOneConnection: a defect in one connection's actor costs that
// connection, with code 1011, and nobody else.
func TestPanicClosesOneConnection(t *testing.T) {
	for name, breakIt := range map[string]func(w *world, victim *client){
		"publish": func(w *world, victim *client) {
			w.broker.onPublish = func() { panic("broker broke") }
			victim.say(publishMessage(9, "news", "1"), subscribeMessage(10, "never"))
			w.broker.onPublish = nil
		},
		"unknown event": func(_ *world, victim *client) { victim.conn.send(bogus{}) },
		"transport": func(_ *world, victim *client) {
			victim.set(&victim.broken, true)
			victim.say(pingMessage(9))
			victim.set(&victim.broken, false)
		},
		"encoder": func(w *world, victim *client) {
			w.broken.Store(true)
			victim.say(pingMessage(9)) // the goodbye breaks too
			w.broken.Store(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			neighbour := w.dial("bob").subscribe("news")
			victim := w.dial("ann").subscribe("news", "mine")
			neighbour.take()
			victim.take()
			breakIt(w, victim)
			w.settle()
			if got := w.recorder.closedBy(cause.Internal); got != 1 {
				t.Errorf("closed as internal: got %d, want 1", got)
			}
			if got := w.recorder.drops(DropPanic); got != 1 {
				t.Errorf("panics counted: got %d, want 1", got)
			}
			if !victim.finished && name != "transport" {
				t.Error("the socket was not closed")
			}
			if frames := victim.got(); name == "publish" && !strings.HasSuffix(frames, "close internal") {
				t.Errorf("the victim got %s, want close internal at the end", frames)
			}
			w.system.Deliver("acme", "news", 1, []byte("1"))
			w.settle()
			neighbour.wants(`{"publication":{"channel":"news","seq":1,"data":1}}`)
			if st := w.system.Stats(); st.Conns != 1 || st.Channels != 1 {
				t.Errorf("got %+v, want one connection on one channel", st)
			}
		})
	}
}

// bogus is an event that no session knows.
type bogus struct{}

func (bogus) event() {}

// TestPanicKeepsFirstCause: who was already told why is recorded with that.
func TestPanicKeepsFirstCause(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann")
	c.set(&c.stays, true)
	c.conn.Kick(cause.Kicked, 0)
	c.conn.Receive([]*clientv1.ClientMessage{nil}, 1) // no decoder makes this
	if got := w.recorder.drops(DropPanic); got != 1 {
		t.Fatalf("panics counted: got %d, want 1", got)
	}
	c.conn.SocketClosed(cause.PeerLost)
	if got := w.recorder.closedBy(cause.Kicked); got != 1 {
		t.Errorf("closed as kicked: got %d, want 1", got)
	}
}

// TestSocketMayCloseInsideEvent: an engine that reports the end from within
// Finish or Flush does no harm, as its event waits for its turn.
func TestSocketMayCloseInsideEvent(t *testing.T) {
	w := newWorld(t, nil)
	c := w.attach(codec.Proto)
	c.say(pingMessage(1)) // not connect: closed, and Finish closes the socket
	c.wants(`P{"id":1,"error":{"code":400,"message":"connect must be the first command","temporary":false}}`,
		`P{"disconnect":{"code":4400,"reason":"bad_request","reconnect":false,"retry_after_ms":0}}`, "close bad_request")
	if got := w.recorder.closedBy(cause.BadRequest); got != 1 {
		t.Errorf("closed as bad_request: got %d, want 1", got)
	}
}
