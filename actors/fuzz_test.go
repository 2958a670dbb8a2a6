package actors

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
)

// FuzzSession feeds a session whatever the bytes say: commands, answers to
// effects in any order, answers nobody asked for, verdicts, the end of the
// socket at any time. It must never panic, end exactly once and last, close
// at most once, and give back exactly what it acquired.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 20, 21, 2, 22, 10, 6, 22, 30})
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 20, 20, 20})
	f.Add([]byte{0, 20, 20, 2, 3, 18, 2, 18, 20, 20, 20, 20, 30, 2})
	f.Add([]byte{0, 20, 20, 2, 2, 2, 19, 25, 18, 24, 20, 31, 0, 20, 24})
	f.Fuzz(func(t *testing.T, script []byte) {
		newSessionFuzz(t).run(script)
	})
}

// TestSessionRandomWalk is the fuzz target on random bytes, for every run of
// the tests.
func TestSessionRandomWalk(t *testing.T) {
	r := seeded(t)
	for range 2000 {
		script := make([]byte, 50+r.IntN(200))
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		newSessionFuzz(t).run(script)
		if t.Failed() {
			t.Fatalf("script %v", script)
		}
	}
}

// sessionFuzz is a shell that keeps the session's book.
type sessionFuzz struct {
	t       *testing.T
	session Session
	now     time.Time
	answers []Event        // owed to the session, in the order of asking
	holding map[string]int // acquired and not released, by channel
	joined  map[string]bool
	ended   int
	closed  int
}

func newSessionFuzz(t *testing.T) *sessionFuzz {
	config := DefaultConfig()
	config.Node, config.MaxChannels, config.MaxRPCInFlight, config.RateMessages, config.RateBurst = "n1", 3, 2, 50, 20
	config.Rules = []Rule{{Pattern: "c0", Subscribe: ByToken}, {Pattern: ">", Subscribe: Allow, Publish: Allow}}
	return &sessionFuzz{t: t, session: newSession(newSettings(config), ""), now: time.Unix(1_800_000_000, 0),
		holding: make(map[string]int), joined: make(map[string]bool)}
}

func (s *sessionFuzz) run(script []byte) {
	for _, b := range script {
		if e := s.event(b%32, int(b/32)); e != nil {
			s.step(e)
		}
	}
	s.step(SocketClosed{cause.PeerLost})
	s.step(SocketClosed{cause.PeerLost})
	for len(s.answers) > 0 {
		s.step(s.owed(0, false))
	}
	if s.ended != 1 {
		s.t.Errorf("ended %d times, want 1", s.ended)
	}
	if len(s.holding) != 0 {
		s.t.Errorf("still holding %v", s.holding)
	}
}

func (s *sessionFuzz) event(kind byte, arg int) Event {
	channel := fmt.Sprint("c", arg%5)
	say := func(m ...*clientv1.ClientMessage) Event { return Received{Messages: m, Bytes: 50, Now: s.now} }
	switch kind {
	case 0:
		return say(connectMessage(1, "t", "r"))
	case 1:
		return say(connectMessage(1, "t", ""), subscribeMessage(2, channel), pingMessage(3))
	case 2, 3, 4, 5:
		return say(subscribeMessage(4, channel))
	case 6, 7, 8:
		return say(unsubscribeMessage(5, channel))
	case 9:
		return say(subscribeMessage(6, channel), unsubscribeMessage(7, channel), subscribeMessage(8, channel))
	case 10:
		return say(publishMessage(uint32(arg), channel, "1"))
	case 11:
		return say(rpcMessage(9, "svc.op", "1"), rpcMessage(10, "svc.op", "1"))
	case 12:
		return say(refreshMessage(11, "t"))
	case 13:
		return say(pingMessage(12), &clientv1.ClientMessage{Id: 13})
	case 14:
		return say()
	case 15:
		return PingFrame{Now: s.now}
	case 16:
		s.now = s.now.Add(time.Duration(arg) * time.Second)
		return nil
	case 17, 18, 19, 20, 21, 22, 23:
		if len(s.answers) > 0 {
			return s.owed(arg%len(s.answers), kind == 19)
		}
		return nil
	case 24: // what nobody asked for, or not any more
		return Interest{Channel: channel, Attempt: uint32(arg + 100), Err: errFake503}
	case 25:
		return Answered{ID: 1}
	case 26:
		return Verified{ID: 1, Identity: Identity{User: "eve"}}
	case 27:
		return Opened{ID: 1, Session: "other"}
	case 28:
		return Published{ID: uint32(arg)}
	case 29:
		return Verified{ID: 1, Refresh: true, Err: errFake401}
	case 30:
		if arg == 0 {
			return Verdict{Code: cause.Kicked}
		}
	case 31:
		if arg == 0 {
			return SocketClosed{cause.ClientGone}
		}
	}
	return nil
}

