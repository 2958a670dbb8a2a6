// Command hawser is the one binary: a node, and the tools around it.
// See package cli for the commands.
package main

import (
	"os"
	"os/signal"

	"hawser/edge/cmd/hawser/internal/cli"
)

func main() {
	os.Exit(cli.Main(cli.Process{
		Args:    os.Args[1:],
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Notify:  signal.Notify,
	}))
}
