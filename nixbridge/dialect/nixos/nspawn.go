package nixos

import (
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
		writes := l.bindMounts(a.Node)
		l.containerRoot(top, a.Name, a.Node, writes)
		l.fill(&s)
		list = append(list, s)
	}
	return list
}

// containerRoot adds the container's root. Where something is mounted to be written, the root need not hold
// any state.
func (l *stateList) containerRoot(top *dialect.Node, name string, n *dialect.Node, writes bool) {
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
		Entry: stateward.NewEntry(dir+name, stateward.Directory, n.Origin()), Source: stateward.SourceContainer, Perhaps: writes,
	})
}

// olderThan compares releases of NixOS, "YY.MM".
func olderThan(version, than string) bool {
	if len(version) > len(than) {
		version = version[:len(than)]
	}
	return version < than
}

// bindMounts adds what is mounted from the host, and tells whether any of it may be written.
func (l *stateList) bindMounts(n *dialect.Node) (writes bool) {
	add := func(path string, readOnly bool, o stateward.Origin) {
		if isNoState(path) {
			return
		}
		writes = writes || !readOnly
		l.paths = append(l.paths, stateward.StatePath{
			Entry: stateward.NewEntry(path, stateward.Directory, o), Source: stateward.SourceContainer, ReadOnly: readOnly,
		})
	}
	if why, unknown := n.At("bindMounts").Why(); unknown {
		l.lost(why)
	}
	for _, a := range n.At("bindMounts").Attrs() {
		at := a.Node.At("hostPath").Filled()
		if at.IsAbsent() {
			at = a.Node.At("mountPoint").Filled()
		}
		if at.IsAbsent() {
			at = stateward.Known(a.Name, a.Node.Origin())
		}
		readOnly := a.Node.At("isReadOnly").Bool()
		for _, why := range []func() (stateward.Unknown, bool){at.Why, readOnly.Why} {
			if why, unknown := why(); unknown {
				l.lost(why)
			}
		}
		if path, ok := at.Get(); ok {
			add(path, readOnly.Or(!readOnly.IsUnknown()), at.Origin())
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
			if source, _, _ := strings.Cut(value, ":"); source != "" && !strings.HasPrefix(source, "+") {
				add(source, name == "--bind-ro", t.Origin())
			}
		}
	}
	return writes
}
