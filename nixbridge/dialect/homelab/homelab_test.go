package homelab_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/homelab"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

func entries(v stateward.Value[[]stateward.Entry]) string {
	if !v.IsKnown() {
		return v.String()
	}
	var out []string
	for _, e := range v.Or(nil) {
		out = append(out, e.Text)
	}
	return "[" + strings.Join(out, " ") + "]"
}

func protectionLine(p *stateward.Protection) string {
	var rpo []string
	for _, t := range stateward.Tiers() {
		if v, ok := p.RPO[t]; ok {
			rpo = append(rpo, fmt.Sprintf("%s=%s", t, v))
		}
	}
	return fmt.Sprintf("%v rpo %v %v", p.Tiers, rpo, p.Settings)
}

// lines shows what a host declares, without what is absent.
func lines(h stateward.Host) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, d := range h.Datasets.Or(nil) {
		asked := ""
		if d.Asked {
			asked = " asked"
		}
		add("dataset %s %s canmount %s %v %s:%s %s%s", d.Name, d.MountPoint, d.CanMount, d.Properties, d.Owner, d.Group, d.Mode, asked)
		if d.Protection != nil {
			add("  protection %s", protectionLine(d.Protection))
		}
	}
	if h.Datasets.IsUnknown() {
		add("datasets %s", h.Datasets)
	}
	for _, s := range h.Services.Or(nil) {
		if s.Dialect != homelab.Name {
			continue
		}
		add("service %s %s %s:%s dataDir %s", s.Name, s.Enable, s.User, s.Group, s.DataDir.Or(stateward.Entry{}).Text)
		paths, complete := s.StatePaths()
		for _, p := range paths {
			add("  state %s %s", p.Source, p.Text)
		}
		if !complete {
			add("  state %s", s.State)
		}
		if s.Dataset != nil {
			add("  dataset %s", s.Dataset.Name)
		}
		if s.Protection != nil {
			add("  protection %s", protectionLine(s.Protection))
		}
		if p := s.Preseed; p != nil {
			add("  preseed %s %s of %s by %s", p.Enable, p.Sources, p.Repository, p.RunBy)
		}
	}
	if h.Services.IsUnknown() {
		add("services %s", h.Services)
	}
	policies := func(kind string, v stateward.Value[[]stateward.SnapshotPolicy]) {
		if v.IsUnknown() {
			add("%s %s", kind, v)
		}
		for _, p := range v.Or(nil) {
			add("%s %s templates %s recursive %s %v %s", kind, p.Name, p.Templates, p.Recursive, p.Settings, p.Schedule)
		}
	}
	policies("snapshots", h.Snapshots)
	policies("template", h.SnapshotTemplates)
	for _, r := range h.Replications.Or(nil) {
		add("replication %s to %s recursive %s send %s receive %s %s", r.Source, r.Target, r.Recursive, r.SendOptions, r.RecvOptions, r.Schedule)
	}
	for _, j := range h.Jobs.Or(nil) {
		add("job %s %s %s", j.Name, j.Engine, entries(j.Paths))
		for _, f := range []struct {
			name  string
			value fmt.Stringer
		}{
			{"dataset", j.Dataset}, {"exclude", j.Exclude}, {"repository", j.Repository}, {"passwordFile", j.PasswordFile}, {"environmentFile", j.EnvironmentFile},
			{"initialize", j.Initialize}, {"schedule", j.Schedule}, {"randomizedDelay", j.RandomizedDelay}, {"persistent", j.Persistent}, {"prune", j.Prune},
			{"preHook", j.PreHook}, {"postHook", j.PostHook},
		} {
			if text := f.value.String(); text != "absent" {
				add("  %s %s", f.name, text)
			}
		}
	}
	if h.Jobs.IsUnknown() {
		add("jobs %s", h.Jobs)
	}
	return out
}

func unknowns(h stateward.Host) []string {
	var out []string
	for _, u := range h.Unknown {
		out = append(out, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message))
	}
	return out
}

type testCase struct {
	config        string
	want, unknown []string
}

// What a unit or a stock service of another name has as its own is one place; what one that is off, only reads or only may
// write is not.
func TestServiceNamedElsewhere(t *testing.T) {
	mine := func(dir string) []string {
		return []string{"service a true absent:absent dataDir " + dir, "  state dataDir " + dir}
	}
	with := func(text, dir string) string {
		return `{ modules = { storage.datasets.enable = true; services.a = { enable = true; dataDir = "` + dir + `"; }; }; ` + text + ` }`
	}
	check(t, map[string]testCase{
		"StateDirectory":             {config: with(`systemd.services.ad.serviceConfig.StateDirectory = "a";`, "/var/lib/a/")},
		"StateDirectory, same name":  {config: with(`systemd.services.a.serviceConfig.StateDirectory = "a";`, "/var/lib/a"), want: mine("/var/lib/a")},
		"StateDirectory of one off":  {config: with(`systemd.services.ad = { enable = false; serviceConfig.StateDirectory = "a"; };`, "/var/lib/a"), want: mine("/var/lib/a")},
		"StateDirectory, read-only":  {config: with(`systemd.services.ad.serviceConfig.StateDirectory = "a::ro";`, "/var/lib/a"), want: mine("/var/lib/a")},
		"StateDirectory of a parent": {config: with(`systemd.services.ad.serviceConfig.StateDirectory = "a";`, "/var/lib/a/data"), want: mine("/var/lib/a/data")},
		"ReadWritePaths":             {config: with(`systemd.services.ad.serviceConfig.ReadWritePaths = "/srv/a";`, "/srv/a"), want: mine("/srv/a")},
		"stock service":              {config: with(`systemd = { }; services.ad = { enable = true; dataDir = "/srv/a"; };`, "/srv/a")},
		"stock service that is off":  {config: with(`systemd = { }; services.ad = { enable = false; dataDir = "/srv/a"; };`, "/srv/a"), want: mine("/srv/a")},
	}, afterStock(t))
}

