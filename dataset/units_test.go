package dataset_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/run"
)

func path(s string) stateward.Entry { return stateward.Entry{Path: stateward.MustPath(s)} }

// forge is a host with services on datasets, and what is desired of it.
func forge(t *testing.T) (*stateward.Host, dataset.Desired) {
	t.Helper()
	state := func(p string) stateward.Value[[]stateward.StatePath] {
		return stateward.Known([]stateward.StatePath{{Entry: path(p)}}, stateward.Origin{})
	}
	h := &stateward.Host{Name: "forge", Status: stateward.StatusOK}
	h.Services = stateward.Known([]stateward.Service{
		{Name: "sonarr", Enable: stateward.Known(true, stateward.Origin{}), Units: []string{"podman-sonarr.service", "sonarr.timer"}},
		{Name: "exporter", Enable: stateward.Known(true, stateward.Origin{}), Units: []string{"exporter.service"}, State: state("/var/lib/sonarr/export")},
		{Name: "off", Enable: stateward.Known(false, stateward.Origin{}), Units: []string{"off.service"}, State: state("/var/lib/sonarr/off")},
		{Name: "plex"}, {Name: "db", Units: []string{"db@main.service"}}, {Name: "lost"},
	}, stateward.Origin{})
	h.Units = stateward.Known([]stateward.Unit{{Name: "podman-plex.service"}}, stateward.Origin{})
	h.FileSystems = stateward.Known([]stateward.FileSystem{
		{MountPoint: path("/var/lib/db 1"), Device: stateward.Known("tank/db", stateward.Origin{}), FSType: stateward.Known("zfs", stateward.Origin{})},
		{MountPoint: path("/var/lib/late"), Device: stateward.Known("tank/late", stateward.Origin{}), FSType: stateward.Known("zfs", stateward.Origin{}), Options: stateward.Known([]string{"nofail"}, stateward.Origin{})},
	}, stateward.Origin{})
	mode, err := stateward.ParseMode("0750")
	require.NoError(t, err)
	w := func(name, at string, services ...string) dataset.Wanted {
		return dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Service, Services: services, Owner: stateward.MustOwner("app"), Mode: mode,
			Settings: []dataset.Setting{given(t, "com.example:note", "''${x} '$(id)'"), given(t, "mountpoint", at)}}
	}
	return h, dataset.WithContainers(w("tank/services/sonarr", "/var/lib/sonarr", "sonarr"), w("tank/services/plex", "/srv/100% ours;#", "plex"),
		w("tank/db", "legacy", "db"), w("tank/late", "legacy"), w("tank/lost", "/srv/lost", "lost"))
}

func TestWaiters(t *testing.T) {
	waiters, unwaited := dataset.Waiters(forge(t))
	at := func(paths ...string) (list []stateward.AbsPath) {
		for _, p := range paths {
			list = append(list, stateward.MustPath(p))
		}
		return list
	}
	require.Equal(t, []dataset.Waiter{
		{Unit: "db@main.service", FileSystems: at("/var/lib/db 1"), Datasets: []dataset.Name{dataset.MustName("tank/db")}},
		{Unit: "exporter.service", Mounts: at("/var/lib/sonarr"), Datasets: []dataset.Name{dataset.MustName("tank/services/sonarr")}},
		{Unit: "podman-plex.service", Mounts: at("/srv/100% ours;#"), Datasets: []dataset.Name{dataset.MustName("tank/services/plex")}},
		{Unit: "podman-sonarr.service", Mounts: at("/var/lib/sonarr"), Datasets: []dataset.Name{dataset.MustName("tank/services/sonarr")}},
	}, waiters)
	require.Equal(t, []dataset.Unwaited{{Service: "lost", Dataset: dataset.MustName("tank/lost"), Why: "no unit of it is known"}}, unwaited)
}

// D10: the names are those of systemd-escape, and no two datasets have one.
func TestCheckUnits(t *testing.T) {
	for name, want := range map[string]string{
		"tank/a-b": `stateward-dataset@tank-a\x2db.service`, "tank/a/b": "stateward-dataset@tank-a-b.service", "tank/A_1:x.y": "stateward-dataset@tank-A_1:x.y.service",
	} {
		require.Equal(t, want, dataset.CheckUnit(dataset.MustName(name)))
		r, err := run.Run(context.Background(), run.Cmd{Path: "systemd-escape", Args: []string{"--template=" + dataset.CheckTemplate, "--", name}, Env: []string{"PATH=" + os.Getenv("PATH")}})
		require.NoError(t, err, "%s", r.Stderr)
		require.Equal(t, want, strings.TrimSpace(string(r.Stdout)))
	}
}

