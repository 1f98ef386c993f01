package aggregate_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	resticbackup "github.com/stateward/stateward/backup/restic"
)

func evaluated(h *stateward.Host) aggregate.Evaluated {
	return aggregate.Evaluated{Name: h.Name, Host: h, Report: lint(h)}
}

// keeper is someHost with what only a diff compares: preseeds, policies, retention.
var keeper = rapid.Custom(func(t *rapid.T) *stateward.Host {
	h := someHost.Draw(t, "host")
	word := func(label string, words ...string) stateward.Value[string] {
		return maybe(t, label, at(label), rapid.SampledFrom(words))
	}
	span := func(label string) stateward.Value[stateward.Duration] {
		return maybe(t, label, at(label), rapid.Map(rapid.SampledFrom([]string{"1d", "24h", "7d"}), duration))
	}
	if rapid.Bool().Draw(t, "policies") {
		var list []stateward.SnapshotPolicy
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"tank", "tank/a"}), rapid.ID).Draw(t, "policies") {
			p := stateward.SnapshotPolicy{Name: name, Origin: at(name), Recursive: word("recursive", "yes", "no", "zfs"), Settings: map[string]stateward.Value[string]{}}
			for _, key := range []string{"hourly", "daily", "autoprune", "skip_children"} {
				if v := word(name+key, "0", "1", "30"); rapid.Bool().Draw(t, "set "+key) {
					p.Settings[key] = v
				}
			}
			list = append(list, p)
		}
		h.Snapshots = maybe(t, "snapshots", at("snapshots"), rapid.Just(list))
	}
	jobs := slices.Clone(h.Jobs.Or(nil))
	for i := range rapid.IntRange(0, 2).Draw(t, "more jobs") {
		o := index(at("jobs"), i)
		jobs = append(jobs, stateward.Job{Name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"), Engine: rapid.SampledFrom([]string{"restic", "borg"}).Draw(t, "engine"), Origin: o,
			Paths: maybe(t, "paths", o, rapid.Just(drawEntries(t, "path", stateward.Directory, o, 2))), Repository: word("repository", "/backup", "sftp:host:/b"),
			Schedule: maybe(t, "schedule", o, rapid.SampledFrom([][]string{{"daily"}, {"hourly"}, {"nonsense"}})),
			Prune:    maybe(t, "prune", o, rapid.SampledFrom([][]string{{"--keep-daily 7"}, {"--keep-weekly 4", "--keep-daily 3"}, {"--keep-last 1"}, {"keep-daily 3"}, {}})),
			Exclude:  maybe(t, "exclude", o, rapid.SampledFrom([][]string{{"a"}, {"b", "a"}}))})
	}
	h.Jobs = maybe(t, "all jobs", at("jobs"), rapid.Just(jobs))
	if services, ok := h.Services.Get(); ok {
		services = slices.Clone(services)
		seen := map[string]bool{}
		for i := range services {
			first := !seen[services[i].Name]
			seen[services[i].Name] = true
			if first && rapid.Bool().Draw(t, "preseed") {
				services[i].Preseed = &stateward.Preseed{Enable: maybe(t, "on", at("on"), rapid.Bool()), OnNoBackup: word("onNoBackup", "refuse", "start-empty", "?"), MaxAge: span("maxAge"),
					MinBytes: maybe(t, "min", at("min"), rapid.Int64Range(0, 2)), SQLite: maybe(t, "sqlite", at("sqlite"), rapid.Bool()),
					Command: maybe(t, "command", at("command"), rapid.SampledFrom([][]string{{"a"}, {"b"}, {}})), Sources: maybe(t, "sources", at("sources"), rapid.SampledFrom([][]string{{"local"}, {"restic", "local"}}))}
			}
		}
		h.Services = stateward.Known(services, h.Services.Origin())
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "clusters") {
		push(&h.PITRPolicies, stateward.PITRPolicy{Name: fmt.Sprint(i), Enable: maybe(t, "archived", at("pitr"), rapid.Bool()), Window: span("window"), ArchiveTimeout: span("timeout"),
			Redundancy: maybe(t, "redundancy", at("redundancy"), rapid.IntRange(1, 2)), Destination: word("destination", "s3://a", "s3://b"), Schedule: maybe(t, "base", at("base"), rapid.SampledFrom([][]string{{"daily"}, {"weekly"}}))})
	}
	if rapid.IntRange(0, 2).Draw(t, "pgBackRest") == 0 {
		p := stateward.PITR{Service: "pg", Enable: known(true), Settings: map[string]stateward.Value[string]{"archive_command": known(pushes)}}
		if rapid.Bool().Draw(t, "read") {
			global := map[string]stateward.Value[string]{}
			for _, key := range []string{"full", "full-type", "diff", "archive", "archive-type"} {
				global["repo1-retention-"+key] = word(key, "1", "2", "time", "count", "diff")
			}
			p.PgBackRest = &stateward.PgBackRest{Origin: at("pgbackrest"), Sections: map[string]map[string]stateward.Value[string]{"global": global, "main": {}}}
		}
		push(&h.PITR, p)
	}
	h.Acknowledgements = maybe(t, "acks", at("acks"), rapid.SampledFrom([][]stateward.Acknowledgement{nil, {{Code: "SW101", Service: "a", Reason: "known"}}, {{Code: "SW101", Service: "a", Reason: "still known"}}}))
	h.Guard = maybe(t, "guard", at("stateward", "guard"), rapid.Bool())
	h.HostName = word("hostName", "h", "i")
	return h
})

