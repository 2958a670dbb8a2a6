package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// The bounds of a crowd.
const (
	maxServers   = 64
	crowdMost    = 20 * time.Minute // of the whole command
	crowdJoining = 5 * time.Minute  // until all connections are up
	// crowdBytes is what one connection may take of this machine, both ends:
	// some 9.5 KB of kernel memory and 3 KB of the two processes, measured with
	// this scenario, and room.
	crowdBytes = 20 << 10
)

// newCrowdCommand returns `hawser bench crowd`.
func newCrowdCommand(o *options, launch launcher) *cobra.Command {
	cmd := &cobra.Command{Use: "crowd", Args: cobra.NoArgs,
		Short: "more connections than one process may open: many servers, as many clients",
		Long: "crowd starts servers and as many client processes, each below the limit of open files of its own,\n" +
			"brings up --conns connections on each server, holds them for --duration, and then asks every one of\n" +
			"them to answer. It uses loopback only and ends all that it started:\n\n" +
			"  hawser bench crowd --servers 12 --conns 17000",
		PreRunE: func(*cobra.Command, []string) error { return o.validateCrowd() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCrowd(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *o, launch)
		}}
	cmd.Flags().IntVar(&o.servers, "servers", 12, "server processes, and client processes, one for each")
	return cmd
}

func (o options) validateCrowd() error {
	if err := o.validate(); err != nil {
		return err
	}
	if o.servers < 1 || o.servers > maxServers {
		return fmt.Errorf("--servers %d: want 1 to %d", o.servers, maxServers)
	}
	if o.other != "" {
		return fmt.Errorf("--compare %s: crowd measures hawser only: compare with idle", o.other)
	}
	m, ok := readMemory()
	if fit := m.available / crowdBytes; ok && int64(o.servers*o.conns) > fit {
		return fmt.Errorf("--servers %d --conns %d: this machine has memory for %d connections with both their ends: want fewer",
			o.servers, o.conns, fit)
	}
	return nil
}

// runCrowd measures a crowd and prints the report, also when not every
// connection answered, which is its error.
func runCrowd(ctx context.Context, out, progress io.Writer, o options, launch launcher) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, crowdMost, fmt.Errorf("bench: crowd: not done within %v", crowdMost))
	defer cancel()
	c := &crowd{options: o, launch: launch, progress: progress}
	defer c.close()
	r, err := c.measure(ctx)
	if len(r.Values) == 0 {
		return fmt.Errorf("crowd: %w", err)
	}
	report := newReport(o)
	report.Runs = []Run{r}
	if _, ok := r.value("kernel_bytes_per_connection"); ok {
		report.note("kernel memory is that of both ends of a connection, and of the whole machine (Slab of /proc/meminfo)")
	}
	return errors.Join(err, report.write(out, o.format))
}

// crowd is many servers of ours and as many clients, all children. Owned by
// run.
type crowd struct {
	// Immutable.
	options  options
	launch   launcher
	progress io.Writer

	servers []*target
	clients []*crowdClient // one for each server, once it is dialed
}

// close ends all children: the clients first, or the servers would drain.
func (c *crowd) close() {
	var ending sync.WaitGroup
	for _, client := range c.clients {
		ending.Go(client.close)
	}
	ending.Wait()
	for _, server := range c.servers {
		ending.Go(server.close)
	}
	ending.Wait()
}

