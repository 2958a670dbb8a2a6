// Package node wires one process of hawser: configuration, NATS, actors, edge,
// metrics and the admin endpoint. It is the one package that may import all
// rooms, and it has no rules of its own.
//
// # Vocabulary
//
//   - Config is everything an operator can set; sections.go turns it into the
//     configurations of the rooms. Live keys can change without a restart.
//   - Run is the life of a node: open in order, serve, drain, close in the
//     reverse order, each by a defer.
//   - To drain is to refuse new clients, turn /readyz red, and close every
//     connection at a pace with an advice when to come back.
//
// # Goroutines
//
// All are started by Run and joined before it returns: tickLoop (drives the
// actors' clock), trimLoop (gives memory back), the accept loop of the edge,
// the admin HTTP server; and those of the parts, which their Close joins.
package node
