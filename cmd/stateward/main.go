// Command stateward says which data of the services of a NixOS configuration
// survives, and writes the plans that make it so.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	_ "time/tzdata" // schedules name time zones, and a sandbox has no files of them

	"github.com/stateward/stateward/internal/cli"
)

// grace is how long the command may take to end after an interrupt: nix is killed, and files are
// written as a whole or not at all. It is not waited for what can only be waited for, as a pipe that nobody writes to;
// what says that it must not be cut off is waited for all the same, until a second interrupt.
const grace = 3 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := cli.System()
	var busy sync.RWMutex
	env.Hold = func() func() {
		busy.RLock()
		return busy.RUnlock
	}
	go func() {
		<-ctx.Done()
		stop() // a second interrupt ends it at once
		time.Sleep(grace)
		busy.Lock()
		fmt.Fprintln(os.Stderr, "stateward: interrupted")
		os.Exit(cli.StatusEvaluation)
	}()
	os.Exit(cli.Main(ctx, os.Args[1:], env))
}
