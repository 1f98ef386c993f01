package nix

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Module is what a NixOS module sets, as a value: [Module.Nix] writes it as one, and [Module.Data] is the same as JSON has it, for a module that
// reads that. What has no form of its own in JSON is an object with "_type" there: [Run], [Config], [Default] and [After].
type Module struct {
	// Scripts are programs that its values run, each a file of the store.
	Scripts []Script
	Options []Option
}

// Option is an option of NixOS, and what it is set to: string, bool, int, [Text], [List], [Settings], [Run], [Config], [Default] or [After].
type Option struct {
	Path  []string
	Value any
}

// Settings is an attribute set with a line for each attribute. A name is a name, whatever it holds, and is quoted where it has to be.
type Settings []Attr

// Script is a script of bash, without the line that says so.
type Script struct{ Name, Text string }

// Run is the command line that runs a script of the module. Arguments are written as they are.
type Run struct {
	Script    string
	Arguments string
}

// Config is what another option of the configuration is.
type Config []string

// Package is one of nixpkgs, by its name. It is no value of JSON.
type Package string

// Default is a value that gives way to any other definition (mkDefault).
type Default struct{ Value any }

// After is a list that comes after the other definitions (mkAfter).
type After List

// Add sets an option; nothing where the value is empty.
func (m *Module) Add(value any, path ...string) {
	switch v := value.(type) {
	case Settings:
		if len(v) == 0 {
			return
		}
	case List:
		if len(v) == 0 {
			return
		}
	case After:
		if len(v) == 0 {
			return
		}
	}
	m.Options = append(m.Options, Option{path, value})
}

// TextFile is `environment.etc.<name>` of a file below /etc.
func TextFile(path, text string) Attr {
	return Attr{Name: strings.TrimPrefix(path, "/etc/"), Value: Settings{{Name: "text", Value: Text(text)}}}
}

// Nix is the module as a file. Each line of the head becomes a comment.
func (m Module) Nix(head ...string) (string, error) {
	body, err := Write(m.block(), 0)
	if err != nil {
		return "", err
	}
	return m.around(body, head)
}

// Modules is one file that imports several modules; first are options of its own.
func Modules(first Module, list []Module, head ...string) (string, error) {
	all := Module{Scripts: first.Scripts}
	block := first.block()
	var imports List
	for _, m := range list {
		imports = append(imports, m.block())
		all.Scripts = append(all.Scripts, m.Scripts...)
		all.Options = append(all.Options, m.Options...)
	}
	all.Options = append(all.Options, first.Options...)
	body, err := Write(append(Block{{Name: "imports", Value: imports}}, block...), 0)
	if err != nil {
		return "", err
	}
	return all.around(body, head)
}

// around writes what a body of Nix needs around it.
func (m Module) around(body string, head []string) (string, error) {
	var b strings.Builder
	for _, line := range head {
		b.WriteString("# " + line + "\n")
	}
	args := map[string]bool{"pkgs": len(m.Scripts) > 0}
	for _, o := range m.Options {
		needs(o.Value, args)
	}
	var names []string
	for _, name := range []string{"config", "lib", "pkgs"} {
		if args[name] {
			names = append(names, name)
		}
	}
	b.WriteString(Head(names...))
	if len(m.Scripts) > 0 {
		b.WriteString("let\n")
		for _, s := range m.Scripts {
			text, err := Write(Text(s.Text), 1)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "  %s = pkgs.writeShellScript %s %s;\n", attrName(s.Name), String(s.Name), text)
		}
		b.WriteString("in ")
	}
	b.WriteString(body + "\n")
	return b.String(), nil
}

// block is the options, each by its path.
func (m Module) block() Block {
	out := Block{}
	for _, o := range m.Options {
		names := make([]string, len(o.Path))
		for i, name := range o.Path {
			names[i] = attrName(name)
		}
		out = append(out, Attr{Name: strings.Join(names, "."), Value: o.Value})
	}
	return out
}

