package actors

import "hawser/proto/codec"

// Wire is the form of a connection's data frames, as its handshake agreed on.
// Connections of equal Wire share the frames of a publication.
type Wire struct {
	Protocol codec.Protocol
	// Deflate allows compressed frames, RFC 7692, each on its own: with a
	// compression context of the connection, no two could share a frame.
	Deflate bool
}

// wireCount is how many Wires there are.
const wireCount = 2 * codec.Count

// index numbers the Wires from 0.
func (w Wire) index() int {
	if w.Deflate {
		return codec.Count + int(w.Protocol)
	}
	return int(w.Protocol)
}

// wireAt is the Wire of an index.
func wireAt(i int) Wire {
	return Wire{Protocol: codec.Protocol(i % codec.Count), Deflate: i >= codec.Count}
}