func TestTmpfilesOnlyWhereTheMountComesFirst(t *testing.T) {
	h, d := forge(t)
	require.Empty(t, cmp.Diff([]string{`z "/var/lib/db 1" 0750 app - - -`}, dataset.Tmpfiles(h, d)))

	h.Tmpfiles = stateward.Known([]stateward.TmpfilesRule{{Type: "d", At: path("/var/lib/db 1")}}, stateward.Origin{})
	require.Empty(t, dataset.Tmpfiles(h, d), "D9: two rules would fight")
}

func TestUnits(t *testing.T) {
	h, d := forge(t)
	waiters, _ := dataset.Waiters(h, d)
	files, err := dataset.Units(d, h.Name, waiters, "/usr/bin/stateward", "/etc/stateward/100% $HOME.json")
	require.NoError(t, err)
	var all strings.Builder
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, f := range files {
		name := strings.TrimPrefix(f.Path, "/etc/systemd/system/")
		all.WriteString("# " + f.Path + "\n" + f.Text + "\n")
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(f.Text, "/usr/bin/stateward", "/bin/true")), 0o644))
		if unit, ok := strings.CutSuffix(filepath.Dir(name), ".d"); ok {
			require.NoError(t, os.WriteFile(filepath.Join(dir, unit), []byte("[Service]\nExecStart=/bin/true\n"), 0o644))
			name = unit
		}
		args = append(args, filepath.Join(dir, name))
	}
	golden.Compare(t, "testdata/units", []byte(strings.ReplaceAll(all.String(), trigger(files[0].Text), "HASH")))
	r, err := run.Run(context.Background(), run.Cmd{Path: "systemd-analyze", Args: args, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "SYSTEMD_UNIT_PATH=" + dir + ":"}})
	require.NoError(t, err, "%s", r.Stderr)
	require.NotContains(t, string(r.Stderr), dir)

	// What is desired is part of the unit, so that a change of it is one of the unit.
	same, err := dataset.Units(d, h.Name, waiters, "/bin/x")
	require.NoError(t, err)
	d.Datasets[len(d.Datasets)-1].Mode = stateward.Mode{}
	other, err := dataset.Units(d, h.Name, waiters, "/bin/x")
	require.NoError(t, err)
	require.Equal(t, trigger(files[0].Text), trigger(same[0].Text))
	require.NotEqual(t, trigger(same[0].Text), trigger(other[0].Text))
}

func trigger(text string) string {
	_, rest, _ := strings.Cut(text, "X-Reload-Triggers=")
	hash, _, _ := strings.Cut(rest, "\n")
	return hash
}

func TestUnitsRefuseWhatSystemdReadsOtherwise(t *testing.T) {
	_, d := forge(t)
	for _, w := range []dataset.Waiter{{Unit: "../x.service"}, {Unit: "x y.service"}, {Unit: "x.timer"}, {Unit: "a.service", Mounts: []stateward.AbsPath{stateward.MustPath("/a\nb")}},
		{Unit: "a.service", Mounts: []stateward.AbsPath{stateward.MustPath("/ends in a blank ")}}} {
		_, err := dataset.Units(d, "forge", []dataset.Waiter{w}, "/bin/x")
		require.Error(t, err)
		_, err = dataset.Module(d, "forge", []dataset.Waiter{w}, nil)
		require.Error(t, err)
	}
	_, err := dataset.Units(d, "forge", nil, "x")
	require.Error(t, err)
}

func TestModule(t *testing.T) {
	h, d := forge(t)
	waiters, _ := dataset.Waiters(h, d)
	text, err := dataset.Module(d, h.Name, waiters, dataset.Tmpfiles(h, d))
	require.NoError(t, err)
	script, err := dataset.Script(d, h.Name)
	require.NoError(t, err)
	// The script is in the golden file by its first lines.
	_, library, _ := strings.Cut(script, "\n}\n")
	begin, end := strings.Index(text, "\n    }\n"), strings.Index(text, "  '';\nin {\n")
	require.Less(t, begin, end)
	require.NotEmpty(t, library)
	golden.Compare(t, "testdata/module.nix", []byte(text[:begin]+"\n    }\n    …\n"+text[end:]))

	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got struct {
				Config struct {
					Systemd struct {
						Services map[string]struct {
							After, Requires []string
							ServiceConfig   map[string]any
							UnitConfig      map[string][]string
						}
						Tmpfiles struct{ Rules []string }
					}
				}
			}
			n.JSON(t, `let m = (`+text+`) { config.boot.zfs.package = "/zfs"; pkgs.writeShellScript = name: text: "/nix/store/" + name + "-" + builtins.hashString "sha256" text; };
			  in { config = m; }`, &got)
			services := got.Config.Systemd.Services
			require.Len(t, services, 6)
			require.Equal(t, map[string][]string{"AssertPathIsMountPoint": {"/srv/100%% ours;#"}}, services["podman-plex"].UnitConfig)
			require.Equal(t, map[string][]string{"AssertPathIsMountPoint": {"/var/lib/db 1"}, "RequiresMountsFor": {`"/var/lib/db 1"`}}, services["db@main"].UnitConfig)
			require.Equal(t, []string{"stateward-dataset@tank-services-sonarr.service"}, services["podman-sonarr"].Requires)
			require.Equal(t, services["stateward-datasets"].ServiceConfig["ExecStart"], services["stateward-datasets"].ServiceConfig["ExecReload"])
			var run string
			n.JSON(t, `((`+text+`) { config.boot.zfs.package = "/zfs"; pkgs.writeShellScript = name: text: text; }).systemd.services.stateward-datasets.serviceConfig.ExecStart`, &run)
			require.Equal(t, script, run)
		})
	}
}

