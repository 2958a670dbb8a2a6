package browser

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// sdk is the JavaScript SDK's room.
const sdk = "../../edge/client/js"

// TestSDKInNode runs the SDK's integration tests, with package ws as the
// socket, against a real node.
func TestSDKInNode(t *testing.T) {
	node := find(t, "node")
	if _, err := os.Stat(sdk + "/node_modules/esbuild"); err != nil {
		missing(t, "esbuild: run npm ci in edge/client/js")
	}
	n := startNode(t)
	serveTestRPC(t, n.NATS())
	run(t, exec.Command(node, "build.mjs", "test"))
	c := exec.Command(node, "--test", "--test-reporter=tap", "build/integration.test.js")
	c.Env = append(os.Environ(), "HAWSER_URL="+n.addrs.WebSocket("demo"))
	if out := run(t, c); !strings.Contains(out, "# skipped 0") {
		t.Errorf("tests were skipped:\n%s", out)
	}
}

// run runs a command in the SDK's room and fails with what it said.
func run(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	c.Dir = sdk
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	return string(out)
}

// serveTestRPC is an application: test.echo answers what it was asked,
// test.direct sends to the session it was given.
func serveTestRPC(t *testing.T, app *nats.Conn) {
	t.Helper()
	answer := func(m *nats.Msg, data []byte) {
		if err := m.Respond(data); err != nil {
			t.Error(err)
		}
	}
	_, err := app.Subscribe("hw.rpc.demo.test.echo", func(m *nats.Msg) { answer(m, m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Subscribe("hw.rpc.demo.test.direct", func(m *nats.Msg) {
		var to struct{ Session string }
		if err := json.Unmarshal(m.Data, &to); err != nil {
			t.Error(err)
		}
		if err := app.Publish("hw.session.demo."+to.Session, []byte(`"only you"`)); err != nil {
			t.Error(err)
		}
		answer(m, []byte("{}"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Flush(); err != nil {
		t.Fatal(err)
	}
}
