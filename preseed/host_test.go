package preseed_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

func known[T any](v T) stateward.Value[T] {
	return stateward.Known(v, stateward.Origin{Option: "o"})
}

func entry(at string) stateward.Entry {
	return stateward.NewEntry(at, stateward.Directory, stateward.Origin{})
}

// forge is a host with one service that is backed up and replicated, and asks for a preseed.
func forge(change ...func(*stateward.Host, *stateward.Service, *stateward.Preseed)) *stateward.Host {
	p := &stateward.Preseed{Enable: known(true), Origin: stateward.Origin{Option: "stateward.services.app.preseed"}}
	s := &stateward.Service{Name: "app", Enable: known(true), Units: []string{"app.service"}, Preseed: p, DataDir: known(entry("/var/lib/app"))}
	d := stateward.Dataset{Name: "tank/app", MountPoint: known("/var/lib/app"), Properties: map[string]stateward.Value[string]{"recordsize": known("16K"), "canmount": known("on")},
		Asked: true, Origin: stateward.Origin{Option: "stateward.services.app.dataset"}}
	d.Owner = stateward.MapValue(known("app"), stateward.ParseOwner)
	s.Dataset = &d
	h := &stateward.Host{Name: "forge", HostName: known("forge")}
	h.Replications = known([]stateward.Replication{{Name: "app", Source: known("tank/app"), Target: known("u@nas:backup/app"), ExtraArgs: known([]string{"--no-sync-snap"})}})
	h.BackupRepositories = known([]stateward.BackupRepository{
		{Name: "nas", URL: known("/srv/restic"), PasswordFile: known(stateward.FileRef{Text: "/p"}), Primary: known(true)},
		{Name: "b2", URL: known("b2:x:y"), PasswordFile: known(stateward.FileRef{Text: "/p"}), EnvironmentFile: known(stateward.FileRef{Text: "/e"})},
	})
	h.BackupDefaults = &stateward.Job{Settings: map[string]stateward.Value[string]{"metricsDir": known("/var/lib/metrics")}}
	h.Jobs = known([]stateward.Job{{Name: "app", Engine: "restic", Asked: true, Service: "app", Targets: known([]string{"nas", "b2"}), Schedule: known([]string{"daily"}),
		Paths: known([]stateward.Entry{entry("/var/lib/app")}), Origin: stateward.Origin{Option: "stateward.services.app.backup"}}})
	h.Tmpfiles = known([]stateward.TmpfilesRule{{Type: "d", At: entry("/var/lib/app/media")}, {Type: "f", At: entry("/var/lib/app/file")}, {Type: "d", At: entry("/var/lib/other")}})
	for _, c := range change {
		c(h, s, p)
	}
	if h.Datasets.IsAbsent() {
		h.Datasets = known([]stateward.Dataset{*s.Dataset})
	}
	h.Services = known([]stateward.Service{*s})
	return h
}

type change = func(*stateward.Host, *stateward.Service, *stateward.Preseed)

