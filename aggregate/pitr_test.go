package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/pitr"
)

// server is a PostgreSQL server with settings of its log, in pairs.
func server(pairs ...string) part {
	return func(h *stateward.Host) {
		p := stateward.PITR{Service: "postgresql", Enable: known(true), Settings: map[string]stateward.Value[string]{}, Origin: at("services", "postgresql")}
		for i := 0; i < len(pairs); i += 2 {
			o := at("services", "postgresql", "settings", pairs[i])
			switch {
			case pairs[i] == "primary_conninfo":
				p.Standby = stateward.Known(pairs[i+1] != "", o)
			case pairs[i] == "queue":
				p.QueueMax = stateward.Known(pairs[i+1], at("services", "pgbackrest", "settings", "archive-push-queue-max"))
			case pairs[i+1] == "throws":
				p.Settings[pairs[i]] = unknown[string](o.Option)
			default:
				p.Settings[pairs[i]] = stateward.Known(pairs[i+1], o)
			}
		}
		push(&h.PITR, p)
		services(contract("postgresql", "/srv/pg"))(h)
	}
}

const archives = "barman-cloud-wal-archive --gzip s3://b/pg main %p"

func TestSW501(t *testing.T) {
	require.Empty(t, said(host(), "SW501"))
	const command = "error services.postgresql.settings.archive_command: "
	checkCases(t, "SW501", []copyCase{
		{"G5 a command that does nothing", []part{server("archive_mode", "on", "archive_command", "/bin/true")}, []string{command + "archive_command stores nothing and succeeds"}},
		{"G5 a failure that is passed over", []part{server("archive_mode", "on", "archive_command", archives+" || true")}, []string{command + `archive_command ends with "true", and succeeds where it stored nothing`}},
		{"G5 a queue that is dropped", []part{server("archive_mode", "on", "archive_command", "pgbackrest --stanza=a archive-push %p", "queue", "1GiB")},
			[]string{"warning services.pgbackrest.settings.archive-push-queue-max: pgBackRest drops the write-ahead log and says that it is archived once 1GiB of it wait"}},
		{"G5 a queue that is dropped, in a file", []part{pgBackRest("[global:archive-push]\narchive-push-queue-max=4GiB\n[main]\npg1-path=/srv/pg")},
			[]string{"warning conf: pgBackRest drops the write-ahead log and says that it is archived once 4GiB of it wait"}},
		{"asynchronously nothing is dropped", []part{pgBackRest("[global]\narchive-async=y\nspool-path=/var/spool/pgbackrest\n[main]\npg1-path=/srv/pg")}, nil},
		{"a queue of another stanza", []part{pgBackRest("[other]\narchive-push-queue-max=4GiB\n[main]\npg1-path=/srv/pg")}, nil},
		{"archiving that is off", []part{server("archive_command", "true")}, nil},
		{"a command that fails", []part{server("archive_mode", "on", "archive_command", archives)}, nil},
		{"a command that throws", []part{server("archive_mode", "on", "archive_command", "throws")}, nil},
	})
}

func TestSW502(t *testing.T) {
	require.Empty(t, said(host(), "SW502"))
	const it = "the write-ahead log of postgresql is not archived: "
	const settings = "error services.postgresql.settings."
	checkCases(t, "SW502", []copyCase{
		{"G3 a command and no mode", []part{server("archive_command", archives)}, []string{settings + "archive_command: " + it + "archive_mode is off"}},
		{"G3 a mode and no command", []part{server("archive_mode", "on")}, []string{settings + "archive_mode: " + it + "archive_mode is on, and neither archive_command nor archive_library says where to"}},
		{"G3 too little in the log", []part{server("archive_mode", "on", "archive_command", archives, "wal_level", "minimal")}, []string{settings + "wal_level: " + it + "wal_level is minimal, and the server does not start with archive_mode beside it"}},
		{"G3 a library and a command", []part{server("archive_mode", "on", "archive_command", archives, "archive_library", "basic_archive")}, []string{settings + "archive_library: " + it + "archive_library and archive_command are both set, and the server archives nothing"}},
		{"nobody asks for an archive", []part{server()}, nil},
		{"it is off", []part{server("archive_mode", "off")}, nil},
		{"it is false", []part{server("archive_mode", "false")}, nil},
		{"all is well", []part{server("archive_mode", "true", "archive_command", archives)}, nil},
		{"of a bad command another check speaks", []part{server("archive_mode", "on", "archive_command", "true")}, nil},
		{"a mode that throws", []part{server("archive_mode", "throws", "archive_command", archives)}, nil},
	})
}

