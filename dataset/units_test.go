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
	require.Equal(t, []string{"lost"}, unwaited)
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
	begin, end := strings.Index(text, "\n    }\n"), strings.Index(text, "  '';\nin\n")
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
