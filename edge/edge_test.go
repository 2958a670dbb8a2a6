package edge

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/proto/codec"
	"hawser/tests/wsconform"
)

// engines are run through the same tests.
var engines = []string{"goroutine", "poll"}

// eachEngine runs f once per engine.
func eachEngine(t *testing.T, f func(t *testing.T, engine string)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { f(t, engine) })
	}
}

const upgradeHead = "Host: x\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"

func TestHandshake_Refusals(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.Limits.Origins = []string{"https://app.example.org", "https://*.example.net"} }})
		json := "Sec-WebSocket-Protocol: hawser.v1.json\n"
		for _, test := range []struct {
			name, request string
			want          *Refusal
		}{
			{"not http", "HELO there\n\n", RefuseBadRequest},
			{"http 1.0", "GET /ws/demo HTTP/1.0\n" + upgradeHead + json + "\n", RefuseBadRequest},
			{"two hosts", "GET /ws/demo HTTP/1.1\nHost: a\n" + upgradeHead + json + "\n", RefuseBadRequest},
			{"body", "GET /ws/demo HTTP/1.1\n" + upgradeHead + json + "Content-Length: 5\n\nhello", RefuseBadRequest},
			{"huge header", "GET /ws/demo HTTP/1.1\n" + upgradeHead + "X: " + strings.Repeat("x", 9000) + "\n\n", RefuseHeaderTooBig},
			{"no path", "GET /elsewhere HTTP/1.1\n" + upgradeHead + json + "\n", RefuseNotFound},
			{"post", "POST /ws/demo HTTP/1.1\n" + upgradeHead + json + "\n", RefuseMethod},
			{"no upgrade", "GET /ws/demo HTTP/1.1\nHost: x\n\n", RefuseNotWebSocket},
			{"old version", "GET /ws/demo HTTP/1.1\n" + strings.Replace(upgradeHead, "13", "8", 1) + json + "\n", RefuseNotWebSocket},
			{"short key", "GET /ws/demo HTTP/1.1\n" + strings.Replace(upgradeHead, "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 1) + json + "\n", RefuseKey},
			{"empty tenant", "GET /ws/ HTTP/1.1\n" + upgradeHead + json + "\n", RefuseTenant},
			{"tenant with a dot", "GET /ws/a.b HTTP/1.1\n" + upgradeHead + json + "\n", RefuseTenant},
			{"tenant with a wildcard", "GET /ws/%3E HTTP/1.1\n" + upgradeHead + json + "\n", RefuseTenant},
			{"two segments", "GET /ws/a/b HTTP/1.1\n" + upgradeHead + json + "\n", RefuseTenant},
			{"foreign page", "GET /ws/demo HTTP/1.1\n" + upgradeHead + json + "Origin: https://evil.example\n\n", RefuseOrigin},
			{"null origin", "GET /ws/demo HTTP/1.1\n" + upgradeHead + json + "Origin: null\n\n", RefuseOrigin},
			{"wrong scheme", "GET /ws/demo HTTP/1.1\n" + upgradeHead + json + "Origin: http://app.example.org\n\n", RefuseOrigin},
			{"bare suffix", "GET /ws/demo HTTP/1.1\n" + upgradeHead + json + "Origin: https://example.net\n\n", RefuseOrigin},
			{"no subprotocol", "GET /ws/demo HTTP/1.1\n" + upgradeHead + "\n", RefuseSubprotocol},
			{"unknown subprotocol", "GET /ws/demo HTTP/1.1\n" + upgradeHead + "Sec-WebSocket-Protocol: graphql-ws\n\n", RefuseSubprotocol},
		} {
			t.Run(test.name, func(t *testing.T) {
				before := r.counts.refusedAs(test.want)
				resp := r.get(test.request)
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != test.want.Status || !bytes.Contains(body, []byte(`"reason":"`+test.want.Reason+`"`)) {
					t.Errorf("got %s %s, want %d %s", resp.Status, body, test.want.Status, test.want.Reason)
				}
				if got := r.counts.refusedAs(test.want); got != before+1 {
					t.Errorf("counted %d refusals as %s, want 1", got-before, test.want.Reason)
				}
			})
		}
	})
}

