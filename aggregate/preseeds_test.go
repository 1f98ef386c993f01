package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/pitr"
	zfs "github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/preseed"
)

// restoring is a unit that restores data.
func restoring(name string, change ...func(*stateward.Unit)) part {
	return unitWith(name, func(u *stateward.Unit) {
		u.Type, u.Executes = known("oneshot"), known(true)
		for _, c := range change {
			c(u)
		}
	})
}

func needs(how string, units ...string) func(*stateward.Unit) {
	return func(u *stateward.Unit) {
		v := known(units)
		switch how {
		case "wants":
			u.Wants = v
		case "requires":
			u.Requires = v
		case "after":
			u.After = v
		case "before":
			u.Before = v
		case "bindsTo":
			u.BindsTo = v
		case "requiredBy":
			u.RequiredBy = v
		}
	}
}

func all(changes ...func(*stateward.Unit)) func(*stateward.Unit) {
	return func(u *stateward.Unit) {
		for _, c := range changes {
			c(u)
		}
	}
}

func TestSW401(t *testing.T) {
	require.Empty(t, said(host(), "SW401"))
	const p = "preseed-app.service"
	wanted := []string{"warning systemd.services.app: preseed of app is wanted and not required: where the restore fails, the service starts on an empty dataset"}
	nothing := []string{"warning systemd.services.app: preseed of app is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}
	app := func(changes ...func(*stateward.Unit)) part { return unitWith("app", all(changes...)) }
	checkCases(t, "SW401", []copyCase{
		{"E9 wanted only", []part{restoring("preseed-app"), app(needs("wants", p), needs("after", p))}, wanted},
		{"E9 wanted by a unit of another name", []part{restoring("preseed-app"), unitWith("web", all(needs("wants", p), needs("after", p)))},
			[]string{"warning systemd.services.web: preseed of web is wanted and not required: where the restore fails, the service starts on an empty dataset"}},
		{"E9 ordered only", []part{restoring("preseed-app"), app(needs("after", p))}, nothing},
		{"E9 named in before only", []part{restoring("preseed-app", needs("before", "web.service")), unitWith("web", nil)},
			[]string{"warning systemd.services.web: preseed of web is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}},
		{"E9 of a container", []part{restoring("preseed-app"), unitWith("podman-app", nil)},
			[]string{"warning systemd.services.podman-app: preseed of podman-app is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}},
		{"E9 required without an order", []part{restoring("preseed-app"), app(needs("requires", p))},
			[]string{"warning systemd.services.app: preseed of app is required and not waited for: both start at the same time, and what is written meanwhile meets what is restored"}},
		{"E9 ours", []part{restoring("stateward-preseed-app"), app(needs("wants", "stateward-preseed-app.service"))}, wanted},
		{"E9 several are one finding", []part{restoring("preseed-a"), restoring("preseed-b"), unitWith("a", needs("wants", "preseed-a.service")), unitWith("b", needs("wants", "preseed-b.service"))},
			[]string{"warning systemd.services.a: preseed of a, b is wanted and not required: where the restore fails, the service starts on an empty dataset"}},
		{"E9 required and waited for", []part{restoring("preseed-app"), app(needs("requires", p), needs("after", p))}, nil},
		{"E9 the order is in before", []part{restoring("preseed-app", needs("before", "app.service")), app(needs("requires", p))}, nil},
		{"E9 bound to", []part{restoring("preseed-app"), app(needs("bindsTo", p), needs("after", p))}, nil},
		{"E9 by way of another", []part{restoring("preseed-app"), unitWith("migrate", all(needs("requires", p), needs("after", p))), app(needs("wants", p), func(u *stateward.Unit) {
			u.Requires, u.After = known([]string{"migrate.service"}), known([]string{"migrate.service"})
		})}, nil},
		{"E9 required by its own word", []part{restoring("preseed-app", needs("requiredBy", "app.service"), needs("before", "app.service")), app()}, nil},
		{"E9 what could not be had is no fault", []part{restoring("preseed-app"), app(needs("wants", p), func(u *stateward.Unit) { u.Requires = unknown[[]string]("x") })}, nil},
		{"another's unit is none of its", []part{restoring("preseed-app"), unitWith("report", needs("after", p))}, nil},
		{"a service off", []part{restoring("preseed-app"), app(func(u *stateward.Unit) { u.Enable = known(false) }, needs("wants", p))}, nil},
		{"a preseed off", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Enable = known(false) }), app(needs("after", p))}, nil},
		{"something that goes on running", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Type = known("simple") }), app(needs("wants", p))}, nil},
		{"settings of a program", []part{restoring("incus-preseed"), unitWith("incus", needs("wants", "incus-preseed.service"))}, nil},
		{"instances", []part{restoring("preseed-@"), unitWith("app", needs("wants", "preseed-@.service"))}, nil},
	})
}

