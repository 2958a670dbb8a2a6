package wsconform

import (
	"fmt"
	"slices"
	"strings"
)

// The cases 1 to 5: framing, pings, reserved bits and opcodes, fragments.

const hello = "Hello, world!"

// protocolError is the code for every broken rule of framing.
var protocolError = []int{1002}

// framingCases are 1.1 (text) and 1.2 (binary): the edges of the length
// encodings, and one message in small chops.
func framingCases() []Case {
	var cases []Case
	for i, op := range []byte{text, bin} {
		var list []Case
		for _, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
			list = append(list, echo(fmt.Sprintf("message of %d bytes", n), op, n, 0))
		}
		list = append(list, echo("message of 65536 bytes in chops of 997", op, 65536, 997))
		cases = append(cases, number(fmt.Sprintf("1.%d", i+1), list)...)
	}
	return cases
}

// filler is what Autobahn fills messages with.
func filler(op byte, n int) string {
	if op == text {
		return strings.Repeat("*", n)
	}
	return strings.Repeat("\xfe", n)
}

// echo sends one message of n bytes, within the limits, in chops of size
// bytes; 0 is one piece.
func echo(what string, op byte, n, size int) Case {
	return Case{What: what, script: func(l Limits) script {
		payload := filler(op, min(n, l.MaxMessageBytes))
		send := send(whole(op, payload))
		if size > 0 {
			send = chop(size, whole(op, payload))
		}
		return script{steps: []step{send}, want: []event{{op: op, data: payload}}, reduced: len(payload) < n}
	}}
}

// pingCases are 2.*.
func pingCases() []Case {
	const raw = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	full := strings.Repeat("\xfe", 125)
	answered := func(what, payload string) Case {
		return Case{What: what, script: fixed(script{steps: []step{send(whole(ping, payload))}, want: []event{{op: pong, data: payload}}})}
	}
	var frames [][]byte
	var pongs []event
	for i := range 10 {
		payload := fmt.Sprintf("payload-%d", i)
		frames, pongs = append(frames, whole(ping, payload)), append(pongs, event{op: pong, data: payload})
	}
	return number("2", []Case{
		answered("empty ping", ""),
		answered("ping with text", hello),
		answered("ping with bytes that are no text", raw),
		answered("ping of 125 bytes", full),
		refused("ping of 126 bytes", 1002, send(whole(ping, full+"\xfe"))),
		{What: "ping of 125 bytes, byte by byte", script: fixed(script{steps: []step{chop(1, whole(ping, full))}, want: []event{{op: pong, data: full}}})},
		{What: "unasked empty pong", script: fixed(script{steps: []step{send(whole(pong, ""))}})},
		{What: "unasked pong with payload", script: fixed(script{steps: []step{send(whole(pong, "unsolicited pong payload"))}})},
		{What: "unasked pong, then a ping", script: fixed(script{
			steps: []step{send(whole(pong, "unsolicited pong payload"), whole(ping, "ping payload"))}, want: []event{{op: pong, data: "ping payload"}}})},
		{What: "ten pings at once", script: fixed(script{steps: []step{send(frames...)}, want: pongs})},
		{What: "ten pings, byte by byte", script: fixed(script{steps: []step{chop(1, frames...)}, want: pongs})},
	})
}

// refused is a case in which the server must fail the connection with code
// and answer nothing before.
func refused(what string, code int, steps ...step) Case {
	return Case{What: what, script: fixed(script{steps: steps, ending: mustFail, codes: []int{code}})}
}

// refusedAfterEcho is one in which a good message comes first: it must be
// echoed, or the server is NON-STRICT.
func refusedAfterEcho(what, echoed string, steps ...step) Case {
	return Case{What: what, script: fixed(script{
		steps: steps, want: []event{{op: text, data: echoed}}, lax: true, ending: mustFail, codes: protocolError})}
}

// reservedBitCases are 3.*: each combination of RSV bits on some frame.
func reservedBitCases() []Case {
	rsv := func(bits, op byte) []byte { return frame(fin|bits<<4|op, hello) }
	good, tail := whole(text, hello), whole(ping, "")
	return number("3", []Case{
		refused("text with RSV 1", 1002, send(rsv(1, text))),
		refusedAfterEcho("text, text with RSV 2, ping", hello, send(good, rsv(2, text), tail)),
		refusedAfterEcho("text, text with RSV 3, ping, frame by frame", hello, sendEach(good, rsv(3, text), tail)),
		refusedAfterEcho("text, text with RSV 4, ping, byte by byte", hello, chop(1, good, rsv(4, text), tail)),
		refused("binary with RSV 5", 1002, send(rsv(5, bin))),
		refused("ping with RSV 6", 1002, send(rsv(6, ping))),
		refused("close with RSV 7", 1002, send(rsv(7, clos))),
	})
}

