package restic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/nixtest"
)

func given[T any](v T, option string) stateward.Value[T] {
	return stateward.Known(v, stateward.Origin{Option: option})
}

func paths(option string, list ...string) stateward.Value[[]stateward.Entry] {
	out := []stateward.Entry{}
	for _, p := range list {
		out = append(out, stateward.NewEntry(p, stateward.Directory, stateward.Origin{Option: option}))
	}
	return given(out, option)
}

func ref(text, option string) stateward.Value[stateward.FileRef] {
	return given(stateward.FileRef{Text: text}, option)
}

// forge is a host whose root is wiped, with a job that can be rendered.
func forge(change ...func(h *stateward.Host, j *stateward.Job)) *stateward.Host {
	mount := func(at, device, kind string) stateward.FileSystem {
		return stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, stateward.Origin{}), Device: given(device, ""), FSType: given(kind, "")}
	}
	h := &stateward.Host{
		Name: "forge", HostName: given("forge.lan", "networking.hostName"),
		FileSystems: given([]stateward.FileSystem{mount("/", "rpool/root", "zfs"), mount("/persist", "rpool/persist", "zfs"), mount("/srv/ext4", "/dev/sdb", "ext4"),
			mount("/srv/tank", "tank/srv", "zfs"), mount("/srv/tank/below", "tank/srv/below", "zfs"), mount("/srv/mixed", "tank/mixed", "zfs"), mount("/srv/mixed/nfs", "nas:/x", "nfs")}, "fileSystems"),
		Persistence: given([]stateward.PersistenceRoot{{Name: "/persist", Path: given(stateward.MustPath("/persist"), ""), Directories: paths("", "/var/lib/app", "/var/lib/postgresql")}}, ""),
		Services:    given([]stateward.Service{{Name: "app", Enable: given(true, ""), Units: []string{"app.service"}}}, ""),
		BackupRepositories: given([]stateward.BackupRepository{{Name: "nas", URL: given("sftp:backup@nas:/srv", "r.nas.url"), PasswordFile: ref("/run/secrets/restic", "r.nas.passwordFile"), Origin: stateward.Origin{Option: "r.nas"}}},
			""),
		BackupDefaults: &stateward.Job{Schedule: given([]string{"daily"}, "d.schedule"), Prune: given([]string{"--keep-daily 7"}, "d.prune"), Origin: stateward.Origin{Option: "d"}},
	}
	j := stateward.Job{Name: "app", Service: "app", Engine: "stateward", Asked: true, Origin: stateward.Origin{Option: "s.app.backup"}, Paths: paths("s.app", "/var/lib/app")}
	for _, c := range change {
		c(h, &j)
	}
	h.Jobs = given([]stateward.Job{j}, "")
	return h
}

func reads(list ...string) func(*stateward.Host, *stateward.Job) {
	return func(_ *stateward.Host, j *stateward.Job) { j.Paths = paths("s.app.backup.paths", list...) }
}

func consistent(how string) func(*stateward.Host, *stateward.Job) {
	return func(_ *stateward.Host, j *stateward.Job) { j.Consistency = given(how, "s.app.backup.consistency") }
}

func job(change func(*stateward.Job)) func(*stateward.Host, *stateward.Job) {
	return func(_ *stateward.Host, j *stateward.Job) { change(j) }
}

func asks(settings map[string]string) func(*stateward.Host, *stateward.Job) {
	return func(_ *stateward.Host, j *stateward.Job) {
		j.Settings = map[string]stateward.Value[string]{}
		for name, text := range settings {
			j.Settings[name] = given(text, "s.app.backup."+name)
		}
	}
}

// told has the service say whether it wants to be told.
func told(on bool) func(*stateward.Host, *stateward.Job) {
	return func(_ *stateward.Host, j *stateward.Job) { j.Notifications = given(on, "s.app.notifications.enable") }
}

func hostTells(h *stateward.Host, _ *stateward.Job) {
	h.BackupDefaults.Settings = map[string]stateward.Value[string]{"notify.onFailure": given("critical", "d.notify.onFailure"), "notify.onStart": given("start", "d.notify.onStart")}
}

