package fabric

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/proto/names"
)

const answerOne = `{"status":"delivered","sessions":1}`

// ask sends a direct message and returns the first answer.
func ask(t *testing.T, nc *nats.Conn, subject string) string {
	t.Helper()
	m, err := nc.Request(subject, []byte("hi"), patience)
	if err != nil {
		t.Fatalf("request %s: %v", subject, err)
	}
	return string(m.Data)
}

func TestDirectToUserAndSession(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	nc := app(t, f.URL())
	const user = "auth0|ann@example.org"
	got.hold("acme", user, 2)
	got.hold("acme", "s1", 1)
	if a, want := ask(t, nc, "hw.user.acme."+names.EscapeUser(user)), `{"status":"delivered","sessions":2}`; a != want {
		t.Errorf("got %s, want %s", a, want)
	}
	if d, want := take(t, "message", got.got), (delivery{kindUser, "acme", user, 0, "hi"}); d != want {
		t.Errorf("got %v, want %v", d, want)
	}
	if a := ask(t, nc, "hw.session.acme.s1"); a != answerOne {
		t.Errorf("got %s, want %s", a, answerOne)
	}
	if d, want := take(t, "message", got.got), (delivery{kindSession, "acme", "s1", 0, "hi"}); d != want {
		t.Errorf("got %v, want %v", d, want)
	}
}

