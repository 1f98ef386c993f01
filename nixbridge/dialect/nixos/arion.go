package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// arionProjects reads `virtualisation.arion`: one service for each of a project's.
func arionProjects(top *dialect.Node, use *engineUse) []stateward.Service {
	n := top.At("virtualisation", "arion")
	engine := stateward.MapValue(n.At("backend").Text(), func(s string) (string, error) { return strings.TrimSuffix(s, "-socket"), nil })
	var list []stateward.Service
	for _, p := range n.At("projects").Attrs() {
		settings := p.Node.At("settings")
		project := settings.At("project", "name").Text().Or(p.Name)
		unit := p.Node.At("serviceName").Text().Or("arion-" + p.Name)
		for _, a := range settings.At("services").Attrs() {
			s := stateward.Service{
				Name: a.Name, Dialect: Name, Origin: a.Node.Origin(), Enable: stateward.Known(true, a.Node.Origin()), Units: []string{unit + ".service"},
			}
			r := newVolumes(a.Node, func() stateward.Value[string] {
				if why, unknown := engine.Why(); unknown {
					return stateward.NotKnown[string](why)
				} else if engine.Or("") == "docker" {
					return dockerVolumes(top)
				}
				return volumesBelow(podmanRoot(top))
			})
			r.declared = func(source string) (*namedVolume, bool) {
				if strings.ContainsAny(source, "/~$%") || strings.HasPrefix(source, ".") {
					return nil, false
				}
				v, why := composeVolume(settings.At("docker-compose", "volumes", source), project, source)
				if why != nil {
					r.list.lost(*why)
					return nil, true
				}
				return &v, true
			}
			r.resolve = func(source string) resolved {
				if strings.HasPrefix(source, "~/") {
					source = "/root" + source[1:]
				}
				if before, _, found := strings.Cut(source, "$"); found {
					return surePart(before)
				}
				return resolved{text: source}
			}
			r.compose(a.Node.At("service", "volumes"))
			r.list.fill(&s)
			use.note(engine.Or(""), s)
			list = append(list, s)
		}
	}
	return list
}

// composeVolume reads an entry of `volumes` of a compose file: its name begins with the project's.
func composeVolume(n *dialect.Node, project, name string) (namedVolume, *stateward.Unknown) {
	v := namedVolume{name: project + "_" + name}
	if n.At("external").Bool().Or(false) {
		v.name = name
	}
	for _, o := range []struct {
		at *dialect.Node
		to *string
	}{
		{n.At("name"), &v.name}, {n.At("driver"), &v.driver},
		{n.At("driver_opts", "type"), &v.kind}, {n.At("driver_opts", "device"), &v.device}, {n.At("driver_opts", "o"), &v.options},
	} {
		t := o.at.Filled()
		if why, unknown := t.Why(); unknown {
			return v, &why
		}
		*o.to = t.Or(*o.to)
	}
	return v, nil
}

// compose reads `volumes` of a compose file's service: texts, or sets with a type.
func (r *volumeReader) compose(n *dialect.Node) {
	if n.Kind() != dialect.List {
		r.each(n.Texts(), r.volume)
		return
	}
	for _, e := range n.List() {
		if e.Kind() != dialect.Attrs {
			r.each(stateward.Known([]stateward.Value[string]{e.Text()}, e.Origin()), r.volume)
			continue
		}
		kind, source, readOnly := e.At("type").Text(), e.At("source").Filled(), e.At("read_only").Bool()
		for _, why := range []func() (stateward.Unknown, bool){kind.Why, source.Why, readOnly.Why} {
			if why, unknown := why(); unknown {
				r.list.lost(why)
			}
		}
		switch text, ok := source.Get(); {
		case ok && kind.Or("") == "bind":
			r.path(text, readOnly.Or(false), source.Origin())
		case ok && kind.Or("volume") == "volume":
			r.source(text, readOnly.Or(false), source.Origin())
		}
	}
}
