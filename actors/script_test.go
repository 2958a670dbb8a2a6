package actors

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into testdata instead of comparing")

// TestSessionStories plays testdata/session/*.txt. One line is one thing:
//
//	# a comment
//	= max_channels 2            a setting; rules are "= rule PATTERN SUBSCRIBE PUBLISH [app]"
//	> connect#1 token=t         an event: commands, joined by " + ", or one of
//	                            verified opened interest published answered verdict
//	                            ping-frame socket-closed wait
//	< authenticate#1 token=t    an effect of the event above
//
// go test ./actors -run Stories -rewrite writes the effects anew.
func TestSessionStories(t *testing.T) {
	files, err := filepath.Glob("testdata/session/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("stories: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s tells another story; got:\n%s", file, got)
			}
		})
	}
}

// story is a session under test.
type story struct {
	t       *testing.T
	config  Config
	session *Session
	now     time.Time
}

// play returns the script with the effects that really happen.
func play(t *testing.T, script string) string {
	s := &story{t: t, config: DefaultConfig(), now: time.Unix(1_800_000_000, 0)}
	s.config.Node, s.config.RateMessages, s.config.RateBytes = "n1", 0, 0
	var out bytes.Buffer
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "<") {
			continue
		}
		fmt.Fprintln(&out, line)
		switch mark, rest, _ := strings.Cut(line, " "); mark {
		case "=":
			s.set(strings.Fields(rest))
		case ">":
			for _, effect := range s.step(rest) {
				fmt.Fprintf(&out, "< %s\n", describe(effect, s.now))
			}
		}
	}
	return out.String()
}

func (s *story) set(words []string) {
	s.t.Helper()
	if words[0] == "rule" {
		r := Rule{Pattern: words[1], Subscribe: s.access(words[2]), Publish: s.access(words[3]), Destination: ToChannel}
		if len(words) > 4 {
			r.Destination = ToApp
		}
		s.config.Rules = append(s.config.Rules, r)
		return
	}
	fields := map[string]*int{"max_channels": &s.config.MaxChannels, "max_rpc": &s.config.MaxRPCInFlight,
		"rate_messages": &s.config.RateMessages, "rate_burst": &s.config.RateBurst, "rate_bytes": &s.config.RateBytes}
	field := fields[words[0]]
	if field == nil {
		s.t.Fatalf("unknown setting %q", words[0])
	}
	*field = s.number(words[1])
}

func (s *story) access(word string) Access {
	i := slices.Index([]string{"refuse", "allow", "by_token"}, word)
	if i < 0 {
		s.t.Fatalf("unknown access %q", word)
	}
	return Access(i)
}

func (s *story) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *story) step(line string) []Effect {
	s.t.Helper()
	if s.session == nil {
		if err := s.config.Validate(); err != nil {
			s.t.Fatal(err)
		}
		session := newSession(newSettings(s.config), "")
		s.session = &session
	}
	w := s.words(line)
	if w.verb == "wait" {
		s.now = s.now.Add(s.duration(w.bare))
		return nil
	}
	if e := s.event(w); e != nil {
		return s.session.Step(e, nil)
	}
	received := Received{Now: s.now, Bytes: s.number(w.or("bytes", "10"))}
	if w.verb != "empty-frame" {
		for part := range strings.SplitSeq(line, " + ") {
			received.Messages = append(received.Messages, s.command(s.words(part)))
		}
	}
	return s.session.Step(received, nil)
}

// words are "verb#id bare key=value …".
type words struct {
	verb   string
	id     uint32
	bare   string
	values map[string]string
}

func (s *story) words(line string) words {
	fields := strings.Fields(line)
	w := words{values: make(map[string]string)}
	verb, id, numbered := strings.Cut(fields[0], "#")
	w.verb = verb
	if numbered {
		w.id = uint32(s.number(id))
	}
	for _, f := range fields[1:] {
		if key, value, ok := strings.Cut(f, "="); ok {
			w.values[key] = value
		} else {
			w.bare = f
		}
	}
	return w
}

func (w words) or(key, otherwise string) string {
	if v, ok := w.values[key]; ok {
		return v
	}
	return otherwise
}

