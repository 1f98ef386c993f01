// Command dialects loads hosts with a dialect of its own.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"

	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect/own"
)

//go:embed nix/homelab-apps.nix
var apps string

func main() {
	dialect, err := own.New("homelab-apps", apps)
	if err != nil {
		log.Fatal(err)
	}
	source, err := nixbridge.ParseSource("examples/dialects/hosts.nix")
	if err != nil {
		log.Fatal(err)
	}
	hosts, err := nixbridge.Load(context.Background(), source, nixbridge.Options{
		Evaluator: &nixbridge.Evaluator{Dialects: append(nixbridge.BuiltinDialects(), dialect)},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range hosts {
		for _, service := range host.Services.Or(nil) {
			if service.Dialect == dialect.Name {
				fmt.Println(host.Name, service.Name, service.Origin.Option)
			}
		}
	}
}