func TestSW402(t *testing.T) {
	require.Empty(t, said(host(), "SW402"))
	const p = "preseed-app.service"
	checkCases(t, "SW402", []copyCase{
		{"E9 required and not there", []part{unitWith("app", needs("requires", p))}, []string{"warning systemd.services.app: preseed of app is required, and keeps it from starting for ever: preseed-app.service is not there"}},
		{"E9 wanted and not there", []part{unitWith("app", all(needs("wants", p), needs("after", p)))}, []string{"warning systemd.services.app: preseed of app is wanted, and it starts without: preseed-app.service is not there"}},
		{"E9 only after, and not there", []part{unitWith("app", needs("after", "stateward-preseed-app.service"))}, []string{"warning systemd.services.app: preseed of app comes before it, which orders nothing: stateward-preseed-app.service is not there"}},
		{"E9 switched off", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Enable = known(false) }), unitWith("app", needs("wants", p))},
			[]string{"warning systemd.services.app: preseed of app is wanted, and it starts without: preseed-app.service is switched off"}},
		{"E9 the words in the other order", []part{restoring("preseed-app"), unitWith("app", needs("wants", "app-preseed.service"))},
			[]string{"warning systemd.services.app: preseed of app is wanted, and it starts without: app-preseed.service is not there"}},
		{"E9 nothing to execute", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Executes = known(false) })},
			[]string{"warning systemd.services.preseed-app: preseed-app.service has nothing to execute: systemd refuses it, and nothing is restored"}},
		{"E9 sound", []part{restoring("preseed-app"), unitWith("app", all(needs("requires", p), needs("after", p)))}, nil},
		{"E9 whether it runs something is not known", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Executes = unknown[bool]("x") })}, nil},
		{"E9 a service off", []part{unitWith("app", all(needs("requires", p), func(u *stateward.Unit) { u.Enable = known(false) }))}, nil},
		{"E9 units that could not be had", []part{func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("x") }}, nil},
		{"settings of lxd and incus", []part{unitWith("app", needs("after", "incus-preseed.service", "lxd-preseed.service"))}, nil},
		{"a specifier", []part{unitWith("app", needs("after", "preseed-%i.service", "preseed@x.service"))}, nil},
	})
}

// seeded is a service with a dataset of its own, a backup that is asked for, and a preseed.
func seeded(change func(*stateward.Host, *stateward.Service)) part {
	return func(h *stateward.Host) {
		s := contract("app", "/var/lib/app")
		s.Units = []string{"app.service"}
		s.Dataset = &stateward.Dataset{Name: "data/app", MountPoint: known("/var/lib/app"), Properties: map[string]stateward.Value[string]{}, Origin: at("d")}
		s.Preseed = &stateward.Preseed{Enable: known(true), Origin: at("p")}
		push(&h.Units, stateward.Unit{Name: "app.service", Enable: known(true)})
		if change != nil {
			change(h, &s)
		}
		push(&h.Datasets, *s.Dataset)
		services(s)(h)
	}
}

func ofPreseed(change func(*stateward.Preseed)) part {
	return seeded(func(_ *stateward.Host, s *stateward.Service) { change(s.Preseed) })
}

// backed is the backup that a service asks for.
func backed(h *stateward.Host, paths ...string) {
	j := stateward.Job{Name: "app", Engine: "restic", Asked: true, Service: "app", Repository: known("sftp:nas:/r"), PasswordFile: known(stateward.FileRef{Text: "/p"}), Schedule: known([]string{"daily"}), Origin: at("b")}
	for _, p := range paths {
		push(&j.Paths, stateward.NewEntry(p, stateward.Directory, at("b")))
	}
	push(&h.Jobs, j)
}

