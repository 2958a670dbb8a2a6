package wsconform

import (
	"fmt"
	"slices"
	"strings"
)

// The cases 7: close handling. 7.2, 7.4, 7.6, 7.8, 7.10 and 7.11 were never
// written.

// closeCases are 7.*.
func closeCases() []Case {
	return slices.Concat(
		number("7.1", afterCloseCases()),
		number("7.3", closeLengthCases()),
		number("7.5", []Case{failed("close with a reason that is no UTF-8", []int{1002, 1007}, closing(1000, kosme+surrogate+edited))}),
		number("7.7", validCodeCases()),
		number("7.9", invalidCodeCases()),
		number("7.13", undefinedCodeCases()))
}

// closed is a case whose steps close cleanly: the server answers with one of
// codes and ignores the rest.
func closed(what string, codes []int, frames ...[]byte) Case {
	return Case{What: what, script: fixed(script{steps: []step{send(frames...)}, ending: closeSent, codes: codes})}
}

// failed is one whose close frame is itself bad.
func failed(what string, codes []int, frame []byte) Case {
	return Case{What: what, script: fixed(script{steps: []step{send(frame)}, ending: mustFail, codes: codes})}
}

// afterCloseCases are 7.1.*: what comes after a close frame means nothing.
func afterCloseCases() []Case {
	normal, bye := []int{1000}, closing(1000, "")
	return []Case{
		{What: "message, then close", script: fixed(script{
			steps: []step{send(whole(text, "Hello World!"))}, want: []event{{op: text, data: "Hello World!"}}})},
		closed("two close frames", normal, bye, whole(clos, "")),
		closed("ping after close", normal, bye, whole(ping, "")),
		closed("text after close", normal, bye, whole(text, "Hello World!")),
		closed("close inside a message, then its last fragment", normal, part(text, "fragment1"), bye, whole(cont, "fragment2")),
		{What: "big message, message, close, ping at once", script: func(l Limits) script {
			const size = 256 << 10
			n := min(size, l.MaxMessageBytes)
			return script{
				steps:  []step{send(whole(text, strings.Repeat("BAsd7&jh23", n/10+1)[:n]), whole(text, "Hello World!"), bye, whole(ping, ""))},
				ending: undefined, reduced: n < size,
			}
		}},
	}
}

// closeLengthCases are 7.3.*: lengths of the payload.
func closeLengthCases() []Case {
	normal := []int{1000}
	return []Case{
		closed("empty close", normal, whole(clos, "")),
		failed("close with half a code", protocolError, whole(clos, "a")),
		closed("close with a code", normal, closing(1000, "")),
		closed("close with a code and a reason", normal, closing(1000, "Hello World!")),
		closed("close with the longest reason", normal, closing(1000, strings.Repeat("*", 123))),
		failed("close with a reason too long", protocolError, closing(1000, strings.Repeat("*", 124))),
	}
}

// validCodeCases are 7.7.*: the answer is 1000 or the same code.
func validCodeCases() []Case {
	var cases []Case
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, closed(fmt.Sprintf("close %d", code), []int{1000, code}, closing(code, "")))
	}
	return cases
}

// invalidCodeCases are 7.9.*.
func invalidCodeCases() []Case {
	var cases []Case
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, failed(fmt.Sprintf("close %d", code), protocolError, closing(code, "")))
	}
	return cases
}

// undefinedCodeCases are 7.13.*: RFC 6455 §7.4.2 says nothing of these.
func undefinedCodeCases() []Case {
	var cases []Case
	for _, code := range []int{5000, 65535} {
		cases = append(cases, Case{What: fmt.Sprintf("close %d", code), script: fixed(script{
			steps: []step{send(closing(code, ""))}, ending: undefined})})
	}
	return cases
}
