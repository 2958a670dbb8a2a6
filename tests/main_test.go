package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
)

// patience bounds every wait of a test. Waits end when their condition holds;
// this only ends a test that hangs.
const patience = 30 * time.Second

// TestMain runs the tests, or one of the processes that they need (see
// natsserver_test.go). It fails the package when goroutines are left.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(natsServerMain())
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	removeBuilds()
	if code == 0 && !poll(func() bool { return runtime.NumGoroutine() <= before }) {
		fmt.Fprintf(os.Stderr, "%d goroutines before the tests, %d after:\n", before, runtime.NumGoroutine())
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1) // the exit code tells, too
		code = 1
	}
	os.Exit(code)
}

// poll asks condition until it holds or patience ends.
func poll(condition func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return condition()
		case <-ticker.C:
		}
	}
	return true
}

// eventually fails the test when condition does not come true.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !poll(condition) {
		t.Fatalf("after %v still not: %s", patience, what)
	}
}

// seeded returns a random source, whose seed is logged when the test fails.
// HAWSER_SEED replays one.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("HAWSER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HAWSER_SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with HAWSER_SEED=%d go test ./tests -run '^%s$'", seed, t.Name())
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// bounded is the test's context with a limit.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
