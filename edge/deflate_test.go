package edge

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"hawser/actors"
	"hawser/edge/frame"
	"hawser/proto/cause"
	clientv1 "hawser/proto/client/v1"
	"hawser/proto/codec"
	"hawser/tests/wsconform"
)

// offer is what a browser sends.
const offer = "permessage-deflate; client_max_window_bits"

// compressing turns the extension on.
func compressing(c *Config) { c.Compression = true }

func TestOffersDeflate(t *testing.T) {
	for _, test := range []struct {
		offers string // header lines
		want   bool
	}{
		{"", false},
		{"permessage-deflate", true},
		{"PerMessage-Deflate", true},
		{offer, true},
		{"permessage-deflate; client_max_window_bits=8", true},
		{`permessage-deflate; client_max_window_bits="15"`, true},
		{"permessage-deflate ; server_no_context_takeover ;client_no_context_takeover", true},
		{"permessage-deflate; client_max_window_bits=7", false},
		{"permessage-deflate; client_max_window_bits=16", false},
		{"permessage-deflate; client_max_window_bits=09", false},
		{"permessage-deflate; client_max_window_bits=+9", false},
		{"permessage-deflate; client_max_window_bits=", false},
		{`permessage-deflate; client_max_window_bits="`, false},
		{"permessage-deflate; server_max_window_bits", false},
		{"permessage-deflate; server_max_window_bits=15", false},
		{"permessage-deflate; server_no_context_takeover=1", false},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", false},
		{"permessage-deflate; mux", false},
		{"permessage-deflate;", false},
		{"x-webkit-deflate-frame", false},
		{"not-permessage-deflate", false},
		{"permessage-deflate; server_max_window_bits=10, permessage-deflate", true},
		{"x-webkit-deflate-frame\npermessage-deflate", true},
	} {
		h := http.Header{"Sec-Websocket-Extensions": strings.Split(test.offers, "\n")}
		if got := offersDeflate(h); got != test.want {
			t.Errorf("%q: got %v, want %v", test.offers, got, test.want)
		}
	}
}

// What the 101 says, in both engines.
func TestDeflate_Negotiation(t *testing.T) {
	for _, test := range []struct {
		name, offer string
		on          bool
		want        string
	}{
		{"off", offer, false, ""},
		{"browser", offer, true, deflateTerms},
		{"window", "permessage-deflate; server_max_window_bits=9", true, ""},
		{"second choice", "permessage-deflate; server_max_window_bits=9, permessage-deflate", true, deflateTerms},
		{"none", "", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine string) {
				r := newRig(t, engine, rigOptions{edge: func(c *Config) { c.Compression = test.on }})
				for _, p := range codec.All {
					conn, agreed, err := r.offer("/ws/demo", p, test.offer)
					if err != nil {
						t.Fatal(err)
					}
					conn.Close()
					if agreed != test.want {
						t.Errorf("%v: the server agreed to %q, want %q", p, agreed, test.want)
					}
				}
			})
		})
	}
}

// The cases of Autobahn that compress, over the real engines.
func TestDeflate_Conformance(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{echo: true, edge: compressing})
		suite := wsconform.Suite{Offer: func(extensions string) (net.Conn, string, error) { return r.offer("/ws/echo", codec.JSON, extensions) }}
		played := 0
		for _, c := range wsconform.Cases() {
			if c.Skip != "" || !strings.HasPrefix(c.ID, "12.") && !strings.HasPrefix(c.ID, "13.") {
				continue
			}
			played++
			if result := suite.Play(c); result.Behaviour != wsconform.OK {
				t.Errorf("%s: %s: %s: %s", c.ID, c.What, result.Behaviour, result.Reason)
			}
		}
		if played != 144 {
			t.Errorf("played %d cases, want 144", played)
		}
	})
}

