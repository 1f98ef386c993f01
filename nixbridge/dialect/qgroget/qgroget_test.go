package qgroget_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/qgroget"
)

type hostCase struct {
	// config stands for config.qgroget.
	config  string
	want    []string
	unknown []string
}

func runHosts(t *testing.T, cases map[string]hostCase, show func(stateward.Host) []string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(cases))
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = "{ config.qgroget = " + cases[name].config + "; }"
	}
	hosts := evaltest.Decode(t, qgroget.Dialect(), texts...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(cases[name].want, show(hosts[i])); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
			var unknown []string
			for _, u := range hosts[i].Unknown {
				unknown = append(unknown, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message))
			}
			if d := cmp.Diff(cases[name].unknown, unknown); d != "" {
				t.Errorf("unknown: want -, got +\n%s", d)
			}
		})
	}
}

func entryLine(e stateward.Entry) string {
	parts := []string{fmt.Sprintf("%q", e.Text)}
	if e.Problem != nil {
		parts = append(parts, "! "+e.Problem.Error())
	}
	if e.HasOwner() {
		parts = append(parts, fmt.Sprintf("%s:%s %s", e.User, e.Group, e.Mode))
	}
	return strings.Join(parts, " ")
}

func serviceLines(h stateward.Host) []string {
	var out []string
	for _, s := range h.Services.Or(nil) {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", s.Name, s.Enable, strings.Join(s.Units, ","))))
		if e, ok := s.DataDir.Get(); ok {
			out = append(out, "  dataDir "+entryLine(e))
		} else if s.DataDir.IsUnknown() {
			out = append(out, "  dataDir "+s.DataDir.String())
		}
		for _, e := range s.BackupPaths.Or(nil) {
			out = append(out, "  backupPath "+entryLine(e))
		}
		if s.BackupPaths.IsUnknown() {
			out = append(out, "  backupPaths "+s.BackupPaths.String())
		}
		paths, complete := s.StatePaths()
		for _, p := range paths {
			out = append(out, fmt.Sprintf("  state %s %s", p.Source, entryLine(p.Entry)))
		}
		if !complete {
			out = append(out, "  state "+s.State.String())
		}
		for _, d := range s.Databases.Or(nil) {
			out = append(out, fmt.Sprintf("  database %s %s %s", d.Type, d.Name, d.User))
		}
		e := s.Exposure
		if e.Exposed.IsKnown() {
			out = append(out, fmt.Sprintf("  exposed %s %s.%s %s %s %s", e.Exposed, e.Subdomain, e.Domain, e.Type, e.Port, e.Middlewares))
		}
	}
	return out
}