func with[T any](v T) stateward.Value[T] { return stateward.Known(v, stateward.Origin{}) }

// D2, R8: who waits for which datasets, and who does not and is named.
func TestWaitersByPlace(t *testing.T) {
	photos, raw := dataset.MustName("tank/photos"), dataset.MustName("tank/photos/raw")
	both := []dataset.Name{photos, raw}
	service := func(name string, source stateward.StateSource, at string, units ...string) stateward.Service {
		return stateward.Service{Name: name, Enable: with(true), Units: units, State: with([]stateward.StatePath{{Entry: path(at), Source: source}})}
	}
	for _, c := range []struct {
		name     string
		services []stateward.Service
		units    []stateward.Unit
		waits    map[string][]dataset.Name
		unwaited []string
	}{
		{name: "unit called otherwise than its service",
			services: []stateward.Service{service("immich", stateward.SourceDataDir, "/srv/photos")},
			units:    []stateward.Unit{{Name: "immich-server.service"}, {Name: "immichx.service"}},
			waits:    map[string][]dataset.Name{"immich-server.service": both}},
		{name: "unit of another service with data of its own",
			services: []stateward.Service{service("home", stateward.SourceDataDir, "/srv/photos"), service("home-assistant", stateward.SourceDataDir, "/var/lib/hass")},
			units:    []stateward.Unit{{Name: "home-assistant.service"}},
			unwaited: []string{"nothing holds service home back until tank/photos, on which /srv/photos lies, is mounted: no unit of it is known"}},
		{name: "no unit", services: []stateward.Service{service("photoprism", stateward.SourceTable, "/srv/photos/raw/x")},
			unwaited: []string{"nothing holds service photoprism back until tank/photos, on which /srv/photos/raw/x lies, is mounted: no unit of it is known",
				"nothing holds service photoprism back until tank/photos/raw, on which /srv/photos/raw/x lies, is mounted: no unit of it is known"}},
		{name: "the place of a service without a unit is another's that waits",
			services: []stateward.Service{service("photoprism", stateward.SourceTable, "/srv/photos"), service("x", stateward.SourceVolume, "/srv/photos", "podman-x.service")},
			waits:    map[string][]dataset.Name{"podman-x.service": both}},
		{name: "what one may keep there, and homes, are nobody's unit", services: []stateward.Service{service("alice", stateward.SourceHome, "/srv/photos"), service("rule", stateward.SourceTmpfiles, "/srv/photos")}},
		{name: "working directory", units: []stateward.Unit{{Name: "a.service", WorkingDirectory: with("-/srv/photos/raw/1")}}, waits: map[string][]dataset.Name{"a.service": both}},
		{name: "bind mount", units: []stateward.Unit{{Name: "a.service", BindPaths: with([]string{"-/srv/photos:/data:rbind"})}}, waits: map[string][]dataset.Name{"a.service": both}},
		{name: "writable path, with a dataset below it", units: []stateward.Unit{{Name: "a.service", ReadWritePaths: with([]string{"-+/srv/photos"})}}, waits: map[string][]dataset.Name{"a.service": both}},
		{name: "may write to all of /srv", units: []stateward.Unit{{Name: "a.service", ReadWritePaths: with([]string{"/srv"})}}},
		{name: "dataset inside of the state directory", services: []stateward.Service{service("a", stateward.SourceStateDirectory, "/srv", "a.service")}, waits: map[string][]dataset.Name{"a.service": both}},
		{name: "unit that is off", units: []stateward.Unit{{Name: "a.service", Enable: with(false), WorkingDirectory: with("/srv/photos")}}},
		{name: "units that come before any dataset",
			services: []stateward.Service{service("userborn", stateward.SourceStateDirectory, "/srv/photos/u", "userborn.service"), service("zfs-import-tank", stateward.SourceStateDirectory, "/srv/photos/z", "zfs-import-tank.service"),
				service("key", stateward.SourceStateDirectory, "/srv/photos/k", "key.service"), service("systemd-x", stateward.SourceStateDirectory, "/srv/photos/s", "systemd-x.service")},
			units: []stateward.Unit{{Name: "userborn.service", After: with([]string{"pre.service"})}, {Name: "pre.service", WorkingDirectory: with("/srv/photos")},
				{Name: "key.service", Before: with([]string{"sysinit.target"})}, {Name: "late.service", After: with([]string{"userborn.service"}), WorkingDirectory: with("/srv/photos")},
				{Name: "import.service", WantedBy: with([]string{"zfs-import.target"}), WorkingDirectory: with("/srv/photos/raw")}, {Name: "basic.service", WantedBy: with([]string{"basic.target"}), WorkingDirectory: with("/srv/photos/raw")}},
			waits: map[string][]dataset.Name{"late.service": both, "basic.service": both},
			unwaited: []string{
				"nothing holds service import back until tank/photos, on which /srv/photos/raw lies, is mounted: import.service has to start before any dataset can be made",
				"nothing holds service import back until tank/photos/raw, on which /srv/photos/raw lies, is mounted: import.service has to start before any dataset can be made",
				"nothing holds service key back until tank/photos, on which /srv/photos/k lies, is mounted: key.service has to start before any dataset can be made",
				"nothing holds service pre back until tank/photos, on which /srv/photos lies, is mounted: pre.service has to start before any dataset can be made",
				"nothing holds service pre back until tank/photos/raw, on which /srv/photos lies, is mounted: pre.service has to start before any dataset can be made",
				"nothing holds service userborn back until tank/photos, on which /srv/photos/u lies, is mounted: userborn.service has to start before any dataset can be made",
				"nothing holds service zfs-import-tank back until tank/photos, on which /srv/photos/z lies, is mounted: zfs-import-tank.service has to start before any dataset can be made",
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dataset.WithContainers(dataset.Wanted{Name: photos, Role: dataset.Utility, Settings: []dataset.Setting{given(t, "mountpoint", "/srv/photos")}},
				dataset.Wanted{Name: raw, Role: dataset.Utility, Settings: []dataset.Setting{given(t, "mountpoint", "/srv/photos/raw")}})
			waiters, unwaited := dataset.Waiters(&stateward.Host{Services: with(c.services), Units: with(c.units)}, d)
			waits := map[string][]dataset.Name{}
			for _, w := range waiters {
				waits[w.Unit] = w.Datasets
				require.Len(t, w.Mounts, len(w.Datasets))
			}
			if c.waits == nil {
				c.waits = map[string][]dataset.Name{}
			}
			require.Equal(t, c.waits, waits)
			var said []string
			for _, u := range unwaited {
				said = append(said, u.String())
			}
			require.Equal(t, c.unwaited, said)
		})
	}
}

