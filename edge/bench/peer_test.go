package bench

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/proto/codec"
)

// scripted is an engine without a network: the test plays the server.
type scripted struct{ sockets []*scriptedSocket }

type scriptedSocket struct {
	out    bytes.Buffer
	closed bool
	err    error
}

func (e *scripted) dial(*peer) (socket, error) {
	s := new(scriptedSocket)
	e.sockets = append(e.sockets, s)
	return s, nil
}
func (e *scripted) close() {}

func (s *scriptedSocket) write(b []byte) error { s.out.Write(b); return s.err }
func (s *scriptedSocket) close()               { s.closed = true }

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + upgradeAccept + "\r\n\r\n"

// newScripted returns a swarm of one loop and one dialed peer.
func newScripted(t *testing.T, p codec.Protocol) (*swarm, *loop, *peer, *scriptedSocket) {
	t.Helper()
	u, err := url.Parse("ws://127.0.0.1:1/ws/demo")
	if err != nil {
		t.Fatal(err)
	}
	e := new(scripted)
	s := &swarm{request: upgradeRequest(u, p), epoch: time.Now(), slots: make(chan struct{}, 1), engine: e}
	op := frame.Binary
	if p.Text() {
		op = frame.Text
	}
	l := &loop{swarm: s, codec: p, opcode: op, masks: rand.New(rand.NewPCG(1, 1))}
	s.loops = []*loop{l}
	s.slots <- struct{}{}
	l.dial(0, "c")
	l.opened(l.peers[0])
	return s, l, l.peers[0], e.sockets[0]
}

// messages is a frame of the server with these messages.
func messages(p codec.Protocol, list ...*clientv1.ServerMessage) []byte {
	var parts [][]byte
	for _, m := range list {
		parts = append(parts, codec.AppendServer(nil, p, m))
	}
	if p == codec.JSON {
		return frame.Append(nil, frame.Text, []byte("["+string(bytes.Join(parts, []byte(",")))+"]"))
	}
	return frame.Append(nil, frame.Binary, bytes.Join(parts, nil))
}

func connected() *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Id: 1, Body: &clientv1.ServerMessage_Connected{Connected: &clientv1.Connected{Session: "s"}}}
}

func subscribed() *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Id: 2, Body: &clientv1.ServerMessage_Subscribed{Subscribed: &clientv1.Subscribed{Channel: "c"}}}
}

func publication(number uint32) *clientv1.ServerMessage {
	data := newPayload(64)
	putStamp(data, number, 0)
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{Publication: &clientv1.Publication{Channel: "c", Seq: 7, Data: data}}}
}

func TestPeerCountsWhatItGets(t *testing.T) {
	for _, p := range codec.All {
		stream := upgraded + string(messages(p, connected(), subscribed(), publication(0))) +
			string(frame.Append(nil, frame.Ping, []byte("x"))) +
			string(messages(p, publication(2), publication(1), publication(1))) +
			fragmented(p, publication(5)) +
			string(messages(p, &clientv1.ServerMessage{Id: 9, Body: &clientv1.ServerMessage_Error{Error: &clientv1.Error{Code: 429}}}))
		for _, size := range []int{1, 2, 3, 7, 64, 1 << 20} {
			s, l, peer, socket := newScripted(t, p)
			s.play(func(l *loop) script { return counter{l} })
			for rest := []byte(stream); len(rest) > 0; {
				n := min(size, len(rest))
				l.arrived(peer, rest[:n])
				rest = rest[n:]
			}
			got := s.take()
			if got.firstError != nil || got.joined != 1 || got.received != 5 || got.reordered != 1 ||
				got.duplicated != 1 || got.refused != 1 || got.deliveries.total != 4 || s.lost(6) != 2 {
				t.Errorf("%s in pieces of %d: got %d joined, %d received, %d reordered, %d duplicated, %d refused, %d lost, %v",
					p.Subprotocol(), size, got.joined, got.received, got.reordered, got.duplicated, got.refused, s.lost(6), got.firstError)
			}
			if peer.in != nil || peer.text != nil {
				t.Errorf("%s in pieces of %d: buffers are kept", p.Subprotocol(), size)
			}
			checkSent(t, p, socket.out.Bytes())
		}
	}
}

