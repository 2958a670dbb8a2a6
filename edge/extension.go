package edge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/lxzan/gws"

	"hawser/actors"
)

// deflateTerms is the one form in which permessage-deflate is agreed on: no
// context is kept from message to message, on either side, so that a
// compressed frame can be shared between connections and an idle one needs no
// window. RFC 7692 §7.1.1: a server may ask for both unasked.
const deflateTerms = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// settle narrows a request down to what gws is to agree to. gws takes the
// first of its own subprotocols that the request lists, so the request may
// list no other; and it only looks for the name of the extension, in one
// header line, where each offer has terms that one may not be able to meet.
func (r *request) settle(compression bool) {
	r.http.Header.Set("Sec-Websocket-Protocol", r.protocol.Subprotocol())
	if r.deflate = compression && offersDeflate(r.http.Header); r.deflate {
		r.http.Header.Set("Sec-Websocket-Extensions", deflateTerms)
	} else {
		r.http.Header.Del("Sec-Websocket-Extensions")
	}
}

// wire is the form of the connection's frames, once settled.
func (r *request) wire() actors.Wire { return actors.Wire{Protocol: r.protocol, Deflate: r.deflate} }

// offersDeflate reports whether one of the client's offers is acceptable. They
// are alternatives, RFC 7692 §5.1; commas in quoted values, which no parameter
// of this extension may have, spoil the offer they are in.
func offersDeflate(h http.Header) bool {
	for _, line := range h.Values("Sec-Websocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

// acceptable checks one offer, RFC 7692 §7.1. An unknown, repeated or
// malformed parameter must be declined. server_max_window_bits is declined as
// well: frames are compressed once for all, and not in windows of many sizes.
// client_max_window_bits needs no answer: any window can be inflated.
func acceptable(offer string) bool {
	parts := strings.Split(offer, ";")
	if !strings.EqualFold(strings.TrimSpace(parts[0]), "permessage-deflate") {
		return false
	}
	var seen []string
	for _, part := range parts[1:] {
		name, value, valued := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		known := false
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			known = !valued
		case "client_max_window_bits":
			known = !valued || windowBits(strings.TrimSpace(value))
		}
		if !known || slices.Contains(seen, name) {
			return false
		}
		seen = append(seen, name)
	}
	return true
}

// windowBits reports whether value is 8 to 15 without leading zeros, RFC 7692
// §7.1.2, bare or quoted.
func windowBits(value string) bool {
	if n := len(value); n > 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	n, err := strconv.Atoi(value)
	return err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == value
}

// deflateOption configures gws: it inflates with inflaters of its own, shared
// by connections. It compresses nothing, so its writers are the cheapest.
func (c Config) deflateOption(inflaters int) gws.PermessageDeflate {
	return gws.PermessageDeflate{Enabled: c.Compression, Level: flate.HuffmanOnly, PoolSize: inflaters}
}