func TestSW503(t *testing.T) {
	require.Empty(t, said(host(), "SW503"))
	const it = ": the write-ahead log of postgresql is archived by full segments only: archive_timeout is not set"
	checkCases(t, "SW503", []copyCase{
		{"G3 none is set", []part{server("archive_mode", "on", "archive_command", archives)}, []string{"warning services.postgresql.settings.archive_command" + it}},
		{"G3 it is zero", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "0")}, []string{"warning services.postgresql.settings.archive_timeout" + it}},
		{"it is set", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min")}, nil},
		{"nothing is archived", []part{server()}, nil},
		{"it throws", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "throws")}, nil},
	})
}

func TestSW504(t *testing.T) {
	require.Empty(t, said(host(), "SW504"))
	checkCases(t, "SW504", []copyCase{
		{"G7 an option that no version has", []part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive --compression gzip s3://b main %p")},
			[]string{"error services.postgresql.settings.archive_command: barman-cloud-wal-archive has no option --compression"}},
		{"G7 no server name", []part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive s3://b %p")},
			[]string{"error services.postgresql.settings.archive_command: barman-cloud-wal-archive takes DESTINATION SERVER_NAME WAL_PATH, and is given 2 arguments"}},
		{"what it takes", []part{server("archive_mode", "on", "archive_command", archives)}, nil},
	})
}

const pushes = "pgbackrest --stanza=main archive-push %p"

// pgBackRest is a server that archives by it, with the text of its file.
func pgBackRest(conf string, change ...func(*stateward.PgBackRest)) part {
	return func(h *stateward.Host) {
		server("archive_mode", "on", "archive_command", pushes, "archive_timeout", "5min")(h)
		p := &stateward.PgBackRest{Text: stateward.Known(conf, at("conf")), Origin: at("conf")}
		for _, c := range change {
			c(p)
		}
		h.PITR.Or(nil)[0].PgBackRest = p
	}
}

func TestSW505(t *testing.T) {
	require.Empty(t, said(host(), "SW505"))
	checkCases(t, "SW505", []copyCase{
		{"G3 another directory", []part{pgBackRest("[main]\npg1-path=/srv/old")},
			[]string{"error conf: stanza main is of the cluster in /srv/old, and the server's is in /srv/pg: pgBackRest refuses its log"}},
		{"G3 another stanza", []part{pgBackRest("", func(p *stateward.PgBackRest) {
			p.Text, p.Sections = stateward.Value[string]{}, map[string]map[string]stateward.Value[string]{"default": {"pg1-path": known("/srv/pg")}}
		})},
			[]string{"error services.postgresql.settings.archive_command: archive_command pushes to the stanza main, which the configuration of pgBackRest does not have"}},
		{"G3 a file that is refused", []part{pgBackRest("main]")}, []string{`error conf: pgBackRest refuses its file: line 1: it is no key=value`}},
		{"G3 a spool that is refused", []part{pgBackRest("[global]\narchive-async=y\nspool-path=spool\n[main]\npg1-path=/srv/pg")},
			[]string{`error conf: spool-path is "spool", and pgBackRest takes a path from / on without //: it refuses the log`}},
		{"its own", []part{pgBackRest("[main]\npg1-path=/srv/pg")}, nil},
		{"its own, asynchronously", []part{pgBackRest("[global]\narchive-async=y\n[main]\npg1-path=/srv/pg")}, nil},
		{"no configuration is read", []part{server("archive_mode", "on", "archive_command", pushes)}, nil},
		{"its text throws", []part{pgBackRest("", func(p *stateward.PgBackRest) { p.Text = unknown[string]("conf") })}, nil},
	})
}

