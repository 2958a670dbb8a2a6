package frame

import "hawser/proto/cause"

// Violation is a broken rule: what to close the connection with.
//
// Violations are shared values; do not change one. A *Violation is an error,
// but take care to return a nil interface, not a nil *Violation, as "no error".
type Violation struct {
	Code   cause.Code
	Reason string // for the close frame and the log: which rule, no peer data
}

// Error is the reason.
func (v *Violation) Error() string { return "frame: " + v.Reason }

// rule indexes violations. A Guard keeps the index, so that it holds no
// pointer and the garbage collector need not look at it.
type rule uint8

// The rules, in the order in which a frame can break them.
const (
	obeyed rule = iota
	reservedBit
	reservedOpcode
	fragmentedControl
	strayContinuation
	interleavedMessage
	tooManyFragments
	unmasked
	masked
	longControl
	shortClose
	topBit
	longEncoding
	bigFrame
	bigMessage
	badCloseCode
	badUTF8
	rules
)

// violations has the row of each rule. The reasons fit a close frame.
var violations = [rules]Violation{
	reservedBit:        {cause.ProtocolError, "reserved bit set without an extension, RFC 6455 5.2"},
	reservedOpcode:     {cause.ProtocolError, "reserved opcode, RFC 6455 5.2"},
	fragmentedControl:  {cause.ProtocolError, "fragmented control frame, RFC 6455 5.5"},
	strayContinuation:  {cause.ProtocolError, "continuation of no message, RFC 6455 5.4"},
	interleavedMessage: {cause.ProtocolError, "new message inside a fragmented one, RFC 6455 5.4"},
	tooManyFragments:   {cause.TooBig, "message of more fragments than the limit"},
	unmasked:           {cause.ProtocolError, "unmasked client frame, RFC 6455 5.1"},
	masked:             {cause.ProtocolError, "masked server frame, RFC 6455 5.1"},
	longControl:        {cause.ProtocolError, "control frame above 125 bytes, RFC 6455 5.5"},
	shortClose:         {cause.ProtocolError, "close frame with half a status code, RFC 6455 5.5.1"},
	topBit:             {cause.ProtocolError, "length with the top bit set, RFC 6455 5.2"},
	longEncoding:       {cause.ProtocolError, "length not in its shortest form, RFC 6455 5.2"},
	bigFrame:           {cause.TooBig, "frame larger than the limit"},
	bigMessage:         {cause.TooBig, "message larger than the limit"},
	badCloseCode:       {cause.ProtocolError, "close code barred from the wire, RFC 6455 7.4"},
	badUTF8:            {cause.BadUTF8, "invalid UTF-8, RFC 6455 8.1"},
}
