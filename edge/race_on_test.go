//go:build race

package edge

// conformanceBytes is the largest message of the conformance suite. The race
// detector makes 16 MiB slow without looking at anything new.
const conformanceBytes = 1 << 20