func TestR10JobsOfAConfiguration(t *testing.T) {
	cluster := func(h *stateward.Host, j *stateward.Job) {
		h.Units = given([]stateward.Unit{{Name: "postgresql.service", StateDirectory: given([]string{"postgresql", "postgresql/17"}, "")}}, "")
		j.Paths = paths("s.app.backup.paths", "/var/lib/postgresql/17", "/var/lib/app", "/srv/ext4")
	}
	pitr := func(h *stateward.Host, _ *stateward.Job) {
		s := h.Services.Or(nil)
		s[0].Databases = given([]stateward.Database{{Type: given("postgresql", ""), Name: given("app", "")}}, "")
		s[0].Protection = &stateward.Protection{Tiers: []stateward.Tier{stateward.TierPointInTime}, Origin: stateward.Origin{Option: "s.app.protection"}}
	}
	for name, c := range map[string]struct {
		host *stateward.Host
		// want are parts of the JSON of the job.
		want map[string]any
		// said are problems and notes.
		said []string
	}{
		"live": {forge(), map[string]any{"name": "app", "host": "forge.lan", "repository": "sftp:backup@nas:/srv", "passwordFile": "/run/secrets/restic", "paths": []any{"/var/lib/app"},
			"requireMounted": []any{"/persist", "/var/lib/app"}, "retention": []any{"--keep-daily=7"}, "prune": true}, nil},
		"R7 a snapshot of where the data really lies": {forge(consistent("snapshot"), job(func(j *stateward.Job) {
			j.Exclude = given([]string{"/var/lib/app/log", "!/var/lib/app/log/keep", "*.tmp", "/var/lib/apple"}, "e")
		})),
			map[string]any{"paths": []any{"/persist/var/lib/app"}, "source": []any{map[string]any{"name": "rpool/persist", "mountpoint": "/persist"}},
				"exclude": []any{"/persist/var/lib/app/log", "!/persist/var/lib/app/log/keep", "*.tmp", "/var/lib/apple"}}, nil},
		"a snapshot with what is mounted below": {forge(consistent("snapshot"), reads("/srv/tank")), map[string]any{"paths": []any{"/srv/tank"},
			"source": []any{map[string]any{"name": "tank/srv", "mountpoint": "/srv/tank"}, map[string]any{"name": "tank/srv/below", "mountpoint": "/srv/tank/below"}}}, nil},
		"a snapshot of what is no ZFS": {forge(consistent("snapshot"), reads("/srv/ext4/a")), nil,
			[]string{"! cannot be read from a snapshot: /srv/ext4/a lies on no dataset of ZFS (ext4)"}},
		"a snapshot with another file system below": {forge(consistent("snapshot"), reads("/srv/mixed")), nil,
			[]string{"! cannot be read from a snapshot: /srv/mixed/nfs lies on no dataset of ZFS (nfs)"}},
		"a snapshot of two pools": {forge(consistent("snapshot"), reads("/srv/tank", "/var/lib/app")), nil,
			[]string{"! cannot be read from a snapshot: /persist/var/lib/app lies on another pool (rpool) than what else is read"}},
		"units stand still until there is a snapshot": {forge(consistent("quiesce")), map[string]any{"stopUnits": []any{"app.service"}, "source": []any{map[string]any{"name": "rpool/persist", "mountpoint": "/persist"}}}, nil},
		"units stand still for the whole backup": {forge(consistent("quiesce"), reads("/srv/ext4")), map[string]any{"stopUnits": []any{"app.service"}, "source": nil, "paths": []any{"/srv/ext4"}, "requireMounted": []any{"/srv/ext4"}},
			[]string{"the units stand still for the whole backup: /srv/ext4 lies on no dataset of ZFS (ext4)"}},
		"a host whose name is unknown": {forge(func(h *stateward.Host, _ *stateward.Job) {
			h.HostName = stateward.NotKnown[string](stateward.Unknown{Subject: "networking.hostName", Kind: stateward.UnknownThrow, Message: "no"})
		}), nil, []string{"! networking.hostName is unknown: no"}},
		"an rpo that is unknown": {forge(func(h *stateward.Host, _ *stateward.Job) {
			h.Services.Or(nil)[0].Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{
				stateward.TierDisk: stateward.NotKnown[stateward.Duration](stateward.Unknown{Subject: "s.app.protection.rpo.disk", Kind: stateward.UnknownThrow, Message: "no"})}}
		}), map[string]any{"rpo": nil}, []string{"s.app.protection.rpo.disk is unknown: nothing will say that the job is overdue"}},
		"a dump is backed up": {forge(job(func(j *stateward.Job) {
			j.DumpCommand, j.DumpDirectory = given("pg_dump app", "dump"), given(stateward.NewEntry("/var/backup/app", stateward.Directory, stateward.Origin{}), "")
		})), map[string]any{"paths": []any{"/var/lib/app", "/var/backup/app"}, "dump": map[string]any{"command": "pg_dump app", "directory": "/var/backup/app"}}, nil},
		"a dump without a folder": {forge(job(func(j *stateward.Job) { j.DumpCommand = given("pg_dump app", "dump") })), nil, []string{"! dump has no directory"}},
		"hooks and limits": {forge(job(func(j *stateward.Job) {
			j.PreHook, j.PreCommand = given(true, ""), given("echo a", "pre")
			j.Settings = map[string]stateward.Value[string]{"limits.memory": given("2G", ""), "limits.nice": given("19", ""), "floorPercent": given("0", ""), "oneFileSystem": given("true", ""), "checkSubset": given("1%", "")}
		})), map[string]any{"preHook": "echo a", "limits": map[string]any{"memory": "2G", "nice": 19.0}, "floorPercent": 0.0, "oneFileSystem": true, "checkSubset": "1%"}, nil},
		"a limit that is none": {forge(job(func(j *stateward.Job) {
			j.Settings = map[string]stateward.Value[string]{"limits.nice": given("high", "n")}
		})), nil, []string{`! limits.nice is "high"`}},
		"a hook that was hidden": {forge(job(func(j *stateward.Job) {
			j.PreHook, j.PreCommand = given(true, ""), given("PASSWORD=‹hidden› x", "pre")
		})), nil,
			[]string{"! preHook holds what looks like a secret"}},
		"a hook that is not read": {forge(job(func(j *stateward.Job) { j.PostHook = given(true, "post") })), nil, []string{"! has a postHook whose text is not read"}},
		"R11 a password in the address": {forge(job(func(j *stateward.Job) { j.Repository = given("rest:https://u:hunter2@nas/", "s.app.backup.repository") })), nil,
			[]string{"! the address of the repository has a password in it (R11)", "! has no passwordFile"}},
		"R11 a secret in the store": {forge(job(func(j *stateward.Job) { j.PasswordFile = ref("/nix/store/x", "p") })), nil, []string{"! the password lies in the store, which everybody can read (R11)"}},
		"R11 a repository beside its data": {forge(job(func(j *stateward.Job) { j.Repository, j.PasswordFile = given("/persist/backup", "repo"), ref("/p", "") })), map[string]any{"repository": "/persist/backup"},
			[]string{"the repository is on pool rpool, where /var/lib/app lies too: the disks are lost together (R11)"}},
		"no repository": {forge(func(h *stateward.Host, _ *stateward.Job) {
			h.BackupRepositories = stateward.Value[[]stateward.BackupRepository]{}
		}), nil,
			[]string{"! names no repository, and the host has none"}},
		"a repository that is not there": {forge(job(func(j *stateward.Job) { j.Targets = given([]string{"nsa"}, "t") })), nil, []string{`! no repository is named "nsa"`}},
		"N10 no schedule":                {forge(func(h *stateward.Host, _ *stateward.Job) { h.BackupDefaults.Schedule = stateward.Value[[]string]{} }), nil, []string{"! has no schedule: nothing would start it"}},
		"R4 nothing is kept": {forge(func(h *stateward.Host, _ *stateward.Job) { h.BackupDefaults.Prune = stateward.Value[[]string]{} }), map[string]any{"prune": nil},
			[]string{"has no prune: nothing is ever forgotten"}},
		"R10 options that reach nothing": {forge(job(func(j *stateward.Job) { j.Prune = given([]string{"--keep-daily 7", "--prune", "--max-unused 5%"}, "p") })), nil,
			[]string{`! prune has "--max-unused 5%", which says nothing of what is kept`}},
		"R12 how old it may get": {forge(func(h *stateward.Host, _ *stateward.Job) {
			day, _ := stateward.ParseDuration("1d")
			week, _ := stateward.ParseDuration("1w")
			h.Services.Or(nil)[0].Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: given(week, ""), stateward.TierDisk: given(day, "")}}
		}), map[string]any{"rpo": "1d"}, nil},
		"R12 an age that no run reaches": {forge(func(h *stateward.Host, _ *stateward.Job) {
			none, _ := stateward.ParseDuration("0")
			week, _ := stateward.ParseDuration("1w")
			h.Services.Or(nil)[0].Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: given(none, "s.app.protection.rpo.site"), stateward.TierDisk: given(week, "")}}
		}), nil, []string{"! the rpo of app for the tier site is 0: the last good run is always older than that"}},
		"R13 a drill": {forge(asks(map[string]string{"drill.every": "30d", "drill.sqlite": "false", "drill.maxBytes": "1000"}), job(func(j *stateward.Job) {
			j.DrillCommand, j.DrillPaths = given([]string{"/bin/look", "-v"}, "c"), paths("s.app.backup.drill.paths", "/var/lib/app/db")
		})), map[string]any{"drill": map[string]any{"every": "30d", "sqlite": false, "maxBytes": 1000.0, "command": []any{"/bin/look", "-v"}, "paths": []any{"/var/lib/app/db"}}}, nil},
		"R2 a drill of what was read from a snapshot": {forge(consistent("snapshot"), asks(map[string]string{"drill.every": "30d"}), job(func(j *stateward.Job) {
			j.DrillCommand, j.DrillPaths = given([]string{"sh", "-c", `test -s "$STATEWARD_DRILL_DIR/var/lib/app/db"`}, "c"), paths("s.app.backup.drill.paths", "/var/lib/app/db")
		})), map[string]any{"drill": map[string]any{"every": "30d", "command": []any{"sh", "-c", `test -s "$STATEWARD_DRILL_DIR/var/lib/app/db"`}, "paths": []any{"/persist/var/lib/app/db"}}},
			[]string{"drill.command looks for /var/lib/app: the snapshot has it as /persist/var/lib/app, so it is restored to $STATEWARD_DRILL_DIR/persist/var/lib/app"}},
		"R2 a drill that knows where it lies": {forge(consistent("snapshot"), asks(map[string]string{"drill.every": "30d"}), job(func(j *stateward.Job) {
			j.DrillCommand = given([]string{"test", "-s", `$STATEWARD_DRILL_DIR/persist/var/lib/app/db`}, "c")
		})), map[string]any{}, nil},
		"R13 a drill that nothing starts": {forge(asks(map[string]string{"drill.sqlite": "true"})), map[string]any{"drill": map[string]any{"sqlite": true}},
			[]string{"has a drill without every: no timer starts it"}},
		"a drill of the host that a job takes back": {forge(asks(map[string]string{"drill.every": ""}), func(h *stateward.Host, _ *stateward.Job) {
			h.BackupDefaults.Settings = map[string]stateward.Value[string]{"drill.every": given("30d", "d.drill.every")}
		}), map[string]any{"drill": nil}, nil},
		"a drill that is none": {forge(asks(map[string]string{"drill.every": "6h", "drill.sqlite": "maybe", "drill.maxBytes": "10G"}), job(func(j *stateward.Job) { j.DrillCommand = given([]string{"-x"}, "c") })), nil,
			[]string{"! drill: every is 6h", `! drill: sqlite is "maybe"`, `! drill: maxBytes is "10G"`, `! drill: command has "-x"`}},
		"a drill of what is not backed up": {forge(asks(map[string]string{"drill.every": "30d"}), job(func(j *stateward.Job) { j.DrillPaths = paths("p", "/srv") })), nil,
			[]string{`! drill: paths has "/srv", which the job does not back up`}},
		"a drill that was hidden": {forge(job(func(j *stateward.Job) { j.DrillCommand = given([]string{"mysql", "--password=‹hidden›"}, "c") })), nil,
			[]string{"! drill.command holds what looks like a secret", "has a drill without every: no timer starts it"}},
		"E12 a service that wants to be told":                 {forge(told(true)), map[string]any{"notify": map[string]any{"onFailure": "failure"}}, nil},
		"E12 a service that says of what":                     {forge(told(true), asks(map[string]string{"notify.onSuccess": "success"})), map[string]any{"notify": map[string]any{"onSuccess": "success"}}, nil},
		"E12 a service that wants what the host says":         {forge(told(true), hostTells), map[string]any{"notify": map[string]any{"onFailure": "critical", "onStart": "start"}}, nil},
		"E12 a service that wants less of what the host says": {forge(hostTells, asks(map[string]string{"notify.onStart": "", "notify.onFailure": "failure"})), map[string]any{"notify": map[string]any{"onFailure": "failure"}}, nil},
		"E12 a service that does not want what the host says": {forge(told(false), hostTells), map[string]any{"notify": nil}, nil},
		"E12 a service of which it is not known": {forge(job(func(j *stateward.Job) {
			j.Notifications = stateward.NotKnown[bool](stateward.Unknown{Subject: "s.app.notifications.enable", Kind: stateward.UnknownThrow, Message: "no"})
		})), nil, []string{"! s.app.notifications.enable is unknown: no"}},
		"a template that is none": {forge(asks(map[string]string{"notify.onFailure": "tell me!"})), nil, []string{`! onFailure is "tell me!", which is no name of a template`}},
		"borg":                    {forge(job(func(j *stateward.Job) { j.Engine = "borg" })), nil, []string{"! is of borg: only jobs of restic are rendered"}},
		"nothing to back up":      {forge(reads()), nil, []string{"! has nothing to back up"}},
		"a path that is none":     {forge(reads("var/lib/app")), nil, []string{`! path "var/lib/app" is not absolute`}},
		"an unknown path": {forge(job(func(j *stateward.Job) {
			j.Paths = stateward.NotKnown[[]stateward.Entry](stateward.Unknown{Subject: "s.app.dataDir", Kind: stateward.UnknownThrow, Message: "no"})
		})), nil, []string{"! s.app.dataDir is unknown: no"}},
		"R9 a cluster that is read live": {forge(cluster), map[string]any{"exclude": nil, "paths": []any{"/var/lib/postgresql/17", "/var/lib/app", "/srv/ext4"}},
			[]string{"reads the cluster of PostgreSQL in /var/lib/postgresql while it changes: the copy is torn (R9)"}},
		"R9 a cluster with point-in-time recovery": {forge(cluster, pitr), map[string]any{"paths": []any{"/var/lib/app", "/srv/ext4"}},
			[]string{"/var/lib/postgresql/17 is left out: PostgreSQL keeps its cluster there, which has point-in-time recovery (R9)"}},
		"R9 above a cluster with point-in-time recovery": {forge(cluster, pitr, reads("/var/lib")), map[string]any{"paths": []any{"/var/lib"}, "exclude": []any{"/var/lib/postgresql"}},
			[]string{"/var/lib/postgresql is excluded: PostgreSQL keeps its cluster there, which has point-in-time recovery (R9)"}},
		"R9 a live SQLite": {forge(func(h *stateward.Host, _ *stateward.Job) {
			h.Services.Or(nil)[0].Databases = given([]stateward.Database{{Type: given("sqlite", ""), Name: given("app.db", "")}}, "")
		}), map[string]any{}, []string{"reads the database app.db while it changes: the copy is torn (R9)"}},
	} {
		t.Run(name, func(t *testing.T) {
			jobs, _ := restic.Plan(c.host, false)
			require.Len(t, jobs, 1)
			j := jobs[0]
			var said []string
			for _, p := range j.Problems {
				said = append(said, "! "+p.Message)
			}
			for _, p := range j.Notes {
				said = append(said, p.Message)
			}
			require.Empty(t, cmp.Diff(c.said, said))
			require.Equal(t, c.want == nil, j.Job == nil)
			for _, s := range j.Settings {
				require.NotContains(t, s.Value, "hunter2")
			}
			if j.Job == nil {
				return
			}
			text, err := j.Job.Write()
			require.NoError(t, err)
			var got map[string]any
			require.NoError(t, json.Unmarshal(text, &got))
			for field, want := range c.want {
				require.Empty(t, cmp.Diff(want, got[field]), field)
			}
		})
	}
}

