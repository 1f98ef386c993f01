package backup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stretchr/testify/require"
)

func known[T any](v T, option string) stateward.Value[T] {
	return stateward.Known(v, stateward.Origin{Option: option})
}

func entries(option string, paths ...string) stateward.Value[[]stateward.Entry] {
	list := []stateward.Entry{}
	for i, p := range paths {
		list = append(list, stateward.NewEntry(p, stateward.Directory, stateward.Origin{Option: fmt.Sprintf("%s[%d]", option, i)}))
	}
	return known(list, option)
}

func TestR11WhereARepositoryLies(t *testing.T) {
	for text, want := range map[string]string{
		"restic /srv/backup":                             "local /srv/backup",
		"restic local:/srv/backup":                       "local /srv/backup",
		"restic srv/backup":                              "unknown srv/backup",
		"restic sftp:backup@nas:/srv/restic":             "remote sftp:backup@nas:/srv/restic nas",
		"restic sftp://u@[fd00::1]:22//srv":              "remote sftp://u@[fd00::1]:22//srv fd00::1",
		"restic sftp:localhost:/srv":                     "loopback sftp:localhost:/srv localhost",
		"restic rest:http://127.0.0.1:8000/":             "loopback rest:http://127.0.0.1:8000/ 127.0.0.1",
		"restic rest:https://u:hunter2@nas.lan:8000/x":   "remote rest:https://u:***@nas.lan:8000/x nas.lan password",
		"restic rest:https://u@nas/":                     "remote rest:https://u@nas/ nas",
		"restic rest:https://u:p@nas":                    "remote rest:https://u:***@nas nas password",
		"restic s3:s3.amazonaws.com/bucket":              "provider s3:s3.amazonaws.com/bucket s3.amazonaws.com",
		"restic s3:https://s3.example.org/forge":         "remote s3:https://s3.example.org/forge s3.example.org",
		"restic s3:http://[::1]:9000/b":                  "loopback s3:http://[::1]:9000/b ::1",
		"restic b2:bucket:host":                          "provider b2:bucket:host",
		"restic azure:c:/":                               "provider azure:c:/",
		"restic swift:c:/":                               "remote swift:c:/",
		"restic rclone:drive:backup":                     "remote rclone:drive:backup",
		"restic rclone::local:/srv":                      "unknown rclone::local:/srv",
		"restic s3:https://$BUCKET/x":                    "unknown s3:https://$BUCKET/x $bucket",
		"borg /srv/borg":                                 "local /srv/borg",
		"borg file:///srv/borg":                          "local /srv/borg",
		"borg /srv/a:b":                                  "local /srv/a:b",
		"borg u1@u1.your-storagebox.de:borg":             "provider u1@u1.your-storagebox.de:borg u1.your-storagebox.de",
		"borg ssh://x@x.repo.borgbase.com/./repo":        "provider ssh://x@x.repo.borgbase.com/./repo x.repo.borgbase.com",
		"borg nas:backup":                                "remote nas:backup nas",
		"borg borg@localhost:/srv":                       "loopback borg@localhost:/srv localhost",
		"borg backup":                                    "unknown backup",
		"stateward sftp:nas:/x":                          "unknown sftp:nas:/x",
		"restic sftp:backup@evilamazonaws.com.lan:/srv/": "remote sftp:backup@evilamazonaws.com.lan:/srv/ evilamazonaws.com.lan",
	} {
		engine, address, _ := strings.Cut(text, " ")
		r := backup.ParseRepository(engine, address)
		got := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Where, r.Name, r.Host))
		if r.Password {
			got += " password"
		}
		require.Equal(t, want, got, text)
		require.Equal(t, r.Where == backup.WhereLocal, !r.Path.IsZero(), text)
		require.NotContains(t, fmt.Sprintf("%+v", r), "hunter2")
	}
}

