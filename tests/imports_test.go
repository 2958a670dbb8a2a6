package tests

import (
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// owned are the packages of others that only some of our rooms may know, so
// that one room is enough to read, or to rewrite, when they change.
var owned = []struct {
	roots []string // import paths, with all below them
	rooms []string // exactly these, not what is below them
	why   string
}{
	{[]string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/raft-wal"},
		[]string{"cluster/placement"}, "consensus is behind placement: nobody else sees a term or a log"},
	{[]string{"github.com/nats-io"},
		[]string{"cluster/fabric"}, "NATS is behind fabric: a subject is spelled in one place"},
	{[]string{"github.com/asynkron"},
		[]string{"actors"}, "protoactor is behind actors: its traps are written down there"},
	{[]string{"github.com/lxzan/gws"},
		[]string{"edge", "edge/client", "edge/bench"}, "gws trusts bytes that only a frame.Guard in front of it checks"},
	{[]string{"github.com/prometheus"},
		[]string{"edge/metrics", "edge/node"}, "each metric is listed in METRICS.md: see edge/metrics"},
	{[]string{"github.com/spf13/cobra", "github.com/spf13/pflag"},
		[]string{"edge/cmd/hawser", "edge/cmd/hawser/internal/cli", "edge/bench"}, "flags are parsed by the command only"},
	{[]string{"go.yaml.in/yaml"},
		[]string{"edge/node", "edge/cmd/hawser/internal/cli"}, "the configuration is read by node only"},
	{[]string{"github.com/golang-jwt", "github.com/MicahParks"},
		[]string{"edge/auth"}, "tokens are judged by auth only"},
}

// roomRule says which of our own packages a room may import, and why no more.
type roomRule struct {
	room  string
	allow []string
	why   string
}

// rooms has the rule of each room. The first entry that holds a package
// decides, so the narrow ones come first.
var rooms = []roomRule{
	{"proto", []string{"proto"}, "the wire is below everything: an SDK or another server can take it alone"},
	{"cluster/ring", []string{"proto", "cluster/ring"}, "the ring is a function of its arguments"},
	{"cluster/health", []string{"proto", "cluster/health"}, "health is a function of its arguments"},
	{"cluster/fabric", []string{"proto", "cluster/fabric"}, "fabric knows NATS and nothing of who listens"},
	{"cluster", []string{"proto", "cluster"}, "the cluster knows neither connections nor sockets"},
	{"actors", []string{"proto", "actors"}, "actors declare the interfaces they need: no NATS, no Raft, no socket"},
	{"edge/frame", []string{"proto", "edge/frame"}, "frames are bytes: client and server share them"},
	{"edge/client", []string{"proto", "edge/frame", "edge/client"}, "an SDK must not bring the server along"},
	{"edge/auth", []string{"proto", "actors", "edge/auth"}, "auth implements two interfaces of actors, and knows no socket"},
	{"edge/demo", []string{"edge/client/js", "edge/demo"}, "a page is static files"},
	{"edge/bench", []string{"proto", "cluster/fabric", "edge/frame", "edge/client", "edge/bench"},
		"bench is a client and an application: it measures any hawser from outside"},
	{"edge/node", []string{"proto", "cluster", "actors", "edge"}, "node wires everything"},
	{"edge/cmd", []string{"proto", "edge"}, "the command is thin: node wires"},
	{"edge", []string{"proto", "actors", "edge"}, "edge knows sockets and actors, and no NATS or Raft"},
	{"deploy", []string{"deploy"}, "deploy is files"},
	{"sim", []string{"proto", "cluster", "actors", "edge", "sim"}, "sim runs production code"},
	{"tests", []string{"proto", "cluster", "actors", "edge", "sim", "tests"}, "tests may use everything"},
}

// TestOwnedImports keeps the packages of others where they belong. Tests may
// use real parts, and sim and tests are made of them.
func TestOwnedImports(t *testing.T) {
	for _, f := range mustSource(t) {
		if f.test || within(f.room(), "tests", "sim") {
			continue
		}
		for _, target := range f.imports {
			for _, o := range owned {
				if within(target, o.roots...) && !slices.Contains(o.rooms, f.room()) {
					t.Errorf("%s imports %s: want it in %s only, as %s", f.path, target, strings.Join(o.rooms, ", "), o.why)
				}
			}
		}
	}
}

// TestRoomImports keeps the arrows between our rooms. It looks at direct
// imports; as each room's are closed, so is all that it reaches.
func TestRoomImports(t *testing.T) {
	for _, f := range mustSource(t) {
		if f.test {
			continue
		}
		i := slices.IndexFunc(rooms, func(r roomRule) bool { return within(f.room(), r.room) })
		if i < 0 {
			t.Errorf("%s: want a room in the table of this test for it", f.path)
			continue
		}
		for _, target := range f.imports {
			own, ours := strings.CutPrefix(target, module+"/")
			if ours && !within(own, rooms[i].allow...) {
				t.Errorf("%s imports %s: want only %s, as %s", f.path, target, strings.Join(rooms[i].allow, ", "), rooms[i].why)
			}
		}
	}
}

// TestOneWiring keeps the place where actors meet the cluster to one.
func TestOneWiring(t *testing.T) {
	actors, cluster := map[string]bool{}, map[string]bool{}
	for _, f := range mustSource(t) {
		if f.test || within(f.room(), "tests", "sim") {
			continue
		}
		for _, target := range f.imports {
			actors[f.room()] = actors[f.room()] || within(target, module+"/actors")
			cluster[f.room()] = cluster[f.room()] || within(target, module+"/cluster")
		}
	}
	for _, room := range slices.Sorted(maps.Keys(actors)) {
		if actors[room] && cluster[room] && room != "edge/node" {
			t.Errorf("%s imports both actors and cluster: want that of edge/node only", room)
		}
	}
}

// quiet are the rooms and files that must not tick, sleep, talk or be random
// by themselves: time and randomness are arguments, so that a test, and the
// simulator, decide about them.
var quiet = []struct {
	where string // a room or a file
	pure  bool   // also no goroutine and no lock: a function of its arguments
}{
	{"actors", false},
	{"actors/session.go", true},
	{"actors/events.go", true},
	{"actors/rate.go", true},
	{"cluster/ring", true},
	{"cluster/health", true},
	{"cluster/session", true},
	{"sim", false},
	{"proto/cause", true},
	{"proto/codec", true},
	{"proto/names", true},
}

// loudImports talk to the world. encoding/… and the like are fine.
var loudImports = []string{"net", "os", "syscall", "golang.org/x/sys", "golang.org/x/net", "plugin", "log"}

// harmless are packages below loudImports that only compute.
var harmless = []string{"net/url", "net/netip", "log/slog"}

// clocks are the functions of package time that read or wait for the clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// sources are the names of math/rand that make or name a generator; all else
// in it draws from the global one.
var sources = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// impureImports are what only code with more than one goroutine needs.
var impureImports = []string{"sync", "context", "crypto/rand", "math/rand", "math/rand/v2"}

func TestQuiet(t *testing.T) {
	for _, f := range mustSource(t) {
		for _, q := range quiet {
			if !f.test && (f.path == q.where || within(f.room(), q.where)) {
				checkQuiet(t, f, q.pure)
			}
		}
	}
}

func checkQuiet(t *testing.T, f *sourceFile, pure bool) {
	for _, target := range f.imports {
		if within(target, loudImports...) && !slices.Contains(harmless, target) || target == "crypto/rand" {
			t.Errorf("%s imports %s: want what it needs of it as an argument", f.path, target)
		}
		if pure && slices.Contains(impureImports, target) {
			t.Errorf("%s imports %s: want a function of its arguments here", f.path, target)
		}
	}
	f.uses(func(pkg, name string, _ token.Pos) {
		switch {
		case pkg == "time" && slices.Contains(clocks, name):
			t.Errorf("%s uses time.%s: want a Clock, or the time as an argument", f.path, name)
		case within(pkg, "math/rand") && !slices.Contains(sources, name):
			t.Errorf("%s uses rand.%s, which is global: want a *rand.Rand", f.path, name)
		case pure && name == "go" && pkg == "":
			t.Errorf("%s starts a goroutine: want a function of its arguments here", f.path)
		}
	})
}

// TestNoSleep: a test that sleeps is slow on a fast machine and wrong on a slow
// one. Wait for a condition.
func TestNoSleep(t *testing.T) {
	for _, f := range mustSource(t) {
		if !f.test {
			continue
		}
		f.uses(func(pkg, name string, _ token.Pos) {
			if pkg == "time" && name == "Sleep" {
				t.Errorf("%s sleeps: want it to wait for a condition", f.path)
			}
		})
	}
}

// topLevel is all that the root holds, apart from dotfiles and what .gitignore
// names. sim comes with a later issue.
var topLevel = []string{"actors", "cluster", "edge", "proto", "sim", "deploy", "tests",
	"go.mod", "go.sum", "Taskfile.yml", "README.md", "LICENSE", "CHANGELOG.md"}

func TestTopLevel(t *testing.T) {
	ignored, err := os.ReadFile(fromRoot(".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	patterns := strings.Fields(string(ignored))
	entries, err := os.ReadDir(fromRoot("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || slices.Contains(topLevel, e.Name()) || isIgnored(patterns, e.Name()) {
			continue
		}
		t.Errorf("top level has %s: want %s", e.Name(), strings.Join(topLevel, " "))
	}
}

// isIgnored reads as much of .gitignore's language as ours uses.
func isIgnored(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		match, err := filepath.Match(strings.Trim(p, "/"), name)
		return err == nil && match
	})
}