// seenFrom is what of a change must be the same, seen from the other side.
type seenFrom struct {
	effect                           aggregate.Effect
	kind                             aggregate.ChangeKind
	service, path, subject, from, to string
	tier                             stateward.Tier
}

func sides(list []aggregate.Change, mirror bool) []seenFrom {
	out := make([]seenFrom, 0, len(list))
	for _, c := range list {
		s := seenFrom{c.Effect, c.Kind, c.Service, c.Path, c.Subject, c.Old, c.New, c.Tier}
		if mirror {
			s.effect, s.from, s.to = c.Effect.Mirror(), c.New, c.Old
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b seenFrom) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return slices.Compact(out)
}

func TestNothingDiffersFromItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := evaluated(keeper.Draw(t, "host"))
		require.Empty(t, aggregate.DiffHost(e, e))
		require.Equal(t, []aggregate.HostDiff{{Name: "h", State: aggregate.HostSame, Changes: []aggregate.Change{}}}, aggregate.Diff([]aggregate.Evaluated{e}, []aggregate.Evaluated{e}))
	})
}

func TestDiffsAreMirrorImages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := evaluated(keeper.Draw(t, "old")), evaluated(keeper.Draw(t, "new"))
		require.Empty(t, gocmp.Diff(sides(aggregate.DiffHost(a, b), false), sides(aggregate.DiffHost(b, a), true), gocmp.AllowUnexported(seenFrom{})))
	})
}

func TestOrderDecidesNoDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keeper.Draw(t, "old"), keeper.Draw(t, "new")
		// What checks say of two file systems at one place hangs on which comes first, and a configuration cannot have two.
		diff := func(a, b *stateward.Host) []aggregate.Change {
			return slices.DeleteFunc(aggregate.DiffHost(evaluated(a), evaluated(b)), func(c aggregate.Change) bool { return c.Kind == aggregate.AboutFinding })
		}
		require.Empty(t, gocmp.Diff(diff(a, b), diff(shuffled(t, a), shuffled(t, b))))
	})
}

// What survives today and is not known to tomorrow is always told, and never as good or as nothing.
func TestNoLossGoesUntold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := evaluated(keeper.Draw(t, "old")), evaluated(keeper.Draw(t, "new"))
		changes := aggregate.DiffHost(a, b)
		after := map[[2]string]stateward.SurvivalRow{}
		for _, r := range b.Report.Survival {
			after[[2]string{r.Service, r.Path}] = r
		}
		for _, r := range a.Report.Survival {
			n, still := after[[2]string{r.Service, r.Path}]
			for _, tier := range stateward.Tiers() {
				if r.Path == "" || r.Tiers[tier].State != yes || still && (n.Tiers[tier].State == yes || n.Tiers[tier].State == stateward.SurvivalNotNeeded) {
					continue
				}
				told := slices.ContainsFunc(changes, func(c aggregate.Change) bool {
					bad := c.Effect == aggregate.Worse || c.Effect == aggregate.NotKnown || c.Effect == aggregate.Changed
					return bad && (c.Path == r.Path || c.Old == r.Path || c.Kind == aggregate.AboutService && c.Service == r.Service || c.Kind == aggregate.AboutRoot)
				})
				if !still && b.Report.Root.Wiped == no {
					continue // the host's own, on a root that is kept
				}
				require.True(t, told, "%s %s %s\n%v", r.Service, r.Path, tier, changes)
			}
		}
	})
}

