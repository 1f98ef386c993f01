package template_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/aggregate/template"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// needed are the parameters that no template has a default for.
var needed = map[string]string{"repository": "sftp:backup@nas:/srv/restic"}

func resolve(t *testing.T, name string, set map[string]string) *template.Resolved {
	t.Helper()
	r, err := template.NewLibrary().Resolve(name, template.Options{Set: set})
	require.NoError(t, err)
	return r
}

// Every template that is built in is sound, needs no more than a repository, and asks for what its profile says.
func TestBuiltin(t *testing.T) {
	l := template.NewLibrary()
	got := map[string]string{}
	for _, name := range l.Names() {
		r := resolve(t, name, needed)
		require.Equal(t, name, r.Name)
		d := r.Service.Dataset
		got[name] = r.Service.Unit + " " + d.Profile + " " + d.Mode
		p, ok := dataset.LookupProfile(d.Profile)
		require.True(t, ok)
		want := map[string]string{}
		for _, s := range p.Settings() {
			want[s.Name()] = s.Text()
		}
		require.Empty(t, cmp.Diff(want, d.Properties), name)
		require.NotNil(t, r.Service.Backup, name)
		require.NotNil(t, r.Service.HealthCheck, name)
		require.NotNil(t, r.Service.Preseed, name)
		require.NotNil(t, r.Service.Resources, name)
		require.Equal(t, template.High, r.Service.Notifications.Priority, name)
		if r.Service.Dataset.Profile == "sqlite" {
			require.Equal(t, []string{r.Service.Unit}, r.Service.Backup.StopUnits, "R9: %s", name)
		}
	}
	require.Empty(t, cmp.Diff(map[string]string{
		"home-assistant": "home-assistant.service sqlite 0700",
		"immich":         "immich-server.service general 0700",
		"jellyfin":       "jellyfin.service sqlite 0700",
		"plex":           "plex.service sqlite 0750",
		"postgresql":     "postgresql.service postgresql-data 0750",
		"radarr":         "podman-radarr.service sqlite 0700",
		"sonarr":         "podman-sonarr.service sqlite 0700",
		"vaultwarden":    "vaultwarden.service sqlite 0700",
	}, got))
}

// R9: files of a running PostgreSQL are torn; what is backed up are dumps.
func TestPostgresqlIsBackedUpByDumps(t *testing.T) {
	r := resolve(t, "postgresql", needed)
	require.Equal(t, []string{"/var/backup/postgresql"}, r.Service.Backup.Paths)
	require.Equal(t, "/var/lib/postgresql/16", r.Service.DataDir)
	require.Equal(t, "/var/lib/postgresql", r.Service.Dataset.MountPoint)
}

// The pilot has everything.
func TestSonarr(t *testing.T) {
	r := resolve(t, "sonarr", needed)
	yes := true
	require.Empty(t, cmp.Diff(template.Service{
		Unit: "podman-sonarr.service", User: "sonarr", Group: "sonarr", DataDir: "/var/lib/sonarr",
		Dataset: &template.ServiceDataset{Name: "tank/services/sonarr", Profile: "sqlite", Properties: map[string]string{"compression": "zstd", "recordsize": "16K"},
			Owner: "sonarr", Group: "sonarr", Mode: "0700"},
		Backup: &template.Backup{Engine: "restic", Repository: "sftp:backup@nas:/srv/restic", PasswordFile: "/run/secrets/restic", Schedule: []string{"daily"},
			RandomizedDelay: "30min", Persistent: &yes, Prune: []string{"--keep-daily 7", "--keep-weekly 5", "--keep-monthly 6"},
			Exclude: []string{"/var/lib/sonarr/logs", "/var/lib/sonarr/logs.db*", "/var/lib/sonarr/MediaCover"}, Tags: []string{"sonarr", "media"},
			StopUnits: []string{"podman-sonarr.service"}},
		Protection:    &template.Protection{Tiers: []string{"reboot", "disk", "rebuild"}, RPO: map[string]string{"disk": "26h"}},
		Preseed:       &template.Preseed{Enable: true, OnNoBackup: "refuse"},
		HealthCheck:   &template.HealthCheck{Enable: true, Command: "curl -fsS http://127.0.0.1:8989/ping", Interval: "1m", Timeout: "10s", Retries: "3", StartPeriod: "5m"},
		Resources:     &template.Resources{Memory: "1G", CPUs: "2"},
		Notifications: &template.Notifications{Enable: true, Priority: "high"},
	}, r.Service))
	require.Empty(t, cmp.Diff(&template.User{Name: "sonarr", UID: "568", Group: "sonarr", ExtraGroups: []string{"media"}}, r.User))
	require.Empty(t, cmp.Diff([]template.Group{{"sonarr", "568"}, {"media", "567"}}, r.Groups))
	require.Equal(t, "568:568", r.Container.User)
	text, err := r.Nix()
	require.NoError(t, err)
	for _, option := range []string{"--memory=1073741824b", "--cpus=2", "--group-add=567", "--health-interval=1m0s", "--health-timeout=10s", "--health-start-period=5m0s", "--health-retries=3"} {
		require.Contains(t, text, `"`+option+`"`)
	}
}