// The archive of a cluster is a source where it is listed, and where a policy is one of a cluster in the dataset.
func TestFromHostAnArchive(t *testing.T) {
	cluster := func(dir string) stateward.PITRPolicy {
		return stateward.PITRPolicy{Name: "app", Enable: known(true), Destination: known("s3://b/pg"), Server: known("forge"), Schedule: known([]string{"daily"}),
			EnvironmentFile: known(stateward.FileRef{Text: "/e"}), Cluster: stateward.PITRCluster{DataDir: known(dir), User: known("postgres"), Version: known(17), Unit: known("app.service")}}
	}
	for name, c := range map[string]struct {
		policies stateward.Value[[]stateward.PITRPolicy]
		want     string
		log      string // where a dataset for the log is mounted
	}{
		"below the mountpoint": {known([]stateward.PITRPolicy{cluster("/var/lib/app/17")}), "", ""},
		"itself":               {known([]stateward.PITRPolicy{cluster("/var/lib/app")}), "", ""},
		"elsewhere":            {known([]stateward.PITRPolicy{cluster("/var/lib/application")}), "does not lie below /var/lib/app", ""},
		"not archived":         {known([]stateward.PITRPolicy{}), "pitr is listed, and no cluster in /var/lib/app is archived", ""},
		"unknown":              {stateward.NotKnown[[]stateward.PITRPolicy](stateward.Unknown{Subject: "stateward.pitr", Kind: stateward.UnknownThrow, Message: "it throws"}), "which clusters are to be archived is unknown", ""},
		"its log elsewhere":    {known([]stateward.PITRPolicy{cluster("/var/lib/app/17")}), "the log of app lies on tank/log, and a preseed fills one dataset", "/var/lib/app/17/pg_wal"},
	} {
		t.Run(name, func(t *testing.T) {
			h := forge(func(h *stateward.Host, s *stateward.Service, p *stateward.Preseed) {
				p.Sources = known([]string{"local", "pitr"})
				h.PITRPolicies = c.policies
				if c.log != "" {
					h.Datasets = known([]stateward.Dataset{*s.Dataset, {Name: "tank/log", MountPoint: known(c.log)}})
				}
			})
			list, _ := preseed.FromHost(h, false)
			require.Len(t, list, 1)
			if c.want == "" {
				require.Empty(t, list[0].Faults)
				require.Equal(t, []preseed.Source{{Kind: preseed.Local}, {Kind: preseed.PITR, Policy: "/etc/stateward/pitr/app.json"}}, list[0].Plan.Sources)
				require.True(t, list[0].Plan.Remote(nil))
				return
			}
			require.Len(t, list[0].Faults, 1)
			require.Contains(t, list[0].Faults[0].Message, c.want)
			require.Nil(t, list[0].Plan)
		})
	}
}