func TestChecksOfPreseeds(t *testing.T) {
	whole := func(change func(*stateward.Preseed)) part {
		return seeded(func(h *stateward.Host, s *stateward.Service) {
			backed(h, "/var/lib/app")
			change(s.Preseed)
		})
	}
	nothing := func(*stateward.Preseed) {}
	for _, c := range []struct {
		name, code string
		host       part
		fires      bool
	}{
		{"E7 an empty list", "SW403", ofPreseed(func(p *stateward.Preseed) { p.Sources = known([]string{}) }), true},
		{"E7 no job", "SW403", ofPreseed(func(p *stateward.Preseed) { p.Sources = known([]string{"restic"}) }), true},
		{"E7 no replication", "SW403", ofPreseed(func(p *stateward.Preseed) { p.Sources = known([]string{"local", "replica"}) }), true},
		{"E7 the job is there", "SW403", whole(func(p *stateward.Preseed) { p.Sources = known([]string{"restic"}) }), false},
		{"E7 no list, and nothing to restore from", "SW403", ofPreseed(nothing), true},
		{"E7 its own snapshots only, and there are none", "SW403", ofPreseed(func(p *stateward.Preseed) { p.Sources = known([]string{"local"}) }), true},
		{"E7 no list, and it may start empty", "SW403", ofPreseed(func(p *stateward.Preseed) { p.OnNoBackup, p.Reason = known("start-empty"), known("a cache") }), false},
		{"E7 no list, and snapshots", "SW403", seeded(func(h *stateward.Host, _ *stateward.Service) { sanoid("data", "yes", "autosnap=yes", "hourly=24")(h) }), false},
		{"E7 no list, and a replication", "SW403", seeded(func(h *stateward.Host, _ *stateward.Service) { syncoid("data/app", "u@nas:backup/app", false)(h) }), false},
		{"E7 no list, and a job", "SW403", whole(nothing), false},
		{"R2 paths that the job lacks", "SW404", seeded(func(h *stateward.Host, s *stateward.Service) {
			backed(h, "/var/lib/app/db")
			s.Preseed.Sources = known([]string{"local", "restic"})
			s.Preseed.Paths = known([]string{"media"})
		}), true},
		{"R2 a part", "SW404", seeded(func(h *stateward.Host, s *stateward.Service) {
			s.Preseed.Sources = known([]string{"local", "restic"})
			backed(h, "/var/lib/app/db")
		}), true},
		{"R2 paths that the job has", "SW404", seeded(func(h *stateward.Host, s *stateward.Service) {
			backed(h, "/var/lib/app/db")
			s.Preseed.Sources = known([]string{"local", "restic"})
			s.Preseed.Paths = known([]string{"db"})
		}), false},
		{"R2 all of it", "SW404", whole(nothing), false},
		{"E3 declared", "SW405", seeded(func(_ *stateward.Host, s *stateward.Service) { s.Dataset.Properties["stateward:preseed"] = known("1") }), true},
		{"E3 another's", "SW405", seeded(func(_ *stateward.Host, s *stateward.Service) {
			s.Dataset.Properties["local:preseed_complete"] = known("yes")
		}), true},
		{"E3 none", "SW405", seeded(func(_ *stateward.Host, s *stateward.Service) { s.Dataset.Properties["local:note"] = known("yes") }), false},
		{"E7 no reason", "SW406", ofPreseed(func(p *stateward.Preseed) { p.OnNoBackup = known("start-empty") }), true},
		{"E7 blanks", "SW406", ofPreseed(func(p *stateward.Preseed) { p.OnNoBackup, p.Reason = known("start-empty"), known(" ") }), true},
		{"E7 a reason", "SW406", ofPreseed(func(p *stateward.Preseed) { p.OnNoBackup, p.Reason = known("start-empty"), known("a cache") }), false},
		{"E7 refuses", "SW406", ofPreseed(func(p *stateward.Preseed) { p.OnNoBackup = known("refuse") }), false},
		{"R12 younger than its schedule", "SW408", whole(func(p *stateward.Preseed) { p.MaxAge = span("12h") }), true},
		{"R12 older", "SW408", whole(func(p *stateward.Preseed) { p.MaxAge = span("30d") }), false},
		{"R12 nothing is said", "SW408", whole(nothing), false},
		{"E9 nothing runs it", "SW409", ofPreseed(nothing), true},
		{"E9 of something else", "SW409", seeded(func(h *stateward.Host, _ *stateward.Service) {
			push(&h.Units, stateward.Unit{Name: "stateward-preseed-app.service", Enable: known(true), Job: known("x")})
		}), true},
		{"E9 by hand, under another spelling", "SW409", seeded(func(h *stateward.Host, _ *stateward.Service) { restoring("preseed-a-pp")(h) }), false},
		{"E9 off", "SW409", ofPreseed(func(p *stateward.Preseed) { p.Enable = known(false) }), false},
		{"E9 units that could not be had", "SW409", seeded(func(h *stateward.Host, _ *stateward.Service) { h.Units = unknown[[]stateward.Unit]("x") }), false},
		{"S6 recursive", "SW410", seeded(func(h *stateward.Host, _ *stateward.Service) { sanoid("data", "yes", "autosnap=yes", "hourly=24")(h) }), true},
		{"S6 the service's only", "SW410", seeded(func(h *stateward.Host, _ *stateward.Service) {
			sanoid("data/app", "no", "autosnap=yes", "hourly=24")(h)
		}), false},
	} {
		t.Run(c.code+" "+c.name, func(t *testing.T) {
			require.Equal(t, c.fires, len(said(host(c.host), c.code)) > 0)
		})
	}
}

