package tests

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"hawser/edge/frame"
	"hawser/proto/cause"
)

// reply is one message of the server as JSON has it. It is spelled out here,
// beside our codec, so that the two would have to be wrong alike.
type reply struct {
	ID        uint32 `json:"id"`
	Connected *struct {
		Session     string `json:"session"`
		ResumeToken string `json:"resume_token"`
		Node        string `json:"node"`
		User        string `json:"user"`
		Resumed     bool   `json:"resumed"`
		PingMs      int    `json:"ping_ms"`
		ExpiresMs   int    `json:"expires_ms"`
	} `json:"connected"`
	Subscribed *struct {
		Channel string `json:"channel"`
	} `json:"subscribed"`
	Unsubscribed *struct {
		Channel string `json:"channel"`
	} `json:"unsubscribed"`
	Published *struct{} `json:"published"`
	RPC       *struct {
		Data json.RawMessage `json:"data"`
	} `json:"rpc"`
	Refreshed *struct {
		ExpiresMs int `json:"expires_ms"`
	} `json:"refreshed"`
	Pong        *struct{}    `json:"pong"`
	Error       *refusedWith `json:"error"`
	Publication *struct {
		Channel    string          `json:"channel"`
		Seq        uint64          `json:"seq"`
		Data       json.RawMessage `json:"data"`
		DataBase64 []byte          `json:"data_base64"`
	} `json:"publication"`
	Direct *struct {
		Data json.RawMessage `json:"data"`
	} `json:"direct"`
	Disconnect *struct {
		Code         int    `json:"code"`
		Reason       string `json:"reason"`
		Reconnect    bool   `json:"reconnect"`
		RetryAfterMs int    `json:"retry_after_ms"`
	} `json:"disconnect"`

	text string // as received
}

// refusedWith is the error of a command.
type refusedWith struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	Temporary bool   `json:"temporary"`
}

// rawClient speaks hawser.v1.json without an SDK. It has no goroutine: a test
// that does not call it is a client that does not read.
type rawClient struct {
	t       *testing.T
	conn    net.Conn
	in      []byte  // read and not yet taken apart
	waiting []reply // of a frame that held several
}

// dialWebSocket does the handshake of RFC 6455 with more headers, and returns
// the server's answer and the connection. The test closes both.
func dialWebSocket(t *testing.T, h *hawser, path string, headers ...string) (net.Conn, *http.Response, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", h.edge)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience)) // a dead connection tells by itself
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: " + h.edge, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: hawser.v1.json"}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return conn, response, reader
}

// dialRaw opens a WebSocket and sends nothing on it.
func dialRaw(t *testing.T, h *hawser, headers ...string) *rawClient {
	t.Helper()
	conn, response, reader := dialWebSocket(t, h, "/ws/demo", headers...)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: status %d, want 101", response.StatusCode)
	}
	early, _ := reader.Peek(reader.Buffered()) // what is there cannot fail
	return &rawClient{t: t, conn: conn, in: bytes.Clone(early)}
}

// refusal does a handshake that is to be turned down, and returns the status.
func refusal(t *testing.T, h *hawser, headers ...string) *http.Response {
	t.Helper()
	conn, response, _ := dialWebSocket(t, h, "/ws/demo", headers...)
	conn.Close()
	return response
}

// connectRaw is dialRaw with a connect command that is granted. body is the
// JSON of its members.
func connectRaw(t *testing.T, h *hawser, body string, headers ...string) (*rawClient, reply) {
	t.Helper()
	c := dialRaw(t, h, headers...)
	c.send(`{"id":1,"connect":{%s}}`, body)
	answer := c.next()
	if answer.Connected == nil {
		t.Fatalf("connect: got %s, want connected", answer.text)
	}
	return c, answer
}

// send writes one text message.
func (c *rawClient) send(format string, args ...any) {
	c.t.Helper()
	c.write(frame.Text, fmt.Appendf(nil, format, args...))
}

