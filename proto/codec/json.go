package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	clientv1 "hawser/proto/client/v1"
)

// payload is how application data stands in JSON: "data" is any JSON value,
// passed through byte by byte; "data_base64" is what is neither JSON nor
// text. See PROTOCOL.md, "Data".
type payload struct {
	Data       json.RawMessage `json:"data"`
	DataBase64 []byte          `json:"data_base64"`
}

func (p payload) bytes() []byte {
	if p.DataBase64 != nil {
		return p.DataBase64
	}
	return p.Data
}

type jsonChannel struct {
	Channel string `json:"channel"`
}

type jsonToken struct {
	Token string `json:"token"`
}

type jsonError struct {
	Code      uint32 `json:"code"`
	Message   string `json:"message"`
	Temporary bool   `json:"temporary"`
}

func (e *jsonError) proto() *clientv1.Error {
	if e == nil {
		return nil
	}
	return &clientv1.Error{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
}

type jsonClient struct {
	ID      uint32 `json:"id"`
	Connect *struct {
		Token         string `json:"token"`
		ResumeToken   string `json:"resume_token"`
		ClientName    string `json:"client_name"`
		ClientVersion string `json:"client_version"`
	} `json:"connect"`
	Subscribe   *jsonChannel `json:"subscribe"`
	Unsubscribe *jsonChannel `json:"unsubscribe"`
	Publish     *struct {
		Channel string `json:"channel"`
		payload
	} `json:"publish"`
	RPC *struct {
		Method string `json:"method"`
		payload
	} `json:"rpc"`
	Refresh *jsonToken `json:"refresh"`
	Ping    *struct{}  `json:"ping"`
}

func clientFromJSON(raw []byte) (*clientv1.ClientMessage, error) {
	var j jsonClient
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, malformed("%v", err)
	}
	m := &clientv1.ClientMessage{Id: j.ID}
	bodies := 0
	if c := j.Connect; c != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Connect{Connect: &clientv1.Connect{Token: c.Token, ResumeToken: c.ResumeToken,
			ClientName: c.ClientName, ClientVersion: c.ClientVersion}}
	}
	if s := j.Subscribe; s != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Subscribe{Subscribe: &clientv1.Subscribe{Channel: s.Channel}}
	}
	if u := j.Unsubscribe; u != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Unsubscribe{Unsubscribe: &clientv1.Unsubscribe{Channel: u.Channel}}
	}
	if p := j.Publish; p != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Publish{Publish: &clientv1.Publish{Channel: p.Channel, Data: p.bytes()}}
	}
	if r := j.RPC; r != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Rpc{Rpc: &clientv1.Rpc{Method: r.Method, Data: r.bytes()}}
	}
	if r := j.Refresh; r != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Refresh{Refresh: &clientv1.Refresh{Token: r.Token}}
	}
	if j.Ping != nil {
		bodies++
		m.Body = &clientv1.ClientMessage_Ping{Ping: &clientv1.Ping{}}
	}
	if bodies > 1 {
		return nil, malformed("%d commands in one object: send an array", bodies)
	}
	return m, nil
}

type jsonServer struct {
	ID        uint32 `json:"id"`
	Connected *struct {
		Session     string `json:"session"`
		ResumeToken string `json:"resume_token"`
		PingMs      uint32 `json:"ping_ms"`
		PongMs      uint32 `json:"pong_ms"`
		ResumeMs    uint32 `json:"resume_ms"`
		Node        string `json:"node"`
		Resumed     bool   `json:"resumed"`
		User        string `json:"user"`
		ExpiresMs   uint64 `json:"expires_ms"`
	} `json:"connected"`
	Subscribed   *jsonChannel `json:"subscribed"`
	Unsubscribed *struct {
		Channel string     `json:"channel"`
		Error   *jsonError `json:"error"`
	} `json:"unsubscribed"`
	Published *struct{} `json:"published"`
	RPC       *payload  `json:"rpc"`
	Refreshed *struct {
		ExpiresMs uint64 `json:"expires_ms"`
	} `json:"refreshed"`
	Pong        *struct{}  `json:"pong"`
	Error       *jsonError `json:"error"`
	Publication *struct {
		Channel string `json:"channel"`
		Seq     uint64 `json:"seq"`
		payload
	} `json:"publication"`
	Direct     *payload `json:"direct"`
	Disconnect *struct {
		Code         uint32 `json:"code"`
		Reason       string `json:"reason"`
		Reconnect    bool   `json:"reconnect"`
		RetryAfterMs uint32 `json:"retry_after_ms"`
	} `json:"disconnect"`
}

