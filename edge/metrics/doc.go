// Package metrics is every Prometheus metric of a node, on a registry that
// the caller gives. It implements the recorders that actors and edge declare,
// so that they know no Prometheus. All but histograms' buckets are base units;
// no label has more values than a table in the code.
//
// METRICS.md lists them; a test keeps it complete.
package metrics