func TestHostsThatComeGoAndFail(t *testing.T) {
	ok := func(name string) aggregate.Evaluated {
		e := evaluated(host())
		e.Name = name
		return e
	}
	failed := aggregate.Evaluated{Name: "failed", Problem: "it throws"}
	got := aggregate.Diff([]aggregate.Evaluated{ok("gone"), ok("same"), ok("failed")}, []aggregate.Evaluated{failed, ok("same"), ok("new")})
	var states []string
	for _, h := range got {
		states = append(states, h.Name+" "+string(h.State)+" "+h.NewProblem)
	}
	require.Equal(t, []string{"failed unknown it throws", "gone gone ", "new new ", "same same "}, states)
}

// changes are what DiffHost says, a line each.
func changes(a, b *stateward.Host) []string {
	var out []string
	for _, c := range aggregate.DiffHost(evaluated(a), evaluated(b)) {
		mark := string(c.Effect)
		if c.Loses {
			mark += "!"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", mark, c.Kind, c.Service, c.Message)))
	}
	return out
}

func TestDiffTells(t *testing.T) {
	wiped := []part{fileSystem("/", "none", "tmpfs"), fileSystem("/persist", "/dev/a", "ext4"), service("sonarr", "/var/lib/sonarr")}
	late := func(needed stateward.Value[bool], options ...string) []part {
		return []part{wiped[0], changedFS(mounted("/persist", "/dev/a", "ext4", options...), func(f *stateward.FileSystem) { f.NeededForBoot = needed }), wiped[2]}
	}
	guard := func(on stateward.Value[bool]) part { return func(h *stateward.Host) { h.Guard = on } }
	preseeded := func(p stateward.Preseed) part {
		return func(h *stateward.Host) {
			p.Enable = known(true)
			list := slices.Clone(h.Services.Or(nil))
			list[0].Preseed = &p
			h.Services = known(list)
		}
	}
	sanoid := func(settings ...string) part {
		return func(h *stateward.Host) {
			p := stateward.SnapshotPolicy{Name: "tank/a", Origin: at("services", "sanoid"), Settings: map[string]stateward.Value[string]{}}
			for i := 0; i < len(settings); i += 2 {
				p.Settings[settings[i]] = known(settings[i+1])
			}
			push(&h.Snapshots, p)
		}
	}
	restic := func(name, path, repository string, prune ...string) part {
		return func(h *stateward.Host) {
			o := at("services", "restic", "backups", name)
			push(&h.Jobs, stateward.Job{Name: name, Engine: "restic", Origin: o, Paths: known([]stateward.Entry{stateward.NewEntry(path, stateward.Directory, o)}),
				Repository: known(repository), Schedule: known([]string{"daily"}), Prune: known(prune)})
		}
	}
	asked := func(h *stateward.Host) {
		o := at("stateward", "services", "sonarr", "backup")
		push(&h.Jobs, stateward.Job{Name: "sonarr", Service: "sonarr", Asked: true, Origin: o, Paths: known([]stateward.Entry{stateward.NewEntry("/var/lib/sonarr", stateward.Directory, o)}),
			Repository: known("sftp:nas:/r"), PasswordFile: known(stateward.FileRef{Text: "/run/secrets/restic"}), Schedule: known([]string{"daily"})})
	}
	// The unit and the timer that are written of a job that is asked for.
	running := func(h *stateward.Host) {
		planned, _ := resticbackup.Plan(h, false)
		digest, err := resticbackup.Rendered{Job: *planned[0].Job, Timer: planned[0].Timer}.Digest()
		require.NoError(t, err)
		name := planned[0].Job.UnitName()
		push(&h.Units, stateward.Unit{Name: name + ".service", Enable: known(true), Job: known(digest)})
		push(&h.Timers, stateward.Timer{Name: name + ".timer", Enable: known(true)})
	}
	kept := []part{fileSystem("/", "/dev/a", "ext4")}
	wants := func(name, mountPoint, canMount string, properties ...string) part {
		return func(h *stateward.Host) {
			ds := stateward.Dataset{Name: name, MountPoint: known(mountPoint), CanMount: known(canMount), Asked: true, Properties: map[string]stateward.Value[string]{},
				Origin: at("stateward", "services", "sonarr", "dataset")}
			for i := 0; i < len(properties); i += 2 {
				ds.Properties[properties[i]] = known(properties[i+1])
			}
			push(&h.Datasets, ds)
		}
	}
	lastJob := func(change func(*stateward.Job)) part {
		return func(h *stateward.Host) {
			list := slices.Clone(h.Jobs.Or(nil))
			change(&list[len(list)-1])
			h.Jobs = known(list)
		}
	}
	withPassword := func(file string) part { return lastJob(secret(file)) }
	withExclude := func(patterns ...string) part { return lastJob(excluding(patterns...)) }
	for name, tc := range map[string]struct {
		old, new []part
		want     []string
	}{
		"a path that is not persisted any more": {
			append(wiped, persist("/persist", "/var/lib/sonarr")), wiped,
			[]string{`worse! tier sonarr: /var/lib/sonarr does not survive a reboot any more`},
		},
		"a path that nobody knows of any more": {
			append(wiped, persist("/persist", "/var/lib/sonarr")), append(wiped, func(h *stateward.Host) {
				h.Persistence = unknown[[]stateward.PersistenceRoot]("environment.persistence")
			}),
			[]string{
				`unknown! tier sonarr: whether /var/lib/sonarr survives a reboot is not known any more`,
				`unknown tier nixos: whether /etc/machine-id survives a reboot is not known, and until now it did not`,
			},
		},
		"P6 a persistence root that is not needed for boot any more": {
			append(wiped, persist("/persist", "/var/lib/sonarr", "/srv/photos")),
			append(late(known(false)), persist("/persist", "/var/lib/sonarr", "/srv/photos")),
			[]string{`worse! boot : fileSystems."/persist" is not needed for boot: from the next boot on it is mounted too late for 2 paths that are persisted (/srv/photos, /var/lib/sonarr), and what is kept is not seen there`},
		},
		"P6 a persistence root that is needed for boot from now on": {
			append(late(known(false)), persist("/persist", "/var/lib/sonarr")), append(wiped, persist("/persist", "/var/lib/sonarr")),
			[]string{`better boot : 1 path that is persisted (/var/lib/sonarr): mounted in time from now on, and until now fileSystems."/persist" is not needed for boot`},
		},
		"P6 whether a persistence root is needed for boot is not known any more": {
			append(wiped, persist("/persist", "/var/lib/sonarr")), append(late(unknown[bool]("needed")), persist("/persist", "/var/lib/sonarr")),
			[]string{`unknown! boot : whether fileSystems."/persist" comes in time for 1 path that is persisted (/var/lib/sonarr) is not known any more: whether it is needed for boot: needed: it throws`},
		},
		"P6 a late file system is put above what is persisted": {
			append(wiped, persist("/persist", "/srv/photos")),
			append(wiped, persist("/persist", "/srv/photos"), changedFS(mounted("/srv", "/dev/b", "ext4"), func(f *stateward.FileSystem) { f.NeededForBoot = known(false) })),
			[]string{`worse! boot : fileSystems."/srv" is not needed for boot: from the next boot on it is mounted too late for 1 path that is persisted (/srv/photos)`, `better tier : /srv survives a reboot now`},
		},
		"P6 nofail comes onto the persistence root": {
			append(wiped, systemdInitrd(true), persist("/persist", "/var/lib/sonarr")), append(late(known(true), "nofail"), systemdInitrd(true), persist("/persist", "/var/lib/sonarr")),
			[]string{`worse! boot : fileSystems."/persist" has the option nofail, by which the systemd initrd does not wait for it: from the next boot on it may be mounted too late`},
		},
		"P6 noauto takes the place of nofail": {
			append(late(known(true), "nofail"), systemdInitrd(true), persist("/persist", "/var/lib/sonarr")), append(late(known(true), "noauto"), systemdInitrd(true), persist("/persist", "/var/lib/sonarr")),
			[]string{`worse! boot : fileSystems."/persist" has the option noauto, by which the systemd initrd leaves it out: from the next boot on it is mounted too late`,
				"unknown! tier sonarr: whether /var/lib/sonarr survives a reboot is not known any more"},
		},
		"P6 nofail goes": {
			append(late(known(true), "nofail"), systemdInitrd(true), persist("/persist", "/var/lib/sonarr")), append(wiped, systemdInitrd(true), persist("/persist", "/var/lib/sonarr")),
			[]string{`better boot : 1 path that is persisted (/var/lib/sonarr): mounted in time from now on, and until now fileSystems."/persist" has the option nofail`},
		},
		"P6 the systemd initrd comes, and heeds nofail": {
			append(late(known(true), "nofail"), persist("/persist", "/var/lib/sonarr")), append(late(known(true), "nofail"), systemdInitrd(true), persist("/persist", "/var/lib/sonarr")),
			[]string{`worse! boot : fileSystems."/persist" has the option nofail`},
		},
		"P6 nofail where scripts mount it": {
			append(wiped, persist("/persist", "/var/lib/sonarr")), append(late(known(true), "nofail"), persist("/persist", "/var/lib/sonarr")), nil,
		},
		"photos that no service owns": {
			append(wiped, persist("/persist", "/srv/photos")), wiped,
			[]string{`worse! tier : /srv/photos does not survive a reboot any more`},
		},
		"P8 a persistence root elsewhere": {
			append(wiped, persist("/persist", "/var/lib/sonarr")), append(wiped, fileSystem("/keep", "/dev/b", "ext4"), persist("/keep", "/var/lib/sonarr")),
			[]string{`changed! place sonarr: /var/lib/sonarr lies in /dev/b, var/lib/sonarr from now on, and lay in /dev/a, var/lib/sonarr`},
		},
		"the same place under another service": {
			append(wiped, persist("/persist", "/var/lib/sonarr")),
			[]part{fileSystem("/", "none", "tmpfs"), fileSystem("/persist", "/dev/a", "ext4"), service("tv", "/var/lib/sonarr"), persist("/persist", "/var/lib/sonarr")},
			[]string{`changed state : /var/lib/sonarr is the state of tv from now on, and was that of sonarr`, `changed service sonarr: goes`, `changed service tv: comes`},
		},
		"state that moves": {
			[]part{service("sonarr", "/var/lib/sonarr")}, []part{service("sonarr", "/srv/sonarr")},
			[]string{`changed! state sonarr: the state is in /srv/sonarr from now on, and was in /var/lib/sonarr: nothing moves what is there`},
		},
		"another root": {
			kept, []part{fileSystem("/", "/dev/b", "ext4")},
			[]string{`changed! place : the root lies in /dev/b from now on, and lay in /dev/a: what is there is not moved`},
		},
		"one of several places of state that moves": {
			append(kept, service("sonarr", "/var/lib/sonarr", "/var/lib/media")),
			append(kept, service("sonarr", "/srv/sonarr", "/var/lib/media")),
			[]string{`changed! state sonarr: the state is in /srv/sonarr from now on, and was in /var/lib/sonarr: nothing moves what is there (survives reboot; until now survives reboot)`},
		},
		"state that moves with its dataset": {
			append(kept, dataset("tank/sonarr", "/var/lib/sonarr"), service("sonarr", "/var/lib/sonarr")),
			append(kept, dataset("tank/sonarr", "/srv/sonarr"), service("sonarr", "/srv/sonarr")),
			[]string{
				`changed dataset : dataset tank/sonarr moves from /var/lib/sonarr to /srv/sonarr`,
				`changed state sonarr: the state is in /srv/sonarr from now on, and was in /var/lib/sonarr: tank/sonarr comes along`,
			},
		},
		"P3 state that systemd moves as DynamicUser changes": {
			append(kept, service("sonarr", "/var/lib/sonarr")), append(kept, service("sonarr", "/var/lib/private/sonarr")),
			[]string{`changed state sonarr: the state is in /var/lib/private/sonarr from now on, and was in /var/lib/sonarr: systemd moves it as DynamicUser changes`},
		},
		"a dataset in the place of another one, which nothing that is read mounts": {
			append(wiped, wants("tank/sonarr", "/var/lib/sonarr", "on")), append(wiped, wants("tank/apps/sonarr", "/var/lib/sonarr", "on")),
			[]string{
				`changed! place sonarr: /var/lib/sonarr lies in tank/apps/sonarr from now on, and lay in tank/sonarr: what is there is not moved`,
				`changed dataset : dataset tank/apps/sonarr will be created`,
				`changed dataset : dataset tank/sonarr is not declared any more`,
			},
		},
		"D2 a dataset that is not asked for any more": {
			append(wiped, wants("tank/sonarr", "/var/lib/sonarr", "on")), wiped,
			[]string{
				`changed! place sonarr: /var/lib/sonarr lies in memory, var/lib/sonarr from now on, and lay in tank/sonarr: what is there is not moved`,
				`changed dataset : dataset tank/sonarr is not declared any more`,
				`known tier sonarr: it is known now that /var/lib/sonarr does not survive a reboot`,
				`known tier sonarr: it is known now that /var/lib/sonarr does not survive a bad change`,
			},
		},
		"D3 a dataset that is not mounted any more": {
			append(kept, wants("tank/sonarr", "/srv/other", "on")), append(kept, wants("tank/sonarr", "/srv/other", "noauto")),
			[]string{
				`changed! dataset : dataset tank/sonarr is not mounted any more (canmount=noauto): what is in it is not seen where it was`,
				`known tier : it is known now that /srv/other does not survive a bad change`,
			},
		},
		"D5 a dataset that cannot be planned": {
			append(kept, wants("tank/sonarr", "none", "on")), append(kept, wants("tank/sonarr", "none", "on", "recordsize", "3K")),
			[]string{`unknown dataset : what is declared of dataset tank/sonarr cannot be planned any more`},
		},
		"D3 what can only be given when a dataset is made": {
			append(kept, wants("tank/sonarr", "none", "on")), append(kept, wants("tank/sonarr", "none", "on", "casesensitivity", "insensitive")),
			[]string{`changed dataset : casesensitivity of dataset tank/sonarr is to be insensitive, and was not declared: it can only be given when a dataset is made`},
		},
		"another file with the password": {
			[]part{restic("all", "/srv", "/backup"), withPassword("/run/a")}, []part{restic("all", "/srv", "/backup"), withPassword("/run/b")},
			[]string{`changed job : restic job all has its password from /run/b from now on, and had it from /run/a`},
		},
		"a source of a preseed that is dropped": {
			append(wiped, preseeded(stateward.Preseed{Sources: known([]string{"local", "restic"})})), append(wiped, preseeded(stateward.Preseed{Sources: known([]string{"local"})})),
			[]string{`worse! preseed sonarr: the sources are local from now on, and were local restic: what only restic has is not restored any more`},
		},
		"R7 all in a folder left out": {
			append(kept, restic("all", "/srv", "b2:x:y")), append(kept, restic("all", "/srv", "b2:x:y"), withExclude("/srv/*")),
			[]string{`worse! tier : /srv does not survive the death of its disk any more`, `worse! tier : /srv does not survive the loss of the house any more`, `changed job : restic job all leaves out /srv/* from now on`},
		},
		"state that is not named any more, with its backup": {
			append(kept, service("sonarr", "/var/lib/sonarr", "/srv/media"), restic("all", "/srv/media", "b2:x:y")), append(kept, service("sonarr", "/var/lib/sonarr")),
			[]string{
				`worse job : restic job all is gone`,
				`changed! state sonarr: /srv/media is not named as state any more (survives reboot, disk, site until now); what lies there does not survive the death of its disk, nor the loss of the house from now on`,
			},
		},
		"S1 fewer daily snapshots, and more hourly ones": {
			[]part{sanoid("hourly", "24", "daily", "30", "monthly", "0")}, []part{sanoid("hourly", "36", "daily", "7", "monthly", "0")},
			[]string{
				`worse! retention : sanoid removes 23 of 54 snapshots of tank/a that it keeps now (23 daily): it keeps 36 hourly, 7 daily from now on, and kept 24 hourly, 30 daily`,
				`better retention : sanoid keeps more of tank/a (12 hourly): 36 hourly, 7 daily from now on, and kept 24 hourly, 30 daily`,
			},
		},
		"sanoid that begins to remove": {
			[]part{sanoid("hourly", "0", "daily", "7", "monthly", "0", "autoprune", "no")}, []part{sanoid("hourly", "0", "daily", "7", "monthly", "0")},
			[]string{`worse! retention : sanoid removes 8 of 15 snapshots of tank/a`},
		},
		"fewer snapshots of restic": {
			[]part{restic("all", "/srv", "/backup", "--keep-daily 30", "--keep-monthly 12")}, []part{restic("all", "/srv", "/backup", "--keep-daily 7")},
			[]string{`worse! retention : restic job all removes 33 of 40 snapshots that it keeps now: the oldest that stays is 6 days old, and not 307 days`},
		},
		"restic that begins to forget": {
			[]part{restic("all", "/srv", "/backup")}, []part{restic("all", "/srv", "/backup", "--keep-last 3")},
			[]string{`worse! retention : restic job all removes 4377 of 4380 snapshots that it keeps now: the oldest that stays is 2 days old, and not any age`},
		},
		"a job under another name": {
			[]part{restic("all", "/srv", "/backup")}, []part{restic("nightly", "/srv", "/backup")},
			[]string{`changed job : restic job all is called restic job nightly from now on: its snapshots get that name`},
		},
		"R10 a backup that was asked for, and is run from now on": {
			[]part{asked}, []part{func(h *stateward.Host) { asked(h); running(h) }},
			[]string{`known tier : /var/lib/sonarr is known now to survive the death of its disk`, `better job sonarr: restic job sonarr is run by a unit now`},
		},
		"R10 a backup that nothing runs any more": {
			[]part{func(h *stateward.Host) { asked(h); running(h) }}, []part{asked},
			[]string{
				`worse job sonarr: backup job sonarr is only asked for from now on: nothing that is read runs it`,
				`unknown! tier : whether /var/lib/sonarr survives the death of its disk is not known any more`,
			},
		},
		"a job of other paths, to another place": {
			[]part{restic("all", "/srv", "/backup")}, []part{restic("all", "/home", "/mnt")},
			[]string{
				`unknown tier : whether /home survives the death of its disk is not known, and until now it did not`,
				`changed job : restic job all reads /home from now on, and read /srv`,
				`changed job : restic job all stores in /mnt from now on, and stored in /backup`,
				`known tier : it is known now that /srv does not survive the death of its disk`,
			},
		},
		"E7 a preseed that fails open": {
			append(wiped, preseeded(stateward.Preseed{OnNoBackup: known("refuse"), MaxAge: known(duration("7d")), SQLite: known(true), Command: known([]string{"look"})})),
			append(wiped, preseeded(stateward.Preseed{OnNoBackup: known("start-empty"), Reason: known("new here")})),
			[]string{
				`worse! preseed sonarr: a command that looks at what is restored is not asked for any more (look until now)`,
				`worse! preseed sonarr: how old what is restored may be is not asked for any more (1w until now)`,
				`worse! preseed sonarr: it fails open: where no source has a backup, onNoBackup is start-empty from now on, and was refuse; the reason given is: new here`,
				`worse! preseed sonarr: a check of its databases is not asked for any more (sqlite until now)`,
			},
		},
		"a preseed that is not known any more": {
			append(wiped, preseeded(stateward.Preseed{})), append(wiped, preseeded(stateward.Preseed{OnNoBackup: unknown[string]("onNoBackup")})),
			[]string{`unknown! preseed sonarr: what happens where there is no backup is not known any more`},
		},
		"no preseed any more": {
			append(wiped, preseeded(stateward.Preseed{})), wiped,
			[]string{`worse! preseed sonarr: nothing fills an empty dataset any more`, `known tier sonarr: it is known now that /var/lib/sonarr does not survive a machine that is built anew`},
		},
		"G7 pgBackRest that keeps fewer": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\nrepo1-retention-diff=3\nrepo2-retention-full=30\nrepo2-retention-full-type=time\n[main]\npg1-path=/srv/pg")},
			[]part{pgBackRest("[global]\nrepo1-retention-full=2\nrepo1-retention-archive=1\nrepo2-retention-full=60\nrepo2-retention-full-type=time\n[main]\npg1-path=/srv/pg")},
			[]string{
				`worse! retention postgresql: pgBackRest keeps the log of 1 full backup of stanza main in repository 1 from now on, and kept the log of all backups: of older backups only the moment of their end can be restored`,
				`worse! retention postgresql: pgBackRest keeps 2 full backups of stanza main in repository 1 from now on, and kept 4 full backups: older ones are removed, with what is built on them and their log`,
				`better retention postgresql: pgBackRest keeps all differential backups of stanza main in repository 1 from now on, and kept 3 differential backups`,
				`better retention postgresql: pgBackRest keeps full backups of 60 days of stanza main in repository 2 from now on, and kept full backups of 30 days`,
			},
		},
		"G7 pgBackRest that begins to remove": {
			[]part{pgBackRest("[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[main]\npg1-path=/srv/pg\n[global:expire]\nrepo1-retention-full=4")},
			[]string{`worse! retention postgresql: pgBackRest keeps 4 full backups of stanza main in repository 1 from now on, and kept all full backups`},
		},
		"G7 pgBackRest that keeps days, and no number": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\n[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[global]\nrepo1-retention-full=4\nrepo1-retention-full-type=time\n[main]\npg1-path=/srv/pg")},
			[]string{`changed! retention postgresql: pgBackRest keeps full backups of 4 days of stanza main in repository 1 from now on, and kept 4 full backups: how many go by that is not worked out`},
		},
		"G7 what pgBackRest keeps is not seen any more": {
			[]part{pgBackRest("[main]\npg1-path=/srv/pg")}, []part{pgBackRest("", func(p *stateward.PgBackRest) { p.Text = unknown[string]("conf") })},
			[]string{`unknown! retention postgresql: what pgBackRest keeps is not known any more: conf: it throws`},
		},
		"G7 a number that pgBackRest refuses": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\n[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[global]\nrepo1-retention-full=many\n[main]\npg1-path=/srv/pg")},
			[]string{`unknown! retention postgresql: pgBackRest main repo1-retention-full is not known any more: conf: repo1-retention-full is no number above 0`},
		},
		"E9 the guard is switched off": {
			append(wiped, guard(known(true))), append(wiped, guard(known(false))),
			[]string{`worse guard : the guard is off from now on: no switch that would lose data is refused any more, and the one to this configuration is not looked at either`},
		},
		"E9 the module of the guard is not imported any more": {
			append(wiped, guard(known(true))), wiped, []string{`worse guard : the guard is off from now on`},
		},
		"E9 whether the guard is on is not known": {
			append(wiped, guard(known(true))), append(wiped, guard(unknown[bool]("guard"))), []string{`unknown guard : whether a switch that would lose data is refused is not known any more: guard: it throws`},
		},
		"the guard comes": {
			append(wiped, guard(known(false))), append(wiped, guard(known(true))), []string{`better guard : the guard is on from now on`},
		},
		"a guard that was never on": {wiped, append(wiped, guard(known(false))), nil},
		"pgBackRest with one repository less": {
			[]part{pgBackRest("[global]\nrepo1-path=/a\nrepo2-path=/b\n[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[global]\nrepo1-path=/a\n[main]\npg1-path=/srv/pg")},
			[]string{`worse pitr postgresql: pgBackRest has no repository 2 of stanza main any more: what it stored there stays`},
		},
		"G7 pgBackRest that keeps the log of differential backups only": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\nrepo1-retention-diff=2\n[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[global]\nrepo1-retention-full=4\nrepo1-retention-diff=2\nrepo1-retention-archive-type=diff\n[main]\npg1-path=/srv/pg")},
			[]string{`worse! retention postgresql: pgBackRest keeps the log of 2 diff backups of stanza main in repository 1 from now on, and kept the log of all backups`},
		},
		"G7 of which backups pgBackRest keeps the log is not known any more": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\n[main]\npg1-path=/srv/pg")},
			[]part{pgBackRest("", func(p *stateward.PgBackRest) {
				p.Text, p.Sections = stateward.Value[string]{}, map[string]map[string]stateward.Value[string]{"global": {"repo1-retention-full": known("4"), "repo1-retention-archive-type": unknown[string]("type")}, "main": {"pg1-path": known("/srv/pg")}}
			})},
			[]string{`unknown! retention postgresql: pgBackRest main repo1-retention-archive is not known any more: type: it throws`},
		},
		"G7 the log of as many as are kept": {
			[]part{pgBackRest("[global]\nrepo1-retention-full=4\n[main]\npg1-path=/srv/pg")}, []part{pgBackRest("[global]\nrepo1-retention-full=4\nrepo1-retention-archive=4\n[main]\npg1-path=/srv/pg")}, nil,
		},
		"G7 a shorter window beside a server that cannot be read any more": {
			[]part{func(h *stateward.Host) {
				push(&h.PITRPolicies, stateward.PITRPolicy{Name: "db", Window: known(duration("30d"))})
			}},
			[]part{func(h *stateward.Host) {
				h.PITR = unknown[[]stateward.PITR]("services.postgresql")
				push(&h.PITRPolicies, stateward.PITRPolicy{Name: "db", Window: known(duration("1d"))})
			}},
			[]string{`worse! pitr db: any moment of 1d can be come back to from now on, and of 4w 2d until now`, `unknown! pitr`},
		},
		"a shorter window": {
			[]part{func(h *stateward.Host) {
				push(&h.PITRPolicies, stateward.PITRPolicy{Name: "db", Window: known(duration("30d"))})
			}},
			[]part{func(h *stateward.Host) {
				push(&h.PITRPolicies, stateward.PITRPolicy{Name: "db", Window: known(duration("7d"))})
			}},
			[]string{`worse! pitr db: any moment of 1w can be come back to from now on, and of 4w 2d until now: older base backups, with their log, are removed`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.DeleteFunc(changes(host(tc.old...), host(tc.new...)), func(s string) bool {
				return strings.Contains(s, " finding ")
			})
			require.Len(t, got, len(tc.want), strings.Join(got, "\n"))
			for i, want := range tc.want {
				require.Contains(t, got[i], want, strings.Join(got, "\n"))
			}
		})
	}
}

func duration(s string) stateward.Duration {
	d, err := stateward.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}
