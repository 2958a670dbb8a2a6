package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hawser/cluster/fabric"
	"hawser/edge/frame"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/codec"
)

// publisher publishes to the channel of a fan-out.
type publisher interface {
	// publish queues one message.
	publish(data []byte) error
	// flush sends what is queued.
	flush(ctx context.Context) error
	close()
}

// natsPublisher publishes as an application does.
type natsPublisher struct {
	*fabric.Publisher
	tenant, channel string
}

func dialNATS(address, prefix string, u *url.URL, channel string) (publisher, error) {
	p, err := fabric.DialPublisher(address, prefix)
	if err != nil {
		return nil, err
	}
	return natsPublisher{p, strings.TrimPrefix(u.Path, "/ws/"), channel}, nil
}

func (p natsPublisher) publish(data []byte) error       { return p.Publish(p.tenant, p.channel, data) }
func (p natsPublisher) flush(ctx context.Context) error { return p.Flush(ctx) }
func (p natsPublisher) close()                          { p.Close() }

// socketPublisher publishes as a client does, over one connection of its own:
// for servers without NATS. It reads nothing but the handshake: publish
// commands have id 0, so that no answers come.
type socketPublisher struct {
	conn    net.Conn
	codec   codec.Protocol
	channel string
	out     []byte
}

func dialSocket(ctx context.Context, c swarmConfig, channel string) (publisher, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr.String())
	if err != nil {
		return nil, fmt.Errorf("bench: publisher: %w", err)
	}
	p := &socketPublisher{conn: conn, codec: c.codec, channel: channel}
	if err := p.handshake(c); err != nil {
		p.close()
		return nil, fmt.Errorf("bench: publisher: %w", err)
	}
	return p, nil
}

// handshake upgrades and connects.
func (p *socketPublisher) handshake(c swarmConfig) error {
	if err := p.conn.SetDeadline(time.Now().Add(socketTimeout)); err != nil {
		return err
	}
	if _, err := p.conn.Write(upgradeRequest(c.url, c.codec)); err != nil {
		return err
	}
	br := bufio.NewReader(p.conn)
	response, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	p.append(&clientv1.ClientMessage{Id: 1, Body: &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{
		Token: c.token, ClientName: "hawser-bench"}}})
	if err := p.write(); err != nil {
		return err
	}
	if err := p.connected(br); err != nil {
		return err
	}
	return p.conn.SetDeadline(time.Time{})
}

// connected reads the answer to connect.
func (p *socketPublisher) connected(br *bufio.Reader) error {
	head, err := br.Peek(4) // the longest header of an answer below 64 KiB
	if err != nil {
		return err
	}
	h, size := frame.Next(head)
	if size == 0 {
		return errors.New("the answer to connect is too long")
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(br, b); err != nil {
		return err
	}
	messages, err := codec.DecodeServer(p.codec, b[h.Offset:])
	if err != nil {
		return err
	}
	if messages[0].GetConnected() == nil {
		return fmt.Errorf("the server answered connect with %v", messages[0])
	}
	return nil
}

// append queues one frame. The zero mask is a legal one, and costs nothing.
func (p *socketPublisher) append(m *clientv1.ClientMessage) {
	op := frame.Binary
	if p.codec.Text() {
		op = frame.Text
	}
	p.out = frame.AppendMasked(p.out, op, codec.AppendClient(nil, p.codec, m), [4]byte{})
}

func (p *socketPublisher) write() error {
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *socketPublisher) publish(data []byte) error {
	p.append(&clientv1.ClientMessage{Body: &clientv1.ClientMessage_Publish{
		Publish: &clientv1.Publish{Channel: p.channel, Data: data}}})
	return nil
}

func (p *socketPublisher) flush(context.Context) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(socketTimeout)); err != nil {
		return err
	}
	return p.write()
}

func (p *socketPublisher) close() { _ = p.conn.Close() }