func TestSW411(t *testing.T) {
	require.Empty(t, said(host(), "SW411"))
	job := func(maxAge string, change func(*stateward.Job), prune ...string) part {
		return seeded(func(h *stateward.Host, s *stateward.Service) {
			backed(h, "/var/lib/app")
			j := &h.Jobs.Or(nil)[0]
			j.Prune = known(prune)
			if change != nil {
				change(j)
			}
			if maxAge != "" {
				s.Preseed.MaxAge = span(maxAge)
			}
		})
	}
	sent := func(target string, args ...string) part {
		return func(h *stateward.Host) {
			syncoid("data/app", target, false, args...)(h)
			sanoid("data/app", "no", "autosnap=yes", "autoprune=yes", "hourly=24", "daily=3", "monthly=0")(h)
			seeded(func(_ *stateward.Host, s *stateward.Service) { s.Preseed.MaxAge = span("30d") })(h)
		}
	}
	const subject = " stateward.services.app.protection.rpo: preseed of app takes what is up to 4w 2d old, and "
	const fault = ": once a fault was there for so long, every copy has it"
	hourly := func(j *stateward.Job) { j.Schedule = known([]string{"hourly"}) }
	for _, c := range []struct {
		name string
		host part
		want []string
	}{
		{"E7 three days", job("30d", nil, "--keep-daily 3"), []string{"info" + subject + "restic job app keeps nothing older than 2d" + fault}},
		{"E7 seven of every hour", job("30d", hourly, "--keep-last 7"), []string{"info" + subject + "restic job app keeps nothing older than 6h" + fault}},
		{"E7 what is empty is backed up", job("30d", func(j *stateward.Job) { j.AllowEmpty = known([]string{"/var/lib/app"}) }, "--keep-daily 3"),
			[]string{"warning" + subject + "restic job app keeps nothing older than 2d" + fault}},
		{"E7 one copy", job("", nil, "--keep-last 1"), []string{"warning p: preseed of app: restic job app keeps one copy, and one run after a fault that is the broken one"}},
		{"E7 one of a day", job("", hourly, "--keep-daily 1"), []string{"warning p: preseed of app: restic job app keeps one copy, and one run after a fault that is the broken one"}},
		{"E7 the replica mirrors its source", sent("u@nas:backup/app", "--delete-target-snapshots"), []string{"warning" + subject + "the snapshot policy of data/app keeps nothing older than 3d" + fault}},
		{"no age is named", job("", nil, "--keep-daily 3"), nil},
		{"as far as half of it", job("30d", nil, "--keep-daily 16"), nil},
		{"weeks", job("30d", nil, "--keep-daily 7", "--keep-weekly 4"), nil},
		{"a span", job("30d", nil, "--keep-within 30d"), nil},
		{"a year", job("30d", nil, "--keep-last 3", "--keep-yearly 2"), nil},
		{"nothing is forgotten", job("30d", nil), nil},
		{"by tags", job("30d", nil, "--keep-tag good"), nil},
		{"no schedule is known", job("30d", func(j *stateward.Job) { j.Schedule = unknown[[]string]("x") }, "--keep-daily 3"), nil},
		{"another host prunes the replica", sent("u@nas:backup/app"), nil},
		{"a replica beside it keeps all", func(h *stateward.Host) {
			syncoid("data/app", "u@nas:backup/app", false)(h)
			job("30d", nil, "--keep-daily 3")(h)
		}, nil},
		{"a replica on another pool that nothing prunes", sent("other/app"), nil},
		{"local snapshots are no copy", ofPreseed(func(p *stateward.Preseed) { p.MaxAge = span("30d") }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, said(host(c.host), "SW411"))
		})
	}
	pruned := host(sent("other/app"), sanoid("other/app", "no", "autosnap=no", "autoprune=yes", "hourly=0", "daily=2", "monthly=0", "weekly=0", "yearly=0", "frequently=0"))
	require.Equal(t, []string{"warning" + subject + "the snapshot policy of other/app keeps nothing older than 2d" + fault}, said(pruned, "SW411"))
}

