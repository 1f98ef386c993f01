package pitr_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
)

func known[T any](v T) stateward.Value[T] {
	return stateward.Known(v, stateward.Origin{Option: "o"})
}

func unknown[T any](subject string) stateward.Value[T] {
	return stateward.NotKnown[T](stateward.Unknown{Subject: subject, Kind: stateward.UnknownThrow, Message: "it throws"})
}

func span(text string) stateward.Value[stateward.Duration] {
	return stateward.MapValue(known(text), stateward.ParseDuration)
}

func owner(text string) stateward.Value[stateward.Owner] {
	return stateward.MapValue(known(text), stateward.ParseOwner)
}

// forge is a host with one server, which is to be archived.
func forge(change ...func(*stateward.Host, *stateward.PITR, *stateward.PITRPolicy)) *stateward.Host {
	h := &stateward.Host{Name: "forge"}
	s := &stateward.PITR{Service: "postgresql", Enable: known(true), Settings: map[string]stateward.Value[string]{}, DataDir: known("/var/lib/postgresql/17"), Version: known("17")}
	p := &stateward.PITRPolicy{Name: "postgresql", Enable: known(true), Destination: known("s3://b/pg"), Server: known("forge"), Schedule: known([]string{"daily"}), Window: span("14d"),
		ArchiveTimeout: span("5min"), EnvironmentFile: known(stateward.FileRef{Text: "/run/secrets/pitr.env"}), Compression: known("gzip"), Origin: stateward.Origin{Option: "stateward.pitr.postgresql"}}
	h.Units = known([]stateward.Unit{{Name: "postgresql.service", Enable: known(true), User: owner("postgres")}})
	for _, c := range change {
		c(h, s, p)
	}
	if h.PITR.IsAbsent() {
		h.PITR = known([]stateward.PITR{*s})
	}
	if h.PITRPolicies.IsAbsent() {
		h.PITRPolicies = known([]stateward.PITRPolicy{*p})
	}
	return h
}

// A server with another name is planned while the module of before is still imported.
func TestTheModuleOfBeforeIsNamed(t *testing.T) {
	was := func(h *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
		s.Settings["archive_command"] = known(`/run/current-system/sw/bin/barman-cloud-wal-archive --gzip s3://b/pg before "%p"`)
		s.Settings["archive_timeout"] = known("60s")
	}
	hints := func(change ...change) (out []string) {
		list, _ := pitr.FromHost(forge(change...), nil)
		for _, f := range list[0].Faults {
			out = append(out, f.Hint)
		}
		return out
	}
	require.Equal(t, []string{"leave it out there, or say the same here", "leave it out there: what is planned sets it"}, hints(was))
	const before = "where the module that was written before sets it, leave that out of imports while you plan; else "
	require.Equal(t, []string{before + "leave it out there, or say the same here", before + "leave it out there: what is planned sets it"},
		hints(was, func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.Units = known(append(h.Units.Or(nil), stateward.Unit{Name: "stateward-pitr-backup-postgresql.service", Enable: known(true), Job: known("28e5c4660e4127fa")}))
		}))
}

type change = func(*stateward.Host, *stateward.PITR, *stateward.PITRPolicy)

