package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
)

// planRun is what commands do alike that plan something for each host of a source, and write it for one.
type planRun[H any] struct {
	source        *sourceFlags
	output, write string
	// formats are those that --write takes, and forOne what an output is that is for one host.
	formats string
	forOne  map[string]string

	plan  func(loaded) (H, error)
	sound func(*H) bool
	// known refuses what a flag names and no host has.
	known func(hosts []H, failed bool) error
	// document is what -o json prints, print what text is of one host.
	document func([]H) any
	print    func(Env, *H)
	// render writes what is for a machine, and tells whether that is all.
	render func(Env, *H) (bool, error)
}

func (p planRun[H]) run(ctx context.Context, env Env, args []string) error {
	if p.write != "" && p.output == "text" {
		return withStatus(StatusUsage, &writeTextError{p.formats})
	}
	loaded, err := p.source.load(ctx, env, args)
	if err != nil {
		return err
	}
	if what := p.forOne[p.output]; len(loaded) != 1 && (what != "" || p.write != "") {
		return &oneHostError{len(loaded), cmp.Or(what, "--write")}
	}
	hosts := []H{}
	failed, sound := false, true
	for _, l := range loaded {
		h, err := p.plan(l)
		if err != nil {
			return withStatus(StatusStep, err)
		}
		failed = failed || l.err != nil
		sound = sound && p.sound(&h)
		hosts = append(hosts, h)
	}
	if err := p.known(hosts, failed); err != nil {
		return withStatus(StatusUsage, err)
	}
	switch {
	case p.output == "text":
		for i := range hosts {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			p.print(env, &hosts[i])
		}
	case p.output == "json" && p.write == "":
		err = writeJSON(env, p.document(hosts))
	default:
		var whole bool
		whole, err = p.render(env, &hosts[0])
		sound = sound && whole
	}
	return planStatus(err, failed, sound)
}

// knownNames are the names that hosts have, for a flag that chooses among them.
type knownNames map[string]bool

// check refuses a name that none has; of a host that failed it is not known.
func (k knownNames) check(asked []string, failed bool, refuse func(name string, known []string) error) error {
	for _, name := range asked {
		if !k[name] && !failed {
			return refuse(name, slices.Sorted(maps.Keys(k)))
		}
	}
	return nil
}