func TestR10EverySettingSaysWhereItComesFrom(t *testing.T) {
	h := forge(job(func(j *stateward.Job) {
		j.Priority, j.Initialize, j.RequireNetwork = given(5, "s.app.backup.priority"), given(true, "s.app.backup.initialize"), given(true, "s.app.backup.requireNetwork")
	}), func(h *stateward.Host, _ *stateward.Job) {
		h.BackupRepositories = given(append(h.BackupRepositories.Or(nil), stateward.BackupRepository{Name: "unused", Origin: stateward.Origin{Option: "r.unused"}}), "")
		h.BackupRepositories.Or(nil)[0].Primary = given(true, "")
	})
	jobs, unreached := restic.Plan(h, false)
	var got []string
	for _, s := range jobs[0].Settings {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s=%s %v %s %s", s.Name, s.Value, s.Default, s.Origin.Option, s.NoEffect)))
	}
	require.Empty(t, cmp.Diff([]string{
		"repository=sftp:backup@nas:/srv true r.nas.url", "passwordFile=/run/secrets/restic true r.nas.passwordFile", "paths=/var/lib/app true s.app",
		"requireMounted=/persist /var/lib/app true", "host=forge.lan true networking.hostName", "schedule=daily true d.schedule", "persistent=true true",
		"prune=--keep-daily=7 true d.prune", "consistency=live true", "floorPercent=50 true", "lockWait=10min true",
		"initialize=true false s.app.backup.initialize a run never makes a repository; stateward backup init does",
		"priority=5 false s.app.backup.priority each job has a timer of its own; only -o paths hands it on",
		"requireNetwork=true false s.app.backup.requireNetwork the unit waits for the network where the repository is not of this machine",
	}, got))
	require.Equal(t, []restic.Problem{{Message: "no job goes to repository unused", Origin: stateward.Origin{Option: "r.unused"}}}, unreached)
}

