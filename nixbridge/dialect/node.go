package dialect

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

// Node is a read-only view of one place of an evaluated tree. It knows its
// option path. No method panics or returns nil: where the configuration has
// nothing, the node's kind is [Absent].
//
// The reading methods ([Node.Text], [Node.Bool] …) keep three cases apart: null and
// nothing are absent; a place that could not be evaluated is unknown; one of another type
// than was asked for is unknown with kind [stateward.UnknownType] and is recorded with the tree.
type Node struct {
	tree   *Tree
	parent *Node
	// name is the component below the parent; index counts from 0 in a list, else -1.
	name  string
	index int
	// path is what Path returned before; a tree belongs to one goroutine.
	path string
	// place is set while the path is still on the way to a section, or above one.
	place *place
	value *Value
}

// Entry is one attribute of a set.
type Entry struct {
	Name string
	Node *Node
}

// At follows attribute names. An unknown place stays unknown below it.
func (n *Node) At(path ...string) *Node {
	for _, c := range path {
		n = n.attr(c)
	}
	return n
}

func (n *Node) attr(name string) *Node {
	m := &Node{tree: n.tree, parent: n, name: name, index: -1, value: absentValue}
	if n.place != nil {
		m.place = n.place.below[name]
	}
	switch {
	case m.place != nil && m.place.value != nil:
		m.value = m.place.value
	case n.value.Kind() == Unknown:
		m.value = n.value
	default:
		m.value = n.value.Get(name)
	}
	return m
}

func (n *Node) element(i int) *Node {
	_, v := n.value.Index(i)
	return &Node{tree: n.tree, parent: n, index: i, value: v}
}

func (n *Node) step(c string) *Node {
	if i, err := strconv.Atoi(c); err == nil && n.value.Kind() == List {
		return n.element(i)
	}
	return n.attr(c)
}

// Kind of the value. A place that only leads to others is a set.
func (n *Node) Kind() Kind {
	if k := n.value.Kind(); k != Absent || n.place == nil {
		return k
	}
	for _, name := range n.place.names {
		if n.At(name).Kind() != Absent {
			return Attrs
		}
	}
	return Absent
}

// Exists tells whether the configuration has this place at all, be it null or unknown.
func (n *Node) Exists() bool { return n.Kind() != Absent }

// Name is the last component of the path; for an element of a list its index.
func (n *Node) Name() string {
	if n.index >= 0 && n.parent != nil {
		return strconv.Itoa(n.index)
	}
	return n.name
}

// Path is the option path as Nix prints it:
// `environment.persistence."/persist".directories[3]`.
func (n *Node) Path() string {
	if n.path != "" || n.parent == nil {
		return n.path
	}
	above := n.parent.Path()
	switch {
	case n.index >= 0:
		n.path = above + "[" + strconv.Itoa(n.index) + "]"
	case above == "":
		n.path = stateward.OptionPath(n.name)
	default:
		n.path = above + "." + stateward.OptionPath(n.name)
	}
	return n.path
}

// Attrs returns the attributes of a set, sorted by name, without those that are
// absent. Null and nothing have none. Anything else but a set is recorded as of a wrong type and
// has none either; an unknown place has none, so ask [Node.Kind] where that differs.
func (n *Node) Attrs() []Entry {
	if n.Kind() != Attrs {
		n.expect(Attrs)
		return nil
	}
	var es []Entry
	add := func(name string) {
		if m := n.attr(name); m.Exists() {
			es = append(es, Entry{name, m})
		}
	}
	// Both lists are sorted; a name may be in both.
	var names []string
	if n.place != nil {
		names = n.place.names
	}
	for i, j := 0, 0; i < len(names) || j < n.value.Len(); {
		own := ""
		if j < n.value.Len() {
			own, _ = n.value.Index(j)
		}
		switch {
		case j >= n.value.Len() || i < len(names) && names[i] < own:
			add(names[i])
			i++
		case i < len(names) && names[i] == own:
			add(own)
			i, j = i+1, j+1
		default:
			add(own)
			j++
		}
	}
	return es
}

// List returns the elements of a list, without those that are absent; each keeps
// its index. Other kinds are treated as by [Node.Attrs].
func (n *Node) List() []*Node {
	if n.Kind() != List {
		n.expect(List)
		return nil
	}
	ns := make([]*Node, 0, n.value.Len())
	for i := range n.value.Len() {
		if e := n.element(i); e.Exists() {
			ns = append(ns, e)
		}
	}
	return ns
}

// Text reads a string, or a path as a string.
func (n *Node) Text() stateward.Value[string] {
	if k := n.Kind(); k == String || k == PathValue {
		return stateward.Known(n.value.text, n.Origin())
	}
	return other[string](n, "a string")
}

// Scalar reads a string, a path, a number or a Boolean as text: 5 is "5", true is "true".
func (n *Node) Scalar() stateward.Value[string] {
	switch n.Kind() {
	case String, PathValue, Int, Float, Bool:
		return stateward.Known(n.value.text, n.Origin())
	}
	return other[string](n, "a string or a number")
}

