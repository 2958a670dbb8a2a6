//go:build !linux

package bench

import (
	"context"
	"errors"
	"io"
)

func serveBareEpoll(context.Context, io.Writer) error {
	return errors.New("bench: --compare bare-epoll needs Linux: use bare-gws")
}
