package nixos

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// containers reads what every kind of declared container keeps, and of the engines what containers started by hand may keep.
func containers(top *dialect.Node) []stateward.Service {
	var use engineUse
	list := ociContainers(top, &use)
	list = append(list, quadlets(top, &use)...)
	list = append(list, arionProjects(top, &use)...)
	list = append(list, nixosContainers(top)...)
	return append(list, engines(top, use)...)
}

// containerSources are the options without which it is not known which containers there are.
func containerSources(top *dialect.Node) []*dialect.Node {
	v, q := top.At("virtualisation"), top.At("virtualisation", "quadlet")
	return []*dialect.Node{
		v.At("oci-containers", "containers"), q.At("containers"), q.At("pods"), v.At("arion", "projects"), top.At("containers"),
	}
}

// ociContainers reads `virtualisation.oci-containers`.
func ociContainers(top *dialect.Node, use *engineUse) []stateward.Service {
	n := top.At("virtualisation", "oci-containers")
	backend := n.At("backend").Text()
	var list []stateward.Service
	for _, a := range n.At("containers").Attrs() {
		s := ociContainer(top, backend, a.Name, a.Node)
		use.note(backend.Or(""), s)
		list = append(list, s)
	}
	return list
}

func ociContainer(top *dialect.Node, backend stateward.Value[string], name string, n *dialect.Node) stateward.Service {
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: stateward.Known(true, n.Origin())}
	if unit, ok := n.At("serviceName").Text().Get(); ok {
		s.Units = []string{unit + ".service"}
	} else if b, ok := backend.Get(); ok {
		s.Units = []string{b + "-" + name + ".service"}
	}
	r := newVolumes(n, func() stateward.Value[string] {
		switch b, ok := backend.Get(); {
		case ok && b == "docker":
			return dockerVolumes(top)
		case backend.IsUnknown():
			why, _ := backend.Why()
			return stateward.NotKnown[string](why)
		}
		user := n.At("podman", "user")
		return podmanVolumes(top, user, user.Filled())
	})
	r.each(n.At("volumes").Texts(), r.volume)
	r.args(n.At("extraOptions").Texts())
	r.list.fill(&s)
	return s
}

// volumeReader gathers what a container mounts.
type volumeReader struct {
	list stateList
	// at is the container, for what cannot be told of it.
	at *dialect.Node
	// named is the directory of named volumes, asked for once one is mounted.
	named func() stateward.Value[string]
	// declared finds a volume that the configuration itself sets up; nil where it cannot.
	declared func(source string) (*namedVolume, bool)
	// resolve replaces what the source of a mount may hold beside a path; nil where it is only a path.
	resolve func(source string) resolved
}

// resolved is a source with all that it stands for. What goes on in a way that options do not show is a
// pattern: text is what is sure of it.
type resolved struct {
	text    string
	pattern bool
}

// namedVolume is what is said of a volume with a name, as `podman volume create` and `docker volume create` take it.
type namedVolume struct{ name, driver, kind, device, options string }

func newVolumes(at *dialect.Node, named func() stateward.Value[string]) *volumeReader {
	return &volumeReader{at: at, named: named, list: stateList{paths: []stateward.StatePath{}}}
}

// each reads every text of a list, and notes those that are unknown.
func (r *volumeReader) each(texts stateward.Value[[]stateward.Value[string]], read func(text string, o stateward.Origin)) {
	if why, unknown := texts.Why(); unknown {
		r.list.lost(why)
	}
	for _, t := range texts.Or(nil) {
		if why, unknown := t.Why(); unknown {
			r.list.lost(why)
		} else if text, ok := t.Get(); ok {
			read(text, t.Origin())
		}
	}
}

// hidden notes that something is mounted of which options do not show what it is.
func (r *volumeReader) hidden(format string, args ...any) {
	r.list.lost(r.at.Wrong(stateward.UnknownHidden, format, args...))
}

// volume reads SOURCE:TARGET[:OPTIONS], as --volume takes it.
func (r *volumeReader) volume(text string, o stateward.Origin) {
	source, rest, isMount := strings.Cut(text, ":")
	if !isMount || source == "" {
		// A path alone is an anonymous volume: it goes with its container.
		return
	}
	_, options, _ := strings.Cut(rest, ":")
	readOnly := false
	for f := range strings.SplitSeq(options, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(f), "="); name {
		case "ro", "readonly", "O":
			// What is written into an overlay goes with its container,
			readOnly = true
		case "upperdir":
			// unless it is told where to keep it.
			r.path(value, false, o)
		}
	}
	r.source(source, readOnly, o)
}

