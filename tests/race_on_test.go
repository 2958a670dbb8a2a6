//go:build race

package tests

// raceEnabled builds the hawser of the stories with the race detector too.
const raceEnabled = true
