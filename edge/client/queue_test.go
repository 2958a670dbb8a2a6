package client

import (
	"slices"
	"testing"
)

// drain runs what is queued.
func drain(q *queue) {
	for {
		it, ok := q.pop()
		if !ok {
			return
		}
		it.run()
	}
}

func TestQueueKeepsOrder(t *testing.T) {
	q := newQueue(100)
	var got []int
	next := 0
	for round := range 10 { // so that the ring turns
		for range 7 + round {
			n := next
			q.push(func() { got = append(got, n) }, nil)
			next++
		}
		drain(q)
	}
	if !slices.IsSorted(got) || len(got) != next {
		t.Errorf("got %v, want 0 to %d in order", got, next-1)
	}
	if !q.empty() {
		t.Error("queue is not empty after draining")
	}
}

func TestQueueOverflowIsBackpressure(t *testing.T) {
	q := newQueue(2)
	var got []int
	for n := range 2 {
		q.push(func() { got = append(got, n) }, nil)
	}
	pushed := make(chan bool)
	go func() { pushed <- q.push(func() { got = append(got, 2) }, nil) }()
	for q.stalls.Load() == 0 { // the third waits
		select {
		case <-pushed:
			t.Fatal("push into a full queue returned")
		default:
		}
	}
	it, _ := q.pop()
	it.run()
	if !<-pushed {
		t.Error("push was refused although there was room again")
	}
	drain(q)
	if want := []int{0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQueuePushEndsWithTheSocket(t *testing.T) {
	q := newQueue(1)
	q.push(func() {}, nil)
	cut := make(chan struct{})
	close(cut)
	if q.push(func() {}, cut) {
		t.Error("push into a full queue of a dead socket was taken")
	}
}

func TestQueueMergesChangesInARow(t *testing.T) {
	q := newQueue(1)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	q.pushChange(say("connecting"))
	q.pushChange(say("connected"))
	q.push(say("message"), nil) // a full queue still takes changes
	q.pushChange(say("suspended"))
	q.pushChange(say("connecting"))
	q.pushChange(say("connected"))
	drain(q)
	if want := []string{"connected", "message", "connected"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
