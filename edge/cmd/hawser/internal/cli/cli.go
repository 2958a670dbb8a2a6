package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hawser/edge/bench"
	"hawser/edge/node"
)

// Process is what the operating system gives a command. Nothing below Main
// reads the environment or the standard streams by another way.
type Process struct {
	Args    []string // without the program's name
	Environ []string // NAME=value
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Notify relays signals to a channel, as signal.Notify does.
	Notify func(chan<- os.Signal, ...os.Signal)

	fakeNode func(node.Config, *slog.Logger) (server, error) // set by tests only
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the command ran and did not succeed
	exitUsage  = 2 // bad flag, argument or configuration; nothing was done
)

// usageError marks an error of flags, arguments or configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Main runs one command and returns its exit code. It blocks until the command
// ends, for serve and dev until a signal has drained the node.
func Main(p Process) int {
	ran := false
	root := newRoot(p)
	markRun(root, &ran)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(p.Stderr, "hawser:", strings.TrimSuffix(line, "\n"))
	}
	if usage := (usageError{}); !ran || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func newRoot(p Process) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "hawser",
		Short: "A connection fabric: WebSockets for clients, NATS for applications",
		Long: "hawser holds WebSockets for applications that do not want to. Clients connect to it;\n" +
			"applications publish, and read what clients send, with any NATS client.\n\n" +
			"Start with: hawser dev",
	},
		newDev(p), newServe(p), newConfig(p), newToken(p), bench.Command(), newCauses(), newVersion())
	root.SilenceUsage, root.SilenceErrors = true, true // Main prints errors, once
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(suggestFlag)
	return root
}

// group makes parent a command that only has subcommands: alone it prints its
// help, and a word that is none of them is an error.
func group(parent *cobra.Command, children ...*cobra.Command) *cobra.Command {
	parent.AddCommand(children...)
	parent.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usageError{fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), didYouMean(args[0], commandNames(cmd)))}
	}
	parent.Args = cobra.ArbitraryArgs
	return parent
}

func commandNames(parent *cobra.Command) []string {
	var names []string
	for _, child := range parent.Commands() {
		if !child.Hidden {
			names = append(names, child.Name())
		}
	}
	return names
}

// markRun sets ran once a command's own code starts: an error before it is
// cobra's, about flags or arguments.
func markRun(cmd *cobra.Command, ran *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*ran = true
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		markRun(child, ran)
	}
}

// suggestFlag adds the nearest flag to cobra's error about an unknown one.
func suggestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := node.Nearest(unknown.GetSpecifiedName(), names)
	if near == "" {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	}
	return fmt.Errorf("%w (did you mean --%s?)", err, near)
}

func didYouMean(word string, candidates []string) string {
	if near := node.Nearest(word, candidates); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ": want " + strings.Join(slices.Sorted(slices.Values(candidates)), ", ")
}
