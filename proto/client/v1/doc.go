// Package clientv1 is the schema of the conversation between a client and
// hawser: client.proto, and what internal/gen made of it.
//
// It holds data and nothing else: no goroutine, no rule. package codec has its
// wire forms, PROTOCOL.md what the messages mean. A field number is never
// used twice, and a message that has been released only grows.
package clientv1
