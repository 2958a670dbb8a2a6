package main

import (
	"bytes"
	"os"
	"testing"
)

// TestFresh fails when proto/cause changed and the SDK's table did not.
func TestFresh(t *testing.T) {
	got, err := os.ReadFile("../../src/causes.ts")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	write(&want)
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is stale: run go run ./edge/client/js/internal/gen, then npm run build in edge/client/js", target)
	}
}