func TestR10DrillsAndNotificationsSayWhereTheyComeFrom(t *testing.T) {
	list := func(change ...func(*stateward.Host, *stateward.Job)) (out []string) {
		jobs, _ := restic.Plan(forge(change...), false)
		for _, s := range jobs[0].Settings {
			if strings.HasPrefix(s.Name, "drill.") || strings.HasPrefix(s.Name, "notify.") {
				out = append(out, strings.TrimSpace(fmt.Sprintf("%s=%s %v %s %s", s.Name, s.Value, s.Default, s.Origin.Option, s.NoEffect)))
			}
		}
		return out
	}
	require.Empty(t, cmp.Diff([]string{"notify.onFailure=failure true s.app.notifications.enable"}, list(told(true))))
	require.Empty(t, cmp.Diff([]string{"notify.onFailure=critical true d.notify.onFailure s.app.notifications.enable is false", "notify.onStart=start true d.notify.onStart s.app.notifications.enable is false"},
		list(told(false), hostTells)))
	require.Empty(t, cmp.Diff([]string{"drill.command=/bin/look true d.drill.command", "drill.every=30d false s.app.backup.drill.every", "drill.paths=/var/lib/app/db false p"},
		list(asks(map[string]string{"drill.every": "30d"}), func(h *stateward.Host, j *stateward.Job) {
			h.BackupDefaults.DrillCommand, j.DrillPaths = given([]string{"/bin/look"}, "d.drill.command"), paths("p", "/var/lib/app/db")
		})))
}

