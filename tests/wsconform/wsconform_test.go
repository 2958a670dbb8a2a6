package wsconform_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hawser/tests/wsconform"
)

// TestGuardedGWS is the point of it all: gws behind the frame guard is strict.
func TestGuardedGWS(t *testing.T) {
	s := serve(t, wsconform.Limits{}, guarded)
	report := wsconform.Run(t, s.dial)
	if got := report.Count(wsconform.OK); got != 301-3 {
		t.Errorf("got %d OK, want all but the 3 informational ones of 301", got)
	}
}

// TestGuardedGWSBig plays 9.* and 10.* at larger sizes.
func TestGuardedGWSBig(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 90 MB")
	}
	limits := wsconform.Limits{MaxMessageBytes: 1 << 20, MaxFragments: 16 << 10}
	s := serve(t, limits, guarded)
	suite := wsconform.Suite{Dial: s.dial, Limits: limits}
	for _, c := range wsconform.Cases() {
		if c.Skip == "" && (strings.HasPrefix(c.ID, "9.") || strings.HasPrefix(c.ID, "10.")) {
			if r := suite.Play(c); r.Behaviour != wsconform.OK {
				t.Errorf("%s: %s: %s: %s", c.ID, c.What, r.Behaviour, r.Reason)
			}
		}
	}
}

func TestGuardedGWSHostile(t *testing.T) {
	s := serve(t, wsconform.Limits{}, guarded)
	for _, stream := range wsconform.Hostile(wsconform.Limits{}) {
		t.Run(stream.Name, func(t *testing.T) {
			if err := stream.Check(s.dial, 10*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	s.stop()
	waitGoroutines(t)
}

// TestSuiteHasTeeth plays the suite against servers with a known fault: it
// must find exactly the cases that the fault breaks.
func TestSuiteHasTeeth(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t, wsconform.Limits{}, f.server)
			suite := wsconform.Suite{Dial: s.dial, FailFast: 100 * time.Millisecond, Patience: 200 * time.Millisecond, Quiet: 10 * time.Millisecond}
			found := map[string]wsconform.Behaviour{}
			for _, c := range wsconform.Cases() {
				if c.Skip != "" || !slices.Contains(f.play, group(c.ID)) {
					continue
				}
				if r := suite.Play(c); r.Behaviour == wsconform.Failed || r.Behaviour == wsconform.NonStrict {
					found[c.ID] = r.Behaviour
				}
			}
			if !maps.Equal(found, f.want) {
				t.Errorf("got  %v\nwant %v", found, f.want)
			}
		})
	}
}

// TestDeflate plays the cases that compress against gws' own compression, and
// against one that keeps a context, which no case may accept.
func TestDeflate(t *testing.T) {
	play := func(t *testing.T, f fault) wsconform.Report {
		s := serve(t, wsconform.Limits{}, f)
		suite := wsconform.Suite{Dial: s.dial, Offer: s.offer, Patience: 10 * time.Second}
		var report wsconform.Report
		for _, c := range wsconform.Cases() {
			if strings.HasPrefix(c.ID, "12.") || strings.HasPrefix(c.ID, "13.") {
				r := suite.Play(c)
				if report = append(report, r); r.Behaviour == wsconform.Failed && !f.window {
					t.Errorf("%s: %s: %s", c.ID, c.What, r.Reason)
				}
			}
		}
		return report
	}
	good := play(t, fault{bare: true, deflate: true})
	if ok, skipped := good.Count(wsconform.OK), good.Count(wsconform.Skipped); ok != 144 || skipped != 72 {
		t.Errorf("got %d OK and %d skipped, want 144 and 72", ok, skipped)
	}
	keeps := play(t, fault{bare: true, deflate: true, window: true})
	// 13.2 and the offers of 13.7 ask for no context, and gws obeys.
	if failed := keeps.Count(wsconform.Failed); failed != 144-2*18 {
		t.Errorf("a server that keeps a context failed %d cases, want %d", failed, 144-2*18)
	}
}

