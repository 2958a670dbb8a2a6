package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freePorts makes dev listen where nothing else does, with a store of its own.
func freePorts(t *testing.T) []string {
	t.Helper()
	return []string{"dev", "--edge.listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0", "--nats.listen=127.0.0.1:0", "--node.data_dir=" + t.TempDir()}
}

// startReal runs a command with a real node.
func startReal(t *testing.T, args []string) *running {
	t.Helper()
	return (&running{}).start(t, nil, args)
}

// banner reads what dev prints and returns the URL behind each word.
func (r *running) banner(t *testing.T, words ...string) []string {
	t.Helper()
	var text strings.Builder
	for !strings.Contains(text.String(), "Ctrl-C") {
		if !r.stdout.Scan() {
			t.Fatalf("the banner ended early: %s", text.String())
		}
		text.WriteString(r.stdout.Text() + "\n")
	}
	var found []string
	for _, word := range words {
		m := regexp.MustCompile(`(?m)^ *` + word + ` +(\S+)`).FindStringSubmatch(text.String())
		if m == nil {
			t.Fatalf("the banner has no %s:\n%s", word, text.String())
		}
		found = append(found, m[1])
	}
	return found
}

// TestDevServes is the README's first command: the page is there, the node is
// ready, TERM ends it with 0.
func TestDevServes(t *testing.T) {
	r := startReal(t, freePorts(t))
	urls := r.banner(t, "demo page", "admin", "NATS")
	get(t, urls[0], http.StatusOK)
	get(t, urls[1], http.StatusOK)
	natsSpeaks(t, strings.TrimPrefix(urls[2], "nats://"))
	r.signals <- syscall.SIGTERM
	if code := r.wait(); code != exitOK {
		t.Errorf("exit %d, want 0", code)
	}
}

// get asks until the status is want: readiness comes with the first canary.
func get(t *testing.T, url string, want int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if err == nil && response.StatusCode == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("GET %s: %v, %v; want %d", url, response, err, want)
		}
	}
}

func natsSpeaks(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := make([]byte, 5)
	if _, err := io.ReadFull(conn, hello); err != nil || string(hello) != "INFO " {
		t.Errorf("NATS says %q, %v", hello, err)
	}
}

// TestTakenPort: the error names the key and the address.
func TestTakenPort(t *testing.T) {
	for _, key := range []string{"edge.listen", "admin.listen", "nats.listen"} {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := taken.Addr().String()
		r := startReal(t, append(freePorts(t), "--"+key+"="+address))
		line := r.logLine(t, "hawser: ")
		if !strings.Contains(line, key) || !strings.Contains(line, address) {
			t.Errorf("got %q, want %s and %s in it", line, key, address)
		}
		if code := r.wait(); code != exitFailed {
			t.Errorf("%s: exit %d, want 1", key, code)
		}
		taken.Close()
	}
}
