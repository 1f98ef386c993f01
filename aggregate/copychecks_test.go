package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// A copyCase is a host on file systems of ZFS, and what one check says of it.
type copyCase struct {
	name  string
	parts []part
	want  []string
}

var onZFS = []part{
	fileSystem("/", "rpool/root", "zfs"), fileSystem("/srv", "tank/srv", "zfs"), fileSystem("/mnt/usb", "usb/backup", "zfs"), fileSystem("/mnt/nas", "nas:/x", "nfs"),
	fileSystem("/boot", "/dev/sda1", "ext4"), systemdInitrd(false), idsWritten,
}

func checkCases(t *testing.T, code string, cases []copyCase) {
	t.Helper()
	require.Empty(t, said(with(onZFS), code))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(with(onZFS, tc.parts...), code)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func span(text string) stateward.Value[stateward.Duration] {
	d, err := stateward.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return stateward.Known(d, at("stateward", "services", "app", "protection", "rpo"))
}

// protected is a service that asks for a tier, with an objective where there is one.
func protected(tier stateward.Tier, rpo string, paths ...any) part {
	return changed(contract("app", paths...), func(s *stateward.Service) {
		s.Protection = &stateward.Protection{Tiers: []stateward.Tier{tier}, Origin: at("stateward", "services", "app", "protection")}
		if rpo != "" {
			s.Protection.RPO = map[stateward.Tier]stateward.Value[stateward.Duration]{tier: span(rpo)}
		}
	})
}

func delayed(text string) func(*stateward.Job) {
	return func(j *stateward.Job) { j.RandomizedDelay = span(text) }
}

func untimed(j *stateward.Job) { j.Schedule = stateward.Value[[]string]{} }

func TestSW303(t *testing.T) {
	require.Empty(t, said(host(), "SW303"))
	const rpo = "stateward.services.app.protection.rpo: "
	const house = rpo + "the newest copy of app that survives a lost house can get older than "
	never := func(j *stateward.Job) {
		j.Schedule = stateward.NotKnown[[]string](stateward.Unknown{Subject: "t", Kind: stateward.UnknownForm})
	}
	checkCases(t, "SW303", []copyCase{
		{"R12 a delay makes it miss", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", delayed("4h"), "/srv")},
			[]string{"error " + house + "1d: up to 1d 4h 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 4h RandomizedDelaySec=, 1min AccuracySec=)"}},
		{"R12 hourly with a delay of four", []part{protected(stateward.TierSite, "2h", "/srv/app"), restic("r", "b2:x:y", func(j *stateward.Job) { delayed("4h")(j); j.Schedule = known([]string{"hourly"}) }, "/srv")},
			[]string{"error " + house + "2h: up to 5h 1min (1h from 2026-01-01 00:00:00 UTC to 2026-01-01 01:00:00 UTC, 4h RandomizedDelaySec=, 1min AccuracySec=)"}},
		{"R12 AccuracySec= alone makes it miss", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")},
			[]string{"error " + house + "1d: up to 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=)"}},
		{"R12 reached", []part{protected(stateward.TierSite, "1d 5h", "/srv/app"), restic("r", "b2:x:y", delayed("4h"), "/srv")}, nil},
		{"R12 the best of two counts", []part{protected(stateward.TierSite, "2h", "/srv/app"), restic("r", "b2:x:y", nil, "/srv"), restic("s", "b2:x:z", func(j *stateward.Job) { j.Schedule = known([]string{"hourly"}) }, "/srv")}, nil},
		{"R12 several places are one finding", []part{protected(stateward.TierSite, "1h", "/srv/app", "/srv/more"), restic("r", "b2:x:y", nil, "/srv")},
			[]string{"error " + house + "1h: up to 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=)"}},
		{"R12 a timer without a calendar is unknown", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", never, "/srv")},
			[]string{"warning " + rpo + "cannot tell whether the newest copy of app that survives a lost house stays younger than 1d: t: form"}},
		{"R12 a second one in doubt may be newer", []part{protected(stateward.TierSite, "1h", "/srv/app"), restic("r", "b2:x:y", nil, "/srv"), restic("s", "b2:x:z", untimed, "/srv")},
			[]string{"warning " + rpo + "cannot tell whether the newest copy of app that survives a lost house stays younger than 1h: one that is read gets as old as 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=), and further: restic job s has no timer that is read, and what starts it is not known"}},
		{"R12 snapshots", []part{protected(stateward.TierRollback, "30min", "/srv/app"), sanoid("tank/srv", "no")},
			[]string{"error " + rpo + `the newest copy of app that survives a mistake can get older than 30min: up to 1h 1min (1h from one hourly snapshot to the next, 1min RandomizedDelaySec= and AccuracySec=)`}},
		{"R12 replication of what the policy took", []part{protected(stateward.TierDisk, "1d", "/srv/app"), sanoid("tank/srv", "no"), syncoid("tank/srv", "usb/copy", false, "--no-sync-snap")},
			[]string{"error " + rpo + `the newest copy of app that survives a dead pool can get older than 1d: up to 1d 1h 2min (1d from 2026-01-01 03:00:00 UTC to 2026-01-02 03:00:00 UTC, 1min AccuracySec=, 1h 1min of the newest snapshot that it finds)`}},
		{"no copy is not its matter", []part{protected(stateward.TierSite, "1d", "/srv/app")}, nil},
		{"an objective that could not be had", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: unknown[stateward.Duration]("x")}}
		}), restic("r", "b2:x:y", nil, "/srv")}, nil},
		{"no objective", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
	})
}