// Radarr differs from what it extends where it says so, and nowhere else.
func TestExtends(t *testing.T) {
	text := func(name string) string {
		s, err := resolve(t, name, needed).Nix()
		require.NoError(t, err)
		return s
	}
	got := text("radarr")
	for _, pair := range [][2]string{{"radarr", "sonarr"}, {"Radarr", "Sonarr"}, {"films", "series"}, {"6.4.1", "4.0.19.3001"}, {"7878", "8989"}, {"569", "568"}} {
		got = strings.ReplaceAll(got, pair[0], pair[1])
	}
	require.Empty(t, cmp.Diff(text("sonarr"), got))
}

// add resolves a template of a user's.
func add(t *testing.T, files map[string]string, name string, set map[string]string) (*template.Resolved, error) {
	t.Helper()
	l := template.NewLibrary()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := l.Add(file, []byte(files[file])); err != nil {
			return nil, err
		}
	}
	return l.Resolve(name, template.Options{Set: set})
}

const small = `{ "name": "x", "description": "X", "service": { "unit": "x.service", "dataDir": "/var/lib/x" } }`

func TestFaults(t *testing.T) {
	x := func(rest string) map[string]string { return map[string]string{"d/x.json": rest} }
	with := func(service, more string) map[string]string {
		return x(`{ "name": "x", "description": "X", "service": { "unit": "x.service", "dataDir": "/var/lib/x"` + service + ` }` + more + ` }`)
	}
	dataset := func(more string) map[string]string {
		return with(`, "dataset": { "name": "tank/x", "profile": "general"`+more+` }`, "")
	}
	sonarr := func(more string) map[string]string {
		return x(`{ "name": "x", "extends": "sonarr", "description": "X", "parameters": { "repository": { "default": "/r" } } ` + more + ` }`)
	}
	for _, tc := range []struct {
		name  string
		files map[string]string
		set   map[string]string
		want  string // "" where it is sound
	}{
		{"the least", x(small), nil, ""},
		{"no JSON", x("{\n\"name\": x }"), nil, "d/x.json:2: is no JSON: invalid character 'x' looking for beginning of value"},
		{"cut off", x("{\n\"name\": "), nil, "d/x.json:2: is no JSON: ends too early"},
		{"a comment", x("// hello\n{}"), nil, "d/x.json:1: is no JSON: invalid character '/' looking for beginning of value"},
		{"two", x(small + small), nil, "d/x.json:1: goes on behind the template"},
		{"a list", x("[]"), nil, "d/x.json: holds a list and no object"},
		{"a name twice", x("{ \"name\": \"x\",\n\"name\": \"x\" }"), nil, "d/x.json:2: name: is there twice"},
		{"nested without end", x(strings.Repeat("[", 10000)), nil, "d/x.json:1: is no JSON: nested too deeply"},
		{"another name", x(strings.Replace(small, `"x"`, `"y"`, 1)), nil, `d/x.json: name: is "y", and the file is x.json`},
		{"a field that there is not", x(strings.Replace(small, "dataDir", "datadir", 1)), nil, `d/x.json: service.datadir: is no field of a template`},
		{"a field of another type", with(`, "backupPaths": "/a"`, ""), nil, "d/x.json: service.backupPaths: expected a list, found a text"},
		{"null", with(`, "user": null`, ""), nil, "d/x.json: service.user: is null"},
		{"a fraction", with(`, "healthCheck": { "enable": false, "retries": 1.5 }`, ""), nil, "d/x.json: service.healthCheck.retries: 1.5 is no whole number"},
		{"processors as a fraction", with(`, "resources": { "cpus": 0.5 }`, ""), nil, "d/x.json: service.resources.cpus: 0.5 is a number with a fraction"},
		{"processors as a text", with(`, "resources": { "cpus": "0.5" }`, ""), nil, ""},
		{"processors as a number", with(`, "resources": { "cpus": 2 }`, ""), nil, ""},
		{"no unit", x(strings.Replace(small, `"unit": "x.service", `, "", 1)), nil, "d/x.json: service.unit: is missing"},
		{"a unit without suffix", x(strings.Replace(small, "x.service", "x", 1)), nil, `d/x.json: service.unit: "x" is no systemd service`},
		{"P10 a path", x(strings.Replace(small, "/var/lib/x", "var/lib/x", 1)), nil, `d/x.json: service.dataDir: path "var/lib/x" is not absolute`},
		{"P10 a path with a slash at its end", x(strings.Replace(small, "/var/lib/x", "/var/lib/x/", 1)), nil, `d/x.json: service.dataDir: path "/var/lib/x/" is not written out`},
		{"an owner", with(`, "user": "a b"`, ""), nil, `d/x.json: service.user: owner "a b" contains " "`},
		{"D5 a mode", dataset(`, "mode": "999"`), nil, `d/x.json: service.dataset.mode: mode "999" is not octal`},
		{"D5 a recordsize", dataset(`, "properties": { "recordsize": "20K" }`), nil, `d/x.json: service.dataset.properties.recordsize: value "20K" of property "recordsize" is no power of two`},
		{"D5 a property", dataset(`, "properties": { "recordsze": "16K" }`), nil, `d/x.json: service.dataset.properties.recordsze: property "recordsze" is none that zfs knows`},
		{"a property of one's own", dataset(`, "properties": { "org.example:note": "a b" }`), nil, ""},
		{"D3 a mountpoint among the properties", dataset(`, "properties": { "mountpoint": "/a" }`), nil, "d/x.json: service.dataset.properties.mountpoint: is no matter of properties"},
		{"D5 a name of a dataset", x(`{ "name": "x", "description": "X", "service": { "unit": "x.service", "dataDir": "/x", "dataset": { "name": "tank/a b", "profile": "general" } } }`), nil,
			`d/x.json: service.dataset.name: dataset name "tank/a b" contains a blank, which ZFS allows, but scripts, units and sanoid do not`},
		{"a dataset elsewhere", dataset(`, "mountpoint": "/srv/x"`), nil, "d/x.json: service.dataset.mountpoint: the data in /var/lib/x is not on the dataset, which is mounted at /srv/x"},
		{"a profile", x(`{ "name": "x", "description": "X", "service": { "unit": "x.service", "dataDir": "/x", "dataset": { "name": "tank/x" } } }`), nil, `d/x.json: service.dataset.profile: there is no profile ""`},
		{"R11 no repository", with(`, "backup": { "schedule": ["daily"] }`, ""), nil, "d/x.json: service.backup.repository: is missing"},
		{"a secret in the store", with(`, "backup": { "repository": "/r", "passwordFile": "/nix/store/x" }`, ""), nil, "d/x.json: service.backup.passwordFile: /nix/store/x lies in the store, which everybody can read"},
		{"a tag with a comma", with(`, "backup": { "repository": "/r", "tags": ["a,b"] }`, ""), nil, `d/x.json: service.backup.tags[0]: tag "a,b" has a comma`},
		{"a time span", with(`, "protection": { "rpo": { "site": "soon" } }`, ""), nil, `d/x.json: service.protection.rpo.site: time span "soon" has no number at "soon"`},
		{"a tier", with(`, "protection": { "tiers": ["moon"] }`, ""), nil, `d/x.json: service.protection.tiers[0]: "moon" is no tier`},
		{"E7 no policy", with(`, "preseed": { "enable": true, "sources": ["local"] }`, ""), nil, "d/x.json: service.preseed.onNoBackup: is missing"},
		{"E7 another policy", with(`, "preseed": { "enable": true, "sources": ["local"], "onNoBackup": "whatever" }`, ""), nil, `d/x.json: service.preseed.onNoBackup: "whatever" is no policy`},
		{"restic without a repository", with(`, "preseed": { "enable": true, "sources": ["restic"], "onNoBackup": "refuse" }`, ""), nil, "d/x.json: service.preseed.sources: names restic, and there is no repository"},
		{"a health check without a command", with(`, "healthCheck": { "enable": true }`, ""), nil, "d/x.json: service.healthCheck.command: is missing"},
		{"memory", with(`, "resources": { "memory": "1" }`, ""), nil, `d/x.json: service.resources.memory: "1" is less than a service can live on`},
		{"P1 data that no volume holds", sonarr(`, "service": { "unit": "podman-x.service" }, "container": { "volumes": ["/srv:/srv"] }`), nil,
			"d/x.json: container.volumes: none of them holds the data directory /var/lib/sonarr"},
		{"another unit", sonarr(""), nil, "template sonarr: service.unit: podman-sonarr.service does not run the container"},
		{"a user of the host", sonarr(`, "service": { "unit": "podman-x.service" }, "container": { "user": "sonarr" }`), nil, `d/x.json: container.user: "sonarr" is no user of a container`},
		{"an option", with("", `, "options": { "services": {} }`), nil, `d/x.json: options.services: "services" is no option of NixOS`},
		{"a package", with("", `, "packages": { "services.x.package": "a; b" }`), nil, `d/x.json: packages."services.x.package": "a; b" is no package`},
		{"container and module", sonarr(`, "service": { "unit": "podman-x.service" }, "options": { "services.x": { "enable": true } }`), nil, "d/x.json: options: are given beside a container"},
		{"a line break", with("", `, "user": { "name": "x", "group": "a\nb" }`), nil, `d/x.json: user.group: "a\nb" has a control character, or is no UTF-8`},

		{"extends nothing", x(`{ "name": "x", "extends": "sonar", "description": "X" }`), nil, `d/x.json: extends: there is no template "sonar"`},
		{"extends itself", x(`{ "name": "x", "extends": "x", "description": "X" }`), nil, "d/x.json: extends: extends itself"},
		{"extends what has its name", map[string]string{"d/radarr.json": `{ "name": "radarr", "extends": "radarr", "description": "Mine", "parameters": { "repository": { "default": "/r" } } }`}, nil, ""},
		{"a name twice in two folders", map[string]string{"d/x.json": small, "e/x.json": small}, nil, "e/x.json: is called as d/x.json, and one would hide the other"},

		{"no UTF-8", with("", ", \"options\": { \"services.x\": { \"a\":\n\"\xff\" } }"), nil, "d/x.json:2: is no UTF-8"},
		{"a byte order mark", x("\ufeff" + small), nil, "d/x.json:1: begins with a byte order mark"},
		{"D6 a NUL byte", with("", `, "options": { "services.x": { "a": ["b\u0000c"] } }`), nil, `d/x.json: options."services.x".a[0]: has a NUL byte, which no text of Nix can hold`},
		{"a description that is no ASCII", x(strings.Replace(small, `"X"`, `"über x"`, 1)), nil, ""},
		{"D5 a property by both of its names", dataset(`, "properties": { "recordsize": "32K", "recsize": "64K" }`), nil, "d/x.json: service.dataset.properties.recsize: is recordsize in other words"},
		{"D5 a property by its other name", dataset(`, "properties": { "recsize": "64K" }`), nil, ""},
		{"D5 a property that is set", dataset(""), map[string]string{"properties.recordsize": "3K"}, `--set: properties.recordsize: value "3K" of property "recordsize" is no power of two`},
		{"a profile that is set", dataset(""), map[string]string{"profile": "nope"}, `--set: profile: there is no profile "nope"`},
		{"a value that its field does not take", sonarr(`, "service": { "unit": "podman-x.service" }`), map[string]string{"memory": "lots"}, `--set: memory: size "lots" does not begin with a digit`},
		{"a value that an element does not take", with(`, "backup": { "repository": "/r", "tags": ["a", "${tag}"] }`, `, "parameters": { "tag": {} }`), map[string]string{"tag": "a,b"}, `--set: tag: tag "a,b" has a comma`},
		{"D7 data in the root", x(strings.Replace(small, "/var/lib/x", "/", 1)), nil, "d/x.json: service.dataDir: / is no place for data: it would get the owner and mode of the service"},
		{"P2 data that no boot outlives", x(strings.Replace(small, "/var/lib/x", "/run/x", 1)), nil, "d/x.json: service.dataDir: /run/x is no place for data: it is empty at each boot"},
		{"D7 a dataset in the place of the root", dataset(`, "mountpoint": "/"`), nil, "d/x.json: service.dataset.mountpoint: / is no place for data: it would get the owner and mode of the service"},
		{"a port", sonarr(`, "service": { "unit": "podman-x.service" }`), map[string]string{"port": "70000"}, `template sonarr: container.ports[0]: "127.0.0.1:70000:8989" has a port 70000`},
		{"no port", sonarr(`, "service": { "unit": "podman-x.service" }`), map[string]string{"port": "0"}, `template sonarr: container.ports[0]: "127.0.0.1:0:8989" has a port 0`},
		{"an address", sonarr(`, "service": { "unit": "podman-x.service" }, "container": { "ports": ["127.0.0.256:1:1"] }`), nil, `d/x.json: container.ports[0]: "127.0.0.256:1:1" has an address with 256`},
		{"a group twice", sonarr(`, "service": { "unit": "podman-x.service" }`), map[string]string{"mediaGroup": "sonarr"}, "--set: mediaGroup: sonarr is there twice"},
		{"two groups of one number", sonarr(`, "service": { "unit": "podman-x.service" }`), map[string]string{"mediaGid": "568"}, "--set: mediaGid: 568 is the number of group sonarr too"},
		{"an option twice", with("", `, "options": { "services.x": { "a": { "b": 1 } }, "services.x.a.b": 2 }`), nil, "d/x.json: options: services.x.a.b is set twice"},
		{"an option below a value", with("", `, "options": { "services.x": [], "services.x.a": 2 }`), nil, "d/x.json: options: services.x.a is set twice"},
		{"an option that limits set too", with(`, "resources": { "memory": "1G" }`, `, "options": { "systemd.services.x.serviceConfig.MemoryMax": "2G" }`), nil, "d/x.json: options: systemd.services.x.serviceConfig.MemoryMax is set twice"},
		{"an option and a package", with("", `, "options": { "services.x.package": "a" }, "packages": { "services.x.package": "a" }`), nil, "d/x.json: options: services.x.package is set twice"},
		{"options beside one another", with(`, "resources": { "memory": "1G" }`, `, "options": { "services.x": { "a": {}, "e": [] }, "services.x.a.b": 2, "services.x.\"a.b\"": 3, "systemd.services.x": { "after": ["a"] } }`), nil, ""},

		{"a parameter that there is not", with(`, "user": "${usr}"`, `, "parameters": { "user": { "default": "a" } }`), nil, `d/x.json: service.user: names a parameter "usr" that there is not`},
		{"a parameter that is not closed", with(`, "user": "${user"`, ""), nil, `d/x.json: service.user: has a "${" that nothing closes`},
		{"parameters in a circle", with("", `, "parameters": { "a": { "default": "${b}" }, "b": { "default": "${a}" } }`), nil, "d/x.json: parameters.a.default: names itself, by way of others"},
		{"a kind", with("", `, "parameters": { "a": { "kind": "colour", "default": "red" } }`), nil, `d/x.json: parameters.a.kind: "colour" is no kind of a parameter`},
		{"a default of another kind", with("", `, "parameters": { "a": { "kind": "integer", "default": "red" } }`), nil, `d/x.json: parameters.a.default: "red" is no whole number from 0 to 4294967294`},
		{"a value of another kind", with("", `, "parameters": { "a": { "kind": "path", "default": "/a" } }`), map[string]string{"a": "b"}, `--set: a: path "b" is not absolute`},
		{"a value that is a parameter", with("", `, "parameters": { "a": { "default": "a" } }`), map[string]string{"a": "${b}"}, `--set: a: "${b}" names a parameter`},
		{"an empty value", with("", `, "parameters": { "a": { "default": "a" } }`), map[string]string{"a": ""}, "--set: a: is empty"},
		{"no value", with("", `, "parameters": { "a": { "description": "which" } }`), nil, "d/x.json: parameters.a: has no value (which)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := "x"
			if _, other := tc.files["d/radarr.json"]; other {
				name = "radarr"
			}
			r, err := add(t, tc.files, name, tc.set)
			if tc.want == "" {
				require.NoError(t, err)
				_, err = r.Nix()
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tc.want)
			var hinter interface{ Hint() string }
			require.ErrorAs(t, err, &hinter)
			if !strings.Contains(tc.want, "expected ") {
				require.NotEmpty(t, hinter.Hint())
			}
		})
	}
	r, err := add(t, map[string]string{"d/x.json": strings.Replace(small, `"X"`, `"über x"`, 1)}, "x", nil)
	require.NoError(t, err)
	text, err := r.Nix()
	require.NoError(t, err)
	require.Contains(t, text, `-o nix". Über x.`)
	_, err = add(t, nil, "sonar", nil)
	require.EqualError(t, err, `there is no template "sonar"`)
}

