package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// row is a survival row on one line: service, path, origin, state.
type row [4]string

// rowsOf leaves out what every host keeps: TestHostRows is about that.
func rowsOf(h *stateward.Host) []row {
	var rows []row
	for _, r := range aggregate.Survival(h) {
		if r.Origin == string(stateward.SourceHost) {
			continue
		}
		rows = append(rows, row{r.Service, r.Path, r.Origin, string(r.Tiers[stateward.TierReboot].State)})
	}
	return rows
}

func TestSurvival(t *testing.T) {
	volume := func(path string, readOnly bool) stateward.StatePath {
		return stateward.StatePath{Entry: stateward.NewEntry(path, stateward.Directory, at("v")), Source: stateward.SourceVolume, ReadOnly: readOnly}
	}
	pattern := func(path string) stateward.StatePath {
		return stateward.StatePath{Entry: stateward.NewEntry(path, stateward.Directory, at("p")), Source: stateward.SourceStateDirectory, Pattern: true}
	}
	state := func(paths ...stateward.StatePath) part {
		return changed(contract("app"), func(s *stateward.Service) { s.State = known(paths) })
	}
	for _, tc := range []struct {
		name  string
		parts []part
		want  []row
	}{
		{"no services", nil, nil},
		{"unknown services", []part{func(h *stateward.Host) { h.Services = unknown[[]stateward.Service]("services") }}, nil},
		{"sorted by service and path", []part{service("b", "/b"), service("a", "/z", "/a"), persist("/persist", "/z")},
			[]row{{"a", "/a", "backupPaths", "no"}, {"a", "/z", "dataDir", "yes"}, {"b", "/b", "dataDir", "no"}}},
		{"P11 disabled service yields nothing", []part{changed(contract("a", "/a"), func(s *stateward.Service) { s.Enable = known(false) })}, nil},
		{"service without enable yields nothing", []part{changed(contract("a", "/a"), func(s *stateward.Service) { s.Enable = stateward.Value[bool]{} })}, nil},
		{"service that may be enabled is in doubt", []part{changed(contract("a", "/a", "/b"), func(s *stateward.Service) { s.Enable = unknown[bool]("a.enable") }), persist("/persist", "/b")},
			[]row{{"a", "/a", "dataDir", "unknown"}, {"a", "/b", "backupPaths", "yes"}}},
		{"one place named by two dialects is one row", []part{stateUnit("a", known(false), "a"), service("a", "/var/lib/a")},
			[]row{{"a", "/var/lib/a", "StateDirectory", "no"}}},
		{"one place spelt twice is one row", []part{service("a", "/var/lib/a", "/var//lib/a/")},
			[]row{{"a", "/var/lib/a", "backupPaths", "no"}}},
		{"one place of two services is two rows", []part{service("a", "/x"), service("b", "/x")},
			[]row{{"a", "/x", "dataDir", "no"}, {"b", "/x", "dataDir", "no"}}},
		{"P3 the row says where the state really is", []part{stateUnit("a", known(true), "a"), service("a", "/var/lib/a")},
			[]row{{"a", "/var/lib/private/a", "StateDirectory", "no"}}},
		{"state that could not be had is a row without a path", []part{changed(contract("a"), func(s *stateward.Service) {
			s.State = unknown[[]stateward.StatePath]("a.dataDir")
			s.StateSeen = []stateward.StatePath{volume("/seen", false)}
		})}, []row{{"a", "", "a.dataDir", "unknown"}, {"a", "/seen", "volume", "no"}}},
		{"P10 what is no path is in doubt", []part{service("a", "var/lib/a")}, []row{{"a", "var/lib/a", "dataDir", "unknown"}}},
		{"P10 the empty text is in doubt", []part{service("a", "")}, []row{{"a", "", "dataDir", "unknown"}}},
		{"N9 caches and logs need nothing", []part{state(volume("/var/cache/a", false), volume("/var/log/b/c", false))},
			[]row{{"app", "/var/cache/a", "volume", "not-needed"}, {"app", "/var/log/b/c", "volume", "not-needed"}}},
		{"N9 unless a service names them as its own", []part{service("a", "/var/cache/a", "/var/log/b"), implied("t", stateward.SourceTable, "/var/cache/c")},
			[]row{{"a", "/var/cache/a", "dataDir", "no"}, {"a", "/var/log/b", "backupPaths", "no"}, {"t", "/var/cache/c", "table", "no"}}},
		{"N9 a rule, a home, what a unit may write", []part{implied("a", stateward.SourceTmpfiles, "/var/cache/a"), implied("b", stateward.SourceHome, "/var/cache/b"), implied("c", stateward.SourceReadWritePaths, "/var/log/c")},
			[]row{{"a", "/var/cache/a", "tmpfiles", "not-needed"}, {"b", "/var/cache/b", "home", "not-needed"}, {"c", "/var/log/c", "ReadWritePaths", "not-needed"}}},
		{"P1 a home in all that a container sees", []part{state(volume("/", false)), implied("k", stateward.SourceHome, "/var/lib/k")},
			[]row{{"app", "/", "volume", "no"}, {"k", "/var/lib/k", "home", "no"}}},
		{"P1 a home beside instances", []part{state(pattern("/srv")), implied("k", stateward.SourceHome, "/srv/k")},
			[]row{{"app", "/srv", "StateDirectory", "no"}, {"k", "/srv/k", "home", "no"}}},
		{"P1 what is read where a writer's loss is said to be less grave", []part{implied("fetch", stateward.SourceReadWritePaths, "/srv/m"), implied("fetch", stateward.SourcePersist, "/srv/m/f"), persist("/persist", "/srv/m/f"), state(volume("/srv/m", true))},
			[]row{{"app", "/srv/m", "volume", "no"}, {"fetch", "/srv/m", "ReadWritePaths", "no"}, {"fetch", "/srv/m/f", "persist", "yes"}}},
		{"N9 unless somebody asks for them", []part{implied("a", stateward.SourcePersist, "/var/cache/a", "/var/log/b")},
			[]row{{"a", "/var/cache/a", "persist", "no"}, {"a", "/var/log/b", "persist", "no"}}},
		{"rules in one tree are one place", []part{implied("tmpfiles", stateward.SourceTmpfiles, "/a/b", "/a", "/a/b/c")}, []row{{"tmpfiles", "/a", "tmpfiles", "no"}}},
		{"what units may write is said once", []part{implied("b", stateward.SourceReadWritePaths, "/a"), implied("a", stateward.SourceReadWritePaths, "/a"), implied("tmpfiles", stateward.SourceTmpfiles, "/a")},
			[]row{{"a", "/a", "ReadWritePaths", "no"}}},
		{"a rule in state of another fate", []part{service("a", "/a"), persist("/persist", "/a/b"), implied("tmpfiles", stateward.SourceTmpfiles, "/a/b", "/a/b/c")},
			[]row{{"a", "/a", "dataDir", "no"}, {"tmpfiles", "/a/b", "tmpfiles", "yes"}}},
		{"a rule in state that is only read", []part{state(volume("/a", true)), implied("w", stateward.SourceTmpfiles, "/a")},
			[]row{{"app", "/a", "volume", "no"}, {"w", "/a", "tmpfiles", "no"}}},
		{"a rule in state that there may be", []part{state(stateward.StatePath{Entry: volume("/a", false).Entry, Source: stateward.SourceVolume, Perhaps: true}), implied("w", stateward.SourceTmpfiles, "/a/b")},
			[]row{{"app", "/a", "volume", "no"}, {"w", "/a/b", "tmpfiles", "no"}}},
		{"a rule that makes the place where persisted state is kept", []part{persist("/persist", "/var/lib/a"), implied("tmpfiles", stateward.SourceTmpfiles, "/persist/var/lib", "/persist/var/lib/a/b", "/persist/x")},
			[]row{{"tmpfiles", "/persist/x", "tmpfiles", "yes"}}},
		{"a better source names the row", []part{implied("a", stateward.SourceHome, "/a"), implied("a", stateward.SourceStateDirectory, "/a")}, []row{{"a", "/a", "StateDirectory", "no"}}},
		{"runtime directories need nothing", []part{service("a", "/run/a")}, []row{{"a", "/run/a", "dataDir", "not-needed"}}},
		{"read-only volume on a wiped root is gone", []part{state(volume("/a", true))}, []row{{"app", "/a", "volume", "no"}}},
		{"read-only volume that survives", []part{state(volume("/a", true)), persist("/persist", "/a")}, []row{{"app", "/a", "volume", "yes"}}},
		{"read-only volume in doubt", []part{state(volume("/a", true)), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }}, []row{{"app", "/a", "volume", "unknown"}}},
		{"read-only volume that another service writes", []part{state(volume("/a/b", true)), service("w", "/a")}, []row{{"app", "/a/b", "volume", "not-needed"}, {"w", "/a", "dataDir", "no"}}},
		{"read-only volume in doubt that another service writes", []part{state(volume("/a/b", true)), service("w", "/a"), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }},
			[]row{{"app", "/a/b", "volume", "not-needed"}, {"w", "/a", "dataDir", "unknown"}}},
		{"read-only volume in a place of another fate than what is written", []part{state(volume("/a/b", true)), service("w", "/a"), persist("/persist", "/a"), fileSystem("/a/b", "none", "tmpfs")},
			[]row{{"app", "/a/b", "volume", "no"}, {"w", "/a", "dataDir", "yes"}}},
		{"read-only volumes of two services", []part{state(volume("/a", true), volume("/a/b", true))}, []row{{"app", "/a", "volume", "no"}, {"app", "/a/b", "volume", "no"}}},
		{"read-only volume that every boot makes", []part{state(volume("/", true), volume("/etc/localtime", true), volume("/nix/store/x", true), volume("/run/x", true))},
			[]row{{"app", "/", "volume", "not-needed"}, {"app", "/etc/localtime", "volume", "not-needed"}, {"app", "/nix/store/x", "volume", "not-needed"}, {"app", "/run/x", "volume", "not-needed"}}},
		{"state that is no path at all", []part{state(stateward.StatePath{Source: stateward.SourceVolume})}, []row{{"app", "", "volume", "unknown"}}},
		{"volume mounted read-only and writable", []part{state(volume("/a", true), volume("/a", false))}, []row{{"app", "/a", "volume", "no"}}},
		{"template unit of which nothing is persisted", []part{state(pattern("/var/lib/a"))}, []row{{"app", "/var/lib/a", "StateDirectory", "no"}}},
		{"template unit below a persisted path", []part{state(pattern("/var/lib/a")), persist("/persist", "/var/lib")}, []row{{"app", "/var/lib/a", "StateDirectory", "yes"}}},
		{"template unit of which an instance is persisted", []part{state(pattern("/var/lib/a")), persist("/persist", "/var/lib/a/x")}, []row{{"app", "/var/lib/a", "StateDirectory", "unknown"}}},
		{"template unit of which an instance is mounted", []part{state(pattern("/var/lib/a")), fileSystem("/var/lib/a/x/y", "/dev/b", "ext4")}, []row{{"app", "/var/lib/a", "StateDirectory", "unknown"}}},
		{"template unit beside a persisted path of a like name", []part{state(pattern("/var/lib/a")), persist("/persist", "/var/lib/ab/x")}, []row{{"app", "/var/lib/a", "StateDirectory", "no"}}},
		{"P1 every source of state", []part{
			stateUnit("unit", known(false), "unit"), service("svc", "/data", "/backup"),
			changed(contract("old"), func(s *stateward.Service) {
				s.State = known([]stateward.StatePath{{Entry: owned("/old", "a", "", ""), Source: stateward.SourcePersistedData}})
			}), state(volume("/volume", false)),
		}, []row{
			{"app", "/volume", "volume", "no"}, {"old", "/old", "persistedData", "no"}, {"svc", "/backup", "backupPaths", "no"},
			{"svc", "/data", "dataDir", "no"}, {"unit", "/var/lib/unit", "StateDirectory", "no"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, rowsOf(with(wiped, tc.parts...))))
		})
	}
	t.Run("a host that keeps its root keeps all", func(t *testing.T) {
		h := with(kept, service("a", "/a"), stateUnit("b", known(true), "b"))
		require.Empty(t, cmp.Diff([]row{{"a", "/a", "dataDir", "yes"}, {"b", "/var/lib/private/b", "StateDirectory", "yes"}}, rowsOf(h)))
	})
	t.Run("reboot and the tiers of copies are answered", func(t *testing.T) {
		for _, r := range aggregate.Survival(with(wiped, service("a", "/a"))) {
			require.Len(t, r.Tiers, 5)
		}
	})
}