func TestSW506(t *testing.T) {
	require.Empty(t, said(host(), "SW506"))
	const sound = "[global]\nrepo1-retention-full=2\n[main]\npg1-path=/srv/pg"
	module := func(jobs ...string) part {
		return pgBackRest("", func(p *stateward.PgBackRest) {
			p.Text = stateward.Value[string]{}
			p.Sections = map[string]map[string]stateward.Value[string]{"global": {"repo1-retention-full": known("2")}, "main": {"pg1-path": known("/srv/pg")}}
			for _, kind := range jobs {
				p.Jobs = append(p.Jobs, stateward.PgBackRestJob{Stanza: "main", Name: kind, Type: known(kind), Origin: at("job", kind)})
			}
		})
	}
	remote := func(h *stateward.Host) {
		module()(h)
		h.PITR.Or(nil)[0].PgBackRest.Sections["global"]["repo1-host"] = known("nas")
	}
	made := func(h *stateward.Host) {
		push(&h.Units, stateward.Unit{Name: "postgresql-nightly.service", BaseBackup: known("pgbackrest backup")})
	}
	checkCases(t, "SW506", []copyCase{
		{"G3 nothing expires", []part{pgBackRest("[main]\npg1-path=/srv/pg"), made}, []string{"warning conf: repo1-retention-full is not set: no backup and no log of stanza main ever expires, until the repository is full"}},
		{"G3 less log than backups", []part{pgBackRest("[global]\nrepo1-retention-archive=1\nrepo1-retention-full=2\n[main]\npg1-path=/srv/pg"), made},
			[]string{"warning conf: repo1-retention-archive keeps the log of 1 full backups, and 2 are kept: of the others only the moment of their end can be restored"}},
		{"G3 one", []part{pgBackRest("[global]\nrepo1-retention-full=1\n[main]\npg1-path=/srv/pg"), made}, []string{"info conf: repo1-retention-full = 1: each full backup takes away all that could be recovered to before it"}},
		{"G3 no full backup", []part{module("diff", "incr")}, []string{"warning job.incr: no job makes full backups of stanza main: all that can be recovered hangs on the first one"}},
		{"G3 no backup", []part{module()}, []string{"warning conf: the log of stanza main is archived, and no job makes backups of it: there is nothing that the log could be applied to"}},
		{"a full one", []part{module("diff", "full")}, nil},
		{"by a unit of its own", []part{module(), unitNamed("postgresql-pgbackrest-backup")}, nil},
		{"another host may make them", []part{remote}, nil},
		{"G3 of a text nobody makes backups", []part{pgBackRest(sound)}, []string{"warning conf: the log of stanza main is archived, and nothing that is read makes backups of it: without one there is nothing that the log could be applied to"}},
		{"of a text a unit makes them", []part{pgBackRest(sound), made}, nil},
		{"of a text a unit that is off makes them", []part{pgBackRest(sound), func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "pg.service", Enable: known(false), BaseBackup: known("pgbackrest backup")})
		}}, []string{"warning conf: the log of stanza main is archived, and nothing that is read makes backups of it: without one there is nothing that the log could be applied to"}},
		{"of a text a unit may make them", []part{pgBackRest(sound), func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "pg.service", BaseBackup: unknown[string]("x")})
		}}, nil},
		{"of a text units may make them", []part{pgBackRest(sound), func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("x") }}, nil},
		{"of a text another host makes them", []part{pgBackRest("[global]\nrepo1-host=nas\nrepo1-retention-full=2\n[main]\npg1-path=/srv/pg")}, nil},
		{"G3 a full one that never runs", []part{module("full"), func(h *stateward.Host) {
			h.PITR.Or(nil)[0].PgBackRest.Jobs[0].Schedule = stateward.Known("some day", at("schedule"))
		}}, []string{"warning schedule: systemd does not read the schedule of the job full of stanza main: calendar event \"some day\", character 6: \"day\" is no known time zone. It never makes a full backup"}},
		{"nothing is archived", []part{pgBackRest("[main]\npg1-path=/srv/pg"), func(h *stateward.Host) { h.PITR.Or(nil)[0].Settings["archive_mode"] = known("off") }}, nil},
	})
	require.Equal(t, []string{"error conf: repo1-cipher-pass of pgBackRest is written as a text, which the world-readable store holds then too"},
		said(host(pgBackRest("[global]\nrepo1-cipher-pass = (hidden)\n[main]\npg1-path=/srv/pg")), "SW703"))
}

// policy is a cluster that stateward.pitr wants archived.
func policy(name string, change func(*stateward.PITRPolicy)) part {
	return func(h *stateward.Host) {
		p := stateward.PITRPolicy{Name: name, Enable: known(true), Destination: known("s3://b/pg"), Server: known("main"), Schedule: known([]string{"daily"}), Origin: at("stateward", "pitr", name)}
		if change != nil {
			change(&p)
		}
		push(&h.PITRPolicies, p)
	}
}