// What a client can do wrong with compression, each with its code, and the
// connection beside it lives on.
func TestDeflate_Hostile(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: compressing})
		neighbour := r.compressed(t, codec.JSON)
		for _, stream := range wsconform.HostileDeflate(wsconform.Limits{}) {
			t.Run(stream.Name, func(t *testing.T) {
				dial := func() (net.Conn, error) {
					conn, _, err := r.offer("/ws/demo", codec.JSON, offer)
					return conn, err
				}
				if err := stream.Check(dial, patience); err != nil {
					t.Error(err)
				}
			})
		}
		neighbour.send(`{"id":9,"ping":{}}`)
		if m := neighbour.next(); m.GetPong() == nil {
			t.Errorf("the neighbour got %v, want pong", m)
		}
		r.until("only the neighbour is left", func() bool { return r.system.Conns() == 1 })
	})
}

// RSV1 breaks the protocol for whoever has not agreed on the extension, also
// where others have.
func TestDeflate_NotAgreed(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: compressing})
		other := r.compressed(t, codec.JSON)
		c := r.dial(t)
		c.write(packed(`{"id":1,"connect":{}}`))
		if got := c.closeCode(); got != cause.ProtocolError {
			t.Errorf("got %d, want %d", got, cause.ProtocolError)
		}
		other.write(packed(`{"id":9,"ping":{}}`))
		if m := other.next(); m.GetPong() == nil {
			t.Errorf("got %v, want pong", m)
		}
	})
}

// Messages of many sizes, compressed in one frame and in fragments and not at
// all, come back as they were.
func TestDeflate_RoundTrips(t *testing.T) {
	const seed = 7692
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: compressing, actors: func(c *actors.Config) { c.RateBytes = 0 }})
		c := r.compressed(t, codec.JSON)
		rng := rand.New(rand.NewPCG(seed, 1))
		for size := 0; size < 60_000; size += 1 + size/3 {
			want := fmt.Sprintf(`"%s"`, text(rng, size))
			message := packed(fmt.Sprintf(`{"id":5,"rpc":{"method":"test.echo","data":%s}}`, want))
			switch rng.IntN(3) {
			case 0:
				message = fragmented(rng, message)
			case 1:
				message = frame.AppendMasked(nil, frame.Text, fmt.Appendf(nil, `{"id":5,"rpc":{"method":"test.echo","data":%s}}`, want), [4]byte{1, 2, 3, 4})
			}
			c.write(message)
			m := c.next()
			if got := string(m.GetRpc().GetData()); got != want {
				t.Fatalf("seed %d: %d bytes came back as %d: %.200v", seed, len(want), len(got), m)
			}
		}
		if c.inflated == 0 {
			t.Error("no answer was compressed")
		}
	})
}

// Subscribers with and without compression, of both protocols, get the same
// publications in the same order.
func TestDeflate_MixedSubscribers(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, rigOptions{edge: compressing, actors: func(c *actors.Config) { c.OutboxBytes = 16 << 20 }})
		var clients []*testClient
		for _, p := range codec.All {
			for range 2 {
				clients = append(clients, r.compressed(t, p), r.plain(t, p))
			}
		}
		for _, c := range clients {
			c.command(&clientv1.ClientMessage{Id: 2, Body: &clientv1.ClientMessage_Subscribe{Subscribe: &clientv1.Subscribe{Channel: "news"}}})
			if m := c.next(); m.GetSubscribed() == nil {
				t.Fatalf("got %v, want subscribed", m)
			}
		}
		const publications = 200
		for n := range publications {
			r.system.Deliver("demo", "news", uint64(n+1), fmt.Appendf(nil, `"%d %s"`, n, strings.Repeat("y", n*10)))
		}
		for _, c := range clients {
			for n := range publications {
				want := fmt.Sprintf(`"%d %s"`, n, strings.Repeat("y", n*10))
				if got := string(c.next().GetPublication().GetData()); got != want {
					t.Fatalf("publication %d: got %.40q, want %.40q", n, got, want)
				}
			}
			if c.deflate != (c.inflated > 0) {
				t.Errorf("compression agreed on: %v; %d frames were compressed", c.deflate, c.inflated)
			}
		}
	})
}

