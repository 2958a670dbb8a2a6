package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// open is the configuration of stories that are not about tokens.
const open = `
auth: {allow_anonymous: true}
channels: [{pattern: '>', subscribe: allow, publish: allow, publish_to: channel}]
`

// setup says how to run a hawser. The zero value is a node without tokens.
type setup struct {
	config  string   // hawser.yml; default open
	args    []string // beside the addresses
	environ []string // NAME=value, beside the test's own
	dataDir string   // default: a fresh one
	plain   bool     // the load build
	errors  []string // messages of level ERROR that the story provokes
}

// hawser is one process of the command. Its goroutine is that of exec.Cmd,
// which copies the log; awaitExit joins it.
type hawser struct {
	// Immutable after launch.
	t       *testing.T
	command *exec.Cmd
	log     *journal
	file    string // its hawser.yml
	errors  []string
	exited  chan struct{} // closed by awaitExit

	// Set by startHawser.
	edge, admin string // host:port
	nats        string // URL

	// Owned by awaitExit until exited is closed.
	code int
	told bool // the story has taken the exit code
}

// startHawser runs a node and waits until it is ready. It is stopped with the
// test, which fails when it does not exit with 0 or logs what it should not.
func startHawser(t *testing.T, s setup) *hawser {
	t.Helper()
	h := launchHawser(t, s)
	h.awaitServing()
	eventually(t, "/readyz is green", h.ready)
	return h
}

// launchHawser runs serve and does not wait.
func launchHawser(t *testing.T, s setup) *hawser {
	t.Helper()
	dir := t.TempDir()
	if s.dataDir == "" {
		s.dataDir = filepath.Join(dir, "data")
	}
	if s.config == "" {
		s.config = open
	}
	path := storyBinary
	if s.plain {
		path = loadBinary
	}
	h := &hawser{t: t, log: new(journal), file: filepath.Join(dir, "hawser.yml"), errors: s.errors, exited: make(chan struct{})}
	h.configure(s.config)
	args := []string{"serve", "--config=" + h.file, "--node.data_dir=" + s.dataDir,
		"--edge.listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0", "--nats.listen=127.0.0.1:0"}
	h.command = exec.Command(path(t), append(args, s.args...)...)
	h.command.Env = append(cleanEnviron(), s.environ...)
	h.command.Stderr = h.log
	tie(h.command)
	if err := h.command.Start(); err != nil {
		t.Fatal(err)
	}
	go h.awaitExit() // joined by finish
	t.Cleanup(h.finish)
	return h
}

// runHawser runs another command of the binary to its end.
func runHawser(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	command := exec.CommandContext(bounded(t), storyBinary(t), args...)
	command.Env = append(cleanEnviron(), environ...)
	command.Stdout, command.Stderr = &out, &errs
	tie(command)
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

// cleanEnviron is the environment without settings of hawser. The race
// detector would have each process wait a second before it exits.
func cleanEnviron() []string {
	own := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "HAWSER_") })
	return append(own, "GORACE=atexit_sleep_ms=10")
}

// configure writes hawser.yml, which HUP reads again.
func (h *hawser) configure(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hawser) awaitExit() {
	_ = h.command.Wait() // the exit code says it
	h.code = h.command.ProcessState.ExitCode()
	close(h.exited)
}

// gone reports whether the process has ended.
func (h *hawser) gone() bool {
	select {
	case <-h.exited:
		return true
	default:
		return false
	}
}

// awaitServing waits for the log line with the addresses.
func (h *hawser) awaitServing() {
	h.t.Helper()
	var line map[string]any
	eventually(h.t, "hawser serves", func() bool {
		line = h.log.find("serving")
		return line != nil || h.gone()
	})
	if line == nil {
		h.t.Fatalf("hawser ended with %d:\n%s", h.code, h.log)
	}
	h.edge, h.admin, h.nats = line["edge"].(string), line["admin"].(string), line["nats"].(string)
}

// signal sends one signal to the process.
func (h *hawser) signal(s os.Signal) {
	h.t.Helper()
	if err := h.command.Process.Signal(s); err != nil {
		h.t.Fatalf("signal %v: %v", s, err)
	}
}