func TestSW507(t *testing.T) {
	require.Empty(t, said(host(), "SW507"))
	elsewhere := func(p *stateward.PITRPolicy) { p.Server = known("other") }
	ours := server("archive_mode", "on", "archive_command", archives)
	checkCases(t, "SW507", []copyCase{
		{"G4 two of a host", []part{policy("a", nil), policy("b", func(p *stateward.PITRPolicy) { p.Destination = known("s3://b/pg/") })},
			[]string{"error stateward.pitr.a: a is archived to s3://b/pg/main, as b is: the logs cannot be told apart", "error stateward.pitr.b: b is archived to s3://b/pg/main, as a is: the logs cannot be told apart"}},
		{"G4 beside the server's own command", []part{policy("reports", nil), ours},
			[]string{"error services.postgresql.settings.archive_command: postgresql is archived to s3://b/pg/main, as reports is: the logs cannot be told apart",
				"error stateward.pitr.reports: reports is archived to s3://b/pg/main, as postgresql is: the logs cannot be told apart"}},
		{"the policy of the server itself", []part{policy("postgresql", nil), ours}, nil},
		{"the policy of the server itself, of another name", []part{policy("main", func(p *stateward.PITRPolicy) { p.Cluster.DataDir = known("/srv/pg") }), ours, service("postgresql", "/srv/pg")}, nil},
		{"each its own", []part{policy("a", nil), policy("b", elsewhere)}, nil},
		{"another store", []part{policy("a", nil), policy("b", func(p *stateward.PITRPolicy) { p.Endpoint = known("https://s3") })}, nil},
		{"one is off", []part{policy("a", nil), policy("b", func(p *stateward.PITRPolicy) { p.Enable = known(false) })}, nil},
		{"a name that throws", []part{policy("a", nil), policy("b", func(p *stateward.PITRPolicy) { p.Server = unknown[string]("x") })}, nil},
	})
	one := func(name, own string, parts ...part) *stateward.Host {
		h := host(parts...)
		h.Name, h.HostName = name, known(own)
		return h
	}
	fleet := func(hosts ...*stateward.Host) (out []string) {
		for _, h := range hosts {
			for _, d := range aggregate.Lint(aggregate.Input{Host: h, Fleet: hosts}).Findings {
				if d.Code == "SW507" {
					out = append(out, h.Name+": "+d.Severity.String()+" "+d.Message)
				}
			}
		}
		return out
	}
	require.Equal(t, []string{"a: warning postgresql is archived to s3://b/pg/main, as host b is: the logs cannot be told apart", "b: warning postgresql is archived to s3://b/pg/main, as host a is: the logs cannot be told apart"},
		fleet(one("a", "a", ours), one("b", "b", ours), one("c", "c", policy("postgresql", elsewhere))), "G4")
	standby := server("archive_mode", "on", "archive_command", archives, "primary_conninfo", "host=a")
	require.Empty(t, fleet(one("a", "a", ours), one("b", "b", standby)), "a standby archives nothing while it is one")
	require.Empty(t, fleet(one("a", "a", standby), one("b", "b", standby)), "either may be the primary")
	require.Empty(t, fleet(one("a", "a", ours), one("b", "b", policy("postgresql", nil), standby)), "nor does one that stateward.pitr is asked for")
	require.Empty(t, fleet(one("a", "a", ours), one("b", "b", policy("main", func(p *stateward.PITRPolicy) { p.Cluster.DataDir = known("/srv/pg") }), standby, service("postgresql", "/srv/pg"))), "by another name")
	require.Len(t, fleet(one("a", "a", ours), one("b", "b", policy("reports", func(p *stateward.PITRPolicy) { p.Cluster.DataDir = known("/srv/reports") }), server("archive_mode", "off", "primary_conninfo", "host=a"))), 2, "another cluster beside it does")
	both := "(one of them follows the other, and archives always) is: the logs cannot be told apart"
	always := fleet(one("a", "a", ours), one("b", "b", server("archive_mode", "always", "archive_command", archives, "primary_conninfo", "host=a")))
	require.Len(t, always, 2)
	for _, said := range always {
		require.Contains(t, said, both, "G4")
	}
	require.Len(t, fleet(one("a", "a", ours), one("b", "b", server("archive_mode", "throws", "archive_command", archives, "primary_conninfo", "host=a"), policy("postgresql", nil))), 2, "whether it archives is not known")
	require.Empty(t, fleet(one("a", "forge", ours), one("a-installer", "forge", ours)), "two attributes of one machine")
}

