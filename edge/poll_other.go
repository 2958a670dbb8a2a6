//go:build !linux

package edge

import "errors"

// pollSupported says that this system has the poll engine.
const pollSupported = false

func newPollEngine(Config, *admission, Deps) (Engine, error) {
	return nil, errors.ErrUnsupported
}
