package nixos

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

func users(n *dialect.Node) stateward.Value[[]stateward.User] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.User, bool) {
		return stateward.User{
			Name: name, UID: n.At("uid").Int(), Group: n.At("group").Filled(), Home: n.At("home").Filled(),
			Normal: n.At("isNormalUser").Bool(), Origin: n.Origin(),
		}, !off(n)
	})
}

func groups(n *dialect.Node) stateward.Value[[]stateward.Group] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.Group, bool) {
		return stateward.Group{Name: name, GID: n.At("gid").Int(), Origin: n.Origin()}, true
	})
}