func TestDirectWithoutReplyIsDelivered(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	nc := app(t, f.URL())
	if err := nc.Publish("hw.session.acme.s1", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	take(t, "message", got.got)
	if n := f.Stats().GoneAnswers; n != 0 {
		t.Errorf("got %d answers for a message without reply subject", n)
	}
}

// A node alone knows at once that nobody else can hold the target.
func TestDirectGoneAtOnceWhenAlone(t *testing.T) {
	cfg := testConfig()
	cfg.GoneDelay = time.Minute // longer than the test's patience
	f := openFabric(t, cfg, newRecorder())
	nc := app(t, f.URL())
	for _, subject := range []string{"hw.user.acme.ann", "hw.session.acme.s1"} {
		if a := ask(t, nc, subject); a != answerGone {
			t.Errorf("%s: got %s, want %s", subject, a, answerGone)
		}
	}
	if n := f.Stats().GoneAnswers; n != 2 {
		t.Errorf("got %d gone answers, want 2", n)
	}
}

// The second node is a client of the first one's embedded server, so the first
// is not alone although it has no cluster.
func TestDirectWithTwoNodes(t *testing.T) {
	first, second := newRecorder(), newRecorder()
	a := openFabric(t, testConfig(), first)
	cfg := testConfig()
	cfg.NodeID, cfg.URL = "n2", a.URL()
	b := openFabric(t, cfg, second)
	eventuallyReady(t, b)
	nc := app(t, a.URL())
	second.hold("acme", "s2", 1)
	first.hold("acme", "s1", 1)
	for _, session := range []string{"s1", "s2"} {
		for range 20 { // the arbiter is either node
			if got := ask(t, nc, "hw.session.acme."+session); got != answerOne {
				t.Fatalf("%s: got %s, want %s", session, got, answerOne)
			}
		}
	}
	const lost = 10
	before := a.Stats().GoneAnswers + b.Stats().GoneAnswers
	for range lost {
		if got := ask(t, nc, "hw.session.acme.s3"); got != answerGone {
			t.Fatalf("got %s, want %s", got, answerGone)
		}
	}
	if n := a.Stats().GoneAnswers + b.Stats().GoneAnswers; n < before+lost {
		t.Errorf("got %d gone answers, want at least %d", n, before+lost)
	}
	eventually(t, "no verdict is left", func() bool { return a.verdicts.size()+b.verdicts.size() == 0 })
}

// One arbiter answers, not every node.
func TestDirectGoneIsSaidOnce(t *testing.T) {
	a := openFabric(t, testConfig(), newRecorder())
	cfg := testConfig()
	cfg.NodeID, cfg.URL = "n2", a.URL()
	b := openFabric(t, cfg, newRecorder())
	eventuallyReady(t, b)
	nc := app(t, a.URL())
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("hw.session.acme.s3", inbox, nil); err != nil {
		t.Fatal(err)
	}
	take(t, "answer", answers)
	eventually(t, "no verdict is left", func() bool { return a.verdicts.size()+b.verdicts.size() == 0 })
	if n := a.Stats().GoneAnswers + b.Stats().GoneAnswers; n != 1 {
		t.Errorf("got %d answers, want 1", n)
	}
}

// A publisher names the reply subject; our rights must not carry him further
// than his own.
func TestDirectAnswersOnlyToInboxes(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	got.hold("acme", "s1", 1)
	subscribe(t, f, "victim", "room")
	nc := app(t, f.URL())
	for _, reply := range []string{"hw.fire.victim.room", "$JS.API.STREAM.DELETE.X", "_hw.canary.n1"} {
		if err := nc.PublishRequest("hw.session.acme.s1", reply, []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if d := take(t, "message", got.got); d.kind != kindSession {
			t.Errorf("got %v, want the message itself", d)
		}
	}
	eventually(t, "all are counted", func() bool { return f.Stats().ForeignMessages == 3 })
	if a := ask(t, nc, "hw.session.acme.s1"); a != answerOne {
		t.Errorf("got %s, want %s", a, answerOne)
	}
	if d := take(t, "message", got.got); d.kind != kindSession {
		t.Errorf("got %v: an answer was sent to a channel", d)
	}
}

func TestHostileSubjectsAreIgnoredAndCounted(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	nc := app(t, f.URL())
	hostile := []string{
		"hw.user.acme",
		"hw.user.acme.a.b",
		"hw.user.a!b.ann",
		"hw.user.health.ann",
		"hw.user.acme.%zz",
		"hw.user.acme.%0Aann",
		"hw.user.acme." + strings.Repeat("x", 200),
		"hw.user." + strings.Repeat("t", 65) + ".ann",
		"hw.session.acme.a.b",
		"hw.session.acme.a%62",
		"hw.session.acme." + strings.Repeat("s", 129),
		"hw.session.é.s1",
	}
	for _, subject := range hostile {
		if err := nc.Publish(subject, []byte("x")); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	flush(t, nc)
	eventually(t, "all are counted", func() bool { return f.Stats().ForeignMessages == uint64(len(hostile)) })
	if n := f.Stats().MessagesIn; n != 0 {
		t.Errorf("got %d deliveries, want 0", n)
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	wakes := 0
	v := newVerdicts(testConfig(), func() { wakes++ })
	now := time.Unix(0, 0)
	for i := range maxVerdicts + 5 {
		v.note(strconv.Itoa(i), now, true, false)
	}
	v.note("0", now, false, true) // known already
	if n := v.dropped.Load(); n != 5 {
		t.Errorf("got %d dropped, want 5", n)
	}
	if wakes != 1 {
		t.Errorf("got %d wakes, want 1", wakes)
	}
}

func TestVerdictAnsweredHereIsNotGone(t *testing.T) {
	v := newVerdicts(testConfig(), func() {})
	now := time.Unix(0, 0)
	v.note("arbiter then holder", now, true, false)
	v.note("arbiter then holder", now, false, true)
	v.note("holder then arbiter", now, false, true)
	v.note("holder then arbiter", now, true, false)
	v.note("holder only", now, false, true)
	v.note("lost", now, true, false)
	var gone []string
	send := func(reply string) { gone = append(gone, reply) }
	if next, more := v.expire(now, send); !more || next != now.Add(v.delay) {
		t.Errorf("got %v %v, want the delay", next, more)
	}
	if _, more := v.expire(now.Add(v.delay), send); more {
		t.Error("verdicts are left")
	}
	if len(gone) != 1 || gone[0] != "lost" {
		t.Errorf("got %q, want only lost", gone)
	}
}
