package aggregate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/redact"
)

func is[T any](v T) stateward.Value[T] { return stateward.Known(v, stateward.Origin{}) }

func dir(path string) stateward.Entry {
	return stateward.NewEntry(path, stateward.Directory, stateward.Origin{Option: "entry " + path, File: "host.nix", Line: 7})
}

// migratable is a host with one service, whose data is to move onto its dataset.
func migratable(change ...func(*stateward.Host)) *stateward.Host {
	origin := stateward.Origin{Option: "stateward.services.sonarr.dataset"}
	ds := stateward.Dataset{Name: "tank/services/sonarr", MountPoint: is("/var/lib/sonarr"), Properties: map[string]stateward.Value[string]{"recordsize": is("16K")},
		Owner: is(stateward.MustOwner("sonarr")), Asked: true, Origin: origin}
	h := &stateward.Host{Name: "forge", Status: stateward.StatusOK,
		Services: is([]stateward.Service{
			{Name: "sonarr", Enable: is(true), Units: []string{"sonarr.service"}, Dataset: &ds,
				State: is([]stateward.StatePath{{Entry: dir("/var/lib/sonarr"), Source: stateward.SourceDataDir}})},
			{Name: "lidarr", Enable: is(false)},
		}),
		Datasets: is([]stateward.Dataset{ds}),
		Units:    is([]stateward.Unit{{Name: "sonarr.service"}}),
		Jobs: is([]stateward.Job{{Name: "apps", Engine: "restic", Paths: is([]stateward.Entry{dir("/var/lib")}), Repository: is("/srv/repository"),
			PasswordFile: is(stateward.FileRef{Text: "/run/secrets/restic"}), Origin: stateward.Origin{Option: "services.restic.backups.apps"}}}),
	}
	for _, c := range change {
		c(h)
	}
	return h
}

func addService(s stateward.Service) func(*stateward.Host) {
	return func(h *stateward.Host) { h.Services = is(append(slices.Clone(h.Services.Or(nil)), s)) }
}

func service(change func(*stateward.Service)) func(*stateward.Host) {
	return func(h *stateward.Host) {
		list := slices.Clone(h.Services.Or(nil))
		change(&list[0])
		h.Services = is(list)
	}
}

func aDataset(change func(*stateward.Dataset)) func(*stateward.Host) {
	return func(h *stateward.Host) {
		list := slices.Clone(h.Datasets.Or(nil))
		change(&list[0])
		h.Datasets = is(list)
	}
}

func aJob(change func(*stateward.Job)) func(*stateward.Host) {
	return func(h *stateward.Host) {
		list := slices.Clone(h.Jobs.Or(nil))
		change(&list[0])
		h.Jobs = is(list)
	}
}

func persist(paths ...string) func(*stateward.Host) {
	return func(h *stateward.Host) {
		var list []stateward.Entry
		for _, p := range paths {
			list = append(list, dir(p))
		}
		h.Persistence = is([]stateward.PersistenceRoot{{Name: "/persist", Path: is(stateward.MustPath("/persist")), Enable: is(true), Directories: is(list)}})
	}
}

// machine is one with both pools, the data on rpool, and what else is mounted.
func machine(mounts ...dataset.Mount) *dataset.Observed {
	return &dataset.Observed{ZFS: "2.3.9",
		Pools: []dataset.Pool{{Name: "rpool", Health: "ONLINE", Free: 1 << 40}, {Name: "tank", Health: "ONLINE", Free: 1 << 30}},
		Datasets: []dataset.State{
			{Name: dataset.MustName("rpool"), Type: dataset.Filesystem, GUID: "1"},
			{Name: dataset.MustName("tank"), Type: dataset.Filesystem, GUID: "2", Properties: map[string]dataset.PropertyState{"available": {Value: "1073741824"}}},
		},
		Mounts: append([]dataset.Mount{{At: "/", Source: "/dev/sda1", FSType: "ext4", Root: "/"}, {At: "/persist", Source: "rpool/safe/persist", FSType: "zfs", Root: "/"}}, mounts...),
		Places: []dataset.Place{{Path: "/var/lib/sonarr", Kind: "directory", Content: "populated"}},
		Users:  []string{"root", "sonarr"}, Groups: []string{"root"}}
}

func kinds(err error) []RefusalKind {
	var list []RefusalKind
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, e := range many.Unwrap() {
			list = append(list, kinds(e)...)
		}
		return list
	}
	var one *MigrationError
	if errors.As(err, &one) {
		list = append(list, one.Kind)
	}
	return list
}

