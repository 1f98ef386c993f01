package nixos

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// hostKeys reads `services.openssh.hostKeys`; the projection leaves them out where sshd is off.
func hostKeys(top *dialect.Node) stateward.Value[[]stateward.Entry] {
	return dialect.ListOf(top.At("services", "openssh", "hostKeys"), func(n *dialect.Node) (stateward.Entry, bool) {
		return keyFile(n.At("path"))
	})
}

// secretKeys reads where sops-nix and agenix find the keys that decrypt; the projection leaves them out where there are no
// secrets.
func secretKeys(top *dialect.Node) stateward.Value[[]stateward.Entry] {
	var all stateward.Value[[]stateward.Entry]
	for _, n := range []*dialect.Node{top.At("sops", "age", "sshKeyPaths"), top.At("sops", "gnupg", "sshKeyPaths"), top.At("age", "identityPaths")} {
		dialect.Merge(&all, dialect.ListOf(n, keyFile))
	}
	one := top.At("sops", "age", "keyFile")
	if e, ok := keyFile(one); ok {
		dialect.Merge(&all, stateward.Known([]stateward.Entry{e}, one.Origin()))
	}
	return all
}

// keyFile reads the path of a key. What could not be had is an entry with that as its problem, so that the others
// are still known.
func keyFile(n *dialect.Node) (stateward.Entry, bool) {
	text := n.Filled()
	if why, unknown := text.Why(); unknown {
		return stateward.Entry{Kind: stateward.File, Problem: &stateward.PathError{Reason: why.String(), Advice: "make it evaluate"}, Origin: n.Origin()}, true
	}
	s, ok := text.Get()
	return stateward.NewEntry(s, stateward.File, n.Origin()), ok
}
