package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	startTimeout = 30 * time.Second // of a child, until it is ready
	stopTimeout  = 15 * time.Second // of a child, from the signal to its end
	keptLines    = 20               // of a child's output, for the error message
)

// child is a server that this command started. Its addresses come from the one
// line of its output that has them.
type child struct {
	// Immutable after start.
	name    string
	command *exec.Cmd
	cleanup func()        // after its end
	found   chan struct{} // closed by read, when addrs is set
	exited  chan struct{} // closed by wait, when err is set
	reading sync.WaitGroup

	err error // set by wait

	mu    sync.Mutex
	tail  []string   // guarded by mu; its last lines
	addrs childAddrs // guarded by mu until found is closed, then immutable
}

// childAddrs is what hawser's "serving" log line and bareAddrs have in common.
type childAddrs struct {
	Edge  string `json:"edge"`
	Admin string `json:"admin"`
	NATS  string `json:"nats"`
}

// launcher makes the command for a child with these arguments: this program
// itself, or a test's stand-in.
type launcher func(args ...string) (*exec.Cmd, error)

// self launches this program.
func self(args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: find this program: %w", err)
	}
	return exec.Command(path, args...), nil
}

// startHawser starts a node on free ports of loopback with an embedded NATS,
// open to all and without the limits that protect it from a load like ours.
func startHawser(ctx context.Context, launch launcher) (*child, error) {
	dir, err := os.MkdirTemp("", "hawser-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	cleanup := func() { _ = os.RemoveAll(dir) }
	c, err := start(ctx, "hawser", launch, cleanup, "serve",
		"--node.data_dir="+filepath.Join(dir, "data"), "--node.log_format=json", "--node.drain_timeout=1s",
		"--edge.listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0", "--nats.listen=127.0.0.1:0",
		"--edge.accept_rate=0", "--edge.max_connections=0", "--edge.rate_messages=0", "--edge.rate_bytes=0",
		"--auth.allow_anonymous=true", "--admin.pprof=true",
		"--channels=[{pattern: '>', subscribe: allow, publish: allow, publish_to: channel}]")
	if err != nil {
		cleanup()
	}
	return c, err
}

// startBare starts the compared server of that name: bare-gws (bare.go) or
// bare-epoll (bare_epoll_linux.go).
func startBare(ctx context.Context, launch launcher, name string) (*child, error) {
	return start(ctx, strings.ReplaceAll(name, "-", " "), launch, func() {}, "bench", name)
}

// start runs a child and returns when it is ready.
func start(ctx context.Context, name string, launch launcher, cleanup func(), args ...string) (*child, error) {
	command, err := launch(args...)
	if err != nil {
		return nil, err
	}
	c := newChild(name, command, cleanup)
	if err := c.start(c.findAddrs); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %v", startTimeout))
	defer cancel()
	if err := c.ready(ctx); err != nil {
		c.stop()
		return nil, fmt.Errorf("bench: start %s: %w\n%s", name, err, c.output())
	}
	return c, nil
}

func newChild(name string, command *exec.Cmd, cleanup func()) *child {
	return &child{name: name, command: command, cleanup: cleanup,
		exited: make(chan struct{}), found: make(chan struct{})}
}

// start starts the process. heard gets each line that it writes, one at a
// time.
func (c *child) start(heard func(line string)) error {
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	stderr, err := c.command.StderrPipe()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := c.command.Start(); err != nil {
		return fmt.Errorf("bench: start %s: %w", c.name, err)
	}
	for _, r := range []io.Reader{stdout, stderr} {
		c.reading.Go(func() { c.read(r, heard) })
	}
	go c.wait() // joined by stop through exited
	return nil
}

// wait ends the process' record once its output is read.
func (c *child) wait() {
	c.reading.Wait()
	c.err = c.command.Wait()
	close(c.exited)
}

// read keeps the last lines, and passes all on.
func (c *child) read(r io.Reader, heard func(string)) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.line(lines.Text(), heard)
	}
	_, _ = io.Copy(io.Discard, r) // a line too long must not stop the child
}

func (c *child) line(text string, heard func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tail = append(c.tail, text); len(c.tail) > keptLines {
		c.tail = c.tail[1:]
	}
	heard(text)
}

// findAddrs looks for the addresses in a line. Needs mu.
func (c *child) findAddrs(text string) {
	var addrs childAddrs
	if c.addrs.Edge == "" && json.Unmarshal([]byte(text), &addrs) == nil && addrs.Edge != "" {
		c.addrs = addrs
		close(c.found)
	}
}

// ready waits for the addresses, then for /readyz.
func (c *child) ready(ctx context.Context) error {
	select {
	case <-c.found:
	case <-c.exited:
		return fmt.Errorf("it ended: %w", errors.Join(c.err, errors.New("before it listened")))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		response, err := get(ctx, "http://"+c.addrs.Admin+"/readyz")
		if err == nil {
			_ = response.Body.Close()
			return nil
		}
		if pauseErr := pause(ctx, 50*time.Millisecond); pauseErr != nil {
			return errors.Join(pauseErr, err)
		}
	}
}

// stop ends the child: politely, then by force. It returns when it has ended.
func (c *child) stop() {
	defer c.cleanup()
	if c.command.Process.Signal(os.Interrupt) == nil { // else it has ended, or the system has no signals
		select {
		case <-c.exited:
			return
		case <-time.After(stopTimeout):
		}
	}
	_ = c.command.Process.Kill() // fails when it has ended
	<-c.exited
}

// output is the last of what the child wrote.
func (c *child) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.tail, "\n")
}