// unlinked takes what names the dataset away from the services, as where `modules.storage.datasets` declares it.
func unlinked(h *stateward.Host) {
	list := slices.Clone(h.Services.Or(nil))
	for i := range list {
		list[i].Dataset = nil
	}
	h.Services = is(list)
}

func TestMigrationRefusals(t *testing.T) {
	for _, tc := range []struct {
		name     string
		host     *stateward.Host
		service  string
		observed *dataset.Observed
		opts     MigrationOptions
		want     []RefusalKind
		says     string
	}{
		{name: "a service that is not there", host: migratable(), service: "radarr", want: []RefusalKind{ServiceUnknown}, says: "services that declare one: sonarr"},
		{name: "a service that is off", host: migratable(), service: "lidarr", want: []RefusalKind{ServiceOff}, says: "services that declare one: sonarr"},
		{name: "no dataset", host: migratable(addService(stateward.Service{Name: "x", Enable: is(true)})), service: "x", want: []RefusalKind{NoDataset}},
		{name: "a dataset that is refused", host: migratable(aDataset(func(d *stateward.Dataset) { d.Properties = map[string]stateward.Value[string]{"recordsize": is("15K")} })), want: []RefusalKind{NoDataset}, says: "recordsize"},
		{name: "a dataset that is refused, and found by its place only", host: migratable(aDataset(func(d *stateward.Dataset) { d.Properties = map[string]stateward.Value[string]{"recordsize": is("15K")} }), unlinked),
			want: []RefusalKind{NoDataset}, says: "its dataset cannot be planned"},
		{name: "a service that is not there, beside one whose dataset is found by its place", host: migratable(unlinked), service: "radarr", want: []RefusalKind{ServiceUnknown}, says: "services that declare one: sonarr"},
		{name: "several datasets", host: migratable(func(h *stateward.Host) {
			h.Datasets = is(append(h.Datasets.Or(nil), stateward.Dataset{Name: "tank/media", MountPoint: is("/var/lib/sonarr/media")}))
		}), want: []RefusalKind{SeveralDatasets}, says: "tank/media, tank/services/sonarr"},
		{name: "legacy", host: migratable(aDataset(func(d *stateward.Dataset) { d.MountPoint = is("legacy") })), want: []RefusalKind{NoPlace}},
		{name: "canmount=off", host: migratable(aDataset(func(d *stateward.Dataset) { d.CanMount = is("off") })), want: []RefusalKind{NoPlace}},
		{name: "its state is elsewhere", host: migratable(aDataset(func(d *stateward.Dataset) { d.MountPoint = is("/srv/sonarr") })), want: []RefusalKind{NoData}, says: "its state is at /var/lib/sonarr"},
		{name: "P3 DynamicUser", host: migratable(func(h *stateward.Host) {
			h.Units = is([]stateward.Unit{{Name: "sonarr.service", DynamicUser: is(true), StateDirectory: is([]string{"sonarr"})}})
		}), want: []RefusalKind{Dynamic}, says: "/var/lib/private/sonarr"},
		{name: "P4 persisted", host: migratable(persist("/var/lib/sonarr")), want: []RefusalKind{Persisted}, says: "take entry /var/lib/sonarr (host.nix:7) out"},
		{name: "P4 persisted in part", host: migratable(persist("/var/lib/sonarr/db")), want: []RefusalKind{Persisted}},
		{name: "a file system below", host: migratable(func(h *stateward.Host) {
			h.FileSystems = is([]stateward.FileSystem{{MountPoint: dir("/var/lib/sonarr/media")}})
		}), want: []RefusalKind{MountedBelow}},
		{name: "a mount below", host: migratable(), observed: machine(dataset.Mount{At: "/var/lib/sonarr/x", Source: "tmpfs", FSType: "tmpfs", Root: "/"}), want: []RefusalKind{MountedBelow}},
		{name: "P8 mounted over data", host: migratable(), observed: machine(dataset.Mount{At: "/var/lib/sonarr", Source: "tank/services/sonarr", FSType: "zfs", Root: "/"}), want: []RefusalKind{Populated}},
		{name: "done", host: migratable(), observed: func() *dataset.Observed {
			o := machine(dataset.Mount{At: "/var/lib/sonarr", Source: "tank/services/sonarr", FSType: "zfs", Root: "/"})
			o.Places[0].Content = "empty"
			return o
		}(), want: []RefusalKind{Migrated}, says: "mounted at /var/lib/sonarr already"},
		{name: "another mount there", host: migratable(), observed: machine(dataset.Mount{At: "/var/lib/sonarr", Source: "/dev/sdb1", FSType: "xfs", Root: "/"}), want: []RefusalKind{Mounted}},
		{name: "no space", host: migratable(), observed: machine(), opts: MigrationOptions{Used: 1 << 30}, want: []RefusalKind{NoSpace}},
		{name: "a pool that is not there", host: migratable(aDataset(func(d *stateward.Dataset) { d.Name = "gone/sonarr" }), service(func(s *stateward.Service) { s.Dataset = &stateward.Dataset{Name: "gone/sonarr"} })), observed: machine(), want: []RefusalKind{InTheWay}},
		{name: "a job by another name", host: migratable(), opts: MigrationOptions{Job: "other"}, want: []RefusalKind{BadJob}, says: "apps"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := tc.service
			if name == "" {
				name = "sonarr"
			}
			_, err := NewMigration(tc.host, name, tc.observed, tc.opts)
			if diff := cmp.Diff(tc.want, kinds(err)); diff != "" {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			text := err.Error()
			var one *MigrationError
			if errors.As(err, &one) {
				text += "\n" + one.Hint()
			}
			if !strings.Contains(text, tc.says) {
				t.Errorf("%q is not said:\n%s", tc.says, text)
			}
		})
	}
}

