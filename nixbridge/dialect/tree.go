package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Tree is what one dialect's projection read of one host.
type Tree struct {
	detected *Value
	// root holds the sections at their option paths.
	root    *place
	wrong   []stateward.Unknown
	ignored map[*Value]bool
	// called are the options that [Node.Called] was told.
	called map[*Value]string
	// Whole is the subject of what failed as a whole; empty means "config".
	Whole string
}

// place is one step of the paths of sections.
type place struct {
	below map[string]*place
	names []string
	value *Value
	where *Value
}

// TreeError says that a projection's output has not the form of one.
type TreeError struct{ Reason string }

func (e *TreeError) Error() string { return "output of a projection: " + e.Reason }

// NewTree checks what a projection printed: an attribute set with `detected`,
// `sections` and `where`. The error is a *[TreeError].
func NewTree(v *Value) (*Tree, error) {
	t := &Tree{detected: v.Get("detected"), root: &place{}}
	if v.Kind() == Unknown {
		t.detected, t.root.value = v, v
		return t, nil
	}
	if v.Kind() != Attrs {
		return nil, &TreeError{fmt.Sprintf("expected an attribute set, found %s", v.Kind())}
	}
	if k := t.detected.Kind(); k != Bool && k != Unknown {
		return nil, &TreeError{fmt.Sprintf("\"detected\" is %s", k)}
	}
	sections, where := v.Get("sections"), v.Get("where")
	switch sections.Kind() {
	case Unknown:
		t.root.value = sections
	case Absent:
		if t.detected.Kind() == Unknown {
			// Whether there is anything is unknown, and so is all that there may be.
			t.root.value = t.detected
		}
	case Attrs:
		for i := range sections.Len() {
			name, s := sections.Index(i)
			path, err := SplitPath(name)
			if err != nil {
				return nil, &TreeError{err.Error()}
			}
			t.root.put(path, s, where.Get(name))
		}
	default:
		return nil, &TreeError{fmt.Sprintf("\"sections\" is %s", sections.Kind())}
	}
	return t, nil
}

func (p *place) put(path []string, value, where *Value) {
	for _, c := range path {
		next := p.below[c]
		if next == nil {
			next = &place{}
			if p.below == nil {
				p.below = map[string]*place{}
			}
			p.below[c] = next
			p.names = append(p.names, c)
			slices.Sort(p.names)
		}
		p = next
	}
	p.value, p.where = value, where
}

// Detected tells whether the dialect applies; the value is unknown where that
// could not be evaluated.
func (t *Tree) Detected() stateward.Value[bool] {
	n := &Node{tree: t, value: t.detected}
	if t.detected.Kind() == Unknown {
		return stateward.NotKnown[bool](n.unknown())
	}
	return stateward.Known(t.detected.Text() == "true", stateward.Origin{})
}

// Root is the place at the empty option path.
func (t *Tree) Root() *Node { return &Node{tree: t, place: t.root, value: t.root.value} }

// Unknowns lists every place that could not be evaluated and every one that a
// decoder so far found to be of a wrong type, but for what [Node.Ignore] was told of.
func (t *Tree) Unknowns() []stateward.Unknown {
	us := slices.Clone(t.wrong)
	var visit func(n *Node)
	visit = func(n *Node) {
		if n.place != nil {
			for _, name := range n.place.names {
				visit(n.At(name))
			}
		}
		n.value.EachUnknown(func(path []string, u *Value) {
			if t.ignored[u] {
				return
			}
			m := n
			for _, c := range path {
				m = m.step(c)
			}
			us = append(us, m.unknown())
		})
	}
	visit(t.Root())
	slices.SortFunc(us, stateward.CompareUnknown)
	return slices.Compact(us)
}

// SplitPath splits an option path as [stateward.OptionPath] prints it.
func SplitPath(s string) ([]string, error) {
	var path []string
	for rest := s; ; {
		var c string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
					if j := strings.IndexByte("nrt", rest[i]); j >= 0 {
						b.WriteByte("\n\r\t"[j])
						continue
					}
				}
				b.WriteByte(rest[i])
			}
			if i >= len(rest) {
				return nil, fmt.Errorf("option path %q has an open quote", s)
			}
			c, rest = b.String(), rest[i+1:]
		} else {
			i := strings.IndexAny(rest, `."`)
			if i < 0 {
				i = len(rest)
			}
			if c, rest = rest[:i], rest[i:]; c == "" {
				return nil, fmt.Errorf("option path %q has an empty component", s)
			}
		}
		path = append(path, c)
		if rest == "" {
			return path, nil
		}
		if rest[0] != '.' {
			return nil, fmt.Errorf("option path %q has no dot after a component", s)
		}
		rest = rest[1:]
	}
}
