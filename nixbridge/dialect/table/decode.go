package table

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// decoder makes the services of a host of the rows. The order of rows does not matter.
func decoder(name string, rows []Row) func(*dialect.Node, *stateward.Host) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, compareRows)
	return func(n *dialect.Node, h *stateward.Host) {
		d := decoding{name: name, top: n}
		for i := range rows {
			d.row(&rows[i])
		}
		for i := range d.services {
			if s := &d.services[i]; s.why != nil {
				s.State, s.StateSeen = stateward.NotKnown[[]stateward.StatePath](*s.why), s.paths
			} else {
				s.State = stateward.Known(s.paths, s.Origin)
			}
			d.found = append(d.found, d.services[i].Service)
		}
		if len(d.found) > 0 {
			dialect.Merge(&h.Services, stateward.Known(d.found, stateward.Origin{Option: "services"}))
		}
		for _, why := range d.unseen {
			dialect.Merge(&h.Services, stateward.NotKnown[[]stateward.Service](why))
		}
	}
}

func compareRows(a, b Row) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Enable, b.Enable), cmp.Compare(a.Unless, b.Unless), cmp.Compare(a.Option, b.Option), slices.Compare(a.Paths, b.Paths))
}

// service is one that rows have made so far.
type service struct {
	stateward.Service
	paths []stateward.StatePath
	why   *stateward.Unknown
}

type decoding struct {
	name     string
	top      *dialect.Node
	services []service
	found    []stateward.Service
	// unseen says why it is not known which services there are.
	unseen []stateward.Unknown
}

// instance is one place that an option path with "*" stands for.
type instance struct {
	names []string
	node  *dialect.Node
}

func (d *decoding) row(r *Row) {
	if r.Option == "" {
		n := d.top.At(split(r.Enable)...)
		if s := d.enabled(r, r.Service, n); s != nil {
			for _, p := range r.Paths {
				s.add(r, p, false, n.Origin(), stateward.SourceTable)
			}
		}
		return
	}
	places, why := instances(d.top, split(r.Option))
	if why != nil {
		// Which there are is not known.
		n := d.top
		for _, c := range split(r.Enable) {
			if c == "*" {
				break
			}
			n = n.At(c)
		}
		switch {
		case r.Enable == "" || strings.Contains(r.Enable, "*"):
			d.unsee(*why)
		default:
			if s := d.enabled(r, strings.ReplaceAll(r.Service, "*", "all"), n); s != nil {
				s.lost(*why)
			}
		}
		return
	}
	for _, p := range places {
		name, enable := r.Service, split(r.Enable)
		if len(p.names) == 1 {
			name = strings.ReplaceAll(name, "*", p.names[0])
		}
		used := 0
		for i, c := range enable {
			if c == "*" {
				enable[i] = p.names[used]
				used++
			}
		}
		n := p.node
		if len(enable) > 0 {
			n = d.top.At(enable...)
		}
		s := d.enabled(r, name, n)
		if s == nil {
			continue
		}
		s.read(r, p.node)
	}
}

// enabled returns the service that a row speaks of; nil where the host does not have it.
func (d *decoding) enabled(r *Row, name string, n *dialect.Node) *service {
	if why, unknown := n.Why(); unknown && why.Subject != n.Path() {
		// What is above could not be had: of every service below it nothing is known.
		d.unsee(why)
		return nil
	}
	on := stateward.Known(true, n.Origin())
	if r.Enable != "" {
		on = isOn(n)
	}
	if r.Unless != "" {
		unless := isOn(d.top.At(split(r.Unless)...))
		if unless.Or(false) {
			return nil
		}
		if why, unknown := unless.Why(); unknown && on.Or(false) {
			on = stateward.NotKnown[bool](why)
		}
	}
	if on.IsAbsent() {
		return nil
	}
	for i := range d.services {
		if s := &d.services[i]; s.Name == name && s.Origin.Option == n.Path() && s.Enable.IsUnknown() == on.IsUnknown() {
			return s
		}
	}
	d.services = append(d.services, service{Service: stateward.Service{Name: name, Dialect: d.name, Origin: n.Origin(), Enable: on}})
	return &d.services[len(d.services)-1]
}