func TestJobsThatRunAlreadyAreListed(t *testing.T) {
	stock := stateward.Job{Name: "app", Engine: "restic", Origin: stateward.Origin{Option: "services.restic.backups.app"}, Paths: paths("", "/etc"), Repository: given("/srv/x", ""),
		PasswordFile: ref("/p", ""), Schedule: given([]string{"daily"}, "")}
	h := forge()
	h.Jobs = given(append(h.Jobs.Or(nil), stock), "")
	for all, want := range map[bool][]string{false: {"app run by services.restic.backups.app", "app run by services.restic.backups.app"}, true: {"app run by services.restic.backups.app", "app rendered"}} {
		jobs, _ := restic.Plan(h, all)
		var got []string
		for _, j := range jobs {
			require.Empty(t, j.Problems)
			if j.Job != nil {
				got = append(got, j.Of.Name+" rendered")
			} else {
				got = append(got, j.Of.Name+" run by "+j.RunBy)
			}
		}
		require.Equal(t, want, got)
	}
}

func TestTwoJobsOfOneName(t *testing.T) {
	h := forge(job(func(j *stateward.Job) { j.Targets = given([]string{"nas"}, "") }))
	other := h.Jobs.Or(nil)[0]
	other.Origin.Option, other.Service = "other", "other"
	h.Jobs = given(append(h.Jobs.Or(nil), other), "")
	jobs, _ := restic.Plan(h, false)
	for _, j := range jobs {
		require.Nil(t, j.Job)
		require.Equal(t, "has the name of another job, app", j.Problems[0].Message)
	}
}