func serverFromJSON(raw []byte) (*clientv1.ServerMessage, error) {
	var j jsonServer
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, malformed("%v", err)
	}
	m := &clientv1.ServerMessage{Id: j.ID}
	switch {
	case j.Publication != nil:
		p := j.Publication
		m.Body = &clientv1.ServerMessage_Publication{Publication: &clientv1.Publication{Channel: p.Channel, Seq: p.Seq, Data: p.bytes()}}
	case j.Connected != nil:
		c := j.Connected
		m.Body = &clientv1.ServerMessage_Connected{Connected: &clientv1.Connected{Session: c.Session, ResumeToken: c.ResumeToken,
			PingMs: c.PingMs, PongMs: c.PongMs, ResumeMs: c.ResumeMs, Node: c.Node, Resumed: c.Resumed, User: c.User, ExpiresMs: c.ExpiresMs}}
	case j.Subscribed != nil:
		m.Body = &clientv1.ServerMessage_Subscribed{Subscribed: &clientv1.Subscribed{Channel: j.Subscribed.Channel}}
	case j.Unsubscribed != nil:
		m.Body = &clientv1.ServerMessage_Unsubscribed{Unsubscribed: &clientv1.Unsubscribed{Channel: j.Unsubscribed.Channel, Error: j.Unsubscribed.Error.proto()}}
	case j.Published != nil:
		m.Body = &clientv1.ServerMessage_Published{Published: &clientv1.Published{}}
	case j.RPC != nil:
		m.Body = &clientv1.ServerMessage_Rpc{Rpc: &clientv1.RpcResult{Data: j.RPC.bytes()}}
	case j.Refreshed != nil:
		m.Body = &clientv1.ServerMessage_Refreshed{Refreshed: &clientv1.Refreshed{ExpiresMs: j.Refreshed.ExpiresMs}}
	case j.Pong != nil:
		m.Body = &clientv1.ServerMessage_Pong{Pong: &clientv1.Pong{}}
	case j.Error != nil:
		m.Body = &clientv1.ServerMessage_Error{Error: j.Error.proto()}
	case j.Direct != nil:
		m.Body = &clientv1.ServerMessage_Direct{Direct: &clientv1.Direct{Data: j.Direct.bytes()}}
	case j.Disconnect != nil:
		d := j.Disconnect
		m.Body = &clientv1.ServerMessage_Disconnect{Disconnect: &clientv1.Disconnect{Code: d.Code, Reason: d.Reason,
			Reconnect: d.Reconnect, RetryAfterMs: d.RetryAfterMs}}
	}
	return m, nil
}