func TestSW412(t *testing.T) {
	declared := host(ofPreseed(func(*stateward.Preseed) {}))
	const other = "warning d: dataset data/app %s: what asks for that alone takes it for restored while it is empty"
	const ours = "info d: dataset data/app %s: the preseed of app does not count it, and asks its sources where the dataset is empty"
	for _, c := range []struct {
		name, property string
		state          zfs.PropertyState
		want           string
	}{
		{"E3 another's is inherited", "local:preseed_complete", zfs.PropertyState{Value: "yes", Source: zfs.Inherited, From: zfs.MustName("data")}, fmt.Sprintf(other, "inherits local:preseed_complete from data")},
		{"E3 another's came along", "local:preseed_complete", zfs.PropertyState{Value: "yes", Source: zfs.Received}, fmt.Sprintf(other, "has local:preseed_complete as zfs receive brought it")},
		{"E3 ours is inherited", preseed.MarkerProperty, zfs.PropertyState{Value: "8 restored", Source: zfs.Inherited, From: zfs.MustName("data")}, fmt.Sprintf(ours, "inherits stateward:preseed from data")},
		{"E3 ours came along", preseed.MarkerProperty, zfs.PropertyState{Value: "9 restored", Source: zfs.Received}, fmt.Sprintf(ours, "has stateward:preseed as zfs receive brought it")},
		{"E3 ours is of another", preseed.MarkerProperty, zfs.PropertyState{Value: "8 restored", Source: zfs.Local}, fmt.Sprintf(ours, "has stateward:preseed with the guid of another dataset")},
		{"E3 ours is its own", preseed.MarkerProperty, zfs.PropertyState{Value: "9 restored", Source: zfs.Local}, ""},
		{"another's is its own", "local:preseed_complete", zfs.PropertyState{Value: "yes", Source: zfs.Local}, ""},
		{"it says no", "local:preseed_complete", zfs.PropertyState{Value: "no", Source: zfs.Received}, ""},
		{"another property", "local:note", zfs.PropertyState{Value: "yes", Source: zfs.Inherited}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := &zfs.Observed{ZFS: "2.3.9"}
			seen.Datasets = []zfs.State{{Name: zfs.MustName("data"), Type: zfs.Filesystem, GUID: "8"},
				{Name: zfs.MustName("data/app"), Type: zfs.Filesystem, GUID: "9", Properties: map[string]zfs.PropertyState{c.property: c.state}},
				{Name: zfs.MustName("data/app/of-nobody"), Type: zfs.Filesystem, GUID: "10", Properties: map[string]zfs.PropertyState{c.property: {Value: "yes", Source: zfs.Inherited}}}}
			got := ""
			for _, d := range aggregate.Lint(aggregate.Input{Host: declared, Observed: &aggregate.Observed{Pools: seen}}).Findings {
				require.NotContains(t, []string{"SW121", "SW122", "SW123"}, d.Code)
				if d.Code == "SW412" {
					got += fmt.Sprintf("%s %s: %s", d.Severity, d.Subject, d.Message)
				}
			}
			require.Equal(t, c.want, got)
		})
	}
	require.Empty(t, said(declared, "SW412"))
}

func TestSW407(t *testing.T) {
	require.Empty(t, said(host(), "SW407"))
	for timeout, fires := range map[string]bool{"1h": true, "3h": false} {
		h := host(seeded(func(h *stateward.Host, s *stateward.Service) {
			backed(h, "/var/lib/app")
			s.Preseed.Timeout = span(timeout)
		}))
		found := false
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Drills: &aggregate.Drills{Records: []drill.Record{
			{Job: "app", Host: "forge", Verdict: drill.Passed, Restored: drill.Restored{Seconds: 7200, Whole: true}},
		}}}).Findings {
			found = found || d.Code == "SW407"
		}
		require.Equal(t, fires, found, timeout)
	}
}

// rebuilt is the answer for the data of the service.
func rebuilt(h *stateward.Host) stateward.TierResult {
	for _, r := range aggregate.Survival(h) {
		if r.Service == "app" {
			return r.Tiers[stateward.TierRebuild]
		}
	}
	return stateward.TierResult{}
}