// rendered are jobs with all that a job can have.
func rendered(t *testing.T) []restic.Rendered {
	odd := func(h *stateward.Host, j *stateward.Job) {
		j.PreHook, j.PreCommand = given(true, ""), given("echo \"a ${b} '' $c\\n%n\"\n\tgrep '$' /x || :\n", "pre")
		j.DumpCommand, j.DumpDirectory = given("x", "dump"), given(stateward.NewEntry("/var/lib/app/dump", stateward.Directory, stateward.Origin{}), "")
		j.StopUnits = given([]string{"app@1.service", `a\x2db.socket`}, "")
		j.Schedule = given([]string{"daily", "Mon..Fri 12:00"}, "")
		j.Exclude = given([]string{"* tmp$", "%n"}, "")
	}
	var out []restic.Rendered
	drilled := func(h *stateward.Host, j *stateward.Job) {
		asks(map[string]string{"drill.every": "2d", "notify.onStart": "start", "notify.onSuccess": "success", "notify.onFailure": "failure", "limits.memory": "2G"})(h, j)
		j.DrillCommand = given([]string{"sh", "-c", "test \"${x}\" '' $a\\n%n\n"}, "")
		j.Repository, j.PasswordFile = given("/srv/ext4/with blank", ""), ref("/p", "")
	}
	for _, h := range []*stateward.Host{forge(), forge(consistent("quiesce")), forge(drilled), forge(odd, reads("/var/lib/app", "/srv/ext4/with blank", "/srv/ext4/per%cent $HOME"))} {
		jobs, _ := restic.Plan(h, false)
		require.Empty(t, jobs[0].Problems)
		r := restic.Rendered{Job: *jobs[0].Job, Timer: jobs[0].Timer}
		r.Job.Name = fmt.Sprintf("app-%d", len(out))
		out = append(out, r)
	}
	return out
}

