// Package cluster is the room of everything that makes nodes one cluster. It
// holds no code of its own, only these rooms:
//
//   - fabric: NATS. Fan-out, requests, direct delivery and the node's canary;
//     the one place of nats.go and the embedded nats-server.
//
// Rooms to come, each with its own package: ring and health (pure rules),
// placement (Raft, here and only here) and admin (the Raft HTTP endpoint).
//
// Rooms of cluster import proto and never actors or edge: edge/node joins
// them through small interfaces that the consumer declares.
package cluster