func TestServiceModules(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"everything that is read": {
			config: `{ serviceModules.immich = {
				enable = true; domain = "example.org"; subdomain = "photos"; exposed = true; type = "private"; port = 2283; middlewares = [ "authentik" ];
				dataDir = "/var/lib/immich"; backupPaths = [ "/srv/photos" "thumbs" ];
				databases = [ { type = "postgresql"; name = "immich"; user = "immich"; port = null; } "redis" ];
				extraConfig = throw "may hold secrets";
			}; }`,
			want: []string{
				"immich true", `  dataDir "/var/lib/immich"`, `  backupPath "/srv/photos"`, `  backupPath "thumbs" ! path "thumbs" is not absolute`,
				`  state dataDir "/var/lib/immich"`, `  state backupPaths "/srv/photos"`, `  state backupPaths "/var/lib/immich/thumbs"`,
				"  database postgresql immich immich", "  database absent redis absent",
				"  exposed true photos.example.org private 2283 [authentik]",
			},
		},
		"lists in lists are flattened, as the collector does": {
			config: `{ serviceModules.x = { enable = true; dataDir = "/a"; backupPaths = [ [ "/b" [ "/c" ] ] [ ] "/b" ]; }; }`,
			want: []string{"x true", `  dataDir "/a"`, `  backupPath "/b"`, `  backupPath "/c"`, `  backupPath "/b"`,
				`  state dataDir "/a"`, `  state backupPaths "/b"`, `  state backupPaths "/c"`},
		},
		"a backup path that is the data directory is one place": {
			config: `{ serviceModules.x = { enable = true; dataDir = "/a"; backupPaths = [ "/a" ]; }; }`,
			want:   []string{"x true", `  dataDir "/a"`, `  backupPath "/a"`, `  state dataDir "/a"`},
		},
		"P10 a relative path that leaves the data directory": {
			config: `{ serviceModules.x = { enable = true; dataDir = "/a"; backupPaths = [ "../b" "" ]; }; }`,
			want: []string{"x true", `  dataDir "/a"`, `  backupPath "../b" ! path "../b" is not absolute`, `  backupPath "" ! path is empty`,
				`  state dataDir "/a"`, `  state backupPaths "../b" ! path "../b" is not absolute`, `  state backupPaths "" ! path is empty`},
		},
		"P11 one that is off": {
			config: `{ serviceModules.x = { enable = false; dataDir = "/a"; backupPaths = [ ]; }; }`,
			want:   []string{"x false", `  dataDir "/a"`, `  state dataDir "/a"`},
		},
		"N6 one that is off needs no values": {
			config: `{ serviceModules.x = { enable = false; dataDir = throw "no value"; backupPaths = [ ]; domain = throw "no value"; }; }`,
			want:   []string{"x false"},
		},
		"a data directory that throws does not hide the backup paths": {
			config: `{ serviceModules.x = { enable = true; dataDir = throw "no"; backupPaths = [ "/b" "c" ]; }; }`,
			want: []string{"x true", "  dataDir unknown (qgroget.serviceModules.x.dataDir: throw)",
				`  backupPath "/b"`, `  backupPath "c" ! path "c" is not absolute`,
				`  state backupPaths "/b"`, `  state backupPaths "c" ! path "c" is not absolute`, "  state unknown (qgroget.serviceModules.x.dataDir: throw)"},
			unknown: []string{"qgroget.serviceModules.x.dataDir [throw] "},
		},
		"a backup path that throws makes the list unknown": {
			config: `{ serviceModules.x = { enable = true; dataDir = "/a"; backupPaths = [ "/b" (throw "no") ]; }; }`,
			want: []string{"x true", `  dataDir "/a"`, "  backupPaths unknown (qgroget.serviceModules.x.backupPaths[1]: throw)",
				`  state dataDir "/a"`, `  state backupPaths "/b"`, "  state unknown (qgroget.serviceModules.x.backupPaths[1]: throw)"},
			unknown: []string{"qgroget.serviceModules.x.backupPaths[1] [throw] "},
		},
		"one without an enable, or with none that says, may run": {
			config: `{ serviceModules = { x.dataDir = "/a"; y = { enable = null; dataDir = "/b"; }; }; }`,
			want: []string{"x unknown (qgroget.serviceModules.x: has no enable)", `  dataDir "/a"`, `  state dataDir "/a"`,
				"y unknown (qgroget.serviceModules.y: has no enable)", `  dataDir "/b"`, `  state dataDir "/b"`},
			unknown: []string{"qgroget.serviceModules.x [form] has no enable", "qgroget.serviceModules.y [form] has no enable"},
		},
		"N4 a form that cannot be had hides no other": {
			config:  `{ services.x.persistedData = "/a"; serviceModules = throw "no"; }`,
			want:    []string{"x true", `  state persistedData "/a"`},
			unknown: []string{"qgroget.serviceModules [throw] "},
		},
		"N4 a service that throws does not hide the others": {
			config: `{ serviceModules = { a = throw "no"; b = { enable = true; dataDir = "/b"; }; }; }`,
			want: []string{"a unknown (qgroget.serviceModules.a: throw)", "  dataDir unknown (qgroget.serviceModules.a: throw)",
				"  backupPaths unknown (qgroget.serviceModules.a: throw)", "  state unknown (qgroget.serviceModules.a: throw)",
				"b true", `  dataDir "/b"`, `  state dataDir "/b"`},
			unknown: []string{"qgroget.serviceModules.a [throw] "},
		},
		"N7 odd characters are kept": {
			config: `{ serviceModules."a b" = { enable = true; dataDir = "/srv/[x] \${y}"; backupPaths = [ "/srv/größe" ]; }; }`,
			want:   []string{"a b true", `  dataDir "/srv/[x] ${y}"`, `  backupPath "/srv/größe"`, `  state dataDir "/srv/[x] ${y}"`, `  state backupPaths "/srv/größe"`},
		},
		"a value of a wrong type is told": {
			config: `{ serviceModules.x = { enable = 1; dataDir = 5; backupPaths = [ 7 ]; }; }`,
			want: []string{"x unknown (qgroget.serviceModules.x.enable: expected a Boolean, found an integer)",
				"  dataDir unknown (qgroget.serviceModules.x.dataDir: expected a string, found an integer)",
				"  backupPaths unknown (qgroget.serviceModules.x.backupPaths[0]: expected a string, found an integer)",
				"  state unknown (qgroget.serviceModules.x.backupPaths[0]: expected a string, found an integer)"},
			unknown: []string{
				"qgroget.serviceModules.x.backupPaths[0] [type] expected a string, found an integer",
				"qgroget.serviceModules.x.dataDir [type] expected a string, found an integer",
				"qgroget.serviceModules.x.enable [type] expected a Boolean, found an integer",
			},
		},
	}, serviceLines)
}

