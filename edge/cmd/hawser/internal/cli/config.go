package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"hawser/edge/node"
)

func newConfig(p Process) *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, print the default one, or the reference of its keys",
	}, newConfigCheck(p), newConfigDefault(), newConfigDoc())
}

func newConfigCheck(p Process) *cobra.Command {
	s := &sources{base: node.DefaultConfig(), environ: p.Environ}
	cmd := &cobra.Command{
		Use:   "check [file]",
		Short: "Say what is wrong with a configuration, as serve would see it",
		Long: "check reads the file, and the HAWSER_ environment over it, as serve would, and the files that\n" +
			"they name. It exits 0 when serve could start with it and 2 when not, naming each line.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				s.file = args[0]
			}
			cfg, err := s.load()
			if err != nil {
				return err
			}
			if _, err := cfg.Auth.Verifier(); err != nil {
				return usageError{err}
			}
			for _, warning := range cfg.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "hawser: warning:", warning)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", cmp.Or(s.path(), "defaults and environment"))
			return nil
		},
	}
	s.addFileFlag(cmd)
	return cmd
}

func newConfigDefault() *cobra.Command {
	return &cobra.Command{
		Use:   "default",
		Short: "Print the annotated configuration file with every default",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.WriteDefaults(cmd.OutOrStdout())
		},
	}
}

func newConfigDoc() *cobra.Command {
	return &cobra.Command{
		Use:   "doc",
		Short: "Print the reference of every key in Markdown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.WriteMarkdown(cmd.OutOrStdout())
		},
	}
}
