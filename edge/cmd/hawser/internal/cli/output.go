package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output is the flag -o of a command.
type output struct{ format string }

var formats = []string{"table", "json", "yaml"}

func (o *output) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "how to print: "+strings.Join(formats, ", "))
}

// write prints v as JSON or YAML, with its json names, or as what table
// writes; table's columns end with tabs.
func (o *output) write(w io.Writer, v any, table func(io.Writer)) error {
	switch o.format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	case "yaml":
		return writeYAML(w, v)
	case "table":
		aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		table(aligned)
		return aligned.Flush()
	}
	return usageError{fmt.Errorf("-o %q%s", o.format, didYouMean(o.format, formats))}
}

// row is one line of a two-column table; none without a value.
func row(w io.Writer, name, value string) {
	if value != "" {
		fmt.Fprintf(w, "%s\t%s\n", name, value)
	}
}

// writeYAML goes through JSON, which is YAML, so that the names and their
// order are the same in both.
func writeYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return err
	}
	blockStyle(&document)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return err
	}
	return encoder.Close()
}

// blockStyle turns the braces and quotes of JSON into lines.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		blockStyle(child)
	}
}