func TestFromHost(t *testing.T) {
	want := pitr.Policy{
		Cluster:     pitr.Cluster{Name: "postgresql", Version: 17, DataDir: "/var/lib/postgresql/17", Socket: "/run/postgresql", User: "postgres", Unit: "postgresql.service"},
		Destination: "s3://b/pg", Server: "forge", EnvironmentFile: "/run/secrets/pitr.env", Compression: "gzip", Schedule: []string{"daily"}, Window: pitr.Span(14 * 24 * time.Hour),
		ArchiveTimeout: pitr.Span(5 * time.Minute),
	}
	for name, c := range map[string]struct {
		change change
		want   func(*pitr.Policy)
		notes  []string
	}{
		"what services.postgresql says": {func(*stateward.Host, *stateward.PITR, *stateward.PITRPolicy) {}, nil, nil},
		"its port and socket": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Port, s.Sockets, s.Version = known("5433"), known("/run/pg, /tmp"), known("9.6")
		}, func(p *pitr.Policy) { p.Cluster.Port, p.Cluster.Socket, p.Cluster.Version = 5433, "/run/pg", 9 }, nil},
		"what is written counts": {func(h *stateward.Host, s *stateward.PITR, p *stateward.PITRPolicy) {
			s.Port = known("5433")
			p.Cluster = stateward.PITRCluster{DataDir: known("/srv/pg"), WALDir: known("/srv/wal"), User: known("pg"), Socket: known("/run/x"), Unit: known("pg.service"), BinDir: known("/opt/bin"), Version: known(15), Port: known(1)}
			h.Units = known([]stateward.Unit{{Name: "pg.service", User: owner("other")}})
		}, func(p *pitr.Policy) {
			p.Cluster = pitr.Cluster{Name: "postgresql", Version: 15, DataDir: "/srv/pg", WALDir: "/srv/wal", User: "pg", Socket: "/run/x", Port: 1, Unit: "pg.service", BinDir: "/opt/bin"}
		}, nil},
		"a server of somebody's own": {func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Name, p.Cluster = "big", stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("pg"), Unit: known("pg.service")}
			h.Units = known([]stateward.Unit{{Name: "pg.service"}})
		}, func(p *pitr.Policy) {
			p.Cluster = pitr.Cluster{Name: "big", DataDir: "/srv/pg", User: "pg", Unit: "pg.service"}
		}, []string{"the settings of the server are not those of services.postgresql, and nothing writes them into its configuration"}},
		"G3 archive_timeout of the server": {func(_ *stateward.Host, s *stateward.PITR, p *stateward.PITRPolicy) {
			s.Settings["archive_timeout"] = known("2min")
			p.ArchiveTimeout = stateward.Value[stateward.Duration]{}
		}, func(p *pitr.Policy) { p.ArchiveTimeout = pitr.Span(2 * time.Minute) }, nil},
		"G3 none at all, and nothing removed": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.ArchiveTimeout, p.Window = stateward.Value[stateward.Duration]{}, stateward.Value[stateward.Duration]{}
		}, func(p *pitr.Policy) { p.ArchiveTimeout, p.Window = 0, 0 }, []string{"has no archiveTimeout: what an idle cluster committed stays on its own disks (G3)", "has no window: nothing is ever removed from the archive"}},
		"what all backups tell": {func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			h.BackupDefaults = &stateward.Job{Settings: map[string]stateward.Value[string]{"notify.onFailure": known("critical"), "metricsDir": known("/m")}}
			p.OnSuccess = known("well")
		}, func(p *pitr.Policy) {
			p.Notify, p.MetricsDir = backup.Notify{OnFailure: "critical", OnSuccess: "well"}, "/m"
		}, nil},
		"a drill": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.DrillEvery = span("30d") }, func(p *pitr.Policy) {
			p.Drill = &pitr.DrillPolicy{Every: pitr.Span(30 * 24 * time.Hour)}
		}, nil},
		"the module is there already": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings = map[string]stateward.Value[string]{"archive_mode": known("on"), "wal_level": known("replica"), "archive_timeout": known("300s"), "archive_command": known(`/x/barman-cloud-wal-archive --gzip s3://b/pg forge "%p"`)}
		}, nil, nil},
		"the same in other words": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings = map[string]stateward.Value[string]{"archive_mode": known("always"), "wal_level": known("logical"), "archive_timeout": known("5min")}
		}, nil, nil},
		"G7 zstd": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Compression = known("zstd") }, func(p *pitr.Policy) { p.Compression = "zstd" },
			[]string{"barman-cloud-wal-archive before 3.13 may have no --zstd (G7)"}},
		"no file with a key": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.EnvironmentFile = stateward.Value[stateward.FileRef]{}
		}, func(p *pitr.Policy) { p.EnvironmentFile = "" },
			[]string{"names no file with a key: the tool looks for one where its cloud has it"}},
	} {
		t.Run(name, func(t *testing.T) {
			list, faults := pitr.FromHost(forge(c.change), nil)
			require.Empty(t, faults)
			require.Len(t, list, 1)
			require.Empty(t, list[0].Faults)
			want := want
			if c.want != nil {
				c.want(&want)
			}
			require.Empty(t, cmp.Diff(&want, list[0].Policy))
			var notes []string
			for _, n := range list[0].Notes {
				notes = append(notes, n.Message)
			}
			require.Equal(t, c.notes, notes)
			// What is installed is what the commands read.
			text, err := list[0].Policy.Write()
			require.NoError(t, err)
			read, err := pitr.ReadPolicy(text, stateward.ZoneFunc(time.LoadLocation))
			require.NoError(t, err)
			require.Equal(t, want, read)
		})
	}
}

func TestFromHostRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change change
		want   []string
	}{
		"no destination, server or schedule": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Destination, p.Server, p.Schedule = stateward.Value[string]{}, stateward.Value[string]{}, stateward.Value[[]string]{}
		}, []string{"has no schedule: without base backups nothing is recovered", "destination is missing", "server is missing"}},
		"a server that is off": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.PITR = known([]stateward.PITR{})
		}, []string{"services.postgresql is not on"}},
		"N1 a server that throws": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.PITR = unknown[[]stateward.PITR]("services.postgresql.settings")
		}, []string{"services.postgresql.settings is unknown: it throws"}},
		"N1 a value that throws": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Window = unknown[stateward.Duration]("x.window")
		}, []string{"x.window is unknown: it throws"}},
		"N1 a version that throws": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Version = unknown[string]("services.postgresql.package")
		}, []string{"services.postgresql.package is unknown: it throws"}},
		"N1 a setting that throws": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings["archive_command"] = unknown[string]("x")
		}, []string{"x is unknown: it throws"}},
		"N1 whether it is asked for": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Enable = unknown[bool]("x.enable")
		}, []string{"x.enable is unknown: it throws"}},
		"a field that is misspelt": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.AddUnknown(stateward.Unknown{Subject: "stateward.pitr.postgresql.windw", Kind: stateward.UnknownForm, Message: "stateward knows no such field"},
				stateward.Unknown{Subject: "stateward.pitr.postgresql2.windw", Kind: stateward.UnknownForm, Message: "stateward knows no such field"})
		}, []string{"stateward.pitr.postgresql.windw is unknown: stateward knows no such field"}},
		"a unit that is not there": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.Units = known([]stateward.Unit{})
		}, []string{"the host has no unit postgresql.service"}},
		"as whom": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.Units = known([]stateward.Unit{{Name: "postgresql.service"}})
		}, []string{"as whom the server runs is not known"}},
		"R11 a secret in the store": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.EnvironmentFile, p.CredentialsFile = known(stateward.FileRef{Text: "/a", NixPath: true}), known(stateward.FileRef{Text: "/nix/store/x/aws"})
		}, []string{"the environment file lies in the store, which everybody can read (R11)", "the credentials file lies in the store, which everybody can read (R11)"}},
		"another command": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings["archive_command"] = known("barman-cloud-wal-archive --gzip s3://b/pg cellar %p")
		}, []string{"services.postgresql.settings.archive_command is another already"}},
		"G5 a command that swallows": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings["archive_command"] = known("barman-cloud-wal-archive --gzip s3://b/pg forge %p || true")
		}, []string{"services.postgresql.settings.archive_command is another already"}},
		"R11 a command with a key": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings["archive_command"] = known("AWS_SECRET_ACCESS_KEY=canary barman-cloud-wal-archive s3://b/pg forge %p")
		}, []string{"services.postgresql.settings.archive_command is another already"}},
		"a name that no unit has": {func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Name, p.Origin.Option = "../x", `stateward.pitr."../x"`
			p.Cluster = stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("pg"), Unit: known("postgresql.service")}
			h.AddUnknown(stateward.Unknown{Subject: p.Origin.Option, Kind: stateward.UnknownForm, Message: "its name has other than letters"})
		}, []string{`stateward.pitr."../x" is unknown: its name has other than letters`}},
		"what is unknown of all backups, in order": {func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.BackupDefaults = &stateward.Job{Settings: map[string]stateward.Value[string]{"notify.onFailure": unknown[string]("f"), "notify.onStart": unknown[string]("s"), "notify.onSuccess": unknown[string]("u"), "metricsDir": unknown[string]("m")}}
		}, []string{"m is unknown: it throws", "s is unknown: it throws", "u is unknown: it throws", "f is unknown: it throws"}},
		"settings that contradict": {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
			s.Settings = map[string]stateward.Value[string]{"archive_mode": known("off"), "wal_level": known("minimal"), "archive_timeout": known("1h"), "archive_library": known("basic_archive")}
		}, []string{`services.postgresql.settings.archive_mode is "off" already`, `services.postgresql.settings.wal_level is "minimal" already`, `services.postgresql.settings.archive_timeout is "1h" already`,
			`services.postgresql.settings.archive_library is "basic_archive" already`}},
		"pgBackRest": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Provider = known("pgbackrest") }, []string{"the archive is made by pgbackrest, and only barman-cloud can be run"}},
		"no event": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Schedule = known([]string{"at noon"})
		}, []string{`calendar event "at noon", character 4: "noon" is no known time zone`}},
		"a window of 0": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Window = span("0") }, []string{"window of 0 is none"}},
		"no zone": {func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			h.Zones, p.Schedule = stateward.ZoneFunc(time.LoadLocation), known([]string{"03:00 Europe/Berlin", "03:00 Europe/Berln"})
		}, []string{`calendar event "03:00 Europe/Berln", character 7: "Europe/Berln" is no known time zone`}},
		"no server":    {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Server = known("a/b") }, []string{`server "a/b" is no name of a server`}},
		"no template":  {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.OnFailure = known("Mail") }, []string{`notify.onFailure is "Mail", which is no name of a template`}},
		"a port":       {func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) { s.Port = known("pg") }, []string{`port "pg" is no number`}},
		"own, unnamed": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Name = "big" }, []string{"the data directory is not known"}},
		"a key in an address": {func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Destination = known("s3://AKIA:canary@b/pg")
		},
			[]string{"destination has a user or a password in it"}},
	} {
		t.Run(name, func(t *testing.T) {
			list, faults := pitr.FromHost(forge(c.change), nil)
			require.Empty(t, faults)
			require.Len(t, list, 1)
			require.Nil(t, list[0].Policy)
			var got []string
			for _, f := range list[0].Faults {
				got = append(got, f.Message)
				require.NotContains(t, f.Message+f.Hint, "canary")
			}
			require.Equal(t, c.want, got)
		})
	}
	t.Run("G7 what the tool says of itself", func(t *testing.T) {
		list, _ := pitr.FromHost(forge(), map[string]pitr.Flags{pitr.ToolWALArchive: {Tool: pitr.ToolWALArchive, Options: []string{"--bzip2"}}})
		require.Equal(t, "barman-cloud-wal-archive has no option --gzip", list[0].Faults[0].Message)
	})
	t.Run("G4 one place for two", func(t *testing.T) {
		list, _ := pitr.FromHost(forge(func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			other := *p
			other.Name, other.Cluster = "big", stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("pg"), Unit: known("postgresql.service")}
			other.Destination = known("s3://b/pg/")
			h.PITRPolicies = known([]stateward.PITRPolicy{*p, other})
		}), nil)
		require.Len(t, list, 2)
		require.Nil(t, list[0].Policy)
		require.Equal(t, "s3://b/pg/forge is where postgresql is archived too: their logs cannot be told apart (G4)", list[0].Faults[0].Message)
		require.NotNil(t, list[1].Policy)
	})
	t.Run("one name in two stores", func(t *testing.T) {
		list, _ := pitr.FromHost(forge(func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			other := *p
			other.Name, other.Cluster = "big", stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("pg"), Unit: known("postgresql.service")}
			other.Endpoint = known("https://nas:9000")
			h.PITRPolicies = known([]stateward.PITRPolicy{*p, other})
		}), nil)
		require.Len(t, list, 2)
		require.NotNil(t, list[0].Policy)
		require.NotNil(t, list[1].Policy)
	})
	t.Run("all of them, or off", func(t *testing.T) {
		list, faults := pitr.FromHost(forge(func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			h.PITRPolicies = unknown[[]stateward.PITRPolicy]("stateward.pitr")
		}), nil)
		require.Empty(t, list)
		require.Len(t, faults, 1)
		list, faults = pitr.FromHost(forge(func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.Enable = known(false) }), nil)
		require.Empty(t, list)
		require.Empty(t, faults)
	})
}

