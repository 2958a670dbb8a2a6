package actors

import (
	"errors"
	"fmt"
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
	"hawser/proto/names"
)

// phase is where a session stands. It only goes forward.
type phase uint8

const (
	phaseNew       phase = iota // waiting for connect
	phaseVerifying              // token or session id under way; commands wait
	phaseOpen
	phaseClosing // a close frame is queued; waiting for the socket to end
	phaseEnded
)

// subscription is one channel of a session.
type subscription struct {
	channel string
	attempt uint32 // of Acquire; tells a late Interest from a current one
	id      uint32 // command to answer
	joined  bool   // false while the interest is under way
}

// maxWaiting bounds the commands that wait for a verification. Overflow: error
// 429 for the command.
const maxWaiting = codec.MaxMessagesPerFrame

// Session is the protocol state of one connection and every rule about it,
// pure: no clock, no goroutine, no I/O. Step is its only method. It is not
// safe for concurrent use; its actor is the only caller.
type Session struct {
	config *settings // shared by all sessions

	phase    phase
	renewing bool       // a refresh is under way
	ended    cause.Code // set with phaseClosing
	attempts uint32     // subscriptions tried so far
	strikes  uint32     // commands over the rate since the last good one
	inFlight uint16     // rpc

	user    string
	grants  *grants // nil when the token grants no pattern
	subs    []subscription
	prelude *prelude // nil from opened on: an idle session does not keep it

	messages, bytes bucket
}

// grants are the patterns of a token.
type grants struct{ subscribe, publish []string }

// prelude is what is kept until the session is open.
type prelude struct {
	handshakeToken          string // came in the Authorization header
	resumeToken, clientName string // of connect
	waiting                 []*clientv1.ClientMessage
	verified                bool // Open was asked for
}

// newSession starts a session in front of its connect command. token came with
// the handshake, or is empty.
func newSession(config *settings, token string) Session {
	return Session{config: config, prelude: &prelude{handshakeToken: token}}
}

// Step takes one event and appends what is to be done about it to out.
func (s *Session) Step(e Event, out []Effect) []Effect {
	if s.phase == phaseEnded {
		return out
	}
	if e, ok := e.(SocketClosed); ok {
		return s.socketClosed(e, out)
	}
	if s.phase == phaseClosing {
		return s.late(e, out)
	}
	switch e := e.(type) {
	case Received:
		return s.received(e, out)
	case PingFrame:
		if s.spendBytes(e.Now, len(e.Payload)) && s.spendMessage(e.Now) {
			return append(out, Pong{e.Payload})
		}
		return s.overRate(0, out)
	case Verified:
		return s.verified(e, out)
	case Opened:
		return s.opened(e, out)
	case Interest:
		return s.interest(e, out)
	case Published:
		return s.published(e, out)
	case Answered:
		return s.answered(e, out)
	case Verdict:
		return s.close(e.Code, e.RetryAfter, out)
	}
	panic(fmt.Sprintf("actors: unknown event %T", e))
}

// late handles events of a closing session: only what must be given back.
func (s *Session) late(e Event, out []Effect) []Effect {
	if e, ok := e.(Interest); ok && e.Err != nil {
		s.forget(e.Channel, e.Attempt) // a failed Acquire holds nothing to release
	}
	return out
}

func (s *Session) socketClosed(e SocketClosed, out []Effect) []Effect {
	code := e.Code
	if s.phase == phaseClosing {
		code = s.ended
	}
	s.phase, s.ended = phaseEnded, code
	channels := make([]string, len(s.subs))
	for i, sub := range s.subs {
		channels[i] = sub.channel
	}
	s.subs, s.prelude, s.grants = nil, nil, nil
	return append(out, Ended{Code: code, Channels: channels})
}

func (s *Session) close(code cause.Code, retryAfter time.Duration, out []Effect) []Effect {
	s.phase, s.ended = phaseClosing, code
	s.prelude = nil
	return append(out, Close{Code: code, RetryAfter: retryAfter})
}