// opcodeCases are 4.1 (3 to 7) and 4.2 (11 to 15).
func opcodeCases() []Case {
	list := func(first byte) []Case {
		good, tail := whole(text, hello), whole(ping, "")
		return []Case{
			refused(fmt.Sprintf("opcode %d, empty", first), 1002, send(whole(first, ""))),
			refused(fmt.Sprintf("opcode %d", first+1), 1002, send(whole(first+1, hello))),
			refusedAfterEcho(fmt.Sprintf("text, opcode %d, ping", first+2), hello, send(good, whole(first+2, ""), tail)),
			refusedAfterEcho(fmt.Sprintf("text, opcode %d with payload, ping", first+3), hello, send(good, whole(first+3, hello), tail)),
			refusedAfterEcho(fmt.Sprintf("text, opcode %d with payload, ping, byte by byte", first+4), hello, chop(1, good, whole(first+4, hello), tail)),
		}
	}
	return slices.Concat(number("4.1", list(3)), number("4.2", list(11)))
}

// pieces are the three ways in which Autobahn sends frames.
var pieces = []struct {
	name string
	send func(frames ...[]byte) step
}{
	{"", send},
	{", frame by frame", sendEach},
	{", byte by byte", func(frames ...[]byte) step { return chop(1, frames...) }},
}

// fragmentCases are 5.*.
func fragmentCases() []Case {
	one, two := part(text, "fragment1"), whole(cont, "fragment2")
	cases := []Case{
		refused("fragmented ping", 1002, send(part(ping, "fragment1"), two)),
		refused("fragmented pong", 1002, send(part(pong, "fragment1"), two)),
	}
	joined := event{op: text, data: "fragment1fragment2"}
	for _, p := range pieces {
		cases = append(cases, Case{What: "two fragments" + p.name, script: fixed(script{
			steps: []step{p.send(one, two)}, want: []event{joined}})})
	}
	for _, p := range pieces {
		cases = append(cases, Case{What: "ping between two fragments" + p.name, script: fixed(script{
			steps: []step{p.send(one, whole(ping, "ping payload"), two)}, want: []event{{op: pong, data: "ping payload"}, joined}})})
	}
	for _, first := range []byte{fin | cont, cont} {
		for _, p := range pieces {
			cases = append(cases, refused("continuation of nothing, then text"+p.name, 1002,
				p.send(frame(first, "non-continuation payload"), whole(text, hello))))
		}
	}
	stray := func(first byte) step {
		again := [][]byte{frame(first, "fragment1"), part(text, "fragment2"), whole(cont, "fragment3")}
		return send(append(again, again...)...)
	}
	cases = append(cases,
		refusedAfterEcho("two fragments, continuation of nothing, text", "fragment1fragment2",
			send(one, two, part(cont, "fragment3"), whole(text, "fragment4"))),
		refused("twice: continuation of nothing without FIN, two fragments", 1002, stray(cont)),
		refused("twice: continuation of nothing with FIN, two fragments", 1002, stray(fin|cont)),
		refused("two fragments that are both text", 1002, send(one, whole(text, "fragment2"))),
		pingsBetweenFragments("five fragments with two pings between them", pieces[0].send),
		pingsBetweenFragments("the same, frame by frame", pieces[1].send))
	return number("5", cases)
}

// pingsBetweenFragments wants the first pong before more fragments are sent.
func pingsBetweenFragments(what string, send func(...[]byte) step) Case {
	return Case{What: what, script: fixed(script{
		steps: []step{
			send(part(text, "fragment1"), part(cont, "fragment2"), whole(ping, "pongme 1!")),
			await(1),
			send(part(cont, "fragment3"), part(cont, "fragment4"), whole(ping, "pongme 2!"), whole(cont, "fragment5")),
		},
		want: []event{{op: pong, data: "pongme 1!"}, {op: pong, data: "pongme 2!"}, {op: text, data: "fragment1fragment2fragment3fragment4fragment5"}},
	})}
}
