package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Command returns `hawser bench`.
func Command() *cobra.Command { return newCommand(self) }

func newCommand(launch launcher) *cobra.Command {
	o := new(options)
	parent := &cobra.Command{
		Use:   "bench",
		Short: "Measure a hawser: connections, memory, fan-out and echo",
		Long: "bench puts load on a hawser from this process and prints what it did and what it cost the server.\n" +
			"With --spawn it starts the server itself and ends it afterwards:\n\n" +
			"  hawser bench all --spawn --compare bare-gws",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addFlags(parent, o)
	add := func(name, help string, which []scenario) {
		parent.AddCommand(&cobra.Command{Use: name, Short: help, Args: cobra.NoArgs,
			// Before RunE, so that hawser exits with 2 as for other bad flags.
			PreRunE: func(*cobra.Command, []string) error { return o.validate() },
			RunE: func(cmd *cobra.Command, _ []string) error {
				return runCommand(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *o, launch, which)
			}})
	}
	for _, s := range scenarios {
		add(s.name, s.help, []scenario{s})
	}
	add("all", "all of them, one after the other", scenarios)
	parent.AddCommand(
		newCrowdCommand(o, launch), newCrowdClientCommand(o),
		newBareCommand("bare-gws", serveBare), newBareCommand("bare-epoll", serveBareEpoll))
	return parent
}

// newBareCommand runs a compared server: the child of --compare.
func newBareCommand(name string, serve func(context.Context, io.Writer) error) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, Args: cobra.NoArgs,
		Short: "Run the server that --compare " + name + " compares with",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return serve(ctx, cmd.OutOrStdout())
		}}
}

func addFlags(cmd *cobra.Command, o *options) {
	f := cmd.PersistentFlags()
	f.StringVar(&o.url, "url", "ws://127.0.0.1:8080/ws/demo", "where clients connect: ws://host:port/ws/<tenant>")
	f.StringVar(&o.nats, "nats", "nats://127.0.0.1:4222", "where applications publish; empty publishes over a WebSocket")
	f.StringVar(&o.prefix, "prefix", "hw", "first token of the NATS subjects")
	f.StringVar(&o.admin, "admin", "http://127.0.0.1:8090", "admin endpoint of the server, for its CPU and memory; empty for none")
	f.IntVar(&o.pid, "pid", 0, "process id of a server on this host: read /proc instead of --admin")
	f.StringVar(&o.token, "token", "", "token for the connect command of all connections")
	f.BoolVar(&o.own, "i-own-this-target", false, "allow a target that is not this host")
	f.BoolVar(&o.spawn, "spawn", false, "start the server, on free ports, and end it afterwards; --url, --admin and a --nats that is not empty are then not used")
	f.StringVar(&o.other, "compare", "", "put the same load on another server as well: bare-gws, or bare-epoll (Linux)")
	f.IntVar(&o.conns, "conns", 1000, "connections; crowd: of each server")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "how long each case of fanout and echo lasts, and crowd holds its connections")
	f.StringVar(&o.stall, "stall", "", "fanout: measure each burst once more while this share of the clients does not read, such as 1%")
	f.IntSliceVar(&o.bursts, "bursts", []int{1, 4, 16, 64}, "fanout: messages published back to back")
	f.IntVar(&o.payload, "payload", 128, "bytes of a message")
	f.IntVar(&o.rate, "rate", 0, "connect: connections a second; echo: messages a second over all connections; 0 for as fast as answers come")
	f.IntVar(&o.window, "window", 128, "connections that may be coming up at once")
	f.StringVar(&o.protocol, "protocol", "proto", "proto or json")
	f.StringVar(&o.engine, "engine", "auto", "how this side reads: poll (Linux), goroutine, or auto for the lighter")
	f.DurationVar(&o.tolerance, "loss-timeout", 10*time.Second, "how long a message may take before it counts as lost")
	f.StringVarP(&o.format, "output", "o", "table", "how to print: table, json")
}

// interruptible ends the context on INT and TERM.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
}

// runCommand runs scenarios on all targets and prints the report, also what
// there is of it when one failed.
func runCommand(ctx context.Context, out, progress io.Writer, o options, launch launcher, which []scenario) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	r := &runner{options: o, launch: launch, progress: progress, report: newReport(o)}
	var err error
	for _, s := range which {
		if err = r.run(ctx, s); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
	}
	if len(r.report.Runs) == 0 {
		return err
	}
	r.report.compare()
	return errors.Join(err, r.report.write(out, o.format))
}

// runner is one command.
type runner struct {
	options  options
	launch   launcher
	progress io.Writer
	report   *Report
	source   int // of the next swarm, see swarm.source
}

// run runs one scenario on all targets. Servers of ours are started anew for
// each: what a server keeps of ten thousand connections that have gone would
// make those of the next scenario look cheap.
func (r *runner) run(ctx context.Context, s scenario) error {
	targets, err := openTargets(ctx, r.options, r.launch)
	defer func() {
		for _, t := range targets {
			t.close()
		}
	}()
	if err != nil {
		return err
	}
	for _, t := range targets {
		r.report.note(noteMeter(t))
		fmt.Fprintf(r.progress, "%s: %s, %d connections\n", s.name, t.name, r.options.conns)
		t.source = r.source
		runs, err := s.run(ctx, t, r.options)
		r.source = t.source
		r.report.Runs = append(r.report.Runs, runs...)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}
