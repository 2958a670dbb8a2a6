package node

import (
	"os"
	"runtime"
	"strings"
)

// Resolve fills in what a configuration leaves to the machine: node.id from
// the host name, edge.shards from the CPUs, edge.max_frame_bytes from
// edge.max_message_bytes. New calls it; a second call changes nothing.
func (c Config) Resolve() Config {
	if c.Node.ID == "" {
		host, _ := os.Hostname() // "" becomes "node" below
		c.Node.ID = nodeID(host)
	}
	if c.Edge.Shards == 0 {
		c.Edge.Shards = runtime.GOMAXPROCS(0)
	}
	if c.Edge.MaxFrameBytes == 0 {
		c.Edge.MaxFrameBytes = c.Edge.MaxMessageBytes
	}
	return c
}

// maxNodeIDBytes is the longest node.id; it is one token of NATS subjects.
const maxNodeIDBytes = 64

// nodeID makes a host name one subject token: "web-1.example.org" becomes
// "web-1-example-org".
func nodeID(host string) string {
	id := strings.Map(func(r rune) rune {
		if isIDRune(r) {
			return r
		}
		return '-'
	}, host)
	if id = strings.Trim(id, "-"); id == "" {
		return "node"
	}
	return id[:min(len(id), maxNodeIDBytes)]
}

func isIDRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}