func check(t *testing.T, cases map[string]testCase, decode func(configs ...string) []stateward.Host) {
	t.Helper()
	names := slices.Sorted(maps.Keys(cases))
	var texts []string
	for _, name := range names {
		texts = append(texts, "{ config = "+cases[name].config+"; }")
	}
	hosts := decode(texts...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(cases[name].want, lines(hosts[i])); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
			if d := cmp.Diff(cases[name].unknown, unknowns(hosts[i])); d != "" {
				t.Errorf("unknown: want -, got +\n%s", d)
			}
		})
	}
}

func alone(t *testing.T) func(configs ...string) []stateward.Host {
	return func(configs ...string) []stateward.Host { return evaltest.Decode(t, homelab.Dialect(), configs...) }
}

// afterStock decodes the stock options first, as the bridge does.
func afterStock(t *testing.T) func(configs ...string) []stateward.Host {
	return func(configs ...string) []stateward.Host {
		stock, own := evaltest.Read(t, nixos.Dialect(), configs...), evaltest.Read(t, homelab.Dialect(), configs...)
		hosts := make([]stateward.Host, len(configs))
		for i := range hosts {
			nixos.Dialect().Decode(stock[i].Root(), &hosts[i])
			homelab.Dialect().Decode(own[i].Root(), &hosts[i])
			hosts[i].AddUnknown(own[i].Unknowns()...)
		}
		return hosts
	}
}

// made is what makes the datasets; storage a host on which they are declared.
const made = `systemd.services.zfs-service-datasets.enable = true; `

func storage(text string) string {
	return `{ ` + made + `modules.storage.datasets = { enable = true; parentDataset = "tank/services"; parentMount = "/srv"; ` + text + ` }; }`
}

func TestPreseed(t *testing.T) {
	service := func(preseed string) string {
		return `{ modules = { storage.datasets.enable = true; services.a = { enable = true; dataDir = "/var/lib/a"; preseed = ` + preseed + `; }; }; }`
	}
	lines := func(more ...string) []string {
		return append([]string{"service a true absent:absent dataDir /var/lib/a", "  state dataDir /var/lib/a"}, more...)
	}
	check(t, map[string]testCase{
		"as the module has it": {
			config: service(`{ enable = true; repositoryUrl = "/mnt/nas"; passwordFile = throw "never read"; environmentFile = null; restoreMethods = [ "syncoid" "local" ]; }`),
			want:   lines("  preseed true [replica local] of /mnt/nas by preseed-a.service"),
		},
		"off":          {config: service(`{ enable = false; repositoryUrl = throw "no value"; }`), want: lines()},
		"nothing said": {config: service(`{ repositoryUrl = "/mnt/nas"; }`), want: lines()},
		"every source": {config: service(`{ enable = true; repositoryUrl = ""; restoreMethods = [ "syncoid" "local" "restic" ]; }`), want: lines("  preseed true [replica local restic] of absent by preseed-a.service")},
		"no set":       {config: service(`true`), want: lines(), unknown: []string{"modules.services.a.preseed [type] expected an attribute set, found a Boolean"}},
		"N4 one that throws": {
			config:  service(`{ enable = true; restoreMethods = throw "no"; }`),
			want:    lines("  preseed true unknown (modules.services.a.preseed.restoreMethods: throw) of absent by preseed-a.service"),
			unknown: []string{"modules.services.a.preseed.restoreMethods [throw] "},
		},
	}, alone(t))
}