func TestEncoder_Compresses(t *testing.T) {
	publication := func(n int) *clientv1.ServerMessage {
		return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{
			Publication: &clientv1.Publication{Channel: "news", Data: []byte(`"` + strings.Repeat("x", n) + `"`)}}}
	}
	noise := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	random := &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Direct{Direct: &clientv1.Direct{Data: noise}}}
	secret := &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Connected{Connected: &clientv1.Connected{ResumeToken: strings.Repeat("x", 4096)}}}
	e := Encoder{CompressMinBytes: 512}
	for _, test := range []struct {
		name    string
		message *clientv1.ServerMessage
		deflate bool
		want    bool
	}{
		{"long", publication(600), true, true},
		{"not agreed on", publication(600), false, false},
		{"short", publication(300), true, false},
		{"does not compress", random, true, false},
		{"holds a resume token", secret, true, false},
	} {
		b := sent(t, e.Message(actors.Wire{Protocol: codec.Proto, Deflate: test.deflate}, test.message))
		if h, size := frame.Next(b); h.RSV1 != test.want || size != len(b) || h.Op != frame.Binary {
			t.Errorf("%s: got %+v of %d bytes, want RSV1 %v", test.name, h, size, test.want)
		}
	}
	zero := sent(t, Encoder{}.Message(actors.Wire{Deflate: true}, publication(60)))
	if h, _ := frame.Next(zero); !h.RSV1 {
		t.Error("without CompressMinBytes, 60 bytes that compress well were not")
	}
}

// BenchmarkDeflate is the cost of compressing one message, once for all who
// get it.
func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{600, 2000, 16_000, 60_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := []byte(text(rand.New(rand.NewPCG(1, 2)), size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = len(deflated(frame.Text, payload))
			}
			b.ReportMetric(float64(n)/float64(size), "ratio")
		})
	}
}

// text is n bytes that compress to about a third.
func text(rng *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "order %d of user %d: %d.%02d EUR; ", rng.IntN(1e6), rng.IntN(500), rng.IntN(1000), rng.IntN(100))
	}
	return b.String()[:n]
}

// packed is a masked text frame, compressed by another implementation.
func packed(message string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	io.WriteString(w, message)
	w.Flush()
	f := frame.AppendMasked(nil, frame.Text, bytes.TrimSuffix(b.Bytes(), emptyBlock), [4]byte{4, 3, 2, 1})
	f[0] |= 0x40
	return f
}

// fragmented cuts a masked frame in random fragments.
func fragmented(rng *rand.Rand, whole []byte) []byte {
	h, _ := frame.Next(whole)
	payload := bytes.Clone(whole[h.Offset:])
	frame.Mask(payload, h.Key)
	var out []byte
	for first := byte(0x41); ; first = 0 {
		n := rng.IntN(len(payload)/3 + 2)
		at := len(out)
		if n >= len(payload) {
			out = frame.AppendMasked(out, frame.Text, payload, h.Key)
			out[at] = first | 0x80
			return out
		}
		out = frame.AppendMasked(out, frame.Text, payload[:n], h.Key)
		out[at] = first
		payload = payload[n:]
	}
}

// sent is what a frame puts on the wire.
func sent(t *testing.T, f *actors.Frame) []byte {
	t.Helper()
	var out actors.Outbox
	var w collector
	if _, err := out.Put(f, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Drain(&w); err != nil {
		t.Fatal(err)
	}
	return w
}

// collector keeps what it is given.
type collector []byte

// WriteBatch implements actors.Writer.
func (c *collector) WriteBatch(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		*c = append(*c, b...)
		n += len(b)
	}
	return n, nil
}