// received runs the commands of a frame. A frame over the byte rate is refused
// with all its commands, and an empty one counts as a command: else it would
// be free.
func (s *Session) received(e Received, out []Effect) []Effect {
	paid := s.spendBytes(e.Now, e.Bytes)
	if len(e.Messages) == 0 && !(paid && s.spendMessage(e.Now)) {
		return s.overRate(0, out)
	}
	for _, m := range e.Messages {
		if paid && s.spendMessage(e.Now) {
			out = s.command(m, out)
		} else {
			out = s.overRate(m.Id, out)
		}
		if s.phase == phaseClosing {
			return out
		}
	}
	return out
}

// byteBurst is how many seconds of RateBytes may come at once.
const byteBurst = 2

func (s *Session) spendBytes(now time.Time, bytes int) bool {
	return s.bytes.take(now, bytes, s.config.RateBytes, byteBurst*s.config.RateBytes)
}

func (s *Session) spendMessage(now time.Time) bool {
	ok := s.messages.take(now, 1, s.config.RateMessages, s.config.RateBurst)
	if ok {
		s.strikes = 0
	}
	return ok
}

// overRate refuses a command; who goes on for a whole burst is closed.
func (s *Session) overRate(id uint32, out []Effect) []Effect {
	s.strikes++
	if int(s.strikes) > max(s.config.RateBurst, 1) {
		return s.close(cause.RateLimited, s.config.RetryAfter, out)
	}
	return append(out, refuse(id, 429, "too many messages: slow down", true))
}

func (s *Session) command(m *clientv1.ClientMessage, out []Effect) []Effect {
	if connect := m.GetConnect(); connect != nil {
		return s.connect(m.Id, connect, out)
	}
	switch s.phase {
	case phaseNew:
		return s.close(cause.BadRequest, 0, append(out, refuse(m.Id, 400, "connect must be the first command", false)))
	case phaseVerifying:
		if len(s.prelude.waiting) == maxWaiting {
			return append(out, refuse(m.Id, 429, "too many commands before connected", true))
		}
		s.prelude.waiting = append(s.prelude.waiting, m)
		return out
	}
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Subscribe:
		return s.subscribe(m.Id, body.Subscribe.GetChannel(), out)
	case *clientv1.ClientMessage_Unsubscribe:
		return s.unsubscribe(m.Id, body.Unsubscribe.GetChannel(), out)
	case *clientv1.ClientMessage_Publish:
		return s.publish(m.Id, body.Publish, out)
	case *clientv1.ClientMessage_Rpc:
		return s.rpc(m.Id, body.Rpc, out)
	case *clientv1.ClientMessage_Refresh:
		return s.refresh(m.Id, body.Refresh.GetToken(), out)
	case *clientv1.ClientMessage_Ping:
		return append(out, Reply{&clientv1.ServerMessage{Id: m.Id, Body: &clientv1.ServerMessage_Pong{Pong: &clientv1.Pong{}}}})
	}
	return append(out, refuse(m.Id, 400, "unknown command", false))
}

// maxClientName bounds what a client says of itself, in bytes.
const maxClientName = 64

func (s *Session) connect(id uint32, c *clientv1.Connect, out []Effect) []Effect {
	if s.phase != phaseNew {
		return append(out, refuse(id, 409, "already connected", false))
	}
	if len(c.ClientName) > maxClientName || len(c.ClientVersion) > maxClientName {
		return append(out, refuse(id, 400, "client_name or client_version over 64 bytes", false))
	}
	s.phase = phaseVerifying
	s.prelude.resumeToken, s.prelude.clientName = c.ResumeToken, c.ClientName
	token := c.Token
	if token == "" {
		token = s.prelude.handshakeToken
	}
	return append(out, Authenticate{ID: id, Token: token})
}

func (s *Session) verified(e Verified, out []Effect) []Effect {
	if e.Refresh {
		return s.refreshed(e, out)
	}
	if s.phase != phaseVerifying || s.prelude.verified {
		return out // answered before
	}
	if e.Err != nil {
		return s.unverified(e, out)
	}
	s.adopt(e.Identity)
	s.prelude.verified = true
	return append(out, Open{ID: e.ID, User: s.user, ResumeToken: s.prelude.resumeToken,
		ClientName: s.prelude.clientName, Expires: e.Identity.Expires})
}

