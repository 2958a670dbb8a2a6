package edge

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func proxyHeader(command, family byte, addresses ...byte) []byte {
	b := append([]byte(proxySignature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)))
	return append(b, addresses...)
}

var proxyV4 = proxyHeader(0x21, 0x11, 203, 0, 113, 9, 127, 0, 0, 1, 0x10, 0, 0x1f, 0x90)

func TestParseProxy(t *testing.T) {
	v6 := proxyHeader(0x21, 0x21, append(append(netip.MustParseAddr("2001:db8::1").AsSlice(), make([]byte, 16)...), 1, 2, 3, 4)...)
	for _, test := range []struct {
		name string
		in   []byte
		want string
		bad  bool
	}{
		{"tcp4", proxyV4, "203.0.113.9", false},
		{"tcp4 with a TLV", proxyHeader(0x21, 0x11, 203, 0, 113, 9, 127, 0, 0, 1, 1, 2, 3, 4, 0x04, 0, 1, 0), "203.0.113.9", false},
		{"tcp6", v6, "2001:db8::1", false},
		{"local", proxyHeader(0x20, 0), "invalid IP", false},
		{"version 1", []byte("PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n"), "", true},
		{"http", []byte("GET /ws/demo HTTP/1.1\r\n"), "", true},
		{"unknown command", proxyHeader(0x22, 0x11, make([]byte, 12)...), "", true},
		{"udp", proxyHeader(0x21, 0x12, make([]byte, 12)...), "", true},
		{"short addresses", proxyHeader(0x21, 0x11, 1, 2, 3), "", true},
		{"too long", append(append([]byte(proxySignature), 0x21, 0x11, 0xff, 0xff), make([]byte, 600)...), "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, size, err := parseProxy(append(test.in, "GET"...))
			if (err != nil) != test.bad || err == nil && (size != len(test.in) || addr.String() != test.want) {
				t.Errorf("got %v, %d, %v", addr, size, err)
			}
			if test.bad {
				return
			}
			for cut := range len(test.in) {
				if _, size, err := parseProxy(test.in[:cut]); size != 0 || err != nil {
					t.Errorf("cut at %d: got %d, %v, want to wait for more", cut, size, err)
				}
			}
		})
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add(proxyV4)
	f.Add([]byte(proxySignature))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, size, err := parseProxy(b); size > len(b) || err != nil && size != 0 {
			t.Errorf("size %d of %d bytes, error %v", size, len(b), err)
		}
	})
}

// Behind a trusted balancer, limits count clients and not the balancer; who
// claims to be a client without being trusted gets nowhere.
func TestProxyProtocol(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		request := strings.ReplaceAll("GET /ws/demo HTTP/1.1\n"+upgradeHead+"Sec-WebSocket-Protocol: hawser.v1.json\n\n", "\n", "\r\n")
		ask := func(t *testing.T, r *rig, prefix []byte) (*http.Response, net.Conn) {
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			conn.SetDeadline(time.Now().Add(patience))
			for i := range prefix { // byte by byte: a header may be cut anywhere
				conn.Write(prefix[i : i+1])
			}
			fmt.Fprint(conn, request)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp, conn
		}
		trusted := func(c *Config) {
			c.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			c.Limits.MaxConnsPerIP = 1
		}
		t.Run("trusted", func(t *testing.T) {
			r := newRig(t, engine, rigOptions{edge: trusted})
			if resp, _ := ask(t, r, proxyV4); resp.StatusCode != 101 {
				t.Errorf("first client: got %s", resp.Status)
			}
			if resp, _ := ask(t, r, proxyV4); resp.StatusCode != http.StatusTooManyRequests {
				t.Errorf("same client: got %s, want 429", resp.Status)
			}
			other := append([]byte(nil), proxyV4...)
			other[16] = 204
			resp, conn := ask(t, r, other)
			if resp.StatusCode != 101 {
				t.Errorf("another client: got %s", resp.Status)
			}
			conn.Close()
			r.until("the other client is counted out", func() bool { return r.server.Sockets() == 1 })
			if resp, _ := ask(t, r, other); resp.StatusCode != 101 {
				t.Errorf("the other client again: got %s", resp.Status)
			}
			if resp, _ := ask(t, r, nil); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("without a header: got %s, want 400", resp.Status)
			}
		})
		t.Run("not trusted", func(t *testing.T) {
			r := newRig(t, engine, rigOptions{})
			resp, _ := ask(t, r, proxyV4)
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("got %s %s, want 400", resp.Status, body)
			}
		})
	})
}