// S2: data and log on datasets of their own need one moment for both.
func TestS2PlacesOfACluster(t *testing.T) {
	declared := func(name, at, recordsize string) stateward.Dataset {
		return stateward.Dataset{Name: name, MountPoint: known(at), Properties: map[string]stateward.Value[string]{"recordsize": known(recordsize)}, Asked: true}
	}
	both := func(h *stateward.Host) {
		h.Datasets = known([]stateward.Dataset{declared("tank/pg", "/var/lib/postgresql/17", "16K"), declared("tank/pg/wal", "/var/lib/postgresql/17/pg_wal", "128K")})
	}
	policy := func(recursive string) stateward.SnapshotPolicy {
		return stateward.SnapshotPolicy{Name: "tank/pg", Recursive: known(recursive), Settings: map[string]stateward.Value[string]{"hourly": known("24"), "autosnap": known("yes"), "autoprune": known("yes")}}
	}
	for name, c := range map[string]struct {
		change func(*stateward.Host)
		places []string
		notes  int
	}{
		"not known":    {func(*stateward.Host) {}, []string{"data /var/lib/postgresql/17   ", "log /var/lib/postgresql/17/pg_wal   "}, 0},
		"no snapshots": {both, []string{"data /var/lib/postgresql/17 tank/pg 16K 8K", "log /var/lib/postgresql/17/pg_wal tank/pg/wal 128K 128K"}, 0},
		"one dataset, one moment": {func(h *stateward.Host) {
			h.Datasets = known([]stateward.Dataset{declared("tank/pg", "/var/lib/postgresql", "8K")})
		}, []string{"data /var/lib/postgresql/17 tank/pg 8K 8K"}, 0},
		"one after another": {func(h *stateward.Host) { both(h); h.Snapshots = known([]stateward.SnapshotPolicy{policy("yes")}) },
			[]string{"data /var/lib/postgresql/17 tank/pg 16K 8K", "log /var/lib/postgresql/17/pg_wal tank/pg/wal 128K 128K"}, 1},
		"at one moment": {func(h *stateward.Host) { both(h); h.Snapshots = known([]stateward.SnapshotPolicy{policy("zfs")}) },
			[]string{"data /var/lib/postgresql/17 tank/pg 16K 8K", "log /var/lib/postgresql/17/pg_wal tank/pg/wal 128K 128K"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			list, _ := pitr.FromHost(forge(func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) { c.change(h) }), nil)
			var got []string
			for _, p := range list[0].Places {
				got = append(got, strings.Join([]string{p.Part, p.Path, p.Dataset, p.Recordsize, p.Suits}, " "))
			}
			require.Equal(t, c.places, got)
			require.Len(t, list[0].Notes, c.notes)
		})
	}
}