func TestDatasets(t *testing.T) {
	check(t, map[string]testCase{
		"nothing": {
			config: `{ }`,
		},
		"another's modules": {
			config: `{ modules.storage.disks = throw "never read"; modules.services.backup.enable = throw "never read"; }`,
		},
		"no datasets": {
			config: storage(``),
		},
		"the mount point is computed": {
			config: storage(`services.a.mountpoint = null;`),
			want:   []string{"dataset tank/services/a /srv/a canmount absent map[] absent:absent absent"},
		},
		"parentMount with a slash": {
			config: `{ ` + made + `modules.storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv/"; services.a = { }; }; }`,
			want:   []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent"},
		},
		"everything": {
			config: storage(`services.a = { recordsize = "16K"; compression = "zstd"; properties = { logbias = "latency"; "com.sun:auto-snapshot" = "false"; }; mountpoint = "/var/lib/a"; owner = "a"; group = "g"; mode = "0700"; };`),
			want:   []string{"dataset tank/services/a /var/lib/a canmount absent map[com.sun:auto-snapshot:false compression:zstd logbias:latency recordsize:16K] a:g 0700"},
		},
		"none and legacy are not mounted, and nobody owns them": {
			config: storage(`services.a = { mountpoint = "none"; owner = "root"; group = "root"; mode = "0750"; }; services.b = { mountpoint = "legacy"; mode = "0750"; };`),
			want: []string{"dataset tank/services/a none canmount absent map[] absent:absent absent",
				"dataset tank/services/b legacy canmount absent map[] absent:absent absent"},
		},
		"properties are set last": {
			config: storage(`services.a = { recordsize = "128K"; mountpoint = "/a"; properties = { canmount = "noauto"; mountpoint = "/b"; recordsize = "1M"; }; };`),
			want:   []string{"dataset tank/services/a /b canmount noauto map[canmount:noauto mountpoint:/b recordsize:1M] absent:absent absent"},
		},
		"a name with a slash lies deeper": {
			config: storage(`services."postgresql/main".mountpoint = "/var/lib/postgresql";`),
			want:   []string{"dataset tank/services/postgresql/main /var/lib/postgresql canmount absent map[] absent:absent absent"},
		},
		"utility datasets have their full names": {
			config: storage(`utility."rpool/temp" = { mountpoint = "none"; compression = "lz4"; };`),
			want:   []string{"dataset rpool/temp none canmount absent map[compression:lz4] absent:absent absent"},
		},
		"P11 off": {
			config: `{ ` + made + `modules.storage.datasets = { enable = false; parentDataset = throw "no"; services = throw "no"; utility = throw "no"; };
			modules.storage.protection.externalDatasets."tank/x".protection.class = "critical"; modules.services.a.enable = true; }`,
		},
		"D1 the unit that makes them is off": {
			config: `{ systemd.services.zfs-service-datasets.enable = false; modules.storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; }`,
			want:   []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent asked"},
		},
		"D1 nothing makes them": {
			config: `{ modules.storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; }`,
			want:   []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent asked"},
		},
		"older trees make them in an activation script": {
			config: `{ system.activationScripts.zfs-service-datasets.text = throw "never read"; modules.storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; }`,
			want:   []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent"},
		},
		"N4 one that throws": {
			config: storage(`services = { a = throw "no"; b.mountpoint = throw "no"; c = { mountpoint = "/c"; owner = throw "no"; properties.atime = throw "no"; }; }; utility."tank/x".mountpoint = throw "no";`),
			want: []string{`dataset tank/x unknown (modules.storage.datasets.utility."tank/x".mountpoint: throw) canmount absent map[] absent:absent absent`,
				"dataset tank/services/a unknown (modules.storage.datasets.services.a: throw) canmount unknown (modules.storage.datasets.services.a: throw) map[compression:unknown (modules.storage.datasets.services.a: throw) recordsize:unknown (modules.storage.datasets.services.a: throw)] unknown (modules.storage.datasets.services.a: throw):unknown (modules.storage.datasets.services.a: throw) unknown (modules.storage.datasets.services.a: throw)",
				"dataset tank/services/b unknown (modules.storage.datasets.services.b.mountpoint: throw) canmount absent map[] absent:absent absent",
				"dataset tank/services/c /c canmount absent map[atime:unknown (modules.storage.datasets.services.c.properties.atime: throw)] unknown (modules.storage.datasets.services.c.owner: throw):absent absent"},
			unknown: []string{"modules.storage.datasets.services.a [throw] ",
				"modules.storage.datasets.services.b.mountpoint [throw] ",
				"modules.storage.datasets.services.c.owner [throw] ",
				"modules.storage.datasets.services.c.properties.atime [throw] ",
				`modules.storage.datasets.utility."tank/x".mountpoint [throw] `},
		},
		"N6 all services throw": {
			config:  storage(`services = throw "no"; utility."tank/x".mountpoint = "/x";`),
			want:    []string{"datasets unknown (modules.storage.datasets.services: throw)", "services unknown (modules.storage.datasets.services: throw)"},
			unknown: []string{"modules.storage.datasets.services [throw] "},
		},
		"all of it throws": {
			config:  `{ modules.storage.datasets = throw "no"; }`,
			want:    []string{"datasets unknown (modules.storage.datasets: throw)", "services unknown (modules.storage.datasets: throw)"},
			unknown: []string{"modules.storage.datasets [throw] "},
		},
		"whether it is on is thrown": {
			config:  `{ ` + made + `modules.storage.datasets = { enable = throw "no"; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; }`,
			want:    []string{"dataset tank/a /srv/a canmount unknown (modules.storage.datasets.enable: throw) map[] absent:absent absent"},
			unknown: []string{"modules.storage.datasets.enable [throw] "},
		},
		"no parent": {
			config:  `{ ` + made + `modules.storage.datasets = { enable = true; services.a.mountpoint = "/a"; }; }`,
			want:    []string{"datasets unknown (modules.storage.datasets.parentDataset: has no value: the datasets of services have no names)"},
			unknown: []string{"modules.storage.datasets.parentDataset [form] has no value: the datasets of services have no names"},
		},
		"the parent throws": {
			config:  `{ ` + made + `modules.storage.datasets = { enable = true; parentDataset = throw "no"; services.a.mountpoint = "/a"; }; }`,
			want:    []string{"datasets unknown (modules.storage.datasets.parentDataset: throw)"},
			unknown: []string{"modules.storage.datasets.parentDataset [throw] "},
		},
		"N4 what services say does not hang on the names of their datasets": {
			config: `{ ` + made + `modules = { storage.datasets = { enable = true; services = { a = { mountpoint = "/a"; protection.class = "critical"; }; b = { }; }; };
				services = { a = { enable = true; dataDir = "/var/lib/a"; }; b = { enable = true; dataDir = "/var/lib/b"; }; }; }; }`,
			want: []string{"datasets unknown (modules.storage.datasets.parentDataset: has no value: the datasets of services have no names)",
				"service a true absent:absent dataDir /var/lib/a", "  state dataDir /var/lib/a", "  protection [] rpo [] map[class:critical]",
				"service b true absent:absent dataDir /var/lib/b", "  state dataDir /var/lib/b"},
			unknown: []string{"modules.storage.datasets.parentDataset [form] has no value: the datasets of services have no names"},
		},
		"N4 the names could not be had": {
			config: `{ ` + made + `modules = { storage.datasets = { enable = true; parentDataset = throw "no"; services.a = { }; }; services.a = { enable = true; dataDir = "/var/lib/a"; }; }; }`,
			want: []string{"datasets unknown (modules.storage.datasets.parentDataset: throw)",
				"service a true absent:absent dataDir /var/lib/a", "  state dataDir /var/lib/a"},
			unknown: []string{"modules.storage.datasets.parentDataset [throw] "},
		},
		"no parentMount, and none is needed": {
			config: `{ ` + made + `modules.storage.datasets = { enable = true; parentDataset = "tank"; services.a.mountpoint = "/a"; services.b = { }; }; }`,
			want: []string{"dataset tank/a /a canmount absent map[] absent:absent absent",
				"dataset tank/b unknown (modules.storage.datasets.parentMount: has no value, and modules.storage.datasets.services.b has no mountpoint) canmount absent map[] absent:absent absent"},
			unknown: []string{"modules.storage.datasets.parentMount [form] has no value, and modules.storage.datasets.services.b has no mountpoint"},
		},
		"wrong types": {
			config: `{ ` + made + `modules.storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services = { a = 5; b = { mountpoint = 5; owner = 5; mode = "999"; recordsize = [ ]; properties = "x"; }; c.protection = 5; }; }; }`,
			want: []string{"dataset tank/a unknown (modules.storage.datasets.services.a: expected an attribute set, found an integer) canmount absent map[] absent:absent absent",
				`dataset tank/b unknown (modules.storage.datasets.services.b.properties: expected an attribute set, found a string) canmount unknown (modules.storage.datasets.services.b.properties: expected an attribute set, found a string) map[recordsize:unknown (modules.storage.datasets.services.b.recordsize: expected a string or a number, found a list)] 5:absent unknown (modules.storage.datasets.services.b.mode: mode "999" is not octal)`,
				"dataset tank/c /srv/c canmount absent map[] absent:absent absent"},
			unknown: []string{"modules.storage.datasets.services.a [type] expected an attribute set, found an integer",
				`modules.storage.datasets.services.b.mode [form] mode "999" is not octal`,
				"modules.storage.datasets.services.b.mountpoint [type] expected a string, found an integer",
				"modules.storage.datasets.services.b.properties [type] expected an attribute set, found a string",
				"modules.storage.datasets.services.b.recordsize [type] expected a string or a number, found a list",
				"modules.storage.datasets.services.c.protection [type] expected an attribute set, found an integer"},
		},
		"wrong type of a part": {
			config:  storage(`utility = 5; services.a = { };`),
			want:    []string{"datasets unknown (modules.storage.datasets.utility: expected an attribute set, found an integer)"},
			unknown: []string{"modules.storage.datasets.utility [type] expected an attribute set, found an integer"},
		},
		"wrong type of all": {
			config:  `{ modules.storage.datasets = 5; }`,
			want:    []string{"datasets unknown (modules.storage.datasets: expected an attribute set, found an integer)", "services unknown (modules.storage.datasets: expected an attribute set, found an integer)"},
			unknown: []string{"modules.storage.datasets [type] expected an attribute set, found an integer"},
		},
		"the services' own facts": {
			config: `{ ` + made + `modules = { storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services = { a = { }; b.protection.class = "critical"; c = { }; d = { }; e = { }; backup = { }; }; };
				services = { a = { enable = true; dataDir = "/var/lib/a"; user = "u"; group = "g"; other = throw "never read"; }; b = { enable = false; dataDir = throw "no"; }; c.main = { }; e = { enable = throw "no"; dataDir = throw "no"; }; x.main = throw "never read"; backup.enable = false; }; }; }`,
			want: []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent",
				"dataset tank/b /srv/b canmount absent map[] absent:absent absent",
				"  protection [] rpo [] map[class:critical]",
				"dataset tank/backup /srv/backup canmount absent map[] absent:absent absent",
				"dataset tank/c /srv/c canmount absent map[] absent:absent absent",
				"dataset tank/d /srv/d canmount absent map[] absent:absent absent",
				"dataset tank/e /srv/e canmount absent map[] absent:absent absent",
				"service a true u:g dataDir /var/lib/a",
				"  state dataDir /var/lib/a",
				"  dataset tank/a",
				"service b false absent:absent dataDir ",
				"  dataset tank/b",
				"  protection [] rpo [] map[class:critical]",
				"service e unknown (modules.services.e.enable: throw) absent:absent dataDir ",
				"  state unknown (modules.services.e.dataDir: throw)",
				"  dataset tank/e"},
			unknown: []string{"modules.services.e.dataDir [throw] ",
				"modules.services.e.enable [throw] "},
		},
		"D1 a service without a dataset": {
			config: `{ ` + made + `modules = { storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; services = {
				a = { enable = true; dataDir = "/srv/a"; }; b = { enable = true; dataDir = "/var/lib/b"; user = "u"; group = "g"; other = throw "never read"; }; c = { enable = true; dataDir = /srv/c; };
				off = { enable = false; dataDir = throw "never read"; user = throw "never read"; }; none = { enable = true; dataDir = null; }; empty = { enable = true; dataDir = ""; };
				without = { enable = true; main = throw "never read"; }; always.dataDir = throw "never read"; text = "x"; backup = { enable = true; dataDir = throw "never read"; }; }; }; }`,
			want: []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent",
				"service a true absent:absent dataDir /srv/a", "  state dataDir /srv/a", "  dataset tank/a",
				"service b true u:g dataDir /var/lib/b", "  state dataDir /var/lib/b",
				"service c true absent:absent dataDir /srv/c", "  state dataDir /srv/c"},
		},
		"N4 a service without a dataset throws": {
			config: storage(``) + ` // { modules = ` + storage(``) + `.modules // { services = { a = throw "no"; b = { enable = throw "no"; dataDir = "/b"; }; c = { enable = true; dataDir = throw "no"; }; }; }; }`,
			want: []string{"service a unknown (modules.services.a: throw) unknown (modules.services.a: throw):unknown (modules.services.a: throw) dataDir ", "  state unknown (modules.services.a: throw)",
				"  preseed unknown (modules.services.a: throw) unknown (modules.services.a: throw) of unknown (modules.services.a: throw) by preseed-a.service",
				"service b unknown (modules.services.b.enable: throw) absent:absent dataDir /b", "  state dataDir /b",
				"service c true absent:absent dataDir ", "  state unknown (modules.services.c.dataDir: throw)"},
			unknown: []string{"modules.services.a [throw] ", "modules.services.b.enable [throw] ", "modules.services.c.dataDir [throw] "},
		},
		"N6 the services throw": {
			config:  storage(``) + ` // { modules = ` + storage(``) + `.modules // { services = throw "no"; }; }`,
			want:    []string{"services unknown (modules.services: throw)", "jobs unknown (modules.services.backup: throw)"},
			unknown: []string{"modules.services [throw] ", "modules.services.backup [throw] "},
		},
		"N1 a renamed service is there once": {
			config: storage(``) + ` // { modules = ` + storage(``) + `.modules // { services = { a = { enable = true; dataDir = "/a"; }; b = { enable = true; dataDir = "/a"; }; }; }; };
				options.modules.services.b = { enable = { _type = "option"; visible = false; }; dataDir = { _type = "option"; visible = false; }; }`,
			want: []string{"service a true absent:absent dataDir /a", "  state dataDir /a"},
		},
		"P11 datasets are off, services are not": {
			config: `{ modules = { storage.datasets = { enable = false; parentDataset = throw "never read"; services.a = throw "never read"; }; services.a = { enable = true; dataDir = "/a"; }; }; }`,
			want:   []string{"service a true absent:absent dataDir /a", "  state dataDir /a"},
		},
		"services beside snapshots alone": {
			config: `{ modules = { backup.sanoid.enable = false; services.a = { enable = true; dataDir = "/a"; }; }; }`,
			want:   []string{"service a true absent:absent dataDir /a", "  state dataDir /a"},
		},
		"protection": {
			config: storage(`services.a = { mountpoint = "/a"; protection = { class = "critical"; objectives = { onsiteRpoSeconds = 900; offsiteRpoSeconds = 86400; rtoSeconds = 7200; }; requiredTiers = [ "local-snapshot" "replication" "nas-backup" "offsite-backup" "automated-restore" "independent-restore" ];
				consistency = "crash-consistent"; allowEmptyBootstrap = false; mechanism = { name = "standard"; reason = throw "never read"; }; validator = throw "never read"; }; };
				services.b = { mountpoint = "/b"; protection = { class = "ephemeral"; objectives = { onsiteRpoSeconds = null; offsiteRpoSeconds = "soon"; rtoSeconds = throw "no"; }; requiredTiers = [ ]; }; };`),
			want: []string{"dataset tank/services/a /a canmount absent map[] absent:absent absent",
				"  protection [rollback disk site rebuild] rpo [rollback=15min disk=15min site=1d] map[allowEmptyBootstrap:false class:critical consistency:crash-consistent mechanism:standard offsiteRpoSeconds:86400 onsiteRpoSeconds:900 requiredTiers:local-snapshot replication nas-backup offsite-backup automated-restore independent-restore rtoSeconds:7200]",
				"dataset tank/services/b /b canmount absent map[] absent:absent absent",
				"  protection [] rpo [] map[class:ephemeral offsiteRpoSeconds:unknown (modules.storage.datasets.services.b.protection.objectives.offsiteRpoSeconds: expected an integer, found a string) requiredTiers: rtoSeconds:unknown (modules.storage.datasets.services.b.protection.objectives.rtoSeconds: throw)]"},
			unknown: []string{"modules.storage.datasets.services.b.protection.objectives.offsiteRpoSeconds [type] expected an integer, found a string",
				"modules.storage.datasets.services.b.protection.objectives.rtoSeconds [throw] "},
		},
		"protection of datasets that are made elsewhere": {
			config: `{ ` + made + `modules.storage = { datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; }; protection.externalDatasets = {
				"tank/a" = { mountpoint = "/elsewhere"; protection.class = "standard"; }; "rpool/persist" = { mountpoint = "/persist"; protection = { class = "system"; requiredTiers = [ "replication" ]; }; }; "tank" = { mountpoint = null; protection = null; }; }; }; }`,
			want: []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent",
				"  protection [] rpo [] map[class:standard]",
				"dataset rpool/persist /persist canmount absent map[] absent:absent absent asked",
				"  protection [disk] rpo [] map[class:system requiredTiers:replication]",
				"dataset tank absent canmount absent map[] absent:absent absent asked"},
		},
	}, alone(t))
}

