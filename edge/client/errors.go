package client

import (
	"errors"
	"fmt"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
)

var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("client: closed")
	// ErrNotConnected is returned by calls before the first Connect.
	ErrNotConnected = errors.New("client: not connected: call Connect first")
	// ErrSubscribed is returned by Subscribe for a channel that already has a
	// Subscription in this client. Share that one, or unsubscribe it first.
	ErrSubscribed = errors.New("client: channel has a subscription already")
	// ErrNoAnswer ends a call that had no deadline of its own and no answer
	// within Config.CommandTimeout. The command may or may not have been done.
	ErrNoAnswer = errors.New("client: no answer from the server in time")
	// ErrUnauthorized may be returned, also wrapped, by Config.Token: there is
	// no token to be had for this user. The client fails and does not retry.
	ErrUnauthorized = errors.New("client: no token for this user")
)

// Error is the server's refusal of one command; the connection lives.
type Error struct {
	// Code is after HTTP: 400, 401, 403, 404, 409, 413, 429, 500, 503, 504. An
	// application's own rpc errors are 1000 and above.
	Code uint32
	// Message is for people.
	Message string
	// Temporary is true when the same command may succeed later.
	Temporary bool
}

// Error is the message with its code.
func (e *Error) Error() string { return fmt.Sprintf("client: %s (code %d)", e.Message, e.Code) }

// errorFrom is nil for nil.
func errorFrom(e *clientv1.Error) error {
	if e == nil {
		return nil
	}
	return &Error{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
}

// DisconnectError says why a connection ended or an attempt for one failed.
type DisconnectError struct {
	// Cause is the row of the close table. PeerLost when nobody said why.
	Cause cause.Cause
	// Code is the code as received, also when this version has no row for it.
	Code cause.Code
	// Reason is the server's text; may be empty.
	Reason string
	// Advice is what the client follows: the server's word in its disconnect
	// message where there was one, else that of Cause.
	Advice cause.Advice
	// RetryAfter is how long the server wants the client to stay away.
	RetryAfter time.Duration
	// Err is the local error underneath; may be nil.
	Err error
}

// Error is the cause with the server's reason and the local error.
func (e *DisconnectError) Error() string {
	text := fmt.Sprintf("client: disconnected: %s (code %d)", e.Cause.Name, e.Code)
	if e.Reason != "" && e.Reason != e.Cause.Name {
		text += ": " + e.Reason
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the local error.
func (e *DisconnectError) Unwrap() error { return e.Err }

// disconnected builds the error of a close with code. A code without a row is
// a newer server's or a proxy's: retrying is the harmless reading of it.
func disconnected(code cause.Code, reason string, err error) *DisconnectError {
	d := &DisconnectError{Cause: cause.Of(code), Code: code, Reason: reason, Err: err}
	if d.Cause.Code != code {
		d.Cause = cause.Of(cause.PeerLost)
	}
	d.Advice = d.Cause.Advice
	return d
}

// lostPeer is the end that nobody announced.
func lostPeer(err error) *DisconnectError { return disconnected(cause.PeerLost, "", err) }

// violated is what the server did wrong. The table's advice for these codes is
// for the side that broke the rule; the other side may well try again, since a
// broken proxy in between is the likely culprit.
func violated(code cause.Code, err error) *DisconnectError {
	d := disconnected(code, "", err)
	d.Advice = cause.Retry
	return d
}

// announced takes the server's disconnect message, which knows more than the
// close code after it.
func announced(m *clientv1.Disconnect) *DisconnectError {
	d := disconnected(cause.Code(m.Code), m.Reason, nil)
	d.RetryAfter = time.Duration(m.RetryAfterMs) * time.Millisecond
	switch {
	case !m.Reconnect:
		d.Advice = cause.Stop
	case d.Advice == cause.Stop:
		d.Advice = cause.Retry
	}
	return d
}