func (w words) list(key string) []string {
	if v := w.values[key]; v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// err reads error=503 or error=text. 5xx are temporary.
func (w words) err() error {
	text, ok := w.values["error"]
	if !ok {
		return nil
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("internal detail: %s", text)
	}
	return statusError{uint32(code), "why", code >= 500}
}

// event returns nil for a command.
func (s *story) event(w words) Event {
	switch w.verb {
	case "ping-frame":
		return PingFrame{Payload: []byte(w.bare), Now: s.now}
	case "verified", "verified-refresh":
		id := Identity{User: w.values["user"], Subscribe: w.list("subscribe"), Publish: w.list("publish")}
		if life, ok := w.values["expires"]; ok {
			id.Expires = s.now.Add(s.duration(life))
		}
		return Verified{ID: w.id, Refresh: w.verb == "verified-refresh", Identity: id, Err: w.err(), Now: s.now}
	case "opened":
		return Opened{ID: w.id, Session: w.bare, ResumeToken: w.or("resume_token", "rt"), Resumed: w.values["resumed"] != "",
			ExpiresIn: s.duration(w.or("expires", "0s"))}
	case "interest":
		return Interest{Channel: w.bare, Attempt: uint32(s.number(w.values["attempt"])), Err: w.err()}
	case "published":
		return Published{ID: w.id, Err: w.err()}
	case "answered":
		return Answered{ID: w.id, Data: []byte(w.bare), Err: w.err()}
	case "verdict":
		return Verdict{Code: s.code(w.bare), RetryAfter: s.duration(w.or("retry", "0s"))}
	case "socket-closed":
		return SocketClosed{s.code(w.bare)}
	}
	return nil
}

func (s *story) code(name string) cause.Code {
	for _, row := range cause.Table {
		if row.Name == name {
			return row.Code
		}
	}
	s.t.Fatalf("unknown cause %q", name)
	return 0
}

func (s *story) command(w words) *clientv1.ClientMessage {
	switch w.verb {
	case "connect":
		m := connectMessage(w.id, w.values["token"], w.values["resume"])
		m.GetConnect().ClientName = w.values["name"]
		return m
	case "subscribe":
		return subscribeMessage(w.id, w.bare)
	case "unsubscribe":
		return unsubscribeMessage(w.id, w.bare)
	case "publish":
		return publishMessage(w.id, w.bare, w.values["data"])
	case "rpc":
		return rpcMessage(w.id, w.bare, w.values["data"])
	case "refresh":
		return refreshMessage(w.id, w.values["token"])
	case "ping":
		return pingMessage(w.id)
	case "unknown":
		return &clientv1.ClientMessage{Id: w.id}
	}
	s.t.Fatalf("unknown line: > %s", w.verb)
	return nil
}

// describe writes an effect in one line. It knows every effect.
func describe(effect Effect, now time.Time) string {
	expires := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.Sub(now).String()
	}
	switch e := effect.(type) {
	case Reply:
		return "reply " + string(codec.AppendServer(nil, codec.JSON, e.Message))
	case Pong:
		return fmt.Sprintf("pong %s", e.Payload)
	case Authenticate:
		what := "authenticate"
		if e.Refresh {
			what += "-refresh"
		}
		return fmt.Sprintf("%s#%d token=%s", what, e.ID, e.Token)
	case Open:
		return fmt.Sprintf("open#%d user=%s resume=%s name=%s expires=%s", e.ID, e.User, e.ResumeToken, e.ClientName, expires(e.Expires))
	case Extend:
		return "extend expires=" + expires(e.Expires)
	case Acquire:
		return fmt.Sprintf("acquire %s attempt=%d", e.Channel, e.Attempt)
	case Release:
		return "release " + e.Channel
	case Join:
		return fmt.Sprintf("join#%d %s", e.ID, e.Channel)
	case Leave:
		return fmt.Sprintf("leave#%d %s", e.ID, e.Channel)
	case Publish:
		to := map[Destination]string{ToApp: "app", ToChannel: "channel"}[e.Destination]
		return fmt.Sprintf("publish#%d %s to=%s data=%s", e.ID, e.Channel, to, e.Data)
	case Request:
		return fmt.Sprintf("request#%d %s data=%s", e.ID, e.Method, e.Data)
	case Close:
		return fmt.Sprintf("close %s retry=%v", e.Code, e.RetryAfter)
	case Ended:
		return fmt.Sprintf("ended %s holding=%s", e.Code, strings.Join(e.Channels, ","))
	}
	return fmt.Sprintf("?? %#v", effect)
}
