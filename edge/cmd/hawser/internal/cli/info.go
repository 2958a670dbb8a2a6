package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"hawser/edge/node"
	"hawser/proto/cause"
)

// causeRow is a cause as -o json has it.
type causeRow struct {
	Code     cause.Code   `json:"code"`
	Name     string       `json:"name"`
	Who      cause.Who    `json:"who"`
	Advice   cause.Advice `json:"advice"`
	OnWire   bool         `json:"on_wire"`
	Sentence string       `json:"sentence"`
}

func newCauses() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "causes",
		Short: "List why connections end: close codes, who decided, what the client should do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := make([]causeRow, len(cause.Table))
			for i, c := range cause.Table {
				rows[i] = causeRow(c)
			}
			return out.write(cmd.OutOrStdout(), rows, func(w io.Writer) {
				fmt.Fprintln(w, "CODE\tNAME\tWHO\tADVICE\tMEANING")
				for _, r := range rows {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", r.Code, r.Name, r.Who, r.Advice, r.Sentence)
				}
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}

// build says what this binary is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source; "-dirty" with changes on top
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: node.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if b.Revision != "" {
		b.Revision += dirty
	}
	return b
}

func newVersion() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			return out.write(cmd.OutOrStdout(), b, func(w io.Writer) {
				row(w, "hawser", b.Version)
				row(w, "revision", b.Revision)
				row(w, "time", b.Time)
				row(w, "go", b.Go)
				row(w, "platform", b.Platform)
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}