func TestRebuild(t *testing.T) {
	runs := func(list ...part) *stateward.Host {
		h := host(list...)
		planned, _ := preseed.FromHost(h, false)
		require.NotNil(t, planned[0].Plan, "%+v", planned[0].Faults)
		digest, err := planned[0].Plan.Digest()
		require.NoError(t, err)
		units := h.Units.Or(nil)
		for i := range units {
			if units[i].Name == "app.service" {
				units[i].Requires, units[i].After = known([]string{"stateward-preseed-app.service"}), known([]string{"stateward-preseed-app.service"})
			}
		}
		h.Units = known(append(units, stateward.Unit{Name: "stateward-preseed-app.service", Enable: known(true), Job: known(digest)}))
		return h
	}
	require.Equal(t, stateward.SurvivalUnknown, rebuilt(host(ofPreseed(func(*stateward.Preseed) {}))).State, "only asked for")
	local := rebuilt(runs(ofPreseed(func(*stateward.Preseed) {})))
	require.Equal(t, stateward.TierResult{State: stateward.SurvivalNo, By: "it is restored of its own snapshots only, which die with the disk"}, local)
	sent := rebuilt(runs(syncoid("data/app", "u@nas:backup/app", false), ofPreseed(func(*stateward.Preseed) {})))
	require.Equal(t, stateward.SurvivalYes, sent.State, sent.By)
	require.NotEmpty(t, sent.RPO)
	// The archive of a cluster counts where it is made.
	archived := func(dir string, units bool) stateward.TierResult {
		return rebuilt(runs(server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min"),
			asksPITR(stateward.PITRPolicy{Destination: known("s3://b/pg"), Server: known("main"), Compression: known("gzip"), Schedule: known([]string{"daily"}), ArchiveTimeout: span("5min"),
				Cluster: stateward.PITRCluster{DataDir: known(dir), User: known("postgres"), Unit: known("app.service")}}),
			ofPreseed(func(p *stateward.Preseed) { p.Sources = known([]string{"local", "pitr"}) }),
			func(h *stateward.Host) {
				list, _ := pitr.FromHost(h, nil)
				require.NotNil(t, list[0].Policy, "%+v", list[0].Faults)
				digest, err := list[0].Policy.Digest()
				require.NoError(t, err)
				if units {
					push(&h.Units, stateward.Unit{Name: "stateward-pitr-backup-postgresql.service", Enable: known(true), Job: known(digest)})
					push(&h.Timers, stateward.Timer{Name: "stateward-pitr-backup-postgresql.timer", Enable: known(true)})
				}
			}))
	}
	require.Equal(t, stateward.TierResult{State: stateward.SurvivalYes, By: "stateward-preseed-app.service, from the archive of postgresql", RPO: "5min"}, archived("/var/lib/app", true))
	require.Equal(t, stateward.TierResult{State: stateward.SurvivalUnknown, By: "of it /var/lib/app/17 is archived, and nothing that lies beside that"}, archived("/var/lib/app/17", true))
	require.Equal(t, stateward.SurvivalUnknown, archived("/var/lib/app", false).State)
	made := rebuilt(runs(syncoid("data/app", "u@nas:backup/app", false), ofPreseed(func(*stateward.Preseed) {}), func(h *stateward.Host) {
		h.Tmpfiles = known([]stateward.TmpfilesRule{{Type: "C", At: stateward.NewEntry("/var/lib/app/conf", stateward.File, at("t")), Argument: known("/etc/conf"), Origin: at("t")}})
	}))
	require.Equal(t, stateward.TierResult{State: stateward.SurvivalUnknown, By: "tmpfiles makes /var/lib/app/conf (C) in the dataset: with that in it it is not empty, and nothing is restored"}, made, "E4")
	same := rebuilt(runs(syncoid("data/app", "data/copy", false), ofPreseed(func(*stateward.Preseed) {})))
	require.Equal(t, stateward.SurvivalNo, same.State, same.By)
	free := runs(syncoid("data/app", "u@nas:backup/app", false), ofPreseed(func(*stateward.Preseed) {}))
	free.Units.Or(nil)[0].Requires = known([]string{})
	require.Equal(t, stateward.SurvivalNo, rebuilt(free).State, "E9")
	free.Units = unknown[[]stateward.Unit]("x")
	require.Equal(t, stateward.SurvivalUnknown, rebuilt(free).State)
}