// decodeJSON reads one object, or an array of them.
func decodeJSON[M any](frame []byte, one func([]byte) (M, error)) ([]M, error) {
	trimmed := bytes.TrimLeft(frame, " \t\r\n")
	if len(trimmed) == 0 || (trimmed[0] != '{' && trimmed[0] != '[') {
		return nil, malformed("want a JSON object or an array of objects")
	}
	if trimmed[0] == '{' {
		m, err := one(trimmed)
		if err != nil {
			return nil, err
		}
		return []M{m}, nil
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(trimmed, &raws); err != nil {
		return nil, malformed("%v", err)
	}
	// None would cost the client nothing: the rate limit counts messages.
	if len(raws) == 0 || len(raws) > MaxMessagesPerFrame {
		return nil, malformed("%d messages in a frame: want 1 to %d", len(raws), MaxMessagesPerFrame)
	}
	out := make([]M, 0, len(raws))
	for i, raw := range raws {
		if len(raw) == 0 || raw[0] != '{' {
			return nil, malformed("element %d of the array is not an object", i)
		}
		m, err := one(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func appendClientJSON(b []byte, m *clientv1.ClientMessage) []byte {
	b = appendID(b, m.Id)
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		o := object{b: append(b, `"connect":{`...)}
		o.text("token", body.Connect.Token)
		o.text("resume_token", body.Connect.ResumeToken)
		o.text("client_name", body.Connect.ClientName)
		o.text("client_version", body.Connect.ClientVersion)
		b = append(o.b, '}')
	case *clientv1.ClientMessage_Subscribe:
		b = appendChannel(b, `"subscribe":{`, body.Subscribe.Channel)
	case *clientv1.ClientMessage_Unsubscribe:
		b = appendChannel(b, `"unsubscribe":{`, body.Unsubscribe.Channel)
	case *clientv1.ClientMessage_Publish:
		o := object{b: append(b, `"publish":{`...)}
		o.text("channel", body.Publish.Channel)
		o.data(body.Publish.Data)
		b = append(o.b, '}')
	case *clientv1.ClientMessage_Rpc:
		o := object{b: append(b, `"rpc":{`...)}
		o.text("method", body.Rpc.Method)
		o.data(body.Rpc.Data)
		b = append(o.b, '}')
	case *clientv1.ClientMessage_Refresh:
		o := object{b: append(b, `"refresh":{`...)}
		o.text("token", body.Refresh.Token)
		b = append(o.b, '}')
	case *clientv1.ClientMessage_Ping:
		b = append(b, `"ping":{}`...)
	}
	return append(b, '}')
}

func appendServerJSON(b []byte, m *clientv1.ServerMessage) []byte {
	b = appendID(b, m.Id)
	switch body := m.Body.(type) {
	case *clientv1.ServerMessage_Publication:
		o := object{b: append(b, `"publication":{`...)}
		o.text("channel", body.Publication.Channel)
		o.number("seq", body.Publication.Seq)
		o.data(body.Publication.Data)
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Connected:
		c := body.Connected
		o := object{b: append(b, `"connected":{`...)}
		o.text("session", c.Session)
		o.text("resume_token", c.ResumeToken)
		o.number("ping_ms", uint64(c.PingMs))
		o.number("pong_ms", uint64(c.PongMs))
		o.number("resume_ms", uint64(c.ResumeMs))
		o.text("node", c.Node)
		o.flag("resumed", c.Resumed)
		o.text("user", c.User)
		o.number("expires_ms", c.ExpiresMs)
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Subscribed:
		b = appendChannel(b, `"subscribed":{`, body.Subscribed.Channel)
	case *clientv1.ServerMessage_Unsubscribed:
		o := object{b: append(b, `"unsubscribed":{`...)}
		o.text("channel", body.Unsubscribed.Channel)
		if e := body.Unsubscribed.Error; e != nil {
			o.name("error")
			o.b = appendError(o.b, e)
		}
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Published:
		b = append(b, `"published":{}`...)
	case *clientv1.ServerMessage_Rpc:
		o := object{b: append(b, `"rpc":{`...)}
		o.data(body.Rpc.Data)
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Refreshed:
		o := object{b: append(b, `"refreshed":{`...)}
		o.number("expires_ms", body.Refreshed.ExpiresMs)
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Pong:
		b = append(b, `"pong":{}`...)
	case *clientv1.ServerMessage_Error:
		b = appendError(append(b, `"error":`...), body.Error)
	case *clientv1.ServerMessage_Direct:
		o := object{b: append(b, `"direct":{`...)}
		o.data(body.Direct.Data)
		b = append(o.b, '}')
	case *clientv1.ServerMessage_Disconnect:
		d := body.Disconnect
		b = append(b, `"disconnect":{"code":`...)
		b = strconv.AppendUint(b, uint64(d.Code), 10)
		b = append(b, `,"reason":`...)
		b = appendString(b, d.Reason)
		b = append(b, `,"reconnect":`...)
		b = strconv.AppendBool(b, d.Reconnect)
		b = append(b, `,"retry_after_ms":`...)
		b = strconv.AppendUint(b, uint64(d.RetryAfterMs), 10)
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendID opens the object. An id without a body leaves a trailing comma
// that no message of ours has: each has a body.
func appendID(b []byte, id uint32) []byte {
	if id == 0 {
		return append(b, '{')
	}
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, uint64(id), 10)
	return append(b, ',')
}

func appendChannel(b []byte, open, channel string) []byte {
	o := object{b: append(b, open...)}
	o.text("channel", channel)
	return append(o.b, '}')
}

func appendError(b []byte, e *clientv1.Error) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendUint(b, uint64(e.Code), 10)
	b = append(b, `,"message":`...)
	b = appendString(b, e.Message)
	b = append(b, `,"temporary":`...)
	b = strconv.AppendBool(b, e.Temporary)
	return append(b, '}')
}

// object writes members of a JSON object; zero values are left out.
type object struct {
	b    []byte
	some bool
}

func (o *object) name(name string) {
	if o.some {
		o.b = append(o.b, ',')
	}
	o.some = true
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.b = appendString(o.b, value)
	}
}

func (o *object) number(name string, value uint64) {
	if value != 0 {
		o.name(name)
		o.b = strconv.AppendUint(o.b, value, 10)
	}
}

func (o *object) flag(name string, value bool) {
	if value {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

// data writes application bytes: JSON as it is, other text as a string, the
// rest in base64. So `nats pub hw.fire.demo.news hello` arrives as "hello".
func (o *object) data(data []byte) {
	switch {
	case len(data) == 0:
	case !utf8.Valid(data): // first: json.Valid does not look at UTF-8
		o.name("data_base64")
		o.b = append(o.b, '"')
		o.b = base64.StdEncoding.AppendEncode(o.b, data)
		o.b = append(o.b, '"')
	case json.Valid(data):
		o.name("data")
		o.b = append(o.b, data...)
	default:
		o.name("data")
		o.b = appendString(o.b, string(data))
	}
}

// appendString appends s as a JSON string, RFC 8259 §7. Invalid UTF-8 becomes
// U+FFFD; U+2028 and U+2029 are escaped, as JavaScript once took them for
// line ends.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			i += size
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