func TestSW508(t *testing.T) {
	require.Empty(t, said(host(), "SW508"))
	archived := server("archive_mode", "on", "archive_command", archives)
	preseeded := func(dir string, sources ...string) part {
		return func(h *stateward.Host) {
			s := contract("db", dir)
			s.Units = []string{"db.service"}
			s.Dataset = &stateward.Dataset{Name: "data/db", MountPoint: known(dir), Properties: map[string]stateward.Value[string]{}, Origin: at("d")}
			s.Preseed = &stateward.Preseed{Enable: known(true), Sources: known(sources), Origin: at("p")}
			push(&h.Units, stateward.Unit{Name: "db.service", Enable: known(true)})
			push(&h.Datasets, *s.Dataset)
			services(s)(h)
		}
	}
	want := []string{"warning p: preseed of db restores files of /srv/pg from local, and the log of that cluster is archived: it goes on from an older state, and writes segments that the archive has already"}
	checkCases(t, "SW508", []copyCase{
		{"R9 its data", []part{archived, preseeded("/srv/pg", "local")}, want},
		{"another place", []part{archived, preseeded("/srv/pg2", "local")}, nil},
		{"it is not archived", []part{server(), preseeded("/srv/pg", "local")}, nil},
	})
}

func TestSW509(t *testing.T) {
	require.Empty(t, said(host(), "SW509"))
	every := func(window string, more int, events ...string) part {
		return policy("postgresql", func(p *stateward.PITRPolicy) {
			p.Schedule = known(events)
			if window != "" {
				p.Window = span(window)
			}
			if more > 0 {
				p.Redundancy = known(more)
			}
		})
	}
	checkCases(t, "SW509", []copyCase{
		{"G3 a month in two weeks", []part{every("14d", 0, "monthly")}, []string{"warning stateward.services.app.protection.rpo: base backups of postgresql are made up to 4w 3d apart, and its window is 2w: for the most part there is one, and all that can be recovered hangs on it"}},
		{"G3 one is kept", []part{every("3d", 1, "weekly")}, []string{"warning stateward.services.app.protection.rpo: base backups of postgresql are made up to 1w apart, and its window is 3d: for the most part there is one, and all that can be recovered hangs on it"}},
		{"two are kept", []part{every("14d", 2, "monthly")}, nil},
		{"twice in the window", []part{every("14d", 0, "weekly")}, nil},
		{"two schedules", []part{every("4d", 0, "Mon 02:00", "Thu 02:00")}, nil},
		{"no window", []part{every("", 0, "monthly")}, nil},
		{"no schedule", []part{every("14d", 0)}, nil},
		{"a schedule that is none", []part{every("14d", 0, "some day")}, nil},
	})
}

func TestSW509OfPgBackRest(t *testing.T) {
	jobs := func(kind, days string, events ...string) part {
		return pgBackRest("", func(p *stateward.PgBackRest) {
			p.Text = stateward.Value[string]{}
			p.Sections = map[string]map[string]stateward.Value[string]{"global": {"repo1-retention-full": stateward.Known(days, at("kept")), "repo1-retention-full-type": known(kind)}, "main": {"pg1-path": known("/srv/pg")}}
			for i, event := range events {
				p.Jobs = append(p.Jobs, stateward.PgBackRestJob{Stanza: "main", Name: string(rune('a' + i)), Type: known("full"), Schedule: known(event), Origin: at("job")})
			}
			p.Jobs = append(p.Jobs, stateward.PgBackRestJob{Stanza: "main", Name: "daily", Type: known("incr"), Schedule: known("daily")}, stateward.PgBackRestJob{Stanza: "other", Name: "daily", Type: known("full"), Schedule: known("daily")})
		})
	}
	checkCases(t, "SW509", []copyCase{
		{"G3 a month in two weeks", []part{jobs("time", "14", "monthly")}, []string{"warning kept: full backups of stanza main are made up to 4w 3d apart, and repo1-retention-full keeps those of 14 days: for the most part there is one, and all that can be recovered hangs on it"}},
		{"twice in the window", []part{jobs("time", "14", "weekly")}, nil},
		{"two jobs", []part{jobs("time", "4", "Mon 02:00", "Thu 02:00")}, nil},
		{"by number", []part{jobs("count", "14", "monthly")}, nil},
		{"more days than there are", []part{jobs("time", "9999999", "monthly")}, nil},
		{"no full one", []part{jobs("time", "14")}, nil},
		{"a schedule that is none", []part{jobs("time", "14", "some day")}, nil},
		{"a unit may make them too", []part{jobs("time", "14", "monthly"), unitNamed("pgbackrest-by-hand")}, nil},
		{"its own unit is the job", []part{jobs("time", "14", "monthly"), unitNamed("pgbackrest-main-a")}, []string{"warning kept: full backups of stanza main are made up to 4w 3d apart, and repo1-retention-full keeps those of 14 days: for the most part there is one, and all that can be recovered hangs on it"}},
		{"a schedule that throws", []part{jobs("time", "14", "monthly"), func(h *stateward.Host) {
			h.PITR.Or(nil)[0].PgBackRest.Jobs[0].Schedule = unknown[string]("x")
		}}, nil},
	})
}

