package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	clientv1 "hawser/proto/client/v1"

	"hawser/edge/frame"
	"hawser/proto/cause"
	"hawser/proto/codec"
)

// peer is one connection of the load without its socket: what came in goes to
// received, what is to go out to loop.write. Guarded by its loop's mu.
type peer struct {
	loop    *loop
	index   int    // in the swarm
	channel string // that it subscribes to
	socket  socket // of the engine
	began   time.Duration
	phase   phase
	order   order
	in      []byte // an incomplete frame or response head; nil when none
	text    []byte // fragments of an open message; nil when none
	number  uint32 // echo: of the next message
	waits   bool   // echo: refused for now, to be sent again
	asked   bool   // crowd: a ping command has no answer yet
}

// phase is how far a peer is.
type phase uint8

const (
	upgrading  phase = iota // TCP or the HTTP answer is not there yet
	connecting              // connect and subscribe were sent
	joining                 // connected
	ready                   // subscribed
	stalled                 // subscribed, and does not read any more
	gone                    // closed, by either side
)

// A fixed key is enough: nothing caches the answers to a load tool. It is the
// example of RFC 6455 §1.3, and so is the answer.
const (
	upgradeKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	upgradeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

const (
	maxHead    = 16 << 10 // bytes of the HTTP answer
	maxMessage = 8 << 20  // bytes; a server under test sends ours back
)

// upgradeRequest is the HTTP request of all peers of a swarm.
func upgradeRequest(u *url.URL, p codec.Protocol) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		u.RequestURI(), u.Host, upgradeKey, p.Subprotocol())
}

// received takes the next bytes of the stream. Its error ends the peer.
func (p *peer) received(b []byte) error {
	whole := b
	if p.in != nil {
		p.in = append(p.in, b...)
		whole = p.in
	}
	rest, err := p.consume(whole)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		p.in = nil
	case p.in == nil || len(rest) != len(p.in):
		p.in = append([]byte(nil), rest...) // b is the loop's
	}
	return nil
}

// consume takes whole pieces from b and returns the rest.
func (p *peer) consume(b []byte) ([]byte, error) {
	if p.phase == upgrading {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			if len(b) > maxHead {
				return nil, errors.New("the HTTP answer does not end")
			}
			return b, nil
		}
		if err := checkUpgrade(b[:end]); err != nil {
			return nil, err
		}
		b = b[end+4:]
		p.phase = connecting
		p.loop.join(p)
	}
	for p.phase != gone {
		h, size := frame.Next(b)
		if size == 0 || size > len(b) {
			if size > maxMessage {
				return nil, fmt.Errorf("frame of %d bytes: want at most %d", size, maxMessage)
			}
			return b, nil
		}
		if err := p.frame(h, b[h.Offset:size]); err != nil {
			return nil, err
		}
		b = b[size:]
	}
	return nil, nil
}

func checkUpgrade(head []byte) error {
	line, _, _ := strings.Cut(string(head), "\r\n")
	if !strings.HasPrefix(line, "HTTP/1.1 101") {
		return fmt.Errorf("the server answered %q", line)
	}
	if !bytes.Contains(head, []byte(upgradeAccept)) {
		return errors.New("the server's Sec-WebSocket-Accept is wrong")
	}
	return nil
}

func (p *peer) frame(h frame.Header, payload []byte) error {
	switch {
	case h.Masked:
		return errors.New("the server masked a frame")
	case h.Op == frame.Ping:
		p.loop.send(p, frame.Pong, payload)
		return nil
	case h.Op == frame.Close:
		return closeError(payload)
	case h.Op.Control():
		return nil
	case h.FIN && h.Op != frame.Continuation:
		return p.message(payload)
	}
	if p.text = append(p.text, payload...); len(p.text) > maxMessage {
		return fmt.Errorf("message of more than %d bytes", maxMessage)
	}
	if !h.FIN {
		return nil
	}
	whole := p.text
	p.text = nil
	return p.message(whole)
}

func closeError(payload []byte) error {
	if len(payload) < 2 {
		return errors.New("closed by the server without a code")
	}
	code := cause.Code(binary.BigEndian.Uint16(payload))
	return fmt.Errorf("closed by the server: %d %s", code, payload[2:])
}

// message takes the payload of one message. Publications of the binary
// protocol, which are all that matter in number, are read without decoding.
func (p *peer) message(payload []byte) error {
	if p.loop.codec == codec.Proto {
		for len(payload) > 0 {
			data, size := publicationData(payload)
			if size == 0 {
				break
			}
			p.loop.publication(p, data)
			payload = payload[size:]
		}
		if len(payload) == 0 {
			return nil
		}
	}
	messages, err := codec.DecodeServer(p.loop.codec, payload)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := p.answer(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) answer(m *clientv1.ServerMessage) error {
	switch body := m.Body.(type) {
	case *clientv1.ServerMessage_Connected:
		p.phase = joining
	case *clientv1.ServerMessage_Subscribed:
		p.phase = ready
		p.loop.joined(p)
	case *clientv1.ServerMessage_Publication:
		p.loop.publication(p, body.Publication.Data)
	case *clientv1.ServerMessage_Pong:
		p.loop.answered(p)
	case *clientv1.ServerMessage_Error:
		if p.phase != ready {
			return fmt.Errorf("refused by the server: %d %s", body.Error.Code, body.Error.Message)
		}
		p.loop.refused(p, body.Error)
	case *clientv1.ServerMessage_Unsubscribed:
		return fmt.Errorf("unsubscribed by the server: %s", body.Unsubscribed.GetError().GetMessage())
	}
	return nil
}

// The field numbers of client.proto that publicationData knows.
const (
	fieldPublication = 10 // of ServerMessage
	fieldData        = 3  // of Publication
)

// publicationData returns the data of the record at the start of b and the
// record's size; size is 0 when it is not a whole publication.
func publicationData(b []byte) (data []byte, size int) {
	if b[0] != codec.TypePublication {
		return nil, 0
	}
	length, n := binary.Uvarint(b[1:])
	if n <= 0 || length > uint64(len(b)-1-n) {
		return nil, 0
	}
	record := b[1+n:][:length]
	publication, ok := field(record, fieldPublication)
	if !ok {
		return nil, 0
	}
	data, _ = field(publication, fieldData)
	return data, 1 + n + int(length)
}

// field finds the bytes of a length-delimited field.
func field(b []byte, number protowire.Number) ([]byte, bool) {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		b = b[n:]
		if num == number && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			return v, n >= 0
		}
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return nil, false
		}
		b = b[n:]
	}
	return nil, false
}
