package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// quadlets reads `virtualisation.quadlet`, the system's own and those of home-manager's users.
func quadlets(top *dialect.Node, use *engineUse) []stateward.Service {
	list := quadletOf{top: top, at: top.At("virtualisation", "quadlet")}.services(use)
	for _, u := range top.At("home-manager", "users").Attrs() {
		n := u.Node.At("virtualisation", "quadlet")
		if !n.Exists() {
			continue
		}
		home := u.Node.At("home", "homeDirectory").Filled()
		if home.IsAbsent() {
			_, home = homeOf(top, u.Name)
		}
		list = append(list, quadletOf{top: top, at: n, user: u.Name, home: home}.services(nil)...)
	}
	return list
}

// quadletOf is one `virtualisation.quadlet`.
type quadletOf struct {
	top, at *dialect.Node
	// user owns it, with its home; empty for the system's.
	user string
	home stateward.Value[string]
}

func (q quadletOf) services(use *engineUse) []stateward.Service {
	var list []stateward.Service
	add := func(name, unit string, n *dialect.Node, read func(r *volumeReader)) {
		s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: orOn(q.at.At("enable").Bool(), n.Origin()), Units: []string{unit}}
		r := q.reader(unit, n)
		read(r)
		r.list.fill(&s)
		if use != nil {
			use.note("podman", s)
		}
		list = append(list, s)
	}
	mounted := map[string]bool{}
	for _, kind := range []struct{ list, config, section, suffix string }{
		{"containers", "containerConfig", "Container", ""}, {"pods", "podConfig", "Pod", "-pod"},
	} {
		for _, a := range q.at.At(kind.list).Attrs() {
			add(a.Name, a.Name+kind.suffix+".service", a.Node, func(r *volumeReader) {
				declared := r.declared
				r.declared = func(source string) (*namedVolume, bool) { mounted[source] = true; return declared(source) }
				if raw := a.Node.At("rawConfig").Texts(); !raw.IsAbsent() {
					r.raw(raw, kind.section, a.Node.At("rawConfig").Origin())
					return
				}
				c := a.Node.At(kind.config)
				r.each(c.At("volumes").Texts(), r.volume)
				r.each(c.At("mounts").Texts(), r.mount)
				r.each(c.At("rootfs").Texts(), r.rootfs)
				r.args(c.At("podmanArgs").Texts())
			})
		}
	}
	for _, a := range q.at.At("kubes").Attrs() {
		add(a.Name, a.Name+".service", a.Node, func(r *volumeReader) { r.hidden("what its pods mount is in a file of its own") })
	}
	// What no container mounts here may be mounted by one started by hand.
	for _, a := range q.at.At("volumes").Attrs() {
		if ref := a.Name + ".volume"; !mounted[ref] {
			add(a.Name+"-volume", a.Name+"-volume.service", a.Node, func(r *volumeReader) {
				r.source(ref, false, a.Node.Origin())
				for i := range r.list.paths {
					r.list.paths[i].Perhaps = true
				}
			})
		}
	}
	return list
}

// reader reads what one container, pod or volume mounts.
func (q quadletOf) reader(unit string, n *dialect.Node) *volumeReader {
	r := newVolumes(n, func() stateward.Value[string] {
		if q.user != "" {
			if q.home.IsAbsent() {
				return stateward.NotKnown[string](n.Wrong(stateward.UnknownHidden, "the home of %s, where its volumes are, is not given", q.user))
			}
			return rootlessVolumes(q.top, q.user, q.home)
		}
		user := n.At("rootlessConfig", "uid").Scalar()
		if user.IsAbsent() {
			user = n.At("serviceConfig", "User").Scalar()
		}
		return podmanVolumes(q.top, n, user)
	})
	r.declared = func(source string) (*namedVolume, bool) {
		name, is := strings.CutSuffix(source, ".volume")
		if !is || strings.ContainsAny(name, "/%$") || strings.HasPrefix(name, ".") {
			return nil, false
		}
		v, why := q.volume(name)
		if why != nil {
			r.list.lost(*why)
			return nil, true
		}
		return &v, true
	}
	r.resolve = func(source string) resolved { return q.specifiers(source, unit) }
	return r
}