func TestR10JobsAsTheyTakeEffect(t *testing.T) {
	o := stateward.Origin{Option: "services.restic.backups.daily"}
	h := &stateward.Host{Jobs: stateward.Known([]stateward.Job{
		{
			Name: "daily", Engine: "restic", Origin: o, Paths: entries(o.Option+".paths", "/srv", "/home"),
			Repository: known("sftp:nas:/srv", o.Option+".repository"), Schedule: known([]string{"daily"}, o.Option+".timerConfig.OnCalendar"),
			RandomizedDelay: known(*span(t, "4h"), ""), Prune: known([]string{"--keep-daily 7", "--keep-within=1y", "--max-unused 5%"}, o.Option+".pruneOpts"),
			PreHook: known(true, ""),
		},
		{
			Name: "x", Engine: "stateward", Asked: true, Origin: stateward.Origin{Option: "stateward.services.x.backup"},
			Paths: entries("stateward.services.x", "/var/lib/x"),
		},
		{
			Name: "b", Engine: "borg", Origin: stateward.Origin{Option: "services.borgbackup.jobs.b"}, Paths: entries("p", "/a", "b"),
			Repository: known("/srv/borg", "r"), Schedule: known([]string{"dayly"}, "services.borgbackup.jobs.b.startAt"),
			Prune: known([]string{"keep-within 1d", "keep-daily 7", "keep-weekly -1"}, "k"),
		},
		{
			Name: "c", Engine: "borg", Origin: stateward.Origin{Option: "services.borgbackup.jobs.c"}, Repository: known("/srv/borg", "r"),
			Prune: known([]string{"keep-daily many"}, "services.borgbackup.jobs.c.prune.keep"), RepositoryFile: known(stateward.FileRef{Text: "/x"}, "f"),
		},
		{
			Name: "file", Engine: "restic", Origin: stateward.Origin{Option: "f"}, RepositoryFile: known(stateward.FileRef{Text: "/run/secrets/r"}, "f.repositoryFile"),
			Schedule:        stateward.NotKnown[[]string](stateward.Unknown{Subject: "f.timerConfig.OnUnitActiveSec", Kind: stateward.UnknownForm}),
			RandomizedDelay: stateward.NotKnown[stateward.Duration](stateward.Unknown{Subject: "f.delay"}),
		},
	}, stateward.Origin{})}
	jobs, faults := backup.Jobs(h)

	var got []string
	for _, j := range jobs {
		state := func(name string, is fmt.Stringer, known bool) {
			if known {
				got = append(got, "  "+name)
			} else {
				got = append(got, "  "+name+" "+strings.SplitN(is.String(), " ", 2)[0])
			}
		}
		got = append(got, fmt.Sprintf("%s asked=%v paths=%v default=%v hook=%v", j.String(), j.Asked, j.Paths.Value, j.Paths.Default, j.PreHook.Value))
		r, ok := j.Repository.Get()
		state("repository "+r.Name, j.Repository.Value, ok)
		s, ok := j.Schedule.Get()
		state(fmt.Sprintf("schedule %v %s", s.Calendar, s.RandomizedDelay), j.Schedule.Value, ok)
		p, ok := j.Prune.Get()
		text := fmt.Sprintf("prune keep=%v within=%q others=%v", p.Keep, p.Within, p.Others)
		if p.Restic != nil {
			text += fmt.Sprintf(" restic=%v", p.Restic.Options())
		}
		state(text, j.Prune.Value, ok)
	}
	require.Empty(t, cmp.Diff([]string{
		"backup job x asked=true paths=[/var/lib/x] default=true hook=absent", "  repository  absent", "  schedule [] 0 absent", `  prune keep=map[] within="" others=[] absent`,
		`borg job b asked=false paths=unknown (p: path "b" is not absolute) default=false hook=absent`, "  repository /srv/borg", "  schedule [] 0 unknown",
		`  prune keep=map[daily:7 weekly:-1] within="1d" others=[]`,
		"borg job c asked=false paths=absent default=false hook=absent", "  repository /srv/borg", "  schedule [] 0 absent", `  prune keep=map[] within="" others=[] unknown`,
		"restic job daily asked=false paths=[/srv /home] default=false hook=true", "  repository sftp:nas:/srv", "  schedule [*-*-* 00:00:00] 4h",
		`  prune keep=map[] within="" others=[--max-unused 5%] restic=[--keep-daily=7 --keep-within=1y]`,
		"restic job file asked=false paths=absent default=false hook=absent", "  repository  unknown", "  schedule [] 0 unknown", `  prune keep=map[] within="" others=[] absent`,
	}, got))

	var bad []string
	for _, f := range faults {
		bad = append(bad, f.Origin.Option+": "+f.Error())
	}
	require.Empty(t, cmp.Diff([]string{
		`p[1]: borg job b: path "b" is not absolute`,
		`services.borgbackup.jobs.b.startAt: borg job b: ` + errOf("dayly"),
		`services.borgbackup.jobs.c.prune.keep: borg job c: borg's keep-daily is "many", which is no number`,
	}, bad))
}