// Whether the dialect applies is not known where what it looks for could not be had: never that it does not.
func TestDetected(t *testing.T) {
	cases := map[string]struct{ config, want string }{
		"nothing":                            {`{ }`, "false"},
		"another's modules":                  {`{ modules = { storage = { }; backup = null; services.backup.enable = true; x = throw "no"; }; }`, "false"},
		"datasets":                           {`{ modules.storage.datasets = throw "no"; }`, "true"},
		"sanoid":                             {`{ modules.backup.sanoid = throw "no"; }`, "true"},
		"repositories":                       {`{ modules.services.backup.repositories = throw "no"; }`, "true"},
		"N4 all modules throw":               {`{ modules = throw "no"; }`, "unknown"},
		"N4 storage throws":                  {`{ modules = { storage = throw "no"; services.a.enable = true; }; }`, "unknown"},
		"N4 backup throws":                   {`{ modules.backup = throw "no"; }`, "unknown"},
		"N4 services throw":                  {`{ modules.services = throw "no"; }`, "unknown"},
		"N4 the module of backups throws":    {`{ modules.services.backup = throw "no"; }`, "unknown"},
		"another that is there is enough":    {`{ modules = { storage = throw "no"; backup.sanoid = { }; }; }`, "true"},
		"one before what throws is there":    {`{ modules = { storage.datasets = { }; backup = throw "no"; }; }`, "true"},
		"one that is not there, and a throw": {`{ modules = { storage = { }; backup = throw "no"; }; }`, "unknown"},
	}
	names := slices.Sorted(maps.Keys(cases))
	var texts []string
	for _, name := range names {
		texts = append(texts, "{ config = "+cases[name].config+"; }")
	}
	for i, tree := range evaltest.Read(t, homelab.Dialect(), texts...) {
		got := "unknown"
		if on, known := tree.Detected().Get(); known {
			got = fmt.Sprint(on)
		}
		if got != cases[names[i]].want {
			t.Errorf("%s: want %s, got %s", names[i], cases[names[i]].want, got)
		}
	}
}