// volume is `volumes.<name>`, which podman calls by its own name: the module always gives one.
func (q quadletOf) volume(name string) (namedVolume, *stateward.Unknown) {
	n := q.at.At("volumes", name)
	if why, unknown := n.Why(); unknown {
		return namedVolume{}, &why
	}
	// What podman calls a volume that gives no name, or that the configuration does not show.
	v := namedVolume{name: "systemd-" + name}
	if !n.Exists() {
		return v, nil
	}
	set := map[string]*string{"VolumeName": &v.name, "Driver": &v.driver, "Type": &v.kind, "Device": &v.device, "Options": &v.options}
	if raw := n.At("rawConfig").Texts(); !raw.IsAbsent() {
		if why, unknown := raw.Why(); unknown {
			return v, &why
		}
		for _, t := range raw.Or(nil) {
			_, key, value := rawSetting(t.Or(""))
			if to := set[key]; to != nil {
				*to = value
			}
		}
		return v, nil
	}
	v.name = name
	c := n.At("volumeConfig")
	for _, o := range []struct {
		option string
		to     *string
	}{{"name", &v.name}, {"driver", &v.driver}, {"type", &v.kind}, {"device", &v.device}, {"options", &v.options}} {
		t := c.At(o.option).Filled()
		if why, unknown := t.Why(); unknown {
			return v, &why
		}
		*o.to = t.Or(*o.to)
	}
	return v, nil
}

// rootfs reads the directory that is the container's root: PATH[:OPTIONS].
func (r *volumeReader) rootfs(text string, o stateward.Origin) {
	path, options, _ := strings.Cut(text, ":")
	if path != "" {
		r.path(path, options == "O" || strings.HasPrefix(options, "O,"), o)
	}
}

// raw reads the lines of a unit file that the projection kept.
func (r *volumeReader) raw(lines stateward.Value[[]stateward.Value[string]], section string, o stateward.Origin) {
	r.each(lines, func(line string, _ stateward.Origin) {
		in, key, value := rawSetting(line)
		if in != section {
			return
		}
		one := func(text string) stateward.Value[[]stateward.Value[string]] {
			words, err := splitWords(text)
			if err != nil {
				words = strings.Fields(text)
			}
			var texts []stateward.Value[string]
			for _, w := range words {
				texts = append(texts, stateward.Known(w, o))
			}
			return stateward.Known(texts, o)
		}
		switch key {
		case "Volume":
			r.volume(value, o)
		case "Mount":
			r.each(one(value), r.mount)
		case "Rootfs":
			r.rootfs(value, o)
		case "PodmanArgs":
			r.args(one(value))
		}
	})
}

// rawSetting takes apart "SECTION.KEY=VALUE", as the projection writes a line of a unit file.
func rawSetting(line string) (section, key, value string) {
	name, value, _ := strings.Cut(line, "=")
	section, key, _ = strings.Cut(strings.TrimSpace(name), ".")
	return section, strings.TrimSpace(key), strings.TrimSpace(value)
}

// specifiers replaces those of systemd.unit(5) that options tell. What stands before another one, or before a
// variable of the environment, is sure.
func (q quadletOf) specifiers(s, unit string) resolved {
	if !strings.ContainsAny(s, "%$") {
		return resolved{text: s}
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		value, ok := s[i:i+1], s[i] != '$'
		if s[i] == '%' {
			i++
			if ok = i < len(s); ok {
				value, ok = q.specifier(s[i], unit)
			}
		}
		if !ok {
			return surePart(b.String())
		}
		b.WriteString(value)
	}
	return resolved{text: b.String()}
}

func (q quadletOf) specifier(c byte, unit string) (string, bool) {
	stem := strings.TrimSuffix(unit, ".service")
	switch c {
	case '%':
		return "%", true
	case 'n':
		return unit, true
	case 'N':
		return stem, true
	case 'p':
		return stem, !strings.Contains(stem, "@")
	case 'T':
		return "/tmp", true
	case 'V':
		return "/var/tmp", true
	}
	if q.user == "" {
		dir, ok := map[byte]string{'h': "/root", 't': "/run", 'S': "/var/lib", 'C': "/var/cache", 'L': "/var/log", 'E': "/etc", 'u': "root", 'U': "0"}[c]
		return dir, ok
	}
	switch c {
	case 'u':
		return q.user, true
	case 't':
		return "/run/user", true // with a number below it
	}
	home, known := q.home.Get()
	dir, ok := map[byte]string{'h': "", 'S': "/.local/state", 'C': "/.cache", 'L': "/.local/state/log", 'E': "/.config"}[c]
	return strings.TrimRight(home, "/") + dir, ok && known
}