// isOn reads an option that switches something on.
func isOn(n *dialect.Node) stateward.Value[bool] {
	switch n.Kind() {
	case dialect.Attrs:
		return stateward.Known(len(n.Attrs()) > 0, n.Origin())
	case dialect.List:
		return stateward.Known(len(n.List()) > 0, n.Origin())
	default:
		return n.Bool()
	}
}

func (d *decoding) unsee(why stateward.Unknown) {
	if !slices.Contains(d.unseen, why) {
		d.unseen = append(d.unseen, why)
	}
}

// instances follows an option path; each "*" is every attribute.
func instances(n *dialect.Node, path []string) (found []instance, why *stateward.Unknown) {
	var walk func(n *dialect.Node, path, names []string)
	walk = func(n *dialect.Node, path, names []string) {
		for i, c := range path {
			if c != "*" {
				n = n.At(c)
				continue
			}
			if u, unknown := n.Why(); unknown {
				if why == nil {
					why = &u
				}
				return
			}
			for _, a := range n.Attrs() {
				walk(a.Node, path[i+1:], append(slices.Clone(names), a.Name))
			}
			return
		}
		found = append(found, instance{names, n})
	}
	walk(n, path, nil)
	return found, why
}

func (s *service) lost(why stateward.Unknown) {
	if s.why == nil {
		s.why = &why
	}
}

// read reads an option that holds a place, or a list of them.
func (s *service) read(r *Row, n *dialect.Node) {
	switch n.Kind() {
	case dialect.Absent, dialect.Null, dialect.Derivation:
	case dialect.List:
		for _, e := range n.List() {
			s.read(r, e)
		}
	default:
		v := n.Text()
		if why, unknown := v.Why(); unknown {
			if on, known := s.Enable.Get(); known && !on {
				n.Ignore()
				return
			}
			s.lost(why)
			return
		}
		text, pattern := pathOf(v.Or(""))
		if text == "" || strings.HasPrefix(text, "/nix/store/") {
			return
		}
		if r.Below != "" && !strings.HasPrefix(text, "/") {
			text = strings.TrimSuffix(r.Below, "/") + "/" + text
		}
		s.add(r, text, pattern, n.Origin(), sourceOf(r.Option))
	}
}

var (
	scheme = regexp.MustCompile(`^[a-z][a-z0-9+]*:(/[^:?]*)`)
	ofHome = regexp.MustCompile(`^([a-z][a-z0-9+]*:)?(~|[%$])`)
)

// pathOf finds the path in the value of an option, such as "maildir:/var/mail/%u:INDEX=/x" or "sqlite:///var/lib/x.db";
// pattern tells that it goes on in a way that options do not show. What lies in the home of whoever it is has none.
func pathOf(text string) (path string, pattern bool) {
	if ofHome.MatchString(text) {
		return "", false
	}
	if m := scheme.FindStringSubmatch(text); m != nil {
		text = "/" + strings.TrimLeft(m[1], "/")
	}
	if i := strings.IndexAny(text, "%$"); i >= 0 && strings.HasPrefix(text, "/") {
		return text[:max(1, strings.LastIndexByte(text[:i], '/'))], true
	}
	return text, false
}

// sourceOf tells a service's own directory from others that an option may name.
func sourceOf(option string) stateward.StateSource {
	switch strings.ToLower(option[strings.LastIndexByte(option, '.')+1:]) {
	case "datadir", "datadirectory", "datapath", "statedir", "statepath", "storagedir", "storagepath":
		return stateward.SourceDataDir
	}
	return stateward.SourcePlace
}

func (s *service) add(r *Row, text string, pattern bool, o stateward.Origin, source stateward.StateSource) {
	kind := stateward.Directory
	if r.File {
		kind = stateward.File
	}
	if slices.ContainsFunc(s.paths, func(p stateward.StatePath) bool { return p.Text == text && p.Kind == kind }) {
		return
	}
	p := stateward.StatePath{Entry: stateward.NewEntry(text, kind, o), Source: source, Pattern: pattern, Perhaps: r.Perhaps}
	if u, err := stateward.ParseOwner(r.User); err == nil {
		p.User = stateward.Known(u, o)
	}
	if g, err := stateward.ParseOwner(r.Group); err == nil {
		p.Group = stateward.Known(g, o)
	}
	if m, err := stateward.ParseMode(r.Mode); err == nil && r.Mode != "" {
		p.Mode = stateward.Known(m, o)
	}
	s.paths = append(s.paths, p)
}
