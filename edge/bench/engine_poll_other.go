//go:build !linux

package bench

import "errors"

const pollOffered = false

func newPollEngine(*swarm) (engine, error) {
	return nil, errors.New("bench: engine poll needs Linux: use auto or goroutine")
}
