package aggregate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// WiredPlan is the plan whose settings the configuration has, nil where it has none: of one that the module refuses nothing is wired. The error says why it is not known.
func WiredPlan(h *stateward.Host) (*HostPlan, error) {
	if why, unknown := h.Plan.Why(); unknown {
		return nil, &HostPlanError{"that is wired is not known: " + why.String()}
	}
	text, ok := h.Plan.Get()
	if !ok {
		return nil, nil
	}
	p, err := ReadHostPlan([]byte(text))
	if err != nil || p.HostName != "" && p.HostName != h.HostName.Or(p.HostName) {
		return nil, nil
	}
	return p, nil
}

// wiredOptions are the options that a plan sets. Of a set each attribute is a setting of its own.
var wiredOptions = []struct {
	path []string
	set  bool
}{
	{[]string{"environment", "etc"}, true},
	{[]string{"environment", "persistence"}, true},
	{[]string{"preservation", "preserveAt"}, true},
	{[]string{"services", "postgresql", "settings"}, true},
	{[]string{"services", "sanoid", "enable"}, false},
	{[]string{"services", "sanoid", "interval"}, false},
	{[]string{"services", "sanoid", "templates"}, true},
	{[]string{"services", "sanoid", "datasets"}, true},
	{[]string{"services", "syncoid", "enable"}, false},
	{[]string{"services", "syncoid", "interval"}, false},
	{[]string{"services", "syncoid", "commands"}, true},
	{[]string{"systemd", "services"}, true},
	{[]string{"systemd", "timers"}, true},
	{[]string{"systemd", "sockets"}, true},
	{[]string{"systemd", "paths"}, true},
	{[]string{"systemd", "targets"}, true},
	{[]string{"systemd", "tmpfiles", "rules"}, false},
}

// WiredOptions are the paths of the options that a plan may set.
func WiredOptions() [][]string {
	var out [][]string
	for _, o := range wiredOptions {
		out = append(out, o.path)
	}
	return out
}

// values are what the parts of a plan set an option to, in the order of the parts.
func (p *HostPlan) values(path ...string) (out []any) {
	if p == nil {
		return nil
	}
	for _, part := range HostPlanParts() {
		var at any = p.Settings[part]
		if set, ok := at.(map[string]any); ok && set == nil {
			continue
		}
		for _, name := range path {
			set, _ := at.(map[string]any)
			at = set[name]
		}
		if at != nil {
			out = append(out, at)
		}
	}
	return out
}

// sets are the attributes of an option that is a set, by name.
func (p *HostPlan) sets(path ...string) map[string][]any {
	out := map[string][]any{}
	for _, v := range p.values(path...) {
		set, _ := v.(map[string]any)
		for name, value := range set {
			out[name] = append(out[name], value)
		}
	}
	return out
}

// planned are the settings of a plan by their names.
func (p *HostPlan) planned() map[string]string {
	out := map[string]string{}
	if p == nil {
		return out
	}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	for _, o := range wiredOptions {
		if !o.set {
			if list := p.values(o.path...); len(list) > 0 {
				out[stateward.OptionPath(o.path...)] = text(list)
			}
			continue
		}
		for name, list := range p.sets(o.path...) {
			out[stateward.OptionPath(append(slices.Clone(o.path), name)...)] = text(list)
		}
	}
	for name, t := range p.Scripts {
		out["the script "+name] = t
	}
	if len(p.Packages) > 0 {
		out["the packages"] = strings.Join(p.Packages, " ")
	}
	return out
}

// Differences between the settings of two plans, each list sorted.
type Differences struct{ Added, Removed, Changed []string }