func TestHandshake_Accepts(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.Limits.Origins = []string{"https://*.example.net"} }})
		for _, test := range []struct{ name, header, protocol string }{
			{"json", "Sec-WebSocket-Protocol: hawser.v1.json\n", "hawser.v1.json"},
			{"proto", "Sec-WebSocket-Protocol: hawser.v1.proto\n", "hawser.v1.proto"},
			{"client's order wins", "Sec-WebSocket-Protocol: other, hawser.v1.json, hawser.v1.proto\n", "hawser.v1.json"},
			{"allowed page", "Sec-WebSocket-Protocol: hawser.v1.json\nOrigin: https://a.b.example.net\n", "hawser.v1.json"},
			{"compression is declined", "Sec-WebSocket-Protocol: hawser.v1.json\nSec-WebSocket-Extensions: permessage-deflate\n", "hawser.v1.json"},
		} {
			t.Run(test.name, func(t *testing.T) {
				resp := r.get("GET /ws/demo HTTP/1.1\n" + upgradeHead + test.header + "\n")
				if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Protocol") != test.protocol ||
					resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("Sec-Websocket-Extensions") != "" {
					t.Errorf("got %s %v, want 101 with %s", resp.Status, resp.Header, test.protocol)
				}
			})
		}
	})
}

// A client that never ends its header is cut off, and costs nobody else.
func TestHandshake_Slowloris(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.HeaderTimeout = 150 * time.Millisecond }})
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /ws/demo HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		r.connected(t) // meanwhile others connect
		conn.SetDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Fatalf("got %v, %v, want 408", resp, err)
		}
		if got := r.counts.refusedAs(RefuseHeaderTimeout); got != 1 {
			t.Errorf("counted %d, want 1", got)
		}
	})
}

func TestAdmission_Limits(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		for _, test := range []struct {
			name   string
			limits Limits
			want   *Refusal
		}{
			{"full", Limits{MaxConns: 2}, RefuseFull},
			{"per ip", Limits{MaxConnsPerIP: 2}, RefusePerIP},
			{"rate", Limits{AcceptRate: 1, AcceptBurst: 2}, RefuseRate},
		} {
			t.Run(test.name, func(t *testing.T) {
				r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.Limits = test.limits }})
				r.connected(t)
				r.connected(t)
				resp := r.get("") // answered at accept, before a byte is read
				if resp.StatusCode != test.want.Status || resp.Header.Get("Retry-After") == "" {
					t.Errorf("got %s %v, want %d with Retry-After", resp.Status, resp.Header, test.want.Status)
				}
				if err := r.server.SetLimits(Limits{}); err != nil {
					t.Fatal(err)
				}
				r.connected(t)
			})
		}
	})
}

func TestHealthSocket(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		ws, err := wsconform.Handshake(conn, "/ws/health")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(ws)
		if want := frame.AppendClose(frame.Append(nil, frame.Text, []byte("OK")), 1000, ""); !bytes.Equal(got, want) {
			t.Errorf("got % x, want % x", got, want)
		}
		r.notReady = io.ErrClosedPipe
		if resp := r.get("GET /ws/health HTTP/1.1\n" + upgradeHead + "\n"); resp.StatusCode != 503 {
			t.Errorf("got %s while not ready, want 503", resp.Status)
		}
	})
}

// The Autobahn case list, over the real engine.
func TestConformance(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{echo: true, edge: func(c *Config) { c.MaxMessageBytes = conformanceBytes }})
		suite := wsconform.Suite{Dial: func() (net.Conn, error) { return r.raw("/ws/echo", codec.JSON) },
			Limits: wsconform.Limits{MaxMessageBytes: conformanceBytes}}
		suite.Run(t)
	})
}

// Every hostile stream gets its code, and the node serves on.
func TestHostile(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.CloseTimeout = time.Second }})
		neighbour := r.connected(t)
		for _, stream := range wsconform.Hostile(wsconform.Limits{}) {
			t.Run(stream.Name, func(t *testing.T) {
				dial := func() (net.Conn, error) { return r.raw("/ws/demo", codec.JSON) }
				if err := stream.Check(dial, patience); err != nil {
					t.Error(err)
				}
			})
		}
		neighbour.send(`{"id":9,"ping":{}}`)
		if m := neighbour.next(); m.GetPong() == nil {
			t.Errorf("the neighbour got %v, want pong", m)
		}
		r.until("only the neighbour is left", func() bool { return r.system.Conns() == 1 })
	})
}

