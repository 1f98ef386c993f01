package dialect

import (
	"slices"

	"github.com/stateward/stateward"
)

// ListOf reads a list; each element that each accepts is in the result, in order.
func ListOf[T any](n *Node, each func(n *Node) (T, bool)) stateward.Value[[]T] {
	if n.Kind() != List {
		return other[[]T](n, "a list")
	}
	list := []T{}
	for _, e := range n.List() {
		if t, ok := each(e); ok {
			list = append(list, t)
		}
	}
	return stateward.Known(list, n.Origin())
}

// AttrsOf reads an attribute set; each attribute that each accepts is in the
// result, sorted by name.
func AttrsOf[T any](n *Node, each func(name string, n *Node) (T, bool)) stateward.Value[[]T] {
	if n.Kind() != Attrs {
		return other[[]T](n, "an attribute set")
	}
	list := []T{}
	for _, a := range n.Attrs() {
		if t, ok := each(a.Name, a.Node); ok {
			list = append(list, t)
		}
	}
	return stateward.Known(list, n.Origin())
}

// Merge adds what one dialect found to what others have found already. What is known
// is kept: the result is unknown only where one of the two is unknown and no item is known. Why a part is missing from
// a known list is recorded with the tree it came from, so that it ends in Host.Unknown.
func Merge[T any](to *stateward.Value[[]T], add stateward.Value[[]T]) {
	switch {
	case add.IsAbsent() || add.IsUnknown() && (to.IsUnknown() || len(to.Or(nil)) > 0):
	case to.IsAbsent() || add.IsUnknown():
		*to = add
	case to.IsUnknown():
		if len(add.Or(nil)) > 0 {
			*to = add
		}
	default:
		*to = stateward.Known(slices.Concat(to.Or(nil), add.Or(nil)), to.Origin())
	}
}

// MergeWhole is [Merge] for a list of which a part says nothing, such as the arguments of one
// command: where either is unknown, so is the result.
func MergeWhole[T any](to *stateward.Value[[]T], add stateward.Value[[]T]) {
	switch {
	case to.IsUnknown() || add.IsAbsent():
	case add.IsUnknown() || to.IsAbsent():
		*to = add
	default:
		*to = stateward.Known(slices.Concat(to.Or(nil), add.Or(nil)), to.Origin())
	}
}

// Understood parses a fact of the place into another type. What cannot be
// parsed is unknown with kind [stateward.UnknownForm] and is recorded.
func Understood[T, U any](n *Node, v stateward.Value[T], parse func(T) (U, error)) stateward.Value[U] {
	out := stateward.MapValue(v, parse)
	if why, unknown := out.Why(); unknown && v.IsKnown() {
		n.Wrong(why.Kind, "%s", why.Message)
	}
	return out
}

// Filled reads a text; an empty one is absent.
func (n *Node) Filled() stateward.Value[string] {
	t := n.Scalar()
	if s, ok := t.Get(); ok && s == "" {
		return stateward.Absent[string](n.Origin())
	}
	return t
}

// Given tells whether the place holds more than null, false, or the empty text, list or set.
func (n *Node) Given() stateward.Value[bool] {
	switch n.Kind() {
	case Absent, Null:
		return stateward.Absent[bool](n.Origin())
	case Bool:
		return n.Bool()
	case String:
		return stateward.Known(n.value.text != "", n.Origin())
	case List, Attrs:
		return stateward.Known(n.value.Len() > 0, n.Origin())
	case Unknown:
		return stateward.NotKnown[bool](n.unknown())
	default:
		return stateward.Known(true, n.Origin())
	}
}

// File reads a reference to a file; an empty text is absent.
func (n *Node) File() stateward.Value[stateward.FileRef] {
	return stateward.MapValue(n.Filled(), func(s string) (stateward.FileRef, error) {
		return stateward.FileRef{Text: s, NixPath: n.Kind() == PathValue}, nil
	})
}

// Ignore keeps what is unknown at the place, or below it, out of [Tree.Unknowns]:
// nothing needs it.
func (n *Node) Ignore() {
	if n.tree.ignored == nil {
		n.tree.ignored = map[*Value]bool{}
	}
	n.value.EachUnknown(func(_ []string, u *Value) { n.tree.ignored[u] = true })
}

// Ownership is what an entry has where the configuration gives nothing.
type Ownership struct{ User, Group, Mode string }

// RootOwned is what Impermanence's options of a system entry default to.
var RootOwned = Ownership{User: "root", Group: "root", Mode: "0755"}

// ReadOwnership fills owner, group and mode of an entry from the attributes `user`,
// `group` and `mode`. A value that equals its default counts as not given: evaluated
// options do not tell one from the other.
func (n *Node) ReadOwnership(e *stateward.Entry, defaults Ownership) {
	e.User = given(n.At("user"), defaults.User, stateward.ParseOwner)
	e.Group = given(n.At("group"), defaults.Group, stateward.ParseOwner)
	e.Mode = given(n.At("mode"), defaults.Mode, stateward.ParseMode)
}

func given[T comparable](n *Node, def string, parse func(string) (T, error)) stateward.Value[T] {
	v := Understood(n, n.Scalar(), parse)
	got, ok := v.Get()
	if !ok || def == "" {
		return v
	}
	if d, err := parse(def); err == nil && got == d {
		return stateward.Absent[T](n.Origin())
	}
	return v
}
