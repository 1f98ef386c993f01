package nixos

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// mentions reads the files that options name beside all state. What cannot be had of it is unknown, and no more: no
// other list hangs on it.
func mentions(top *dialect.Node) stateward.Value[[]stateward.Entry] {
	var all stateward.Value[[]stateward.Entry]
	add := func(v stateward.Value[[]stateward.Entry]) { dialect.Merge(&all, v) }
	add(dialect.ListOf(top.At("swapDevices"), func(n *dialect.Node) (stateward.Entry, bool) { return mentioned(n.At("device")) }))
	add(dialect.ListOf(top.At("boot", "initrd", "network", "ssh", "hostKeys"), mentioned))
	for _, u := range top.At("users", "users").Attrs() {
		if e, ok := mentioned(u.Node.At("hashedPasswordFile")); ok {
			add(stateward.Known([]stateward.Entry{e}, u.Node.Origin()))
		}
	}
	return all
}

// mentioned is a file that an option names, if it names one.
func mentioned(n *dialect.Node) (stateward.Entry, bool) {
	s, ok := n.Filled().Get()
	return stateward.NewEntry(s, stateward.File, n.Origin()), ok
}