func TestMessages_BadInput(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		for _, test := range []struct {
			name, send string
			want       cause.Code
		}{
			{"not json", `hello`, cause.BadRequest},
			{"number", `1`, cause.BadRequest},
			{"cut off", `{"id":1,"connect":{`, cause.BadRequest},
			{"id out of range", `{"id":99999999999,"connect":{}}`, cause.BadRequest},
			{"two commands", `{"id":1,"connect":{},"ping":{}}`, cause.BadRequest},
			{"too many", "[" + strings.Repeat(`{"ping":{}},`, codec.MaxMessagesPerFrame) + `{"ping":{}}]`, cause.BadRequest},
			{"not connect first", `{"id":1,"subscribe":{"channel":"news"}}`, cause.BadRequest},
			{"bad token", `{"id":1,"connect":{"token":"bad"}}`, cause.Overload}, // a plain error counts as temporary
		} {
			t.Run(test.name, func(t *testing.T) {
				c := r.dial(t)
				c.send(test.send)
				if got := c.closeCode(); got != test.want {
					t.Errorf("got %d %v, want %d %v", got, got, test.want, test.want)
				}
			})
		}
		t.Run("binary on json", func(t *testing.T) {
			c := r.dial(t)
			c.conn.Write(frame.AppendMasked(nil, frame.Binary, []byte("x"), [4]byte{}))
			if got := c.closeCode(); got != cause.WrongDataType {
				t.Errorf("got %d, want %d", got, cause.WrongDataType)
			}
		})
	})
}

// What a client that goes away leaves behind is counted with the right cause.
func TestClose_Causes(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		closeWith := func(payload []byte) func(*testClient) {
			return func(c *testClient) {
				c.conn.Write(frame.AppendMasked(nil, frame.Close, payload, [4]byte{7, 7, 7, 7}))
				for {
					if _, _, err := c.frame(); err != nil {
						return
					}
				}
			}
		}
		for _, test := range []struct {
			name string
			end  func(*testClient)
			want cause.Code
		}{
			{"1000", closeWith([]byte{0x03, 0xe8}), cause.ClientClosed},
			{"1001", closeWith([]byte{0x03, 0xe9}), cause.ClientGone},
			{"no code", closeWith(nil), cause.NoStatus},
			{"fin", func(c *testClient) { c.conn.Close() }, cause.PeerLost},
			{"kick", func(c *testClient) {
				for _, conn := range r.system.Snapshot() {
					conn.Kick(cause.Kicked, 0)
				}
				if got := c.closeCode(); got != cause.Kicked {
					t.Errorf("got %d, want %d", got, cause.Kicked)
				}
			}, cause.Kicked},
		} {
			t.Run(test.name, func(t *testing.T) {
				before := r.counts.closedAs(test.want)
				test.end(r.connected(t))
				r.until("the close is counted", func() bool { return r.counts.closedAs(test.want) == before+1 })
			})
		}
	})
}

// A flood of pings or commands ends its own connection only.
func TestRateLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{actors: func(c *actors.Config) { c.RateMessages, c.RateBurst = 10, 10 }})
		for _, op := range []frame.Opcode{frame.Ping, frame.Text} {
			c := r.connected(t)
			payload := []byte(`{"id":5,"ping":{}}`)
			var flood []byte
			for range 60 {
				flood = frame.AppendMasked(flood, op, payload, [4]byte{9, 9, 9, 9})
			}
			c.conn.Write(flood)
			if got := c.closeCode(); got != cause.RateLimited {
				t.Errorf("opcode %d: got %d, want %d", op, got, cause.RateLimited)
			}
		}
		r.connected(t)
	})
}

// A client that stops reading is closed as slow; its neighbours on the same
// channel get every message, in order.
func TestSlowConsumer(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{
			edge:   func(c *Config) { c.CloseTimeout = 200 * time.Millisecond },
			actors: func(c *actors.Config) { c.OutboxBytes = 64 << 10; c.Shards = 1 },
		})
		slow, good := r.connected(t), r.connected(t)
		for _, c := range []*testClient{slow, good} {
			c.send(`{"id":2,"subscribe":{"channel":"news"}}`)
			if m := c.next(); m.GetSubscribed() == nil {
				t.Fatalf("got %v, want subscribed", m)
			}
		}
		filler := strings.Repeat("x", 16<<10)
		for n := 0; r.counts.closedAs(cause.SlowConsumer) == 0; n++ {
			r.system.Deliver("demo", "news", 0, fmt.Appendf(nil, `{"n":%d,"filler":"%s"}`, n, filler))
			want := fmt.Sprintf(`{"n":%d,`, n)
			if m := good.next(); !strings.HasPrefix(string(m.GetPublication().GetData()), want) {
				t.Fatalf("the neighbour got %.40q, want %s", m.GetPublication().GetData(), want)
			}
			if n > 4000 {
				t.Fatal("a client that reads nothing is still up after 64 MB")
			}
		}
		if got := r.counts.closedAs(cause.PeerLost); got != 0 {
			t.Errorf("closed %d as peer_lost, want 0", got)
		}
	})
}