// What may apply leaves nothing absent.
func TestWholeIsUnknown(t *testing.T) {
	var h stateward.Host
	tree := evaltest.Read(t, homelab.Dialect(), `{ config.modules.storage = throw "no"; }`)[0]
	homelab.Dialect().Decode(tree.Root(), &h)
	for name, unknown := range map[string]bool{
		"datasets": h.Datasets.IsUnknown(), "services": h.Services.IsUnknown(), "jobs": h.Jobs.IsUnknown(),
		"snapshots": h.Snapshots.IsUnknown(), "replications": h.Replications.IsUnknown(),
	} {
		if !unknown {
			t.Errorf("%s are not unknown", name)
		}
	}
}

func TestBackups(t *testing.T) {
	const repositories = `repositories = { nas = { url = "/mnt/nas"; passwordFile = "/run/p"; environmentFile = null; pruneSchedule = "weekly"; }; s3 = { url = "s3:x"; passwordFile = "/run/p"; environmentFile = "/run/e"; pruneSchedule = ""; }; };
		globalSettings.retention = { daily = 14; weekly = 8; yearly = 2; monthly = 6; }; `
	check(t, map[string]testCase{
		"a job and what it becomes": {
			config: `{ systemd.timers.restic-backup-a.timerConfig = { OnCalendar = "hourly"; Persistent = true; RandomizedDelaySec = "4h"; }; systemd.services."restic-init-nas" = { script = throw "never read"; };
				modules.services.backup = { enable = true; ` + repositories + ` restic = { enable = true; jobs = throw "never read"; };
				_internal.allJobs.a = { enable = true; repository = "nas"; paths = [ "/var/lib/a" "b" ]; excludePatterns = [ "*.tmp" ]; frequency = "daily"; preBackupScript = "x"; postBackupScript = ""; useSnapshots = false; zfsDataset = null; tags = throw "never read"; }; }; }`,
			want: []string{"job a restic [/var/lib/a b]",
				"  exclude [*.tmp]",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  initialize true",
				"  schedule [hourly]",
				"  randomizedDelay 4h",
				"  persistent true",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]",
				"  preHook true",
				"  postHook false"},
		},
		"what is declared, where nothing is gathered": {
			config: `{ modules.services.backup = { enable = true; ` + repositories + ` restic = { enable = true; jobs = { a = { repository = "s3"; paths = "/a"; }; b = { enable = false; repository = throw "no"; paths = throw "no"; }; }; }; }; }`,
			want: []string{"job a restic [/a]",
				"  repository s3:x",
				"  passwordFile {/run/p false}",
				"  environmentFile {/run/e false}"},
		},
		"P11 backups are off": {
			config: `{ modules.services.backup = { enable = false; repositories = throw "no"; restic.jobs = throw "no"; _internal.allJobs = throw "no"; }; }`,
		},
		"P11 only restic is off": {
			config: `{ modules.services.backup = { enable = true; ` + repositories + `restic.enable = false; _internal.allJobs.a = { repository = "nas"; paths = throw "no"; }; }; }`,
		},
		"R2 a snapshot is stored": {
			config: `{ ` + made + `modules = { storage.datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; services.a = { }; };
				services.backup = { enable = true; ` + repositories + ` restic.enable = true; _internal.allJobs = { a = { repository = "nas"; paths = [ "/elsewhere" ]; useSnapshots = true; zfsDataset = "tank/a"; };
				b = { repository = "nas"; paths = [ "/b" ]; useSnapshots = true; zfsDataset = null; }; c = { repository = "nas"; paths = [ "/c" ]; useSnapshots = true; zfsDataset = "tank/other"; };
				d = { repository = "nas"; paths = [ "/d" ]; useSnapshots = throw "no"; zfsDataset = "tank/a"; }; e = { repository = "nas"; paths = [ "/e" ]; useSnapshots = true; zfsDataset = throw "no"; }; }; }; }; }`,
			want: []string{"dataset tank/a /srv/a canmount absent map[] absent:absent absent",
				"job a restic [/srv/a]",
				"  dataset tank/a",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]",
				"job b restic [/b]",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]",
				"job c restic unknown (modules.services.backup._internal.allJobs.c.zfsDataset: a snapshot of it is stored in place of the paths, and where it is mounted is not declared)",
				"  dataset tank/other",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]",
				"job d restic unknown (modules.services.backup._internal.allJobs.d.useSnapshots: throw)",
				"  dataset unknown (modules.services.backup._internal.allJobs.d.useSnapshots: throw)",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]",
				"job e restic unknown (modules.services.backup._internal.allJobs.e.zfsDataset: throw)",
				"  dataset unknown (modules.services.backup._internal.allJobs.e.zfsDataset: throw)",
				"  repository /mnt/nas",
				"  passwordFile {/run/p false}",
				"  prune [--keep-daily 14 --keep-weekly 8 --keep-monthly 6 --keep-yearly 2]"},
			unknown: []string{"modules.services.backup._internal.allJobs.c.zfsDataset [hidden] a snapshot of it is stored in place of the paths, and where it is mounted is not declared",
				"modules.services.backup._internal.allJobs.d.useSnapshots [throw] ",
				"modules.services.backup._internal.allJobs.e.zfsDataset [throw] "},
		},
		"N4 a job that throws": {
			config: `{ modules.services.backup = { enable = true; ` + repositories + ` restic.enable = true; _internal.allJobs = { a = throw "no"; b = { repository = throw "no"; paths = [ "/b" (throw "no") ]; }; c = { repository = "other"; paths = [ "/c" ]; }; }; }; }`,
			want: []string{"job a restic unknown (modules.services.backup._internal.allJobs.a: throw)",
				"  dataset unknown (modules.services.backup._internal.allJobs.a: throw)",
				"  exclude unknown (modules.services.backup._internal.allJobs.a: throw)",
				"  repository unknown (modules.services.backup._internal.allJobs.a: throw)",
				"  preHook unknown (modules.services.backup._internal.allJobs.a: throw)",
				"  postHook unknown (modules.services.backup._internal.allJobs.a: throw)",
				"job b restic unknown (modules.services.backup._internal.allJobs.b.paths[1]: throw)",
				"  repository unknown (modules.services.backup._internal.allJobs.b.repository: throw)",
				"job c restic [/c]",
				`  repository unknown (modules.services.backup._internal.allJobs.c.repository: no repository is named "other")`},
			unknown: []string{"modules.services.backup._internal.allJobs.a [throw] ",
				"modules.services.backup._internal.allJobs.b.paths[1] [throw] ",
				"modules.services.backup._internal.allJobs.b.repository [throw] ",
				`modules.services.backup._internal.allJobs.c.repository [form] no repository is named "other"`},
		},
		"all jobs throw": {
			config:  `{ modules.services.backup = { enable = true; ` + repositories + ` restic.enable = true; _internal.allJobs = throw "no"; }; }`,
			want:    []string{"jobs unknown (modules.services.backup._internal.allJobs: throw)"},
			unknown: []string{"modules.services.backup._internal.allJobs [throw] "},
		},
		"wrong type of restic": {
			config:  `{ modules.services.backup = { repositories = { }; restic = 5; }; }`,
			want:    []string{"jobs unknown (modules.services.backup.restic: expected an attribute set, found an integer)"},
			unknown: []string{"modules.services.backup.restic [type] expected an attribute set, found an integer"},
		},
		"jobs of wrong types": {
			config: `{ modules.services.backup = { enable = "yes"; repositories = 5; globalSettings.retention = 5; _internal.allJobs = { a = 5; b = { enable = 5; repository = 5; paths = 5; excludePatterns = 5; }; }; }; }`,
			want: []string{"job a restic unknown (modules.services.backup._internal.allJobs.a: expected an attribute set, found an integer)",
				"job b restic unknown (modules.services.backup._internal.allJobs.b.paths: expected a string, found an integer)",
				"  exclude unknown (modules.services.backup._internal.allJobs.b.excludePatterns: expected a list of strings, found an integer)",
				`  repository unknown (modules.services.backup._internal.allJobs.b.repository: no repository is named "5")`},
			unknown: []string{"modules.services.backup._internal.allJobs.a [type] expected an attribute set, found an integer",
				"modules.services.backup._internal.allJobs.b.enable [type] expected a Boolean, found an integer",
				"modules.services.backup._internal.allJobs.b.excludePatterns [type] expected a list of strings, found an integer",
				"modules.services.backup._internal.allJobs.b.paths [type] expected a string, found an integer",
				`modules.services.backup._internal.allJobs.b.repository [form] no repository is named "5"`,
				"modules.services.backup.enable [type] expected a Boolean, found a string",
				"modules.services.backup.repositories [type] expected an attribute set, found an integer"},
		},
		"sanoid": {
			config: `{ modules.backup.sanoid = { enable = true; snapshotInterval = "*:0/5"; replicationInterval = "*:0/15"; templates.t = { hourly = 24; autosnap = true; };
				datasets = { "tank/a" = { recursive = true; useTemplate = [ "t" ]; retention = { daily = 7; }; autosnap = true; autoprune = false; preSnapshotScript = throw "never read";
				replication = { targetHost = "nas"; targetUser = "z"; targetDataset = "backup/a"; sendOptions = "wp"; recvOptions = null; hostKey = throw "never read"; }; }; "tank/b" = { recursive = false; useTemplate = [ ]; replication = null; }; }; }; }`,
			want: []string{"snapshots tank/a templates [t] recursive yes map[autoprune:false autosnap:true daily:7] [*:0/5]",
				"snapshots tank/b templates [] recursive no map[] [*:0/5]",
				"template t templates absent recursive absent map[autosnap:true hourly:24] absent",
				"replication tank/a to z@nas:backup/a recursive true send wp receive absent [*:0/15]"},
		},
		"P11 sanoid off": {
			config: `{ modules.backup.sanoid = { enable = false; templates = throw "no"; datasets = throw "no"; }; }`,
		},
		"N4 sanoid, one throws": {
			config: `{ modules.backup.sanoid = { enable = true; datasets = { a = throw "no"; b = { useTemplate = throw "no"; replication = throw "no"; }; c.replication = { targetHost = throw "no"; targetDataset = "x"; }; }; }; }`,
			want: []string{"snapshots a templates unknown (modules.backup.sanoid.datasets.a: throw) recursive unknown (modules.backup.sanoid.datasets.a: throw) map[autoprune:unknown (modules.backup.sanoid.datasets.a: throw) autosnap:unknown (modules.backup.sanoid.datasets.a: throw)] absent",
				"snapshots b templates unknown (modules.backup.sanoid.datasets.b.useTemplate: throw) recursive absent map[] absent",
				"snapshots c templates absent recursive absent map[] absent",
				"replication a to unknown (modules.backup.sanoid.datasets.a: throw) recursive absent send absent receive absent absent",
				"replication b to unknown (modules.backup.sanoid.datasets.b.replication: throw) recursive absent send absent receive absent absent",
				"replication c to unknown (modules.backup.sanoid.datasets.c.replication.targetHost: throw) recursive absent send absent receive absent absent"},
			unknown: []string{"modules.backup.sanoid.datasets.a [throw] ",
				"modules.backup.sanoid.datasets.b.replication [throw] ",
				"modules.backup.sanoid.datasets.b.useTemplate [throw] ",
				"modules.backup.sanoid.datasets.c.replication.targetHost [throw] "},
		},
		"sanoid, wrong types": {
			config: `{ modules.backup.sanoid = { enable = true; templates = 5; datasets = { a = 5; b = { recursive = "x"; retention = 5; replication = 5; }; }; }; }`,
			want: []string{"snapshots a templates unknown (modules.backup.sanoid.datasets.a: expected an attribute set, found an integer) recursive absent map[] absent",
				"snapshots b templates absent recursive unknown (modules.backup.sanoid.datasets.b.recursive: expected a Boolean, found a string) map[] absent",
				"template unknown (modules.backup.sanoid.templates: expected an attribute set, found an integer)",
				"replication b to unknown (modules.backup.sanoid.datasets.b.replication: expected an attribute set, found an integer) recursive absent send absent receive absent absent"},
			unknown: []string{"modules.backup.sanoid.datasets.a [type] expected an attribute set, found an integer",
				"modules.backup.sanoid.datasets.b.recursive [type] expected a Boolean, found a string",
				"modules.backup.sanoid.datasets.b.replication [type] expected an attribute set, found an integer",
				"modules.backup.sanoid.datasets.b.retention [type] expected an attribute set, found an integer",
				"modules.backup.sanoid.templates [type] expected an attribute set, found an integer"},
		},
		"sanoid's datasets throw": {
			config:  `{ modules.backup.sanoid = { enable = true; datasets = throw "no"; }; }`,
			want:    []string{"snapshots unknown (modules.backup.sanoid.datasets: throw)"},
			unknown: []string{"modules.backup.sanoid.datasets [throw] "},
		},
	}, alone(t))
}