func TestFromHost(t *testing.T) {
	job := preseed.Source{Kind: preseed.Restic, Job: "/etc/stateward/backup/app.json"}
	replica := preseed.Source{Kind: preseed.Replica, From: "u@nas:backup/app"}
	want := preseed.Plan{ProtocolVersion: "1", Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: "tank/app", Mountpoint: "/var/lib/app",
		Properties: map[string]string{"recordsize": "16K"}, Owner: "app", MayHold: []string{"file", "media"}, Sources: []preseed.Source{{Kind: preseed.Local}, replica, job},
		OnNoBackup: preseed.Refuse, MetricsDir: "/var/lib/metrics"}
	for name, c := range map[string]struct {
		change change
		want   func(*preseed.Plan)
	}{
		"what is left out": {nil, nil},
		"the order of the user": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources = known([]string{"restic", "local"})
		},
			func(p *preseed.Plan) { p.Sources = []preseed.Source{job, {Kind: preseed.Local}} }},
		"no replica and no backup": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.Replications, h.Jobs = stateward.Value[[]stateward.Replication]{}, stateward.Value[[]stateward.Job]{}
		}, func(p *preseed.Plan) { p.Sources = p.Sources[:1] }},
		"another repository, by name": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Repository = known("b2") },
			func(p *preseed.Plan) { p.Sources[2].Job = "/etc/stateward/backup/app-b2.json" }},
		"another repository, by address": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Repository = known("b2:x:y") },
			func(p *preseed.Plan) { p.Sources[2].Job = "/etc/stateward/backup/app-b2.json" }},
		"a key for its own replication": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.SSHKey, p.KnownHosts = known("/k"), known("/h")
		},
			func(p *preseed.Plan) { p.Sources[1].SSHKey, p.Sources[1].KnownHosts = "/k", "/h" }},
		"a replica of a parent": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.Replications = known([]stateward.Replication{{Name: "all", Source: known("tank"), Target: known("u@nas:backup/tank"), Recursive: known(true)}})
		}, func(p *preseed.Plan) { p.Sources[1].From = "u@nas:backup/tank/app" }},
		"an asked replication": {func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			h.Replications = stateward.Value[[]stateward.Replication]{}
			s.Dataset.Replicate = []stateward.AskedReplication{{Target: known("u@nas:backup/app"), SSHKey: known("/k"), HostKeys: known([]string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lqyM9T2ZrTn2UNtHOB3rOJm7MvdGsVGYF5PTsJ2SG"}), Raw: known(false)}}
		}, func(p *preseed.Plan) {
			p.Sources[1].SSHKey, p.Sources[1].KnownHosts = "/k", "/etc/stateward/syncoid-tank-app.known_hosts"
		}},
		"units of another dialect": {func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			s.Units = nil
			h.Units = known([]stateward.Unit{{Name: "podman-app.service", Enable: known(true)}, {Name: "zfs-service-datasets.service", Enable: known(true), MakesDatasets: known([]string{"zfs create"})}})
		}, func(p *preseed.Plan) { p.Units = []string{"podman-app.service"} }},
		"a command for bash": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Command = known([]string{"bash", "-c", "true", "bash"})
		},
			func(p *preseed.Plan) { p.Command = []string{"/usr/bin/env", "bash", "-c", "true", "bash"} }},
		"what the backup tells": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.BackupDefaults.Settings["notify.onFailure"] = known("critical")
		}, func(p *preseed.Plan) { p.Notify.OnFailure = "critical" }},
		"E7 start empty, and why": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.OnNoBackup, p.Reason = known("start-empty"), known("a cache")
		}, func(p *preseed.Plan) { p.OnNoBackup = preseed.StartEmpty }},
		"paths of both kinds": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Paths = known([]string{"db", "/var/lib/app/conf/"})
		},
			func(p *preseed.Plan) { p.Paths = []string{"db", "conf"} }},
		"E12 the key of a parent": {func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			s.Dataset.Name = "tank/safe/app"
			h.Datasets = known([]stateward.Dataset{{Name: "tank/safe", MountPoint: known("none"), Properties: map[string]stateward.Value[string]{"encryption": known("on"), "keyformat": known("raw"), "keylocation": known("file:///run/secrets/key")}, Asked: true}, *s.Dataset})
			h.Replications = stateward.Value[[]stateward.Replication]{}
		}, func(p *preseed.Plan) {
			p.Dataset, p.Staging, p.Sources = "tank/safe/app", "tank/safe/stateward-staging", []preseed.Source{p.Sources[0], p.Sources[2]}
		}},
		"another dataset within": {func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			h.Datasets = known([]stateward.Dataset{*s.Dataset, {Name: "tank/photos", MountPoint: known("/var/lib/app/photos"), Asked: true}})
		}, func(p *preseed.Plan) { p.MayHold = []string{"file", "media", "photos"} }},
	} {
		t.Run(name, func(t *testing.T) {
			h := forge()
			if c.change != nil {
				h = forge(c.change)
			}
			list, faults := preseed.FromHost(h, false)
			require.Empty(t, faults)
			require.Len(t, list, 1)
			require.Empty(t, list[0].Faults)
			expected := want
			expected.Sources = append([]preseed.Source{}, want.Sources...)
			if c.want != nil {
				c.want(&expected)
			}
			require.Empty(t, cmp.Diff(&expected, list[0].Plan))
			again, _ := preseed.FromHost(h, false)
			require.Empty(t, cmp.Diff(list, again, cmp.Comparer(func(a, b stateward.Origin) bool { return a == b })))
		})
	}
}

