package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"testing"
	"time"

	"hawser/edge/node"
)

// TestMain is also the program that the tests launch: `serve` is a real node,
// `bench bare-gws` the compared server. It fails when a test leaves a
// goroutine of ours behind.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := program(os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if code == 0 {
		if left := leaked(5 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

func program(name string, args []string) error {
	switch name {
	case "serve":
		return serveNode(args)
	case "bench":
		command := Command()
		command.SetArgs(args)
		return command.Execute()
	}
	return fmt.Errorf("no program %q", name)
}

// serveNode is `hawser serve` with flags of the form --key=value.
func serveNode(args []string) error {
	flags := make(map[string]string)
	for _, arg := range args {
		key, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		flags[key] = value
	}
	cfg, err := node.Load(node.Sources{Base: node.DefaultConfig(), Flags: flags})
	if err != nil {
		return err
	}
	n, err := node.New(cfg, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return n.Run(ctx)
}

// testProgram launches this binary. Its address space is that of a test with
// -race, so figures of it mean nothing.
func testProgram(args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	return exec.Command(path, args...), err
}

// leaked waits until no goroutine but the test's own runs our code.
func leaked(most time.Duration) string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(most)
	for {
		buf := make([]byte, 1<<20)
		var ours []string
		for i, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if i > 0 && strings.Contains(stack, "hawser/") {
				ours = append(ours, stack)
			}
		}
		if len(ours) == 0 {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline:
			return strings.Join(ours, "\n\n")
		}
	}
}