func TestSW304(t *testing.T) {
	require.Empty(t, said(host(), "SW304"))
	const subject = "stateward.services.app.protection: "
	const none = "no backup job or replication that is read covers it"
	kept := func(h *stateward.Host) {
		ss := h.Services.Or(nil)
		push(&ss[0].State, stateward.StatePath{Entry: stateward.NewEntry("/srv/index", stateward.Directory, at("x")), Source: stateward.SourcePersist})
	}
	checkCases(t, "SW304", []copyCase{
		{"R10 no copy in another house", []part{protected(stateward.TierSite, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a lost house, as its protection asks: " + none}},
		{"R10 no copy on another pool", []part{protected(stateward.TierDisk, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a dead pool, as its protection asks: " + none}},
		{"R10 no snapshot", []part{protected(stateward.TierRollback, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a mistake, as its protection asks: no snapshot policy that is read covers dataset tank/srv"}},
		{"R10 an objective asks for its tier", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: span("1d")}, Origin: at("p")}
		})}, []string{"error p: state of app does not survive a lost house, as its protection asks: " + none}},
		{"N10 without a timer it is unknown", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", untimed, "/srv")},
			[]string{"warning " + subject + "cannot tell whether state of app survives a lost house: restic job r has no timer that is read, and what starts it is not known"}},
		{"another host may stand anywhere", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "sftp:nas:/r", nil, "/srv")},
			[]string{"warning " + subject + "cannot tell whether state of app survives a lost house: in which house nas stands is not known"}},
		{"nothing restores it", []part{protected(stateward.TierRebuild, "", "/srv/app", "/srv/b")},
			[]string{"error " + subject + "state of app does not survive a machine built anew, unattended, as its protection asks: nothing that is read restores it before its service starts"}},
		{"point-in-time is not answered for what is no database", []part{protected(stateward.TierPointInTime, "", "/srv/app")},
			[]string{"warning " + subject + "cannot tell whether the tier point-in-time holds for app: a point in time is looked for in the data of services.postgresql only"}},
		{"there is a copy", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
		{"of a reboot SW101 speaks", []part{protected(stateward.TierReboot, "", "/srv/app")}, nil},
		{"what is persisted and needs no backup", []part{protected(stateward.TierSite, "", "/srv/app"), kept, restic("r", "b2:x:y", nil, "/srv/app")}, nil},
		{"a service that is off", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Enable = known(false)
			s.Protection = &stateward.Protection{Tiers: []stateward.Tier{stateward.TierSite}}
		})}, nil},
		{"nothing is asked for", []part{service("app", "/srv/app")}, nil},
	})
}

func asked(j *stateward.Job) { j.Asked = true }

func secret(path string) func(*stateward.Job) {
	return func(j *stateward.Job) { j.PasswordFile = known(stateward.FileRef{Text: path}) }
}

func excluding(patterns ...string) func(*stateward.Job) {
	return func(j *stateward.Job) { j.Exclude = known(patterns) }
}

func timerOf(name string) part {
	return func(h *stateward.Host) { push(&h.Timers, stateward.Timer{Name: name + ".timer", Enable: known(true)}) }
}

func unitWith(name string, change func(*stateward.Unit)) part {
	return func(h *stateward.Host) {
		u := stateward.Unit{Name: name + ".service", Enable: known(true), Origin: at("systemd", "services", name)}
		if change != nil {
			change(&u)
		}
		push(&h.Units, u)
	}
}

