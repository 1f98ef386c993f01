package aggregate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// restic is a job that stores paths every day.
func restic(name, repository string, change func(*stateward.Job), paths ...string) part {
	return job("restic", name, repository, change, paths...)
}

func job(engine, name, repository string, change func(*stateward.Job), paths ...string) part {
	o := at("services", engine, name)
	j := stateward.Job{Name: name, Engine: engine, Origin: o, Repository: known(repository), Schedule: known([]string{"daily"}), RandomizedDelay: stateward.Value[stateward.Duration]{}}
	list := []stateward.Entry{}
	for _, p := range paths {
		list = append(list, stateward.NewEntry(p, stateward.Directory, o))
	}
	j.Paths = known(list)
	if change != nil {
		change(&j)
	}
	return func(h *stateward.Host) { push(&h.Jobs, j) }
}

func sanoid(name, recursive string, settings ...string) part {
	p := stateward.SnapshotPolicy{Name: name, Recursive: known(recursive), Schedule: known([]string{"hourly"}), Settings: map[string]stateward.Value[string]{}, Origin: at("services", "sanoid", "datasets", name)}
	for _, s := range settings {
		key, val, _ := strings.Cut(s, "=")
		p.Settings[key] = known(val)
	}
	return func(h *stateward.Host) { push(&h.Snapshots, p) }
}

func syncoid(source, target string, recursive bool, args ...string) part {
	return func(h *stateward.Host) {
		push(&h.Replications, stateward.Replication{
			Name: source, Source: known(source), Target: known(target), Recursive: known(recursive), ExtraArgs: known(args), Schedule: known([]string{"03:00"}),
			Origin: at("services", "syncoid", "commands", source),
		})
	}
}

func unitNamed(name string) part {
	return func(h *stateward.Host) { push(&h.Units, stateward.Unit{Name: name + ".service", Enable: known(true)}) }
}

// cells are the tiers of the one service "app", without what a reboot does.
func cells(h *stateward.Host) string {
	var out []string
	for _, r := range aggregate.Survival(h) {
		if r.Service != "app" {
			continue
		}
		for _, tier := range []stateward.Tier{stateward.TierRollback, stateward.TierDisk, stateward.TierSite} {
			c := r.Tiers[tier]
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s", c.State, c.RPO))+": "+c.By)
		}
	}
	return strings.Join(out, "\n")
}