// exit waits for the end of the process and returns its exit code, -1 when a
// signal ended it.
func (h *hawser) exit() int {
	h.t.Helper()
	eventually(h.t, "hawser exits", h.gone)
	h.told = true
	return h.code
}

// stop drains the process as an operator does.
func (h *hawser) stop() {
	h.t.Helper()
	h.signal(syscall.SIGTERM)
	if code := h.exit(); code != 0 {
		h.t.Errorf("exit code %d after TERM, want 0", code)
	}
}

// kill ends the process as a crash does.
func (h *hawser) kill() {
	h.t.Helper()
	h.signal(os.Kill)
	h.exit()
}

// finish ends what the story has not, and judges the log.
func (h *hawser) finish() {
	if !h.gone() {
		_ = h.command.Process.Signal(syscall.SIGTERM)
		if !poll(h.gone) {
			h.t.Errorf("still there %v after TERM", patience)
			_ = h.command.Process.Kill()
		}
	}
	<-h.exited
	if !h.told && h.code != 0 {
		h.t.Errorf("exit code %d, want 0", h.code)
	}
	for _, complaint := range h.log.complaints(h.errors) {
		h.t.Errorf("in the log: %s", complaint)
	}
	if h.t.Failed() {
		h.t.Logf("log of hawser %d:\n%s", h.command.Process.Pid, h.log)
	}
}

// ready reports whether /readyz is green.
func (h *hawser) ready() bool {
	status, _, err := get("http://" + h.admin + "/readyz")
	return err == nil && status == http.StatusOK
}

// fds is the number of file descriptors that the process has open.
func (h *hawser) fds() int {
	h.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.command.Process.Pid))
	if err != nil {
		h.t.Skipf("file descriptors cannot be counted here: %v", err)
	}
	return len(entries)
}

// metric is one value of /metrics by its name with labels; missing ones are 0,
// as counters with labels appear with their first count.
func (h *hawser) metric(name string) float64 {
	h.t.Helper()
	return h.metrics()[name]
}

// metrics is all of /metrics.
func (h *hawser) metrics() map[string]float64 {
	h.t.Helper()
	status, text, err := get("http://" + h.admin + "/metrics")
	if err != nil || status != http.StatusOK {
		h.t.Fatalf("/metrics: status %d, %v", status, err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); found && err == nil {
			all[name] = v
		}
	}
	return all
}

// closedBy is the name of the counter of one cause.
func closedBy(name string) string { return `hawser_actors_closed_total{cause="` + name + `"}` }

// checkAccounts compares what was opened with what was closed, by all causes,
// and is still there.
func (h *hawser) checkAccounts() {
	h.t.Helper()
	all := h.metrics()
	closed := 0.0
	for name, value := range all {
		if strings.HasPrefix(name, "hawser_actors_closed_total{") {
			closed += value
		}
	}
	opened, up := all["hawser_actors_opened_total"], all["hawser_actors_connections"]
	if opened != closed+up {
		h.t.Errorf("opened %v connections: want closed %v plus connected %v", opened, closed, up)
	}
}

// web keeps no connection, as an idle one counts as a goroutine and a
// descriptor of the node.
var web = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func get(url string) (status int, body string, err error) {
	response, err := web.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

// journal is the log of a process, line by line.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String is the end of the log.
func (j *journal) String() string {
	const most = 16 << 10 // bytes
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.text.String()
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Split(j.text.String(), "\n")
}

// find returns the last line with a message, decoded; nil when there is none.
func (j *journal) find(message string) (found map[string]any) {
	for _, line := range j.lines() {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			found = fields
		}
	}
	return found
}

// complaints are the lines that no story may leave: of the race detector, of
// the runtime, and of level ERROR unless its message is in allowed.
func (j *journal) complaints(allowed []string) (all []string) {
	for _, line := range j.lines() {
		var fields map[string]any
		isJSON := json.Unmarshal([]byte(line), &fields) == nil
		message, _ := fields["msg"].(string)
		switch {
		case isJSON && fields["level"] == "ERROR" && !slices.Contains(allowed, message):
			all = append(all, line)
		case !isJSON && (strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:")):
			all = append(all, line)
		}
	}
	return all
}
