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

// Offer is a Dial that asks for extensions, the value of
// Sec-WebSocket-Extensions; agreed is that of the answer.
type Offer func(extensions string) (conn net.Conn, agreed string, err error)

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
	conn, _, err := HandshakeOffer(conn, target, "", extra...)
	return conn, err
}

// HandshakeOffer is Handshake with an offer of extensions, if it is not empty.
// agreed is what the server made of it.
func HandshakeOffer(conn net.Conn, target, extensions string, extra ...string) (_ net.Conn, agreed string, err error) {
	if extensions != "" {
		extra = append(extra, "Sec-WebSocket-Extensions: "+extensions)
	}
	lines := append([]string{
		"GET " + target + " HTTP/1.1",
		"Host: " + conn.RemoteAddr().String(),
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: " + sampleKey,
	}, extra...)
	br := bufio.NewReader(conn)
	header, err := shake(conn, br, strings.Join(lines, "\r\n")+"\r\n\r\n")
	if err != nil {
		conn.Close()
		return nil, "", err
	}
	return &shaken{Conn: conn, br: br}, strings.Join(header.Values("Sec-WebSocket-Extensions"), ", "), nil
}

// shake sends the request, checks the answer and returns its header.
func shake(conn net.Conn, br *bufio.Reader, request string) (http.Header, error) {
	if _, err := conn.Write([]byte(request)); err != nil {
		return nil, fmt.Errorf("wsconform: handshake: %w", err)
	}
	answer, err := http.ReadResponse(br, nil)
	if err != nil {
		return nil, fmt.Errorf("wsconform: handshake: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != sampleAccept {
		return nil, fmt.Errorf("wsconform: handshake: got %s and accept key %q", answer.Status, answer.Header.Get("Sec-WebSocket-Accept"))
	}
	return answer.Header, nil
}

// shaken reads through the buffer that read the answer.
type shaken struct {
	net.Conn
	br *bufio.Reader
}

// Read implements net.Conn.
func (c *shaken) Read(p []byte) (int, error) { return c.br.Read(p) }