// Bool reads a Boolean.
func (n *Node) Bool() stateward.Value[bool] {
	if n.Kind() == Bool {
		return stateward.Known(n.value.text == "true", n.Origin())
	}
	return other[bool](n, "a Boolean")
}

// BoolLike reads a Boolean, or what systemd takes for one: 1, yes, y, true, t, on and
// their opposites in any case (parse_boolean in systemd's src/basic/parse-util.c), as a string or as an integer.
func (n *Node) BoolLike() stateward.Value[bool] {
	switch n.Kind() {
	case Bool, String, Int:
		switch strings.ToLower(n.value.text) {
		case "1", "yes", "y", "true", "t", "on":
			return stateward.Known(true, n.Origin())
		case "0", "no", "n", "false", "f", "off":
			return stateward.Known(false, n.Origin())
		}
		return stateward.NotKnown[bool](n.Wrong(stateward.UnknownForm, "expected a Boolean, found %q", n.value.text))
	}
	return other[bool](n, "a Boolean")
}

// Int reads an integer.
func (n *Node) Int() stateward.Value[int] {
	if n.Kind() == Int {
		if i, ok := n.value.Int(); ok && i >= math.MinInt && i <= math.MaxInt {
			return stateward.Known(int(i), n.Origin())
		}
	}
	return other[int](n, "an integer")
}

// Strings reads a list of strings. One string is a list of one. An element that
// is unknown, or no string, makes the whole unknown; [Node.Texts] keeps the others.
func (n *Node) Strings() stateward.Value[[]string] {
	texts := n.Texts()
	elements, ok := texts.Get()
	if !ok {
		if why, ok := texts.Why(); ok {
			return stateward.NotKnown[[]string](why)
		}
		return stateward.Absent[[]string](n.Origin())
	}
	list := make([]string, 0, len(elements))
	for i, e := range elements {
		t, ok := e.Get()
		if why, unknown := e.Why(); unknown {
			return stateward.NotKnown[[]string](why)
		} else if !ok {
			return stateward.NotKnown[[]string](n.List()[i].Wrong(stateward.UnknownType, "expected a string, found null"))
		}
		list = append(list, t)
	}
	return stateward.Known(list, n.Origin())
}

// Texts reads a list of strings, each with its own state. One string is a list of one.
func (n *Node) Texts() stateward.Value[[]stateward.Value[string]] {
	switch n.Kind() {
	case String, PathValue:
		return stateward.Known([]stateward.Value[string]{n.Text()}, n.Origin())
	case List:
		list := make([]stateward.Value[string], 0, n.value.Len())
		for _, e := range n.List() {
			list = append(list, e.Text())
		}
		return stateward.Known(list, n.Origin())
	}
	return other[[]stateward.Value[string]](n, "a list of strings")
}

// Why says why the place is unknown; ok is false where it is not.
func (n *Node) Why() (why stateward.Unknown, ok bool) {
	if n.Kind() != Unknown {
		return stateward.Unknown{}, false
	}
	return n.unknown(), true
}

func (n *Node) unknown() stateward.Unknown {
	// Below an unknown place, the place itself is the subject.
	for n.parent != nil && n.parent.value == n.value {
		n = n.parent
	}
	message, file, line := n.value.Reason()
	if file == "" {
		// nix does not tell where a throw stands; where the option is defined is the next best.
		o := n.Origin()
		file, line = o.File, o.Line
	}
	return stateward.Unknown{
		// Where a projection failed as a whole there is no option to name.
		Subject: cmp.Or(n.Path(), n.tree.Whole, "config"), Kind: stateward.UnknownKind(n.value.Text()), Message: message,
		File: file, Line: line,
	}
}

// Names are the components of the place of a node in what was read, which may be another than [Node.Path] names. An element of a list is "".
func (n *Node) Names() []string {
	if n.parent == nil {
		return nil
	}
	name := n.name
	if n.index >= 0 {
		name = ""
	}
	return append(n.parent.Names(), name)
}

// Wrong records that the place cannot be understood and returns what it recorded.
func (n *Node) Wrong(kind stateward.UnknownKind, format string, args ...any) stateward.Unknown {
	o := n.Origin()
	u := stateward.Unknown{Subject: n.Path(), Kind: kind, Message: fmt.Sprintf(format, args...), File: o.File, Line: o.Line}
	n.tree.wrong = append(n.tree.wrong, u)
	return u
}

// expect records a wrong type, unless there is nothing or it is unknown anyway.
func (n *Node) expect(k Kind) {
	switch n.Kind() {
	case Absent, Null, Unknown:
	default:
		n.Wrong(stateward.UnknownType, "expected %s, found %s", k, n.Kind())
	}
}

func other[T any](n *Node, expected string) stateward.Value[T] {
	switch n.Kind() {
	case Absent, Null:
		return stateward.Absent[T](n.Origin())
	case Unknown:
		return stateward.NotKnown[T](n.unknown())
	default:
		return stateward.NotKnown[T](n.Wrong(stateward.UnknownType, "expected %s, found %s", expected, n.Kind()))
	}
}