// systemd takes the units as they are, whatever is in the names.
func TestUnitsAreAccepted(t *testing.T) {
	for name, c := range map[string]change{
		"plain": func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) { p.DrillEvery = span("30d") },
		"odd": func(h *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
			p.Name, p.Cluster = "odd-1.2_3", stateward.PITRCluster{DataDir: known("/srv/p g"), User: known("postgres"), Unit: known(`pg\x2da.service`), Socket: known("/tmp")}
			h.Units = known([]stateward.Unit{{Name: `pg\x2da.service`}})
			p.OnStart, p.OnSuccess, p.OnFailure = known("failure"), known("failure"), known("failure")
			p.MetricsDir, p.DrillEvery = known("/var/lib/metrics %n"), span("2d")
			p.EnvironmentFile, p.CredentialsFile = known(stateward.FileRef{Text: "/run/s %n"}), known(stateward.FileRef{Text: `/run/"a" b$x`})
		},
	} {
		t.Run(name, func(t *testing.T) {
			list, _ := pitr.FromHost(forge(c), nil)
			require.Empty(t, list[0].Faults)
			p := list[0].Policy
			units, err := p.Units(pitr.UnitOptions{Stateward: "/bin/true", Path: []string{"/usr/bin", "/bin"}, OnFailure: []string{"notify@%n.service"}, Digest: "abc"})
			require.NoError(t, err)
			require.Equal(t, []string{"backup", "check", "retain", "drill"}, p.Jobs())
			dir := t.TempDir()
			write := func(name, text string) string {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
				return filepath.Join(dir, name)
			}
			write("notify@.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
			require.NoError(t, os.Symlink("notify@.service", filepath.Join(dir, backup.NotifyUnit("failure", ""))))
			files := []string{write(p.Cluster.Unit, "[Service]\nExecStart=/bin/true\n")}
			dropIn, err := p.DropIn()
			require.NoError(t, err)
			write(p.Cluster.Unit+".d/stateward-pitr.conf", dropIn)
			for _, u := range units {
				service, err := u.Service()
				require.NoError(t, err)
				timer, err := u.Timer()
				require.NoError(t, err)
				require.Equal(t, u.Job != "drill", strings.Contains(service, "User=postgres\n"))
				require.Contains(t, service, "X-Stateward-Job=abc\n")
				require.Equal(t, name == "odd", strings.Contains(service, "ReadWritePaths=/tmp /var/tmp\n"))
				require.Equal(t, name != "odd", strings.Contains(service, "PrivateTmp=true\n"))
				// A folder belongs to one user, and another cluster may have another.
				require.Equal(t, u.Job != "drill", strings.Contains(service, "StateDirectory=stateward/pitr/"+p.Cluster.Name+"\n"))
				require.Contains(t, timer, "Persistent=true\n")
				require.Equal(t, u.Job != "drill", strings.Contains(service, "Requisite="+p.Cluster.Unit+"\n"), u.Job)
				files = append(files, write(u.Name+".service", service), write(u.Name+".timer", timer))
			}
			for _, analyze := range analyzers() {
				cmd := exec.Command(analyze, append([]string{"verify", "--man=no"}, files...)...)
				cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				for line := range strings.Lines(string(out)) {
					for _, f := range files {
						require.NotContains(t, line, filepath.Base(f))
					}
				}
			}
		})
	}
}

