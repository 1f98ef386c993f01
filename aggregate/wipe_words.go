package aggregate

import (
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// word is one word of a command.
type word struct {
	text string
	// literal tells that nothing in it is expanded to what only the script knows.
	literal bool
	// head is the text before the first such expansion, and tail the text behind the last.
	head, tail string
}

func literalWord(text string) word { return word{text: text, literal: true, head: text, tail: text} }

func (w *word) add(text string) {
	w.text += text
	w.tail += text
	if w.literal {
		w.head += text
	}
}

func (w *word) hole() { w.literal, w.tail = false, "" }

// program returns the name of the program that a word names, and whether it is known.
func (w word) program() (string, bool) {
	t := w.text
	if !w.literal {
		// `$extraUtils/bin/zfs` is zfs, wherever that is.
		if t = w.tail; !strings.Contains(t, "/") {
			return "", false
		}
	}
	t = strings.TrimRight(t, "/")
	return t[strings.LastIndex(t, "/")+1:], true
}

// variables are what the shell variables of a script hold, as far as that can be told:
// those that are set once, or by one loop over words that are written out.
type variables map[string][]string

// maxAlternatives bounds for how many values of loops one command is read.
const maxAlternatives = 64

func readVariables(file *syntax.File) variables {
	bound := map[string][][]*syntax.Word{}
	bind := func(name string, words ...*syntax.Word) { bound[name] = append(bound[name], words) }
	// lose makes a variable one that has several values, which is one that is not known.
	lose := func(name string) { bind(name); bind(name) }
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			switch {
			case n.Name == nil || n.Naked:
			case n.Append || n.Index != nil || n.Array != nil:
				lose(n.Name.Value)
			case n.Value == nil:
				bind(n.Name.Value)
			default:
				bind(n.Name.Value, n.Value)
			}
		case *syntax.ForClause:
			iter, ok := n.Loop.(*syntax.WordIter)
			switch {
			case !ok || iter.Name == nil:
			case n.Select || !iter.InPos.IsValid() || len(iter.Items) > maxAlternatives:
				lose(iter.Name.Value)
			default:
				bind(iter.Name.Value, iter.Items...)
			}
		case *syntax.CallExpr:
			if len(n.Args) > 0 && slices.Contains([]string{"read", "mapfile", "readarray", "getopts", "printf"}, n.Args[0].Lit()) {
				for _, a := range n.Args[1:] {
					lose(a.Lit())
				}
			}
		}
		return true
	})
	vars := variables{}
	// What a variable holds may be said with another one, in a few rounds.
	for range 4 {
		next := maps.Clone(vars)
		for name, bs := range bound {
			if len(bs) == 1 && vars[name] == nil {
				if values, ok := vars.values(bs[0]); ok {
					next[name] = values
				}
			}
		}
		vars = next
	}
	return vars
}

// values returns the texts that words stand for, if all are known.
func (v variables) values(words []*syntax.Word) (texts []string, ok bool) {
	for _, w := range words {
		for _, values := range v.alternatives(w) {
			for _, e := range expand(w, values) {
				if !e.literal {
					return nil, false
				}
				texts = append(texts, e.text)
			}
		}
	}
	return texts, len(texts) > 0 && len(texts) <= maxAlternatives
}

// alternatives returns the values that the variables of some words can have together.
func (v variables) alternatives(words ...*syntax.Word) []map[string]string {
	all := []map[string]string{{}}
	for _, w := range words {
		syntax.Walk(w, func(n syntax.Node) bool {
			p, ok := n.(*syntax.ParamExp)
			if !ok || p.Param == nil || len(v[p.Param.Value]) == 0 {
				return true
			}
			name := p.Param.Value
			if _, done := all[0][name]; done || len(all)*len(v[name]) > maxAlternatives {
				return true
			}
			var more []map[string]string
			for _, a := range all {
				for _, value := range v[name] {
					m := maps.Clone(a)
					m[name] = value
					more = append(more, m)
				}
			}
			all = more
			return true
		})
	}
	return all
}

// expand returns the words that a word becomes: several where a variable outside of
// quotes holds blanks.
func expand(w *syntax.Word, values map[string]string) []word {
	out := []word{literalWord("")}
	last := func() *word { return &out[len(out)-1] }
	var parts func(ps []syntax.WordPart, quoted bool)
	parts = func(ps []syntax.WordPart, quoted bool) {
		for _, p := range ps {
			switch p := p.(type) {
			case *syntax.Lit:
				switch t := unescapeShell(p.Value, quoted); {
				case quoted, !strings.ContainsAny(p.Value, "*?[{"), len(w.Parts) == 1 && (p.Value == "[" || p.Value == "[["), p.Value == "{}":
					last().add(t)
				default:
					// Names of files, or several words: what stands before is known.
					i := strings.IndexAny(t, "*?[{")
					last().add(t[:max(i, 0)])
					last().hole()
					last().add(t[max(i, 0):])
				}
			case *syntax.SglQuoted:
				last().add(p.Value)
				if p.Dollar && strings.Contains(p.Value, `\`) {
					last().hole()
				}
			case *syntax.DblQuoted:
				parts(p.Parts, true)
			case *syntax.ParamExp:
				value, ok := "", false
				if p.Param != nil && !p.Excl && !p.Length && !p.Width && p.Index == nil && p.Slice == nil && p.Repl == nil && p.Exp == nil && p.Names == 0 {
					value, ok = values[p.Param.Value]
				}
				switch fields := strings.Fields(value); {
				case !ok:
					last().hole()
				case quoted || len(fields) < 2:
					last().add(value)
				default:
					last().add(fields[0])
					for _, f := range fields[1:] {
						out = append(out, literalWord(f))
					}
				}
			default:
				last().hole()
			}
		}
	}
	parts(w.Parts, false)
	return out
}

// unescapeShell takes the backslashes out of a text that is not in single quotes.
func unescapeShell(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0) {
			i++
			if s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
