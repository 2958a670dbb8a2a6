// Package cause is the table of reasons for which a connection ends: the one
// source for close codes in code, metrics, tests, PROTOCOL.md and the SDKs.
//
// Codes are RFC 6455's where one fits, else 4000 plus the HTTP status that
// means the same, else the nearest free number above it. Each accepted
// connection ends with exactly one cause.
package cause

// Who says which side decided to end a connection.
type Who string

// The sides.
const (
	Client  Who = "client"
	Server  Who = "server"
	Network Who = "network" // nobody decided: the path or a process died
)

// Advice tells a client what to do after a close.
type Advice string

// The advices.
const (
	Retry Advice = "retry" // reconnect with full jitter; honour retry_after_ms
	Token Advice = "token" // reconnect with a fresh token
	Stop  Advice = "stop"  // do not reconnect without a change by a person or the app
)

// Code is a WebSocket close status, RFC 6455 §7.4.
type Code uint16

// The causes. Table has the meaning of each.
const (
	ClientClosed   Code = 1000
	ClientGone     Code = 1001
	ProtocolError  Code = 1002
	WrongDataType  Code = 1003
	NoStatus       Code = 1005 // never on the wire, RFC 6455 §7.4.1
	PeerLost       Code = 1006 // never on the wire, RFC 6455 §7.4.1
	BadUTF8        Code = 1007
	TooBig         Code = 1009
	Internal       Code = 1011
	Shutdown       Code = 1012
	Overload       Code = 1013
	BadToken       Code = 4001
	BadRequest     Code = 4400
	TokenExpired   Code = 4401
	Forbidden      Code = 4403
	PongTimeout    Code = 4408
	Replaced       Code = 4409
	Kicked         Code = 4410
	SlowConsumer   Code = 4413
	RateLimited    Code = 4429
	ConnectTimeout Code = 4440
)

// Cause is one row of the table.
type Cause struct {
	Code     Code
	Name     string // metric label and close reason: [a-z_]
	Who      Who
	Advice   Advice
	OnWire   bool   // a close frame with this code is sent or received
	Sentence string // for people: what happened and what to do
}

// Table holds every cause, in the order of its codes.
var Table = [...]Cause{
	{ClientClosed, "client_closed", Client, Stop, true, "The client closed the connection normally."},
	{ClientGone, "client_gone", Client, Retry, true, "The page or app went away; it reconnects when it is back."},
	{ProtocolError, "protocol_error", Server, Stop, true, "The client broke RFC 6455: unmasked, reserved or badly fragmented frames. Fix the client."},
	{WrongDataType, "wrong_data_type", Server, Stop, true, "A binary frame came on hawser.v1.json or a text frame on hawser.v1.proto. Fix the client."},
	{NoStatus, "no_status", Client, Retry, false, "The client sent a close frame without a code."},
	{PeerLost, "peer_lost", Network, Retry, false, "The TCP connection ended without a close frame: reset, network loss or a killed client."},
	{BadUTF8, "bad_utf8", Server, Stop, true, "A text message was not valid UTF-8. Fix the client."},
	{TooBig, "too_big", Server, Stop, true, "A message was larger than edge.max_message_bytes. Send less or raise the limit."},
	{Internal, "internal", Server, Retry, true, "hawser failed on this connection; the log of the node has the reason."},
	{Shutdown, "shutdown", Server, Retry, true, "The node is stopping for maintenance; reconnect after the advised delay."},
	{Overload, "overload", Server, Retry, true, "The node sheds load; reconnect after the advised delay."},
	{BadToken, "bad_token", Server, Token, true, "The token is missing, forged, expired or for another tenant. Get a new one."},
	{BadRequest, "bad_request", Server, Stop, true, "A message was not JSON or protobuf of this protocol, or connect was not the first. Fix the client."},
	{TokenExpired, "token_expired", Server, Token, true, "The token ran out on a live connection. Refresh it in time, or reconnect with a new one."},
	{Forbidden, "forbidden", Server, Stop, true, "This user may not connect here."},
	{PongTimeout, "pong_timeout", Server, Retry, true, "The client answered no ping within edge.pong_timeout: dead, asleep or cut off."},
	{Replaced, "replaced", Server, Stop, true, "A newer connection resumed this session; this older one gave way."},
	{Kicked, "kicked", Server, Stop, true, "An operator or the application ended the session."},
	{SlowConsumer, "slow_consumer", Server, Retry, true, "The client read too slowly and its outbox passed edge.outbox_bytes."},
	{RateLimited, "rate_limited", Server, Retry, true, "The client sent far more than edge.rate_messages per second, and went on after errors 429."},
	{ConnectTimeout, "connect_timeout", Server, Retry, true, "No connect command within edge.connect_timeout after the handshake."},
}

// Of returns the row of c. Codes outside the table, which a client may send
// in its close frame, map to ClientClosed.
func Of(c Code) Cause {
	for _, row := range Table {
		if row.Code == c {
			return row
		}
	}
	return Of(ClientClosed)
}

// Reconnect reports whether a client should come back by itself.
func (c Cause) Reconnect() bool { return c.Advice != Stop }

// String is the cause's name.
func (c Code) String() string { return Of(c).Name }