func analyzers() []string {
	if list := os.Getenv("STATEWARD_TEST_SYSTEMD"); list != "" {
		return filepath.SplitList(list)
	}
	return []string{"systemd-analyze"}
}

// What sh makes of an archive_command is what was planned, and PostgreSQL replaces %p alone.
func TestServerCommand(t *testing.T) {
	for _, argv := range [][]string{
		{"printf", "%s\n", "plain", "a b", "it's", `"q" $HOME \ ` + "`x`", "100%", "", "-x=y", "ü"},
	} {
		text := pitr.ServerCommand(append(slices.Clone(argv), "%p"))
		// As PostgreSQL has it: %p, and %% for one.
		text = strings.NewReplacer("%%", "%", "%p", "pg_wal/x").Replace(text)
		out, err := exec.Command("sh", "-c", text).Output()
		require.NoError(t, err)
		require.Equal(t, strings.Join(argv[2:], "\n")+"\npg_wal/x\n", string(out))
	}
}

func TestFindRunning(t *testing.T) {
	states := func(h *stateward.Host) string {
		list, faults := pitr.FindRunning(h)
		require.Empty(t, faults)
		require.Len(t, list, 1)
		text, err := json.Marshal([]any{list[0].State, list[0].Stale, list[0].Missing})
		require.NoError(t, err)
		return string(text)
	}
	list, _ := pitr.FromHost(forge(), nil)
	digest, err := list[0].Policy.Digest()
	require.NoError(t, err)
	archives := func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) {
		s.Settings["archive_mode"], s.Settings["archive_command"] = known("on"), known(`/bin/barman-cloud-wal-archive --gzip s3://b/pg forge "%p"`)
		s.Settings["archive_timeout"] = known("300")
	}
	lacks := func(name string) change {
		return func(_ *stateward.Host, s *stateward.PITR, _ *stateward.PITRPolicy) { delete(s.Settings, name) }
	}
	runs := func(digest string, jobs ...string) change {
		return func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
			units, timers := h.Units.Or(nil), []stateward.Timer{}
			for _, job := range jobs {
				units = append(units, stateward.Unit{Name: "stateward-pitr-" + job + "-postgresql.service", Enable: known(true), Job: known(digest)})
				timers = append(timers, stateward.Timer{Name: "stateward-pitr-" + job + "-postgresql.timer", Enable: known(true)})
			}
			h.Units, h.Timers = known(units), known(timers)
		}
	}
	const all = `["stateward-pitr-backup-postgresql.service","stateward-pitr-check-postgresql.service","stateward-pitr-retain-postgresql.service"]`
	require.Equal(t, `["not run",null,`+all+`]`, states(forge(archives)))
	require.Equal(t, `["runs",null,null]`, states(forge(archives, runs(digest, "backup", "check", "retain"))))
	require.Equal(t, `["runs",null,["stateward-pitr-check-postgresql.service","stateward-pitr-retain-postgresql.service"]]`, states(forge(archives, runs(digest, "backup"))))
	require.Equal(t, `["not archived",null,null]`, states(forge(runs(digest, "backup", "check", "retain"))))
	// G3: what the server does not have is not as the policy says, and without archive_mode nothing is archived.
	for _, name := range []string{"archive_mode", "archive_command", "archive_timeout"} {
		require.Equal(t, `["not archived",null,null]`, states(forge(archives, lacks(name), runs(digest, "backup", "check", "retain"))))
	}
	require.Equal(t, `["stale",`+all+`,null]`, states(forge(archives, runs("0", "backup", "check", "retain"))))
	require.Equal(t, `["not run",null,`+all+`]`, states(forge(archives, runs(digest, "backup", "check", "retain"), func(h *stateward.Host, _ *stateward.PITR, _ *stateward.PITRPolicy) {
		h.Timers = known([]stateward.Timer{})
	})))
	require.Equal(t, `["stale",["stateward-pitr-backup-postgresql.service"],null]`, states(forge(archives, runs(digest, "backup"), func(_ *stateward.Host, _ *stateward.PITR, p *stateward.PITRPolicy) {
		p.Server = stateward.Value[string]{}
	})))
}