func (s *Session) adopt(id Identity) {
	s.user, s.grants = id.User, nil
	if id.Subscribe != nil || id.Publish != nil {
		s.grants = &grants{id.Subscribe, id.Publish}
	}
}

// unverified says why and closes: with Overload when a retry may help.
func (s *Session) unverified(e Verified, out []Effect) []Effect {
	reply := failure(e.ID, e.Err)
	code := cause.BadToken
	if reply.Message.GetError().Temporary {
		code = cause.Overload
	}
	return s.close(code, s.config.RetryAfter, append(out, reply))
}

// refresh allows one at a time: the answers of two could come in either order
// and leave the older token in force.
func (s *Session) refresh(id uint32, token string, out []Effect) []Effect {
	if s.renewing {
		return append(out, refuse(id, 429, "one refresh at a time", true))
	}
	s.renewing = true
	return append(out, Authenticate{ID: id, Token: token, Refresh: true})
}

func (s *Session) refreshed(e Verified, out []Effect) []Effect {
	s.renewing = false
	switch {
	case e.Err != nil: // the old token still counts, until it expires
		return append(out, failure(e.ID, e.Err))
	case e.Identity.User != s.user:
		return append(out, refuse(e.ID, 403, "the token is for another user", false))
	}
	s.adopt(e.Identity)
	var left uint64
	if exp := e.Identity.Expires; !exp.IsZero() {
		left = uint64(max(exp.Sub(e.Now).Milliseconds(), 0))
	}
	return append(out, Extend{e.Identity.Expires},
		Reply{&clientv1.ServerMessage{Id: e.ID, Body: &clientv1.ServerMessage_Refreshed{Refreshed: &clientv1.Refreshed{ExpiresMs: left}}}})
}

func (s *Session) opened(e Opened, out []Effect) []Effect {
	if s.phase != phaseVerifying {
		return out // answered before
	}
	s.phase = phaseOpen
	c := s.config
	out = append(out, Reply{&clientv1.ServerMessage{Id: e.ID, Body: &clientv1.ServerMessage_Connected{Connected: &clientv1.Connected{
		Session: e.Session, ResumeToken: e.ResumeToken, Resumed: e.Resumed, Node: c.Node, User: s.user,
		PingMs: uint32(c.PingInterval.Milliseconds()), PongMs: uint32(c.PongTimeout.Milliseconds()),
		ResumeMs: uint32(c.ResumeWindow.Milliseconds()), ExpiresMs: uint64(e.ExpiresIn.Milliseconds()),
	}}}})
	waiting := s.prelude.waiting
	s.prelude = nil
	for _, m := range waiting {
		if out = s.command(m, out); s.phase == phaseClosing {
			break
		}
	}
	return out
}

func (s *Session) find(channel string) int {
	for i := range s.subs {
		if s.subs[i].channel == channel {
			return i
		}
	}
	return -1
}

func (s *Session) remove(i int) {
	last := len(s.subs) - 1
	s.subs[i] = s.subs[last]
	s.subs[last] = subscription{}
	if s.subs = s.subs[:last]; last == 0 {
		s.subs = nil
	}
}

// forget removes the subscription that a failed or late Acquire was for.
func (s *Session) forget(channel string, attempt uint32) (subscription, bool) {
	i := s.find(channel)
	if i < 0 || s.subs[i].attempt != attempt {
		return subscription{}, false
	}
	sub := s.subs[i]
	s.remove(i)
	return sub, true
}

func (s *Session) subscribe(id uint32, channel string, out []Effect) []Effect {
	if err := names.CheckChannel(channel); err != nil {
		return append(out, refuse(id, 400, err.Error(), false))
	}
	rule, known := s.config.rule(channel)
	switch {
	case !known:
		return append(out, refuse(id, 404, "unknown channel", false))
	case !rule.Subscribe.grants(s.subscribeGrants(), channel):
		return append(out, refuse(id, 403, "subscribe to this channel is not allowed", false))
	case s.find(channel) >= 0:
		return append(out, refuse(id, 409, "already subscribed", false))
	case len(s.subs) >= s.config.MaxChannels:
		return append(out, refuse(id, 429, fmt.Sprintf("at most %d channels per connection", s.config.MaxChannels), false))
	}
	s.attempts++
	s.subs = append(s.subs, subscription{channel: channel, attempt: s.attempts, id: id})
	return append(out, Acquire{Channel: channel, Attempt: s.attempts})
}

