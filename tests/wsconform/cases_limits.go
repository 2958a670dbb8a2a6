package wsconform

import (
	"fmt"
	"slices"
)

// The cases 9 (limits and performance) and 10 (automatic fragmentation).

// roundTrips is how many messages 9.7 and 9.8 send one after the other.
const roundTrips = 1000

// limitCases are 9.*, text and binary in turn: big messages, big messages in
// fragments, in chops, and many round trips.
func limitCases() []Case {
	var cases []Case
	for i, op := range []byte{text, bin} {
		cases = slices.Concat(cases,
			number(fmt.Sprintf("9.%d", 1+i), bigCases(op)),
			number(fmt.Sprintf("9.%d", 3+i), bigFragmentCases(op)),
			number(fmt.Sprintf("9.%d", 5+i), bigChopCases(op)),
			number(fmt.Sprintf("9.%d", 7+i), roundTripCases(op)))
	}
	slices.SortStableFunc(cases, func(a, b Case) int { return int(a.ID[2]) - int(b.ID[2]) })
	return cases
}

// bigCases are 9.1.* and 9.2.*.
func bigCases(op byte) []Case {
	var cases []Case
	for _, kib := range []int{64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10} {
		cases = append(cases, echo(fmt.Sprintf("message of %d KiB", kib), op, kib<<10, 0))
	}
	return cases
}

// bigFragmentCases are 9.3.* and 9.4.*: 4 MiB in fragments.
func bigFragmentCases(op byte) []Case {
	var cases []Case
	for size := 64; size <= 4<<20; size *= 4 {
		cases = append(cases, echoFragments(fmt.Sprintf("message of 4 MiB in fragments of %d bytes", size), op, 4<<20, size))
	}
	return cases
}

// echoFragments sends n bytes, within the limits, in fragments of size bytes.
func echoFragments(what string, op byte, n, size int) Case {
	return Case{What: what, script: func(l Limits) script {
		payload := filler(op, min(n, l.MaxMessageBytes, size*l.MaxFragments))
		var fragments []string
		for at := 0; at < len(payload); at += size {
			fragments = append(fragments, payload[at:min(at+size, len(payload))])
		}
		return script{steps: []step{send(fragmented(op, fragments))}, want: []event{{op: op, data: payload}}, reduced: len(payload) < n}
	}}
}

// bigChopCases are 9.5.* and 9.6.*: 1 MiB in chops.
func bigChopCases(op byte) []Case {
	var cases []Case
	for size := 64; size <= 2048; size *= 2 {
		cases = append(cases, echo(fmt.Sprintf("message of 1 MiB in chops of %d bytes", size), op, 1<<20, size))
	}
	return cases
}

// roundTripCases are 9.7.* and 9.8.*.
func roundTripCases(op byte) []Case {
	var cases []Case
	for _, n := range []int{0, 16, 64, 256, 1024, 4096} {
		cases = append(cases, Case{What: fmt.Sprintf("%d round trips of %d bytes", roundTrips, n), script: func(l Limits) script {
			payload := filler(op, min(n, l.MaxMessageBytes))
			s := script{reduced: len(payload) < n}
			message := send(whole(op, payload))
			for i := range roundTrips {
				s.steps = append(s.steps, message, await(i+1))
				s.want = append(s.want, event{op: op, data: payload})
			}
			return s
		}})
	}
	return cases
}

// autoFragmentCases are 10.*.
func autoFragmentCases() []Case {
	return number("10.1", []Case{echoFragments("message of 64 KiB in fragments of 1300 bytes", text, 64<<10, 1300)})
}