// owed takes an answer off the book. A failed Acquire holds nothing.
func (s *sessionFuzz) owed(i int, fail bool) Event {
	e := s.answers[i]
	s.answers = slices.Delete(s.answers, i, i+1)
	if !fail {
		return e
	}
	switch e := e.(type) {
	case Interest:
		e.Err = errFake503
		return e
	case Verified:
		e.Err = errFake401
		return e
	case Answered:
		e.Err = errFake503
		return e
	}
	return e
}

func (s *sessionFuzz) step(e Event) {
	before := s.session.phase
	if i, ok := e.(Interest); ok && i.Err != nil && s.awaits(i) {
		s.release(i.Channel)
	}
	for _, effect := range s.session.Step(e, nil) {
		if s.ended > 0 {
			s.t.Errorf("%T after the end", effect)
		}
		if _, over := effect.(Ended); before == phaseClosing && !over {
			s.t.Errorf("%T after the close frame", effect)
		}
		s.note(effect)
	}
	if s.session.phase < before {
		s.t.Errorf("phase went back from %d to %d", before, s.session.phase)
	}
}

// awaits reports whether the session still counts on this answer.
func (s *sessionFuzz) awaits(e Interest) bool {
	i := s.session.find(e.Channel)
	return i >= 0 && s.session.subs[i].attempt == e.Attempt && !s.session.subs[i].joined
}

func (s *sessionFuzz) release(channel string) {
	if s.holding[channel]--; s.holding[channel] < 0 {
		s.t.Errorf("%s released without being held", channel)
	}
	if s.holding[channel] == 0 {
		delete(s.holding, channel)
	}
}

func (s *sessionFuzz) note(effect Effect) {
	switch e := effect.(type) {
	case Authenticate:
		s.answers = append(s.answers, Verified{ID: e.ID, Refresh: e.Refresh, Now: s.now, Identity: Identity{Subscribe: []string{"c0"}}})
	case Open:
		s.answers = append(s.answers, Opened{ID: e.ID, Session: "s"})
	case Acquire:
		if s.holding[e.Channel]++; s.holding[e.Channel] > 1 {
			s.t.Errorf("%s acquired twice", e.Channel)
		}
		s.answers = append(s.answers, Interest{Channel: e.Channel, Attempt: e.Attempt})
	case Release:
		s.release(e.Channel)
	case Join:
		if s.joined[e.Channel] || s.holding[e.Channel] != 1 {
			s.t.Errorf("%s joined twice, or without interest", e.Channel)
		}
		s.joined[e.Channel] = true
	case Leave:
		delete(s.joined, e.Channel)
	case Publish:
		s.answers = append(s.answers, Published{ID: e.ID})
	case Request:
		s.answers = append(s.answers, Answered{ID: e.ID})
	case Close:
		s.closed++
		if s.closed > 1 {
			s.t.Error("closed twice")
		}
	case Ended:
		s.ended++
		for _, channel := range e.Channels {
			s.release(channel)
		}
	}
	if n := len(s.holding); n > s.session.config.MaxChannels {
		s.t.Errorf("holding %d channels", n)
	}
}