// source reads what stands before the target: a path, or the name of a volume.
func (r *volumeReader) source(source string, readOnly bool, o stateward.Origin) {
	if r.declared != nil {
		if v, ok := r.declared(source); ok {
			if v != nil {
				r.volumeOf(*v, readOnly, o)
			}
			return
		}
	}
	at, ok := r.resolved(source)
	switch {
	case !ok:
	case !at.pattern && at.text != "" && !strings.ContainsAny(at.text, "/~$") && !strings.HasPrefix(at.text, "."):
		r.volumeOf(namedVolume{name: at.text}, readOnly, o)
	default:
		r.add(at, source, readOnly, o)
	}
}

// mount reads KEY=VALUE,…, as --mount takes it: a line of CSV.
func (r *volumeReader) mount(text string, o stateward.Origin) {
	c := csv.NewReader(strings.NewReader(text))
	fields, err := c.Read()
	if err != nil {
		r.hidden("mount %q is not understood", text)
		return
	}
	m, kind, source, readOnly := namedVolume{}, "volume", "", false
	for _, field := range fields {
		key, value, given := strings.Cut(strings.TrimSpace(field), "=")
		switch strings.ToLower(key) {
		case "type":
			kind = value
		case "source", "src":
			source = value
		case "readonly", "ro":
			readOnly = !given || isTrue(value)
		case "volume-driver":
			m.driver = value
		case "volume-opt":
			m.set(value)
		}
	}
	switch {
	case kind == "glob" && source != "":
		// Everything that matches is mounted.
		if before, _, isGlob := cutAny(source, "*?["); isGlob {
			if at, ok := r.resolved(before); ok {
				r.add(surePart(at.text), source, readOnly, o)
			}
			return
		}
		r.path(source, readOnly, o)
	case kind == "bind" && source != "":
		r.path(source, readOnly, o)
	case kind != "volume":
		// In memory, or a part of an image.
	case source != "":
		if m == (namedVolume{}) {
			r.source(source, readOnly, o)
			return
		}
		m.name = source
		r.volumeOf(m, readOnly, o)
	case m.device != "":
		m.name = "x" // the engine makes one up
		if m.mounts() != "" {
			r.volumeOf(m, readOnly, o)
		}
	}
}

// set takes one option of a volume's driver.
func (v *namedVolume) set(option string) {
	switch key, value, _ := strings.Cut(option, "="); key {
	case "type":
		v.kind = value
	case "device":
		v.device = value
	case "o":
		v.options = value
	}
}

// mounts is the directory of the host that the volume is, where it is one.
func (v *namedVolume) mounts() string {
	bind := v.kind == "" || v.kind == "none" || v.kind == "bind"
	for o := range strings.SplitSeq(v.options, ",") {
		bind = bind || o == "bind" || o == "rbind"
	}
	if bind {
		return v.device
	}
	return ""
}

func isTrue(s string) bool {
	b, err := strconv.ParseBool(s)
	return err == nil && b
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:], true
	}
	return s, "", false
}

// volumeOf adds the place of a volume with a name.
func (r *volumeReader) volumeOf(v namedVolume, readOnly bool, o stateward.Origin) {
	switch {
	case v.driver != "" && v.driver != "local":
		r.hidden("where driver %s keeps volume %s is not shown by options", v.driver, v.name)
	case v.mounts() != "":
		r.path(v.mounts(), readOnly, o)
	case v.kind != "" && v.kind != "none" && v.kind != "bind":
		// In memory, a file system of its own, or one of another host.
	default:
		dir := r.named()
		if at, ok := dir.Get(); ok {
			r.add(resolved{text: at + "/" + v.name}, v.name, readOnly, o)
		} else if why, unknown := dir.Why(); unknown {
			r.list.lost(why)
		}
	}
}

// surePart is what is sure of a path that goes on in a way that options do not show.
func surePart(text string) resolved {
	return resolved{text: text[:strings.LastIndexByte(text, '/')+1], pattern: true}
}

func (r *volumeReader) path(source string, readOnly bool, o stateward.Origin) {
	if at, ok := r.resolved(source); ok {
		r.add(at, source, readOnly, o)
	}
}

// resolved is a source with all that options show of it; not ok where that is nothing.
func (r *volumeReader) resolved(source string) (at resolved, ok bool) {
	at = resolved{text: source}
	if r.resolve != nil {
		at = r.resolve(source)
	}
	if at.pattern && !strings.HasPrefix(at.text, "/") {
		r.hidden("where %q leads is not shown by options", source)
		return at, false
	}
	return at, true
}

