// Command gen writes the close table of proto/cause as TypeScript, so that
// the SDK follows the same advice as the docs and the metrics.
// Run it from the module's root: go run ./edge/client/js/internal/gen
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"

	"hawser/proto/cause"
)

// target is relative to the module's root.
const target = "edge/client/js/src/causes.ts"

func main() {
	var b bytes.Buffer
	write(&b)
	if err := os.WriteFile(target, b.Bytes(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen: run me from the module's root:", err)
		os.Exit(1)
	}
}

const head = `// Generated from proto/cause by edge/client/js/internal/gen; do not edit.

/**
 * What a client does after a close: ` + "`retry`" + ` with full jitter, ` + "`token`" + ` for a
 * retry with a fresh token, ` + "`stop`" + ` until a person or the app changes something.
 */
export type Advice = "retry" | "token" | "stop";

/** One reason for which a connection ends. */
export interface Cause {
  /** Short constant name, as in hawser's metrics. */
  readonly name: string;
  readonly advice: Advice;
  /** For people: what happened and what to do. */
  readonly sentence: string;
}

/** The close table, by WebSocket close code. */
export const causes: Readonly<Record<number, Cause>> = {
`

// write writes the whole file to w.
func write(w io.Writer) {
	fmt.Fprint(w, head)
	for _, row := range cause.Table {
		fmt.Fprintf(w, "  %d: { name: %s, advice: %s, sentence: %s },\n", row.Code,
			strconv.Quote(row.Name), strconv.Quote(string(row.Advice)), strconv.Quote(row.Sentence))
	}
	fmt.Fprint(w, "};\n")
}