func TestSW510(t *testing.T) {
	require.Empty(t, said(host(), "SW510"))
	whole := func(change func(*stateward.PITRPolicy)) part {
		return func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "postgresql.service", Enable: known(true)})
			push(&h.Timers, stateward.Timer{Name: "other.timer"})
			policy("postgresql", func(p *stateward.PITRPolicy) {
				p.Cluster = stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("postgres"), Unit: known("postgresql.service"), Socket: known("/run/postgresql"), Version: known(17)}
				if change != nil {
					change(p)
				}
			})(h)
		}
	}
	checkCases(t, "SW510", []copyCase{
		{"G3 nothing makes base backups", []part{whole(nil)}, []string{"warning stateward.pitr.postgresql: postgresql is to be archived, and nothing that is read makes base backups of it"}},
		{"G3 no schedule", []part{whole(func(p *stateward.PITRPolicy) { p.Schedule = stateward.Value[[]string]{} })}, []string{"warning stateward.pitr.postgresql: postgresql is to be archived, and cannot: has no schedule: without base backups nothing is recovered"}},
		{"it is off", []part{whole(func(p *stateward.PITRPolicy) { p.Enable = known(false) })}, nil},
		{"units that could not be had", []part{whole(nil), func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("x") }}, nil},
		{"of a value that throws another check speaks", []part{whole(func(p *stateward.PITRPolicy) { p.Server = unknown[string]("x") })}, nil},
	})
}

// What a service asks of the tier is compared with what the server reaches.
func TestRPOOfPointInTime(t *testing.T) {
	protects := func(rpo string) part {
		return func(h *stateward.Host) {
			server("archive_mode", "on", "archive_command", archives, "archive_timeout", "15min")(h)
			push(&h.Units, stateward.Unit{Name: "barman-cloud-backup.service", Enable: known(true), BaseBackup: known("barman-cloud-backup")})
			push(&h.Timers, stateward.Timer{Name: "barman-cloud-backup.timer"})
			list := h.Services.Or(nil)
			list[len(list)-1].Protection = &stateward.Protection{Tiers: []stateward.Tier{stateward.TierPointInTime}, RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierPointInTime: span(rpo)}, Origin: at("protection")}
		}
	}
	require.Len(t, said(with(onZFS, protects("5min")), "SW303"), 1, "R12")
	require.Empty(t, said(with(onZFS, protects("15min")), "SW303"))
}

