package wsconform

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Dial opens a connection on which the opening handshake is done.
type Dial func() (net.Conn, error)

// The key and its answer of RFC 6455 §1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// Handshake does the opening handshake on conn and returns the connection to
// go on with: it holds bytes that came with the answer. target is the path and
// query; extra are whole header lines such as "Sec-WebSocket-Protocol: x". On
// an error it closes conn.
func Handshake(conn net.Conn, target string, extra ...string) (net.Conn, error) {
	lines := append([]string{
		"GET " + target + " HTTP/1.1",
		"Host: " + conn.RemoteAddr().String(),
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: " + sampleKey,
	}, extra...)
	br := bufio.NewReader(conn)
	err := shake(conn, br, strings.Join(lines, "\r\n")+"\r\n\r\n")
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &shaken{Conn: conn, br: br}, nil
}

// shake sends the request and checks the answer.
func shake(conn net.Conn, br *bufio.Reader, request string) error {
	if _, err := conn.Write([]byte(request)); err != nil {
		return fmt.Errorf("wsconform: handshake: %w", err)
	}
	answer, err := http.ReadResponse(br, nil)
	if err != nil {
		return fmt.Errorf("wsconform: handshake: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != sampleAccept {
		return fmt.Errorf("wsconform: handshake: got %s and accept key %q", answer.Status, answer.Header.Get("Sec-WebSocket-Accept"))
	}
	return nil
}

// shaken reads through the buffer that read the answer.
type shaken struct {
	net.Conn
	br *bufio.Reader
}

// Read implements net.Conn.
func (c *shaken) Read(p []byte) (int, error) { return c.br.Read(p) }
