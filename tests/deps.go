//go:build deps

package tests

import (
	_ "github.com/MicahParks/keyfunc/v3"
	_ "github.com/asynkron/protoactor-go/actor"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/lxzan/gws"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/spf13/cobra"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/time/rate"
)
