// Package browser drives a real Chromium against a real hawser: what the demo
// page and the JavaScript SDK do in the hands of a person.
//
// Vocabulary: a browser is one Chromium, behind js/driver.mjs; a tab is one
// page of it, with the problems it had (console, exceptions, policy).
//
// It needs Debian's chromium, node, and npm ci in tests/browser/js. Where one
// is missing the tests skip and say so; with HAWSER_REQUIRE_BROWSER=1, as in
// CI, they fail instead.
//
// Goroutines: none of its own; the driver is a child process that answers one
// command at a time and ends with its standard input.
package browser