func errOf(event string) string {
	_, err := backup.ParseCalendar(event, nil)
	return err.Error()
}

func TestS1SnapshotPolicies(t *testing.T) {
	settings := func(pairs ...string) map[string]stateward.Value[string] {
		m := map[string]stateward.Value[string]{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = known(pairs[i+1], pairs[i])
		}
		return m
	}
	hourly := known([]string{"hourly"}, "services.sanoid.interval")
	templates := known([]stateward.SnapshotPolicy{
		{Name: "production", Settings: settings("hourly", "36", "daily", "30", "monthly", "3", "autosnap", "true", "autoprune", "true")},
		{Name: "quiet", Settings: settings("autosnap", "false", "hourly", "0")},
		{Name: "odd", Settings: settings("minutely", "5")},
	}, "services.sanoid.templates")
	for _, tc := range []struct {
		name      string
		p         stateward.SnapshotPolicy
		templates stateward.Value[[]stateward.SnapshotPolicy]
		want      string
	}{
		{"a template", stateward.SnapshotPolicy{Templates: known([]string{"production"}, "t"), Schedule: hourly}, templates,
			"taken=[hourly daily monthly] itself=true children=false gap=1h 1min hourly=36 written daily=30"},
		{"defaults that nobody asked for", stateward.SnapshotPolicy{Schedule: hourly}, templates, "taken=[hourly daily monthly] itself=true children=false gap=1h 1min hourly=48 default daily=90"},
		{"a later template counts", stateward.SnapshotPolicy{Templates: known([]string{"production", "quiet"}, "t"), Schedule: hourly}, templates,
			"taken=[] itself=true children=false gap=any: no snapshots are taken that are kept hourly=0 written daily=30"},
		{"its own settings count most", stateward.SnapshotPolicy{Templates: known([]string{"quiet"}, "t"), Schedule: hourly, Settings: settings("autosnap", "yes", "daily", "5")}, templates,
			"taken=[daily monthly] itself=true children=false gap=1d 1min hourly=0 written daily=5"},
		{"a template named default is beneath all", stateward.SnapshotPolicy{Schedule: hourly}, known([]stateward.SnapshotPolicy{{Name: "default", Settings: settings("hourly", "7")}}, ""),
			"taken=[hourly daily monthly] itself=true children=false gap=1h 1min hourly=7 written daily=90"},
		{"S2 atomic, and without itself", stateward.SnapshotPolicy{Recursive: known("zfs", "r"), Settings: settings("process_children_only", "true"), Schedule: hourly}, templates,
			"taken=[] itself=false children=true gap=any: no snapshots are taken that are kept hourly=48 default daily=90"},
		{"R12 sanoid runs once a day", stateward.SnapshotPolicy{Schedule: known([]string{"03:30"}, "i")}, templates, "taken=[hourly daily monthly] itself=true children=false gap=1d 1min hourly=48 default daily=90"},
		{"R12 every quarter of an hour, and sanoid twice an hour", stateward.SnapshotPolicy{Schedule: known([]string{"*:0/30"}, "i"), Settings: settings("frequently", "8")}, templates,
			"taken=[frequently hourly daily monthly] itself=true children=false gap=31min hourly=48 default daily=90"},
		{"N10 no timer is seen", stateward.SnapshotPolicy{}, templates, "taken=[hourly daily monthly] itself=true children=false gap=unknown: no timer is seen that runs sanoid hourly=48 default daily=90"},
		{"no such template", stateward.SnapshotPolicy{Templates: known([]string{"prod"}, "t"), Schedule: hourly}, templates,
			`taken=unknown itself=true children=false gap=unknown: x: no template is named "prod" hourly=48 default daily=90 ! no template is named "prod"`},
		{"minutely is no key", stateward.SnapshotPolicy{Templates: known([]string{"odd"}, "t"), Schedule: hourly}, templates,
			`taken=unknown itself=true children=false gap=unknown: x: sanoid has no "minutely": what comes several times an hour is "frequently" hourly=48 default daily=90 ! sanoid has no "minutely": what comes several times an hour is "frequently"`},
		{"templates that could not be had", stateward.SnapshotPolicy{Templates: known([]string{"production"}, "t"), Schedule: hourly},
			stateward.NotKnown[[]stateward.SnapshotPolicy](stateward.Unknown{Subject: "services.sanoid.templates", Kind: stateward.UnknownThrow}),
			"taken=unknown itself=true children=false gap=unknown: x: services.sanoid.templates: throw hourly=48 default daily=90"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.p.Name, tc.p.Origin = "tank/x", stateward.Origin{Option: "x"}
			policies, faults := backup.SnapshotPolicies(&stateward.Host{Snapshots: known([]stateward.SnapshotPolicy{tc.p}, ""), SnapshotTemplates: tc.templates})
			require.Len(t, policies, 1)
			p := policies[0]
			taken := strings.SplitN(p.Taken().String(), " (", 2)[0]
			gap := p.Gap(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC)
			text := gap.String()
			if gap.State == backup.GapBounded {
				age, err := stateward.NewDuration(gap.Age)
				require.NoError(t, err)
				text = age.String()
			}
			whence := "written"
			if p.Settings["hourly"].Default {
				whence = "default"
			}
			got := fmt.Sprintf("taken=%s itself=%v children=%v gap=%s hourly=%s %s daily=%s", taken, p.Itself, p.Children, text, p.Settings["hourly"].Value, whence, p.Settings["daily"].Value)
			for _, f := range faults {
				got += " ! " + f.Err.Error()
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestS2WhatAPolicyCovers(t *testing.T) {
	p := backup.SnapshotPolicy{Dataset: "tank/a", Itself: known(true, ""), Children: known(false, "")}
	all := backup.SnapshotPolicy{Dataset: "tank/a", Itself: known(false, ""), Children: known(true, "")}
	doubt := backup.SnapshotPolicy{Dataset: "tank/a", Itself: known(true, ""), Children: stateward.NotKnown[bool](stateward.Unknown{})}
	for _, tc := range []struct {
		p    *backup.SnapshotPolicy
		name string
		want string
	}{
		{&p, "tank/a", "true true"}, {&p, "tank/a/b", "false true"}, {&p, "tank/ab", "false true"}, {&p, "tank", "false true"},
		{&all, "tank/a", "false true"}, {&all, "tank/a/b/c", "true true"}, {&doubt, "tank/a", "true true"}, {&doubt, "tank/a/b", "false false"},
	} {
		covered, known := tc.p.Covers(tc.name)
		require.Equal(t, tc.want, fmt.Sprint(covered, " ", known), tc.name)
	}
}

func TestS8Replications(t *testing.T) {
	for text, want := range map[string]string{
		"tank/a": "here tank/a tank", "root@nas:tank/a": "nas:tank/a tank", "nas:tank": "nas:tank tank", "root@localhost:tank/a": "here localhost:tank/a tank",
		"tank/a:b": "here tank/a:b tank", ":tank": `":tank" has no host before the colon`, "": `"" is no dataset`, "nas:/srv": `"nas:/srv" is no dataset`, "nas:$POOL/a": `"nas:$POOL/a" is no dataset`,
	} {
		p, err := backup.ParsePlace(text)
		got := p.String() + " " + p.Pool()
		if p.Here() {
			got = "here " + got
		}
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, want, got, text)
	}

	rs, faults := backup.Replications(&stateward.Host{Replications: known([]stateward.Replication{
		{Name: "b", Source: known("tank/b", "s"), Target: known("nas:tank/b", "t"), Recursive: known(false, ""), ExtraArgs: known([]string{"--no-sync-snap", "-r --create-bookmark"}, "e"), Schedule: known([]string{"hourly"}, "i")},
		{Name: "a", Source: known("tank/a", "s"), Target: known("/mnt", "t")},
	}, "")})
	require.Len(t, rs, 2)
	require.Equal(t, "replication a false false absent", fmt.Sprintf("%s %v %v %v", rs[0].String(), rs[0].Recursive, rs[0].NoSyncSnap, rs[0].Schedule))
	require.True(t, rs[0].Target.IsUnknown())
	require.Equal(t, "nas:tank/b true true true true", fmt.Sprint(rs[1].Target, " ", rs[1].Recursive, " ", rs[1].NoSyncSnap, " ", rs[1].Kept, " ", rs[1].Schedule.IsKnown()))
	require.Len(t, faults, 1)
	require.Equal(t, `replication a: "/mnt" is no dataset`, faults[0].Error())
}

func repositories() stateward.Value[[]stateward.BackupRepository] {
	return stateward.Known([]stateward.BackupRepository{
		{Name: "nas", URL: known("sftp:backup@nas:/srv", "r.nas.url"), PasswordFile: known(stateward.FileRef{Text: "/p"}, "r.nas.passwordFile"), Primary: known(true, "r.nas.primary")},
		{Name: "offsite", URLFile: known(stateward.FileRef{Text: "/url"}, "r.offsite.urlFile"), PasswordFile: known(stateward.FileRef{Text: "/q"}, "r.offsite.passwordFile"),
			EnvironmentFile: known(stateward.FileRef{Text: "/e"}, "r.offsite.environmentFile")},
	}, stateward.Origin{})
}

func asked(name string, change func(*stateward.Job)) stateward.Job {
	j := stateward.Job{Name: name, Engine: "stateward", Asked: true, Service: name, Origin: stateward.Origin{Option: "stateward.services." + name + ".backup"}, Paths: entries("p", "/var/lib/"+name)}
	if change != nil {
		change(&j)
	}
	return j
}

func TestR10OneJobForEachRepository(t *testing.T) {
	for name, c := range map[string]struct {
		job    stateward.Job
		change func(*stateward.Host)
		// want is of each job its name, where it goes to, and its password file; then the faults.
		want []string
	}{
		"none is named": {job: asked("a", nil), want: []string{"a nas true sftp:backup@nas:/srv /p"}},
		"one that is not primary": {job: asked("a", func(j *stateward.Job) { j.Targets = known([]string{"offsite"}, "a.repository") }),
			want: []string{"a-offsite offsite false unknown /q"}},
		"both, each once": {job: asked("a", func(j *stateward.Job) { j.Targets = known([]string{"offsite", "nas", "offsite"}, "a.repositories") }),
			want: []string{"a nas false sftp:backup@nas:/srv /p", "a-offsite offsite false unknown /q"}},
		"a password file of its own": {job: asked("a", func(j *stateward.Job) { j.PasswordFile = known(stateward.FileRef{Text: "/own"}, "a.passwordFile") }),
			want: []string{"a nas true sftp:backup@nas:/srv /own"}},
		"an address of its own": {job: asked("a", func(j *stateward.Job) { j.Repository = known("/srv/x", "a.repository") }), want: []string{"a  false /srv/x "}},
		"one that runs already": {job: asked("a", func(j *stateward.Job) { j.Asked = false }), want: []string{"a  false absent "}},
		"a wrong name": {job: asked("a", func(j *stateward.Job) { j.Targets = known([]string{"ofsite"}, "a.repositories") }),
			want: []string{"a  false unknown ", `a.repositories: backup job a: no repository is named "ofsite" | write "offsite"`}},
		"no name": {job: asked("a", func(j *stateward.Job) { j.Targets = known([]string{}, "a.repositories") }),
			want: []string{"a  false unknown ", "a.repositories: backup job a: names no repository | leave repositories out for the primary one"}},
		"none is primary": {job: asked("a", nil), change: func(h *stateward.Host) { h.BackupRepositories.Or(nil)[0].Primary = stateward.Value[bool]{} },
			want: []string{"a  false unknown ", "stateward.services.a.backup: backup job a: names no repository, and none of nas, offsite is primary | stateward.backup.repositories.nas.primary = true; or name the repositories of the job"}},
		"two are primary": {job: asked("a", nil), change: func(h *stateward.Host) { h.BackupRepositories.Or(nil)[1].Primary = known(true, "x") },
			want: []string{"a  false unknown ", "stateward.services.a.backup: backup job a: repositories nas, offsite are all primary | leave primary = true to one of them"}},
		"the only one is primary": {job: asked("a", nil), change: func(h *stateward.Host) {
			h.BackupRepositories = known(h.BackupRepositories.Or(nil)[1:], "")
		}, want: []string{"a offsite true unknown /q"}},
		"there is none": {job: asked("a", nil), change: func(h *stateward.Host) { h.BackupRepositories = stateward.Value[[]stateward.BackupRepository]{} },
			want: []string{"a  false absent "}},
		"they are unknown": {job: asked("a", nil), change: func(h *stateward.Host) {
			h.BackupRepositories = stateward.NotKnown[[]stateward.BackupRepository](stateward.Unknown{Subject: "stateward.backup", Kind: stateward.UnknownThrow})
		}, want: []string{"a  false unknown "}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &stateward.Host{Jobs: known([]stateward.Job{c.job}, ""), BackupRepositories: repositories()}
			if c.change != nil {
				c.change(h)
			}
			jobs, faults := backup.Jobs(h)
			var got []string
			for i, j := range jobs {
				where := strings.SplitN(j.Repository.Value.String(), " ", 2)[0]
				if r, ok := j.Repository.Get(); ok {
					where = r.Name
				}
				got = append(got, fmt.Sprintf("%s %s %v %s %s", j.Name, j.Target, j.Repository.Default, where, j.Secret.Or(stateward.FileRef{}).Text))
				for _, raw := range backup.RawJobs(h) {
					if raw.Name == j.Name {
						require.Equal(t, j.Secret.Or(stateward.FileRef{}), raw.PasswordFile.Or(stateward.FileRef{}), i)
					}
				}
			}
			for _, f := range faults {
				line := f.Origin.Option + ": " + f.Error()
				if h, ok := f.Err.(interface{ Hint() string }); ok {
					line += " | " + h.Hint()
				}
				got = append(got, line)
			}
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

func TestR10DefaultsOfTheHost(t *testing.T) {
	d := &stateward.Job{
		Schedule: known([]string{"daily"}, "d.schedule"), Prune: known([]string{"--keep-daily 7"}, "d.prune"), Exclude: known([]string{"*.tmp"}, "d.exclude"),
		Settings: map[string]stateward.Value[string]{"checkSubset": known("1%", "d.checkSubset"), "limits.memory": known("2G", "d.limits.memory")},
	}
	own := asked("a", func(j *stateward.Job) {
		j.Exclude = known([]string{"/x"}, "a.exclude")
		j.Settings = map[string]stateward.Value[string]{"limits.memory": known("1G", "a.limits.memory")}
	})
	stock := stateward.Job{Name: "s", Engine: "restic", Origin: stateward.Origin{Option: "services.restic.backups.s"}}
	jobs, faults := backup.Jobs(&stateward.Host{Jobs: known([]stateward.Job{own, stock}, ""), BackupDefaults: d, BackupRepositories: repositories()})
	require.Empty(t, faults)
	a, s := jobs[0], jobs[1]
	from := func(o stateward.Origin, isDefault bool) string { return fmt.Sprintf("%s %v", o.Option, isDefault) }
	require.Equal(t, "d.schedule true", from(a.Events.Origin(), a.Events.Default))
	require.Equal(t, "d.prune true", from(a.Prune.Origin(), a.Prune.Default))
	require.Equal(t, "a.exclude false", from(a.Exclude.Origin(), a.Exclude.Default))
	require.Equal(t, "d.checkSubset true", from(a.Settings["checkSubset"].Origin(), a.Settings["checkSubset"].Default))
	require.Equal(t, "a.limits.memory false", from(a.Settings["limits.memory"].Origin(), a.Settings["limits.memory"].Default))
	require.True(t, s.Schedule.IsAbsent() && s.Exclude.IsAbsent() && s.Repository.IsAbsent(), "what something else runs has its own settings only")
}

func TestR9HowAJobIsConsistent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stateward.Job)
		want   string
		fault  string
	}{
		"nothing is said":   {nil, "live [] true", ""},
		"units are stopped": {func(j *stateward.Job) { j.StopUnits = known([]string{"a", "b.timer"}, "") }, "quiesce [a.service b.timer] true", ""},
		"a dump":            {func(j *stateward.Job) { j.DumpCommand = known("x", "") }, "dump [] true", ""},
		"its own units":     {func(j *stateward.Job) { j.Consistency = known("quiesce", "") }, "quiesce [own.service] false", ""},
		"no units": {func(j *stateward.Job) { j.Consistency, j.Service = known("quiesce", ""), "other" }, "quiesce [] false",
			"backup job a: consistency is quiesce, and no unit is named that is to be stopped"},
		"no dump": {func(j *stateward.Job) { j.Consistency = known("dump", "") }, "dump [] false", "backup job a: consistency is dump, and there is no dump.command"},
		"live, and units": {func(j *stateward.Job) { j.Consistency, j.StopUnits = known("live", ""), known([]string{"a"}, "") }, "live [a.service] false",
			"backup job a: has units, and consistency is live"},
		"a wrong word": {func(j *stateward.Job) { j.Consistency = known("snapshots", "") }, " [] false", `backup job a: consistency is "snapshots"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := &stateward.Host{Jobs: known([]stateward.Job{asked("a", c.change)}, ""), Services: known([]stateward.Service{{Name: "a", Units: []string{"own.service"}}}, "")}
			jobs, faults := backup.Jobs(h)
			require.Equal(t, c.want, fmt.Sprintf("%s %v %v", jobs[0].Consistency.Or(""), jobs[0].StopUnits.Or(nil), jobs[0].Consistency.Default))
			if c.fault == "" {
				require.Empty(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.Equal(t, c.fault, faults[0].Error())
		})
	}
}

// A misspelt option is refused by restic and borg alike, and what is kept by the others is never come to.
func TestR4OptionThatAnEngineDoesNotHave(t *testing.T) {
	for _, tc := range []struct {
		engine      string
		options     []string
		fault, hint string
	}{
		{"restic", []string{"--keep-daily 7", "--keep-monthy 12"}, "restic has no option --keep-monthy", `write "--keep-monthly"`},
		{"restic", []string{"--keep-monthy=12"}, "restic has no option --keep-monthy", `write "--keep-monthly"`},
		{"borg", []string{"keep-daily 7", "keep-dayly 7"}, "borg has no option --keep-dayly", `write "--keep-daily"`},
		{"borg", []string{"keep-everything 7"}, "borg has no option --keep-everything",
			"there is --keep-within, --keep-last, --keep-secondly, --keep-minutely, --keep-hourly, --keep-daily, --keep-weekly, --keep-monthly, --keep-13weekly, --keep-3monthly, --keep-yearly"},
	} {
		jobs, faults := backup.Jobs(&stateward.Host{Jobs: stateward.Known([]stateward.Job{{Name: "a", Engine: tc.engine, Prune: known(tc.options, "p")}}, stateward.Origin{})})
		require.Len(t, faults, 1)
		require.EqualError(t, faults[0].Err, tc.fault)
		var h interface{ Hint() string }
		require.ErrorAs(t, faults[0].Err, &h)
		require.Equal(t, tc.hint, h.Hint())
		require.True(t, jobs[0].Prune.IsUnknown())
	}
}