func TestSurvivalPointInTime(t *testing.T) {
	unit := func(name string, timer bool) part {
		return func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: name + ".service", Enable: known(true), BaseBackup: known("pgbackrest backup")})
			if timer {
				push(&h.Timers, stateward.Timer{Name: name + ".timer"})
			}
		}
	}
	on := server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min")
	wants := func(h *stateward.Host) {
		push(&h.Units, stateward.Unit{Name: "postgresql.service"})
		asksPITR(stateward.PITRPolicy{Destination: known("s3://b/pg"), Server: known("main"), Compression: known("gzip"), Schedule: known([]string{"daily"}),
			Cluster: stateward.PITRCluster{DataDir: known("/srv/pg"), User: known("postgres")}})(h)
	}
	own := func(digest string) part {
		return func(h *stateward.Host) {
			if digest == "" {
				list, _ := pitr.FromHost(h, nil)
				require.Empty(t, list[0].Faults)
				var err error
				digest, err = list[0].Policy.Digest()
				require.NoError(t, err)
			}
			push(&h.Units, stateward.Unit{Name: "stateward-pitr-backup-postgresql.service", Job: known(digest)})
			push(&h.Timers, stateward.Timer{Name: "stateward-pitr-backup-postgresql.timer"})
		}
	}
	for name, c := range map[string]struct {
		parts []part
		want  *stateward.TierResult
	}{
		"nothing is read of a server": {[]part{service("postgresql", "/srv/pg")}, nil},
		"a name alone": {[]part{on, func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "pgbackrest-main-full.service"})
			push(&h.Timers, stateward.Timer{Name: "pgbackrest-main-full.timer"})
		}}, &stateward.TierResult{State: "unknown", By: "pgbackrest-main-full.service is named after base backups, and what it executes shows none"}},
		"what it executes throws": {[]part{on, func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "pg.service", BaseBackup: unknown[string]("systemd.services.pg.baseBackup")})
		}}, &stateward.TierResult{State: "unknown", By: "systemd.services.pg.baseBackup: it throws"}},
		"asked for, and nothing runs": {[]part{on, wants}, &stateward.TierResult{State: "unknown", By: "stateward.pitr.postgresql asks for base backups, and nothing that is read makes them"}},
		"asked for, and run":          {[]part{on, wants, own("")}, &stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and stateward-pitr-backup-postgresql.service", RPO: "5min"}},
		"asked for, and stale": {[]part{on, wants, own("0")},
			&stateward.TierResult{State: "unknown", By: "stateward-pitr-backup-postgresql.service was written of something else than stateward.pitr.postgresql asks for now"}},
		"asked for, and archived elsewhere": {[]part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive s3://b/pg other %p"), wants, own("0")},
			&stateward.TierResult{State: "unknown", By: `stateward-pitr-backup-postgresql.service is there, and what stateward.pitr.postgresql asks for cannot be planned: services.postgresql.settings.archive_command is another already`}},
		"asked for, and archiving is off": {[]part{server(), wants, own("0")}, &stateward.TierResult{State: "no", By: "archive_mode is off"}},
		"another service":                 {[]part{on, service("app", "/srv/app")}, &stateward.TierResult{State: "unknown", By: "the log is archived, and no unit that is read makes base backups"}},
		"archiving is off":                {[]part{server()}, &stateward.TierResult{State: "no", By: "archive_mode is off"}},
		"G5 it archives nothing":          {[]part{server("archive_mode", "on", "archive_command", "true")}, &stateward.TierResult{State: "no", By: "archive_command stores nothing and succeeds"}},
		"it throws":                       {[]part{server("archive_mode", "throws")}, &stateward.TierResult{State: "unknown", By: "services.postgresql.settings.archive_mode: it throws"}},
		"base backups without a timer": {[]part{on, unit("pgbackrest-main-full", false)},
			&stateward.TierResult{State: "unknown", By: "what starts pgbackrest-main-full.service is not read"}},
		"log and base backups": {[]part{on, unit("pgbackrest-main-full", true)},
			&stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and pgbackrest-main-full.service", RPO: "5min"}},
		"G3 pgBackRest refuses the log": {[]part{pgBackRest("[main]\npg1-path=/srv/old"), unit("pgbackrest-main-full", true)},
			&stateward.TierResult{State: "no", By: "stanza main is of the cluster in /srv/old, and the server's is in /srv/pg: pgBackRest refuses its log"}},
		"asynchronously it is the same": {[]part{pgBackRest("[global]\narchive-async=y\n[main]\npg1-path=/srv/pg"), unit("pgbackrest-main-full", true)},
			&stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and pgbackrest-main-full.service", RPO: "5min"}},
		"G3 no archive_timeout, no RPO": {[]part{server("archive_mode", "on", "archive_command", archives), unit("barman-cloud-backup", true)},
			&stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and barman-cloud-backup.service"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, row := range aggregate.Survival(with(onZFS, c.parts...)) {
				got, ok := row.Tiers[stateward.TierPointInTime]
				if row.Service != "postgresql" {
					require.False(t, ok, row.Service)
					continue
				}
				require.Equal(t, c.want != nil, ok)
				if ok {
					require.Empty(t, cmp.Diff(*c.want, got))
				}
			}
		})
	}
}

