package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
)

// PROXY protocol version 2, as a balancer in front speaks it: a binary header
// before the first byte of the client, with the client's address.
// haproxy.org/download/3.0/doc/proxy-protocol.txt §2.2.
const (
	proxySignature   = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixedBytes  = 16
	proxyMaxBytes    = 536 // what the specification asks receivers to take: it fits the smallest MTU
	proxyLocal       = 0x20
	proxyProxied     = 0x21
	proxyTCP4        = 0x11
	proxyTCP6        = 0x21
	proxyTCP4Bytes   = 12
	proxyTCP6Bytes   = 36
	proxySignatureAt = len(proxySignature)
)

// errProxy is for a trusted balancer that does not speak version 2.
var errProxy = errors.New("edge: no PROXY protocol version 2 header")

// parseProxy reads the header at the start of b. size is its length, 0 while
// more bytes are needed. client is invalid for LOCAL, which balancers send in
// their own health checks.
func parseProxy(b []byte) (client netip.Addr, size int, err error) {
	if n := min(len(b), proxySignatureAt); !bytes.Equal(b[:n], []byte(proxySignature)[:n]) {
		return netip.Addr{}, 0, errProxy
	}
	if len(b) < proxyFixedBytes {
		return netip.Addr{}, 0, nil
	}
	command, family := b[12], b[13]
	size = proxyFixedBytes + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case size > proxyMaxBytes, command != proxyLocal && command != proxyProxied:
		return netip.Addr{}, 0, errProxy
	case len(b) < size:
		return netip.Addr{}, 0, nil
	case command == proxyLocal:
		return netip.Addr{}, size, nil
	case family == proxyTCP4 && size >= proxyFixedBytes+proxyTCP4Bytes:
		return netip.AddrFrom4([4]byte(b[16:20])), size, nil
	case family == proxyTCP6 && size >= proxyFixedBytes+proxyTCP6Bytes:
		return netip.AddrFrom16([16]byte(b[16:32])).Unmap(), size, nil
	}
	return netip.Addr{}, 0, errProxy
}

// trusts reports whether a peer address is a balancer's, that must say whom it
// speaks for.
func (c Config) trusts(peer netip.Addr) bool {
	for _, prefix := range c.ProxyFrom {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}
