package actors

import (
	"time"

	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
)

// Event is what can happen to a session. The types below are all there are.
type Event interface{ event() }

type (
	// Received is one data frame of the client, decoded.
	Received struct {
		Messages []*clientv1.ClientMessage
		Bytes    int // on the wire, for the byte rate
		Now      time.Time
	}
	// PingFrame is a WebSocket ping of the client. Payload is at most 125
	// bytes and belongs to the event.
	PingFrame struct {
		Payload []byte
		Now     time.Time
	}
	// Verified answers Authenticate.
	Verified struct {
		ID       uint32 // command that asked
		Refresh  bool
		Identity Identity
		Err      error
		Now      time.Time
	}
	// Opened answers Open: the session has its id.
	Opened struct {
		ID          uint32
		Session     string
		ResumeToken string
		Resumed     bool
		ExpiresIn   time.Duration // of the token; 0: never
	}
	// Interest answers Acquire.
	Interest struct {
		Channel string
		Attempt uint32
		Err     error
		topic   *topic // for the shell; the session does not look
	}
	// Published answers Publish.
	Published struct {
		ID  uint32
		Err error
	}
	// Answered answers Request.
	Answered struct {
		ID   uint32
		Data []byte
		Err  error
	}
	// Verdict ends the connection from outside the session: sweep, slow
	// consumer, protocol violation, replaced, kick, drain.
	Verdict struct {
		Code       cause.Code
		RetryAfter time.Duration // advice; 0 lets the client choose
	}
	// SocketClosed is the last event: the engine is done with the socket.
	// Code is the client's close code, or cause.PeerLost.
	SocketClosed struct{ Code cause.Code }
)

func (Received) event()     {}
func (PingFrame) event()    {}
func (Verified) event()     {}
func (Opened) event()       {}
func (Interest) event()     {}
func (Published) event()    {}
func (Answered) event()     {}
func (Verdict) event()      {}
func (SocketClosed) event() {}

// Effect is what a session wants done. The shell (Conn) does effects in
// order and feeds the answers back as events.
type Effect interface{ effect() }

type (
	// Reply queues a message for the client.
	Reply struct{ Message *clientv1.ServerMessage }
	// Pong answers a ping frame.
	Pong struct{ Payload []byte }
	// Authenticate verifies a token; empty means that the client sent none.
	Authenticate struct {
		ID      uint32
		Token   string
		Refresh bool
	}
	// Open finds or mints the session id and fences an older connection.
	Open struct {
		ID          uint32
		User        string
		ResumeToken string
		ClientName  string
		Expires     time.Time
	}
	// Extend sets a new token expiry.
	Extend struct{ Expires time.Time }
	// Acquire asks for the node's interest in a channel.
	Acquire struct {
		Channel string
		Attempt uint32
	}
	// Release gives one Acquire back.
	Release struct{ Channel string }
	// Join enters the hub; the shard answers subscribed with the id, ahead of
	// any publication.
	Join struct {
		Channel string
		ID      uint32
	}
	// Leave leaves the hub; the shard answers unsubscribed with the id, after
	// the last publication.
	Leave struct {
		Channel string
		ID      uint32
	}
	// Publish hands a publication to the broker.
	Publish struct {
		ID          uint32
		Destination Destination
		Channel     string
		Data        []byte
	}
	// Request calls a service method.
	Request struct {
		ID     uint32
		Method string
		Data   []byte
	}
	// Close sends a disconnect message and a close frame. Nothing is sent
	// after it.
	Close struct {
		Code       cause.Code
		RetryAfter time.Duration
	}
	// Ended is the last effect: leave every hub, give all interest back,
	// record the one cause.
	Ended struct {
		Code     cause.Code
		Channels []string // acquired and not yet released
	}
)

func (Reply) effect()        {}
func (Pong) effect()         {}
func (Authenticate) effect() {}
func (Open) effect()         {}
func (Extend) effect()       {}
func (Acquire) effect()      {}
func (Release) effect()      {}
func (Join) effect()         {}
func (Leave) effect()        {}
func (Publish) effect()      {}
func (Request) effect()      {}
func (Close) effect()        {}
func (Ended) effect()        {}