func (c *rawClient) write(op frame.Opcode, payload []byte) {
	c.t.Helper()
	// Any key will do: no proxy is fooled by a test.
	if _, err := c.conn.Write(frame.AppendMasked(nil, op, payload, [4]byte{7, 1, 9, 3})); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// next waits for the next message and answers pings on the way.
func (c *rawClient) next() reply {
	c.t.Helper()
	r, code, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if code != 0 {
		c.t.Fatalf("closed with %d, want a message", code)
	}
	return r
}

// closed reads up to the close frame, answers it and returns its code and the
// disconnect message before it, if any.
func (c *rawClient) closed() (code cause.Code, goodbye reply) {
	c.t.Helper()
	for {
		r, code, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("read: %v, want a close frame", err)
		case code != 0:
			c.write(frame.Close, frame.AppendClosePayload(nil, code, ""))
			return code, goodbye
		case r.Disconnect != nil:
			goodbye = r
		}
	}
}

// ended reads until the connection is over, whatever comes before.
func (c *rawClient) ended() {
	c.t.Helper()
	for {
		if _, _, err := c.read(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Fatal("the connection is still up")
			}
			return
		}
	}
}

// goodbye closes as RFC 6455 §7.1.2 wants it and waits for the server's end.
func (c *rawClient) goodbye() {
	c.t.Helper()
	c.write(frame.Close, frame.AppendClosePayload(nil, cause.ClientClosed, ""))
	c.ended()
	c.conn.Close()
}

// read returns one message, or the code of a close frame. It answers pings on
// the way.
func (c *rawClient) read() (reply, cause.Code, error) {
	c.t.Helper()
	return c.readWith(func(payload []byte) { c.write(frame.Pong, payload) })
}

// readSilently is read without the pongs.
func (c *rawClient) readSilently() (reply, cause.Code, error) {
	return c.readWith(func([]byte) {})
}

func (c *rawClient) readWith(ping func(payload []byte)) (reply, cause.Code, error) {
	for len(c.waiting) == 0 {
		op, payload, err := c.readFrame()
		if err != nil {
			return reply{}, 0, err
		}
		switch op {
		case frame.Ping:
			ping(payload)
		case frame.Close:
			if len(payload) < 2 {
				return reply{}, cause.NoStatus, nil
			}
			return reply{}, cause.Code(binary.BigEndian.Uint16(payload)), nil
		case frame.Text:
			if c.waiting, err = parseReplies(payload); err != nil {
				return reply{}, 0, err
			}
		default:
			return reply{}, 0, fmt.Errorf("frame of opcode %d", op)
		}
	}
	r := c.waiting[0]
	c.waiting = c.waiting[1:]
	return r, 0, nil
}

// parseReplies takes one object, or an array of them.
func parseReplies(payload []byte) ([]reply, error) {
	texts := []json.RawMessage{payload}
	if payload[0] == '[' {
		if err := json.Unmarshal(payload, &texts); err != nil {
			return nil, fmt.Errorf("%s: %w", payload, err)
		}
	}
	replies := make([]reply, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal(text, &replies[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		replies[i].text = string(text)
	}
	return replies, nil
}

func (c *rawClient) readFrame() (frame.Opcode, []byte, error) {
	for {
		if h, size := frame.Next(c.in); size > 0 && size <= len(c.in) {
			payload := c.in[h.Offset:size]
			c.in = c.in[size:]
			if h.Masked || !h.FIN {
				return 0, nil, errors.New("masked or fragmented frame of the server")
			}
			return h.Op, payload, nil
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(patience)) // a dead connection tells by itself
		b := make([]byte, 16<<10)
		n, err := c.conn.Read(b)
		if err != nil {
			return 0, nil, err
		}
		c.in = append(c.in, b[:n]...)
	}
}

// subscribe asks for a channel, which must be granted.
func (c *rawClient) subscribe(channel string) {
	c.t.Helper()
	c.send(`{"id":2,"subscribe":{"channel":%q}}`, channel)
	if r := c.next(); r.Subscribed == nil || r.Subscribed.Channel != channel {
		c.t.Fatalf("subscribe %s: got %s, want subscribed", channel, r.text)
	}
}

// refused sends a command and wants an error of that code.
func (c *rawClient) refused(code int, command string) refusedWith {
	c.t.Helper()
	c.send(`{"id":9,%s}`, command)
	r := c.next()
	if r.Error == nil || r.Error.Code != code || r.ID != 9 {
		c.t.Errorf("%s: got %s, want error %d", command, r.text, code)
		return refusedWith{}
	}
	return *r.Error
}

// alive asks for a pong.
func (c *rawClient) alive() {
	c.t.Helper()
	c.send(`{"id":8,"ping":{}}`)
	if r := c.next(); r.Pong == nil {
		c.t.Fatalf("ping: got %s, want pong", r.text)
	}
}