// A client that stops reading a channel that may lose publications stays up,
// and then reads the newest, in order; its neighbours get every one.
func TestSlowConsumer_DropsOldest(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{actors: func(c *actors.Config) {
			c.OutboxBytes, c.Shards = 64<<10, 1
			c.Rules = []actors.Rule{{Pattern: ">", Subscribe: actors.Allow, Slow: actors.SlowDropOldest}}
		}})
		slow, good := r.connected(t), r.connected(t)
		for _, c := range []*testClient{slow, good} {
			c.send(`{"id":2,"subscribe":{"channel":"news"}}`)
			c.next()
		}
		filler := strings.Repeat("x", 16<<10)
		n := 0
		for ; r.counts.drops(actors.DropOldest) < 10; n++ {
			r.system.Deliver("demo", "news", uint64(n+1), fmt.Appendf(nil, `"%s"`, filler))
			if got := good.next().GetPublication().GetSeq(); got != uint64(n+1) {
				t.Fatalf("the neighbour got %d, want %d", got, n+1)
			}
			if n > 4000 {
				t.Fatal("nothing dropped for a client that reads nothing, after 64 MB")
			}
		}
		got, last := 0, uint64(0)
		for ; last < uint64(n); got++ {
			seq := slow.next().GetPublication().GetSeq()
			if seq <= last {
				t.Fatalf("got %d after %d", seq, last)
			}
			last = seq
		}
		if drops := r.counts.drops(actors.DropOldest); got+drops != n {
			t.Errorf("read %d of %d publications, %d counted as dropped", got, n, drops)
		}
	})
}

// Messages published back to back leave in few writes.
func TestFanOut_Coalesces(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{actors: func(c *actors.Config) { c.Shards = 1 }})
		c := r.connected(t)
		c.send(`{"id":2,"subscribe":{"channel":"news"}}`)
		c.next()
		const messages = 4096
		for n := range messages {
			r.system.Deliver("demo", "news", 0, fmt.Appendf(nil, "%d", n))
		}
		for n := range messages {
			if m := c.next(); string(m.GetPublication().GetData()) != fmt.Sprint(n) {
				t.Fatalf("got %v, want publication %d", m, n)
			}
		}
		r.counts.with(func() {
			if r.counts.writes >= messages {
				t.Errorf("%d writes for %d frames: nothing was coalesced", r.counts.writes, r.counts.frames)
			}
		})
	})
}

// A peer that vanished without a packet is found by the ping.
func TestHalfOpen(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{
			edge: func(c *Config) { c.CloseTimeout = 100 * time.Millisecond },
			actors: func(c *actors.Config) {
				c.PingInterval, c.PongTimeout, c.ConnectTimeout = 100*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
			},
		})
		r.connected(t) // and then neither reads nor writes
		r.until("pong timeout", func() bool { return r.counts.closedAs(cause.PongTimeout) == 1 })
		c := r.dial(t)
		if got := c.closeCode(); got != cause.ConnectTimeout {
			t.Errorf("without connect: got %d, want %d", got, cause.ConnectTimeout)
		}
	})
}

// Frames that arrive with the handshake are not lost, and frames may be cut
// anywhere.
func TestEarlyAndDribble(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		head := strings.ReplaceAll("GET /ws/demo HTTP/1.1\n"+upgradeHead+"Sec-WebSocket-Protocol: hawser.v1.json\n\n", "\n", "\r\n")
		all := append([]byte(head), frame.AppendMasked(nil, frame.Text, []byte(`[{"id":1,"connect":{}},{"id":2,"ping":{}}]`), [4]byte{1, 2, 3, 4})...)
		conn.Write(all)
		c := &testClient{t: t, conn: conn, br: bufio.NewReader(conn)}
		if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		if c.next().GetConnected() == nil || c.next().GetPong() == nil {
			t.Fatal("want connected and pong")
		}
		for _, b := range frame.AppendMasked(nil, frame.Text, []byte(`{"id":3,"ping":{}}`), [4]byte{1, 2, 3, 4}) {
			conn.Write([]byte{b})
		}
		if m := c.next(); m.GetPong() == nil || m.Id != 3 {
			t.Fatalf("got %v, want pong 3", m)
		}
	})
}

