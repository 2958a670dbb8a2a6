// Package tests runs the real stack: many processes, real NATS, real sockets,
// a real browser, kill -9. Nothing imports it.
package tests
