package nixos

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// tmpfiles reads `systemd.tmpfiles.rules` and `systemd.tmpfiles.settings`. A line that systemd ignores is no rule.
func tmpfiles(top *dialect.Node) stateward.Value[[]stateward.TmpfilesRule] {
	n := top.At("systemd", "tmpfiles")
	rules := tmpfilesRules(n.At("rules"))
	dialect.MergeWhole(&rules, tmpfilesSettings(n.At("settings")))
	return rules
}

// tmpfilesRules reads texts, or, as the projection gives them where it knows that, the texts of each file with its name.
func tmpfilesRules(n *dialect.Node) stateward.Value[[]stateward.TmpfilesRule] {
	var why *stateward.Unknown
	rules, index := []stateward.TmpfilesRule{}, 0
	add := func(t *dialect.Node, file string) {
		o := stateward.Origin{Option: fmt.Sprintf("systemd.tmpfiles.rules[%d]", index), File: file}
		index++
		text := t.Text()
		if u, unknown := text.Why(); unknown {
			why = &u
		}
		for line := range strings.SplitSeq(text.Or(""), "\n") {
			if l, there, err := parseTmpfilesLine(line); there && err == nil {
				rules = append(rules, l.rule(o))
			}
		}
	}
	each := dialect.ListOf(n, func(e *dialect.Node) (struct{}, bool) {
		if e.Kind() != dialect.Attrs {
			add(e, "")
			return struct{}{}, false
		}
		file := e.At("file").Text().Or("")
		if u, unknown := e.At("rules").Why(); unknown {
			why = &u
		}
		skipped, _ := e.At("skipped").Int().Get()
		index += skipped
		for _, t := range e.At("rules").List() {
			add(t, file)
		}
		return struct{}{}, false
	})
	switch {
	case why != nil:
		return stateward.NotKnown[[]stateward.TmpfilesRule](*why)
	case each.IsKnown():
		return stateward.Known(rules, n.Origin())
	}
	return stateward.MapValue(each, func([]struct{}) ([]stateward.TmpfilesRule, error) { return nil, nil })
}

// tmpfilesSettings reads `settings.<file>.<path>.<type>`, of which NixOS writes a line each.
func tmpfilesSettings(n *dialect.Node) stateward.Value[[]stateward.TmpfilesRule] {
	var why *stateward.Unknown
	note := func(n *dialect.Node) bool {
		u, unknown := n.Why()
		if unknown {
			why = &u
		}
		return !unknown
	}
	files := dialect.AttrsOf(n, func(_ string, n *dialect.Node) ([]stateward.TmpfilesRule, bool) {
		var rules []stateward.TmpfilesRule
		note(n)
		for _, at := range n.Attrs() {
			note(at.Node)
			for _, kind := range at.Node.Attrs() {
				e := kind.Node
				if !note(e) {
					continue
				}
				field := func(name string) string { return filled(e.At(name).Text().Or("")) }
				l := tmpfilesLine{kind: e.At("type").Filled().Or(kind.Name), path: at.Name,
					mode: field("mode"), user: field("user"), group: field("group"), age: field("age")}
				argument := e.At("argument").Filled()
				if !note(e.At("argument")) || !note(e.At("type")) {
					continue
				}
				l.argument, l.given = argument.Get()
				// The module puts the path between quotes, and escapes the argument: both are meant as they stand, but for specifiers.
				path, unresolved, err := tmpfilesSpecifiers(l.path)
				if err == nil {
					l.path, l.unresolved = path, unresolved
				}
				if target, unresolved, err := tmpfilesSpecifiers(l.argument); err == nil && strings.HasPrefix(l.kind, "L") {
					l.argument, l.unresolved = target, l.unresolved || unresolved
				}
				if err == nil && strings.HasPrefix(l.path, "/") && l.kind != "" && strings.Contains(tmpfilesTypes, l.kind[:1]) {
					rules = append(rules, l.rule(e.Origin()))
				}
			}
		}
		return rules, true
	})
	if why != nil {
		return stateward.NotKnown[[]stateward.TmpfilesRule](*why)
	}
	return stateward.MapValue(files, func(files [][]stateward.TmpfilesRule) ([]stateward.TmpfilesRule, error) {
		rules := []stateward.TmpfilesRule{}
		for _, f := range files {
			rules = append(rules, f...)
		}
		return rules, nil
	})
}

func (l tmpfilesLine) rule(o stateward.Origin) stateward.TmpfilesRule {
	kind := stateward.File
	if strings.Contains("dDvqQeC", l.kind[:1]) {
		kind = stateward.Directory
	}
	r := stateward.TmpfilesRule{Type: l.kind, At: stateward.NewEntry(l.path, kind, o), Age: l.age, Origin: o}
	if l.unresolved {
		r.At.Path, r.At.Problem = stateward.AbsPath{}, &stateward.PathError{Text: l.path, Reason: "has a specifier that only the running machine resolves"}
	}
	// A colon leaves alone what is there already, a tilde masks the mode by what is there.
	for _, field := range []string{l.user, l.group, l.mode} {
		r.OnlyNew = r.OnlyNew || strings.HasPrefix(strings.TrimLeft(field, "~"), ":")
	}
	r.At.User = ownership(l.user, ":", o, stateward.ParseOwner)
	r.At.Group = ownership(l.group, ":", o, stateward.ParseOwner)
	r.At.Mode = ownership(l.mode, ":~", o, stateward.ParseMode)
	r.Argument = stateward.Absent[string](o)
	switch {
	case l.given:
		r.Argument = stateward.Known(l.argument, o)
	case l.kind[0] == 'L' || l.kind[0] == 'C':
		r.Argument = stateward.Known("/usr/share/factory"+l.path, o)
	}
	return r
}

// ownership is absent where nothing is given, or what systemd itself resolves.
func ownership[T any](text, prefixes string, o stateward.Origin, parse func(string) (T, error)) stateward.Value[T] {
	if v, err := parse(strings.TrimLeft(text, prefixes)); err == nil && text != "" {
		return stateward.Known(v, o)
	}
	return stateward.Absent[T](o)
}
