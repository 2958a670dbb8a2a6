package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// runBench runs the command with -o json and returns its report.
func runBench(t *testing.T, args ...string) (*Report, error) {
	t.Helper()
	var out, progress bytes.Buffer
	command := newCommand(testProgram)
	command.SilenceUsage, command.SilenceErrors = true, true
	command.SetOut(&out)
	command.SetErr(&progress)
	command.SetArgs(append(args, "-o", "json"))
	err := command.ExecuteContext(t.Context())
	report := new(Report)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), report); err != nil {
			t.Fatalf("output %q: %v", out.String(), err)
		}
	}
	return report, err
}

// spawned is a node that several tests measure.
func spawned(t *testing.T) *child {
	t.Helper()
	c, err := startHawser(t.Context(), testProgram)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

func urls(c *child) []string {
	return []string{"--url", "ws://" + c.addrs.Edge + "/ws/demo", "--nats", c.addrs.NATS, "--admin", "http://" + c.addrs.Admin}
}

// wantValue checks a figure against what it must at least be.
func wantValue(t *testing.T, r Run, name string, ok func(float64) bool) {
	t.Helper()
	if v, found := r.value(name); !found || !ok(v) {
		t.Errorf("%s %s %s: %s is %v, found: %v", r.Target, r.Scenario, r.Case, name, v, found)
	}
}

func zero(v float64) bool  { return v == 0 }
func above(v float64) bool { return v > 0 }

func TestSpawnedAgainstBareServer(t *testing.T) {
	r, err := runBench(t, "fanout", "--spawn", "--compare", "bare-gws", "--conns", "50", "--duration", "100ms", "--bursts", "1,16")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, run := range r.Runs {
		got = append(got, run.Target+" "+run.Case)
		messages, _ := run.value("messages_count")
		wantValue(t, run, "deliveries_count", func(v float64) bool { return v == messages*50 && v > 0 })
		for _, name := range []string{"lost_count", "duplicated_count", "reordered_count", "failed_count"} {
			wantValue(t, run, name, zero)
		}
	}
	want := []string{"hawser burst 1", "hawser burst 16", "bare gws burst 1", "bare gws burst 16"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBareServersInAllScenarios(t *testing.T) {
	t.Run("bare-gws", func(t *testing.T) { allScenarios(t, "bare-gws") })
	if pollOffered {
		t.Run("bare-epoll", func(t *testing.T) { allScenarios(t, "bare-epoll") })
	}
}

func allScenarios(t *testing.T, name string) {
	c, err := startBare(t.Context(), testProgram, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	r, err := runBench(t, append([]string{"all", "--conns", "20", "--duration", "50ms", "--bursts", "4"}, urls(c)...)...)
	if err != nil {
		t.Fatal(err)
	}
	figures := map[string]string{"connect": "connections_per_second", "idle": "user_bytes_per_connection",
		"fanout": "deliveries_count", "echo": "echoes_per_second"}
	for _, run := range r.Runs {
		if name := figures[run.Scenario]; name != "user_bytes_per_connection" {
			wantValue(t, run, name, above)
		} else {
			wantValue(t, run, name, func(float64) bool { return true }) // noise of 20 connections may be below 0
		}
		delete(figures, run.Scenario)
	}
	if len(figures) > 0 {
		t.Errorf("no run of %v", figures)
	}
}

func TestAgainstARunningServer(t *testing.T) {
	c := spawned(t)
	for name, args := range map[string][]string{
		"poll":                {"fanout", "--engine", "auto"},
		"goroutines":          {"all", "--engine", "goroutine"},
		"JSON":                {"echo", "--protocol", "json"},
		"WebSocket publisher": {"fanout", "--nats", ""},
		"JSON publisher":      {"fanout", "--nats", "", "--protocol", "json"},
		"goroutine echo":      {"echo", "--engine", "goroutine", "--protocol", "json"},
		"open loop":           {"echo", "--rate", "500"},
		"paced":               {"connect", "--rate", "500"},
		"small window":        {"connect", "--window", "1"},
		"large messages":      {"fanout", "--payload", "40000", "--bursts", "4"},
		"no meter":            {"fanout", "--admin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			full := append(append([]string{args[0]}, urls(c)...), "--conns", "20", "--duration", "50ms", "--bursts", "1,8")
			r, err := runBench(t, append(full, args[1:]...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range r.Runs {
				for _, figure := range []string{"lost_count", "duplicated_count", "reordered_count", "failed_count", "refused_count"} {
					if v, ok := run.value(figure); ok && v != 0 {
						t.Errorf("%s %s: %s is %v", run.Scenario, run.Case, figure, v)
					}
				}
			}
			if name == "no meter" && len(r.Notes) != 1 {
				t.Errorf("notes: got %q, want one about the missing figures", r.Notes)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	c := spawned(t)
	edge := "ws://" + c.addrs.Edge + "/ws/demo"
	for name, l := range map[string]struct {
		args []string
		want string
	}{
		"nobody there":      {[]string{"connect", "--url", "ws://127.0.0.1:1/ws/demo", "--admin", ""}, "connection refused"},
		"not a tenant":      {[]string{"connect", "--url", "ws://" + c.addrs.Edge + "/ws/a.b"}, "tenant"},
		"bad token":         {append([]string{"connect", "--token", "forged"}, urls(c)...), errNoneJoined.Error()},
		"somebody else's":   {[]string{"connect", "--url", "ws://192.0.2.1/ws/demo"}, "--i-own-this-target"},
		"no admin there":    {[]string{"idle", "--url", edge, "--admin", "http://127.0.0.1:1"}, "connection refused"},
		"no memory figures": {[]string{"idle", "--url", edge, "--admin", ""}, "--admin or --pid"},
		"no NATS there":     {append(append([]string{"fanout"}, urls(c)...), "--nats", "nats://127.0.0.1:1"), "connect publisher"},
		"bad flag":          {[]string{"echo", "--conns", "0"}, "--conns"},
		"no servers":        {[]string{"crowd", "--servers", "0"}, "--servers"},
		"crowd of others":   {[]string{"crowd", "--compare", "bare-gws"}, "--compare"},
		"unknown scenario":  {[]string{"soak"}, "unknown command"},
	} {
		args := append([]string{l.args[0], "--conns", "5"}, l.args[1:]...)
		if _, err := runBench(t, args...); err == nil || !strings.Contains(err.Error(), l.want) {
			t.Errorf("%s: got %v, want %q", name, err, l.want)
		}
	}
}

func TestSpawnFailures(t *testing.T) {
	fails := func(program string, args ...string) launcher {
		return func(...string) (*exec.Cmd, error) { return exec.Command(program, args...), nil }
	}
	for name, l := range map[string]struct {
		launch launcher
		want   string
	}{
		"it ends":       {fails("sh", "-c", "echo port taken >&2; exit 3"), "port taken"},
		"no program":    {fails("/nonexistent"), "start hawser"},
		"no executable": {func(...string) (*exec.Cmd, error) { return nil, errors.New("deleted") }, "deleted"},
	} {
		_, err := startHawser(t.Context(), l.launch)
		if err == nil || !strings.Contains(err.Error(), l.want) {
			t.Errorf("%s: got %v, want %q", name, err, l.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := startHawser(ctx, fails("sleep", "60")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it hangs: got %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	c := spawned(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	command := newCommand(testProgram)
	command.SetOut(new(bytes.Buffer))
	command.SetErr(new(bytes.Buffer))
	command.SetArgs(append([]string{"fanout", "--conns", "5", "--duration", "10m"}, urls(c)...))
	if err := command.ExecuteContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A server that goes away under load is reported, not waited for.
func TestServerGoesAway(t *testing.T) {
	c := spawned(t)
	target, err := childTarget(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	o := goodOptions()
	s, err := newSwarm(target.swarmConfig(o))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.join(t.Context(), 10, sameChannel(fanoutChannel)); err != nil {
		t.Fatal(err)
	}
	f := &fanout{target: target, options: o, swarm: s, publisher: discard{}, payload: newPayload(64)}
	complete, err := f.round(t.Context(), 1)
	if err != nil || complete {
		t.Errorf("nothing published: got %v, %v, want incomplete after %v", complete, err, o.tolerance)
	}
	if got := s.lost(f.number); got != 10 {
		t.Errorf("got %d lost, want 10", got)
	}
	c.stop()
	for s.take().ready > 0 {
		if err := pause(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.round(t.Context(), 1); err == nil {
		t.Error("round without a server: no error")
	}
}

// discard is a publisher whose messages get lost.
type discard struct{}

func (discard) publish([]byte) error        { return nil }
func (discard) flush(context.Context) error { return nil }
func (discard) close()                      {}