func TestFromHostSaysWhyThereIsNoPlan(t *testing.T) {
	unknown := stateward.Unknown{Subject: "x.y", Kind: stateward.UnknownThrow}
	for name, c := range map[string]struct {
		change change
		kind   preseed.FaultKind
		text   string
	}{
		"E7 no reason": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.OnNoBackup = known("start-empty")
		}, preseed.NoReason, "no reason is written"},
		"no sources": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Sources = known([]string{}) }, preseed.NoSource, "the list of sources is empty"},
		"replica without a replication": {func(h *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources, h.Replications = known([]string{"replica"}), stateward.Value[[]stateward.Replication]{}
		}, preseed.SourceMissing, "replica is listed, and nothing sends snapshots of tank/app anywhere"},
		"restic without a backup": {func(h *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources, h.Jobs = known([]string{"restic"}), stateward.Value[[]stateward.Job]{}
		}, preseed.SourceMissing, "restic is listed, and no job backs /var/lib/app up"},
		"R2 a job of something else": {func(h *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources = known([]string{"restic"})
			h.Jobs = known([]stateward.Job{{Name: "etc", Engine: "restic", Repository: known("/r"), Paths: known([]stateward.Entry{entry("/etc")}), Origin: stateward.Origin{Option: "services.restic.backups.etc"}}})
		}, preseed.SourceMissing, "no job backs /var/lib/app up"},
		"a job that something else runs": {func(h *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources = known([]string{"restic"})
			h.Jobs = known([]stateward.Job{{Name: "app", Engine: "restic", Repository: known("/r"), Paths: known([]stateward.Entry{entry("/var/lib")}), Origin: stateward.Origin{Option: "services.restic.backups.app"}}})
		}, preseed.SourceMissing, "is run by services.restic.backups.app"},
		"a job that cannot be rendered": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			jobs := h.Jobs.Or(nil)
			jobs[0].Targets = known([]string{"ofsite"})
		}, preseed.SourceMissing, `backup job app cannot be rendered: no repository is named "ofsite"`},
		"a repository to which no job goes": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Repository = known("other") }, preseed.SourceMissing, "no job backs /var/lib/app up to other"},
		"two replicas": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.Replications = known([]stateward.Replication{{Name: "a", Source: known("tank/app"), Target: known("u@nas:backup/app")}, {Name: "b", Source: known("tank/app"), Target: known("u@far:backup/app")}})
		}, preseed.SourceUnclear, "the dataset is sent to u@far:backup/app and u@nas:backup/app"},
		"a unit that is not there (E9)": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.Units = known([]stateward.Unit{{Name: "b.service"}})
		}, preseed.NoUnit, "the host has no unit app.service"},
		"no unit at all": {func(_ *stateward.Host, s *stateward.Service, _ *stateward.Preseed) { s.Units = nil }, preseed.NoUnit, "no unit of the service is known"},
		"no dataset": {func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			s.Dataset, h.Datasets = nil, known([]stateward.Dataset{})
			h.FileSystems = known([]stateward.FileSystem{{MountPoint: entry("/"), Device: known("rpool/root"), FSType: known("zfs")}})
		}, preseed.NoDataset, "/var/lib/app lies in rpool/root, with what else is there"},
		"a path outside": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Paths = known([]string{"/etc"}) }, preseed.NoPlan, "path /etc is none within the dataset"},
		"a value of the dataset that is unknown": {func(_ *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
			s.Dataset.Properties["quota"] = stateward.NotKnown[string](unknown)
		}, preseed.NoDataset, "dataset tank/app cannot be planned"},
		"a field that is misspelt": {func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			h.AddUnknown(stateward.Unknown{Subject: "stateward.services.app.preseed.validate.sqllite", Kind: stateward.UnknownForm, Message: "stateward knows no such field"},
				stateward.Unknown{Subject: "stateward.services.apple.preseed.x", Kind: stateward.UnknownForm})
		}, preseed.NotKnown, "stateward.services.app.preseed.validate.sqllite is unknown: stateward knows no such field"},
		"whether it is asked for is unknown": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Enable = stateward.NotKnown[bool](unknown)
		}, preseed.NotKnown, "x.y is unknown"},
		"the order is unknown": {func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
			p.Sources = stateward.NotKnown[[]string](unknown)
		}, preseed.NotKnown, "x.y is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			list, _ := preseed.FromHost(forge(c.change), false)
			require.Len(t, list, 1)
			require.Nil(t, list[0].Plan)
			require.Len(t, list[0].Faults, 1, list[0].Faults)
			f := list[0].Faults[0]
			require.Equal(t, c.kind, f.Kind)
			require.Contains(t, f.Message, c.text)
			require.Equal(t, "preseed of app: "+f.Message, f.Error())
		})
	}
}