// D9, N5: systemd gives a state directory its mode at each start, and must not undo what the dataset has.
func TestStateDirectoryMode(t *testing.T) {
	mode := func(s string) stateward.Mode {
		m, err := stateward.ParseMode(s)
		require.NoError(t, err)
		return m
	}
	d := dataset.WithContainers(dataset.Wanted{Name: dataset.MustName("tank/a"), Role: dataset.Service, Services: []string{"a"}, Mode: mode("0750"), Settings: []dataset.Setting{given(t, "mountpoint", "/var/lib/a")}})
	for _, c := range []struct {
		name string
		unit stateward.Unit
		want stateward.Mode
	}{
		{"systemd's own mode", stateward.Unit{StateDirectory: with([]string{"a"})}, mode("0750")},
		{"the same mode, of our module perhaps", stateward.Unit{StateDirectory: with([]string{"a"}), StateDirectoryMode: with(mode("750"))}, mode("0750")},
		{"another mode, which somebody chose", stateward.Unit{StateDirectory: with([]string{"a"}), StateDirectoryMode: with(mode("0700"))}, stateward.Mode{}},
		{"more than one directory", stateward.Unit{StateDirectory: with([]string{"a", "b"})}, stateward.Mode{}},
		{"a directory on the dataset", stateward.Unit{StateDirectory: with([]string{"a/b"})}, stateward.Mode{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.unit.Name = "a.service"
			waiters, unwaited := dataset.Waiters(&stateward.Host{Units: with([]stateward.Unit{c.unit}), Services: with([]stateward.Service{{Name: "a", Units: []string{"a.service"}}})}, d)
			require.Empty(t, unwaited)
			require.Equal(t, c.want, waiters[0].StateDirectoryMode)
			files, err := dataset.Units(d, "h", waiters, "/x")
			require.NoError(t, err)
			require.Equal(t, !c.want.IsZero(), strings.Contains(files[2].Text, "\n[Service]\nStateDirectoryMode=0750\n"))
			module, err := dataset.Module(d, "h", waiters, nil)
			require.NoError(t, err)
			require.Equal(t, !c.want.IsZero(), strings.Contains(module, `StateDirectoryMode = "0750";`))
		})
	}
}
