package deploy

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"hawser/edge/node"
)

var update = flag.Bool("update", false, "rewrite hawser.yml")

const file = "hawser.yml"

// TestFileIsConfigDefault: one source for the defaults of code, command and
// file.
func TestFileIsConfigDefault(t *testing.T) {
	var want bytes.Buffer
	if err := node.WriteDefaults(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what hawser config default prints: run go test ./deploy -update and read the diff", file)
	}
}

// TestFileLoads also shows the one thing that the file leaves open.
func TestFileLoads(t *testing.T) {
	_, err := node.Load(node.Sources{Base: node.DefaultConfig(), File: file})
	if err == nil || !strings.Contains(err.Error(), "no client could connect") || strings.Contains(err.Error(), "\n") {
		t.Errorf("as it is: got %v, want only the missing key", err)
	}
	want := node.DefaultConfig()
	want.Auth.HMACSecret = node.Secret(strings.Repeat("s", 32))
	got, err := node.Load(node.Sources{
		File:    file, // over an empty base, so that each default is read from it
		Environ: []string{"HAWSER_AUTH_HMAC_SECRET=" + want.Auth.HMACSecret.Reveal()},
	})
	if err != nil {
		t.Fatalf("with a key: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the file says\n%+v\nthe defaults are\n%+v", got, want)
	}
}