// All faults are told at once, each with its advice.
func TestSeveralFaults(t *testing.T) {
	_, err := add(t, map[string]string{"x.json": `{ "name": "x", "description": "X", "service": { "unit": "x", "dataDir": "x" } }`}, "x", nil)
	require.EqualError(t, err, `x.json: service.unit: "x" is no systemd service; write its name with the suffix: sonarr.service
x.json: service.dataDir: path "x" is not absolute; write an absolute path without "..", such as /var/lib/NAME`)
}

// Nix reads the same files, and has the same values.
func TestBuiltinAsNix(t *testing.T) {
	files := template.BuiltinFiles()
	entries, err := fs.ReadDir(files, ".")
	require.NoError(t, err)
	list, want := nix.List{}, []any{}
	for _, e := range entries {
		data, err := fs.ReadFile(files, e.Name())
		require.NoError(t, err)
		var v any
		require.NoError(t, json.Unmarshal(data, &v))
		list, want = append(list, nix.Raw("builtins.fromJSON "+nix.String(string(data)))), append(want, v)
		// And these are the values that Go has: nothing is lost on the way through its types.
		var typed template.Template
		require.NoError(t, json.Unmarshal(data, &typed))
		back, err := json.Marshal(typed)
		require.NoError(t, err)
		var again map[string]any
		require.NoError(t, json.Unmarshal(back, &again))
		if typed.Extends == "" {
			require.Empty(t, cmp.Diff(v, any(again)), e.Name())
		}
	}
	expr, err := nix.Write(list, 0)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got []any
			n.JSON(t, expr, &got)
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}

// What is read from a file, a fault or a template, never ends the program; what is sound can be written.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte(small), "a")
	files := template.BuiltinFiles()
	entries, err := fs.ReadDir(files, ".")
	require.NoError(f, err)
	for _, e := range entries {
		data, err := fs.ReadFile(files, e.Name())
		require.NoError(f, err)
		f.Add([]byte(strings.ReplaceAll(string(data), strings.TrimSuffix(e.Name(), ".json"), "x")), "/r")
	}
	f.Fuzz(func(t *testing.T, data []byte, repository string) {
		l := template.NewLibrary()
		if err := l.Add("x.json", data); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		r, err := l.Resolve("x", template.Options{Set: map[string]string{"repository": repository}})
		if err != nil {
			r, err = l.Resolve("x", template.Options{Partial: true})
		}
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		_, _ = r.Nix()
	})
}
