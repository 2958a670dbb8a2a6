package bench

import (
	"math/rand/v2"
	"sync"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/proto/codec"
)

// socket is the engine's side of a peer. Its methods are called with the
// loop's mu held.
type socket interface {
	// write sends b, or keeps what the kernel does not take.
	write(b []byte) error
	// close ends the socket; nothing of it comes any more.
	close()
}

// script is what a scenario does with its peers. Its methods are called with
// the loop's mu held and must not block.
type script interface {
	publication(p *peer, data []byte)
	refused(p *peer, e *clientv1.Error)
}

// loop is one share of a swarm. An engine feeds it. It is not an actor: run
// and the engine both take mu and act.
type loop struct {
	// Immutable after newSwarm.
	swarm  *swarm
	codec  codec.Protocol
	opcode frame.Opcode // of data frames

	mu     sync.Mutex
	peers  []*peer    // guarded by mu
	script script     // guarded by mu; nil: messages are only counted
	tally  tally      // guarded by mu
	masks  *rand.Rand // guarded by mu; a load tool's masks need not be unpredictable
	out    []byte     // guarded by mu; the frame being built
	body   []byte     // guarded by mu; the message being built
}

// tally is what a loop has counted since it was last taken.
type tally struct {
	joins      histogram // dial to subscribed
	deliveries histogram // stamp to read
	joined     int
	failed     int // peers that ended before swarm.close, or never joined
	ready      int // peers that are joined now; kept when taken
	received   int
	strange    int // publications without a stamp of ours
	duplicated int
	reordered  int
	refused    int // error answers
	answered   int // peers that answered loop.ask
	cut        int // stalled peers that the server ended
	firstError error
}

// dial adds a peer and starts its connection.
func (l *loop) dial(index int, channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &peer{loop: l, index: index, channel: channel, began: l.swarm.now()}
	l.peers = append(l.peers, p)
	s, err := l.swarm.engine.dial(p)
	if err != nil {
		l.fail(p, err)
		return
	}
	p.socket = s
}

// opened sends the HTTP request once TCP is there. Needs mu.
func (l *loop) opened(p *peer) {
	if err := p.socket.write(l.swarm.request); err != nil {
		l.fail(p, err)
	}
}

// arrived takes bytes from the socket. Needs mu.
func (l *loop) arrived(p *peer, b []byte) {
	if p.phase == gone {
		return
	}
	if err := p.received(b); err != nil {
		l.fail(p, err)
	}
}

// join sends connect and subscribe, in one frame. Needs mu.
func (l *loop) join(p *peer) {
	connect := &clientv1.ClientMessage{Id: 1, Body: &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{
		Token: l.swarm.token, ClientName: "hawser-bench"}}}
	subscribe := &clientv1.ClientMessage{Id: 2, Body: &clientv1.ClientMessage_Subscribe{
		Subscribe: &clientv1.Subscribe{Channel: p.channel}}}
	b := l.body[:0]
	if l.codec == codec.JSON {
		b = append(b, '[')
	}
	b = codec.AppendClient(b, l.codec, connect)
	if l.codec == codec.JSON {
		b = append(b, ',')
	}
	b = codec.AppendClient(b, l.codec, subscribe)
	if l.codec == codec.JSON {
		b = append(b, ']')
	}
	l.body = b
	l.send(p, l.opcode, b)
}

// publish sends data to the peer's own channel. Needs mu.
func (l *loop) publish(p *peer, data []byte) {
	l.body = codec.AppendClient(l.body[:0], l.codec, &clientv1.ClientMessage{
		Body: &clientv1.ClientMessage_Publish{Publish: &clientv1.Publish{Channel: p.channel, Data: data}}})
	l.send(p, l.opcode, l.body)
}

// ask sends a ping command, which only a live session answers. Needs mu.
func (l *loop) ask(p *peer) {
	p.asked = true
	l.body = codec.AppendClient(l.body[:0], l.codec, &clientv1.ClientMessage{
		Id: askID, Body: &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}})
	l.send(p, l.opcode, l.body)
}

const askID = 3 // connect is 1, subscribe 2

// answered counts the first answer to ask. Needs mu.
func (l *loop) answered(p *peer) {
	if p.asked {
		p.asked = false
		l.tally.answered++
	}
}

// send writes one frame. Needs mu.
func (l *loop) send(p *peer, op frame.Opcode, payload []byte) {
	if p.phase == gone {
		return
	}
	v := l.masks.Uint32()
	key := [4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
	l.out = frame.AppendMasked(l.out[:0], op, payload, key)
	if err := p.socket.write(l.out); err != nil {
		l.fail(p, err)
	}
}

// joined counts a peer that is subscribed. Needs mu.
func (l *loop) joined(p *peer) {
	l.tally.joins.record(l.swarm.now() - p.began)
	l.tally.joined++
	l.tally.ready++
	l.swarm.release()
}

// publication hands a message to the script. Needs mu.
func (l *loop) publication(p *peer, data []byte) {
	l.tally.received++
	if l.script != nil {
		l.script.publication(p, data)
	}
}

// refused counts an error answer. Needs mu.
func (l *loop) refused(p *peer, e *clientv1.Error) {
	l.tally.refused++
	if l.script != nil {
		l.script.refused(p, e)
	}
}

// stamped reads and counts the stamp of a message. Needs mu.
func (l *loop) stamped(p *peer, data []byte) (sent time.Duration, ok bool) {
	number, sent, ok := readStamp(data)
	if !ok {
		l.tally.strange++
		return 0, false
	}
	switch p.order.see(number) {
	case duplicated:
		l.tally.duplicated++
		return 0, false
	case reordered:
		l.tally.reordered++
	}
	l.tally.deliveries.record(l.swarm.now() - sent)
	return sent, true
}

// fail ends a peer that should have lived. Needs mu.
func (l *loop) fail(p *peer, err error) {
	if p.phase == gone {
		return
	}
	if p.phase == stalled { // the server's right
		l.tally.cut++
		l.end(p)
		return
	}
	l.tally.failed++
	if l.tally.firstError == nil {
		l.tally.firstError = err
	}
	if p.phase == ready {
		l.tally.ready--
	} else {
		l.swarm.release()
	}
	l.end(p)
}

// end closes the socket of a peer. Needs mu.
func (l *loop) end(p *peer) {
	p.phase = gone
	p.in, p.text = nil, nil
	if p.socket != nil {
		p.socket.close()
	}
}

// goodbye says close to a live peer and ends it. Needs mu.
func (l *loop) goodbye(p *peer) {
	if p.phase == gone {
		return
	}
	if p.phase > upgrading {
		var room [frame.MaxControlPayload]byte
		l.send(p, frame.Close, frame.AppendClosePayload(room[:0], cause.ClientClosed, ""))
	}
	if p.phase != gone {
		l.end(p)
	}
}

// take returns what was counted, and counts anew.
func (l *loop) take() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	l.tally = tally{ready: t.ready}
	return t
}

// add adds all of other.
func (t *tally) add(other *tally) {
	t.joins.merge(&other.joins)
	t.deliveries.merge(&other.deliveries)
	t.joined += other.joined
	t.failed += other.failed
	t.ready += other.ready
	t.received += other.received
	t.strange += other.strange
	t.duplicated += other.duplicated
	t.reordered += other.reordered
	t.refused += other.refused
	t.answered += other.answered
	t.cut += other.cut
	if t.firstError == nil {
		t.firstError = other.firstError
	}
}
