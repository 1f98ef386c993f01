package stateward_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/nixtest"
	dialectstateward "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

func TestTableOfOptionsIsWhole(t *testing.T) {
	data, err := os.ReadFile("options.json")
	require.NoError(t, err)
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	var table dialectstateward.OptionTable
	require.NoError(t, d.Decode(&table))
	table = dialectstateward.Options()
	require.NotEmpty(t, table.Options)
	for name, typ := range table.Types {
		require.NotEmpty(t, typ.Description, name)
		_, err := regexp.Compile("^(" + typ.Pattern + ")$")
		require.NoError(t, err, name)
		require.Equal(t, typ.Pattern == "", typ.Fault == "", name)
	}
	var visit func(path string, fields []dialectstateward.Option)
	visit = func(path string, fields []dialectstateward.Option) {
		seen := map[string]bool{}
		for _, o := range fields {
			at := path + "." + o.Name
			require.False(t, seen[o.Name], "%s twice", at)
			seen[o.Name] = true
			require.True(t, strings.HasSuffix(o.Description, "."), "%s: %q is no sentence", at, o.Description)
			holds := slices.Contains([]string{"set", "list", "attrs", "group"}, o.Type)
			require.Equal(t, holds, len(o.Fields) > 0, at)
			if o.Type != "group" {
				require.Contains(t, table.Types, o.Type, at)
				require.True(t, o.Example != "" || o.Type == "set", "%s has no example", at)
			}
			require.Equal(t, o.Pattern == "", o.Fault == "", at)
			if o.Pattern != "" {
				require.Regexp(t, "^(\"?)("+o.Pattern+")(\"?)$", o.Example, at)
			}
			for _, v := range o.Values {
				require.NotEmpty(t, v, at)
			}
			visit(at, o.Fields)
		}
	}
	visit("stateward", table.Options)
}

// contractShapes reads contract.nix with shapes that only tell what they are.
const contractShapes = `
let
  leaf = { kind = "value"; below = null; items = false; };
  probe = {
    anyTo = _: leaf;
    lines = leaf;
    text = leaf;
    via = _: s: s;
    attrsOf = of: { kind = "attrs"; inherit of; below = null; items = false; };
    listOf = of: { kind = "list"; inherit of; below = null; items = true; };
    fields = names: { kind = "set"; inherit names; below = null; items = false; };
  };
  show = s:
    if s.kind == "set" then builtins.mapAttrs (_: show) (removeAttrs s.names [ "?" ])
    else if s.kind == "value" then true
    else show s.of;
  contract = import %s { inherit probe; };
in {
  services = show contract.service;
  backup = show contract.backup;
  pitr = show contract.pitr;
  acknowledge = show contract.acknowledgements;
}
`

// What is read are the options that there are.
func TestShapesOfTheContractAreTheOptions(t *testing.T) {
	var shape func(fields []dialectstateward.Option) map[string]any
	shape = func(fields []dialectstateward.Option) map[string]any {
		out := map[string]any{}
		for _, o := range fields {
			if o.Own {
				continue
			}
			out[o.Name] = true
			if len(o.Fields) > 0 {
				out[o.Name] = shape(o.Fields)
			}
			if o.Type == "scalars" || o.Type == "spans" {
				out[o.Name] = true
			}
		}
		return out
	}
	want := shape(dialectstateward.Options().Options)
	dir, err := os.Getwd()
	require.NoError(t, err)
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var got map[string]any
			nix.JSON(t, fmt.Sprintf(contractShapes, dir+"/contract.nix"), &got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("options.json -, contract.nix +\n%s", d)
			}
		})
	}
}

// tableCase is one option of the contract: around makes the sections of a host of what stands in its set.
type tableCase struct {
	path   string
	option dialectstateward.Option
	around func(set map[string]any) map[string]any
	// beside are the options of the same set.
	beside []dialectstateward.Option
}

// eachOption visits every option of the contract, however deep.
func eachOption(t *testing.T, visit func(c tableCase)) {
	t.Helper()
	var below func(path string, fields []dialectstateward.Option, around func(map[string]any) map[string]any)
	below = func(path string, fields []dialectstateward.Option, around func(map[string]any) map[string]any) {
		// What must be there is there, so that one thing only is told.
		required := func(except string) map[string]any {
			set := map[string]any{}
			for _, o := range fields {
				if o.Required && o.Name != except {
					set[o.Name] = sample(o)
				}
			}
			return set
		}
		for _, o := range fields {
			at := path + "." + o.Name
			visit(tableCase{at, o, func(set map[string]any) map[string]any {
				whole := required(o.Name)
				for k, v := range set {
					whole[k] = v
				}
				return around(whole)
			}, fields})
			if len(o.Fields) == 0 {
				continue
			}
			inner := func(set map[string]any) map[string]any {
				whole := required(o.Name)
				switch whole[o.Name] = set; o.Type {
				case "list":
					whole[o.Name] = []any{set}
				case "attrs":
					whole[o.Name] = map[string]any{"n": set}
				}
				return around(whole)
			}
			below(at, o.Fields, inner)
		}
	}
	for _, o := range dialectstateward.Options().Options {
		if o.Own {
			continue
		}
		section := "stateward." + o.Name
		below(section, o.Fields, func(set map[string]any) map[string]any {
			switch o.Type {
			case "attrs":
				return map[string]any{section: map[string]any{"x": set}}
			case "list":
				return map[string]any{section: []any{set}}
			}
			return map[string]any{section: set}
		})
	}
}

