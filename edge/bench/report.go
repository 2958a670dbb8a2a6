package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
)

// Report is the result of one command. Its JSON is for machines that compare:
// names are not reused for another meaning.
type Report struct {
	Machine  Machine  `json:"machine"`
	Protocol string   `json:"protocol"`
	Payload  int      `json:"payload_bytes"`
	Runs     []Run    `json:"runs"`
	Ratios   []Ratio  `json:"ratios,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

// Machine is where both sides ran, if the target is on loopback.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Run is one scenario in one case on one target.
type Run struct {
	Target   string  `json:"target"`
	Scenario string  `json:"scenario"`
	Case     string  `json:"case,omitempty"`
	Conns    int     `json:"conns"`
	Values   []Value `json:"values"`
}

// Value is one figure. Its name ends in its unit.
type Value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Ratio is a figure of the compared server divided by the target's.
type Ratio struct {
	Scenario string  `json:"scenario"`
	Case     string  `json:"case,omitempty"`
	Name     string  `json:"name"`
	Ratio    float64 `json:"ratio"`
}

func newReport(o options) *Report {
	return &Report{
		Machine:  Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()},
		Protocol: o.codec().Subprotocol(),
		Payload:  o.payload,
	}
}

// add appends a value.
func (r *Run) add(name string, value float64) { r.Values = append(r.Values, Value{name, value}) }

// addLatency appends the quantiles that are reported of a histogram.
func (r *Run) addLatency(name string, h *histogram) {
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}} {
		r.add(name+"_"+q.name+"_ms", float64(h.quantile(q.q).Microseconds())/1000)
	}
	r.add(name+"_max_ms", float64(h.most.Microseconds())/1000)
}

// note adds what the reader should know, once.
func (r *Report) note(text string) {
	if text != "" && !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

func (r *Run) value(name string) (float64, bool) {
	for _, v := range r.Values {
		if v.Name == name {
			return v.Value, true
		}
	}
	return 0, false
}

// compared are the figures worth a ratio: costs of the server.
var compared = []string{"server_cpu_us_per_connection", "server_cpu_ns_per_delivery", "server_cpu_us_per_echo",
	"user_bytes_per_connection", "rss_bytes_per_connection"}

// compare fills Ratios: the second target's costs over the first's.
func (r *Report) compare() {
	for _, own := range r.Runs {
		for _, other := range r.Runs {
			if other.Target == own.Target || own.Target != r.Runs[0].Target ||
				other.Scenario != own.Scenario || other.Case != own.Case {
				continue
			}
			for _, name := range compared {
				a, ok := own.value(name)
				b, okToo := other.value(name)
				if ok && okToo && a > 0 {
					r.Ratios = append(r.Ratios, Ratio{own.Scenario, own.Case, name, b / a})
				}
			}
		}
	}
}

// write prints the report as "table" or "json".
func (r *Report) write(w io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.table(w)
}

// table prints a table for each scenario: a line for each value, a column for
// each case and target.
func (r *Report) table(w io.Writer) error {
	fmt.Fprintf(w, "%s/%s, %d CPUs, %s; %s, payload %d bytes\n",
		r.Machine.OS, r.Machine.Arch, r.Machine.CPUs, r.Machine.Go, r.Protocol, r.Payload)
	for _, name := range distinct(r.Runs, func(run Run) string { return run.Scenario }) {
		columns := r.columns(name)
		fmt.Fprintf(w, "\n%s, %d connections\n", name, columns[0].Conns)
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		row(out, "", columns, func(run Run) string { return run.Target })
		if columns[0].Case != "" {
			row(out, "", columns, func(run Run) string { return run.Case })
		}
		for _, figure := range figures(columns) {
			row(out, figure, columns, func(run Run) string {
				v, ok := run.value(figure)
				if !ok {
					return "-"
				}
				return number(v)
			})
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	r.footer(w)
	return nil
}

// figures are the names of all values of these runs, in the order they came.
func figures(runs []Run) []string {
	var all []Value
	for _, run := range runs {
		all = append(all, run.Values...)
	}
	return distinct(all, func(v Value) string { return v.Name })
}

// distinct are the names of a list, each once.
func distinct[T any](list []T, name func(T) string) []string {
	var names []string
	for _, v := range list {
		if n := name(v); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// columns are the runs of a scenario, case by case.
func (r *Report) columns(scenario string) []Run {
	var runs []Run
	first := make(map[string]int) // case to where it came first
	for i, run := range r.Runs {
		if run.Scenario == scenario {
			runs = append(runs, run)
			if _, ok := first[run.Case]; !ok {
				first[run.Case] = i
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return cmp.Compare(first[a.Case], first[b.Case]) })
	return runs
}

// footer prints ratios and notes.
func (r *Report) footer(w io.Writer) {
	if len(r.Ratios) > 0 {
		fmt.Fprintf(w, "\n%s costs, as a multiple of %s's\n", r.Runs[len(r.Runs)-1].Target, r.Runs[0].Target)
	}
	for _, ratio := range r.Ratios {
		fmt.Fprintf(w, "  %s\t%s %s %s\n", number(ratio.Ratio), ratio.Scenario, ratio.Case, ratio.Name)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", note)
	}
}

// row prints one line with a cell of each run.
func row(w io.Writer, name string, runs []Run, cell func(Run) string) {
	fmt.Fprintf(w, "%s\t", name)
	for _, run := range runs {
		fmt.Fprintf(w, "%s\t", cell(run))
	}
	fmt.Fprintln(w)
}

// number prints at most three digits behind the point, and none for large
// numbers: more would be noise.
func number(v float64) string {
	digits := 0
	switch {
	case v == float64(int64(v)):
	case v < 10 && v > -10:
		digits = 3
	case v < 1000 && v > -1000:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