// fragmented is a message in two frames.
func fragmented(p codec.Protocol, m *clientv1.ServerMessage) string {
	whole := messages(p, m)
	h, _ := frame.Next(whole)
	payload := whole[h.Offset:]
	first := append([]byte{byte(h.Op), 10}, payload[:10]...)
	return string(first) + string(frame.Append(nil, frame.Continuation, payload[10:]))
}

// checkSent reads what the peer sent with a guard: request, commands, pong.
func checkSent(t *testing.T, p codec.Protocol, b []byte) {
	t.Helper()
	_, frames, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	guard := frame.NewGuard(frame.Limits{Role: frame.Server})
	if _, v := guard.Scan(frames); v != nil {
		t.Fatalf("sent: %v", v)
	}
	h, size := frame.Next(frames)
	payload := bytes.Clone(frames[h.Offset:size])
	frame.Mask(payload, h.Key)
	commands, err := codec.DecodeClient(p, payload)
	if err != nil || len(commands) != 2 || commands[0].GetConnect() == nil || commands[1].GetSubscribe().GetChannel() != "c" {
		t.Errorf("sent: %v, %v", commands, err)
	}
	if h, _ = frame.Next(frames[size:]); h.Op != frame.Pong {
		t.Errorf("sent: got opcode %d, want a pong", h.Op)
	}
}

func TestPeerFailures(t *testing.T) {
	refused := &clientv1.ServerMessage{Id: 1, Body: &clientv1.ServerMessage_Error{Error: &clientv1.Error{Code: 403, Message: "no"}}}
	ended := &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Unsubscribed{Unsubscribed: &clientv1.Unsubscribed{Channel: "c", Error: &clientv1.Error{Message: "over"}}}}
	for name, c := range map[string]struct{ sent, want string }{
		"status":       {"HTTP/1.1 503 Service Unavailable\r\n\r\n", "503"},
		"accept":       {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Accept"},
		"endless head": {"HTTP/1.1 101 " + strings.Repeat("x", maxHead), "does not end"},
		"refused":      {upgraded + string(messages(codec.Proto, refused)), "403 no"},
		"close":        {upgraded + string(frame.AppendClose(nil, cause.Overload, "busy")), "1013 busy"},
		"close empty":  {upgraded + string(frame.Append(nil, frame.Close, nil)), "without a code"},
		"masked":       {upgraded + string(frame.AppendMasked(nil, frame.Binary, nil, [4]byte{})), "masked"},
		"top bit":      {upgraded + "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "frame of"},
		"garbage":      {upgraded + string(frame.Append(nil, frame.Binary, []byte{0xff, 0xff})), "malformed"},
		"endless text": {upgraded + strings.Repeat("\x00\x7f\x00\x00\x00\x00\x00\x40\x00\x00"+strings.Repeat("x", 1<<22), 3), "more than"},
		"unsubscribed": {upgraded + string(messages(codec.Proto, connected(), subscribed(), ended)), "over"},
	} {
		s, l, peer, socket := newScripted(t, codec.Proto)
		l.arrived(peer, []byte(c.sent))
		l.arrived(peer, []byte("more")) // means nothing any more
		got := s.take()
		if got.failed != 1 || got.ready != 0 || got.firstError == nil || !strings.Contains(got.firstError.Error(), c.want) || !socket.closed {
			t.Errorf("%s: got %d failed, %v, want %q", name, got.failed, got.firstError, c.want)
		}
		if len(s.slots) != 0 {
			t.Errorf("%s: the slot was not given back", name)
		}
	}
}

func TestPeerWriteFailure(t *testing.T) {
	s, l, peer, socket := newScripted(t, codec.Proto)
	socket.err = errors.New("broken pipe")
	l.arrived(peer, []byte(upgraded))
	if got := s.take(); got.failed != 1 || got.firstError == nil {
		t.Errorf("got %d failed, %v", got.failed, got.firstError)
	}
	s.close() // and nothing happens twice
}

func FuzzPublicationData(f *testing.F) {
	f.Add(codec.AppendServer(nil, codec.Proto, publication(3)))
	f.Add([]byte{codec.TypePublication, 0})
	f.Add([]byte{codec.TypePublication, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		data, size := publicationData(b)
		if size == 0 {
			return
		}
		messages, err := codec.DecodeServer(codec.Proto, b[:size])
		if err != nil || len(messages) != 1 {
			return // the fast path need not find every fault of a server
		}
		if p := messages[0].GetPublication(); p != nil && p.Data != nil && !bytes.Contains(b, data) {
			t.Errorf("got %q, want a part of the record", data)
		}
	})
}