// Compare says what another plan has that this one has not, and the like.
func (p *HostPlan) Compare(now *HostPlan) (d Differences) {
	was, is := p.planned(), now.planned()
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, ok := was[name]; !ok {
			d.Added = append(d.Added, name)
		} else if old != is[name] {
			d.Changed = append(d.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[name]; !ok {
			d.Removed = append(d.Removed, name)
		}
	}
	return d
}

// unwired is a host as it would be without the plan that is wired: a plan only adds, so that what it has added can be told and taken away.
func unwired(host *stateward.Host, p *HostPlan) *stateward.Host {
	if p == nil {
		return host
	}
	h := *host
	ours := p.sets("systemd", "services")
	h.Units = mapped(h.Units, func(list []stateward.Unit) []stateward.Unit { return withoutUnits(list, ours) })
	h.Services = mapped(h.Services, func(list []stateward.Service) []stateward.Service {
		return slices.DeleteFunc(list, func(s stateward.Service) bool {
			return s.Dialect == "nixos" && strings.HasPrefix(s.Name, ownUnits) && len(ours[s.Name]) > 0
		})
	})
	timers := p.sets("systemd", "timers")
	h.Timers = mapped(h.Timers, func(list []stateward.Timer) []stateward.Timer {
		return slices.DeleteFunc(list, func(t stateward.Timer) bool { return len(timers[strings.TrimSuffix(t.Name, ".timer")]) > 0 })
	})
	h.Tmpfiles = mapped(h.Tmpfiles, func(list []stateward.TmpfilesRule) []stateward.TmpfilesRule {
		for _, line := range texts(p.values("systemd", "tmpfiles", "rules")) {
			i := slices.IndexFunc(list, func(r stateward.TmpfilesRule) bool {
				path := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(r.At.Path.String())
				return r.Type == "z" && strings.HasPrefix(line, "z "+unit.Words(path)+" ")
			})
			if i >= 0 {
				list = slices.Delete(list, i, i+1)
			}
		}
		return list
	})
	policies := func(v stateward.Value[[]stateward.SnapshotPolicy], name string) stateward.Value[[]stateward.SnapshotPolicy] {
		ours := p.sets("services", "sanoid", name)
		return mapped(v, func(list []stateward.SnapshotPolicy) []stateward.SnapshotPolicy {
			return slices.DeleteFunc(list, func(s stateward.SnapshotPolicy) bool { return len(ours[s.Name]) > 0 })
		})
	}
	h.Snapshots, h.SnapshotTemplates = policies(h.Snapshots, "datasets"), policies(h.SnapshotTemplates, "templates")
	commands := p.sets("services", "syncoid", "commands")
	h.Replications = mapped(h.Replications, func(list []stateward.Replication) []stateward.Replication {
		return slices.DeleteFunc(list, func(r stateward.Replication) bool { return len(commands[r.Name]) > 0 })
	})
	settings := p.sets("services", "postgresql", "settings")
	h.PITR = mapped(h.PITR, func(list []stateward.PITR) []stateward.PITR {
		for i := range list {
			list[i].Settings = maps.Clone(list[i].Settings)
			for name, ours := range settings {
				if text, ok := list[i].Settings[name].Get(); ok && list[i].Service == "postgresql" && slices.Contains(texts(ours), text) {
					delete(list[i].Settings, name)
				}
			}
		}
		return list
	})
	h.Persistence = mapped(h.Persistence, func(list []stateward.PersistenceRoot) []stateward.PersistenceRoot {
		for i := range list {
			r := &list[i]
			option := []string{"environment", "persistence"}
			switch r.Module {
			case stateward.Preservation:
				option = []string{"preservation", "preserveAt"}
			case stateward.HomeManager:
				continue
			}
			for _, of := range []struct {
				name string
				kind stateward.EntryKind
				list *stateward.Value[[]stateward.Entry]
			}{{"directories", stateward.Directory, &r.Directories}, {"files", stateward.File, &r.Files}} {
				ours := p.values(append(slices.Clone(option), r.Name, of.name)...)
				*of.list = mapped(*of.list, func(list []stateward.Entry) []stateward.Entry { return withoutEntries(list, of.kind, ours) })
			}
		}
		return list
	})
	// What the module of the root makes of an entry is not there without it.
	ofEntry := func(at stateward.AbsPath) bool { return !at.IsZero() && p.Persists(at) }
	for _, list := range []*stateward.Value[[]stateward.FileSystem]{&h.FileSystems, &h.Mounts} {
		*list = mapped(*list, func(list []stateward.FileSystem) []stateward.FileSystem {
			return slices.DeleteFunc(list, func(f stateward.FileSystem) bool { return f.IsBind() && ofEntry(f.MountPoint.Path) })
		})
	}
	h.Links = mapped(h.Links, func(list []stateward.Link) []stateward.Link {
		return slices.DeleteFunc(list, func(l stateward.Link) bool { return ofEntry(l.At.Path) })
	})
	return &h
}

// mapped is a list that is known, changed in a copy of its own.
func mapped[T any](v stateward.Value[[]T], f func([]T) []T) stateward.Value[[]T] {
	list, ok := v.Get()
	if !ok {
		return v
	}
	return stateward.Known(f(slices.Clone(list)), v.Origin())
}

// texts are the texts of values, of lists among them too.
func texts(list []any) (out []string) {
	for _, v := range list {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case []any:
			out = append(out, texts(v)...)
		}
	}
	return out
}

