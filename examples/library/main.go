// Command library shows how another program uses stateward: the README prints it.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/nixbridge"
)

func main() {
	source, err := nixbridge.ParseSource(".#forge")
	if err != nil {
		log.Fatal(err)
	}
	hosts, err := nixbridge.Load(context.Background(), source, nixbridge.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range hosts {
		for _, d := range aggregate.Lint(aggregate.Input{Host: host}).Findings {
			fmt.Println(d.Code, d.Subject, d.Message)
		}
	}
}