func TestPlannedUnitsAreAccepted(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for _, r := range rendered(t) {
		digest, err := r.Digest()
		require.NoError(t, err)
		service, err := r.Job.Service(restic.UnitOptions{Stateward: "/bin/true", Plan: r.Job.PlanFile(), Digest: digest, Path: []string{"/usr/bin", "/bin"}})
		require.NoError(t, err)
		timer, err := r.Job.TimerUnit(r.Timer)
		require.NoError(t, err)
		units := map[string]string{r.Job.UnitName() + ".service": service, r.Job.UnitName() + ".timer": timer}
		if r.Job.DrillsByTimer() {
			service, timer, err := r.Job.DrillUnits(restic.UnitOptions{Stateward: "/bin/true", Plan: r.Job.PlanFile(), Path: []string{"/usr/bin", "/bin"}}, "")
			require.NoError(t, err)
			units[r.Job.DrillUnitName()+".service"], units[r.Job.DrillUnitName()+".timer"] = service, timer
		}
		for name, text := range units {
			name = filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
			names = append(names, name)
		}
	}
	require.Len(t, names, 10)
	for _, name := range restic.NotifyUnits(rendered(t)) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("[Service]\nType=oneshot\nExecStart=/bin/true\n"), 0o600))
	}
	slices.Sort(names)
	for _, analyze := range analyzers() {
		cmd := exec.Command(analyze, append([]string{"verify", "--man=no"}, names...)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), restic.UnitPrefix)
		require.NotContains(t, string(out), restic.DrillUnitPrefix)
	}
}

// stub is what NixOS makes of the options that the module sets: the text of each file and each unit, a line for each value.
const stub = `module:
let
  c = module { };
  inherit (builtins) attrNames concatMap isBool isList listToAttrs toString;
  text = v: if isBool v then (if v then "true" else "false") else toString v;
  lines = s: concatMap (n: map (v: "${n}=${text v}") (if isList s.${n} then s.${n} else [ s.${n} ])) (attrNames s);
  unit = u: lines (u.unitConfig or { } // { Description = u.description; } // (if u ? wants then { Wants = u.wants; } else { }) // (if u ? after then { After = u.after; } else { })
      // (if u ? onFailure then { OnFailure = u.onFailure; } else { }) // (if u ? onSuccess then { OnSuccess = u.onSuccess; } else { }) // (if u ? wantedBy then { WantedBy = u.wantedBy; } else { }))
    ++ lines (u.serviceConfig or { }) ++ lines (u.timerConfig or { });
  each = s: listToAttrs (map (name: { inherit name; value = unit s.${name}; }) (attrNames s));
in {
  files = listToAttrs (map (name: { inherit name; value = c.environment.etc.${name}.text; }) (attrNames c.environment.etc));
  services = each c.systemd.services;
  timers = each c.systemd.timers;
}`