// withoutUnits takes the units of a plan away, and from others what the plan has them wait for.
func withoutUnits(list []stateward.Unit, ours map[string][]any) []stateward.Unit {
	list = slices.DeleteFunc(list, func(u stateward.Unit) bool {
		name := strings.TrimSuffix(u.Name, ".service")
		return strings.HasPrefix(name, ownUnits) && len(ours[name]) > 0
	})
	for i := range list {
		u := &list[i]
		for _, v := range ours[strings.TrimSuffix(u.Name, ".service")] {
			set, _ := v.(map[string]any)
			for _, of := range []struct {
				name string
				list *stateward.Value[[]string]
			}{{"after", &u.After}, {"requires", &u.Requires}} {
				names, _ := set[of.name].([]any)
				drop(of.list, texts(names))
			}
			config, _ := set["unitConfig"].(map[string]any)
			for _, of := range []struct {
				name string
				list *stateward.Value[[]string]
			}{{"AssertPathIsMountPoint", &u.MountAsserts}, {"RequiresMountsFor", &u.RequiresMountsFor}} {
				names, _ := config[of.name].([]any)
				drop(of.list, texts(names))
			}
			service, _ := set["serviceConfig"].(map[string]any)
			if text, is := service["StateDirectoryMode"].(string); is && u.StateDirectoryMode.Or(stateward.Mode{}).String() == text {
				u.StateDirectoryMode = stateward.Value[stateward.Mode]{}
			}
		}
	}
	return list
}

// drop takes one of each text away.
func drop(v *stateward.Value[[]string], ours []string) {
	*v = mapped(*v, func(list []string) []string {
		for _, text := range ours {
			if i := slices.Index(list, text); i >= 0 {
				list = slices.Delete(list, i, i+1)
			}
		}
		return list
	})
}

// withoutEntries takes the entries away that a plan has added: the last of each, since they come after others.
func withoutEntries(list []stateward.Entry, kind stateward.EntryKind, ours []any) []stateward.Entry {
	for _, v := range ours {
		set, _ := v.(map[string]any)
		items, _ := set["value"].([]any)
		for _, item := range items {
			asked := map[string]any{kind.String(): item}
			if fields, ok := item.(map[string]any); ok {
				asked = fields
			}
			path, _ := asked[kind.String()].(string)
			for i := len(list) - 1; i >= 0; i-- {
				if e := list[i]; e.Rare().OfUser == "" && e.Path.String() == path {
					list = slices.Delete(list, i, i+1)
					break
				}
			}
		}
	}
	return list
}

// entries are what the plan adds to persistence roots, by the option of the list and the path.
func (p *HostPlan) entries() map[string]string {
	out := map[string]string{}
	for _, option := range [][]string{{"environment", "persistence"}, {"preservation", "preserveAt"}} {
		for name, roots := range p.sets(option...) {
			for _, v := range roots {
				root, _ := v.(map[string]any)
				for kind, list := range map[string]string{"directory": "directories", "file": "files"} {
					after, _ := root[list].(map[string]any)
					items, _ := after["value"].([]any)
					for _, item := range items {
						if fields, ok := item.(map[string]any); ok {
							item = fields[kind]
						}
						if text, ok := item.(string); ok {
							out[stateward.OptionPath(append(slices.Clone(option), name, list)...)+" "+text] = text
						}
					}
				}
			}
		}
	}
	return out
}

// Persists tells whether the plan adds an entry for a path.
func (p *HostPlan) Persists(at stateward.AbsPath) bool {
	for _, text := range p.entries() {
		if text == at.String() {
			return true
		}
	}
	return false
}

// Lost lists what a later plan does not set any more, sorted: settings, and entries of persistence roots that still have others. Packages and scripts go
// with what needs them.
func (p *HostPlan) Lost(now *HostPlan) []string {
	lost := slices.DeleteFunc(p.Compare(now).Removed, func(name string) bool { return strings.HasPrefix(name, "the ") })
	is := now.entries()
	for name := range p.entries() {
		whole := slices.ContainsFunc(lost, func(option string) bool { return strings.HasPrefix(name, option+".") })
		if _, still := is[name]; !still && !whole {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

// SettingNames are the names of all settings, sorted.
func (p *HostPlan) SettingNames() []string {
	all := p.planned()
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, "the ") })
	return slices.Sorted(maps.Keys(all))
}

// PartNames are those of one plan.
func (p *HostPlan) PartNames(part string) []string {
	one := HostPlan{Settings: map[string]map[string]any{part: p.Settings[part]}}
	return one.SettingNames()
}

// Empty tells whether the two plans set the same.
func (d Differences) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// String is a clause for people: no more names than one reads.
func (d Differences) String() string {
	var parts []string
	for _, of := range []struct {
		list []string
		what string
	}{{d.Added, "missing"}, {d.Changed, "changed"}, {d.Removed, "no longer planned"}} {
		if len(of.list) == 0 {
			continue
		}
		const most = 3
		text := strings.Join(of.list[:min(len(of.list), most)], ", ")
		if n := len(of.list) - most; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		parts = append(parts, of.what+" "+text)
	}
	return strings.Join(parts, "; ")
}