func (r *volumeReader) add(at resolved, written string, readOnly bool, o stateward.Origin) {
	if isNoState(at.text) {
		return
	}
	e := stateward.NewEntry(at.text, stateward.Directory, o)
	if at.pattern && e.Problem == nil {
		e.Text = written
	}
	r.list.paths = append(r.list.paths, stateward.StatePath{
		Entry: e, Source: stateward.SourceVolume, Pattern: at.pattern && e.Problem == nil, ReadOnly: readOnly || slices.Contains(madeByNixOS, at.text),
	})
}

// madeByNixOS are files that containers are given to read, mostly without saying so.
var madeByNixOS = []string{
	"/etc/group", "/etc/hosts", "/etc/localtime", "/etc/os-release", "/etc/passwd", "/etc/resolv.conf", "/etc/ssl", "/etc/ssl/certs",
	"/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/zoneinfo",
}

// isNoState tells of the sockets that are kept among temporary files, and of a file that only other distributions have.
func isNoState(path string) bool {
	for _, dir := range []string{"/tmp/.X11-unix", "/tmp/.ICE-unix", "/etc/timezone"} {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// args reads what command line arguments mount, with the value behind "=", in the next argument, or behind a blank.
func (r *volumeReader) args(texts stateward.Value[[]stateward.Value[string]]) {
	flag := ""
	r.each(texts, func(text string, o stateward.Origin) {
		for _, arg := range argWords(text) {
			value := ""
			switch name, behind, found := strings.Cut(arg, "="); {
			case flag != "":
				value = arg
			case arg == "-v" || arg == "--volume" || arg == "--mount":
				flag = arg
				continue
			case found && (name == "-v" || name == "--volume" || name == "--mount"):
				flag, value = name, behind
			case strings.HasPrefix(arg, "-v"):
				flag, value = "-v", arg[2:]
			default:
				continue
			}
			if flag == "--mount" {
				r.mount(value, o)
			} else {
				r.volume(value, o)
			}
			flag = ""
		}
	})
}

// argWords takes apart an element that holds several arguments with one that mounts among them. The projection
// recognises the same.
func argWords(text string) []string {
	words := strings.Fields(text)
	if len(words) < 2 {
		return []string{text}
	}
	for i, w := range words {
		name, _, given := strings.Cut(w, "=")
		if (name == "-v" || name == "--volume" || name == "--mount") && (i > 0 || !given) {
			if quoted, err := splitWords(text); err == nil {
				return quoted
			}
			return words
		}
	}
	return []string{text}
}

// dockerVolumes is the directory in which docker keeps named volumes.
func dockerVolumes(top *dialect.Node) stateward.Value[string] { return volumesBelow(dockerRoot(top)) }

// podmanVolumes is the directory in which podman keeps named volumes: that of a rootless container lies in
// its user's home.
func podmanVolumes(top, n *dialect.Node, user stateward.Value[string]) stateward.Value[string] {
	if why, unknown := user.Why(); unknown {
		return stateward.NotKnown[string](why)
	}
	name := user.Or("root")
	if name == "root" || name == "0" {
		return volumesBelow(podmanRoot(top))
	}
	name, home := homeOf(top, name)
	if home.IsAbsent() {
		return stateward.NotKnown[string](n.Wrong(stateward.UnknownHidden, "the home of %s, where its volumes are, is not given", name))
	}
	return rootlessVolumes(top, name, home)
}

// rootlessVolumes is the directory of a user's volumes.
func rootlessVolumes(top *dialect.Node, user string, home stateward.Value[string]) stateward.Value[string] {
	dir, known := home.Get()
	if !known {
		return home
	}
	dir = strings.TrimRight(dir, "/")
	n := storageSettings(top).At("rootless_storage_path")
	set := n.Filled()
	if set.IsAbsent() {
		return stateward.Known(dir+"/.local/share/containers/storage/volumes", home.Origin())
	}
	return volumesBelow(dialect.Understood(n, set, func(s string) (string, error) {
		s = strings.NewReplacer("$HOME", dir, "$USER", user).Replace(s)
		if strings.ContainsAny(s, "$~") {
			return "", errNotShown
		}
		return s, nil
	}))
}

// homeOf finds a user by name or number, with its home.
func homeOf(top *dialect.Node, user string) (name string, home stateward.Value[string]) {
	users := top.At("users", "users")
	if _, err := strconv.Atoi(user); err == nil {
		for _, a := range users.Attrs() {
			if a.Node.At("uid").Scalar().Or("") == user {
				return a.Name, a.Node.At("home").Filled()
			}
		}
	}
	return user, users.At(user, "home").Filled()
}

func volumesBelow(root stateward.Value[string]) stateward.Value[string] {
	return stateward.MapValue(root, func(dir string) (string, error) { return strings.TrimRight(dir, "/") + "/volumes", nil })
}
