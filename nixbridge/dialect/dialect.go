// Package dialect is the base on which each dialect is built: how one family of
// configurations spells the contract of package stateward.
//
// A dialect is a projection and a decoder. The projection is Nix text that says
// which options are read; the head of nixbridge/probe.nix explains how to write
// one. The decoder reads the evaluated tree through [Node] and fills a
// [stateward.Host]. The built-in dialects lie in the folders below this one.
//
// Nothing here starts a process or reads a file.
package dialect

import (
	"strings"

	"github.com/stateward/stateward"
)

// Dialect is one family of configurations. Several may apply to one host.
type Dialect struct {
	// Name is a Nix identifier, such as "nixos".
	Name string
	// Projection is the Nix text of a function
	//
	//	{ probe }: { config, options }: { detected = …; sections = { … }; }
	//
	// as the head of nixbridge/probe.nix describes it.
	Projection string
	// Sections are the names of the sections of Projection. A saved evaluation that lacks one of them
	// is refused, since what it would have said is neither known nor absent. Nil means that they are not known.
	Sections []string
	// Decode fills the host from the evaluated tree. It is called only where the
	// projection detected the dialect. It appends to what other dialects have
	// already put there. Places that could not be evaluated, and those that
	// Node's methods found to be of a wrong type, are recorded without its doing.
	Decode func(n *Node, h *stateward.Host)
	// Written is the part of Projection that somebody wrote for their own configuration; nil for a dialect that is
	// built in. Before it is used nix is asked whether it is one whole expression.
	Written *Written
}

// Written is a Nix text that is part of a projection, on lines of its own.
type Written struct {
	// File is the name that errors have; it need not exist.
	File string
	Text string
}

// SectionNames finds the names of sections in the text of a projection that writes each as a quoted name at the
// beginning of a line, behind four blanks, as the built-in ones do.
func SectionNames(projection string) []string {
	// By hand, not by a regular expression: every run does it, and one that is answered by the cache does little else.
	var names []string
	for line := range strings.Lines(projection) {
		rest, ok := strings.CutPrefix(line, "    \"")
		if !ok {
			continue
		}
		name, value, ok := strings.Cut(rest, "\" =")
		if ok && name != "" && !strings.Contains(name, "\"") && strings.IndexAny(value, " \n") == 0 { // a long value begins on the next line
			names = append(names, name)
		}
	}
	return names
}