func (s *Session) interest(e Interest, out []Effect) []Effect {
	if e.Err != nil {
		if sub, ok := s.forget(e.Channel, e.Attempt); ok {
			return append(out, failure(sub.id, e.Err))
		}
		return out
	}
	i := s.find(e.Channel)
	if i < 0 || s.subs[i].attempt != e.Attempt {
		return out // unsubscribed in the meantime, and released then
	}
	s.subs[i].joined = true
	return append(out, Join{Channel: e.Channel, ID: s.subs[i].id})
}

func (s *Session) unsubscribe(id uint32, channel string, out []Effect) []Effect {
	i := s.find(channel)
	if i < 0 {
		return append(out, refuse(id, 404, "not subscribed", false))
	}
	sub := s.subs[i]
	s.remove(i)
	if !sub.joined {
		out = append(out, refuse(sub.id, 409, "unsubscribed before the subscription began", false))
	}
	return append(out, Leave{Channel: sub.channel, ID: id}, Release{sub.channel})
}

func (s *Session) publish(id uint32, p *clientv1.Publish, out []Effect) []Effect {
	channel := p.GetChannel()
	if err := names.CheckChannel(channel); err != nil {
		return append(out, refuse(id, 400, err.Error(), false))
	}
	rule, known := s.config.rule(channel)
	switch {
	case !known:
		return append(out, refuse(id, 404, "unknown channel", false))
	case !rule.Publish.grants(s.publishGrants(), channel):
		return append(out, refuse(id, 403, "publish to this channel is not allowed", false))
	}
	return append(out, Publish{ID: id, Destination: rule.Destination, Channel: channel, Data: p.GetData()})
}

func (s *Session) published(e Published, out []Effect) []Effect {
	switch {
	case e.Err != nil:
		return append(out, failure(e.ID, e.Err))
	case e.ID == 0:
		return out // the client wants no answer
	}
	return append(out, Reply{&clientv1.ServerMessage{Id: e.ID, Body: &clientv1.ServerMessage_Published{Published: &clientv1.Published{}}}})
}

func (s *Session) rpc(id uint32, r *clientv1.Rpc, out []Effect) []Effect {
	if err := names.CheckMethod(r.GetMethod()); err != nil {
		return append(out, refuse(id, 400, err.Error(), false))
	}
	if int(s.inFlight) >= s.config.MaxRPCInFlight {
		return append(out, refuse(id, 429, fmt.Sprintf("at most %d rpc in flight", s.config.MaxRPCInFlight), true))
	}
	s.inFlight++
	return append(out, Request{ID: id, Method: r.GetMethod(), Data: r.GetData()})
}

func (s *Session) answered(e Answered, out []Effect) []Effect {
	if s.inFlight == 0 {
		return out // answered before
	}
	s.inFlight--
	if e.Err != nil {
		return append(out, failure(e.ID, e.Err))
	}
	return append(out, Reply{&clientv1.ServerMessage{Id: e.ID, Body: &clientv1.ServerMessage_Rpc{Rpc: &clientv1.RpcResult{Data: e.Data}}}})
}

func (s *Session) subscribeGrants() []string {
	if s.grants == nil {
		return nil
	}
	return s.grants.subscribe
}

func (s *Session) publishGrants() []string {
	if s.grants == nil {
		return nil
	}
	return s.grants.publish
}

func refuse(id, code uint32, message string, temporary bool) Reply {
	return Reply{&clientv1.ServerMessage{Id: id, Body: &clientv1.ServerMessage_Error{
		Error: &clientv1.Error{Code: code, Message: message, Temporary: temporary}}}}
}

// failure answers with what a StatusError says, or 500 without details: an
// internal error's text is for the log.
func failure(id uint32, err error) Reply {
	var status StatusError
	if errors.As(err, &status) {
		code, message, temporary := status.Status()
		return refuse(id, code, message, temporary)
	}
	return refuse(id, 500, "internal error", true)
}
