package table

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shapes has the Nix library of every projection of a table.
//
//go:embed shapes.nix
var shapes string

// head is what every projection of a table begins with.
var head = "{ probe }:\n{ config, options }:\nlet inherit ((\n" + shapes + ") { inherit probe; } { inherit config options; }) a e f g l w; in\n"

// place is one component of the options that are read.
type place struct {
	below map[string]*place
	// value tells that the option at this place holds a place, and does not switch a service on.
	value bool
	// always tells that the value is read in any case; gates are the options of which one must be on otherwise.
	always bool
	gates  map[string]bool
	// cuts are, for a "*", the places below that are read only where one of some options of the same item is on.
	cuts map[string]map[string]bool
	// open are the places below a "*" that are read in any case.
	open map[string]bool
}

func (p *place) at(parts []string) *place {
	for _, c := range parts {
		if p.below == nil {
			p.below = map[string]*place{}
		}
		if p.below[c] == nil {
			p.below[c] = &place{}
		}
		p = p.below[c]
	}
	return p
}

// project writes the projection: one section for what has a prefix in common, so that
// an error that all of them share costs no run for each.
func project(rows []Row) string {
	sections := map[string]*place{}
	for _, r := range rows {
		for _, o := range [][]string{split(r.Enable), split(r.Unless), split(r.Option)} {
			if len(o) == 0 {
				continue
			}
			// Definitions are located two levels below a section.
			n := max(1, len(o)-2)
			if i := slices.Index(o, "*"); i > 0 {
				n = i
			}
			sections[strings.Join(o[:n], ".")] = &place{}
		}
	}
	// A section hides what those above it have at its place.
	section := func(path []string) (*place, []string) {
		for n := len(path); ; n-- {
			if s := sections[strings.Join(path[:n], ".")]; s != nil {
				return s, path[n:]
			}
		}
	}
	for _, r := range rows {
		enable := split(r.Enable)
		for _, o := range [][]string{enable, split(r.Unless)} {
			if len(o) > 0 {
				s, rest := section(o)
				s.at(rest)
			}
		}
		if r.Option == "" {
			continue
		}
		s, rest := section(split(r.Option))
		leaf := s.at(rest)
		leaf.value = true
		last := -1
		for i, c := range enable {
			if c == "*" {
				last = i
			}
		}
		switch {
		case len(enable) > 0 && last < 0:
			leaf.gate(nixList(enable))
		default:
			leaf.always = true
		}
		star := slices.Index(split(r.Option), "*")
		if star < 0 {
			continue
		}
		// The item is below the last "*" of enable, or else below the first of option.
		option, relative := split(r.Option), ""
		item := star
		if last >= 0 {
			item, relative = last, nixList(enable[last+1:])
		}
		s.at(rest[:len(rest)-(len(option)-item-1)]).cut(nixList(option[item+1:]), relative)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&b, "    %q = %s;\n", name, sections[name].shape())
	}
	read := b.String()
	detected := map[string]bool{}
	for name := range sections {
		top, _, _ := strings.Cut(name, ".")
		detected["config ? "+top] = true
	}
	if len(detected) == 0 {
		detected["false"] = true
	}
	// A saved evaluation that has read other options lacks this section, and is refused.
	sum := sha256.Sum256([]byte(read))
	return head + "{\n  detected = " + strings.Join(slices.Sorted(maps.Keys(detected)), " || ") + ";\n  sections = {\n" + read +
		fmt.Sprintf("    %q = probe.value true;\n", rowsSection+hex.EncodeToString(sum[:6])) + "  };\n}\n"
}

const rowsSection = "rows-"

func (p *place) gate(enable string) {
	if p.gates == nil {
		p.gates = map[string]bool{}
	}
	p.gates[enable] = true
}

func (p *place) cut(at, on string) {
	if on == "" {
		if p.open == nil {
			p.open = map[string]bool{}
		}
		p.open[at] = true
		return
	}
	if p.cuts == nil {
		p.cuts = map[string]map[string]bool{}
	}
	if p.cuts[at] == nil {
		p.cuts[at] = map[string]bool{}
	}
	p.cuts[at][on] = true
}

// shape writes what is read of a place.
func (p *place) shape() string {
	switch {
	case len(p.below) == 1 && p.below["*"] != nil:
		return "a " + p.below["*"].item()
	case len(p.below) > 0:
		return p.fields()
	case p.value && !p.always:
		return "g [ " + strings.Join(slices.Sorted(maps.Keys(p.gates)), " ") + " ]"
	case p.value:
		return "l"
	default:
		return "e"
	}
}

func (p *place) fields() string {
	var b strings.Builder
	b.WriteString("f { ")
	for _, name := range slices.Sorted(maps.Keys(p.below)) {
		fmt.Fprintf(&b, "%s = %s; ", name, p.below[name].shape())
	}
	return b.String() + "}"
}

// item writes what is read of each attribute of a set.
func (p *place) item() string {
	s := "(" + p.shape() + ")"
	var gates []string
	for _, at := range slices.Sorted(maps.Keys(p.cuts)) {
		if !p.open[at] {
			gates = append(gates, fmt.Sprintf("{ at = %s; on = [ %s ]; }", at, strings.Join(slices.Sorted(maps.Keys(p.cuts[at])), " ")))
		}
	}
	if len(gates) == 0 {
		return s
	}
	return "(w [ " + strings.Join(gates, " ") + " ] " + s + ")"
}

// split splits the path of an option, which [check] has seen.
func split(option string) []string {
	if option == "" {
		return nil
	}
	return strings.Split(option, ".")
}

func nixList(names []string) string {
	var b strings.Builder
	b.WriteString("[ ")
	for _, n := range names {
		fmt.Fprintf(&b, "%q ", n)
	}
	return b.String() + "]"
}
