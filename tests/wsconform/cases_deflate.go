package wsconform

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// The cases 12 (compression) and 13 (what of it is negotiated). They need
// Suite.Offer.

const (
	// deflateTrips and deflateBytes bound what a case sends: Autobahn's thousand
	// messages of up to 128 KiB would take an hour.
	deflateTrips = 20
	deflateBytes = 64 << 10
	// deflateRoom is what incompressible data may grow by, in bytes: 5 for each
	// stored block of up to 64 KiB, RFC 1951 §3.2.4, and some for smaller ones.
	deflateRoom = 64
)

// The offers of Autobahn's client: it always takes a context that the server
// does not want kept, and a smaller window.
const (
	plainOffer     = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
	noContextOffer = plainOffer + "; server_no_context_takeover"
)

// deflateSizes are the 18 cases of each group: the size of a message, and of
// the fragments of its compressed form; 0 is one frame.
var deflateSizes = []struct{ message, fragment int }{
	{16, 0}, {64, 0}, {256, 0}, {1 << 10, 0}, {4 << 10, 0}, {8 << 10, 0}, {16 << 10, 0}, {32 << 10, 0}, {64 << 10, 0}, {128 << 10, 0},
	{8 << 10, 256}, {16 << 10, 256}, {32 << 10, 256}, {64 << 10, 256}, {128 << 10, 256},
	{128 << 10, 1 << 10}, {128 << 10, 4 << 10}, {128 << 10, 32 << 10},
}

// corpus is what the messages of a group are cut from.
type corpus struct {
	what string
	op   byte
	make func() string
}

// corpora stand for the files that Autobahn sends.
var corpora = []corpus{
	{"JSON", text, jsonCorpus},
	{"a bitmap", bin, bitmapCorpus},
	{"prose with umlauts", text, proseCorpus},
	{"HTML", text, htmlCorpus},
	{"bytes that do not compress", bin, noiseCorpus},
}

// deflateCases are 12.*, one group for each corpus, and 13.*, one group for
// each way to negotiate.
func deflateCases() []Case {
	const declined = "13.3 to 13.6: server_max_window_bits is declined, RFC 7692 §7.1.2.1"
	var cases []Case
	for i, c := range corpora {
		cases = append(cases, number(fmt.Sprintf("12.%d", i+1), c.cases(plainOffer))...)
	}
	window := func(offer string, bits int) string { return fmt.Sprintf("%s; server_max_window_bits=%d", offer, bits) }
	for i, offer := range []string{plainOffer, noContextOffer, "", "", "", "",
		strings.Join([]string{window(noContextOffer, 9), noContextOffer, plainOffer}, ", ")} {
		list := corpora[0].cases(offer)
		if offer == "" {
			list = slices.Repeat([]Case{{What: "compressed messages with a smaller window", Skip: declined}}, len(deflateSizes))
		}
		cases = append(cases, number(fmt.Sprintf("13.%d", i+1), list)...)
	}
	return cases
}

// cases are a group.
func (c corpus) cases(offer string) []Case {
	var list []Case
	for _, size := range deflateSizes {
		list = append(list, Case{
			What:  fmt.Sprintf("compressed messages of %d bytes of %s in fragments of %d", size.message, c.what, size.fragment),
			offer: offer,
			script: func(l Limits) script {
				return c.script(min(size.message, l.MaxMessageBytes-deflateRoom), size.fragment, size.message)
			},
		})
	}
	return list
}

// script sends messages of n bytes, each when the one before has come back.
// wanted is what Autobahn would send.
func (c corpus) script(n, fragment, wanted int) script {
	data := c.make()
	s := script{reduced: n < wanted}
	for i := range min(deflateTrips, max(2, deflateBytes/n)) {
		at := i * n % (len(data) - n)
		payload := cut(c.op, data, at, at+n)
		s.steps = append(s.steps, send(compressed(c.op, payload, fragment)), await(i+1))
		s.want = append(s.want, event{op: c.op, data: payload})
	}
	return s
}

// cut takes data[from:to], of text without the halves of characters.
func cut(op byte, data string, from, to int) string {
	if op == text {
		return strings.ToValidUTF8(data[from:to], "?")
	}
	return data[from:to]
}

// compressed builds a message whose compressed form is in fragments of size
// bytes; only the first has RSV1, RFC 7692 §6.1.
func compressed(op byte, payload string, size int) []byte {
	payload = deflate(payload)
	if size == 0 || size >= len(payload) {
		return frame(fin|rsv1|op, payload)
	}
	b := frame(rsv1|op, payload[:size])
	for payload = payload[size:]; len(payload) > size; payload = payload[size:] {
		b = append(b, frame(cont, payload[:size])...)
	}
	return append(b, frame(fin|cont, payload)...)
}

// corpusBytes is the least length of a corpus.
const corpusBytes = 160 << 10

// written repeats line, with the number of the line, until a corpus is full.
func written(line func(r *rand.Rand, n int) string) func() string {
	return func() string {
		r := rand.New(rand.NewPCG(7, 7692))
		var b strings.Builder
		for n := 0; b.Len() < corpusBytes; n++ {
			b.WriteString(line(r, n))
		}
		return b.String()
	}
}

var (
	jsonCorpus = written(func(r *rand.Rand, n int) string {
		return fmt.Sprintf(`{"id":%d,"user":"user-%d","score":%d,"tags":["alpha","beta"],"active":%t},`, n, r.IntN(500), r.IntN(1e6), n%3 == 0)
	})
	htmlCorpus = written(func(r *rand.Rand, n int) string {
		return fmt.Sprintf("<tr class=\"row\"><td id=\"c%d\">%d</td><td><a href=\"/item/%d\">item</a></td></tr>\n", n, r.IntN(1e5), n)
	})
	words       = strings.Fields("habe nun ach Philosophie Juristerei und Medizin und leider auch Theologie durchaus studiert mit heißem Bemühn")
	proseCorpus = written(func(r *rand.Rand, _ int) string {
		return words[r.IntN(len(words))] + " "
	})
	bitmapCorpus = written(func(r *rand.Rand, n int) string { return string([]byte{byte(n >> 6), byte(n >> 7), byte(r.IntN(4))}) })
	noiseCorpus  = written(func(r *rand.Rand, _ int) string { return string([]byte{byte(r.Uint32()), byte(r.Uint32())}) })
)
