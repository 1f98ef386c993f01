package flaketest

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// evaluated writes what was read of a host as JSON, one value a line. What the configuration does not have is left out, and so are
// empty lists, assertions that hold, and services that are off: they say nothing, and come and go with every nixpkgs.
// Values that JSON cannot say are written as docs/evaluation-format.md has them.
func evaluated(he *nixbridge.HostEvaluation, h *stateward.Host, s scrub) []byte {
	w := &valueWriter{scrub: s}
	w.WriteString("{\n  \"comment\": ")
	w.text(mark)
	w.WriteString(",\n  \"host\": ")
	w.text(he.Name)
	w.WriteString(",\n  \"status\": ")
	w.text(string(h.Status))
	w.WriteString(",\n  \"dialects\": {")
	first := true
	for _, name := range he.DialectNames() {
		tree := he.Tree(name)
		v := tree.Get("sections")
		switch {
		case tree.Kind() == dialect.Unknown:
			v = tree
		case tree.Get("detected").Kind() == dialect.Unknown:
			v = tree.Get("detected")
		case tree.Get("detected").Text() != "true":
			continue
		}
		if !first {
			w.WriteByte(',')
		}
		first = false
		w.newline(2)
		w.text(name)
		w.WriteString(": ")
		w.sections(v)
	}
	if !first {
		w.newline(1)
	}
	w.WriteString("}\n}\n")
	return w.Bytes()
}

type valueWriter struct {
	bytes.Buffer
	scrub scrub
}

func (w *valueWriter) newline(depth int) {
	w.WriteByte('\n')
	for range depth {
		w.WriteString("  ")
	}
}

func (w *valueWriter) text(s string) { w.Write(dialect.AppendString(w.AvailableBuffer(), w.scrub(s))) }

// attr is an attribute to write.
type attr struct {
	name  string
	value *dialect.Value
}

// sections writes the sections of a dialect without what says nothing.
func (w *valueWriter) sections(v *dialect.Value) {
	if v.Kind() != dialect.Attrs {
		w.value(v, 2)
		return
	}
	var attrs []attr
	for i := range v.Len() {
		name, s := v.Index(i)
		if name == "services" {
			s = s.Filter(func(_ string, a *dialect.Value) bool { return a.Get("enable").Text() != "false" })
		}
		attrs = append(attrs, attr{name, s})
	}
	w.attrs(attrs, 2)
}

func (w *valueWriter) value(v *dialect.Value, depth int) {
	switch v.Kind() {
	case dialect.List:
		w.list(v, depth)
	case dialect.Attrs:
		var attrs []attr
		for i := range v.Len() {
			name, a := v.Index(i)
			attrs = append(attrs, attr{dialect.EscapeKey(name), a})
		}
		w.attrs(attrs, depth)
	case dialect.String:
		w.text(v.Text())
	default:
		// A scalar, or a marker: its texts may name places too.
		c := v.Copy()
		c.EachText(func(s string) string {
			if v.Kind() == dialect.PathValue {
				return strings.TrimSuffix(w.scrub(s+"/"), "/") // the folder itself is one, too
			}
			return w.scrub(s)
		})
		w.Write(c.AppendJSON(w.AvailableBuffer()))
	}
}

func (w *valueWriter) list(v *dialect.Value, depth int) {
	v = v.Filter(func(_ string, e *dialect.Value) bool { return e.Kind() != dialect.Absent })
	if v.Len() == 0 {
		w.WriteString("[]")
		return
	}
	w.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			w.WriteByte(',')
		}
		w.newline(depth + 1)
		_, e := v.Index(i)
		w.value(e, depth+1)
	}
	w.newline(depth)
	w.WriteByte(']')
}

// attrs writes an object: keys sorted, as they are written, what is absent left out.
func (w *valueWriter) attrs(attrs []attr, depth int) {
	attrs = slices.DeleteFunc(attrs, func(a attr) bool { return saysNothing(a.value) })
	for i := range attrs {
		attrs[i].name = w.scrub(attrs[i].name)
	}
	slices.SortStableFunc(attrs, func(a, b attr) int {
		if c := cmp.Compare(a.name, b.name); c != 0 {
			return c
		}
		// Without their hashes two names may be one.
		return bytes.Compare(w.apart(a.value), w.apart(b.value))
	})
	if len(attrs) == 0 {
		w.WriteString("{}")
		return
	}
	w.WriteByte('{')
	same := 1
	for i, a := range attrs {
		if i > 0 {
			w.WriteByte(',')
		}
		name := a.name
		if same++; i == 0 || attrs[i-1].name != name {
			same = 1
		}
		if same > 1 {
			name += " #" + strconv.Itoa(same)
		}
		w.newline(depth + 1)
		w.text(name)
		w.WriteString(": ")
		w.value(a.value, depth+1)
	}
	w.newline(depth)
	w.WriteByte('}')
}

func saysNothing(v *dialect.Value) bool {
	if v.Kind() != dialect.List {
		return v.Kind() == dialect.Absent
	}
	for i := range v.Len() {
		if _, e := v.Index(i); e.Kind() != dialect.Absent {
			return false
		}
	}
	return true
}

// apart is a value as it is written by itself.
func (w *valueWriter) apart(v *dialect.Value) []byte {
	x := &valueWriter{scrub: w.scrub}
	x.value(v, 0)
	return x.Bytes()
}
