package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hawser/edge/node"
)

// fakeNode records what a service asks of its node.
type fakeNode struct {
	cfg      node.Config
	started  chan struct{}    // closed by the test
	draining chan struct{}    // closed by Run when its ctx has ended
	drained  chan error       // the test sends what Run returns
	killed   chan struct{}    // closed by Kill
	reloads  chan node.Config // what Reload got
}

func newFakeNode() *fakeNode {
	f := &fakeNode{
		started: make(chan struct{}), draining: make(chan struct{}), drained: make(chan error, 1),
		killed: make(chan struct{}), reloads: make(chan node.Config, 1),
	}
	return f
}

func (f *fakeNode) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case err := <-f.drained:
		return err
	}
	close(f.draining)
	select {
	case err := <-f.drained:
		return err
	case <-f.killed:
		return nil
	}
}

func (f *fakeNode) Kill()                    { close(f.killed) }
func (f *fakeNode) Started() <-chan struct{} { return f.started }
func (f *fakeNode) Addrs() node.Addrs {
	return node.Addrs{Edge: "127.0.0.1:1", Admin: "127.0.0.1:2", NATS: "127.0.0.1:3"}
}

func (f *fakeNode) Reload(c node.Config) error {
	f.reloads <- c
	if c.Node.DrainRate == 13 {
		return errors.New("unlucky")
	}
	return nil
}

// running is a command that serves.
type running struct {
	node    *fakeNode // nil: a real one
	signals chan<- os.Signal
	exit    chan int
	stdout  *bufio.Scanner
	log     *bufio.Scanner
	lines   int // of the log, that wait skipped
}

// start runs a command with a fake node and waits until it takes signals.
func start(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	return (&running{node: newFakeNode()}).start(t, environ, args)
}

func (r *running) start(t *testing.T, environ, args []string) *running {
	t.Helper()
	notified := make(chan chan<- os.Signal, 1)
	out, stdout := pipe(t)
	logs, stderr := pipe(t)
	r.stdout, r.log, r.exit = bufio.NewScanner(out), bufio.NewScanner(logs), make(chan int, 1)
	p := Process{
		Args: args, Environ: environ, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Notify: func(c chan<- os.Signal, _ ...os.Signal) { notified <- c },
	}
	if r.node != nil {
		p.fakeNode = func(c node.Config, _ *slog.Logger) (server, error) { r.node.cfg = c; return r.node, nil }
	}
	go func() { // joined by wait
		code := Main(p)
		stdout.Close()
		stderr.Close()
		r.exit <- code
	}()
	r.signals = <-notified
	return r
}

// pipe is the system's, with room for a log that nobody reads yet: the node
// must not wait for the test.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	return read, write
}

// logLine reads the log up to a line that has text in it.
func (r *running) logLine(t *testing.T, text string) string {
	t.Helper()
	for r.log.Scan() {
		if strings.Contains(r.log.Text(), text) {
			return r.log.Text()
		}
	}
	t.Fatalf("the log ended without %q", text)
	return ""
}

// wait reads both streams to their ends and returns the exit code.
func (r *running) wait() int {
	var streams sync.WaitGroup
	streams.Go(func() {
		for r.stdout.Scan() {
		}
	})
	for r.log.Scan() {
		r.lines++
	}
	streams.Wait()
	return <-r.exit
}

const anonymous = "--auth.allow_anonymous"

func TestTermDrainsAndExitsZero(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		r := start(t, nil, "serve", anonymous)
		r.signals <- sig
		r.logLine(t, "told to stop; a second signal stops at once")
		<-r.node.draining
		r.node.drained <- nil
		if code := r.wait(); code != exitOK {
			t.Errorf("%v: exit %d, want 0", sig, code)
		}
	}
}

func TestSecondSignalKills(t *testing.T) {
	r := start(t, nil, "serve", anonymous)
	r.signals <- syscall.SIGTERM
	r.logLine(t, "told to stop")
	<-r.node.draining
	r.signals <- syscall.SIGTERM
	<-r.node.killed
	if code := r.wait(); code != exitFailed {
		t.Errorf("exit %d, want 1: the drain was cut short", code)
	}
}

