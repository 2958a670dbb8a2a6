package cli

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"hawser/edge/node"
)

// What the demo page starts with, so that the examples appear on it; in dev
// any tenant and channel will do.
const (
	devTenant  = "demo"
	devChannel = "chat"
	devMessage = `{"from":"terminal","text":"hello"}`
)

// banner has the places %[1]s web, %[2]s WebSocket, %[3]s NATS, %[4]s admin,
// %[5]s node, %[6]s subject, %[7]s publish without a NATS client.
const banner = `
hawser dev is up: node %[5]s

  demo page  %[1]s/
  WebSocket  %[2]s/ws/` + devTenant + `     (any tenant name will do)
  NATS       %[3]s
  admin      %[4]s/readyz  and  /metrics

No token is needed: this is development, and only this machine can connect.
"hawser serve" asks for one.

Publish to the chat of the demo page, and to whoever else has subscribed to it:

  nats -s %[3]s pub %[6]s '` + devMessage + `'
%[7]s
Go, Python and Node are in the README. Ctrl-C drains and stops.

`

// writeBanner greets the developer. cfg is resolved.
func writeBanner(w io.Writer, cfg node.Config, at node.Addrs) {
	web, socket := "http://", "ws://"
	if cfg.Edge.TLSCertFile != "" {
		web, socket = "https://", "wss://"
	}
	subject := cfg.NATS.Prefix + ".fire." + devTenant + "." + devChannel
	fmt.Fprintf(w, banner, web+at.Edge, socket+at.Edge, natsURL(cfg, at), "http://"+at.Admin, cfg.Node.ID, subject,
		bashPublish(cfg, at, subject))
}

// natsURL is where applications connect, without its passwords: a banner ends
// up in screenshots.
func natsURL(cfg node.Config, at node.Addrs) string {
	var shown []string
	for server := range strings.SplitSeq(cmp.Or(cfg.NATS.URL, at.NATS), ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if u, err := url.Parse(server); err == nil {
			server = u.Redacted()
		}
		shown = append(shown, server)
	}
	return strings.Join(shown, ",")
}

// bashPublish is the same publish for those who have no NATS client yet. It
// reads INFO before it speaks and waits for PONG before it closes: a close
// with unread bytes would reset the connection and could lose the message.
func bashPublish(cfg node.Config, at node.Addrs, subject string) string {
	if cfg.NATS.URL != "" || cfg.NATS.User != "" || cfg.NATS.Token != "" {
		return ""
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(at.NATS, "nats://"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(`
or, with nothing but bash:

  exec 3<>/dev/tcp/%s/%s; read -u3; printf 'CONNECT {"verbose":false}\r\nPUB %s %d\r\n%s\r\nPING\r\n' >&3; read -u3; exec 3>&-
`, host, port, subject, len(devMessage), devMessage)
}
