package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// builds has the directories of the binaries, for removeBuilds.
var builds struct {
	sync.Mutex
	dirs []string
}

// The two builds of the command. Stories run the one that is built like this
// test, so that -race watches both sides; load tests always run the plain one,
// as what they measure is what is deployed.
var (
	plainBuild = sync.OnceValues(func() (string, error) { return build() })
	raceBuild  = sync.OnceValues(func() (string, error) { return build("-race") })
)

func storyBinary(t testing.TB) string {
	t.Helper()
	if raceEnabled {
		return compiled(t, raceBuild)
	}
	return compiled(t, plainBuild)
}

func loadBinary(t testing.TB) string {
	t.Helper()
	return compiled(t, plainBuild)
}

func compiled(t testing.TB, make func() (string, error)) string {
	t.Helper()
	path, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build compiles edge/cmd/hawser and returns the path of the binary.
func build(flags ...string) (string, error) {
	if err := touchSources(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "hawser-tests-")
	if err != nil {
		return "", err
	}
	builds.Lock()
	builds.dirs = append(builds.dirs, dir)
	builds.Unlock()
	path := filepath.Join(dir, "hawser")
	args := append([]string{"build", "-o", path}, flags...)
	command := exec.Command("go", append(args, module+"/edge/cmd/hawser")...)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", command.Args, err, output)
	}
	return path, nil
}

// touchSources looks at each file that the binary may be made of, as go's test
// cache counts only the files that the test itself has looked at: without it a
// changed hawser would pass by an old verdict.
func touchSources() error {
	return walk(func(name string) error {
		_, err := os.Stat(fromRoot(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil // an editor's file, gone since
		}
		return err
	})
}

func removeBuilds() {
	builds.Lock()
	defer builds.Unlock()
	for _, dir := range builds.dirs {
		_ = os.RemoveAll(dir) // it is below the system's directory for such things
	}
}