// asksPITR asks for a cluster to be archived.
// What stateward archives is on another disk, and of nothing else it says anything.
func TestArchivesAreCopies(t *testing.T) {
	on := server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min")
	wants := func(endpoint, dir string) part {
		return func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "postgresql.service"})
			p := stateward.PITRPolicy{Destination: known("s3://b/pg"), Server: known("main"), Compression: known("gzip"), Schedule: known([]string{"daily"}),
				Cluster: stateward.PITRCluster{DataDir: known(dir), User: known("postgres")}}
			if endpoint != "" {
				p.Endpoint = known(endpoint)
			}
			asksPITR(p)(h)
		}
	}
	own := func(h *stateward.Host) {
		list, _ := pitr.FromHost(h, nil)
		require.Len(t, list, 1)
		require.Empty(t, list[0].Faults)
		digest, err := list[0].Policy.Digest()
		require.NoError(t, err)
		for _, job := range list[0].Policy.Jobs() {
			name := list[0].Policy.UnitName(job)
			push(&h.Units, stateward.Unit{Name: name + ".service", Job: known(digest)})
			push(&h.Timers, stateward.Timer{Name: name + ".timer"})
		}
	}
	none := stateward.TierResult{State: "no", By: "no backup job or replication that is read covers it"}
	yes := stateward.TierResult{State: "yes", By: "stateward.pitr.postgresql to s3://b/pg", RPO: "5min"}
	unknown := func(by string) stateward.TierResult { return stateward.TierResult{State: "unknown", By: by} }
	for name, c := range map[string]struct {
		parts      []part
		disk, site stateward.TierResult
	}{
		"at a provider":    {[]part{on, wants("", "/srv/pg"), own}, yes, yes},
		"on another host":  {[]part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive --endpoint-url=https://nas:9000 --gzip s3://b/pg main %p", "archive_timeout", "5min"), wants("https://nas:9000", "/srv/pg"), own}, yes, unknown("in which house nas stands is not known")},
		"on this host":     {[]part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive --endpoint-url=http://127.0.0.1:9000 --gzip s3://b/pg main %p", "archive_timeout", "5min"), wants("http://127.0.0.1:9000", "/srv/pg"), own}, unknown("stateward.pitr.postgresql to s3://b/pg is a server on this host, and where that stores is not read"), unknown("stateward.pitr.postgresql to s3://b/pg is a server on this host, and where that stores is not read")},
		"nothing makes it": {[]part{on, wants("", "/srv/pg")}, unknown("stateward.pitr.postgresql asks for an archive of the cluster, and nothing that is read makes it"), unknown("stateward.pitr.postgresql asks for an archive of the cluster, and nothing that is read makes it")},
		"of a folder in it": {[]part{on, wants("", "/srv/pg/17"), own}, unknown("of it /srv/pg/17 is archived, and nothing that lies beside that"),
			unknown("of it /srv/pg/17 is archived, and nothing that lies beside that")},
		"elsewhere": {[]part{on, wants("", "/srv/other"), own}, none, none},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for _, row := range aggregate.Survival(with(onZFS, append(c.parts, service("app", "/srv/app"))...)) {
				seen[row.Service] = true
				switch row.Service {
				case "postgresql":
					require.Empty(t, cmp.Diff(c.disk, row.Tiers[stateward.TierDisk]), row.Path)
					require.Empty(t, cmp.Diff(c.site, row.Tiers[stateward.TierSite]), row.Path)
				case "app":
					require.Empty(t, cmp.Diff(none, row.Tiers[stateward.TierDisk]))
				}
			}
			require.True(t, seen["postgresql"] && seen["app"])
		})
	}
}

func asksPITR(p stateward.PITRPolicy) part {
	return func(h *stateward.Host) {
		if p.Name == "" {
			p.Name = "postgresql"
		}
		p.Enable, p.Origin = known(true), at("stateward", "pitr", p.Name)
		push(&h.PITRPolicies, p)
	}
}

func TestSW604OfPITR(t *testing.T) {
	require.Equal(t, []string{"error stateward.pitr.postgresql.environmentFile: stateward.pitr.postgresql.environmentFile lies in the world-readable store"},
		said(host(asksPITR(stateward.PITRPolicy{EnvironmentFile: stateward.Known(stateward.FileRef{Text: "/nix/store/x/env"}, at("stateward", "pitr", "postgresql", "environmentFile")),
			CredentialsFile: known(stateward.FileRef{Text: "/run/secrets/aws"})})), "SW604"))
}
