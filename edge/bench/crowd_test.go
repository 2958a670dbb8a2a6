package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCrowd(t *testing.T) {
	r, err := runBench(t, "crowd", "--servers", "2", "--conns", "30", "--duration", "50ms")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 || r.Runs[0].Conns != 60 || r.Runs[0].Case != "2 servers" {
		t.Fatalf("got %+v", r.Runs)
	}
	for name, ok := range map[string]func(float64) bool{
		"connections_count":         func(v float64) bool { return v == 60 },
		"answered_count":            func(v float64) bool { return v == 60 },
		"ended_count":               zero,
		"connect_seconds":           above,
		"connections_per_second":    above,
		"answer_seconds":            above,
		"rss_bytes_per_connection":  func(float64) bool { return true }, // noise
		"user_bytes_per_connection": func(float64) bool { return true },
	} {
		wantValue(t, r.Runs[0], name, ok)
	}
}

// launched keeps what a launcher started.
type launched struct {
	mu       sync.Mutex
	commands []*exec.Cmd // guarded by mu
}

func (l *launched) launch(args ...string) (*exec.Cmd, error) {
	command, err := testProgram(args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = append(l.commands, command)
	return command, err
}

// An interrupted crowd leaves no process behind: Wait has set the state of
// each when the command returns.
func TestCrowdInterrupted(t *testing.T) {
	l := new(launched)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	interrupted := errors.New("interrupted")
	command := newCommand(l.launch)
	command.SilenceUsage, command.SilenceErrors = true, true
	command.SetOut(io.Discard)
	command.SetErr(when{"connections are up", func() { cancel(interrupted) }})
	command.SetArgs([]string{"crowd", "--servers", "2", "--conns", "10", "--duration", "10m"})
	if err := command.ExecuteContext(ctx); !errors.Is(err, interrupted) {
		t.Errorf("got %v, want %v", err, interrupted)
	}
	if len(l.commands) != 4 {
		t.Errorf("got %d processes, want 4", len(l.commands))
	}
	for _, c := range l.commands {
		if c.ProcessState == nil {
			t.Errorf("process %d of %q is left", c.Process.Pid, c.Args)
		}
	}
}

// when does something when its text is written.
type when struct {
	text string
	do   func()
}

func (w when) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.text) {
		w.do()
	}
	return len(b), nil
}

// A client whose server has gone says so, and how many did not answer.
func TestCrowdClientCountsTheSilent(t *testing.T) {
	c := spawned(t)
	target, err := childTarget(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	o := goodOptions()
	o.conns = 10
	client, err := startCrowdClient(testProgram, o, target, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.close)
	if r, err := client.report(t.Context()); err != nil || r.Joined != 10 || r.Failed != 0 {
		t.Fatalf("joined: got %+v, %v", r, err)
	}
	var answers crowdReport
	ask := func() {
		if err := client.ask(); err != nil {
			t.Fatal(err)
		}
		r, err := client.report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answers.add(r)
	}
	if ask(); answers.Answered != 10 {
		t.Errorf("got %+v, want 10 answers", answers)
	}
	c.stop()
	answers = crowdReport{}
	for answers.Failed < 10 { // the client may not have noticed yet
		ask()
	}
	if answers.Answered != 0 || answers.Error == "" {
		t.Errorf("no server: got %+v, want 10 failed and a cause", answers)
	}
}

func TestCrowdFailures(t *testing.T) {
	o := goodOptions()
	o.conns, o.servers = 5, 1
	broken := func(which, script string) launcher {
		return func(args ...string) (*exec.Cmd, error) {
			if slices.Contains(args, which) {
				return exec.Command("sh", "-c", script), nil
			}
			return testProgram(args...)
		}
	}
	for name, c := range map[string]struct {
		launch launcher
		want   string
	}{
		"no server":       {broken("serve", "echo no port >&2; exit 3"), "no port"},
		"client ends":     {broken("crowd-client", "echo no memory >&2; exit 3"), "no memory"},
		"some not joined": {broken("crowd-client", `echo '{"crowd":true,"joined":4,"failed":1,"error":"refused"}'; read order`), "1 of 5 connections failed, the first: refused"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := runCrowd(ctx, new(bytes.Buffer), io.Discard, o, c.launch)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		cancel()
	}
	// Silence is a failure, but what there is gets printed.
	silent := broken("crowd-client", `echo '{"crowd":true,"joined":5}'; read order; echo '{"crowd":true,"answered":3,"failed":2,"error":"reset"}'; read order`)
	var out bytes.Buffer
	err := runCrowd(t.Context(), &out, io.Discard, o, silent)
	if err == nil || !strings.Contains(err.Error(), "3 of 5 connections answered; 2 had ended, the first: reset") || !strings.Contains(out.String(), "answered_count") {
		t.Errorf("some silent: got %v and %q", err, out.String())
	}
	o.conns = 15_000
	o.servers = maxServers
	if m, ok := readMemory(); ok && m.available < int64(o.conns*o.servers)*crowdBytes {
		if err := o.validateCrowd(); err == nil || !strings.Contains(err.Error(), "memory") {
			t.Errorf("more than this machine holds: got %v", err)
		}
	}
}