// needs says which arguments of a module a value takes.
func needs(v any, args map[string]bool) {
	switch v := v.(type) {
	case Settings:
		for _, a := range v {
			needs(a.Value, args)
		}
	case Set:
		needs(Settings(v), args)
	case List:
		for _, e := range v {
			needs(e, args)
		}
	case Config:
		args["config"] = true
	case Package:
		args["pkgs"] = true
	case Default:
		args["lib"] = true
		needs(v.Value, args)
	case After:
		args["lib"] = true
		needs(List(v), args)
	}
}

// expression is a value of [Module] that Write has no case of its own for, as one that it has.
func expression(v any, depth int) (any, error) {
	called := func(f string, value any) (any, error) {
		text, err := Write(value, depth)
		return Raw(f + " " + text), err
	}
	switch v := v.(type) {
	case Settings:
		block := Block{}
		for _, a := range v {
			if err := checkText(a.Name); err != nil {
				return nil, err
			}
			block = append(block, Attr{Name: attrName(a.Name), Value: a.Value})
		}
		return block, nil
	case Run:
		text := String(v.Arguments)
		if name := attrName(v.Script); !strings.HasPrefix(name, `"`) {
			return Raw(`"${` + name + "}" + text[1:]), nil
		}
		return nil, fmt.Errorf("the script %q has no name that can be written", v.Script)
	case Config:
		names := []string{"config"}
		for _, name := range v {
			names = append(names, attrName(name))
		}
		return Raw(strings.Join(names, ".")), nil
	case Package:
		return Raw("pkgs." + attrName(string(v))), nil
	case Default:
		return called("lib.mkDefault", v.Value)
	case After:
		return called("lib.mkAfter", List(v))
	}
	return nil, fmt.Errorf("cannot write a %T as a nix expression", v)
}

// Data is the options as JSON has them: objects, arrays, strings, numbers and booleans. A text that JSON cannot hold as it is, or Nix cannot, is an error; so
// is an option that is set twice.
func (m Module) Data() (map[string]any, error) {
	out := map[string]any{}
	for _, o := range m.Options {
		v, err := data(o.Value)
		if err != nil {
			return nil, err
		}
		at := out
		for i, name := range o.Path {
			if i == len(o.Path)-1 {
				if _, twice := at[name]; twice {
					return nil, fmt.Errorf("the option %s is set twice", strings.Join(o.Path, "."))
				}
				at[name] = v
				break
			}
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			next, ok := at[name].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("the option %s lies in another one", strings.Join(o.Path, "."))
			}
			at = next
		}
	}
	return out, nil
}

func data(v any) (any, error) {
	set := func(attrs []Attr) (any, error) {
		out := map[string]any{}
		for _, a := range attrs {
			name, err := dataText(a.Name)
			if err != nil {
				return nil, err
			}
			if _, twice := out[name]; twice || name == "_type" {
				return nil, fmt.Errorf("an attribute is named %q, which cannot be written", name)
			}
			if out[name], err = data(a.Value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	list := func(l []any) ([]any, error) {
		out := make([]any, 0, len(l))
		for _, e := range l {
			d, err := data(e)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
		return out, nil
	}
	switch v := v.(type) {
	case string:
		return dataText(v)
	case Text:
		return dataText(string(v))
	case bool:
		return v, nil
	case int:
		// What others read as a floating point number would be another one.
		if int64(v) > 1<<53 || int64(v) < -1<<53 || int64(v) == math.MinInt64 {
			return nil, fmt.Errorf("the number %d is too large", v)
		}
		return v, nil
	case Settings:
		return set(v)
	case Set:
		return set(v)
	case List:
		return list(v)
	case Run:
		return map[string]any{"_type": "script", "name": v.Script, "arguments": v.Arguments}, nil
	case Config:
		return map[string]any{"_type": "config", "path": slices.Clone([]string(v))}, nil
	case Default:
		value, err := data(v.Value)
		return map[string]any{"_type": "default", "value": value}, err
	case After:
		value, err := list(v)
		return map[string]any{"_type": "after", "value": value}, err
	}
	return nil, fmt.Errorf("cannot write a %T as data", v)
}

func dataText(s string) (string, error) {
	if err := checkText(s); err != nil {
		return "", err
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("text %q is not UTF-8, which JSON is", s)
	}
	return s, nil
}
