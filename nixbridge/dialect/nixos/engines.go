package nixos

import (
	"errors"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

var errNotShown = errors.New("where this leads is not shown by options")

// engineUse tells of each container engine whether there are declared containers for it, and whether all that
// these keep was read.
type engineUse map[string]bool

func (u *engineUse) note(engine string, s stateward.Service) {
	if *u == nil {
		*u = engineUse{}
	}
	before, noted := (*u)[engine]
	(*u)[engine] = s.State.IsKnown() && (before || !noted)
}

// handEngines are programs that keep what somebody makes with them by hand. Where that is said
// elsewhere is in the comment.
var handEngines = []struct{ name, dir string }{
	{"incus", "/var/lib/incus"},       // nixos/modules/virtualisation/incus.nix: its unix.socket
	{"libvirtd", "/var/lib/libvirt"},  // nixos/modules/virtualisation/libvirtd.nix: StateDirectory of libvirtd-config
	{"lxd", "/var/lib/lxd"},           // nixos/modules/virtualisation/lxd.nix: its unix.socket
	{"waydroid", "/var/lib/waydroid"}, // waydroid's tools/config/__init__.py: "work"
}

// engines makes services of the container engines that are on, for what is made with them by hand. podman, which what declares
// containers brings along, is taken to run those only where there are any; docker is a daemon for whoever may ask it.
func engines(top *dialect.Node, use engineUse) []stateward.Service {
	v := top.At("virtualisation")
	var list []stateward.Service
	add := func(name string, n *dialect.Node, paths ...stateward.StatePath) {
		enable := n.At("enable").Bool()
		if enable.IsAbsent() || len(paths) == 0 {
			return
		}
		s := stateward.Service{Name: name, Dialect: Name, Origin: n.At("enable").Origin(), Enable: enable}
		s.State = stateward.Known(paths, s.Origin)
		list = append(list, s)
	}
	l := stateList{}
	l.perhaps(dockerRoot(top), v.At("docker"))
	add("docker", v.At("docker"), l.paths...)
	l = stateList{}
	for _, a := range top.At("users", "users").Attrs() {
		if normal, _ := a.Node.At("isNormalUser").Bool().Get(); normal {
			root := v.At("docker", "rootless", "daemon", "settings", "data-root").Filled()
			if root.IsAbsent() {
				root = stateward.MapValue(a.Node.At("home").Filled(), func(home string) (string, error) { return home + "/.local/share/docker", nil })
			}
			l.perhaps(root, v.At("docker", "rootless"))
		}
	}
	add("docker-rootless", v.At("docker", "rootless"), l.paths...)
	if !use["podman"] {
		l := stateList{}
		l.perhaps(podmanRoot(top), v.At("podman"))
		add("podman", v.At("podman"), l.paths...)
	}
	for _, e := range handEngines {
		n := v.At(e.name)
		l := stateList{}
		l.perhaps(stateward.Known(e.dir, n.Origin()), n)
		add(e.name, n, l.paths...)
	}
	return list
}

// perhaps adds a place where something may be kept once the engine is on: what switches it on is to be blamed.
func (l *stateList) perhaps(dir stateward.Value[string], engine *dialect.Node) {
	if text, ok := dir.Get(); ok {
		l.paths = append(l.paths, stateward.StatePath{
			Entry: stateward.NewEntry(text, stateward.Directory, engine.At("enable").Origin()), Source: stateward.SourceTable, Perhaps: true,
		})
	}
}

func storageSettings(top *dialect.Node) *dialect.Node {
	return top.At("virtualisation", "containers", "storage", "settings", "storage")
}

// podmanRoot is where podman keeps everything, if root runs it.
func podmanRoot(top *dialect.Node) stateward.Value[string] {
	return movedFrom("/var/lib/containers/storage", storageSettings(top).At("graphroot"))
}

// dockerRoot is where docker keeps everything.
func dockerRoot(top *dialect.Node) stateward.Value[string] {
	n := top.At("virtualisation", "docker")
	return movedFrom("/var/lib/docker", n.At("daemon", "settings", "data-root"), n.At("extraOptions"))
}

// movedFrom is the first of the options that says something, else the usual place.
func movedFrom(usual string, options ...*dialect.Node) stateward.Value[string] {
	for _, n := range options {
		if v := n.Filled(); !v.IsAbsent() {
			return v
		}
	}
	return stateward.Known(usual, options[0].Origin())
}