// What the same modules turn into stock options is there once.
func TestBesideStockOptions(t *testing.T) {
	check(t, map[string]testCase{
		"sanoid is rendered": {
			config: `{ fileSystems = { }; services.sanoid = { enable = true; interval = "hourly"; datasets."tank/a" = { use_template = [ "t" ]; }; templates.t = { hourly = 5; }; }; services.syncoid = { enable = true; commands."tank/a".target = "z@nas:backup/a"; };
				modules.backup.sanoid = { enable = true; templates = { t.hourly = 5; u.hourly = 6; }; datasets = { "tank/a" = { useTemplate = [ "t" ]; replication = { targetHost = "nas"; targetDataset = "backup/a"; }; }; "tank/b" = { }; }; }; }`,
			want: []string{"snapshots tank/a templates [t] recursive absent map[] [hourly]",
				"template t templates absent recursive absent map[hourly:5] absent",
				"replication tank/a to z@nas:backup/a recursive absent send absent receive absent absent"},
		},
		"older trees hand jobs to restic": {
			config: `{ fileSystems = { }; services.restic.backups.a = { paths = [ "/a" ]; repository = "r"; }; modules.services.backup = { enable = true; repositories = { }; restic = { enable = true; jobs = { a = { paths = [ "/other" ]; }; b.paths = [ "/b" ]; }; }; }; }`,
			want: []string{"job a restic [/a]",
				"  repository r",
				"job b restic [/b]"},
		},
		"the persistence root and the homes": {
			config: `{ fileSystems = { "/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; }; "/home" = { device = "rpool/other"; fsType = "zfs"; }; };
				modules = { storage.datasets.enable = false; filesystems.zfs = { enable = true; persistDataset = "rpool/safe/persist"; homeDataset = "rpool/safe/home"; }; }; }`,
			want: []string{"dataset rpool/safe/persist absent canmount absent map[] absent:absent absent"},
		},
		"disko declares them already": {
			config: `{ disko.devices.zpool.rpool.datasets."safe/persist" = { type = "zfs_fs"; mountpoint = "/persist"; }; fileSystems."/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; };
				modules = { storage.datasets.enable = false; filesystems.zfs = { enable = true; persistDataset = "rpool/safe/persist"; }; }; }`,
			want: []string{"dataset rpool absent canmount absent map[] absent:absent absent",
				"dataset rpool/safe/persist absent canmount absent map[] absent:absent absent"},
		},
		"P11 the ZFS module is off": {
			config: `{ fileSystems."/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; }; modules = { storage.datasets.enable = false; filesystems.zfs = { enable = false; persistDataset = "rpool/safe/persist"; homeDataset = throw "no"; }; }; }`,
		},
		"a snapshot of what fileSystems mounts": {
			config: `{ fileSystems."/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; };
				modules.services.backup = { enable = true; repositories.r = { url = "u"; }; restic.enable = true; _internal.allJobs.p = { repository = "r"; paths = [ "/x" ]; useSnapshots = true; zfsDataset = "rpool/safe/persist"; }; }; }`,
			want: []string{"job p restic [/persist]",
				"  dataset rpool/safe/persist",
				"  repository u"},
		},
		"protection of what disko declares": {
			config: `{ ` + made + `disko.devices.zpool.rpool.datasets."safe/persist" = { type = "zfs_fs"; mountpoint = "/persist"; };
				modules.storage = { datasets = { enable = true; parentDataset = "tank"; parentMount = "/srv"; }; protection.externalDatasets."rpool/safe/persist".protection.class = "system"; }; }`,
			want: []string{"dataset rpool absent canmount absent map[] absent:absent absent",
				"dataset rpool/safe/persist absent canmount absent map[] absent:absent absent",
				"  protection [] rpo [] map[class:system]"},
		},
	}, afterStock(t))
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`,
		`{"modules.storage.datasets": {"enable": true, "parentDataset": "t", "parentMount": "/s", "services": {"a": {"mountpoint": null, "properties": {"canmount": "off"}, "protection": {"requiredTiers": ["replication"], "objectives": {"onsiteRpoSeconds": 5}}}}, "utility": {"t/x": 5}}, "modules.services": {"a": {"enable": true, "dataDir": "/a"}}, "modules.storage.protection": {"externalDatasets": {"t/a": {"protection": {}}}}}`,
		`{"modules.services.backup": {"repositories": {"r": {"url": "u", "pruneSchedule": ""}}, "_internal": {"allJobs": {"a": {"repository": "r", "paths": ["/a"], "useSnapshots": true, "zfsDataset": "t/a"}}}}, "systemd.timers": {"restic-backup-a": {"timerConfig": {"OnCalendar": ["x"]}}}}`,
		`{"modules.backup.sanoid": {"datasets": {"a": {"replication": {"targetHost": "h", "targetDataset": "d"}, "retention": {"daily": 1}}}, "templates": {"t": 5}}, "modules.filesystems.zfs": {"__stateward": "unknown", "kind": "throw"}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sections string) {
		v, err := dialect.Parse(`{"detected": true, "sections": `+sections+`}`, 64)
		if err != nil {
			return
		}
		tree, err := dialect.NewTree(v)
		if err != nil {
			return
		}
		var h stateward.Host
		homelab.Dialect().Decode(tree.Root(), &h)
		h.AddUnknown(tree.Unknowns()...)
	})
}