func TestMigrationPlaces(t *testing.T) {
	bind := dataset.Mount{At: "/var/lib/sonarr", Source: "rpool/safe/persist", FSType: "zfs", Root: "/var/lib/sonarr"}
	got, err := NewMigration(migratable(
		service(func(s *stateward.Service) {
			s.State = is([]stateward.StatePath{{Entry: dir("/var/lib/sonarr"), Source: stateward.SourceDataDir}, {Entry: dir("/srv/media"), Source: stateward.SourceVolume}})
		}),
		func(h *stateward.Host) {
			h.Units = is([]stateward.Unit{{Name: "sonarr.service"}, {Name: "bazarr.service", ReadWritePaths: is([]string{"-/var/lib/sonarr/media"})},
				{Name: "report.service", User: is(stateward.MustOwner("reporter"))}, {Name: "other.service", ReadWritePaths: is([]string{"/var/lib"})}})
			h.Users = is([]stateward.User{{Name: "reporter", Home: is("/var/lib/sonarr/home")}})
		}), "sonarr", machine(bind), MigrationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := stateward.MustPath
	id := got.ID
	want := Migration{Service: "sonarr", ID: id, Dataset: dataset.MustName("tank/services/sonarr"), Path: p("/var/lib/sonarr"), Source: p("/persist/var/lib/sonarr"),
		Old: p("/persist/var/lib/sonarr.pre-migration-" + id), Journal: p("/persist/var/lib/.stateward-migration-" + id), Staging: p("/run/stateward/migration-" + id),
		Bound: true, From: dataset.MustName("rpool/safe/persist"), Snapshot: "stateward-migration-" + id, CanMount: "on", Settle: DefaultSettle, Owner: stateward.MustOwner("sonarr"),
		Units:  []string{"sonarr.service", "bazarr.service", "report.service"},
		Timers: []string{"restic-backups-apps.timer"},
		Sharers: []Sharer{{"bazarr", []string{"bazarr.service"}, "it writes to /var/lib/sonarr/media"},
			{"report", []string{"report.service"}, "it runs as reporter, whose home is /var/lib/sonarr/home"}},
		Job: &MigrationJob{Name: "apps", Unit: "restic-backups-apps.service", Repository: "/srv/repository", PasswordFile: "/run/secrets/restic", RecordedAs: p("/var/lib/sonarr"),
			Selects: p("/var/lib"), Whole: true, Tag: "pre-migration-sonarr"},
		Elsewhere: []Elsewhere{{p("/srv/media"), "volume", "stays where it is"}}, Unmet: []Unmet{}}
	ignore := cmpopts.IgnoreFields(Migration{}, "Steps", "Notes")
	if diff := cmp.Diff(want, got, ignore, cmp.Comparer(func(a, b stateward.AbsPath) bool { return a == b }), cmp.Comparer(func(a, b dataset.Name) bool { return a == b }),
		cmp.Comparer(func(a, b stateward.Owner) bool { return a == b }), cmp.Comparer(func(a, b stateward.Mode) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var steps []StepKind
	for _, s := range got.Steps {
		steps = append(steps, s.Kind)
		if s.Kind == StepCreate && (len(s.Commands) != 2 || !slices.Contains(s.Commands[1], "canmount=noauto") || s.Commands[1][len(s.Commands[1])-1] != "tank/services/sonarr") {
			t.Errorf("create does %q", s.Commands)
		}
		if s.Kind == StepSwap {
			if diff := cmp.Diff([][]string{
				{"umount", "--", "/run/stateward/migration-" + id},
				{"zfs", "set", "-u", "canmount=on", "tank/services/sonarr"},
				{"umount", "--", "/var/lib/sonarr"},
				{"mv", "-nT", "--", "/persist/var/lib/sonarr", "/persist/var/lib/sonarr.pre-migration-" + id},
				{"zfs", "mount", "--", "tank/services/sonarr"},
			}, s.Commands); diff != "" {
				t.Errorf("swap (-want +got):\n%s", diff)
			}
		}
	}
	if diff := cmp.Diff([]StepKind{StepBackup, StepStop, StepSnapshot, StepCreate, StepStage, StepCopy, StepVerify, StepOwn, StepSwap, StepStart, StepHealth, StepProof}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// What sees whether the service works is its own health check, where its command is to be had.
func TestMigrationHealth(t *testing.T) {
	span := func(text string) stateward.Value[stateward.Duration] {
		d, err := stateward.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return is(d)
	}
	check := func(h stateward.HealthCheck) func(*stateward.Host) {
		h.Origin = stateward.Origin{Option: "stateward.services.sonarr.healthCheck"}
		return service(func(s *stateward.Service) { s.HealthCheck = &h })
	}
	full := stateward.HealthCheck{Command: is("curl -f localhost"), Interval: span("1min"), Timeout: span("1500ms"), StartPeriod: span("5min"), Retries: is(5)}
	for _, tc := range []struct {
		name string
		host *stateward.Host
		opts MigrationOptions
		want *MigrationHealth
		note string
	}{
		{name: "none", host: migratable()},
		{name: "one with all", host: migratable(check(full)), want: &MigrationHealth{Command: "curl -f localhost", Interval: 60, Timeout: 2, StartPeriod: 300, Retries: 5}},
		{name: "one with a command", host: migratable(check(stateward.HealthCheck{Command: is("x")})), want: &MigrationHealth{Command: "x", Interval: 30, Timeout: 30, Retries: 3}},
		{name: "one that was asked for", host: migratable(check(full)), opts: MigrationOptions{Health: "y"}, want: &MigrationHealth{Command: "y", Interval: 60, Timeout: 2, StartPeriod: 300, Retries: 5}},
		{name: "one that was asked for alone", host: migratable(), opts: MigrationOptions{Health: "y"}, want: &MigrationHealth{Command: "y", Interval: 30, Timeout: 30, Retries: 3}},
		{name: "a container", host: migratable(check(full), service(func(s *stateward.Service) { s.Units = []string{"podman-sonarr.service"} }),
			func(h *stateward.Host) { h.Units = is([]stateward.Unit{{Name: "podman-sonarr.service"}}) }),
			want: &MigrationHealth{Command: "podman exec sonarr sh -c 'curl -f localhost'", Interval: 60, Timeout: 2, StartPeriod: 300, Retries: 5}},
		{name: "a secret in it", host: migratable(check(stateward.HealthCheck{Command: is("curl -H " + redact.Hidden)})), note: "has a secret in its command"},
		{name: "unknown", host: migratable(check(stateward.HealthCheck{Command: stateward.NotKnown[string](stateward.Unknown{})})), note: "has no command that could be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := NewMigration(tc.host, "sonarr", nil, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, m.Health); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if notes := strings.Join(m.Notes, "\n"); tc.note != "" && !strings.Contains(notes, tc.note) || tc.note == "" && strings.Contains(notes, "--health") {
				t.Errorf("notes: %s", notes)
			}
		})
	}
}

// What is missing is in the plan, which can be read and not carried out.
func TestMigrationUnmet(t *testing.T) {
	for _, tc := range []struct {
		name string
		host *stateward.Host
		opts MigrationOptions
		want string
	}{
		{name: "no job", host: migratable(func(h *stateward.Host) { h.Jobs = is([]stateward.Job{}) }), want: "none reads /var/lib/sonarr"},
		{name: "another engine", host: migratable(aJob(func(j *stateward.Job) { j.Engine = "borg" })), want: "its engine is borg"},
		{name: "no repository", host: migratable(aJob(func(j *stateward.Job) { j.Repository = stateward.Value[string]{} })), want: "names no repository"},
		{name: "R11 a password within the repository", host: migratable(aJob(func(j *stateward.Job) { j.Repository = is("rest:https://me:secret@nas/x") })), want: "has a password within its repository"},
		{name: "R2 a snapshot of another dataset", host: migratable(aJob(func(j *stateward.Job) { j.Dataset = is("rpool/safe") })), want: "where the data will not be"},
		{name: "R2 a snapshot", host: migratable(aJob(func(j *stateward.Job) { j.Dataset = is("tank/services/sonarr") })), want: "what path that is recorded under is not known"},
		{name: "R2 a snapshot whose path is said", host: migratable(aJob(func(j *stateward.Job) { j.Dataset = is("tank/services/sonarr") })), opts: MigrationOptions{RecordedAs: stateward.MustPath("/mnt/x")}},
		{name: "a reason", host: migratable(func(h *stateward.Host) { h.Jobs = is([]stateward.Job{}) }), opts: MigrationOptions{NoBackup: "it is a cache"}},
		{name: "no unit", host: migratable(func(h *stateward.Host) { h.Units = is([]stateward.Unit{}) }, service(func(s *stateward.Service) { s.Units = nil })), want: "no unit of sonarr is known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := NewMigration(tc.host, "sonarr", nil, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range m.Unmet {
				got = append(got, u.Message)
				if strings.Contains(u.Message, "secret") {
					t.Errorf("it says the password: %s", u.Message)
				}
			}
			if (tc.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "\n"), tc.want) {
				t.Errorf("want %q, got %q", tc.want, got)
			}
			if m.Job != nil && strings.Contains(m.Job.Repository, "secret") {
				t.Error("the plan holds the password")
			}
		})
	}
}

