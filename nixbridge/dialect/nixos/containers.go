package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// containers reads `virtualisation.oci-containers`.
func containers(top *dialect.Node) []stateward.Service {
	n := top.At("virtualisation", "oci-containers")
	backend := n.At("backend").Text()
	var list []stateward.Service
	for _, a := range n.At("containers").Attrs() {
		list = append(list, container(top, backend, a.Name, a.Node))
	}
	return list
}

func container(top *dialect.Node, backend stateward.Value[string], name string, n *dialect.Node) stateward.Service {
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: stateward.Known(true, n.Origin())}
	if unit, ok := n.At("serviceName").Text().Get(); ok {
		s.Units = []string{unit + ".service"}
	} else if b, ok := backend.Get(); ok {
		s.Units = []string{b + "-" + name + ".service"}
	}
	l := stateList{paths: []stateward.StatePath{}}
	volumes := n.At("volumes").Texts()
	if why, unknown := volumes.Why(); unknown {
		l.lost(why)
	}
	named := namedVolumes(top, backend, n)
	for _, v := range volumes.Or(nil) {
		if why, unknown := v.Why(); unknown {
			l.lost(why)
			continue
		}
		text, ok := v.Get()
		source, rest, isMount := strings.Cut(text, ":")
		if !ok || !isMount {
			// A path alone is an anonymous volume: it goes with its container.
			continue
		}
		if !strings.ContainsAny(source, "/~") && !strings.HasPrefix(source, ".") {
			dir, ok := named.Get()
			if !ok {
				if why, unknown := named.Why(); unknown {
					l.lost(why)
				}
				continue
			}
			source = dir + "/" + source
		}
		l.paths = append(l.paths, stateward.StatePath{
			Entry:    stateward.NewEntry(source, stateward.Directory, v.Origin()),
			Source:   stateward.SourceVolume,
			ReadOnly: isReadOnly(rest),
		})
	}
	l.fill(&s)
	return s
}

// isReadOnly reads the options behind the path inside of the container.
func isReadOnly(rest string) bool {
	_, options, _ := strings.Cut(rest, ":")
	for o := range strings.SplitSeq(options, ",") {
		if o == "ro" || o == "readonly" {
			return true
		}
	}
	return false
}

// namedVolumes returns the directory in which the engine keeps named volumes. That of a rootless container lies in
// its user's home.
func namedVolumes(top *dialect.Node, backend stateward.Value[string], n *dialect.Node) stateward.Value[string] {
	moved := func(n *dialect.Node, usual string) stateward.Value[string] {
		root := n.Filled()
		if root.IsAbsent() {
			root = stateward.Known(usual, n.Origin())
		}
		return stateward.MapValue(root, func(dir string) (string, error) { return strings.TrimRight(dir, "/") + "/volumes", nil })
	}
	if b, ok := backend.Get(); ok && b == "docker" {
		return moved(top.At("virtualisation", "docker", "daemon", "settings", "data-root"), "/var/lib/docker")
	} else if why, unknown := backend.Why(); unknown {
		return stateward.NotKnown[string](why)
	}
	user := n.At("podman", "user").Filled()
	if why, unknown := user.Why(); unknown {
		return stateward.NotKnown[string](why)
	}
	if name := user.Or("root"); name != "root" {
		home := top.At("users", "users", name, "home").Filled()
		if home.IsAbsent() {
			o := user.Origin()
			return stateward.NotKnown[string](stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownHidden,
				Message: "the home of " + name + ", where its volumes are, is not given", File: o.File, Line: o.Line})
		}
		return stateward.MapValue(home, func(dir string) (string, error) {
			return strings.TrimRight(dir, "/") + "/.local/share/containers/storage/volumes", nil
		})
	}
	return moved(top.At("virtualisation", "containers", "storage", "settings", "storage", "graphroot"), "/var/lib/containers/storage")
}
