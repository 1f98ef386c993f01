package dialect

import "github.com/stateward/stateward"

// Origin is the option path and, where the module system tells it, the file and
// line of the first definition of the place or of the nearest place above it.
func (n *Node) Origin() stateward.Origin {
	o := stateward.Origin{Option: n.Path()}
	// The steps from the nearest section above down to n.
	var steps []*Node
	m := n
	for ; m != nil && (m.place == nil || m.place.value == nil); m = m.parent {
		steps = append(steps, m)
	}
	if m == nil {
		return o
	}
	at := m.place.where
	first := func(v *Value) {
		if v.Kind() == List && v.Len() > 0 {
			_, d := v.Index(0)
			if f := d.Get("file"); f.Kind() == String {
				o.File = f.Text()
				line, _ := d.Get("line").Int()
				o.Line = int(line)
			}
		}
	}
	first(at.Get("at"))
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.index >= 0 {
			first(at.Get("items").Get(itemText(s.value)))
			break
		}
		if at = at.Get("attrs").Get(s.name); at.Kind() == Absent {
			break
		}
		first(at.Get("at"))
	}
	return o
}

// itemText mirrors the function of that name in probe.nix.
func itemText(v *Value) string {
	if v.Kind() == String {
		return v.text
	}
	for _, name := range []string{"directory", "file", "path", "source"} {
		if t := v.Get(name); t.Kind() == String {
			return t.text
		}
	}
	return ""
}