// One host gives one plan, in whatever order its lists are; nothing that is planned for a run removes anything, and what is planned
// for a release names what it removes.
func TestMigrationHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changes []func(*stateward.Host)
		for i := range rapid.IntRange(0, 6).Draw(t, "services") {
			name := string(rune('a' + i))
			at := rapid.SampledFrom([]string{"/var/lib/sonarr/x", "/var/lib/" + name, "/var/lib", "/srv"}).Draw(t, "at")
			changes = append(changes, addService(stateward.Service{Name: name, Enable: is(rapid.Bool().Draw(t, "on")), Units: []string{name + ".service"},
				State: is([]stateward.StatePath{{Entry: dir(at), Source: rapid.SampledFrom([]stateward.StateSource{stateward.SourceDataDir, stateward.SourceTmpfiles}).Draw(t, "source")}})}))
		}
		var seen *dataset.Observed
		if rapid.Bool().Draw(t, "observed") {
			seen = machine()
		}
		opts := MigrationOptions{NoBackup: rapid.SampledFrom([]string{"", "x"}).Draw(t, "no backup"), Release: true}
		one, err := NewMigration(migratable(changes...), "sonarr", seen, opts)
		if err != nil {
			t.Fatal(err)
		}
		h := migratable(changes...)
		for _, list := range []*stateward.Value[[]stateward.Service]{&h.Services} {
			shuffled := rapid.Permutation(list.Or(nil)).Draw(t, "order")
			*list = is(shuffled)
		}
		other, err := NewMigration(h, "sonarr", seen, opts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one.Steps, other.Steps); diff != "" {
			t.Fatalf("the order of services changes the plan:\n%s", diff)
		}
		for _, s := range one.Steps {
			if len(s.Victims) > 0 || s.Back.Text == "" || s.Why == "" {
				t.Fatalf("step %s: victims %v, back %q", s.Kind, s.Victims, s.Back.Text)
			}
			for _, c := range append(slices.Clone(s.Commands), s.Back.Commands...) {
				if c[0] == "rm" || slices.Contains(c, "destroy") || slices.Contains(c, "rollback") || slices.Contains(c, "-R") {
					t.Fatalf("step %s does %q", s.Kind, c)
				}
			}
		}
		for _, s := range one.Release {
			if len(s.Victims) != 1 || !slices.Contains(s.Commands[0], s.Victims[0].Name) {
				t.Fatalf("%s removes what it does not name: %v", s.Kind, s.Commands)
			}
		}
	})
}
