package auth

import (
	"errors"
	"fmt"
	"time"

	"hawser/actors"
)

// Reason is the outcome of one verification, for metrics: a fixed list, so
// that it can be a label.
type Reason uint8

// The reasons, in the order in which the checks run.
const (
	ReasonOK Reason = iota
	ReasonMissing
	ReasonTooLong
	ReasonMalformed
	ReasonOverflow
	ReasonKeysUnavailable
	ReasonUnknownKey
	ReasonBadSignature
	ReasonBadClaims
	ReasonExpired
	ReasonNotYet
	ReasonWrongIssuer
	ReasonWrongAudience
	ReasonWrongTenant

	reasonCount
)

// reasons is the table that String, Sentence and Reasons read.
var reasons = [reasonCount]struct{ name, sentence string }{
	ReasonOK:              {"ok", "the token is good, or none was needed"},
	ReasonMissing:         {"missing", "the client sent no token and anonymous clients are not allowed"},
	ReasonTooLong:         {"too_long", "the token is longer than the limit; it was not parsed"},
	ReasonMalformed:       {"malformed", "the token is not a signed JWT in compact form"},
	ReasonOverflow:        {"overflow", "too many verifications wait for the key set; the client may try again"},
	ReasonKeysUnavailable: {"keys_unavailable", "the key set cannot be fetched now; the client may try again"},
	ReasonUnknownKey:      {"unknown_key", "no key has the id that the token names"},
	ReasonBadSignature:    {"bad_signature", "the signature is not by the key, or of an algorithm that the key does not take"},
	ReasonBadClaims:       {"bad_claims", "a claim is missing, of the wrong type or out of range"},
	ReasonExpired:         {"expired", "the token's exp has passed"},
	ReasonNotYet:          {"not_yet", "the token's nbf or iat is in the future"},
	ReasonWrongIssuer:     {"wrong_issuer", "the token's iss is not the configured issuer"},
	ReasonWrongAudience:   {"wrong_audience", "the token's aud lacks the configured audience"},
	ReasonWrongTenant:     {"wrong_tenant", "the token is for another tenant than the path"},
}

// Reasons lists all reasons, for metrics that start at zero and for the docs.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String is the metric label, such as "bad_signature".
func (r Reason) String() string {
	if r >= reasonCount {
		return fmt.Sprintf("reason_%d", uint8(r))
	}
	return reasons[r].name
}

// Sentence explains the reason to an operator.
func (r Reason) Sentence() string {
	if r >= reasonCount {
		return "unknown reason"
	}
	return reasons[r].sentence
}

// Status codes of an Error; their meaning is HTTP's.
const (
	codeUnauthorized = 401
	codeUnavailable  = 503
)

// Error is why a token was refused.
type Error struct {
	Reason Reason
	// Temporary says that the same token may be good later: the client
	// should try again and need not ask for a new one.
	Temporary bool
	// Message tells the client's developer what is wrong. It says nothing of
	// the server's keys and never holds the token.
	Message string
}

var _ actors.StatusError = (*Error)(nil)

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Status is 503 when the error is temporary, else 401.
func (e *Error) Status() (code uint32, message string, temporary bool) {
	if e.Temporary {
		return codeUnavailable, e.Message, true
	}
	return codeUnauthorized, e.Message, false
}

// ReasonOf is the reason in err: ReasonOK for nil. Errors of this package's
// verifications are all *Error; of a foreign one it says ReasonMalformed.
func ReasonOf(err error) Reason {
	if err == nil {
		return ReasonOK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonMalformed
}

// refuse makes a final error.
func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// postpone makes a temporary error.
func postpone(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Temporary: true, Message: fmt.Sprintf(format, args...)}
}

// clip keeps hostile values out of logs and error frames at full length. Use
// it with %q, which also escapes what is not printable.
func clip(s string) string {
	const most = 40 // bytes
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// about is a duration in one unit, for people: "42s", "3m", "5h", "12d".
func about(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}