// E9: whoever writes first decides whether the dataset is empty.
func TestFromHostNotesWhatDoesNotWait(t *testing.T) {
	sub := func(name, dir string, on bool) stateward.Service {
		return stateward.Service{Name: name, Enable: known(on), Units: []string{name + ".service", name + ".timer"}, DataDir: known(entry(dir)), Origin: stateward.Origin{Option: "o"}}
	}
	for name, c := range map[string]struct {
		more []stateward.Service
		want []string
	}{
		"alone":                   {nil, nil},
		"another within":          {[]stateward.Service{sub("b", "/var/lib/app/b", true)}, []string{"b.service of b keeps data in the dataset too, at /var/lib/app/b, and does not wait: what it writes there first is taken for all there is, and nothing is restored"}},
		"another within, off":     {[]stateward.Service{sub("b", "/var/lib/app/b", false)}, nil},
		"another beside":          {[]stateward.Service{sub("b", "/var/lib/b", true)}, nil},
		"named by another module": {[]stateward.Service{{Name: "app", Enable: known(true), Units: []string{"app.service", "app-web.service"}, DataDir: known(entry("/var/lib/app"))}}, []string{"app-web.service keeps data in the dataset too, at /var/lib/app, and does not wait: what it writes there first is taken for all there is, and nothing is restored"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := forge(func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.SSHKey = known("/k") })
			h.Services = known(append(slices.Clone(h.Services.Or(nil)), c.more...))
			list, _ := preseed.FromHost(h, false)
			require.NotNil(t, list[0].Plan, list[0].Faults)
			var got []string
			for _, n := range list[0].Notes {
				got = append(got, n.Message)
			}
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
	list, _ := preseed.FromHost(forge(func(h *stateward.Host, s *stateward.Service, p *stateward.Preseed) {
		p.SSHKey = known("/k")
		h.Datasets = known([]stateward.Dataset{*s.Dataset, {Name: "tank/app/photos", MountPoint: known("/var/lib/app/photos"), Asked: true}})
	}), false)
	require.Len(t, list[0].Notes, 1)
	require.Contains(t, list[0].Notes[0].Message, "tank/app/photos lies below the dataset")
}

// R2 R9: what is not all the service had comes back only where somebody wrote that it is enough.
func TestFromHostAsksNoJobOfLessByItself(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stateward.Job)
		less   string // empty where it is taken by itself
		note   string
	}{
		"all of it":    {func(*stateward.Job) {}, "", ""},
		"more than it": {func(j *stateward.Job) { j.Paths = known([]stateward.Entry{entry("/var/lib")}) }, "", ""},
		"a dump": {func(j *stateward.Job) {
			j.DumpCommand, j.DumpDirectory = known("pg_dump app"), known(entry("/var/backup/app"))
		},
			"job app has a dump, which nobody loads: from restic come back its files below /var/backup/app, and what it was made of as it was while it was read", ""},
		"a part": {func(j *stateward.Job) { j.Paths = known([]stateward.Entry{entry("/var/lib/app/db")}) },
			"job app backs up only a part of the dataset, /var/lib/app/db: from restic no more comes back", ""},
		"something within it is left out": {func(j *stateward.Job) { j.Exclude = known([]string{"/var/lib/app/cache"}) }, "", "job app excludes /var/lib/app/cache: from restic that does not come back"},
		"something that may be within it": {func(j *stateward.Job) { j.Exclude = known([]string{"*.tmp", "/var/lib/a*/x"}) }, "", "job app excludes *.tmp, /var/lib/a*/x: from restic that does not come back"},
		"something elsewhere is left out": {func(j *stateward.Job) {
			j.Exclude = known([]string{"/var/lib/apple", "/srv/*/app", "/var/lib/other/a*"})
		}, "", ""},
		"a dump, and something is left out": {func(j *stateward.Job) {
			j.DumpCommand, j.DumpDirectory, j.Exclude = known("pg_dump app"), known(entry("/var/lib/app/dump")), known([]string{"/var/lib/app/db"})
		}, "job app has a dump, which nobody loads: from restic come back its files below /var/lib/app/dump, and what it was made of as it was while it was read",
			"job app excludes /var/lib/app/db: from restic that does not come back"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, listed := range []bool{false, true} {
				list, _ := preseed.FromHost(forge(func(h *stateward.Host, _ *stateward.Service, p *stateward.Preseed) {
					p.SSHKey = known("/k")
					if listed {
						p.Sources = known([]string{"local", "replica", "restic"})
					}
					jobs := slices.Clone(h.Jobs.Or(nil))
					c.change(&jobs[0])
					h.Jobs = known(jobs)
				}), false)
				require.Len(t, list, 1)
				require.NotNil(t, list[0].Plan, list[0].Faults)
				asks := slices.ContainsFunc(list[0].Plan.Sources, func(s preseed.Source) bool { return s.Kind == preseed.Restic })
				require.Equal(t, listed || c.less == "", asks)
				require.Equal(t, asks, list[0].Job != nil)
				var got, want []string
				for _, n := range list[0].Notes {
					got = append(got, n.Message+"|"+n.Hint)
				}
				switch {
				case listed || c.less == "":
					for _, text := range []string{c.note, c.less} {
						if text != "" {
							want = append(want, text+"|")
						}
					}
				default:
					want = []string{"restic is not asked, since no sources are listed: " + c.less + `|where what comes back is enough, list it: sources = [ "local" "replica" "restic" ]`}
				}
				require.Empty(t, cmp.Diff(want, got))
			}
		})
	}
}

