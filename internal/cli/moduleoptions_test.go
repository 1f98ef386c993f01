package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/nixtest"
	contract "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

// declaredOption is an option as the module system has it.
type declaredOption struct {
	Path, Type, Description, Example string
	Default                          any
}

// declaredOptions are those of the table, each before what lies below it.
func declaredOptions(t *testing.T, table contract.OptionTable) []declaredOption {
	t.Helper()
	var out []declaredOption
	var visit func(path string, fields []contract.Option)
	visit = func(path string, fields []contract.Option) {
		for _, o := range fields {
			at := path + "." + o.Name
			if o.Type != "group" {
				d := declaredOption{Path: at, Type: table.TypeText(o), Description: o.DescriptionText(), Example: o.Example}
				if o.Default != nil {
					require.NoError(t, json.Unmarshal(o.Default, &d.Default), at)
				}
				out = append(out, d)
			}
			visit(o.Below(at), o.Fields)
		}
	}
	visit("stateward", table.Options)
	return out
}

// The options that the module declares are those of the table, on every nix.
func TestModuleDeclaresTheOptionsOfTheTable(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	want := map[string]declaredOption{}
	for _, o := range declaredOptions(t, contract.Options()) {
		want[o.Path] = o
	}
	expression := fmt.Sprintf(`
let
  inherit (builtins) attrNames concatMap concatStringsSep;
  lib = import %s/examples/homelab/lib;
  host = lib.evalModules { modules = [ %[1]s/examples/homelab/modules %[1]s/nix/module ]; };
  one = o: [ {
    Path = concatStringsSep "." o.loc;
    Type = o.type.description;
    Default = o.default;
    Description = o.description;
    Example = o.example.text or "";
  } ] ++ below (removeAttrs (o.type.getSubOptions o.loc) [ "_module" ]);
  below = os: concatMap (n: if os.${n}._type or "" == "option" then one os.${n} else below os.${n}) (attrNames os);
  # What the guard writes is nobody's to set.
in below (host.options.stateward // { guard = removeAttrs host.options.stateward.guard [ "evaluation" ]; })
`, root)
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var list []declaredOption
			nix.JSON(t, expression, &list)
			got := map[string]declaredOption{}
			for _, o := range list {
				got[o.Path] = o
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("options.json -, nix/module +\n%s", d)
			}
		})
	}
}

func TestOptionsDocumentIsFresh(t *testing.T) {
	golden.Compare(t, filepath.Join(repository, "docs/options.md"), []byte(optionsDocument(contract.Options())))
}

// optionsDocument is docs/options.md.
func optionsDocument(table contract.OptionTable) string {
	var b strings.Builder
	b.WriteString(`# Options

Written from the table of which the module itself makes them. What is left out is null, which is "not stated", and never "no". [contract.md](contract.md) says
what it is for, and how the module is imported.
`)
	// Within a cell of a table.
	cell := func(text string) string {
		return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	}
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + cell(text) + "`"
	}
	// docs/x.md is beside this file.
	linked := func(text string) string {
		words := strings.Split(text, " ")
		for i, w := range words {
			if name, ok := strings.CutPrefix(w, "docs/"); ok {
				end := strings.TrimRight(name, ".,:;")
				words[i] = fmt.Sprintf("[%s](%s)", end, end) + name[len(end):]
			}
		}
		return strings.Join(words, " ")
	}
	typeText := func(o contract.Option) string { return strings.TrimPrefix(table.TypeText(o), "null or ") }
	for _, top := range table.Options {
		fmt.Fprintf(&b, "\n## stateward.%s\n\n%s\n", top.Name, linked(top.Description))
		if top.Example != "" {
			fmt.Fprintf(&b, "\n```nix\nstateward.%s = %s;\n```\n", top.Name, top.Example)
		}
		if len(top.Fields) == 0 {
			fmt.Fprintf(&b, "\nIt is %s.\n", typeText(top))
			continue
		}
		b.WriteString("\n| option | type | what | example |\n| --- | --- | --- | --- |\n")
		var visit func(path string, fields []contract.Option)
		visit = func(path string, fields []contract.Option) {
			for _, o := range fields {
				at := strings.TrimPrefix(path+"."+o.Name, ".")
				what := linked(o.DescriptionText())
				if o.Required {
					what = "Required. " + what
				}
				if o.Default != nil && len(o.Fields) == 0 {
					what += fmt.Sprintf(" Default: `%s`.", o.Default)
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", at, cell(typeText(o)), cell(what), code(o.Example))
				visit(o.Below(at), o.Fields)
			}
		}
		visit(strings.TrimPrefix(top.Below(""), "."), top.Fields)
	}
	return b.String()
}
