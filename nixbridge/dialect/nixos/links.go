package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// links are those that tmpfiles and `environment.etc` make. A link that could not be read may be anywhere: then it is not
// known which there are.
func links(top *dialect.Node, rules stateward.Value[[]stateward.TmpfilesRule]) stateward.Value[[]stateward.Link] {
	all := stateward.MapValue(rules, func(rules []stateward.TmpfilesRule) ([]stateward.Link, error) {
		list := []stateward.Link{}
		for _, r := range rules {
			if r.Type[0] == 'L' {
				list = append(list, stateward.Link{At: r.At, Target: r.Argument, Origin: r.Origin})
			}
		}
		return list, nil
	})
	dialect.MergeWhole(&all, etcLinks(top.At("environment", "etc")))
	return all
}

// etcLinks reads `environment.etc`: what has a source beside the store is a link to it, unless it has a mode and is copied. The
// machine-id is kept in any case.
func etcLinks(n *dialect.Node) stateward.Value[[]stateward.Link] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.Link, bool) {
		source := n.At("source").Filled()
		given := name == "machine-id" // wherever it comes from, it is the same at every boot
		if off(n) || source.IsAbsent() || !given && (strings.HasPrefix(source.Or(""), "/nix/store/") || n.At("mode").Filled().Or("symlink") != "symlink") {
			return stateward.Link{}, false
		}
		o := n.At("source").Origin()
		return stateward.Link{
			At:     stateward.NewEntry("/etc/"+strings.TrimPrefix(n.At("target").Filled().Or(name), "/"), stateward.File, o),
			Target: source, Origin: o,
		}, true
	})
}