func TestOlderServices(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"a text": {
			config: `{ services.x = { persistedData = "/var/lib/x"; unitName = ""; }; }`, want: []string{"x true", `  state persistedData "/var/lib/x"`},
		},
		"a set, with what equals the defaults left out": {
			config: `{ services.x = { persistedData = { directory = "/var/lib/x"; user = "x"; group = "root"; mode = "u=rwx,g=rx,o="; }; unitName = "x"; }; }`,
			want:   []string{"x true x.service", `  state persistedData "/var/lib/x" x:absent 0750`},
		},
		"a list of both, in lists": {
			config: `{ services.x = { persistedData = [ "/a" [ { directory = "/b"; user = "root"; group = "root"; mode = "0755"; } ] ]; unitName = "x.timer"; }; }`,
			want:   []string{"x true x.timer", `  state persistedData "/a"`, `  state persistedData "/b"`},
		},
		"null and nothing":              {config: `{ services = { x.persistedData = null; y.url = "http://y"; }; }`, want: []string{"x true", "y true"}},
		"what is backed up is state":    {config: `{ services.x = { persistedData = [ "/a" ]; backupDirectories = [ "/a" "/b" ]; }; }`, want: []string{"x true", `  state persistedData "/a"`, `  state backupPaths "/b"`}},
		"an enable of its own":          {config: `{ services.x = { enable = false; persistedData = throw "no"; }; }`, want: []string{"x false"}},
		"a set without a directory":     {config: `{ services.x.persistedData = [ { user = "x"; } "/a" ]; }`, want: []string{"x true", `  state persistedData "/a"`, "  state unknown (qgroget.services.x.persistedData[0]: expected a path, found an attribute set)"}, unknown: []string{"qgroget.services.x.persistedData[0] [type] expected a path, found an attribute set"}},
		"one service in both contracts": {config: `{ services.x.persistedData = "/a"; serviceModules.x = { enable = true; dataDir = "/a"; }; }`, want: []string{"x true", `  dataDir "/a"`, `  state dataDir "/a"`, "x true", `  state persistedData "/a"`}},
	}, serviceLines)
}

func TestBackups(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"everything that is read": {
			config: `{ backups.x = { paths = [ "/a" "b" ]; exclude = [ "*.tmp" ]; preBackup = "secret"; postBackup = null; systemdUnits = [ "x.service" ]; priority = 100; requireNetwork = true; }; }`,
			want:   []string{`x qgroget "/a" "b" ! path "b" is not absolute`, "  [*.tmp] true false [x.service] 100 true"},
		},
		"N10 a job without a schedule is a job": {config: `{ backups.x.paths = [ ]; }`, want: []string{"x qgroget", "  absent absent absent absent absent absent"}},
		"paths that throw": {
			config: `{ backups.x.paths = [ "/a" (throw "no") ]; }`, want: []string{"x qgroget unknown (qgroget.backups.x.paths[1]: throw)", "  absent absent absent absent absent absent"},
			unknown: []string{"qgroget.backups.x.paths[1] [throw] "},
		},
	}, func(h stateward.Host) []string {
		var out []string
		for _, j := range h.Jobs.Or(nil) {
			line := j.Name + " " + j.Engine
			for _, p := range j.Paths.Or(nil) {
				line += " " + entryLine(p)
			}
			if j.Paths.IsUnknown() {
				line += " " + j.Paths.String()
			}
			out = append(out, line, fmt.Sprintf("  %s %s %s %s %s %s", j.Exclude, j.PreHook, j.PostHook, j.StopUnits, j.Priority, j.RequireNetwork))
		}
		return out
	})
}

func TestTextsOfScriptsAreNotRead(t *testing.T) {
	d := qgroget.Dialect()
	d.Decode = func(n *dialect.Node, _ *stateward.Host) {
		require.Equal(t, dialect.Bool, n.At("qgroget", "backups", "x", "preBackup").Kind())
	}
	evaltest.Decode(t, d, `{ config.qgroget.backups.x = { paths = [ ]; preBackup = "password=1"; }; }`)
}

// The collector compares entries as they were written, so texts and origins are
// looked at as a whole once.
func TestCollectorSeesWhatWasWritten(t *testing.T) {
	h := evaltest.Decode(t, qgroget.Dialect(), `{ config.qgroget.serviceModules.x = { enable = true; dataDir = "/a/"; backupPaths = [ [ "b" ] ]; }; }`)[0]
	at := func(s string) stateward.Origin { return stateward.Origin{Option: "qgroget.serviceModules.x." + s} }
	s := h.Services.Or(nil)[0]
	exporter := cmp.Exporter(func(reflect.Type) bool { return true })
	if d := cmp.Diff(stateward.Known(stateward.NewEntry("/a/", stateward.Directory, at("dataDir")), at("dataDir")), s.DataDir, exporter); d != "" {
		t.Error(d)
	}
	want := []stateward.Entry{stateward.NewEntry("b", stateward.Directory, at("backupPaths[0][0]"))}
	if d := cmp.Diff(stateward.Known(want, at("backupPaths")), s.BackupPaths, exporter); d != "" {
		t.Error(d)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`,
		`{"qgroget.serviceModules": {"x": {"enable": true, "dataDir": "/a", "backupPaths": [["b"], "/c"], "databases": ["x", {"name": "y"}], "port": 1}}}`,
		`{"qgroget.services": {"x": {"persistedData": {"directory": "/a", "mode": "0750"}, "unitName": "x"}, "y": {"__stateward": "unknown", "kind": "throw"}}}`,
		`{"qgroget.backups": {"x": {"paths": "/a", "priority": "x"}}, "qgroget.serviceModules": 5}`,
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
		qgroget.Dialect().Decode(tree.Root(), &h)
		h.AddUnknown(tree.Unknowns()...)
	})
}
