package nixos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// hostCase is a host, as an attribute set of Nix that stands for its config, and what is
// expected of it, one line each.
type hostCase struct {
	config string
	// options stands for the host's options; empty means that it has none.
	options string
	want    []string
	unknown []string
}

// runHosts evaluates all cases in one run of nix and compares what show tells of each.
func runHosts(t *testing.T, cases map[string]hostCase, show func(stateward.Host) []string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(cases))
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = "{ config = " + cases[name].config + "; }"
		if o := cases[name].options; o != "" {
			texts[i] = "{ config = " + cases[name].config + "; options = " + o + "; }"
		}
	}
	hosts := evaltest.Decode(t, nixos.Dialect(), texts...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(cases[name].want, show(hosts[i])); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
			if d := cmp.Diff(cases[name].unknown, unknowns(hosts[i])); d != "" {
				t.Errorf("unknown: want -, got +\n%s", d)
			}
		})
	}
}

func unknowns(h stateward.Host) []string {
	var out []string
	for _, u := range h.Unknown {
		out = append(out, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message))
	}
	return out
}

// entryLine is `"as written" /path user:group mode`, with "!" and the reason for a
// path that is none, and without what is absent.
func entryLine(e stateward.Entry) string {
	parts := []string{fmt.Sprintf("%q", e.Text)}
	if e.Problem != nil {
		parts = append(parts, "! "+e.Problem.Error())
	} else if e.Text != e.Path.String() {
		parts = append(parts, e.Path.String())
	}
	if e.Kind == stateward.File {
		parts = append(parts, "file")
	}
	if !e.User.IsAbsent() || !e.Group.IsAbsent() {
		parts = append(parts, fmt.Sprintf("%s:%s", e.User, e.Group))
	}
	if !e.Mode.IsAbsent() {
		parts = append(parts, e.Mode.String())
	}
	return strings.Join(parts, " ")
}

// valueLine is `name = value`; nothing for what is absent.
func valueLine[T any](lines *[]string, name string, v stateward.Value[T]) {
	if !v.IsAbsent() {
		*lines = append(*lines, fmt.Sprintf("%s = %v", name, v))
	}
}

// serviceLines shows each service with its state and what else differs from the usual.
func serviceLines(h stateward.Host) []string {
	var out []string
	for _, s := range h.Services.Or(nil) {
		line := s.Name
		if on, known := s.Enable.Get(); !known {
			line += " enable=" + s.Enable.String()
		} else if !on {
			line += " off"
		}
		if len(s.Units) > 0 {
			line += " " + strings.Join(s.Units, ",")
		}
		if dyn, _ := s.DynamicUser.Get(); dyn {
			line += " dynamic"
		}
		out = append(out, line)
		paths, complete := s.StatePaths()
		for _, p := range paths {
			line := "  " + entryLine(p.Entry) + " " + string(p.Source)
			if p.Pattern {
				line += " pattern"
			}
			if p.ReadOnly {
				line += " read-only"
			}
			if p.Perhaps {
				line += " perhaps"
			}
			out = append(out, line)
		}
		if !complete {
			out = append(out, "  state is "+s.State.String())
		}
	}
	return out
}

// texts are all texts at a place and below it.
func texts(n *dialect.Node) []string {
	switch n.Kind() {
	case dialect.String:
		return []string{n.Text().Or("")}
	case dialect.List:
		var out []string
		for _, e := range n.List() {
			out = append(out, texts(e)...)
		}
		return out
	case dialect.Attrs:
		var out []string
		for _, a := range n.Attrs() {
			out = append(out, texts(a.Node)...)
		}
		return out
	}
	return nil
}
