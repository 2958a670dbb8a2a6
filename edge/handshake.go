package edge

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"hawser/proto/codec"
	"hawser/proto/names"
)

// request is a parsed handshake, before anything was allocated for it.
type request struct {
	http     *http.Request
	health   bool           // GET /ws/health
	fallback bool           // not for /ws/: the HTTP server's
	tenant   string         // else
	protocol codec.Protocol // else
	deflate  bool           // permessage-deflate is agreed on; set by settle
	token    string         // of Authorization: Bearer, or ""
}

const webSocketPath = "/ws/"

// headReader is what http.ReadRequest wants to read from. Making one for each
// handshake was a third of all bytes that a storm of connections allocated. A
// request that passes has no body, so nothing reads from it later.
type headReader struct {
	source   bytes.Reader
	buffered bufio.Reader
}

var headReaders = sync.Pool{New: func() any { return new(headReader) }}

// parseRequest reads one HTTP request head; head ends with the blank line.
func parseRequest(head []byte) (*http.Request, *Refusal) {
	reader := headReaders.Get().(*headReader)
	defer func() {
		reader.source.Reset(nil)
		headReaders.Put(reader)
	}()
	reader.source.Reset(head)
	reader.buffered.Reset(&reader.source)
	r, err := http.ReadRequest(&reader.buffered)
	if err != nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Host == "" {
		return nil, RefuseBadRequest
	}
	return r, nil
}

// route checks a request in the order of cost: shape first, then origin. The
// token is the session's business, as it may also come with connect.
func (a *admission) route(r *http.Request) (request, *Refusal) {
	name, found := strings.CutPrefix(r.URL.Path, webSocketPath)
	if !found {
		return request{http: r, fallback: true}, nil
	}
	if refusal := checkUpgrade(r); refusal != nil {
		return request{}, refusal
	}
	if name == names.Reserved {
		return request{http: r, health: true}, nil
	}
	if names.CheckTenant(name) != nil {
		return request{}, RefuseTenant
	}
	if !originAllowed(*a.origins.Load(), r.Header.Get("Origin"), r.Host) {
		return request{}, RefuseOrigin
	}
	protocol, ok := chooseProtocol(r.Header)
	if !ok {
		return request{}, RefuseSubprotocol
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return request{http: r, tenant: name, protocol: protocol, token: strings.TrimSpace(token)}, nil
}

// checkUpgrade is RFC 6455 §4.2.1. gws checks less: any key will do for it.
func checkUpgrade(r *http.Request) *Refusal {
	switch {
	case r.Method != http.MethodGet:
		return RefuseMethod
	case !hasToken(strings.Join(r.Header.Values("Connection"), ","), "upgrade"),
		!hasToken(r.Header.Get("Upgrade"), "websocket"),
		r.Header.Get("Sec-Websocket-Version") != "13":
		return RefuseNotWebSocket
	case r.ContentLength > 0 || len(r.TransferEncoding) > 0:
		return RefuseBadRequest
	}
	if key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key")); err != nil || len(key) != 16 {
		return RefuseKey
	}
	return nil
}

// chooseProtocol takes the first subprotocol of the client that we speak: the
// client's order is its preference, RFC 6455 §4.1.
func chooseProtocol(h http.Header) (codec.Protocol, bool) {
	for _, line := range h.Values("Sec-Websocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if p, ok := codec.Parse(strings.TrimSpace(name)); ok {
				return p, true
			}
		}
	}
	return 0, false
}

// response is the whole HTTP answer of a refusal. The body has the form of an
// error message of the protocol.
func (r *Refusal) response() []byte {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{
		"code": r.Status, "reason": r.Reason, "message": r.Sentence, "temporary": r.RetryAfter > 0}})
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		r.Status, http.StatusText(r.Status), len(body))
	switch r {
	case RefuseNotWebSocket:
		b.WriteString("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n") // RFC 9110 §15.5.22, RFC 6455 §4.4
	case RefuseMethod:
		b.WriteString("Allow: GET\r\n")
	}
	if r.RetryAfter > 0 {
		fmt.Fprintf(&b, "Retry-After: %d\r\n", r.RetryAfter)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
