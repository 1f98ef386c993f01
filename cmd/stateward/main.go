// Command stateward says which data of the services of a NixOS configuration
// survives, and writes the plans that make it so.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/stateward/stateward/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Main(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(status)
}
