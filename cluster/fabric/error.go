package fabric

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Codes of Error. They are HTTP's, as in the client protocol.
const (
	CodeBadName     = 400 // a tenant, channel, method, user or session name is bad
	CodeForbidden   = 403 // NATS permissions refuse this node the subject
	CodeTooLarge    = 413 // the payload is larger than the server's max_payload
	CodeService     = 500 // a service failed without a usable code
	CodeUnavailable = 503 // no NATS, no service, or a full queue
	CodeTimeout     = 504 // the service did not answer in time
)

// Error says how to answer a client. It is the one error type that Fabric
// methods return, and what they hand to callbacks.
type Error struct {
	Code      uint32 // as in HTTP
	Message   string // for the client; names no internals
	Temporary bool   // the same call may work later
}

// Error makes e an error.
func (e *Error) Error() string {
	return fmt.Sprintf("fabric: %d: %s", e.Code, e.Message)
}

// Status makes e an actors.StatusError by shape.
func (e *Error) Status() (code uint32, message string, temporary bool) {
	return e.Code, e.Message, e.Temporary
}

// Errors without data of their own. They are shared, so nobody may write to
// them.
var (
	errDown         = &Error{CodeUnavailable, "the node has no NATS connection", true}
	errStopping     = &Error{CodeUnavailable, "the node is stopping", true}
	errPublishFull  = &Error{CodeUnavailable, "too many messages wait for NATS on this node", true}
	errRequestsFull = &Error{CodeUnavailable, "too many requests in flight on this node", true}
	errInterestFull = &Error{CodeUnavailable, "too many channels on this node", true}
	errDenied       = &Error{CodeForbidden, "NATS does not allow this node to read the channel", false}
)

func badName(err error) *Error {
	return &Error{Code: CodeBadName, Message: err.Error()}
}

func tooLarge(size, most int64) *Error {
	return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("message of %d bytes is above the NATS limit of %d", size, most)}
}

// publishError maps what nats.go says of a publish to an Error.
func publishError(err error) *Error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return &Error{Code: CodeTooLarge, Message: "message is above the NATS limit"}
	case errors.Is(err, nats.ErrBadSubject):
		return &Error{Code: CodeBadName, Message: "bad subject"}
	}
	return errDown
}
