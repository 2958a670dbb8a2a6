//go:build !race

package edge

// conformanceBytes is the largest message of the conformance suite:
// Autobahn's.
const conformanceBytes = 16 << 20
