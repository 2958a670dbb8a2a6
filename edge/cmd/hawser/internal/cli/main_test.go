package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the scripts in testdata with what the commands print")

// TestMain fails the package when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if left := leakedGoroutines(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left after the tests:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leakedGoroutines waits until only this goroutine runs our code, or gives
// back the stacks of the others after 10s.
func leakedGoroutines() string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // the first is ours
			if strings.Contains(stack, "hawser/") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline:
			return strings.Join(left, "\n\n")
		}
	}
}

// result is what one command did.
type result struct {
	code           int
	stdout, stderr string
}

// run is Main with words as its arguments; those in front that look like
// NAME=value are its environment.
func run(words ...string) result {
	var environ []string
	for len(words) > 0 && strings.HasPrefix(words[0], "HAWSER_") {
		environ, words = append(environ, words[0]), words[1:]
	}
	var out, errs bytes.Buffer
	code := Main(Process{Args: words, Environ: environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return result{code, out.String(), errs.String()}
}

// TestScripts runs testdata/*.txt: each line "$ hawser …" is a command, what
// follows is what it must print, "! " in front of standard error, and a last
// "[exit N]" when it is not 0. Rewrite with -update and read the diff.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	files, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(files, filepath.Base(script))
			t.Chdir(filepath.Join(files, "files")) // scripts name their files without a directory
			got := replay(string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: the commands printed:\n%s", script, got)
			}
		})
	}
}

// replay keeps the commands and comments of a script and fills in what the
// commands print now.
func replay(script string) string {
	var b strings.Builder
	commented := false // the line above is a comment on the next command
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
			b.WriteString("\n" + line + "\n")
			commented = true
		case strings.HasPrefix(line, "$ "):
			if !commented {
				b.WriteString("\n")
			}
			commented = false
			b.WriteString(line + "\n")
			words := strings.Fields(strings.TrimPrefix(line, "$ "))
			b.WriteString(transcript(run(drop(words, "hawser")...)))
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func transcript(r result) string {
	var b strings.Builder
	b.WriteString(r.stdout)
	for line := range strings.Lines(r.stderr) {
		b.WriteString("! " + line)
	}
	if r.code != 0 {
		fmt.Fprintf(&b, "[exit %d]\n", r.code)
	}
	return b.String()
}

// drop removes the first word that is name.
func drop(words []string, name string) []string {
	for i, w := range words {
		if w == name {
			return append(words[:i:i], words[i+1:]...)
		}
	}
	return words
}