func TestTiers(t *testing.T) {
	zfs := []part{fileSystem("/", "rpool/root", "zfs"), fileSystem("/srv", "tank/srv", "zfs"), fileSystem("/mnt/usb", "usb/backup", "zfs"), fileSystem("/mnt/nas", "nas:/x", "nfs"), fileSystem("/boot", "/dev/sda1", "ext4"), service("app", "/srv/app")}
	const none = "no snapshot policy that is read covers dataset tank/srv"
	const nothing = "no backup job or replication that is read covers it"
	lost := func(rollback, disk, site string) string { return rollback + "\n" + disk + "\n" + site }
	nearly := func(disk string) string { return lost("no: "+none, disk, "no: "+nothing) }
	away := func(disk string, site string) string { return lost("no: "+none, disk, site) }
	change := func(f func(*stateward.Job)) func(*stateward.Job) { return f }
	exclude := func(patterns ...string) func(*stateward.Job) {
		return func(j *stateward.Job) { j.Exclude = known(patterns) }
	}
	options := func(list ...string) func(*stateward.Job) {
		return func(j *stateward.Job) { j.Options = known(list) }
	}
	for _, tc := range []struct {
		name string
		base []part
		add  []part
		want string
	}{
		{"nothing is declared", zfs, nil, nearly("no: " + nothing)},

		// Snapshots.
		{"a policy of the dataset", zfs, []part{sanoid("tank/srv", "no")}, lost(`yes 1h 1min: services.sanoid.datasets."tank/srv"`, "no: "+nothing, "no: "+nothing)},
		{"S2 a recursive policy above", zfs, []part{sanoid("tank", "yes")}, lost(`yes 1h 1min: services.sanoid.datasets.tank`, "no: "+nothing, "no: "+nothing)},
		{"S2 a policy above that is not recursive", zfs, []part{sanoid("tank", "no")}, nearly("no: " + nothing)},
		{"S2 only the children of the dataset", zfs, []part{sanoid("tank/srv", "yes", "process_children_only=true")}, nearly("no: " + nothing)},
		{"S2 the nearest policy counts", zfs, []part{sanoid("tank", "yes"), sanoid("tank/srv", "no", "autosnap=false")}, lost(`no: services.sanoid.datasets."tank/srv" takes no snapshots that are kept`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one above takes all", zfs, []part{sanoid("tank", "zfs"), sanoid("tank/srv", "no", "autosnap=false")}, lost(`yes 1h 1min: services.sanoid.datasets.tank`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one above takes all, and the dataset keeps none", zfs, []part{sanoid("tank", "zfs"), sanoid("tank/srv", "no", "hourly=0", "daily=0", "monthly=0")}, lost(`no: services.sanoid.datasets."tank/srv" keeps none of the snapshots that services.sanoid.datasets.tank takes`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one above takes others than the dataset keeps", zfs, []part{sanoid("tank", "zfs", "hourly=0", "monthly=0"), sanoid("tank/srv", "no", "daily=0")}, lost(`no: services.sanoid.datasets."tank/srv" keeps none of the snapshots that services.sanoid.datasets.tank takes`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one above takes dailies, and the dataset asks for hourlies", zfs, []part{sanoid("tank", "zfs", "hourly=0"), sanoid("tank/srv", "no", "hourly=24")}, lost(`yes 1d 1min: services.sanoid.datasets.tank`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one above takes none, and so nothing does", zfs, []part{sanoid("tank", "zfs", "autosnap=no"), sanoid("tank/srv", "no", "autosnap=yes")}, lost(`no: services.sanoid.datasets.tank takes no snapshots that are kept`, "no: "+nothing, "no: "+nothing)},
		{"S2 an atomic one is passed over", zfs, []part{sanoid("tank", "zfs", "process_children_only=true")}, lost(`no: services.sanoid.datasets.tank takes no snapshots that are kept`, "no: "+nothing, "no: "+nothing)},
		{"S2 the dataset is passed over below a recursive one", zfs, []part{sanoid("tank", "yes"), sanoid("tank/srv", "yes", "process_children_only=true")}, nearly("no: " + nothing)},
		{"S2 what is below is skipped", zfs, []part{sanoid("tank", "yes", "skip_children=true")}, nearly("no: " + nothing)},
		{"S2 whether it covers itself is not known", zfs, []part{sanoid("tank", "yes"), func(h *stateward.Host) {
			sanoid("tank/srv", "no")(h)
			h.Snapshots.Or(nil)[1].Settings["process_children_only"] = unknown[string]("services.sanoid")
		}}, lost(`unknown: whether the snapshot policy of tank/srv covers tank/srv is not known`, "no: "+nothing, "no: "+nothing)},
		{"S1 all are 0", zfs, []part{sanoid("tank/srv", "no", "hourly=0", "daily=0", "monthly=0")}, lost(`no: services.sanoid.datasets."tank/srv" takes no snapshots that are kept`, "no: "+nothing, "no: "+nothing)},
		{"S1 dailies only", zfs, []part{sanoid("tank/srv", "no", "hourly=0", "daily=7")}, lost(`yes 1d 1min: services.sanoid.datasets."tank/srv"`, "no: "+nothing, "no: "+nothing)},
		{"S9 another tool", zfs, []part{unitNamed("zrepl")}, lost("unknown: zrepl.service may take snapshots, and of what is not read", "unknown: zrepl.service may make copies, and of what is not read", "unknown: zrepl.service may make copies, and of what is not read")},
		{"S9 the timers of NixOS", zfs, []part{unitNamed("zfs-snapshot-hourly")}, lost("unknown: zfs-snapshot-hourly.service may take snapshots, and of what is not read", "no: "+nothing, "no: "+nothing)},
		{"N10 no timer of sanoid", zfs, []part{func(h *stateward.Host) {
			push(&h.Snapshots, stateward.SnapshotPolicy{Name: "tank/srv", Origin: at("x")})
		}}, lost("unknown: no timer is seen that runs sanoid", "no: "+nothing, "no: "+nothing)},
		{"policies that could not be had", zfs, []part{func(h *stateward.Host) { h.Snapshots = unknown[[]stateward.SnapshotPolicy]("services.sanoid") }}, lost("unknown: services.sanoid: it throws", "no: "+nothing, "no: "+nothing)},
		{"N9 through persistence", []part{fileSystem("/", "tmpfs", "tmpfs"), fileSystem("/persist", "rpool/safe/persist", "zfs"), service("app", "/var/lib/app"), persist("/persist", "/var/lib/app"), sanoid("rpool/safe", "yes")},
			[]part{restic("r", "b2:x:y", nil, "/persist")}, lost(`yes 1h 1min: services.sanoid.datasets."rpool/safe"`, "yes 1d 1min: services.restic.r to b2:x:y", "yes 1d 1min: services.restic.r to b2:x:y")},
		{"what is lost at every boot has no snapshot", []part{fileSystem("/", "tmpfs", "tmpfs"), service("app", "/var/lib/app"), sanoid("rpool", "yes")}, nil, lost("no: it lies in memory", "no: "+nothing, "no: "+nothing)},
		{"N9 a bind mount", zfs, []part{service("app", "/app"), fileSystem("/app", "/srv/app", "none", "bind"), sanoid("tank/srv", "no")},
			lost(`yes 1h 1min: services.sanoid.datasets."tank/srv"`, "no: "+nothing, "no: "+nothing) + "\n" + lost(`yes 1h 1min: services.sanoid.datasets."tank/srv"`, "no: "+nothing, "no: "+nothing)},

		// Where a repository lies.
		{"R11 a repository on the pool of the data", zfs, []part{restic("r", "/srv/backup", nil, "/srv")}, away("no: services.restic.r to /srv/backup: the repository lies on tank as the data does", "no: services.restic.r to /srv/backup stays in the house")},
		{"R11 a repository on another pool", zfs, []part{restic("r", "/mnt/usb/r", nil, "/srv")}, away("yes 1d 1min: services.restic.r to /mnt/usb/r", "no: services.restic.r to /mnt/usb/r stays in the house")},
		{"R11 a repository on another machine's disk", zfs, []part{restic("r", "/mnt/nas/r", nil, "/srv")}, away("yes 1d 1min: services.restic.r to /mnt/nas/r", "no: services.restic.r to /mnt/nas/r stays in the house")},
		{"R11 a repository on what may be the same disk", zfs, []part{restic("r", "/boot/r", nil, "/srv")}, away("unknown: services.restic.r to /boot/r: whether tank and /dev/sda1 are on one disk is not known", "no: services.restic.r to /boot/r stays in the house")},
		{"a repository on another host", zfs, []part{restic("r", "sftp:nas:/r", nil, "/srv")}, away("yes 1d 1min: services.restic.r to sftp:nas:/r", "unknown: in which house nas stands is not known")},
		{"a repository at a provider", zfs, []part{job("borg", "r", "u1@u1.your-storagebox.de:r", nil, "/srv")}, away("yes 1d 1min: services.borg.r to u1@u1.your-storagebox.de:r", "yes 1d 1min: services.borg.r to u1@u1.your-storagebox.de:r")},
		{"a server on the host itself", zfs, []part{restic("r", "rest:http://localhost:8000/", nil, "/srv")}, away("unknown: services.restic.r to rest:http://localhost:8000/ is a server on this host, and where that stores is not read", "unknown: services.restic.r to rest:http://localhost:8000/ is a server on this host, and where that stores is not read")},

		// When.
		{"N10 no timer is no proof", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.Schedule = stateward.Value[[]string]{} }), "/srv")},
			away("unknown: restic job r has no timer that is read, and what starts it is not known", "unknown: restic job r has no timer that is read, and what starts it is not known")},
		{"a timer without a calendar", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) {
			j.Schedule = stateward.NotKnown[[]string](stateward.Unknown{Subject: "t", Kind: stateward.UnknownForm})
		}), "/srv")}, away("yes: services.restic.r to b2:x:y", "yes: services.restic.r to b2:x:y")},
		{"R12 a calendar that is none starts nothing", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.Schedule = stateward.Known([]string{"25:00"}, at("t")) }), "/srv")},
			away(`unknown: t: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23`, `unknown: t: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23`)},
		{"R12 a calendar of sanoid that is none takes nothing", zfs, []part{func(h *stateward.Host) {
			push(&h.Snapshots, stateward.SnapshotPolicy{Name: "tank/srv", Schedule: stateward.Known([]string{"25:00"}, at("t")), Origin: at("s")})
		}}, `unknown: t: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23` + "\nno: " + nothing + "\nno: " + nothing},
		{"R12 a calendar of syncoid that is none sends nothing", zfs, []part{syncoid("tank/srv", "nas:b", false), func(h *stateward.Host) {
			list := h.Replications.Or(nil)
			list[0].Schedule = stateward.Known([]string{"25:00"}, at("t"))
		}}, away(`unknown: t: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23`, `unknown: t: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23`)},
		{"R12 a delay", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) {
			d, _ := stateward.ParseDuration("4h")
			j.RandomizedDelay = known(d)
		}), "/srv")}, away("yes 1d 4h 1min: services.restic.r to b2:x:y", "yes 1d 4h 1min: services.restic.r to b2:x:y")},
		{"a timer that never elapses", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.Schedule = known([]string{"2020-01-01"}) }), "/srv")},
			away("no: services.restic.r to b2:x:y: no calendar event elapses any more", "no: services.restic.r to b2:x:y: no calendar event elapses any more")},
		{"the best of two", zfs, []part{restic("a", "sftp:nas:/r", nil, "/srv"), restic("b", "b2:x:y", change(func(j *stateward.Job) { j.Schedule = known([]string{"hourly"}) }), "/srv/app")},
			away("yes 1h 1min: services.restic.b to b2:x:y", "yes 1h 1min: services.restic.b to b2:x:y")},
		{"R10 a job that is only asked for", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.Asked = true }), "/srv")},
			away("unknown: services.restic.r is asked for, and nothing that is read runs it", "unknown: services.restic.r is asked for, and nothing that is read runs it")},

		// What.
		{"a job of another place", zfs, []part{restic("r", "b2:x:y", nil, "/srv/other", "/srv/ap")}, nearly("no: " + nothing)},
		{"R7 it is left out", zfs, []part{restic("r", "b2:x:y", exclude("/srv/app"), "/srv")}, nearly("no: " + nothing)},
		{"R7 what is above is left out", zfs, []part{restic("r", "b2:x:y", exclude("srv/"), "/srv")}, nearly("no: " + nothing)},
		{"R7 all that lies in it is left out", zfs, []part{restic("r", "b2:x:y", exclude("app/*"), "/srv")}, nearly("no: " + nothing)},
		{"R7 all that lies above it is left out, but for something", zfs, []part{restic("r", "b2:x:y", exclude("/srv/*", "!/srv/app"), "/srv")}, away(`unknown: restic job r may leave it out by the pattern "!/srv/app"`, `unknown: restic job r may leave it out by the pattern "!/srv/app"`)},
		{"R7 a part of it is left out", zfs, []part{restic("r", "b2:x:y", exclude("/srv/app/cache", "*.tmp", "cache"), "/srv")}, away("yes 1d 1min: services.restic.r to b2:x:y", "yes 1d 1min: services.restic.r to b2:x:y")},
		{"R7 a pattern that may match", zfs, []part{restic("r", "b2:x:y", exclude("/srv/[ab]*"), "/srv")}, away(`unknown: restic job r may leave it out by the pattern "/srv/[ab]*"`, `unknown: restic job r may leave it out by the pattern "/srv/[ab]*"`)},
		{"R7 borg's patterns", zfs, []part{job("borg", "r", "b2:x", exclude("*/app"), "/srv")}, away(`unknown: borg job r may leave it out by the pattern "*/app"`, `unknown: borg job r may leave it out by the pattern "*/app"`)},
		{"R7 it is left out by an option", zfs, []part{restic("r", "b2:x:y", options("--tag a", "--exclude=/srv/app"), "/srv")}, nearly("no: " + nothing)},
		{"R7 an option that leaves out something else", zfs, []part{restic("r", "b2:x:y", options("--exclude", "/srv/other", "--host forge", "--exclude-caches"), "/srv")}, away("yes 1d 1min: services.restic.r to b2:x:y", "yes 1d 1min: services.restic.r to b2:x:y")},
		{"R7 an option whose file is not read", zfs, []part{restic("r", "b2:x:y", options("--exclude-file=/etc/x"), "/srv")}, away("unknown: restic job r may leave it out by its option --exclude-file", "unknown: restic job r may leave it out by its option --exclude-file")},
		{"R7 a dry run", zfs, []part{restic("r", "b2:x:y", options("-n"), "/srv")}, away("unknown: restic job r may leave it out by its option -n", "unknown: restic job r may leave it out by its option -n")},
		{"R7 what a shell makes of it", zfs, []part{restic("r", "b2:x:y", options(`--exclude "$dir"`), "/srv")}, away("unknown: restic job r may leave it out by its option --exclude", "unknown: restic job r may leave it out by its option --exclude")},
		{"R7 options that are unknown", zfs, []part{restic("r", "b2:x:y", func(j *stateward.Job) {
			j.Options = stateward.NotKnown[[]string](stateward.Unknown{Subject: "services.restic.backups.r.extraBackupArgs", Kind: stateward.UnknownThrow, Message: "no"})
		}, "/srv")}, away("unknown: services.restic.backups.r.extraBackupArgs: no", "unknown: services.restic.backups.r.extraBackupArgs: no")},
		{"R7 borg's own patterns", zfs, []part{job("borg", "r", "b2:x", options("--stats", "--pattern - /srv/app"), "/srv")}, away("unknown: borg job r may leave it out by its option --pattern", "unknown: borg job r may leave it out by its option --pattern")},
		{"R7 borg cuts off what leads", zfs, []part{job("borg", "r", "b2:x", exclude("srv/app"), "/srv")}, nearly("no: " + nothing)},
		{"another file system below", zfs, []part{restic("r", "b2:x:y", nil, "/")}, away("unknown: whether restic job r goes from / into other file systems is not read", "unknown: whether restic job r goes from / into other file systems is not read")},
		{"R2 the snapshot of another dataset", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.Dataset = known("rpool/root") }), "/")}, nearly("no: " + nothing)},
		{"paths of a command", zfs, []part{restic("r", "b2:x:y", change(func(j *stateward.Job) { j.DynamicPaths = known(true) }))}, away("unknown: restic job r adds paths by a command that is not read", "unknown: restic job r adds paths by a command that is not read")},
		{"a tool that is not read", zfs, []part{unitNamed("borgmatic")}, away("unknown: borgmatic.service may make copies, and of what is not read", "unknown: borgmatic.service may make copies, and of what is not read")},
		{"the unit of a job", zfs, []part{restic("r", "b2:x:y", nil, "/other"), unitNamed("restic-backups-r")}, nearly("no: " + nothing)},
		{"units that could not be had", zfs, []part{func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("systemd.services") }}, lost("unknown: systemd.services: it throws", "unknown: systemd.services: it throws", "unknown: systemd.services: it throws")},

		// Replication.
		{"a replication to another host", zfs, []part{syncoid("tank", "root@nas:backup/tank", true)}, away("yes 1d 1min: services.syncoid.commands.tank to nas:backup/tank", "unknown: in which house nas stands is not known")},
		{"a replication without children", zfs, []part{syncoid("tank", "nas:backup/tank", false)}, nearly("no: " + nothing)},
		{"S8 a replication to the same pool", zfs, []part{syncoid("tank/srv", "tank/copy", false)}, away(`no: services.syncoid.commands."tank/srv" to tank/copy stays on the same pool`, `no: services.syncoid.commands."tank/srv" to tank/copy stays in the house`)},
		{"S8 a replication to another pool", zfs, []part{syncoid("tank/srv", "usb/copy", false)}, away(`yes 1d 1min: services.syncoid.commands."tank/srv" to usb/copy`, `no: services.syncoid.commands."tank/srv" to usb/copy stays in the house`)},
		{"R10 a replication that leaves it out", zfs, []part{syncoid("tank", "usb/tank", true, "--exclude=tank/s")}, away("no: replication tank leaves it out by --exclude", "no: replication tank leaves it out by --exclude")},
		{"R10 a replication that leaves out another", zfs, []part{syncoid("tank", "usb/tank", true, "--exclude", "^tank/docker$", "--skip-parent")}, away("yes 1d 1min: services.syncoid.commands.tank to usb/tank", "no: services.syncoid.commands.tank to usb/tank stays in the house")},
		{"R10 a pattern that is not understood", zfs, []part{syncoid("tank", "usb/tank", true, "--exclude=tank/(?!x)")}, away("unknown: replication tank may leave it out by --exclude", "unknown: replication tank may leave it out by --exclude")},
		{"R10 a pattern without recursion", zfs, []part{syncoid("tank/srv", "usb/copy", false, "--exclude=srv")}, away(`yes 1d 1min: services.syncoid.commands."tank/srv" to usb/copy`, `no: services.syncoid.commands."tank/srv" to usb/copy stays in the house`)},
		{"R10 a replication of what is below only", zfs, []part{syncoid("tank/srv", "usb/copy", true, "--skip-parent")}, away("no: replication tank/srv leaves it out by --skip-parent", "no: replication tank/srv leaves it out by --skip-parent")},
		{"R10 a replication of some snapshots", zfs, []part{syncoid("tank/srv", "usb/copy", false, "--include-snaps=x")}, away("unknown: replication tank/srv leaves out snapshots by --include-snaps", "unknown: replication tank/srv leaves out snapshots by --include-snaps")},
		{"R10 a property leaves it out", zfs, []part{syncoid("tank", "usb/tank", true), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank", Properties: map[string]stateward.Value[string]{"syncoid:sync": known("false")}})
		}}, away("no: replication tank leaves it out by syncoid:sync=false of tank", "no: replication tank leaves it out by syncoid:sync=false of tank")},
		{"S8 a replication from another host", zfs, []part{syncoid("nas:tank/srv", "usb/copy", false)}, nearly("no: " + nothing)},
		{"R12 only what the policy took is sent", zfs, []part{syncoid("tank/srv", "nas:x/srv", false, "--no-sync-snap"), sanoid("tank/srv", "no")},
			lost(`yes 1h 1min: services.sanoid.datasets."tank/srv"`, `yes 1d 1h 2min: services.syncoid.commands."tank/srv" to nas:x/srv`, "unknown: in which house nas stands is not known")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, cells(with(tc.base, tc.add...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
