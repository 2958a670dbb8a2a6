package client

import (
	"sync"
	"sync/atomic"
)

// item is one callback to run. change marks those of state changes.
type item struct {
	run    func()
	change bool
}

// queue holds callbacks in order between the sockets and dispatch. It is
// bounded in messages; its overflow is backpressure: push waits. State changes
// always fit: of several in a row only the last is kept.
type queue struct {
	limit  int
	stalls atomic.Uint64 // pushes that had to wait

	work chan struct{} // 1 deep: there is something to pop; never closed
	room chan struct{} // 1 deep: there is room again; never closed

	mu       sync.Mutex
	items    []item // guarded by mu; a ring that grows to need
	head     int    // guarded by mu
	count    int    // guarded by mu
	messages int    // guarded by mu; how many of count are messages
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, work: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push adds a message, waiting for room until cut is closed. It reports
// whether the message was taken. Only one goroutine at a time may push.
func (q *queue) push(run func(), cut <-chan struct{}) bool {
	if q.offer(run) {
		return true
	}
	q.stalls.Add(1)
	for {
		select {
		case <-q.room:
			if q.offer(run) {
				return true
			}
		case <-cut:
			return false
		}
	}
}

func (q *queue) offer(run func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.messages >= q.limit {
		return false
	}
	q.messages++
	q.add(item{run: run})
	return true
}

// pushChange adds a state change; it never waits.
func (q *queue) pushChange(run func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 {
		last := &q.items[(q.head+q.count-1)%len(q.items)]
		if last.change {
			last.run = run
			return
		}
	}
	q.add(item{run: run, change: true})
}

// add needs mu.
func (q *queue) add(it item) {
	if q.count == len(q.items) {
		q.grow()
	}
	q.items[(q.head+q.count)%len(q.items)] = it
	q.count++
	signal(q.work)
}

// grow needs mu. With a change between any two messages there are at most
// twice limit items, and one.
func (q *queue) grow() {
	const least = 16 // slots; most clients are never behind
	bigger := make([]item, max(least, 2*len(q.items)))
	for i := range q.count {
		bigger[i] = q.items[(q.head+i)%len(q.items)]
	}
	q.items, q.head = bigger, 0
}

// pop takes the oldest callback, or reports that there is none.
func (q *queue) pop() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return item{}, false
	}
	oldest := q.items[q.head]
	q.items[q.head] = item{}
	q.head = (q.head + 1) % len(q.items)
	q.count--
	if !oldest.change {
		q.messages--
		signal(q.room)
	}
	return oldest, true
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count == 0
}

// signal makes a 1 deep channel full.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