func TestFromHostAsksForNothing(t *testing.T) {
	for name, c := range map[string]change{
		"the service is off": func(_ *stateward.Host, s *stateward.Service, _ *stateward.Preseed) { s.Enable = known(false) },
		"the preseed is off": func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Enable = known(false) },
		"none is declared":   func(_ *stateward.Host, s *stateward.Service, _ *stateward.Preseed) { s.Preseed = nil },
	} {
		t.Run(name, func(t *testing.T) {
			list, faults := preseed.FromHost(forge(c), false)
			require.Empty(t, list)
			require.Empty(t, faults)
		})
	}
	h := forge()
	h.Services = stateward.NotKnown[[]stateward.Service](stateward.Unknown{Subject: "x"})
	list, faults := preseed.FromHost(h, false)
	require.Empty(t, list)
	require.Len(t, faults, 1)
}

// What the unit of a preseed does is known by its digest; that its service waits, by what the service requires (E9).
func TestRunning(t *testing.T) {
	list, _ := preseed.FromHost(forge(), false)
	digest, err := list[0].Plan.Digest()
	require.NoError(t, err)
	unit := func(digest string) stateward.Unit {
		return stateward.Unit{Name: "stateward-preseed-app.service", Enable: known(true), Job: known(digest)}
	}
	app := func(requires, after string) stateward.Unit {
		return stateward.Unit{Name: "app.service", Enable: known(true), Requires: known(strings.Fields(requires)), After: known(strings.Fields(after))}
	}
	const name = "stateward-preseed-app.service"
	for title, c := range map[string]struct {
		units []stateward.Unit
		more  change
		want  preseed.RunState
	}{
		"no unit":                        {[]stateward.Unit{app("", "")}, nil, preseed.NotRun},
		"a unit, and nobody waits":       {[]stateward.Unit{unit(digest), app("", "")}, nil, preseed.NotHeld},
		"E9 it is wanted, not required":  {[]stateward.Unit{unit(digest), app("", name)}, nil, preseed.NotHeld},
		"it is required, and not before": {[]stateward.Unit{unit(digest), app(name, "")}, nil, preseed.NotHeld},
		"of something else":              {[]stateward.Unit{unit("0123456789abcdef"), app(name, name)}, nil, preseed.Stale},
		"by hand":                        {[]stateward.Unit{{Name: name, Enable: known(true)}, app(name, name)}, nil, preseed.Stale},
		"off":                            {[]stateward.Unit{{Name: name, Enable: known(false), Job: known(digest)}, app(name, name)}, nil, preseed.NotRun},
		"no plan any longer": {[]stateward.Unit{unit(digest), app(name, name)}, func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.Sources = known([]string{}) },
			preseed.Stale},
		"nothing runs the job": {[]stateward.Unit{unit(digest), app(name, name)}, nil, preseed.NoJob},
		"another runs it": {[]stateward.Unit{{Name: "preseed-app.service"}}, func(_ *stateward.Host, _ *stateward.Service, p *stateward.Preseed) { p.RunBy = "preseed-app.service" },
			preseed.RunByOther},
	} {
		t.Run(title, func(t *testing.T) {
			h := forge(func(h *stateward.Host, s *stateward.Service, p *stateward.Preseed) {
				h.Units = known(c.units)
				if c.more != nil {
					c.more(h, s, p)
				}
			})
			got, faults := preseed.FindRunning(h)
			require.Empty(t, faults)
			require.Len(t, got, 1)
			require.Equal(t, c.want, got[0].State, got[0].Faults)
		})
	}
	without := func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
		h.Jobs = stateward.Value[[]stateward.Job]{}
	}
	list, _ = preseed.FromHost(forge(without), false)
	digest, err = list[0].Plan.Digest()
	require.NoError(t, err)
	got, _ := preseed.FindRunning(forge(without, func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
		h.Units = known([]stateward.Unit{unit(digest), app(name, name)})
	}))
	require.Equal(t, preseed.Runs, got[0].State)
}

