package client

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/proto/codec"
)

// raw is a server that accepts the handshake and then sends bytes.
type raw struct {
	head  string // instead of a good handshake answer
	after []byte // in the same write as the handshake answer
	got   chan cause.Code
}

func (r *raw) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go r.serve(theirs) // ends with the pipe
	return ours, nil
}

func (r *raw) serve(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	request, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	head := r.head
	if head == "" {
		sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: " +
			request.Header.Get("Sec-WebSocket-Protocol") + "\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	}
	go func() {
		_, _ = conn.Write(append([]byte(head), r.after...))
	}()
	r.got <- closeCode(br)
}

// closeCode reads frames up to the close frame; 0 when there is none.
func closeCode(br *bufio.Reader) cause.Code {
	guard := frame.NewGuard(frame.Limits{Role: frame.Server})
	for {
		b, err := br.ReadByte()
		if err != nil {
			return 0
		}
		if _, v := guard.Scan([]byte{b}); v != nil {
			return 0
		}
		if code, ok := guard.CloseSeen(); ok {
			return code
		}
	}
}

func TestHostileServer(t *testing.T) {
	text := func(p string) []byte { return frame.Append(nil, frame.Text, []byte(p)) }
	cases := []struct {
		name string
		head string
		sent []byte
		want string     // in the error
		code cause.Code // that the server is told; 0 for none
	}{
		{"length with the top bit set, gws 1.8.9 dies of it", "", []byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "top bit", cause.ProtocolError},
		{"the same on a control frame", "", []byte{0x89, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, "control frame above 125", cause.ProtocolError},
		{"oversize", "", []byte{0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0}, "larger than the limit", cause.TooBig},
		{"masked", "", frame.AppendMasked(nil, frame.Binary, []byte("x"), [4]byte{1, 2, 3, 4}), "masked server frame", cause.ProtocolError},
		{"reserved bits", "", []byte{0xf2, 0}, "reserved bit", cause.ProtocolError},
		{"bad UTF-8", "", text("\xff"), "UTF-8", cause.BadUTF8},
		{"text on a binary protocol", "", text("{}"), "does not fit hawser.v1.proto", cause.WrongDataType},
		{"not protobuf", "", frame.Append(nil, frame.Binary, []byte{0x81, 3, 0xff, 0xff, 0xff}), "malformed", cause.ProtocolError},
		{"a length that runs past the frame", "", frame.Append(nil, frame.Binary, []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0x0f}), "malformed", cause.ProtocolError},
		{"a close frame and bytes behind it", "", append(frame.AppendClose(nil, cause.Overload, "busy"), 0xff, 0xff, 0xff), "overload", cause.ClientClosed},
		{"handshake without end", "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", maxHandshakeBytes), nil, "handshake answer above", 0},
		{"handshake with bare line feeds", "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n", []byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "Sec-WebSocket-Accept", 0},
		{"wrong accept key", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: nope\r\n\r\n", nil, "Sec-WebSocket-Accept", 0},
		{"not HTTP", "SSH-2.0-OpenSSH_9.9\r\n", nil, "malformed HTTP", 0},
		{"nothing", "\r\n", nil, "handshake", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &raw{head: c.head, after: c.sent, got: make(chan cause.Code, 1)}
				client, err := New(Config{URL: "ws://hawser.test/ws/demo", Dial: r.dial})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
				defer cancel()
				_ = client.Connect(ctx)
				state, lost := client.State()
				if state != Suspended || lost == nil || !strings.Contains(lost.Error(), c.want) {
					t.Errorf("got %v, %v, want suspended and %q", state, lost, c.want)
				}
				if got := <-r.got; got != c.code {
					t.Errorf("server was told %d, want %d", got, c.code)
				}
			})
		})
	}
}

func TestHandshakeStatus(t *testing.T) {
	cases := []struct {
		status string
		want   State
		code   cause.Code
	}{
		{"401 Unauthorized", Failed, cause.BadToken}, // no token callback
		{"403 Forbidden", Failed, cause.Forbidden},
		{"404 Not Found", Failed, cause.BadRequest},
		{"429 Too Many Requests", Suspended, cause.RateLimited},
		{"503 Service Unavailable", Suspended, cause.Overload},
		{"502 Bad Gateway", Suspended, cause.Internal},
		{"200 OK", Suspended, cause.Internal},
	}
	for _, c := range cases {
		t.Run(c.status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &raw{head: "HTTP/1.1 " + c.status + "\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", got: make(chan cause.Code, 1)}
				client, err := New(Config{URL: "ws://hawser.test/ws/demo", Dial: r.dial})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
				defer cancel()
				_ = client.Connect(ctx)
				state, lost := client.State()
				if state != c.want || lost.Cause.Code != c.code || lost.RetryAfter != 9*time.Second {
					t.Errorf("got %v, %v after %v, want %v, %v", state, lost.Cause.Name, lost.RetryAfter, c.want, c.code)
				}
			})
		})
	}
}

