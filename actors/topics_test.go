package actors

import (
	"strings"
	"sync"
	"testing"

	"hawser/proto/cause"
)

func TestOneInterestForManySubscribers(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.dial("ann"), w.dial("bob")
	a.subscribe("news", "chat")
	b.subscribe("news")
	if subscribed, _, unsubscribed := w.broker.counts(); subscribed != 2 || unsubscribed != 0 {
		t.Errorf("broker asked %d times, told %d times: want 2 and 0", subscribed, unsubscribed)
	}
	a.say(unsubscribeMessage(5, "news"))
	if _, _, unsubscribed := w.broker.counts(); unsubscribed != 0 {
		t.Error("interest given back while bob still listens")
	}
	b.conn.SocketClosed(cause.ClientGone)
	if _, _, unsubscribed := w.broker.counts(); unsubscribed != 1 {
		t.Errorf("interest given back %d times, want 1", unsubscribed)
	}
}

func TestFailedInterestTellsAllAndIsTriedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.broker.hold = true
	a, b := w.dial("ann"), w.dial("bob")
	a.say(subscribeMessage(2, "news"))
	b.say(subscribeMessage(3, "news"))
	a.take()
	b.take()
	w.broker.answerAll(errFake503)
	a.wants(`{"id":2,"error":{"code":503,"message":"no NATS","temporary":true}}`)
	b.wants(`{"id":3,"error":{"code":503,"message":"no NATS","temporary":true}}`)
	if n := len(a.conn.held) + len(b.conn.held) + w.system.topics.count(); n != 0 {
		t.Errorf("%d references to a failed topic are left", n)
	}
	w.broker.hold = false
	a.subscribe("news")
	a.wants(`{"id":100,"subscribed":{"channel":"news"}}`)
}

// TestLateUnsubscribeDoesNotStealInterest: ann's subscription fails; before her
// actor hears of it, bob's new one succeeds and ann unsubscribes. She must not
// give back what is bob's.
func TestLateUnsubscribeDoesNotStealInterest(t *testing.T) {
	w := newWorld(t, nil)
	ann, bob := w.dial("ann"), w.dial("bob")
	w.broker.hold = true
	ann.say(subscribeMessage(2, "news"))
	stall(ann.conn, func() {
		w.broker.answerAll(errFake503) // waits in ann's mailbox, behind the next line
		w.broker.hold = false
		bob.subscribe("news")
		ann.conn.handle(Received{Messages: messages(unsubscribeMessage(3, "news"))})
	})
	if _, _, unsubscribed := w.broker.counts(); unsubscribed != 0 {
		t.Errorf("bob's interest was given back")
	}
	bob.take()
	w.system.Deliver("acme", "news", 1, []byte("1"))
	w.settle()
	bob.wants(`{"publication":{"channel":"news","seq":1,"data":1}}`)
}

// stall runs f as if from within the actor of c: what is sent to it waits.
func stall(c *Conn, f func()) {
	c.mailbox.running.Store(true)
	f()
	c.mailbox.running.Store(false)
	c.mailbox.schedule()
}

// TestUnwantedInterest: the last one leaves before the broker has answered.
// The answer then gives the interest back, or revives it for the next one.
func TestUnwantedInterest(t *testing.T) {
	for _, c := range []struct {
		name                    string
		next                    bool
		answer                  error
		subscribed, givenBack   int
		wantHeld, wantSubscribe string
	}{
		{"nobody comes", false, nil, 1, 1, "", ""},
		{"nobody comes, refused", false, errFake503, 1, 0, "", ""},
		{"another comes", true, nil, 1, 0, "news", `"subscribed"`},
		{"another comes, refused", true, errFake503, 1, 0, "", `"code":503`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.broker.hold = true
			ann, bob := w.dial("ann"), w.dial("bob")
			ann.say(subscribeMessage(2, "news"), unsubscribeMessage(3, "news"))
			if c.next {
				bob.say(subscribeMessage(4, "news"))
			}
			w.broker.answerAll(c.answer)
			w.settle()
			subscribed, _, givenBack := w.broker.counts()
			if subscribed != c.subscribed || givenBack != c.givenBack {
				t.Errorf("asked %d times, gave back %d: want %d and %d", subscribed, givenBack, c.subscribed, c.givenBack)
			}
			if held := strings.Join(bob.conn.heldChannels(), ","); held != c.wantHeld {
				t.Errorf("bob holds %q, want %q", held, c.wantHeld)
			}
			if got := bob.got(); !strings.Contains(got, c.wantSubscribe) {
				t.Errorf("bob got %s, want %s", got, c.wantSubscribe)
			}
		})
	}
}

// TestInterestUnderContention: many connections come to and leave the same few
// channels while the broker answers from its own goroutine, now and then with
// an error. Nothing is left, and the broker's book is even.
func TestInterestUnderContention(t *testing.T) {
	const clients, rounds = 8, 150
	w := newWorld(t, nil)
	w.broker.hold = true
	stop := make(chan struct{}) // closed when the clients are done
	var answering, all sync.WaitGroup
	answering.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				var err error
				if i%5 == 0 {
					err = errFake503
				}
				w.broker.answerAll(err)
			}
		}
	})
	channels := []string{"a", "b", "c"}
	for k := range clients {
		all.Go(func() {
			c := w.dial("ann")
			for i := range rounds {
				ch := channels[(i+k)%len(channels)]
				c.say(subscribeMessage(1, ch))
				c.say(unsubscribeMessage(2, ch))
				if i%50 == 49 {
					c.say(subscribeMessage(3, ch))
					c.conn.SocketClosed(cause.ClientGone)
					c = w.dial("ann")
				}
			}
			c.conn.SocketClosed(cause.ClientGone)
		})
	}
	all.Wait()
	close(stop)
	answering.Wait()
	w.broker.answerAll(nil)
	if n := w.system.topics.count(); n != 0 {
		t.Errorf("%d topics left", n)
	}
	w.broker.check(t)
}
