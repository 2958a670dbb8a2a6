//go:build !race

package actors

// raceEnabled tells tests that count allocations.
const raceEnabled = false