func TestFailedNodeExitsOne(t *testing.T) {
	r := start(t, nil, "serve", anonymous)
	r.node.drained <- errors.New("edge.listen 127.0.0.1:1: another process has this port")
	if line := r.logLine(t, "edge.listen"); line != "hawser: edge.listen 127.0.0.1:1: another process has this port" {
		t.Errorf("got %q", line)
	}
	if code := r.wait(); code != exitFailed {
		t.Errorf("exit %d, want 1", code)
	}
}

func TestNodeThatCannotOpen(t *testing.T) {
	var errs strings.Builder
	code := Main(Process{
		Args: []string{"serve", anonymous}, Stdout: io.Discard, Stderr: &errs,
		fakeNode: func(node.Config, *slog.Logger) (server, error) { return nil, errors.New("no") },
	})
	if code != exitFailed || errs.String() != "hawser: no\n" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

func TestHangupReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hawser.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("edge: {max_connections: 6}\n")
	r := start(t, []string{"HAWSER_CONFIG=" + path}, "serve", anonymous)
	if r.node.cfg.Edge.MaxConnections != 6 {
		t.Errorf("started with %+v", r.node.cfg.Edge)
	}
	r.signals <- syscall.SIGHUP
	r.logLine(t, "still starting")
	close(r.node.started)

	write("edge: {max_connections: 7}\n")
	r.signals <- syscall.SIGHUP
	if got := <-r.node.reloads; got.Edge.MaxConnections != 7 || !got.Auth.AllowAnonymous {
		t.Errorf("reloaded %+v", got)
	}
	write("edge: {listn: x}\n")
	r.signals <- syscall.SIGHUP
	if line := r.logLine(t, "not reloaded"); !strings.Contains(line, "unknown key") {
		t.Errorf("got %s", line)
	}
	write("node: {drain_rate: 13}\n")
	r.signals <- syscall.SIGHUP
	<-r.node.reloads
	r.logLine(t, "unlucky")

	r.signals <- syscall.SIGTERM
	r.node.drained <- nil
	if code := r.wait(); code != exitOK {
		t.Errorf("exit %d, want 0", code)
	}
}

func TestHangupSetsTheLogLevel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hawser.yml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, nil, "serve", anonymous, "--config", path)
	close(r.node.started)
	if err := os.WriteFile(path, []byte("node: {log_level: error}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.signals <- syscall.SIGHUP
	<-r.node.reloads
	r.signals <- syscall.SIGTERM // is logged at info, so no more
	r.node.drained <- nil
	if code := r.wait(); code != exitOK || r.lines != 0 {
		t.Errorf("exit %d, %d lines logged after the level was error; want 0 and 0", code, r.lines)
	}
}

func TestDevSaysWhereToGo(t *testing.T) {
	r := start(t, nil, "dev", "--nats.prefix", "zz")
	close(r.node.started)
	var banner []string
	for len(banner) == 0 || !strings.Contains(banner[len(banner)-1], "Ctrl-C") {
		if !r.stdout.Scan() {
			t.Fatal("the banner ended early")
		}
		banner = append(banner, r.stdout.Text())
	}
	text := strings.Join(banner, "\n")
	for _, want := range []string{
		"http://127.0.0.1:1/\n", "ws://127.0.0.1:1/ws/demo", "nats://127.0.0.1:3\n", "http://127.0.0.1:2/readyz",
		"No token is needed", "pub zz.fire.demo.chat", "/dev/tcp/127.0.0.1/3",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the banner has no %q:\n%s", want, text)
		}
	}
	if c := r.node.cfg; !c.Edge.Demo || !c.Auth.AllowAnonymous || c.Channels[0].PublishTo != node.ToChannel {
		t.Errorf("dev runs %+v", c)
	}
	r.signals <- os.Interrupt
	r.node.drained <- nil
	if code := r.wait(); code != exitOK {
		t.Errorf("exit %d, want 0", code)
	}
}

func TestBannerHidesPasswords(t *testing.T) {
	cfg := node.DevConfig()
	cfg.NATS.URL = "nats://ann:sesame@a:4222, tls://b:4222"
	cfg.Edge.TLSCertFile = "cert.pem"
	var b strings.Builder
	writeBanner(&b, cfg, node.Addrs{Edge: "127.0.0.1:1"})
	text := b.String()
	if strings.Contains(text, "sesame") || strings.Contains(text, "/dev/tcp") ||
		!strings.Contains(text, "nats://ann:xxxxx@a:4222,tls://b:4222") || !strings.Contains(text, "wss://127.0.0.1:1/ws/demo") {
		t.Errorf("got %s", text)
	}
}
