package cli

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// CopyPlan is one directory or file to copy before the list is switched to.
type CopyPlan struct {
	Kind string `json:"kind"`
	From string `json:"from"`
	To   string `json:"to"`
	// Units write there; stop them first.
	Units []string `json:"units,omitempty"`
	// Keep lies below To already and must stay as it is: -o shell copies round it.
	Keep []string `json:"keep,omitempty"`
	// Commands copy it by hand, as root, each for bash.
	Commands []string `json:"commands"`
}

func copyPlan(c aggregate.Copy) (CopyPlan, error) {
	p := CopyPlan{Kind: c.Kind.String(), From: c.From.String(), To: c.To.String(), Units: c.Units}
	for _, k := range c.Keep {
		p.Keep = append(p.Keep, k.String())
	}
	if len(c.Units) > 0 {
		line, err := shell.Command(slices.Concat([]string{"systemctl", "stop", "--"}, c.Units)...)
		if err != nil {
			return p, err
		}
		p.Commands = append(p.Commands, line)
	}
	p.Commands = append(p.Commands, aggregate.CopyCommand(c.From, c.To))
	return p, nil
}

// byHand are the commands, a line each.
func (p CopyPlan) byHand() []string {
	if len(p.Keep) > 0 {
		return []string{shell.Comment(fmt.Sprintf("%s holds %s already: -o shell writes a script that copies round it", p.To, strings.Join(p.Keep, ", ")))}
	}
	return p.Commands
}

//go:embed copyscript.sh
var copyScript string

// copyShell is the script that copies what a plan adds.
func copyShell(h HostPersistence) (string, error) {
	var b strings.Builder
	b.WriteString("#!/usr/bin/env bash\n")
	b.WriteString(shell.Comment(
		fmt.Sprintf("Written by `stateward plan persistence -o shell` for %s. Run it as root on that host, before you switch to the", h.Name),
		"new list: what is mounted then hides what lies there now. It copies beside, renames, and writes down what it has",
		"copied; it stops at the first error, overwrites nothing, and a second run does nothing twice, and fails where something",
		"has changed since. The units that it stops stay stopped until you switch."))
	words := func(words ...string) error {
		line, err := shell.Command(words...)
		b.WriteString(line)
		return err
	}
	assign := func(name, value string) error {
		b.WriteString(name + "=")
		err := words(value)
		b.WriteByte('\n')
		return err
	}
	mount := ""
	if h.resolution != nil {
		mount = h.resolution.MountPoint().String()
	}
	for _, a := range [][2]string{{"root", h.Root}, {"mount", mount}, {"journal", strings.TrimSuffix(h.Root, "/") + "/.stateward-copied"}} {
		if err := assign(a[0], a[1]); err != nil {
			return "", err
		}
	}
	b.WriteString("each() {\n")
	for _, c := range h.Copy {
		b.WriteString("  \"$1\" ")
		if err := words(slices.Concat([]string{c.Kind, c.From, c.To}, c.Units, []string{"--"}, c.Keep)...); err != nil {
			return "", err
		}
		b.WriteByte('\n')
	}
	if len(h.Copy) == 0 {
		b.WriteString("  say 'nothing to copy'\n")
	}
	b.WriteString("}\n\n" + copyScript)
	return b.String(), nil
}