func TestStop_RefusesAndKeeps(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		c := r.connected(t)
		r.server.Stop()
		if conn, err := net.Dial("tcp", r.addr); err == nil {
			conn.SetDeadline(time.Now().Add(patience))
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				// The listener may have had it in its queue: then it gets 503.
				t.Log("answered while stopping")
			}
			conn.Close()
		}
		c.send(`{"id":5,"ping":{}}`)
		if m := c.next(); m.GetPong() == nil {
			t.Errorf("got %v, want pong: Stop must not touch connections", m)
		}
	})
}

// A drain tells every client when to come back, closes with 1012, and leaves
// nothing behind; frames that wait go out first.
func TestDrain(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		clients := make([]*testClient, 60)
		for i := range clients {
			clients[i] = r.connected(t)
			clients[i].send(`{"id":2,"subscribe":{"channel":"news"}}`)
			clients[i].next()
		}
		r.server.Stop()
		r.system.Deliver("demo", "news", 0, []byte(`"last"`))
		for _, c := range clients {
			if m := c.next(); string(m.GetPublication().GetData()) != `"last"` {
				t.Fatalf("got %v, want the last publication", m)
			}
		}
		for _, conn := range r.system.Snapshot() {
			conn.Kick(cause.Shutdown, time.Second)
		}
		for _, c := range clients {
			d := c.next().GetDisconnect()
			if d.GetCode() != uint32(cause.Shutdown) || !d.GetReconnect() || d.GetRetryAfterMs() < 500 || d.GetRetryAfterMs() > 1500 {
				t.Fatalf("got %v, want 1012, reconnect, and a delay of 500 to 1500 ms", d)
			}
			if got := c.closeCode(); got != cause.Shutdown {
				t.Fatalf("closed with %d, want 1012", got)
			}
		}
		r.until("all are gone", func() bool { return r.system.Conns() == 0 && r.server.Sockets() == 0 })
		if got := r.counts.closedAs(cause.Shutdown); got != len(clients) {
			t.Errorf("%d counted as shutdown, want %d", got, len(clients))
		}
	})
}

// TLS in process goes through the goroutine engine.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "auto", rigOptions{edge: func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		c.HeaderTimeout = 2 * time.Second
	}, actors: func(c *actors.Config) { c.OutboxBytes = 8 << 20 }})
	if r.server.Engine() != "goroutine" {
		t.Fatalf("engine %s, want goroutine", r.server.Engine())
	}
	roots := x509.NewCertPool()
	cert, _ := x509.ParseCertificate(der)
	roots.AddCert(cert)
	raw, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	conn, err := wsconform.Handshake(raw, "/ws/demo", "Sec-WebSocket-Protocol: hawser.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &testClient{t: t, conn: conn, br: bufio.NewReader(conn)}
	c.send(`[{"id":1,"connect":{}},{"id":2,"subscribe":{"channel":"news"}}]`)
	c.next()
	c.next()
	for n := range 500 {
		r.system.Deliver("demo", "news", 0, fmt.Appendf(nil, `"%d %s"`, n, strings.Repeat("y", n*20)))
	}
	for n := range 500 {
		if m := c.next(); !strings.HasPrefix(string(m.GetPublication().GetData()), fmt.Sprintf(`"%d `, n)) {
			t.Fatalf("got %.40q, want %d", m.GetPublication().GetData(), n)
		}
	}
	plain, err := net.Dial("tcp", r.addr) // a client that forgot TLS costs nothing
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(plain, "GET / HTTP/1.1\r\n\r\n")
	plain.Close()
}

func TestFallback_ServesPages(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: func(c *Config) {
			c.Fallback = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { fmt.Fprint(w, "page ", req.URL.Path) })
		}})
		resp := r.get("GET /some/page HTTP/1.1\nHost: x\n\n")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(body) != "page /some/page" {
			t.Errorf("got %s %q", resp.Status, body)
		}
		r.until("the socket is counted out", func() bool { return r.server.Sockets() == 0 })
	})
}

// A limit per address that begins while a socket is up must not be loosened
// when that socket goes.
func TestAdmission_LimitBeginsLater(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{})
		uncounted := r.connected(t)
		if err := r.server.SetLimits(Limits{MaxConnsPerIP: 1}); err != nil {
			t.Fatal(err)
		}
		r.connected(t)
		uncounted.conn.Close()
		r.until("the uncounted socket is gone", func() bool { return r.server.Sockets() == 1 })
		if resp := r.get(""); resp.StatusCode != RefusePerIP.Status {
			t.Errorf("got %s, want 429: the counted socket is still there", resp.Status)
		}
	})
}
