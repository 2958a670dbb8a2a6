package wsconform

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The cases 6: UTF-8. The sequences of 6.5 to 6.23 are those of Markus Kuhn's
// UTF-8 decoder stress test, https://www.cl.cam.ac.uk/~mgk25/ucs/examples/UTF-8-test.txt,
// in Autobahn's numbering. utf8.ValidString says which ones are valid.

const (
	kosme     = "κ\u1f79σμε" // 2, 3, 2, 2 and 2 bytes
	umlauts   = "Hello-µ@ßöäüàá-UTF-8!!"
	edited    = "edited"
	surrogate = "\xed\xa0\x80"     // U+D800
	above     = "\xf4\x90\x80\x80" // U+110000: impossible at its second byte
)

// utf8Cases are 6.*.
func utf8Cases() []Case {
	return slices.Concat(emptyFragmentCases(), splitTextCases(), badTextCases(), failFastCases(), stressCases())
}

// emptyFragmentCases are 6.1.*.
func emptyFragmentCases() []Case {
	fragments := func(what, middle string) Case {
		return Case{What: what, script: fixed(script{
			steps: []step{send(part(text, ""), part(cont, middle), whole(cont, ""))}, want: []event{{op: text, data: middle}}})}
	}
	return number("6.1", []Case{
		{What: "empty text", script: fixed(script{steps: []step{send(whole(text, ""))}, want: []event{{op: text}}})},
		fragments("three empty fragments", ""),
		fragments("text between empty fragments", "middle frame payload"),
	})
}

// textCase sends a text in the given fragments: echoed when valid, else
// refused with 1007.
func textCase(what string, fragments ...string) Case {
	s := script{steps: []step{send(fragmented(text, fragments))}}
	if payload := strings.Join(fragments, ""); utf8.ValidString(payload) {
		s.want = []event{{op: text, data: payload}}
	} else {
		s.ending, s.codes = mustFail, []int{1007}
	}
	return Case{What: what, script: fixed(s)}
}

// fragmented builds one message of fragments.
func fragmented(op byte, fragments []string) []byte {
	var b []byte
	for i, f := range fragments {
		first := byte(cont)
		if i == 0 {
			first = op
		}
		if i == len(fragments)-1 {
			first |= fin
		}
		b = append(b, frame(first, f)...)
	}
	return b
}

// octets splits s into single bytes.
func octets(s string) []string {
	list := make([]string, len(s))
	for i := range len(s) {
		list[i] = s[i : i+1]
	}
	return list
}

// splitTextCases are 6.2.*: valid text, cut between and within characters.
func splitTextCases() []Case {
	cut := strings.Index(umlauts, "ö")
	return number("6.2", []Case{
		textCase("valid text", umlauts),
		textCase("valid text, cut between characters", umlauts[:cut], umlauts[cut:]),
		textCase("valid text, a fragment for each byte", octets(umlauts)...),
		textCase("another valid text, a fragment for each byte", octets(kosme)...),
	})
}

// badTextCases are 6.3.*.
func badTextCases() []Case {
	bad := kosme + surrogate + edited
	return number("6.3", []Case{
		textCase("surrogate in a text", bad),
		textCase("surrogate in a text, a fragment for each byte", octets(bad)...),
	})
}

// failFastCases are 6.4.*: the first part is fine, the second makes the text
// impossible, the third is sent only to a server that has not noticed. 1 and 2
// are three fragments, 3 and 4 three chops of one frame; in 2 and 4 the second
// part ends with the impossible byte.
func failFastCases() []Case {
	var cases []Case
	for _, chops := range []bool{false, true} {
		for _, parts := range [][3]string{{kosme, above, edited}, {kosme + above[:1], above[1:2], above[2:] + edited}} {
			what, bytes := "impossible text in fragments", [3][]byte{part(text, parts[0]), part(cont, parts[1]), whole(cont, parts[2])}
			if chops {
				what, bytes = "impossible text in chops of a frame", choppedFrame(parts)
			}
			cases = append(cases, refused(what, 1007, send(bytes[0]), stillOpen, send(bytes[1]), failsNow, send(bytes[2])))
		}
	}
	return number("6.4", cases)
}

// choppedFrame is one frame in three pieces, the header with the first.
func choppedFrame(parts [3]string) [3][]byte {
	all := whole(text, strings.Join(parts[:], ""))
	third := len(all) - len(parts[2])
	second := third - len(parts[1])
	return [3][]byte{all[:second], all[second:third], all[third:]}
}

// stressCases are 6.5 to 6.23.
func stressCases() []Case {
	var cases []Case
	for i, group := range stressTexts() {
		list := make([]Case, len(group))
		for j, s := range group {
			list[j] = textCase(fmt.Sprintf("text % x", s), s)
		}
		cases = append(cases, number(fmt.Sprintf("6.%d", i+5), list)...)
	}
	return cases
}

// stressTexts are the texts of 6.5, 6.6, …
func stressTexts() [][]string {
	missing := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	return [][]string{
		{"hello$world", "hello¢world", "hello€world", "hello\U00024b62world", kosme},
		prefixes(kosme),
		{"\x00", "\u0080", "\u0800", "\U00010000"}, // first of each length
		{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"},
		{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}, // last of each length
		{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"},
		{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", above},
		{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", span(0x80, 0xbf, "")},
		{span(0xc0, 0xdf, " "), span(0xe0, 0xef, " "), span(0xf0, 0xf7, " "), span(0xf8, 0xfb, " "), span(0xfc, 0xfd, " ")}, // lonely leads
		missing, // the last continuation byte is missing
		{strings.Join(missing, "")},
		{"\xfe", "\xff", "\xfe\xfe\xff\xff"},
		{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"},                    // overlong slash
		{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"},                    // longest overlong
		{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"},                    // overlong NUL
		{surrogate, "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"},             // single surrogates
		products([]string{surrogate, "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"}, []string{"\xed\xb0\x80", "\xed\xbf\xbf"}), // paired ones
		nonCharacters(),
		{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"},
	}
}

// prefixes are all prefixes of s, in bytes.
func prefixes(s string) []string {
	list := make([]string, len(s))
	for i := range len(s) {
		list[i] = s[:i+1]
	}
	return list
}

// span is the bytes from first up to, not including, end, each followed by sep.
func span(first, end byte, sep string) string {
	var b strings.Builder
	for c := first; c < end; c++ {
		b.WriteByte(c)
		b.WriteString(sep)
	}
	return b.String()
}

// products joins each of a with each of b.
func products(a, b []string) []string {
	var list []string
	for _, x := range a {
		for _, y := range b {
			list = append(list, x+y)
		}
	}
	return list
}

// nonCharacters are U+xxFFFE and U+xxFFFF of the planes that Autobahn asks
// for: valid UTF-8 all the same, RFC 3629.
func nonCharacters() []string {
	list := []string{"\ufffe", "\uffff"}
	for _, lead := range []string{"\xf0", "\xf1", "\xf2", "\xf3", "\xf4"} {
		for _, s := range products([]string{lead + "\x8f", lead + "\x9f", lead + "\xaf", lead + "\xbf"}, []string{"\xbf\xbe", "\xbf\xbf"}) {
			if utf8.ValidString(s) {
				list = append(list, s)
			}
		}
	}
	return list
}
