package dataset

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/syntax/shell"
)

//go:embed script.sh
var scriptText string

// Script is a bash script that makes a pool what is desired. It is for an activation script, or for a unit that runs once, and
// is idempotent by itself: it asks zfs what is there, and changes what differs, whatever the pool was like. Host is named in
// its first comment.
//
// Given names of datasets as its arguments, it does those only, and the containers above them.
//
// It needs bash 5, zfs, the coreutils and find in its PATH, and root. It asks zfs twice, zpool and stat once, where all is as
// desired; it never destroys, rolls back, unmounts, or changes an owner below the top directory of a dataset. What it
// cannot do it says, does the rest, and fails at its end. The error is that a text cannot be quoted.
func Script(desired Desired, host string) (string, error) {
	var b strings.Builder
	b.WriteString("#!/usr/bin/env bash\n")
	b.WriteString(shell.Comment(fmt.Sprintf("Written by stateward for the datasets of %s. A second run changes nothing.", host)))
	var lines [][]string
	var pools, own []string
	ours := false
	for i := range desired.Datasets {
		w := &desired.Datasets[i]
		ours = ours || w.Role != Foreign
		lines = append(lines, declaration(w)...)
		for _, s := range w.Settings {
			if p, ok := LookupProperty(s.name); ok && !p.Inherited && !strings.Contains(s.name, "@") && !slices.Contains(own, s.name) {
				own = append(own, s.name)
			}
		}
		if pool := w.Name.Pool(); !slices.Contains(pools, pool) {
			pools = append(pools, pool)
		}
	}
	lines = append(lines, claimed(desired)...)
	if !ours {
		lines, pools, own = [][]string{{":"}}, nil, nil
	}
	slices.Sort(pools)
	slices.Sort(own)
	line, err := shell.Command(append([]string{"pools"}, pools...)...)
	if err != nil {
		return "", err
	}
	b.WriteString("pools=(" + strings.TrimPrefix(strings.TrimPrefix(line, "pools"), " ") + ")\nmount_properties='" + strings.Join(mountProperties, " ") + "'\nnot_inherited='" + strings.Join(own, " ") + "'\n# shellcheck disable=SC1003,SC1111,SC1112,SC2016,SC2088 # no value is meant to be expanded\ndeclared() {\n")
	for _, words := range lines {
		line, err := shell.Command(words...)
		if err != nil {
			return "", err
		}
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("}\n\n" + scriptText)
	return b.String(), nil
}

// claimed are the places of others that a dataset may be mounted beneath.
func claimed(desired Desired) [][]string {
	var lines [][]string
	for _, c := range desired.Claims {
		if c.Path == stateward.Root || !slices.ContainsFunc(desired.Datasets, func(w Wanted) bool {
			if w.Role == Foreign || w.Implicit || w.Type == Volume {
				return false
			}
			s, own := w.Setting("mountpoint")
			at, err := stateward.ParsePath(s.value)
			return !own || err == nil && at.Below(c.Path)
		}) {
			continue
		}
		lines = append(lines, []string{"claim", c.Path.String(), strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return '?'
			}
			return r
		}, c.By)})
	}
	return lines
}

// declaration are the calls that tell the script of a dataset.
func declaration(w *Wanted) [][]string {
	kind := "own"
	switch {
	case w.Role == Foreign:
		kind = "foreign"
	case w.Implicit:
		kind = "container"
	case w.Type == Volume:
		kind = "volume"
	}
	words := []string{"dataset", kind, w.Name.s}
	if kind == "own" && !(w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero()) {
		words = append(words, w.Owner.String(), w.Group.String(), w.Mode.String())
	}
	lines := [][]string{words}
	if kind == "foreign" {
		return lines
	}
	for _, s := range w.Settings {
		call := "property"
		if p, ok := LookupProperty(s.name); ok && p.CreateOnly {
			call = "at_creation"
		}
		words := []string{call, s.name, s.Text()}
		if s.Text() != s.value {
			words = append(words, s.value)
		}
		lines = append(lines, words)
	}
	for _, property := range w.Inherit {
		lines = append(lines, []string{"inherits", property})
	}
	return lines
}
