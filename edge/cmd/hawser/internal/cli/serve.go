package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"hawser/edge/node"
)

// server is what the commands need of a node.Node.
type server interface {
	// Run serves until ctx ends, then drains and returns nil.
	Run(ctx context.Context) error
	// Kill ends a drain at once.
	Kill()
	// Reload applies the live keys of a configuration and logs which others
	// need a restart. It waits for Started.
	Reload(node.Config) error
	// Started is closed once every address is being listened on.
	Started() <-chan struct{}
	// Addrs are the addresses in use, after Started.
	Addrs() node.Addrs
}

var _ server = (*node.Node)(nil)

// openNode is node.New, or the fake of a test.
func (p Process) openNode(cfg node.Config, log *slog.Logger) (server, error) {
	if p.fakeNode != nil {
		return p.fakeNode(cfg, log)
	}
	return node.New(cfg, log)
}

func newServe(p Process) *cobra.Command {
	s := &sources{base: node.DefaultConfig(), environ: p.Environ}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node with a configuration",
		Long: "serve runs a node until TERM or INT, then drains: connections are told to come back elsewhere\n" +
			"and closed within node.drain_timeout. A second signal ends it at once. HUP reads the configuration\n" +
			"again and applies the keys that need no restart; the log says which do.\n\n" +
			"Every key of the file is a flag as well; flag > environment > file > default.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			return newService(p, s, cfg).run(cmd.Context(), func(server) {})
		},
	}
	s.addFileFlag(cmd)
	s.addKeyFlags(cmd)
	return cmd
}

func newDev(p Process) *cobra.Command {
	s := &sources{base: node.DevConfig(), environ: p.Environ, check: node.CheckDev}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node for development on this machine: demo page, NATS inside, no token needed",
		Long: "dev is serve with defaults for development: the demo page is on, clients need no token and may\n" +
			"publish, any tenant and channel exists, and the log is text. So it listens on loopback only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			return newService(p, s, cfg).run(cmd.Context(), func(n server) {
				writeBanner(p.Stdout, cfg.Resolve(), n.Addrs())
			})
		},
	}
	s.addFileFlag(cmd)
	s.addKeyFlags(cmd)
	return cmd
}

// service is one run of a node under the signals of its process.
type service struct {
	// Immutable after newService.
	process Process
	sources *sources
	cfg     node.Config // as at the start
	log     *slog.Logger
	level   *slog.LevelVar // of log; set by reload
}

func newService(p Process, s *sources, cfg node.Config) *service {
	level := &slog.LevelVar{}
	level.Set(cfg.Node.Level())
	return &service{process: p, sources: s, cfg: cfg, level: level, log: newLogger(p.Stderr, cfg, level)}
}

func newLogger(w io.Writer, cfg node.Config, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if cfg.Node.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(handler)
}

var errKilled = errors.New("stopped before the drain was over, by a second signal")

// run serves until a signal ends it. started is called once the node listens.
// A first TERM or INT drains, a second kills the drain; HUP reloads.
func (s *service) run(ctx context.Context, started func(server)) error {
	for _, warning := range s.cfg.Warnings() {
		s.log.Warn("configuration", "warning", warning)
	}
	n, err := s.process.openNode(s.cfg, s.log)
	if err != nil {
		return err
	}
	// Room for a few: the loop below never blocks for long, and a signal that
	// finds no room is one of many alike.
	signals := make(chan os.Signal, 8)
	s.process.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	ctx, drain := context.WithCancel(ctx)
	defer drain()
	done := make(chan error, 1) // joined by the receive below
	go func() { done <- n.Run(ctx) }()

	var killed error
	up := n.Started()
	for {
		select {
		case err := <-done:
			return errors.Join(err, killed)
		case <-up:
			started(n)
			up = nil
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				s.reload(n)
			case ctx.Err() == nil:
				s.log.Info("told to stop; a second signal stops at once", "signal", sig.String())
				drain()
			default:
				killed = errKilled
				n.Kill()
			}
		}
	}
}

// reload reads the configuration again and gives it to the node, which logs
// what it took and what needs a restart. A configuration with errors changes
// nothing.
func (s *service) reload(n server) {
	select {
	case <-n.Started():
	default:
		s.log.Warn("configuration not reloaded: the node is still starting")
		return
	}
	cfg, err := s.sources.load()
	if err == nil {
		err = n.Reload(cfg)
	}
	if err != nil {
		s.log.Error("configuration not reloaded", "err", err)
		return
	}
	s.level.Set(cfg.Node.Level())
}