// sample is a value that an option may have.
func sample(o dialectstateward.Option) any {
	if len(o.Values) > 0 && o.Type == "text" {
		return o.Values[0]
	}
	switch o.Type {
	case "bool":
		// Much is on where nothing is said.
		return o.Name != "enable" || o.Required
	case "number", "count", "int", "port", "amount":
		return 3
	case "path", "place":
		return "/a/b"
	case "span":
		return "2h"
	case "mode":
		return "0700"
	case "texts", "places", "command":
		if len(o.Values) > 0 {
			return []any{o.Values[0]}
		}
		return []any{"/a"}
	case "spans":
		return map[string]any{o.Values[0]: "2h"}
	case "scalars":
		return map[string]any{"a": "b"}
	case "set", "list", "attrs":
		set := map[string]any{}
		for _, f := range o.Fields {
			if f.Required {
				set[f.Name] = sample(f)
			}
		}
		switch o.Type {
		case "list":
			return []any{set}
		case "attrs":
			return map[string]any{"n": set}
		}
		return set
	}
	return strings.Trim(o.Example, `"`)
}

func equalHosts(a, b stateward.Host) string {
	return cmp.Diff(a, b, cmp.Exporter(func(reflect.Type) bool { return true }))
}

// Null is left out, in every field: the module has it where nobody says anything.
func TestNullIsLeftOutInEveryField(t *testing.T) {
	d := dialectstateward.Dialect()
	visited := 0
	eachOption(t, func(c tableCase) {
		visited++
		without := decodeJSON(t, d, c.around(nil))
		null := decodeJSON(t, d, c.around(map[string]any{c.option.Name: nil}))
		if diff := equalHosts(without, null); diff != "" {
			t.Errorf("%s: left out -, null +\n%s", c.path, diff)
		}
		// With all else null, as the module has it.
		with := decodeJSON(t, d, c.around(map[string]any{c.option.Name: sample(c.option)}))
		nulled := map[string]any{c.option.Name: sample(c.option)}
		for _, o := range c.beside {
			if o.Name != c.option.Name && !o.Required {
				nulled[o.Name] = nil
			}
		}
		null = decodeJSON(t, d, c.around(nulled))
		if diff := equalHosts(with, null); diff != "" {
			t.Errorf("%s: alone -, beside nulls +\n%s", c.path, diff)
		}
		if len(c.option.Fields) == 0 {
			return
		}
		nulls := map[string]any{}
		for _, o := range c.option.Fields {
			nulls[o.Name] = nil
		}
		set := func(v map[string]any) any {
			switch c.option.Type {
			case "list":
				return []any{v}
			case "attrs":
				return map[string]any{"n": v}
			}
			return v
		}
		without = decodeJSON(t, d, c.around(map[string]any{c.option.Name: set(map[string]any{})}))
		null = decodeJSON(t, d, c.around(map[string]any{c.option.Name: set(nulls)}))
		if diff := equalHosts(without, null); diff != "" {
			t.Errorf("%s: an empty set -, one of nulls +\n%s", c.path, diff)
		}
	})
	require.Greater(t, visited, 150)
}

// A field that is declared is read: its value is somewhere in the host, and one of another type is told.
func TestEveryFieldIsRead(t *testing.T) {
	d := dialectstateward.Dialect()
	eachOption(t, func(c tableCase) {
		without := decodeJSON(t, d, c.around(nil))
		set := map[string]any{c.option.Name: sample(c.option)}
		with := decodeJSON(t, d, c.around(set))
		for _, u := range with.Unknown {
			if !slices.ContainsFunc(without.Unknown, func(v stateward.Unknown) bool { return v.Subject == u.Subject }) {
				t.Errorf("%s: %s: %s", c.path, u.Subject, u.Message)
			}
		}
		holds := c.option.Type == "set" || c.option.Type == "list" || c.option.Type == "attrs"
		if !c.option.Reserved && !holds && c.path != "stateward.services.notifications.enable" && equalHosts(without, with) == "" {
			t.Errorf("%s is not read", c.path)
		}
		wrong := decodeJSON(t, d, c.around(map[string]any{c.option.Name: map[string]any{"?": []any{"a"}, "a": []any{1}}}))
		if !c.option.Reserved && c.option.Type != "list" && c.option.Type != "attrs" && c.option.Type != "scalars" && c.path != "stateward.services.notifications.enable" &&
			!slices.ContainsFunc(wrong.Unknown, func(u stateward.Unknown) bool { return strings.Contains(u.Subject+".", "."+c.option.Name+".") }) {
			t.Errorf("%s: a set of other fields is not told", c.path)
		}
	})
}

// docs/contract.md names what there is, and nothing else.
func TestContractNamesTheOptions(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/contract.md")
	require.NoError(t, err)
	doc = regexp.MustCompile("(?s)```.*?```").ReplaceAll(doc, nil)
	// Names of options in code: of rows' first cells, and in the texts.
	cells := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|")
	codes := regexp.MustCompile("`([^`]+)`")
	said := map[string]bool{}
	for _, m := range codes.FindAllStringSubmatch(string(doc), -1) {
		for _, part := range strings.Split(m[1], ".") {
			said[part] = true
		}
	}
	known := map[string]bool{"<name>": true}
	eachOption(t, func(c tableCase) {
		known[c.option.Name] = true
		if !said[c.option.Name] {
			t.Errorf("docs/contract.md does not name %s", c.path)
		}
	})
	for _, m := range cells.FindAllStringSubmatch(string(doc), -1) {
		for _, code := range codes.FindAllStringSubmatch(m[1], -1) {
			for _, part := range strings.Split(code[1], ".") {
				if !known[part] {
					t.Errorf("docs/contract.md has a row for %q, which options.json has not", code[1])
				}
			}
		}
	}
}