// sending is a replication with options of zfs send and receive.
func sending(source, target, send, recv string, args ...string) part {
	return func(h *stateward.Host) {
		syncoid(source, target, true, args...)(h)
		list := h.Replications.Or(nil)
		list[len(list)-1].SendOptions, list[len(list)-1].RecvOptions = known(send), known(recv)
	}
}

func TestSW305(t *testing.T) {
	require.Empty(t, said(host(), "SW305"))
	const beside = "restic job r stores /srv: the repository lies on tank as the data does"
	checkCases(t, "SW305", []copyCase{
		{"R11 on the pool of the data", []part{restic("r", "/srv/backup", nil, "/srv")}, []string{"warning services.restic.r: " + beside}},
		{"R11 on another dataset of the pool", []part{fileSystem("/backup", "tank/backup", "zfs"), restic("r", "/backup", nil, "/srv")}, []string{"warning services.restic.r: restic job r stores /srv: the repository lies on tank as the data does"}},
		{"R11 on the file system of the data", []part{restic("r", "/boot/r", nil, "/boot")}, []string{"warning services.restic.r: restic job r stores /boot: the repository lies on /dev/sda1 as the data does"}},
		{"R11 borg", []part{job("borg", "r", "/srv/backup", nil, "/srv")}, []string{"warning services.borg.r: borg job r stores /srv: the repository lies on tank as the data does"}},
		{"R11 on another pool", []part{restic("r", "/mnt/usb/r", nil, "/srv")}, nil},
		{"R11 on another machine's disk", []part{restic("r", "/mnt/nas/r", nil, "/srv")}, nil},
		{"R11 whether it is one disk is not known", []part{restic("r", "/boot/r", nil, "/srv")}, nil},
		{"R11 on another host", []part{restic("r", "sftp:nas:/r", nil, "/srv")}, nil},
		{"N10 a replication carries it away", []part{restic("r", "/srv/backup", nil, "/srv"), syncoid("tank/srv", "nas:x/srv", false)}, nil},
		{"N10 another job carries it away", []part{restic("r", "/srv/backup", nil, "/srv"), restic("s", "b2:x:y", nil, "/srv/backup")}, nil},
		{"N10 something that is not read may carry it away", []part{restic("r", "/srv/backup", nil, "/srv"), unitNamed("rclone-sync")},
			[]string{"info services.restic.r: " + beside + "; whether it is carried away is not known: rclone-sync.service may make copies, and of what is not read"}},
	})
}

func TestSW306(t *testing.T) {
	require.Empty(t, said(host(), "SW306"))
	file := func(j *stateward.Job) { j.EnvironmentFile = known(stateward.FileRef{Text: "/run/secrets/b2"}) }
	checkCases(t, "SW306", []copyCase{
		{"R11 no credentials", []part{restic("r", "b2:x:y", nil, "/srv")}, []string{"info services.restic.r: restic job r stores in b2:x:y and names no file with the credentials that b2 asks for"}},
		{"R11 with credentials", []part{restic("r", "b2:x:y", file, "/srv")}, nil},
		{"R11 credentials that could not be had", []part{restic("r", "s3:h/y", func(j *stateward.Job) { j.EnvironmentFile = unknown[stateward.FileRef]("x") }, "/srv")}, nil},
		{"R11 ssh has keys", []part{restic("r", "sftp:nas:/r", nil, "/srv")}, nil},
		{"R11 borg has keys", []part{job("borg", "r", "nas:r", nil, "/srv")}, nil},
	})
}