func TestModulesEvaluate(t *testing.T) {
	jobs := rendered(t)
	text, err := restic.Module(jobs, "/bin/stateward", []string{"notify@%n.service"})
	require.NoError(t, err)
	type evaluated struct {
		Files            map[string]string
		Services, Timers map[string][]string
	}
	sorted := func(text string) []string {
		var out []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '[' {
				out = append(out, line)
			}
		}
		slices.Sort(out)
		return out
	}
	want := evaluated{map[string]string{}, map[string][]string{}, map[string][]string{}}
	for _, r := range jobs {
		file, err := r.Job.Write()
		require.NoError(t, err)
		want.Files[strings.TrimPrefix(r.Job.PlanFile(), "/etc/")] = string(file)
		digest, err := r.Digest()
		require.NoError(t, err)
		service, err := r.Job.Service(restic.UnitOptions{Stateward: "/bin/stateward", Plan: r.Job.PlanFile(), OnFailure: []string{"notify@%n.service"}, Digest: digest})
		require.NoError(t, err)
		want.Services[r.Job.UnitName()] = sorted(service)
		timer, err := r.Job.TimerUnit(r.Timer)
		require.NoError(t, err)
		want.Timers[r.Job.UnitName()] = sorted(timer)
		if r.Job.DrillsByTimer() {
			service, timer, err := r.Job.DrillUnits(restic.UnitOptions{Stateward: "/bin/stateward", Plan: r.Job.PlanFile(), OnFailure: []string{"notify@%n.service"}}, "")
			require.NoError(t, err)
			want.Services[r.Job.DrillUnitName()], want.Timers[r.Job.DrillUnitName()] = sorted(service), sorted(timer)
		}
	}
	stock, refused, err := restic.StockModule(jobs)
	require.NoError(t, err)
	require.Len(t, refused, 3, "%v", refused)
	drill := jobs[2]
	drill.Job.Notify = backup.Notify{}
	_, refused, err = restic.StockModule([]restic.Rendered{drill})
	require.NoError(t, err)
	require.ErrorContains(t, errors.Join(refused...), "services.restic.backups cannot have drill.every: it does no restore drill")
	require.Contains(t, text, "# `stateward notify units` has to write stateward-notify-start@.service, stateward-notify-success@.service, stateward-notify@.service.\n")
	require.Contains(t, text, "# So has sqlite")
	for _, nix := range nixtest.All(t) {
		var got evaluated
		nix.JSON(t, "("+stub+") ("+text+")", &got)
		for _, units := range []map[string][]string{got.Services, got.Timers} {
			for _, lines := range units {
				slices.Sort(lines)
			}
		}
		require.Empty(t, cmp.Diff(want, got), nix.Name)
		var names []string
		nix.JSON(t, "builtins.attrNames (("+stock+") { }).services.restic.backups", &names)
		require.Equal(t, []string{"app-0"}, names, nix.Name)
	}
}

// many is a host with n services, each with a data set of its own.
func many(n int) *stateward.Host {
	h := forge()
	var jobs []stateward.Job
	mounts := h.FileSystems.Or(nil)
	var services []stateward.Service
	for i := range n {
		name := fmt.Sprintf("app%d", i)
		j := h.Jobs.Or(nil)[0]
		j.Name, j.Service, j.Origin.Option = name, name, "s."+name
		j.Paths, j.Consistency = paths("s."+name, "/var/lib/"+name), given("quiesce", "")
		jobs = append(jobs, j)
		services = append(services, stateward.Service{Name: name, Units: []string{name + ".service"}})
		mounts = append(mounts, stateward.FileSystem{MountPoint: stateward.NewEntry("/var/lib/"+name, stateward.Directory, stateward.Origin{}), Device: given("tank/"+name, ""), FSType: given("zfs", "")})
	}
	h.Jobs, h.FileSystems, h.Services = given(jobs, ""), given(mounts, ""), given(services, "")
	return h
}

// BenchmarkPlan plans and renders 1,000 jobs, and prints what that takes against 100.
func BenchmarkPlan(b *testing.B) {
	per := map[int]float64{}
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := many(n)
			b.ResetTimer()
			for b.Loop() {
				jobs, _ := restic.Plan(h, false)
				for _, j := range jobs {
					if _, err := j.Job.Service(restic.UnitOptions{Stateward: "/bin/stateward", Plan: j.Job.PlanFile()}); err != nil {
						b.Fatal(err)
					}
				}
			}
			per[n] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if n == 1000 && per[100] > 0 {
				b.ReportMetric(per[1000]/per[100], "times-100")
			}
		})
	}
}

func TestPathsWithBlanksAreQuoted(t *testing.T) {
	h := forge(func(_ *stateward.Host, j *stateward.Job) {
		j.Paths = paths("p", "/var/lib/app", "/srv/a b")
		j.Exclude = given([]string{"*.tmp", "/srv/a b/x"}, "e")
	})
	jobs, _ := restic.Plan(h, false)
	got := map[string]string{}
	for _, s := range jobs[0].Settings {
		got[s.Name] = s.Value
	}
	require.Equal(t, `/var/lib/app "/srv/a b"`, got["paths"])
	require.Equal(t, `*.tmp "/srv/a b/x"`, got["exclude"])
}
