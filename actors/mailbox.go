package actors

import (
	"runtime"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// letter is one queued message; 32 bytes while in flight.
type letter struct {
	next *letter
	msg  any
}

// stack is a lock-free LIFO; take empties it in the order of arrival.
type stack struct{ top atomic.Pointer[letter] }

func (s *stack) push(msg any) {
	l := &letter{msg: msg}
	for {
		l.next = s.top.Load()
		if s.top.CompareAndSwap(l.next, l) {
			return
		}
	}
}

func (s *stack) empty() bool { return s.top.Load() == nil }

// take returns all messages, oldest first.
func (s *stack) take() (oldest *letter) {
	if s.empty() {
		return nil
	}
	for l := s.top.Swap(nil); l != nil; {
		next := l.next
		l.next, oldest = oldest, l
		l = next
	}
	return oldest
}

// mailbox is a protoactor mailbox to embed in the actor's own struct. An idle
// one owns no queue memory, which is most of what a default mailbox costs
// (measured: 390 bytes an actor against 690). It runs the actor on the
// sender's goroutine; a second sender only enqueues and returns, so an actor
// with this mailbox must never block.
//
// Its length is bounded by its senders: the reader of a connection waits
// while maxInbox frames are queued (Conn.Receive), and each other sender
// (broker, sweep, shard) has at most one message per command in flight.
type mailbox struct {
	user, system stack
	batch        *letter // taken from user and not yet run; owned by the runner
	invoker      actor.MessageInvoker
	running      atomic.Bool
	suspended    atomic.Bool
}

var _ actor.Mailbox = (*mailbox)(nil)

// PostUserMessage implements actor.Mailbox.
func (m *mailbox) PostUserMessage(msg any) {
	m.user.push(msg)
	m.schedule()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(msg any) {
	m.system.push(msg)
	m.schedule()
}

// RegisterHandlers implements actor.Mailbox. The dispatcher is not used.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
}

// Start implements actor.Mailbox.
func (m *mailbox) Start() {}

// UserMessageCount implements actor.Mailbox. Only protoactor's metrics ask,
// which stay off: to count would cost each message two atomic operations.
func (m *mailbox) UserMessageCount() int { return 0 }

// idle reports that there is nothing to run. A batch that a panic left behind
// needs no look: the actor is suspended then, and resuming it takes a run.
func (m *mailbox) idle() bool {
	return m.system.empty() && (m.suspended.Load() || m.user.empty())
}

// schedule runs the actor here unless it runs elsewhere already. The loop
// catches a message that arrived between the last look and the release.
func (m *mailbox) schedule() {
	for !m.idle() && m.running.CompareAndSwap(false, true) {
		m.run()
		m.running.Store(false)
	}
}

func (m *mailbox) run() {
	var current any
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, current)
		}
	}()
	const fair = 300 // messages before other goroutines get a turn; protoactor's default throughput
	for i := 1; ; i++ {
		if i%fair == 0 {
			runtime.Gosched()
		}
		for l := m.system.take(); l != nil; l = l.next {
			current = l.msg
			m.runSystem(current)
		}
		if m.suspended.Load() {
			return
		}
		if m.batch == nil {
			if m.batch = m.user.take(); m.batch == nil {
				return
			}
		}
		current = m.batch.msg
		m.batch = m.batch.next
		m.invoker.InvokeUserMessage(current)
	}
}

func (m *mailbox) runSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended.Store(true)
	case *actor.ResumeMailbox:
		m.suspended.Store(false)
	default:
		m.invoker.InvokeSystemMessage(msg)
	}
}
