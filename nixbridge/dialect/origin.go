package dialect

import "github.com/stateward/stateward"

// Origin is the option path and, where the module system tells it, the file and
// line of the first definition of the place or of the nearest place above it. An element of
// a list that several files define has no file unless its text tells which.
func (n *Node) Origin() stateward.Origin {
	o := stateward.Origin{Option: n.option()}
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
	nth := func(v *Value, i int) {
		if v.Kind() == List && v.Len() > 0 {
			_, d := v.Index(min(i, v.Len()-1))
			if f := d.Get("file"); f.Kind() == String {
				o.File = f.Text()
				line, _ := d.Get("line").Int()
				o.Line = int(line)
			}
		}
	}
	nth(at.Get("at"), 0)
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.index >= 0 {
			if d := at.Get("items").Get(itemText(s.value)); d.Kind() != Absent {
				nth(d, s.occurrence(d.Len()))
			} else if defs := at.Get("at"); !sameFile(defs) {
				// Any of the definitions of the list may have brought the element.
				o.File, o.Line = "", 0
			} else if defs.Len() > 1 {
				o.Line = 0
			}
			break
		}
		if at = at.Get("attrs").Get(s.name); at.Kind() == Absent {
			break
		}
		nth(at.Get("at"), 0)
	}
	return o
}

// Called says that what the place holds comes from another option, so that origins of it and of all below it name that.
// What is wrong with the place itself still goes by its path.
func (n *Node) Called(option string) {
	if n.tree.called == nil {
		n.tree.called = map[*Value]string{}
	}
	n.tree.called[n.value] = option
}

func (n *Node) option() string {
	if n.tree.called != nil {
		for m := n; m != nil; m = m.parent {
			if option, ok := n.tree.called[m.value]; ok {
				return option
			}
		}
	}
	return n.Path()
}

// occurrence counts the elements with the same text before this one, where there
// are several: the module system puts a list together in the order of its definitions.
func (n *Node) occurrence(of int) int {
	if of < 2 {
		return 0
	}
	text, count := itemText(n.value), 0
	for i := range n.index {
		if _, v := n.parent.value.Index(i); itemText(v) == text {
			count++
		}
	}
	return count
}

// sameFile tells whether all of some definitions stand in one file.
func sameFile(defs *Value) bool {
	if defs.Len() < 2 {
		return true
	}
	_, first := defs.Index(0)
	for i := range defs.Len() {
		if _, d := defs.Index(i); d.Get("file").Text() != first.Get("file").Text() {
			return false
		}
	}
	return true
}

// itemText mirrors the function of that name in probe.nix.
func itemText(v *Value) string {
	if v.Kind() == String {
		return v.text
	}
	for _, name := range []string{"directory", "file", "path", "source", "where"} {
		if t := v.Get(name); t.Kind() == String {
			return t.text
		}
	}
	return ""
}