// measure is the story of a crowd: up, hold, weigh, ask.
func (c *crowd) measure(ctx context.Context) (Run, error) {
	total := c.options.servers * c.options.conns
	r := Run{Target: "hawser", Scenario: "crowd", Case: strconv.Itoa(c.options.servers) + " servers", Conns: total}
	if err := c.openServers(ctx); err != nil {
		return r, err
	}
	before, err := c.weigh(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	joined, err := c.connect(ctx)
	if err != nil {
		return r, err
	}
	took := time.Since(began)
	fmt.Fprintf(c.progress, "crowd: %d connections are up after %.1f s\n", joined, took.Seconds())
	if err := pause(ctx, c.options.duration); err != nil {
		return r, err
	}
	if err := settle(ctx, c.meters()); err != nil {
		return r, err
	}
	after, err := c.weigh(ctx)
	if err != nil {
		return r, err
	}
	began = time.Now()
	answers, err := c.ask(ctx)
	if err != nil {
		return r, err
	}
	r.add("connections_count", float64(joined))
	r.add("connect_seconds", took.Seconds())
	r.add("connections_per_second", float64(joined)/took.Seconds())
	r.add("answered_count", float64(answers.Answered))
	r.add("ended_count", float64(answers.Failed))
	r.add("answer_seconds", time.Since(began).Seconds())
	r.addWeight(before, after, joined)
	if answers.Answered < total {
		return r, fmt.Errorf("bench: %d of %d connections answered; %d had ended, the first: %s",
			answers.Answered, total, answers.Failed, answers.Error)
	}
	return r, nil
}

// openServers starts the servers, and has each make what it makes once.
func (c *crowd) openServers(ctx context.Context) error {
	o := c.options
	o.spawn = true
	for i := range o.servers {
		t, err := openHawser(ctx, o, c.launch)
		if err != nil {
			return err
		}
		c.servers = append(c.servers, t)
		if err := warmUp(ctx, t, o); err != nil {
			return fmt.Errorf("server %d: %w", i, err)
		}
	}
	fmt.Fprintf(c.progress, "crowd: %d servers are up\n", o.servers)
	return nil
}

// connect starts the clients, which connect at once, and waits for all.
func (c *crowd) connect(ctx context.Context) (joined int, err error) {
	for i, t := range c.servers {
		client, err := startCrowdClient(c.launch, c.options, t, i*sources(c.options.conns))
		if err != nil {
			return 0, err
		}
		c.clients = append(c.clients, client)
	}
	sum, err := c.gather(ctx, crowdJoining)
	if err != nil {
		return 0, err
	}
	if sum.Failed > 0 {
		return 0, fmt.Errorf("bench: %d of %d connections failed, the first: %s",
			sum.Failed, c.options.servers*c.options.conns, sum.Error)
	}
	return sum.Joined, nil
}

// ask has every client ask all its connections, and counts the answers.
func (c *crowd) ask(ctx context.Context) (crowdReport, error) {
	for _, client := range c.clients {
		if err := client.ask(); err != nil {
			return crowdReport{}, err
		}
	}
	return c.gather(ctx, c.options.tolerance+startTimeout)
}

// gather adds the next report of every client.
func (c *crowd) gather(ctx context.Context, most time.Duration) (sum crowdReport, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("no answer within %v", most))
	defer cancel()
	for _, client := range c.clients {
		r, err := client.report(ctx)
		if err != nil {
			return sum, err
		}
		sum.add(r)
	}
	return sum, nil
}

// weight is the memory of all servers, and of the machine's kernel.
type weight struct {
	servers usage
	kernel  memory
	known   bool // kernel is
}

// weigh reads all servers, without their garbage.
func (c *crowd) weigh(ctx context.Context) (w weight, err error) {
	all := c.meters()
	all.collect(ctx)
	if w.servers, err = all.read(ctx); err != nil {
		return w, err
	}
	w.kernel, w.known = readMemory()
	return w, nil
}

func (c *crowd) meters() meters {
	var all meters
	for _, t := range c.servers {
		all = append(all, t.meter)
	}
	return all
}

// addWeight adds what each of n connections weighs.
func (r *Run) addWeight(before, after weight, n int) {
	per := func(name string, before, after int64) {
		r.add(name+"_bytes_per_connection", float64(after-before)/float64(n))
	}
	per("rss", before.servers.RSS, after.servers.RSS)
	if after.servers.Go {
		per("user", before.servers.user(), after.servers.user())
	}
	if before.known && after.known {
		per("kernel", before.kernel.slab, after.kernel.slab)
	}
}

// meters reads many servers as one.
type meters []meter

// read implements meter.
func (m meters) read(ctx context.Context) (sum usage, err error) {
	for _, one := range m {
		u, err := one.read(ctx)
		if err != nil {
			return usage{}, err
		}
		sum.add(u)
	}
	return sum, nil
}

// collect implements meter.
func (m meters) collect(ctx context.Context) {
	for _, one := range m {
		one.collect(ctx)
	}
}