// E4: what tmpfiles makes before the run looks is no data where there is nothing in it; else it keeps the dataset from ever being empty, and the plan says so.
func TestE4WhatTmpfilesMakes(t *testing.T) {
	list, _ := preseed.FromHost(forge(func(h *stateward.Host, s *stateward.Service, _ *stateward.Preseed) {
		h.Datasets = known([]stateward.Dataset{*s.Dataset, {Name: "tank/photos", MountPoint: known("/var/lib/app/photos"), Asked: true}})
		h.Tmpfiles = known([]stateward.TmpfilesRule{
			{Type: "L+", At: entry("/var/lib/app/plugins"), Argument: known("/nix/store/x")},
			{Type: "f", At: entry("/var/lib/app/empty")},
			{Type: "f+", At: entry("/var/lib/app/conf"), Argument: known("a=b")},
			{Type: "C+", At: entry("/var/lib/app/copy"), Argument: known("/etc/x")},
			{Type: "C", At: entry("/var/lib/app/photos/copy"), Argument: known("/etc/x")},
			{Type: "f", At: entry("/var/lib/other"), Argument: known("a=b")},
		})
	}), false)
	require.Len(t, list, 1)
	require.NotNil(t, list[0].Plan)
	require.Equal(t, []string{"empty", "photos", "plugins"}, list[0].Plan.MayHold)
	var notes []string
	for _, n := range list[0].Notes {
		notes = append(notes, n.Message)
	}
	require.Empty(t, cmp.Diff([]string{
		"tmpfiles makes /var/lib/app/conf (f+) in the dataset: with that in it it is not empty, and nothing is restored",
		"tmpfiles makes /var/lib/app/copy (C+) in the dataset: with that in it it is not empty, and nothing is restored",
		"no sshKey is named for the replica u@nas:backup/app: ssh takes what root has",
	}, notes))
}
