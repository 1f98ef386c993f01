package nixos

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// nixosContainers reads `containers`. Whatever a container's own configuration keeps lies below its root; an
// ephemeral one has none, by its own declaration.
func nixosContainers(top *dialect.Node) []stateward.Service {
	enable := orOn(top.At("boot", "enableContainers").Bool(), top.At("boot", "enableContainers").Origin())
	var list []stateward.Service
	for _, a := range top.At("containers").Attrs() {
		s := stateward.Service{Name: a.Name, Dialect: Name, Origin: a.Node.Origin(), Enable: enable, Units: []string{"container@" + a.Name + ".service"}}
		l := stateList{paths: []stateward.StatePath{}}
		elsewhere := l.bindMounts(a.Node)
		l.containerRoot(top, a.Name, a.Node, elsewhere)
		l.fill(&s)
		list = append(list, s)
	}
	return list
}

// containerRoot adds the container's root. Where something is mounted to be written over a place in which state is kept, the root
// itself need not hold any.
func (l *stateList) containerRoot(top *dialect.Node, name string, n *dialect.Node, elsewhere bool) {
	ephemeral := n.At("ephemeral").Bool()
	if why, unknown := ephemeral.Why(); unknown {
		l.lost(why)
		return
	}
	if ephemeral.Or(false) {
		return
	}
	version := top.At("system", "stateVersion").Text()
	if why, unknown := version.Why(); unknown {
		l.lost(why)
		return
	}
	dir := "/var/lib/nixos-containers/"
	// nixos/modules/virtualisation/nixos-containers.nix: versionAtLeast config.system.stateVersion "22.05"
	if v, ok := version.Get(); ok && olderThan(v, "22.05") {
		dir = "/var/lib/containers/"
	}
	l.paths = append(l.paths, stateward.StatePath{
		Entry: stateward.NewEntry(dir+name, stateward.Directory, n.Origin()), Source: stateward.SourceContainer, Perhaps: elsewhere,
	})
}

// olderThan compares releases of NixOS, "YY.MM".
func olderThan(version, than string) bool {
	if len(version) > len(than) {
		version = version[:len(than)]
	}
	return version < than
}

// bindMounts adds what is mounted from the host, and tells whether any of it may be written and is where the container keeps state.
func (l *stateList) bindMounts(n *dialect.Node) (elsewhere bool) {
	add := func(path, inside string, readOnly bool, o stateward.Origin) {
		if isNoState(path) {
			return
		}
		elsewhere = elsewhere || !readOnly && !inRuntime(path) && coversState(inside)
		l.paths = append(l.paths, stateward.StatePath{
			Entry: stateward.NewEntry(path, stateward.Directory, o), Source: stateward.SourceContainer, ReadOnly: readOnly,
		})
	}
	if why, unknown := n.At("bindMounts").Why(); unknown {
		l.lost(why)
	}
	for _, a := range n.At("bindMounts").Attrs() {
		inside := a.Node.At("mountPoint").Filled()
		if inside.IsAbsent() {
			inside = stateward.Known(a.Name, a.Node.Origin())
		}
		at := a.Node.At("hostPath").Filled()
		if at.IsAbsent() {
			at = inside
		}
		readOnly := a.Node.At("isReadOnly").Bool()
		for _, why := range []func() (stateward.Unknown, bool){at.Why, readOnly.Why} {
			if why, unknown := why(); unknown {
				l.lost(why)
			}
		}
		if path, ok := at.Get(); ok {
			add(path, inside.Or(""), readOnly.Or(!readOnly.IsUnknown()), at.Origin())
		}
	}
	texts := n.At("extraFlags").Texts()
	if why, unknown := texts.Why(); unknown {
		l.lost(why)
	}
	flag := ""
	for _, t := range texts.Or(nil) {
		if why, unknown := t.Why(); unknown {
			l.lost(why)
		}
		// A shell splits them: nixos-containers.nix joins them with blanks.
		for _, w := range strings.Fields(t.Or("")) {
			name, value, found := strings.Cut(w, "=")
			switch {
			case flag != "":
				name, value = flag, w
			case name != "--bind" && name != "--bind-ro":
				continue
			case !found:
				flag = name
				continue
			}
			flag = ""
			// SOURCE[:TARGET[:OPTIONS]]; "+" is a path in the container itself.
			source, rest, _ := strings.Cut(value, ":")
			target, _, _ := strings.Cut(rest, ":")
			if source != "" && !strings.HasPrefix(source, "+") {
				add(source, cmp.Or(target, source), name == "--bind-ro", t.Origin())
			}
		}
	}
	return elsewhere
}

// coversState tells whether what is mounted at a place in a container is at, above or in one where state is kept.
func coversState(inside string) bool {
	p, err := stateward.ParsePath(inside)
	return err == nil && (slices.ContainsFunc(statePlaces, func(q stateward.AbsPath) bool { return q.Contains(p) || p.Contains(q) }) || inVar(p))
}

// inRuntime tells whether a place of the host is made anew at every boot, as a socket's is.
func inRuntime(path string) bool {
	p, err := stateward.ParsePath(path)
	return err == nil && slices.ContainsFunc(madeAnew, func(q stateward.AbsPath) bool { return q.Contains(p) })
}

var madeAnew = mustPaths("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")
