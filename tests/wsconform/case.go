package wsconform

import (
	"fmt"
	"net"
	"slices"
	"time"
)

// Behaviour is the verdict on one case.
type Behaviour string

// The behaviours; the package comment says what they mean.
const (
	OK            Behaviour = "OK"
	NonStrict     Behaviour = "NON-STRICT"
	Failed        Behaviour = "FAILED"
	Informational Behaviour = "INFORMATIONAL"
	Skipped       Behaviour = "SKIPPED"
)

// Case is one row of the case list.
type Case struct {
	ID   string // Autobahn's number
	What string // is sent, or is wrong
	Skip string // why it is not run; empty when it is

	offer  string // extension to ask for; empty: none
	script func(Limits) script
}

// Result is the verdict on a case with its reason.
type Result struct {
	Case      Case
	Behaviour Behaviour
	Reason    string
	Reduced   bool // sizes were cut to the server's limits
}

// script is what a case does and wants.
type script struct {
	steps   []step
	want    []event // these and no others, before the close
	lax     bool    // nothing at all instead of want is NON-STRICT
	ending  ending
	codes   []int // that the close frame of the server may have
	reduced bool
}

// ending says who closes, and how.
type ending uint8

const (
	weClose   ending = iota // after want; the server must answer cleanly with 1000
	closeSent               // by the steps; the server must answer cleanly with one of codes
	mustFail                // the server must fail the connection with one of codes
	undefined               // any end will do, if it comes
)

// step is one action of a script.
type step func(*attempt)

// attempt is a case being played.
type attempt struct {
	p       *peer
	waits   waits
	late    bool   // the server failed the connection, but not at once
	failure string // why the case failed before its end
}

// waits are the times of a Suite.
type waits struct {
	patience time.Duration // for an answer that must come
	failFast time.Duration // for a failure that should come at once
	quiet    time.Duration // in which nothing may come
}

// send writes all in one piece.
func send(parts ...[]byte) step {
	b := slices.Concat(parts...)
	return func(a *attempt) { a.p.write(b, a.waits.patience) }
}

// sendEach writes frame by frame.
func sendEach(frames ...[]byte) step {
	return func(a *attempt) {
		for _, f := range frames {
			a.p.write(f, a.waits.patience)
		}
	}
}

// chop writes in pieces of n bytes.
func chop(n int, parts ...[]byte) step {
	b := slices.Concat(parts...)
	return func(a *attempt) {
		for piece := range slices.Chunk(b, n) {
			a.p.write(piece, a.waits.patience)
		}
	}
}

// await waits until n messages or control frames have come in all.
func await(n int) step {
	return func(a *attempt) {
		if !a.p.wait(a.waits.patience, func(got []event, ended bool) bool { return len(got) >= n || ended }) {
			a.failure = fmt.Sprintf("no answer number %d within %v", n, a.waits.patience)
		}
	}
}

// stillOpen wants the connection to live on without a word.
func stillOpen(a *attempt) {
	if a.p.wait(a.waits.quiet, func(got []event, ended bool) bool { return len(got) > 0 || ended }) {
		a.failure = "failed at a prefix that can still become valid"
	}
}

// failsNow wants the server to fail the connection before more is sent.
func failsNow(a *attempt) {
	if !a.p.wait(a.waits.failFast, closedOrEnded) {
		a.late = true
	}
}

// closedOrEnded holds once the server has sent a close frame or is gone.
func closedOrEnded(got []event, ended bool) bool { return ended || closeIndex(got) >= 0 }

// closeIndex finds the first close frame, or -1.
func closeIndex(got []event) int {
	return slices.IndexFunc(got, func(e event) bool { return e.op == clos })
}

// play runs a script on a fresh connection. deflated allows the server to
// compress.
func (s script) play(conn net.Conn, deflated bool, w waits) (Behaviour, string) {
	a := &attempt{p: newPeer(conn, deflated), waits: w}
	defer a.p.close()
	for _, do := range s.steps {
		if do(a); a.failure != "" {
			return Failed, a.failure
		}
	}
	ended := s.finish(a)
	return s.judge(a.p.events(), ended, a.late)
}

// finish brings the connection to its end and reports whether the server
// closed TCP.
func (s script) finish(a *attempt) bool {
	a.p.closeSent = s.ending == closeSent
	if s.ending == weClose {
		a.p.wait(a.waits.patience, func(got []event, ended bool) bool { return ended || len(got) >= len(s.want) })
		a.p.write(closing(1000, ""), a.waits.patience)
		a.p.closeSent = true
	}
	a.p.wait(a.waits.patience, closedOrEnded)
	if !a.p.closeSent { // the server may wait for the answer, RFC 6455 §7.1.1
		a.p.write(closing(1000, ""), a.waits.patience)
	}
	return a.p.wait(a.waits.patience, func(_ []event, ended bool) bool { return ended })
}

// judge compares what came with what was wanted.
func (s script) judge(got []event, ended, late bool) (Behaviour, string) {
	end := event{}
	if i := closeIndex(got); i >= 0 {
		end = got[i]
		if i+1 < len(got) {
			return Failed, fmt.Sprintf("%v after its close frame", got[i+1])
		}
		got = got[:i]
	}
	if s.ending == undefined {
		if !ended {
			return Failed, "the connection did not end"
		}
		return Informational, fmt.Sprintf("%d messages, then %v", len(got), end)
	}
	nothing := s.lax && len(got) == 0
	if !slices.Equal(got, s.want) && !nothing {
		return Failed, fmt.Sprintf("got %v, want %v", got, s.want)
	}
	if b, why := s.judgeClose(end); b != OK {
		return b, why
	}
	switch {
	case !ended:
		return NonStrict, "the server did not close TCP, RFC 6455 §7.1.1"
	case nothing:
		return NonStrict, "good messages before the bad frame were not answered"
	case late:
		return NonStrict, "failed at the end of the message, not at the first impossible byte"
	}
	return OK, ""
}

// judgeClose looks at the close frame; a zero event stands for none.
func (s script) judgeClose(end event) (Behaviour, string) {
	codes := s.codes
	if s.ending == weClose {
		codes = []int{1000}
	}
	clean := s.ending != mustFail
	switch {
	case end.op != clos && clean:
		return Failed, "no close frame: the close handshake must be clean"
	case end.op != clos:
		return NonStrict, "dropped without a close frame, RFC 6455 §7.1.7"
	case end.code == noCode && !clean:
		return NonStrict, "a close frame without a code"
	case end.code != noCode && !slices.Contains(codes, end.code):
		return Failed, fmt.Sprintf("got %v, want one of the codes %v", end, codes)
	}
	return OK, ""
}
