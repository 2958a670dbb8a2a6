package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"hawser/edge/node"
	"hawser/proto/cause"
)

// TestCausesInEveryFormat reads JSON and YAML back and compares them.
func TestCausesInEveryFormat(t *testing.T) {
	var fromJSON, fromYAML []map[string]any
	if err := json.Unmarshal([]byte(run("causes", "-o", "json").stdout), &fromJSON); err != nil {
		t.Fatal(err)
	}
	text := run("causes", "-o", "yaml").stdout
	if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if len(fromJSON) != len(cause.Table) || len(fromYAML) != len(cause.Table) || !strings.HasPrefix(text, "- code: 1000\n  name: client_closed\n") {
		t.Errorf("got %d and %d causes, want %d:\n%s", len(fromJSON), len(fromYAML), len(cause.Table), text)
	}
	for i, c := range cause.Table {
		if fromJSON[i]["name"] != c.Name || fromYAML[i]["sentence"] != c.Sentence || fromYAML[i]["on_wire"] != c.OnWire {
			t.Errorf("%s: got %v and %v", c.Name, fromJSON[i], fromYAML[i])
		}
	}
}

func TestVersion(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(run("version", "-o", "json").stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version != node.Version() || !strings.HasPrefix(b.Go, "go") {
		t.Errorf("got %+v", b)
	}
	if table := run("version"); !strings.HasPrefix(table.stdout, "hawser ") || table.code != exitOK {
		t.Errorf("got %+v", table)
	}
}

// TestConfigPrints: the commands add nothing to what node prints,
// and the printed file passes the check once it has a key.
func TestConfigPrints(t *testing.T) {
	var defaults, doc bytes.Buffer
	if err := node.WriteDefaults(&defaults); err != nil {
		t.Fatal(err)
	}
	if err := node.WriteMarkdown(&doc); err != nil {
		t.Fatal(err)
	}
	if run("config", "default").stdout != defaults.String() || run("config", "doc").stdout != doc.String() {
		t.Error("config default or config doc differ from package node")
	}
	path := filepath.Join(t.TempDir(), "hawser.yml")
	if err := os.WriteFile(path, defaults.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run("HAWSER_AUTH_HMAC_SECRET="+strings.Repeat("s", 32), "config", "check", path); r.code != exitOK {
		t.Errorf("config default does not pass config check: %+v", r)
	}
}

// TestHelpNamesEveryKey: serve and dev have a flag for each.
func TestHelpNamesEveryKey(t *testing.T) {
	for _, command := range []string{"serve", "dev"} {
		help := run(command, "--help")
		for _, k := range node.Keys(node.DefaultConfig()) {
			if !strings.Contains(help.stdout, "--"+k.Path+" ") {
				t.Errorf("%s --help has no --%s", command, k.Path)
			}
		}
	}
}

func TestRepeatedListFlags(t *testing.T) {
	r := start(t, nil, "serve", anonymous, "--edge.origins", "https://a.example", "--edge.origins=https://b.example,https://c.example", "--edge.shards", "1", "--edge.shards", "2")
	if c := r.node.cfg; len(c.Edge.Origins) != 3 || c.Edge.Shards != 2 {
		t.Errorf("got %q and %d shards", c.Edge.Origins, c.Edge.Shards)
	}
	r.node.drained <- nil
	r.wait()
}
