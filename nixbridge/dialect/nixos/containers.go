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
	v := volumeReader{list: &l, named: namedVolumes(top, backend, n)}
	volumes := n.At("volumes").Texts()
	if why, unknown := volumes.Why(); unknown {
		l.lost(why)
	}
	for _, t := range volumes.Or(nil) {
		if why, unknown := t.Why(); unknown {
			l.lost(why)
			continue
		}
		if text, ok := t.Get(); ok {
			v.volume(text, t.Origin())
		}
	}
	v.options(n.At("extraOptions").Texts())
	l.fill(&s)
	return s
}

// volumeReader gathers what a container mounts.
type volumeReader struct {
	list *stateList
	// named is the directory of named volumes.
	named stateward.Value[string]
}

// volume reads SOURCE:TARGET[:OPTIONS], as --volume takes it.
func (r *volumeReader) volume(text string, o stateward.Origin) {
	source, rest, isMount := strings.Cut(text, ":")
	if !isMount {
		// A path alone is an anonymous volume: it goes with its container.
		return
	}
	r.add(source, !strings.ContainsAny(source, "/~") && !strings.HasPrefix(source, "."), isReadOnly(rest), o)
}

// mount reads KEY=VALUE,…, as --mount takes it. A quoted value with a comma in it is not understood.
func (r *volumeReader) mount(text string, o stateward.Origin) {
	kind, source, readOnly := "volume", "", false
	for field := range strings.SplitSeq(text, ",") {
		key, value, given := strings.Cut(strings.TrimSpace(field), "=")
		switch strings.ToLower(key) {
		case "type":
			kind = value
		case "source", "src":
			source = value
		case "readonly", "ro":
			readOnly = !given || value == "true" || value == "1"
		}
	}
	if source == "" || kind != "bind" && kind != "volume" {
		return // anonymous, or in memory
	}
	r.add(source, kind == "volume", readOnly, o)
}

func (r *volumeReader) add(source string, named, readOnly bool, o stateward.Origin) {
	if named {
		dir, ok := r.named.Get()
		if !ok {
			if why, unknown := r.named.Why(); unknown {
				r.list.lost(why)
			}
			return
		}
		source = dir + "/" + source
	}
	e := stateward.NewEntry(source, stateward.Directory, o)
	r.list.paths = append(r.list.paths, stateward.StatePath{Entry: e, Source: stateward.SourceVolume, ReadOnly: readOnly})
}

// options reads what `extraOptions` mounts, with the value behind "=" or in the next element.
func (r *volumeReader) options(texts stateward.Value[[]stateward.Value[string]]) {
	if why, unknown := texts.Why(); unknown {
		r.list.lost(why)
	}
	flag := ""
	for _, t := range texts.Or(nil) {
		if why, unknown := t.Why(); unknown {
			r.list.lost(why)
		}
		text, value := t.Or(""), ""
		switch name, behind, found := strings.Cut(text, "="); {
		case flag != "":
			value = text
		case text == "-v" || text == "--volume" || text == "--mount":
			flag = text
			continue
		case found && (name == "-v" || name == "--volume" || name == "--mount"):
			flag, value = name, behind
		case strings.HasPrefix(text, "-v"):
			flag, value = "-v", text[2:]
		default:
			continue
		}
		if flag == "--mount" {
			r.mount(value, t.Origin())
		} else {
			r.volume(value, t.Origin())
		}
		flag = ""
	}
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