// TestWireHandsOnEverySplit checks every split of a handshake answer with frames
// behind it.
func TestWireHandsOnEverySplit(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"
	frames := string(frame.Append(frame.Append(nil, frame.Text, []byte("hello")), frame.Ping, nil))
	stream := head + frames
	for size := 1; size <= len(stream); size++ {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for rest := stream; rest != ""; {
				n := min(size, len(rest))
				if _, err := io.WriteString(theirs, rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		w := newWire(ours, time.Second, 1024)
		br := bufio.NewReader(w)
		response, err := http.ReadResponse(br, nil)
		if err != nil || response.Header.Get("A") != "b" {
			t.Fatalf("size %d: %v, %v", size, response, err)
		}
		if br.Buffered() != 0 {
			t.Errorf("size %d: %d bytes slipped past the guard", size, br.Buffered())
		}
		w.opened = true
		got, err := io.ReadAll(br)
		if string(got) != frames || err != nil {
			t.Errorf("size %d: got %q, %v, want %q", size, got, err, frames)
		}
		w.Close()
	}
}

func TestWireWritesNothingBehindAClose(t *testing.T) {
	ours, theirs := net.Pipe()
	w := newWire(ours, time.Second, 1024)
	got := make(chan cause.Code, 1)
	rest := make(chan string, 1)
	go func() {
		br := bufio.NewReader(theirs)
		got <- closeCode(br)
		tail, _ := io.ReadAll(br)
		rest <- string(tail)
	}()
	w.finish(cause.ClientClosed, "")
	w.finish(cause.Internal, "again")
	if n, err := w.Write([]byte("xyz")); n != 3 || err != nil {
		t.Errorf("write behind close: %d, %v", n, err)
	}
	w.Close()
	if code, tail := <-got, <-rest; code != cause.ClientClosed || tail != "" {
		t.Errorf("got %d and %q behind it", code, tail)
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{URL: "wss://hawser.test:8443/ws/demo"}
	if err := good.Validate(); err != nil {
		t.Errorf("good: %v", err)
	}
	for field, edit := range map[string]func(*Config){
		"URL":             func(c *Config) { c.URL = "http://hawser.test" },
		"Protocol":        func(c *Config) { c.Protocol = "mqtt" },
		"Name":            func(c *Config) { c.Name = strings.Repeat("x", 65) },
		"ConnectTimeout":  func(c *Config) { c.ConnectTimeout = -1 },
		"CommandTimeout":  func(c *Config) { c.CommandTimeout = -1 },
		"WriteTimeout":    func(c *Config) { c.WriteTimeout = -1 },
		"StableAfter":     func(c *Config) { c.StableAfter = -1 },
		"MaxRejections":   func(c *Config) { c.MaxRejections = -1 },
		"QueueLen":        func(c *Config) { c.QueueLen = -1 },
		"MaxMessageBytes": func(c *Config) { c.MaxMessageBytes = -1 },
	} {
		c := good
		edit(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
	for _, u := range []string{"", "ws://", "://x", "ws:/x"} {
		if _, err := New(Config{URL: u}); err == nil {
			t.Errorf("URL %q: no error", u)
		}
	}
	secret := Config{URL: "http://user:hunter2@hawser.test"}
	if err := secret.Validate(); strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("the error shows a password: %v", err)
	}
}

func TestDialAddr(t *testing.T) {
	for u, want := range map[string]string{
		"ws://a/ws/t": "a:80", "wss://a/ws/t": "a:443", "ws://a:1/": "a:1", "wss://[::1]/": "[::1]:443",
	} {
		if got := dialAddr(u); got != want {
			t.Errorf("%s: got %s, want %s", u, got, want)
		}
	}
}

// A write that fails must not cost what the server said last.
func TestWireKeepsWriteErrorsFromGWS(t *testing.T) {
	ours, theirs := net.Pipe()
	w := newWire(ours, time.Second, 1024)
	w.opened = true
	theirs.Close()
	for range 2 {
		if n, err := w.Write([]byte("xyz")); n != 3 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	if !errors.Is(w.writeError(), io.ErrClosedPipe) {
		t.Errorf("write error: got %v", w.writeError())
	}
	w.Close()
}

func TestWireClosesWhatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		w := newWire(ours, 3*time.Second, 1024)
		w.opened = true
		begin := time.Now()
		_, _ = w.Write([]byte("nobody reads this"))
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) || time.Since(begin) != 3*time.Second {
			t.Errorf("read: got %v after %v, want closed after 3s", err, time.Since(begin))
		}
	})
}

// What waits is sent in one frame, as long as it fits.
func TestBatch(t *testing.T) {
	publish := func(n int) *clientv1.ClientMessage {
		return &clientv1.ClientMessage{Id: 1, Body: &clientv1.ClientMessage_Publish{
			Publish: &clientv1.Publish{Channel: "c", Data: []byte(`"` + strings.Repeat("x", n) + `"`)}}}
	}
	for _, p := range codec.All {
		for _, c := range []struct{ waiting, size, want int }{{0, 10, 1}, {1, 10, 2}, {63, 10, 64}, {5, batchBytes / 2, 2}, {5, batchBytes, 1}} {
			s := &socket{codec: p, out: make(chan *clientv1.ClientMessage, outLen)}
			for range c.waiting {
				s.out <- publish(c.size)
			}
			messages, err := codec.DecodeClient(p, s.batch(nil, publish(c.size)))
			if err != nil || len(messages) != c.want || len(s.out) != c.waiting+1-c.want {
				t.Errorf("%s, %d waiting of %d bytes: got %d in a frame and %v, want %d", p.Subprotocol(), c.waiting, c.size, len(messages), err, c.want)
			}
		}
	}
}
