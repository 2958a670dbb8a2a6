package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// crowdReport is one line of a crowd client's output: the first when all
// connections are up or have failed, one more after each order to ask.
type crowdReport struct {
	Crowd    bool   `json:"crowd"` // true: tells the line from others
	Joined   int    `json:"joined"`
	Answered int    `json:"answered"`
	Failed   int    `json:"failed"`          // connections that ended, or never joined
	Error    string `json:"error,omitempty"` // of the first of them
}

// add adds all of other.
func (r *crowdReport) add(other crowdReport) {
	r.Joined += other.Joined
	r.Answered += other.Answered
	r.Failed += other.Failed
	if r.Error == "" {
		r.Error = other.Error
	}
}

// newCrowdClientCommand runs the connections of one server: the child of
// crowd. It takes an order a line, and ends when its input does: also when its
// parent was killed.
func newCrowdClientCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "crowd-client", Hidden: true, Args: cobra.NoArgs,
		Short:   "Hold the connections of one server of crowd",
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveCrowdClient(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), *o)
		}}
	cmd.Flags().IntVar(&o.source, "source", 0, "which 127.0.0.x to dial from")
	return cmd
}

// serveCrowdClient connects, then asks all connections at each line of in.
func serveCrowdClient(ctx context.Context, in io.Reader, out io.Writer, o options) error {
	u, addr, err := resolve(ctx, o.url, false)
	if err != nil {
		return err
	}
	s, err := newSwarm(swarmConfig{url: u, addr: addr, codec: o.codec(), engine: o.engine, window: o.window, source: o.source})
	if err != nil {
		return err
	}
	defer s.close()
	joining, cancel := context.WithTimeoutCause(ctx, crowdJoining, fmt.Errorf("not all joined within %v", crowdJoining))
	defer cancel()
	if err := s.connect(joining, o.conns, 0, sameChannel("bench.crowd")); err != nil {
		return err
	}
	reports := json.NewEncoder(out)
	if err := reports.Encode(s.crowdReport()); err != nil {
		return err
	}
	for orders := bufio.NewScanner(in); orders.Scan(); {
		if err := s.ask(ctx, o.tolerance); err != nil {
			return err
		}
		if err := reports.Encode(s.crowdReport()); err != nil {
			return err
		}
	}
	return nil
}

// crowdReport is what happened since the last one.
func (s *swarm) crowdReport() crowdReport {
	t := s.take()
	r := crowdReport{Crowd: true, Joined: t.joined, Answered: t.answered, Failed: t.failed}
	if t.firstError != nil {
		r.Error = t.firstError.Error()
	}
	return r
}

// ask sends a ping command on every connection, and returns when all have
// answered or most is over.
func (s *swarm) ask(ctx context.Context, most time.Duration) error {
	asked := 0
	s.each(func(l *loop) {
		for _, p := range l.peers {
			if p.phase == ready {
				asked++
				l.ask(p)
			}
		}
	})
	for begin := s.now(); s.answered() < asked && s.now()-begin < most; {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// answered is how many peers have answered since the last take.
func (s *swarm) answered() int {
	n := 0
	s.each(func(l *loop) { n += l.tally.answered })
	return n
}

// crowdClient is the parent's side of a client process.
type crowdClient struct {
	*child
	orders  io.WriteCloser
	reports chan crowdReport // never closed; see hear
}

// startCrowdClient starts the client of one server.
func startCrowdClient(launch launcher, o options, t *target, source int) (*crowdClient, error) {
	command, err := launch("bench", "crowd-client", "--url", t.url.String(),
		"--conns", strconv.Itoa(o.conns), "--window", strconv.Itoa(o.window), "--source", strconv.Itoa(source),
		"--protocol", o.protocol, "--engine", o.engine, "--loss-timeout", o.tolerance.String())
	if err != nil {
		return nil, err
	}
	orders, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	c := &crowdClient{child: newChild("crowd client "+strconv.Itoa(source), command, func() {}),
		orders: orders, reports: make(chan crowdReport, 1)}
	if err := c.start(c.hear); err != nil {
		return nil, err
	}
	return c, nil
}

// hear takes a line of the client's output. As a client reports once for each
// order, and orders wait for reports, the queue of one is never full; a report
// that finds it so is not ours and is dropped.
func (c *crowdClient) hear(line string) {
	var r crowdReport
	if json.Unmarshal([]byte(line), &r) != nil || !r.Crowd {
		return
	}
	select {
	case c.reports <- r:
	default:
	}
}

// ask orders the client to ask all its connections; report has the answer.
func (c *crowdClient) ask() error {
	if _, err := io.WriteString(c.orders, "ask\n"); err != nil {
		return fmt.Errorf("bench: %s: %w\n%s", c.name, err, c.output())
	}
	return nil
}

// report waits for the client's next report.
func (c *crowdClient) report(ctx context.Context) (crowdReport, error) {
	select {
	case r := <-c.reports:
		return r, nil
	case <-c.exited:
		return crowdReport{}, fmt.Errorf("bench: %s ended: %w\n%s", c.name, c.err, c.output())
	case <-ctx.Done():
		return crowdReport{}, fmt.Errorf("bench: %s: %w", c.name, context.Cause(ctx))
	}
}

// close ends the client: its input ends, and a signal stops what it still does.
func (c *crowdClient) close() {
	_ = c.orders.Close() // it may have ended
	c.stop()
}