func TestSW307(t *testing.T) {
	require.Empty(t, said(host(), "SW307"))
	untimedUnit := func(change func(*stateward.Unit)) []part {
		return []part{restic("r", "b2:x:y", untimed, "/srv"), unitWith("restic-backups-r", change)}
	}
	whole := func(j *stateward.Job) {
		asked(j)
		j.PasswordFile = known(stateward.FileRef{Text: "/run/secrets/restic"})
	}
	none := []string{"info services.restic.r: restic job r has no timer, and nothing that is read starts it"}
	checkCases(t, "SW307", []copyCase{
		{"R10 asked for and never run", []part{job("stateward", "app", "b2:x:y", asked, "/srv/app")}, []string{"warning services.stateward.app: app asks for a backup of /srv/app, and no job that is read runs it, nor can one be written: has no passwordFile"}},
		{"R10 asked for and never run, though it could be", []part{job("stateward", "app", "b2:x:y", whole, "/srv/app")}, []string{"warning services.stateward.app: app asks for a backup of /srv/app, and no job that is read runs it"}},
		{"R10 a job runs it", []part{job("stateward", "app", "b2:x:y", asked, "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
		{"R10 a job runs a part of it", []part{job("stateward", "app", "b2:x:y", asked, "/srv/app", "/var/app"), restic("r", "b2:x:y", nil, "/srv")}, []string{"warning services.stateward.app: app asks for a backup of /var/app, and no job that is read runs it, nor can one be written: has no passwordFile"}},
		{"R10 a job leaves it out", []part{job("stateward", "app", "b2:x:y", asked, "/srv/app"), restic("r", "b2:x:y", excluding("/srv/app"), "/srv")}, []string{"warning services.stateward.app: app asks for a backup of /srv/app, and no job that is read runs it, nor can one be written: has no passwordFile"}},
		{"R10 a tool that is not read may run it", []part{job("qgroget", "app", "", asked, "/srv/app"), unitNamed("borgmatic")}, []string{"info services.qgroget.app: app asks for a backup of /srv/app, and no job that is read runs it: borgmatic.service may make copies, and of what is not read"}},
		{"N10 no timer is no proof", untimedUnit(nil), none},
		{"N10 a target starts it", untimedUnit(func(u *stateward.Unit) { u.WantedBy = known([]string{"multi-user.target"}) }), nil},
		{"N10 a coordinator starts it", append(untimedUnit(nil), unitWith("all", func(u *stateward.Unit) { u.Wants = known([]string{"restic-backups-r.service"}) })), nil},
		{"N10 a timer by hand starts it", append(untimedUnit(nil), timerOf("restic-backups-r")), nil},
		{"N10 timers that could not be had", append(untimedUnit(nil), func(h *stateward.Host) { h.Timers = unknown[[]stateward.Timer]("systemd.timers") }), nil},
		{"a timer", []part{restic("r", "b2:x:y", nil, "/srv")}, nil},
	})
}

func TestSW308(t *testing.T) {
	require.Empty(t, said(host(), "SW308"))
	silent := syncoid("tank/srv", "nas:x/srv", false, "--no-sync-snap")
	const subject = `warning services.syncoid.commands."tank/srv": replication tank/srv `
	checkCases(t, "SW308", []copyCase{
		{"S3 hourly retention of 12 and a run a day", []part{silent, sanoid("tank/srv", "no", "hourly=12", "daily=0", "monthly=0")},
			[]string{subject + "may find none of what it sent: what was sent is kept for as little as 11h, as one of 12 hourly snapshots, and the next run may be 1d 1min later"}},
		{"S3 dailies are kept", []part{silent, sanoid("tank/srv", "no", "hourly=12", "daily=7", "monthly=0")}, nil},
		{"S3 a bookmark", []part{syncoid("tank/srv", "nas:x/srv", false, "--no-sync-snap", "--create-bookmark"), sanoid("tank/srv", "no", "hourly=12", "daily=0", "monthly=0")}, nil},
		{"S3 a hold", []part{syncoid("tank/srv", "nas:x/srv", false, "--no-sync-snap --use-hold"), sanoid("tank/srv", "no", "hourly=12", "daily=0", "monthly=0")}, nil},
		{"S3 a snapshot of its own", []part{syncoid("tank/srv", "nas:x/srv", false), sanoid("tank/srv", "no", "hourly=12", "daily=0", "monthly=0")}, nil},
		{"S3 nothing is pruned", []part{silent, sanoid("tank/srv", "no", "hourly=12", "daily=0", "monthly=0", "autoprune=no")}, nil},
		{"S3 the policy above counts", []part{silent, sanoid("tank", "yes", "hourly=12", "daily=0", "monthly=0")},
			[]string{subject + "may find none of what it sent: what was sent is kept for as little as 11h, as one of 12 hourly snapshots, and the next run may be 1d 1min later"}},
		{"S3 nothing takes snapshots", []part{silent}, []string{subject + "takes no snapshot itself, and nothing that is read takes any of tank/srv: there is nothing to send"}},
		{"S9 another tool may take snapshots", []part{silent, unitNamed("zrepl")}, nil},
		{"S3 a policy that could not be had", []part{silent, func(h *stateward.Host) { h.Snapshots = unknown[[]stateward.SnapshotPolicy]("x") }}, nil},
	})
}

func TestSW309(t *testing.T) {
	require.Empty(t, said(host(), "SW309"))
	checkCases(t, "SW309", []copyCase{
		{"S8 the same pool", []part{syncoid("tank/srv", "tank/copy", false)}, []string{`warning services.syncoid.commands."tank/srv": replication tank/srv goes to the pool of its source, tank, and dies with it`}},
		{"S8 the same pool through the network", []part{syncoid("tank/srv", "root@localhost:tank/copy", false)}, []string{`warning services.syncoid.commands."tank/srv": replication tank/srv goes to the pool of its source, tank, and dies with it`}},
		{"S8 a pool of that name on another host", []part{syncoid("tank/srv", "nas:tank/copy", false)}, nil},
		{"S8 two sources", []part{syncoid("tank/srv", "nas:x/copy", false), syncoid("tank/home", "backup@nas:x/copy", false)},
			[]string{`warning services.syncoid.commands."tank/srv": replication tank/home and replication tank/srv have the same target nas:x/copy: each finds the snapshots of the other there, and none of its own`}},
		{"S8 two sources and two hosts", []part{syncoid("tank/srv", "nas:x/copy", false), syncoid("tank/home", "shed:x/copy", false)}, nil},
		{"S8 two targets", []part{syncoid("tank/srv", "nas:x/srv", false), syncoid("tank/home", "nas:x/home", false)}, nil},
		{"S8 a chain", []part{syncoid("tank/srv", "usb/copy", false), syncoid("usb/copy", "nas:x/copy", false)}, nil},
	})
}

func TestSW310(t *testing.T) {
	require.Empty(t, said(host(), "SW310"))
	auto := func(value string) part {
		return func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/srv", Properties: map[string]stateward.Value[string]{"com.sun:auto-snapshot": known(value)}})
		}
	}
	checkCases(t, "SW310", []copyCase{
		{"S2 the child keeps what is never taken", []part{sanoid("tank", "zfs", "hourly=0"), sanoid("tank/srv", "no", "hourly=24", "weekly=4")}, []string{`warning services.sanoid.datasets."tank/srv": the snapshot policy of tank/srv keeps hourly and weekly snapshots and takes none: sanoid ignores its autosnap below the snapshot policy of tank with recursive = zfs, which takes no such ones`}},
		{"S2 the child keeps less of what is taken above", []part{sanoid("tank", "zfs"), sanoid("tank/srv", "no", "hourly=12", "daily=0")}, nil},
		{"S2 the child is not to take any", []part{sanoid("tank", "zfs"), sanoid("tank/srv", "no", "autosnap=no", "weekly=4")}, nil},
		{"S2 recursive = yes lets the child have its own", []part{sanoid("tank", "yes"), sanoid("tank/srv", "no")}, nil},
		{"S2 another pool", []part{sanoid("tank", "zfs"), sanoid("usb/srv", "no")}, nil},
		{"S9 services.zfs.autoSnapshot on the same dataset", []part{sanoid("tank/srv", "no"), auto("true"), unitNamed("zfs-snapshot-hourly")},
			[]string{`warning services.sanoid.datasets."tank/srv": the snapshot policy of tank/srv takes snapshots of tank/srv, and so does zfs-snapshot-hourly.service, since com.sun:auto-snapshot is true there`}},
		{"S9 services.zfs.autoSnapshot on another one", []part{sanoid("tank/srv", "no"), auto("false"), unitNamed("zfs-snapshot-hourly")}, nil},
		{"S9 zrepl beside sanoid", []part{sanoid("tank/srv", "no"), unitWith("zrepl", nil)}, []string{"info systemd.services.zrepl: zrepl.service may take snapshots beside sanoid, and of which datasets is not read"}},
		{"S9 zrepl alone", []part{unitWith("zrepl", nil)}, nil},
	})
}

func TestSW312(t *testing.T) {
	require.Empty(t, said(host(), "SW312"))
	apart := []part{fileSystem("/var/lib/postgresql", "tank/pg/data", "zfs"), fileSystem("/var/lib/postgresql/16/pg_wal", "tank/pg/wal", "zfs"), service("postgresql", "/var/lib/postgresql/16")}
	moment := []string{`warning services.sanoid.datasets."tank/pg": the data of PostgreSQL lie on tank/pg/data and its write-ahead log on tank/pg/wal, and no snapshot holds both of one moment`}
	more := func(ps ...part) []part { return append(append([]part{}, apart...), ps...) }
	elsewhere := func(dir string) part {
		return func(h *stateward.Host) {
			fileSystem("/var/lib/postgresql", "tank/pg/data", "zfs")(h)
			fileSystem("/srv/journal", "tank/pg/journal", "zfs")(h)
			service("postgresql", "/var/lib/postgresql/16")(h)
			sanoid("tank/pg", "yes")(h)
			asksPITR(stateward.PITRPolicy{Cluster: stateward.PITRCluster{WALDir: known(dir)}})(h)
		}
	}
	checkCases(t, "SW312", []copyCase{
		{"S2 where stateward.pitr says that the log is", []part{elsewhere("/srv/journal/16")}, []string{`warning services.sanoid.datasets."tank/pg": the data of PostgreSQL lie on tank/pg/data and its write-ahead log on tank/pg/journal, and no snapshot holds both of one moment`}},
		{"S2 which is beside the data", []part{elsewhere("/var/lib/postgresql/wal16")}, nil},
		{"S2 one after the other", more(sanoid("tank/pg", "yes")), moment},
		{"S2 policies of their own", more(sanoid("tank/pg/data", "no"), sanoid("tank/pg/wal", "no")), []string{`warning services.sanoid.datasets."tank/pg/data": the data of PostgreSQL lie on tank/pg/data and its write-ahead log on tank/pg/wal, and no snapshot holds both of one moment`}},
		{"S2 the log has none", more(sanoid("tank/pg/data", "no")), []string{`warning services.sanoid.datasets."tank/pg/data": the data of PostgreSQL lie on tank/pg/data and its write-ahead log on tank/pg/wal, of which nothing takes snapshots`}},
		{"S2 at one moment", more(sanoid("tank/pg", "zfs")), nil},
		{"S2 no snapshots at all", apart, nil},
		{"S2 one dataset", []part{service("postgresql", "/srv/postgresql"), sanoid("tank/srv", "no")}, nil},
	})
}

func TestSW313(t *testing.T) {
	require.Empty(t, said(host(), "SW313"))
	const hides = `services.syncoid.commands."tank/srv": replication tank/srv sends the mount point too, and `
	const there = " is received mounted: it hides what is mounted at that place there"
	checkCases(t, "SW313", []copyCase{
		{"S4 here", []part{sending("tank/srv", "usb/copy", "p", "")}, []string{"error " + hides + "usb/copy" + there}},
		{"S4 on another host", []part{sending("tank/srv", "nas:x/copy", "pw", "o compression=zstd")}, []string{"warning " + hides + "nas:x/copy" + there}},
		{"S4 a whole tree", []part{sending("tank/srv", "nas:x/copy", "R", "")}, []string{"warning " + hides + "nas:x/copy" + there}},
		{"S4 by an argument", []part{sending("tank/srv", "nas:x/copy", "", "", "--preserve-properties")}, []string{"warning " + hides + "nas:x/copy" + there}},
		{"S4 -u", []part{sending("tank/srv", "usb/copy", "p", "u")}, nil},
		{"S4 -u as an argument", []part{sending("tank/srv", "usb/copy", "p", "", "--recvoptions=u")}, nil},
		{"S4 no mount point is taken", []part{sending("tank/srv", "usb/copy", "p", "x mountpoint")}, nil},
		{"S4 another mount point", []part{sending("tank/srv", "usb/copy", "p", "o mountpoint=none")}, nil},
		{"S4 not by itself", []part{sending("tank/srv", "usb/copy", "p", "o canmount=noauto")}, nil},
		{"S4 no properties are sent", []part{sending("tank/srv", "usb/copy", "w", "o atime=off")}, nil},
		{"S4 --force-delete", []part{syncoid("tank/srv", "nas:x/copy", false, "--force-delete")}, []string{`warning services.syncoid.commands."tank/srv": replication tank/srv destroys its target where it has no snapshot in common with the source (--force-delete)`}},
	})
}

func TestSW314(t *testing.T) {
	require.Empty(t, said(host(), "SW314"))
	checkCases(t, "SW314", []copyCase{
		{"S7 below one that is raw", []part{sending("tank/srv", "nas:x/srv", "w", ""), sending("tank/home", "nas:x/srv/home", "", "")},
			[]string{`warning services.syncoid.commands."tank/srv": replication tank/srv is sent raw to nas:x/srv, and replication tank/home to nas:x/srv/home is not: the one cannot go on with what the other sent`}},
		{"S7 both raw", []part{sending("tank/srv", "nas:x/srv", "w", ""), sending("tank/home", "nas:x/srv/home", "pw", "")}, nil},
		{"S7 targets of their own", []part{sending("tank/srv", "nas:x/srv", "w", ""), sending("tank/home", "nas:x/home", "", "")}, nil},
		{"S7 another host", []part{sending("tank/srv", "nas:x/srv", "w", ""), sending("tank/home", "shed:x/srv/home", "", "")}, nil},
	})
}

func TestSW315(t *testing.T) {
	require.Empty(t, said(host(), "SW315"))
	db := service("postgresql", "/srv/postgresql/16")
	torn := "warning services.restic.r: restic job r stores the files of postgresql in /srv/postgresql/16 while it writes them"
	checkCases(t, "SW315", []copyCase{
		{"R9 live files", []part{db, restic("r", "b2:x:y", nil, "/srv")}, []string{torn}},
		{"R9 beside point-in-time recovery", []part{db, restic("r", "b2:x:y", nil, "/srv"), unitNamed("pgbackrest-full-backup")}, []string{torn + ", and beside pgbackrest-full-backup.service, which keeps them already"}},
		{"R9 borg", []part{service("mysql", "/srv/mysql"), job("borg", "b", "nas:r", nil, "/srv/mysql")}, []string{"warning services.borg.b: borg job b stores the files of mysql in /srv/mysql while it writes them"}},
		{"R9 left out", []part{db, restic("r", "b2:x:y", excluding("/srv/postgresql"), "/srv")}, nil},
		{"R9 a dump before it", []part{db, restic("r", "b2:x:y", func(j *stateward.Job) { j.PreHook = known(true) }, "/srv")}, nil},
		{"R9 a snapshot", []part{db, restic("r", "b2:x:y", func(j *stateward.Job) { j.Dataset = known("tank/srv") }, "/srv")}, nil},
		{"R9 it is stopped", []part{db, restic("r", "b2:x:y", func(j *stateward.Job) { j.StopUnits = known([]string{"postgresql.service"}) }, "/srv")}, nil},
		{"R9 it is stopped, and a file holds the address", []part{db, restic("r", "", func(j *stateward.Job) {
			j.Repository = stateward.Value[string]{}
			j.RepositoryFile = known(stateward.FileRef{Text: "/run/secrets/repository"})
			j.StopUnits = known([]string{"postgresql.service"})
		}, "/srv")}, nil},
		{"R9 the snapshot's own path", []part{db, restic("r", "b2:x:y", nil, "/srv/.zfs/snapshot/x")}, nil},
		{"R9 a service that is no database", []part{service("app", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
	})
}

func TestSW317(t *testing.T) {
	require.Empty(t, said(host(), "SW317"))
	checkCases(t, "SW317", []copyCase{
		{"R7 a snapshot has other paths", []part{restic("r", "b2:x:y", excluding("/srv/cache", "*.tmp"), "/srv/.zfs/snapshot/b")}, []string{"warning services.restic.r: restic job r reads a snapshot and leaves out /srv/cache, which matches no path in there: it is stored"}},
		{"R7 as the snapshot has it", []part{restic("r", "b2:x:y", excluding("/srv/.zfs/snapshot/b/cache"), "/srv/.zfs/snapshot/b")}, nil},
		{"R7 anywhere", []part{restic("r", "b2:x:y", excluding("cache"), "/srv/.zfs/snapshot/b")}, nil},
		{"R7 beside all paths", []part{restic("r", "b2:x:y", excluding("/home/*/cache", "/srv/cache"), "/srv")}, []string{"info services.restic.r: restic job r leaves out /home/*/cache, which is beside all of its paths: the pattern matches nothing"}},
		{"R7 below, above and the same", []part{restic("r", "b2:x:y", excluding("/srv/a", "/srv/app", "/srv/app/x", "/srv/*/x", "/*/x"), "/srv/app", "/srv/a")}, nil},
		{"R7 paths of a command", []part{restic("r", "b2:x:y", func(j *stateward.Job) { excluding("/home/x")(j); j.DynamicPaths = known(true) }, "/srv")}, nil},
	})
}

func TestSW318(t *testing.T) {
	require.Empty(t, said(host(), "SW318"))
	check := []string{"warning systemd.services.restic-check-nas: restic-check-nas.service is there to check backups, and nothing that is read starts it"}
	unit := unitWith("restic-check-nas", nil)
	checkCases(t, "SW318", []copyCase{
		{"R13 no timer", []part{unit}, check},
		{"R13 a timer", []part{unit, timerOf("restic-check-nas")}, nil},
		{"R13 a timer of another name", []part{unit, timerOf("backup-verify")}, []string{"info" + check[0][len("warning"):] + "; what backup-verify.timer starts is not read"}},
		{"R13 another unit wants it", []part{unit, unitWith("nightly", func(u *stateward.Unit) { u.Wants = known([]string{"restic-check-nas.service"}) })}, nil},
		{"R13 a drill", []part{unitWith("restore-drill", nil)}, []string{"warning systemd.services.restore-drill: restore-drill.service is there to check backups, and nothing that is read starts it"}},
		{"R13 other checks", []part{unitWith("logrotate-checkconf", nil), unitWith("pre-check", nil), unitWith("restic-backups-a", nil)}, nil},
		{"R13 off", []part{unitWith("backup-verify", func(u *stateward.Unit) { u.Enable = known(false) })}, nil},
		{"R13 timers that could not be had", []part{unit, func(h *stateward.Host) { h.Timers = unknown[[]stateward.Timer]("x") }}, nil},
	})
}

func TestSW702(t *testing.T) {
	require.Empty(t, said(host(), "SW702"))
	keys := func(paths ...string) part {
		return func(h *stateward.Host) {
			for _, p := range paths {
				push(&h.SecretKeys, stateward.NewEntry(p, stateward.File, at("sops")))
			}
		}
	}
	decrypts := []string{"info services.restic.r: the password of restic job r is decrypted with /srv/key, which lies in that very backup; whether another key decrypts it too is not read"}
	checkCases(t, "SW702", []copyCase{
		{"R14 a file in the backup", []part{restic("r", "b2:x:y", secret("/srv/keys/restic"), "/srv")}, []string{"warning services.restic.r: the password of restic job r lies in /srv/keys/restic, and otherwise in that very backup only"}},
		{"R14 a file beside it", []part{restic("r", "b2:x:y", secret("/root/restic"), "/srv")}, nil},
		{"R14 a file that is left out", []part{restic("r", "b2:x:y", func(j *stateward.Job) { secret("/srv/keys/restic")(j); excluding("/srv/keys")(j) }, "/srv")}, nil},
		{"R14 the key is in the backup", []part{restic("r", "b2:x:y", secret("/run/secrets/restic"), "/srv"), keys("/srv/key")}, decrypts},
		{"R14 one of the keys is elsewhere", []part{restic("r", "b2:x:y", secret("/run/secrets/restic"), "/srv"), keys("/srv/key", "/etc/key")}, nil},
		{"R14 the key of agenix", []part{restic("r", "b2:x:y", secret("/run/agenix/restic"), "/srv"), keys("/srv/key")}, decrypts},
		{"R14 another secret of the running system", []part{restic("r", "b2:x:y", secret("/run/keys/restic"), "/"), keys("/srv/key")}, nil},
	})
}

// A canary: what a password is must not be said by a finding about it.
func TestSW703(t *testing.T) {
	require.Empty(t, said(host(), "SW703"))
	const canary = "hunter2-canary"
	cases := []copyCase{
		{"R11 in the address", []part{restic("r", "rest:https://forge:"+canary+"@nas/forge", nil, "/srv")}, []string{"error : the address of restic job r holds a password, which the world-readable store holds then too"}},
		{"R11 in the address of borg", []part{job("borg", "r", "ssh://u:"+canary+"@nas/r", nil, "/srv")}, []string{"error : the address of borg job r holds a password, which the world-readable store holds then too"}},
		{"R11 borg's passphrase", []part{job("borg", "r", "nas:r", func(j *stateward.Job) {
			j.Passphrase = stateward.Known(true, at("services", "borgbackup", "jobs", "r", "encryption", "passphrase"))
		}, "/srv")}, []string{"error services.borgbackup.jobs.r.encryption.passphrase: the passphrase of borg job r is written as a text, which the world-readable store holds then too"}},
		{"R11 a user without a password", []part{restic("r", "rest:https://forge@nas/forge", nil, "/srv")}, nil},
		{"R11 a file", []part{restic("r", "", func(j *stateward.Job) {
			j.Repository = stateward.Value[string]{}
			j.RepositoryFile = known(stateward.FileRef{Text: "/run/secrets/repository"})
		}, "/srv")}, nil},
	}
	checkCases(t, "SW703", cases)
	for _, tc := range cases {
		for _, d := range aggregate.Lint(aggregate.Input{Host: with(onZFS, tc.parts...)}).Findings {
			require.NotContains(t, fmt.Sprintf("%+v", d), canary)
		}
	}
}