// group is a case number without its last part.
func group(id string) string { return id[:strings.LastIndex(id, ".")] }

// each gives all cases of a group, first to last, one behaviour.
func each(group string, last int, b wsconform.Behaviour) map[string]wsconform.Behaviour {
	m := map[string]wsconform.Behaviour{}
	for i := range last {
		m[fmt.Sprintf("%s.%d", group, i+1)] = b
	}
	return m
}

// faults are servers that are wrong in one way, the groups to play, and what
// must be found there.
var faults = []struct {
	name   string
	server fault
	play   []string
	want   map[string]wsconform.Behaviour
}{
	// What the guard is for; measured with Autobahn itself too.
	{"bare gws sees bad UTF-8 late", fault{bare: true}, []string{"6.3", "6.4"}, each("6.4", 4, wsconform.NonStrict)},
	{"wrong close code", fault{closeCode: 1008}, []string{"4.2", "6.1"}, each("4.2", 5, wsconform.Failed)},
	{"no close frame", fault{noClose: true}, []string{"4.2", "6.3", "1.1"}, map[string]wsconform.Behaviour{
		"4.2.1": wsconform.NonStrict, "4.2.2": wsconform.NonStrict, "4.2.3": wsconform.NonStrict, "4.2.4": wsconform.NonStrict, "4.2.5": wsconform.NonStrict,
		"6.3.1": wsconform.NonStrict, "6.3.2": wsconform.NonStrict}},
	{"no pongs", fault{noPong: true}, []string{"2"}, map[string]wsconform.Behaviour{
		"2.1": wsconform.Failed, "2.2": wsconform.Failed, "2.3": wsconform.Failed, "2.4": wsconform.Failed, "2.6": wsconform.Failed,
		"2.9": wsconform.Failed, "2.10": wsconform.Failed, "2.11": wsconform.Failed}},
	{"echoes twice", fault{echoes: 2}, []string{"6.2"}, each("6.2", 4, wsconform.Failed)},
	{"swallows messages", fault{swallow: true}, []string{"1.2"}, each("1.2", 8, wsconform.Failed)},
	{"text echoed as binary", fault{binary: true}, []string{"6.1"}, each("6.1", 3, wsconform.Failed)},
}

// TestCases counts the list: it is Autobahn's.
func TestCases(t *testing.T) {
	want := map[string]int{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 90, "13": 126}
	got := map[string]int{}
	seen := map[string]bool{}
	for _, c := range wsconform.Cases() {
		category, _, _ := strings.Cut(c.ID, ".")
		got[category]++
		if seen[c.ID] {
			t.Errorf("case %s is there twice", c.ID)
		}
		if c.What == "" {
			t.Errorf("case %s says nothing", c.ID)
		}
		seen[c.ID] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("cases in each category: got %v, want %v", got, want)
	}
}

// TestHandshakeRefused: a server that is none must give an error, not a hang.
func TestHandshakeRefused(t *testing.T) {
	client, server := net.Pipe()
	answered := make(chan struct{})
	go func() { // ends when the answer is out and the client has hung up
		defer close(answered)
		buf := make([]byte, 4096)
		server.Read(buf)
		server.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
		server.Close()
	}()
	_, err := wsconform.Handshake(pipeConn{client}, "/")
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v, want an error with the status", err)
	}
	<-answered
}

// pipeConn has an address that can stand in a Host header.
type pipeConn struct{ net.Conn }

func (pipeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// TestMain checks that the tests leave no goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !settled() {
		buf := make([]byte, 1<<20)
		fmt.Printf("goroutines left behind:\n%s", buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

// waitGoroutines fails when servers and peers are still at work.
func waitGoroutines(t *testing.T) {
	t.Helper()
	if !settled() {
		t.Error("goroutines of this package are still running")
	}
}

// settled waits until no goroutine runs code of this package's servers or
// peers, and reports whether that came about.
func settled() bool {
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, ".readLoop(") && !strings.Contains(stacks, "echoServer).") {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
}
