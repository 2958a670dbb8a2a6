package browser

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails when goroutines are left after the last test.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !settles(before) {
		fmt.Fprintf(os.Stderr, "%d goroutines before the tests, %d after:\n", before, runtime.NumGoroutine())
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1) // the exit code tells, too
		code = 1
	}
	os.Exit(code)
}

// settles waits until no more than limit goroutines run, at most 10 s: those
// that were told to end may still be on their way.
func settles(limit int) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > limit {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}
