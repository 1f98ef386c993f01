package aggregate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// findings are those of one check, one a line: severity, subject, path and message.
func findings(h *stateward.Host, code string) []string {
	var out []string
	for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
		if d.Code == code {
			out = append(out, fmt.Sprintf("%s %s [%s] %s", d.Severity, d.Subject, d.Path, d.Message))
		}
	}
	return out
}

func TestCatalog(t *testing.T) {
	traps, err := os.ReadFile("../docs/traps.md")
	require.NoError(t, err)
	seen := map[string]bool{}
	var codes []string
	for _, c := range aggregate.Catalog() {
		t.Run(c.Code, func(t *testing.T) {
			require.Regexp(t, `^SW[1-7][0-9]{2}$`, c.Code)
			require.False(t, seen[c.Code], "codes are unique")
			seen[c.Code] = true
			codes = append(codes, c.Code)
			require.NotEmpty(t, c.Title)
			require.NotRegexp(t, `^[A-Z][a-z]|\.$`, c.Title, "a title is no sentence")
			require.GreaterOrEqual(t, c.Severity, stateward.SeverityInfo)
			require.LessOrEqual(t, c.Severity, stateward.SeverityError)
			require.Regexp(t, `^[0-9]+\.[0-9]+$`, c.Since)
			require.NotEmpty(t, c.Traps)
			for _, trap := range c.Traps {
				require.Regexp(t, `(?m)^- \*\*`+regexp.QuoteMeta(trap)+`\*\*`, string(traps), "docs/traps.md knows %s", trap)
			}
			require.Greater(t, len(c.Doc), 150, "what is wrong, why it loses data, how to mend it")
			require.Regexp(t, `(?m)^(Mend |Check )`, c.Doc)
			require.True(t, strings.HasSuffix(c.Doc, "\n") && !strings.HasSuffix(c.Doc, "\n\n"))
			require.Zero(t, strings.Count(c.Doc, "```")%2, "every example ends")
		})
	}
	require.True(t, slices.IsSorted(codes))
}

// A sound host has no finding at all, whatever way it is built.
func TestLintQuiet(t *testing.T) {
	for name, h := range map[string]*stateward.Host{
		"empty": with(wiped),
		"services that are persisted": with(wiped, service("a", "/var/lib/a"), stateUnit("b", known(false), "b"),
			persist("/persist", "/var/lib/a", "/var/lib/b"), persistFiles("/persist", "/etc/machine-id")),
		"root that is kept":          with(kept, service("a", "/var/lib/a")),
		"dataset that nothing wipes": host(fileSystem("/", "rpool/local/root", "zfs"), systemdInitrd(true), idsWritten, service("a", "/srv")),
		"persisted through a rolled back root": with(on(fileSystem("/", "rpool/local/root", "zfs"), initrdHook("postDeviceCommands", "zfs rollback -r rpool/local/root@blank")),
			users("a"), service("a", "/var/lib/a"), persist("/persist", owned("/var/lib/a", "a", "a", "0700"))),
		"bind mounts that the persistence module declares": with(wiped, service("a", "/var/lib/a"), persist("/persist", "/var/lib/a"),
			fileSystem("/var/lib/a", "/persist/var/lib/a", "none", "bind"), mountUnit("/var/lib/nixos", "/persist/var/lib/nixos", "none", "bind")),
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, aggregate.Lint(aggregate.Input{Host: h}).Findings)
		})
	}
}

func TestChecks(t *testing.T) {
	job := func(change func(*stateward.Job)) part {
		return func(h *stateward.Host) {
			j := stateward.Job{Name: "daily", Engine: "restic", Origin: at("services", "restic", "backups", "daily")}
			change(&j)
			push(&h.Jobs, j)
		}
	}
	backsUp := func(paths ...any) part {
		return job(func(j *stateward.Job) {
			for i, p := range paths {
				push(&j.Paths, asEntry(p, stateward.Directory, index(at("services", "restic", "backups", "daily", "paths"), i)))
			}
		})
	}
	disabled := func(name string, paths ...any) part {
		return changed(contract(name, paths...), func(s *stateward.Service) { s.Enable = known(false) })
	}
	needed := func(f stateward.FileSystem, v stateward.Value[bool]) part {
		return changedFS(f, func(f *stateward.FileSystem) { f.NeededForBoot = v })
	}
	persistence := `environment.persistence."/persist".directories`
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string // nothing: the check is quiet
	}{
		{"P1 state on a wiped root", "SW101", []part{service("a", "/a")},
			[]string{`error qgroget.serviceModules.a.dataDir [/a] a keeps state in /a, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 state directory of a unit", "SW101", []part{stateUnit("a", known(false), "a")},
			[]string{`error systemd.services.a.serviceConfig.StateDirectory [/var/lib/a] a keeps state in /var/lib/a, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 places within a lost place are said once", "SW101", []part{service("a", "/a", "/a/b", "/a/b/c"), service("b", "/a/d")},
			[]string{
				`error qgroget.serviceModules.a.dataDir [/a] a keeps state in /a, which is gone at the next boot, with 2 more places below it: fileSystems."/" is a tmpfs`,
				`error qgroget.serviceModules.b.dataDir [/a/d] b keeps state in /a/d, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 the root stands for nothing below it", "SW101", []part{service("a", "/", "/a")},
			[]string{
				`error qgroget.serviceModules.a.backupPaths[0] [/a] a keeps state in /a, which is gone at the next boot: fileSystems."/" is a tmpfs`,
				`error qgroget.serviceModules.a.dataDir [/] a keeps state in /, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 the way to the data that is persisted", "SW101",
			[]part{stateUnit("pg", known(false), "pg", "pg/16"), named("dataDir", "/var/lib/pg/16"), persist("/persist", "/var/lib/pg/16")}, nil},
		{"P1 the data itself is not persisted", "SW101",
			[]part{stateUnit("pg", known(false), "pg", "pg/16"), named("dataDir", "/var/lib/pg"), persist("/persist", "/var/lib/pg/16")},
			[]string{`error systemd.services.pg.serviceConfig.StateDirectory [/var/lib/pg] pg keeps state in /var/lib/pg, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 what is lost is not the way to a backup that survives", "SW101",
			[]part{stateUnit("vw", known(false), "vw"), place("backupDir", "/var/lib/vw/backup"), persist("/persist", "/var/lib/vw/backup")},
			[]string{`error systemd.services.vw.serviceConfig.StateDirectory [/var/lib/vw] vw keeps state in /var/lib/vw, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 beside data that the unit does not list there may be more", "SW101",
			[]part{stateUnit("vw", known(false), "vw"), named("dataDir", "/var/lib/vw/data"), persist("/persist", "/var/lib/vw/data")},
			[]string{`warning systemd.services.vw.serviceConfig.StateDirectory [/var/lib/vw] vw keeps state in /var/lib/vw, which is gone at the next boot: fileSystems."/" is a tmpfs; services.vw.dataDir names /var/lib/vw/data below it, which survives`}},
		{"B30 beside data that the contract names there is hardly more", "SW101",
			[]part{stateUnit("js", known(false), "js"), source("persisted", stateward.SourcePersistedData, "/var/lib/js/config"), persist("/persist", "/var/lib/js/config")},
			[]string{`info systemd.services.js.serviceConfig.StateDirectory [/var/lib/js] js keeps state in /var/lib/js, which is gone at the next boot: fileSystems."/" is a tmpfs; services.js.persisted names /var/lib/js/config below it, which survives`}},
		{"B20 data that is kept elsewhere", "SW101",
			[]part{stateUnit("im-server", known(false), "im"), service("im"), named("mediaLocation", "/mnt/im"), fileSystem("/mnt", "/dev/m", "ext4")},
			[]string{`warning systemd.services.im-server.serviceConfig.StateDirectory [/var/lib/im] im-server keeps state in /var/lib/im, which is gone at the next boot: fileSystems."/" is a tmpfs; services.im.mediaLocation names /mnt/im, which survives`}},
		{"P1 backups that are kept elsewhere are no data", "SW101",
			[]part{stateUnit("im-server", known(false), "im"), service("im"), place("backupDir", "/mnt/im"), fileSystem("/mnt", "/dev/m", "ext4")},
			[]string{`error systemd.services.im-server.serviceConfig.StateDirectory [/var/lib/im] im-server keeps state in /var/lib/im, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 data elsewhere that is lost", "SW101",
			[]part{stateUnit("im", known(false), "im"), named("dataDir", "/srv/im")},
			[]string{`error services.im.dataDir [/srv/im] im keeps state in /srv/im, which is gone at the next boot: fileSystems."/" is a tmpfs`,
				`error systemd.services.im.serviceConfig.StateDirectory [/var/lib/im] im keeps state in /var/lib/im, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 a lost place within one that is perhaps only the way", "SW101",
			[]part{stateUnit("vw", known(false), "vw", "vw/more"), named("dataDir", "/var/lib/vw/data"), persist("/persist", "/var/lib/vw/data")},
			[]string{`error systemd.services.vw.serviceConfig.StateDirectory [/var/lib/vw/more] vw keeps state in /var/lib/vw/more, which is gone at the next boot: fileSystems."/" is a tmpfs`,
				`warning systemd.services.vw.serviceConfig.StateDirectory [/var/lib/vw] vw keeps state in /var/lib/vw, which is gone at the next boot: fileSystems."/" is a tmpfs; services.vw.dataDir names /var/lib/vw/data below it, which survives`}},
		{"P1 what a rule makes", "SW101", []part{implied("tmpfiles", stateward.SourceTmpfiles, "/var/lib/x", "/var/lib/x/y")},
			[]string{`error tmpfiles [/var/lib/x] tmpfiles keeps state in /var/lib/x, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 what a rule makes on the way to what is kept", "SW101",
			[]part{implied("tmpfiles", stateward.SourceTmpfiles, "/var/lib/x", "/var/lib/x/y"), persist("/persist", "/var/lib/x/y")},
			[]string{`warning tmpfiles [/var/lib/x] tmpfiles keeps state in /var/lib/x, which is gone at the next boot: fileSystems."/" is a tmpfs; something below it is kept`}},
		{"P1 where a unit may write, beside what another service keeps", "SW101",
			[]part{implied("fetch", stateward.SourceReadWritePaths, "/srv/m"), implied("films", stateward.SourcePersist, "/srv/m/films"), persist("/persist", "/srv/m/films")},
			[]string{`error fetch [/srv/m] fetch keeps state in /srv/m, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 where a unit may write, beside what it keeps itself", "SW101",
			[]part{implied("fetch", stateward.SourceReadWritePaths, "/srv/m"), implied("fetch", stateward.SourcePersist, "/srv/m/films"), persist("/persist", "/srv/m/films")},
			[]string{`warning fetch [/srv/m] fetch keeps state in /srv/m, which is gone at the next boot: fileSystems."/" is a tmpfs; fetch names /srv/m/films below it, which survives`}},
		{"P1 where a unit may write, beside what is kept for nobody", "SW101",
			[]part{implied("fetch", stateward.SourceHome, "/srv/m"), persist("/persist", "/srv/m/films")},
			[]string{`warning fetch [/srv/m] fetch keeps state in /srv/m, which is gone at the next boot: fileSystems."/" is a tmpfs; something below it is kept`}},
		{"P1 what a rule makes on the way to another's data", "SW101",
			[]part{implied("tmpfiles", stateward.SourceTmpfiles, "/srv/m"), implied("films", stateward.SourcePersist, "/srv/m/films"), persist("/persist", "/srv/m/films")},
			[]string{`info tmpfiles [/srv/m] tmpfiles keeps state in /srv/m, which is gone at the next boot: fileSystems."/" is a tmpfs; films names /srv/m/films below it, which survives`}},
		{"P1 a rule in the state of a service", "SW101", []part{service("a", "/a"), implied("tmpfiles", stateward.SourceTmpfiles, "/a/b")},
			[]string{`error qgroget.serviceModules.a.dataDir [/a] a keeps state in /a, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 nor to a place that the unit lists", "SW101",
			[]part{stateUnit("vw", known(false), "vw", "vw/media"), place("mediaDir", "/var/lib/vw/media"), persist("/persist", "/var/lib/vw/media")},
			[]string{`error systemd.services.vw.serviceConfig.StateDirectory [/var/lib/vw] vw keeps state in /var/lib/vw, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P10 systemd sets the mode of a StateDirectory itself", "SW111", []part{persist("/persist", owned("/var/lib/a", "", "", "0770")), stateUnit("a", known(false), "a"),
			func(h *stateward.Host) {
				ss, mode := h.Services.Or(nil), owned("/var/lib/a", "", "", "0750").Mode
				ss[len(ss)-1].State.Or(nil)[0].Mode = mode
			}},
			[]string{`warning systemd.services.a.serviceConfig.StateDirectory [/var/lib/a] /var/lib/a is given mode 0750 here and 0770 by environment.persistence."/persist".directories[1]: systemd sets its own at the next boot`}},
		{"P1 one place of two services is said once", "SW101", []part{service("b", "/x"), service("a", "/x")},
			[]string{`error qgroget.serviceModules.a.dataDir [/x] a, b keep state in /x, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"N9 many places in doubt for one reason are one finding", "SW101",
			[]part{service("a", "/a", "/a/b"), service("b", "/b"), service("c", "/c"), service("d", "/d"), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }},
			[]string{"warning qgroget.serviceModules.a.dataDir [] cannot tell whether 4 places survive a reboot (/a, /b, /c, /d): " +
				"pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"}},
		{"N9 a cache is no state", "SW101", []part{implied("a", stateward.SourceVolume, "/var/cache/a")}, nil},
		{"N9 a cache that is asked for by name", "SW101", []part{service("a", "/a", "/var/cache/a"), persist("/persist", "/a")},
			[]string{`error qgroget.serviceModules.a.backupPaths[0] [/var/cache/a] a keeps state in /var/cache/a, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 what is only read", "SW101", []part{changed(contract("a"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: owned("/a", "", "", ""), Source: stateward.SourceVolume, ReadOnly: true}})
		})}, []string{`info  [/a] a reads /a, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P12 what may be kept", "SW101", []part{changed(contract("docker"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: stateward.NewEntry("/var/lib/docker", stateward.Directory, stateward.Origin{}), Source: stateward.SourceTable, Perhaps: true}})
		}), service("web", "/var/lib/docker/volumes/x")}, []string{
			`error qgroget.serviceModules.web.dataDir [/var/lib/docker/volumes/x] web keeps state in /var/lib/docker/volumes/x, which is gone at the next boot: fileSystems."/" is a tmpfs`,
			`warning  [/var/lib/docker] docker may keep state in /var/lib/docker, which is gone at the next boot: fileSystems."/" is a tmpfs`,
		}},
		{"P12 what may be kept, and surely is", "SW101", []part{changed(contract("docker"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: stateward.NewEntry("/var/lib/docker", stateward.Directory, stateward.Origin{}), Source: stateward.SourceTable, Perhaps: true}})
		}), service("web", "/var/lib/docker")}, []string{
			`error qgroget.serviceModules.web.dataDir [/var/lib/docker] docker, web keep state in /var/lib/docker, which is gone at the next boot: fileSystems."/" is a tmpfs`}},
		{"P1 persisted", "SW101", []part{service("a", "/a"), persist("/persist", "/a")}, nil},
		{"P1 in doubt", "SW101", []part{service("a", "/a"), func(h *stateward.Host) { h.Mounts = unknown[[]stateward.FileSystem]("systemd.mounts") }},
			[]string{"warning qgroget.serviceModules.a.dataDir [/a] cannot tell whether /a of a survives a reboot: systemd.mounts: it throws"}},
		{"P10 what is no path is for another check", "SW101", []part{service("a", "rel", "")}, nil},
		{"P11 disabled service", "SW101", []part{disabled("a", "/a")}, nil},

		{"P2 nested in one root", "SW102", []part{persist("/persist", "/x", "/x/y")},
			[]string{"info " + persistence + "[2] [/x/y] /x/y is persisted and lies below /x, which is persisted too: at the next boot it shows what is there anyway"}},
		{"P2 nested in two roots hides data", "SW102", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/persist", "/x"), persist("/cold", "/x/y")},
			[]string{`warning environment.persistence."/cold".directories[0] [/x/y] /x/y is persisted and lies below /x, which is persisted too in another root: at the next boot what /persist holds there is hidden`}},
		{"P2 side by side", "SW102", []part{persist("/persist", "/x", "/xy", "/z/x")}, nil},
		{"a persisted file has nothing below it", "SW102", []part{persistFiles("/persist", "/x"), persist("/persist", "/x/y")}, nil},

		{"P2 text and set", "SW103", []part{persist("/persist", "/x", owned("/x", "a", "a", "0700"))},
			[]string{"error " + persistence + "[2] [/x] /x is persisted twice, here and by " + persistence + "[1]: the system is refused, or one mount hides the other at the next boot"}},
		{"N9 spelt in two ways", "SW103", []part{persist("/persist", "/x", "/y", "/x/")},
			[]string{"error " + persistence + "[3] [/x] /x is persisted twice, here and by " + persistence + "[1]: the system is refused, or one mount hides the other at the next boot"}},
		{"P2 directory and file", "SW103", []part{persist("/persist", "/x"), persistFiles("/persist", "/x")},
			[]string{`error environment.persistence."/persist".files[0] [/x] /x is persisted twice, here and by ` + persistence + `[1]: the system is refused, or one mount hides the other at the next boot`}},
		{"P2 three times", "SW103", []part{persist("/persist", "/x", "/x", "/x")}, []string{
			"error " + persistence + "[2] [/x] /x is persisted twice, here and by " + persistence + "[1]: the system is refused, or one mount hides the other at the next boot",
			"error " + persistence + "[3] [/x] /x is persisted twice, here and by " + persistence + "[1]: the system is refused, or one mount hides the other at the next boot"}},
		{"P2 in two roots", "SW103", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/persist", "/x"), persist("/cold", "/x")},
			[]string{"error " + persistence + "[1] [/x] /x is persisted in two roots, /cold and /persist: at the next boot one hides what is in the other"}},
		{"P2 by the host and by home-manager", "SW103", []part{persist("/persist", "/home/ada/x"), persist("/home", rare("/home/ada/x", stateward.EntrySpecial{OfUser: "ada"})), ofModule("/home", stateward.HomeManager)},
			[]string{`error environment.persistence."/persist".directories[1] [/home/ada/x] /home/ada/x is persisted in two roots, /home and /persist: at the next boot one hides what is in the other`}},
		{"Preservation mounts it once", "SW103", []part{persist("/persist", "/x", "/x/"), ofModule("/persist", stateward.Preservation)},
			[]string{`warning environment.persistence."/persist".directories[2] [/x] /x is persisted twice, here and by environment.persistence."/persist".directories[1]: one of the two does nothing at the next boot`}},
		{"once each", "SW103", []part{persist("/persist", "/x", "/y")}, nil},

		{"P3 the link is persisted", "SW104", []part{stateUnit("a", known(true), "a"), persist("/persist", "/var/lib/a")},
			[]string{"error " + persistence + "[1] [/var/lib/a] a.service runs with DynamicUser and keeps its state in /var/lib/private/a: the persisted /var/lib/a is a symbolic link, at which the unit fails at the next boot"}},
		{"P3 the link is backed up", "SW104", []part{stateUnit("a", known(true), "a"), backsUp("/var/lib/a")},
			[]string{"warning services.restic.backups.daily.paths[0] [/var/lib/a] a.service runs with DynamicUser: restic job daily stores the symbolic link /var/lib/a and none of the state in /var/lib/private/a"}},
		{"P3 what is backed up is a dataset", "SW104", []part{stateUnit("a", known(true), "a"), backsUp("/var/lib/a"), dataset("tank/a", "/var/lib/a")}, nil},
		{"P3 the real place is persisted", "SW104", []part{stateUnit("a", known(true), "a"), persist("/persist", "/var/lib/private/a"), backsUp("/var/lib/private/a")}, nil},
		{"P3 static user", "SW104", []part{stateUnit("a", known(false), "a"), persist("/persist", "/var/lib/a")}, nil},

		{"P3 default mode", "SW105", []part{persist("/persist", "/var/lib/private")},
			[]string{"error " + persistence + "[1] [/var/lib/private] /var/lib/private is persisted with the default mode 0755: units with DynamicUser refuse to start at the next boot"}},
		{"P3 another mode", "SW105", []part{persist("/persist", owned("/var/lib/private", "", "", "0750"))},
			[]string{"error " + persistence + "[1] [/var/lib/private] /var/lib/private is persisted with mode 0750: units with DynamicUser refuse to start at the next boot"}},
		{"P3 another user", "SW105", []part{persist("/persist", owned("/var/lib/private", "app", "", "0700"))},
			[]string{"error " + persistence + "[1] [/var/lib/private] /var/lib/private is persisted as user app's: units with DynamicUser refuse to start at the next boot"}},
		{"P3 another group", "SW105", []part{persist("/persist", owned("/var/lib/private", "root", "app", "0700"))},
			[]string{"error " + persistence + "[1] [/var/lib/private] /var/lib/private is persisted as group app's: units with DynamicUser refuse to start at the next boot"}},
		{"P3 unknown user", "SW105", []part{persist("/persist", func() stateward.Entry {
			e := owned("/var/lib/private", "", "", "0700")
			e.User = unknown[stateward.Owner]("u")
			return e
		}())}, []string{"warning " + persistence + "[1] [/var/lib/private] cannot tell whether /var/lib/private is root's: u: it throws"}},
		{"P3 root's by name and number", "SW105", []part{persist("/persist", owned("/var/lib/private", "root", "0", "0700"))}, nil},
		{"P3 unknown mode", "SW105", []part{persist("/persist", func() stateward.Entry {
			e := owned("/var/lib/private", "", "", "")
			e.Mode = unknown[stateward.Mode]("m")
			return e
		}())}, []string{"warning " + persistence + "[1] [/var/lib/private] cannot tell whether /var/lib/private has mode 0700: m: it throws"}},
		{"P3 only below", "SW105", []part{persist("/persist", "/var/lib/private/a")},
			[]string{"warning " + persistence + "[1] [/var/lib/private/a] /var/lib/private/a is persisted, and /var/lib/private above it is created with mode 0755 if it is not there: units with DynamicUser refuse to start at the next boot"}},
		{"P3 systemd makes it below a persisted directory", "SW105", []part{persist("/persist", "/var/lib"), stateUnit("a", known(true), "a")}, nil},
		{"P3 in another root", "SW105", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/cold", owned("/var/lib/private", "0", "root", "0700")), persist("/persist", "/var/lib/private/a")}, nil},
		{"P3 mode 0700", "SW105", []part{persist("/persist", owned("/var/lib/private", "", "", "u=rwx,g=,o="), "/var/lib/private/a")}, nil},
		{"P3 file system of its own", "SW105", []part{fileSystem("/var/lib/private", "/dev/c", "ext4"), persist("/persist", "/var/lib/private/a")}, nil},

		{"P4 persisted and a file system", "SW106", []part{fileSystem("/srv", "/dev/c", "ext4"), persist("/persist", "/srv")},
			[]string{"error " + persistence + `[1] [/srv] /srv is persisted and is the mount point of fileSystems."/srv": the one mounted last at the next boot hides the other`}},
		{"P4 persisted and a dataset", "SW106", []part{dataset("tank/srv", "/srv"), persist("/persist", "/srv/")},
			[]string{"error " + persistence + "[1] [/srv] /srv is persisted and is the mount point of dataset tank/srv: the one mounted last at the next boot hides the other"}},
		{"P4 the bind mount itself", "SW106", []part{fileSystem("/srv", "/persist/srv", "none", "bind"), persist("/persist", "/srv")}, nil},
		{"P4 bind mount of something else", "SW106", []part{fileSystem("/srv", "/persist/other", "none", "bind"), persist("/persist", "/srv")},
			[]string{"error " + persistence + `[1] [/srv] /srv is persisted and is the mount point of fileSystems."/srv": the one mounted last at the next boot hides the other`}},
		{"P4 persisted and a file system that may be off", "SW106", []part{changedFS(mounted("/srv", "/dev/c", "ext4"), func(f *stateward.FileSystem) { f.Enable = unknown[bool]("e") }), persist("/persist", "/srv")},
			[]string{"warning " + persistence + `[1] [/srv] /srv is persisted and may be the mount point of fileSystems."/srv", which would hide it: e: it throws`}},
		{"P4 above a file system", "SW106", []part{fileSystem("/srv/x", "/dev/c", "ext4"), persist("/persist", "/srv")}, nil},

		{"P5 two file systems", "SW107", []part{fileSystem("/srv", "/dev/c", "ext4"), fileSystem("/srv/", "/dev/d", "xfs")},
			[]string{`error fileSystems."/srv/" [/srv] fileSystems."/srv" (ext4 on /dev/c) and fileSystems."/srv/" (xfs on /dev/d) are both mounted at /srv: the one mounted last at the next boot hides the other`}},
		{"P5 two datasets", "SW107", []part{dataset("tank/a", "/srv"), dataset("tank/b", "/srv")},
			[]string{`error disko.devices."tank/b" [/srv] dataset tank/a and dataset tank/b are both mounted at /srv: the one mounted last at the next boot hides the other`}},
		{"P5 file system and dataset", "SW107", []part{dataset("tank/a", "/srv"), fileSystem("/srv", "/dev/c", "ext4")},
			[]string{`error disko.devices."tank/a" [/srv] fileSystems."/srv" (ext4 on /dev/c) and dataset tank/a are both mounted at /srv: the one mounted last at the next boot hides the other`}},
		{"P5 a mount unit beside its file system", "SW107", []part{mountUnit("/srv", "/dev/c", "ext4"), fileSystem("/srv", "/dev/c", "ext4")}, nil},
		{"P5 a file system that may be off", "SW107", []part{fileSystem("/srv", "/dev/c", "ext4"), changedFS(mounted("/srv/", "/dev/d", "xfs"), func(f *stateward.FileSystem) { f.Enable = unknown[bool]("e") })},
			[]string{`warning fileSystems."/srv/" [/srv] fileSystems."/srv" (ext4 on /dev/c) and fileSystems."/srv/" (xfs on /dev/d) may both be mounted at /srv: e: it throws`}},
		{"P5 one place each", "SW107", []part{dataset("tank/a", "/a"), dataset("tank/b", "/b")}, nil},

		{"P5 dataset above a file system", "SW108", []part{dataset("tank/a", "/srv"), fileSystem("/srv/x", "/dev/c", "ext4")},
			[]string{`warning fileSystems."/srv/x" [/srv/x] fileSystems."/srv/x" is mounted at /srv/x below dataset tank/a, and nothing orders the two at the next boot`}},
		{"P5 file system above a dataset", "SW108", []part{dataset("tank/a", "/srv/x"), fileSystem("/srv", "/dev/c", "ext4")},
			[]string{`warning disko.devices."tank/a" [/srv/x] dataset tank/a is mounted at /srv/x below fileSystems."/srv", and nothing orders the two at the next boot`}},
		{"P5 inner one is needed for boot, outer is not", "SW108", []part{needed(mounted("/srv", "/dev/c", "ext4"), known(false)), fileSystem("/srv/x", "/dev/d", "ext4")},
			[]string{`warning fileSystems."/srv/x" [/srv/x] fileSystems."/srv/x" is needed for boot and fileSystems."/srv" above it is not: the outer one is mounted later at the next boot and hides the inner`}},
		{"P5 systemd orders file systems", "SW108", []part{fileSystem("/srv", "/dev/c", "ext4"), fileSystem("/srv/x", "/dev/d", "ext4"), dataset("tank/a", "/a"), dataset("tank/b", "/a/b")}, nil},

		{"P5 dataset below a persisted directory", "SW108", []part{persist("/persist", "/srv"), dataset("tank/a", "/srv/a")},
			[]string{`warning disko.devices."tank/a" [/srv/a] dataset tank/a is mounted at /srv/a below the persisted /srv, and nothing orders the two at the next boot`}},
		{"P5 needed for boot below a persisted directory", "SW108", []part{persist("/persist", "/srv"), fileSystem("/srv/a", "/dev/c", "ext4")},
			[]string{`warning fileSystems."/srv/a" [/srv/a] fileSystems."/srv/a" is needed for boot and lies below the persisted /srv, which is mounted later at the next boot and hides it`}},
		{"P5 mounted after the persisted directory above it", "SW108", []part{persist("/persist", "/srv"), needed(mounted("/srv/a", "/dev/c", "ext4"), known(false))}, nil},
		{"P5 below a directory that is persisted in the initial ramdisk", "SW108", []part{persist("/persist", "/var/lib"), dataset("tank/a", "/var/lib/a"), fileSystem("/var/lib/b", "/dev/c", "ext4")}, nil},
		{"P5 below a bind mount that is needed for boot", "SW108", []part{persist("/persist", "/srv"), fileSystem("/srv", "/persist/srv", "none", "bind"), fileSystem("/srv/a", "/dev/c", "ext4")}, nil},
		{"P5 below a persisted file", "SW108", []part{persistFiles("/persist", "/srv"), dataset("tank/a", "/srv/a")}, nil},
		{"P6 persistence root is mounted late", "SW109", []part{needed(mounted("/cold", "/dev/c", "ext4"), known(false)), persist("/cold")},
			[]string{`error fileSystems."/cold".neededForBoot [/cold] fileSystems."/cold" holds the persistence root /cold and is not needed for boot: at the next boot it is mounted too late`}},
		{"P6 persistence root below a mount point", "SW109", []part{needed(mounted("/data", "/dev/c", "ext4"), stateward.Value[bool]{}), persist("/data/cold")},
			[]string{`error fileSystems."/data".neededForBoot [/data] fileSystems."/data" holds the persistence root /data/cold and is not needed for boot: at the next boot it is mounted too late`}},
		{"P6 ephemeral volume is mounted late", "SW109", []part{needed(mounted("/scratch", "none", "tmpfs"), known(false)), persist("/persist", "/scratch/a", "/scratch/b")},
			[]string{`error fileSystems."/scratch".neededForBoot [/scratch] fileSystems."/scratch" holds the persisted path /scratch/a and is not needed for boot: at the next boot it is mounted too late`}},
		{"P6 in doubt", "SW109", []part{needed(mounted("/cold", "/dev/c", "ext4"), unknown[bool]("n")), persist("/cold")},
			[]string{`warning fileSystems."/cold".neededForBoot [/cold] cannot tell whether fileSystems."/cold", which holds the persistence root /cold, is needed for boot: n: it throws`}},
		{"P6 persistence root on a dataset that mounts itself", "SW109", []part{dataset("rpool/cold", "/cold"), persist("/cold")},
			[]string{`error disko.devices."rpool/cold" [/cold] dataset rpool/cold holds the persistence root /cold and mounts itself: at the next boot it is mounted too late`}},
		{"P6 persistence root on a mount unit", "SW109", []part{mountUnit("/cold", "/dev/c", "ext4"), persist("/cold")},
			[]string{`error systemd.mounts [/cold] systemd.mounts at /cold holds the persistence root /cold and is mounted by a unit: at the next boot it is mounted too late`}},
		{"P6 dataset that fileSystems mounts in time", "SW109", []part{dataset("rpool/cold", "/cold"), fileSystem("/cold", "rpool/cold", "zfs", "zfsutil"), persist("/cold")}, nil},
		{"P6 storage of an entry is mounted late", "SW109", []part{needed(mounted("/cold", "/dev/c", "ext4"), known(false)), persist("/persist", storedAt("/x", known(stateward.MustPath("/cold/y"))))},
			[]string{`error fileSystems."/cold".neededForBoot [/cold] fileSystems."/cold" holds the storage /cold/y of the persisted path /x and is not needed for boot: at the next boot it is mounted too late`}},
		{"P6 the initrd mounts it in time", "SW109", []part{inInitrd("/cold", "/dev/c"), persist("/cold")}, nil},
		{"what home-manager links in the session may be mounted late", "SW109", []part{needed(mounted("/cold", "/dev/c", "ext4"), known(false)), persist("/cold", rare("/home/ada/x", stateward.EntrySpecial{OfUser: "ada", How: known("symlink")})), ofModule("/cold", stateward.HomeManager)}, nil},
		{"P6 the systemd initrd leaves out what has noauto", "SW109", []part{systemdInitrd(true), fileSystem("/cold", "/dev/c", "ext4", "noauto"), persist("/cold")},
			[]string{`error fileSystems."/cold".options [/cold] fileSystems."/cold" holds the persistence root /cold and has the option noauto, by which the systemd initrd leaves it out: at the next boot it is mounted too late`}},
		{"P6 the systemd initrd does not wait for what has nofail", "SW109", []part{systemdInitrd(true), fileSystem("/cold", "/dev/c", "ext4", "x-y,nofail"), persist("/cold")},
			[]string{`warning fileSystems."/cold".options [/cold] fileSystems."/cold" holds the persistence root /cold and has the option nofail, by which the systemd initrd does not wait for it: it may be mounted too late, or not at all`}},
		{"P6 an initrd of scripts heeds neither", "SW109", []part{fileSystem("/cold", "/dev/c", "ext4", "noauto", "nofail"), persist("/cold")}, nil},
		{"P6 needed", "SW109", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/cold", "/x")}, nil},
		{"P6 always needed", "SW109", []part{needed(mounted("/var/lib", "/dev/c", "ext4"), known(false)), persist("/var/lib/cold", "/var/lib/x")}, nil},

		{"P7 ids are dealt anew", "SW110", []part{removeEntries, func(h *stateward.Host) {
			push(&h.Users, stateward.User{Name: "sonarr"})
			push(&h.Groups, stateward.Group{Name: "media"})
		}}, []string{"error " + persistence + " [/var/lib/nixos] /var/lib/nixos is gone at the next boot: group media, user sonarr then get other ids than their files have"}},
		{"P7 many ids", "SW110", []part{removeEntries, func(h *stateward.Host) {
			for _, n := range []string{"f", "e", "d", "c", "b", "a"} {
				push(&h.Users, stateward.User{Name: n})
			}
		}}, []string{"error " + persistence + " [/var/lib/nixos] /var/lib/nixos is gone at the next boot: user a, user b, user c, user d and 2 more then get other ids than their files have"}},
		{"P7 unknown ids", "SW110", []part{removeEntries, func(h *stateward.Host) { h.Groups = unknown[[]stateward.Group]("users.groups") }},
			[]string{"warning " + persistence + " [/var/lib/nixos] /var/lib/nixos is gone at the next boot, and cannot tell whether all ids are written down: users.groups: it throws"}},
		{"P7 in doubt", "SW110", []part{removeEntries, func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "a"}); push(&h.ExtraPools, "tank") }},
			[]string{"warning " + persistence + " [/var/lib/nixos] cannot tell whether /var/lib/nixos survives a reboot: pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"}},
		{"P7 all ids are written down", "SW110", []part{removeEntries}, nil},
		{"P7 persisted", "SW110", []part{func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "a"}) }}, nil},
		{"P7 parent is persisted", "SW110", []part{removeEntries, persist("/persist", "/var/lib"), func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "a"}) }}, nil},

		{"P10 two entries", "SW111", []part{persist("/persist", owned("/x", "a", "g", "0700"), owned("/x", "b", "g", "0750"))}, []string{
			"error " + persistence + "[2] [/x] /x is given mode 0750 here and 0700 by " + persistence + "[1]: their order decides at the next boot",
			"error " + persistence + "[2] [/x] /x is given user b here and a by " + persistence + "[1]: their order decides at the next boot"}},
		{"P10 entry and contract", "SW111", []part{persist("/persist", owned("/x", "a", "", "")), service("s", owned("/x", "b", "", ""))},
			[]string{"error qgroget.serviceModules.s.dataDir [/x] /x is given user b here and a by " + persistence + "[1]: their order decides at the next boot"}},
		{"P10 two declarations of one service", "SW111", []part{changed(contract("s"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{
				{Entry: asEntry(owned("/x", "a", "", ""), stateward.Directory, at("one")), Source: stateward.SourcePersistedData},
				{Entry: asEntry(owned("/x", "b", "", ""), stateward.Directory, at("two")), Source: stateward.SourcePersistedData},
			})
		})}, []string{"error two [/x] /x is given user b here and a by one: their order decides at the next boot"}},
		{"P10 they add up", "SW111", []part{persist("/persist", owned("/x", "a", "", ""), owned("/x", "", "g", ""), owned("/x", "a", "g", "")), service("s", "/x")}, nil},
		{"P10 unknown is no difference", "SW111", []part{persist("/persist", owned("/x", "a", "", ""), func() stateward.Entry {
			e := owned("/x", "", "", "")
			e.User = unknown[stateward.Owner]("u")
			return e
		}())}, nil},

		{"P10 persisted paths", "SW112", []part{persist("/persist", "", "rel", "/a/../b", "/", "/tmp/x", "/nix/store/x", "/run/x", "/proc")}, []string{
			"error " + persistence + "[1] [] persisted path is unusable, and nothing there is kept at the next boot: path is empty",
			"error " + persistence + `[2] [rel] persisted path is unusable, and nothing there is kept at the next boot: path "rel" is not absolute`,
			"error " + persistence + `[3] [/a/../b] persisted path is unusable, and nothing there is kept at the next boot: path "/a/../b" contains ".."`,
			"error " + persistence + `[4] [/] persisted path "/" is unusable, and nothing there is kept at the next boot: "/" cannot be bind-mounted over itself`,
			"error " + persistence + `[5] [/tmp/x] persisted path "/tmp/x" is unusable, and nothing there is kept at the next boot: /tmp is emptied by design`,
			"error " + persistence + `[6] [/nix/store/x] persisted path "/nix/store/x" is unusable, and nothing there is kept at the next boot: /nix must be there before anything is persisted`,
			"error " + persistence + `[7] [/run/x] persisted path "/run/x" is unusable, and nothing there is kept at the next boot: /run/x is a runtime directory`,
			"error " + persistence + `[8] [/proc] persisted path "/proc" is unusable, and nothing there is kept at the next boot: /proc is a kernel file system`}},
		{"P10 more spellings of what is no path", "SW112", []part{persist("/persist", "./x", "~/x", "$HOME/x", "%h/x", "..", "/..", "/tmp", "/tmp/", "/nix", "//nix//x", "/dev/shm", "/sys", "/run/")}, func() []string {
			unusable := func(i int, path, what, why string) string {
				return fmt.Sprintf("error %s[%d] [%s] persisted path%s is unusable, and nothing there is kept at the next boot: %s", persistence, i, path, what, why)
			}
			all := []string{
				unusable(1, "./x", "", `path "./x" is not absolute`),
				unusable(2, "~/x", "", `path "~/x" is not absolute`),
				unusable(3, "$HOME/x", "", `path "$HOME/x" is not absolute`),
				unusable(4, "%h/x", "", `path "%h/x" is not absolute`),
				unusable(5, "..", "", `path ".." is not absolute`),
				unusable(6, "/..", "", `path "/.." contains ".."`),
				unusable(7, "/tmp", ` "/tmp"`, "/tmp is emptied by design"),
				unusable(8, "/tmp/", ` "/tmp/"`, "/tmp is emptied by design"),
				unusable(9, "/nix", ` "/nix"`, "/nix must be there before anything is persisted"),
				unusable(10, "//nix//x", ` "//nix//x"`, "/nix must be there before anything is persisted"),
				unusable(11, "/dev/shm", ` "/dev/shm"`, "/dev/shm is a kernel file system"),
				unusable(12, "/sys", ` "/sys"`, "/sys is a kernel file system"),
				unusable(13, "/run/", ` "/run/"`, "/run is a runtime directory"),
			}
			slices.Sort(all)
			return all
		}()},
		{"P10 state of a service", "SW112", []part{service("a", "rel", "", "/tmp/x")}, []string{
			"error qgroget.serviceModules.a.backupPaths[0] [] backupPaths of a is unusable: path is empty",
			"error qgroget.serviceModules.a.backupPaths[1] [/tmp/x] backupPaths of a is unusable: /tmp is emptied by design",
			`error qgroget.serviceModules.a.dataDir [rel] dataDir of a is unusable: path "rel" is not absolute`}},
		{"P10 what is bound into a container may be no state", "SW112", []part{service("c"), source("bindMounts", stateward.SourceContainer, "/run/secrets/db"), source("bindMounts", stateward.SourceContainer, "/dev/dri"),
			source("bindMounts", stateward.SourceContainer, "/nix/var/nix"), source("bindMounts", stateward.SourceContainer, "/run/postgresql"), source("volumes", stateward.SourceVolume, "/run/x")}, nil},
		{"P10 what is bound and is said to be state too", "SW112", []part{service("c", "/tmp/c"), source("bindMounts", stateward.SourceContainer, "/tmp/c")},
			[]string{"error qgroget.serviceModules.c.dataDir [/tmp/c] dataDir of c is unusable: /tmp is emptied by design"}},
		{"P10 a container's mount that is no path", "SW112", []part{service("c"), source("bindMounts", stateward.SourceContainer, "rel")},
			[]string{`error services.c.bindMounts [rel] container of c is unusable: path "rel" is not absolute`}},
		{"P10 keys and homes of the host", "SW112", []part{secretKey("sops.age.keyFile", "~/.config/sops/age/keys.txt"), sshKey("ssh_host_key"), person("ada", "home/ada"), unreadKey}, []string{
			`error services.openssh.hostKeys[0].path [ssh_host_key] services.openssh.hostKeys[0].path names no place for a host key: path "ssh_host_key" is not absolute`,
			`error sops.age.keyFile [~/.config/sops/age/keys.txt] sops.age.keyFile names no key that can decrypt the host's secrets: path "~/.config/sops/age/keys.txt" is not absolute`,
			`error users.users.ada [home/ada] users.users.ada names no home: path "home/ada" is not absolute`}},
		{"P10 backup path", "SW112", []part{backsUp("rel", "/a")},
			[]string{`error services.restic.backups.daily.paths[0] [rel] restic job daily backs up no absolute path: path "rel" is not absolute`}},
		{"P10 disabled service", "SW112", []part{disabled("a", "rel")}, nil},
		{"P10 usable", "SW112", []part{persist("/persist", "/x//y/", "/tmpx", "/nixos", "/running"), service("a", "/srv/a b")}, nil},

		{"P10 more spellings of one path", "SW113", []part{persist("/persist", "/x/.", "/./y", "/z///")}, []string{
			"info " + persistence + `[1] [/x] "/x/." is /x spelt differently`,
			"info " + persistence + `[2] [/y] "/./y" is /y spelt differently`,
			"info " + persistence + `[3] [/z] "/z///" is /z spelt differently`}},
		{"P10 spelt differently", "SW113", []part{persist("/persist", "/x/", "//y")}, []string{
			"info " + persistence + `[1] [/x] "/x/" is /x spelt differently`,
			"info " + persistence + `[2] [/y] "//y" is /y spelt differently`}},
		{"N9 through the persistence root", "SW113", []part{persist("/persist", "/persist/x")},
			[]string{"warning " + persistence + "[1] [/persist/x] /persist/x lies inside of the persistence root /persist: it is stored at /persist/persist/x and hides what is there"}},
		{"N9 the persistence root itself", "SW113", []part{persist("/persist", "/persist")},
			[]string{"warning " + persistence + "[1] [/persist] /persist lies inside of the persistence root /persist: it is stored at /persist/persist and hides what is there"}},
		{"clean", "SW113", []part{persist("/persist", "/x", "/persistent/x")}, nil},

		{"P11 a directory that is nobody's in particular", "SW114", []part{disabled("guix", "/var"), persist("/persist", "/var")}, nil},
		{"P11 others keep state below it", "SW114", []part{disabled("a", "/x"), service("b", "/x/b"), persist("/persist", "/x")}, nil},
		{"P11 persisted", "SW114", []part{disabled("a", "/a"), persist("/persist", "/a/")},
			[]string{"info " + persistence + "[1] [/a] a is disabled, and its /a is still persisted"}},
		{"P11 backed up", "SW114", []part{disabled("b", "/x"), disabled("a", "/x"), backsUp("/x")},
			[]string{"info services.restic.backups.daily.paths[0] [/x] a is disabled, and its /x is still backed up by restic job daily"}},
		{"P11 used by another service", "SW114", []part{disabled("a", "/a"), service("b", "/a"), persist("/persist", "/a")}, nil},
		{"P11 may be enabled", "SW114", []part{changed(contract("a", "/a"), func(s *stateward.Service) { s.Enable = unknown[bool]("e") }), persist("/persist", "/a")}, nil},
		{"P11 enabled", "SW114", []part{service("a", "/a"), persist("/persist", "/a"), backsUp("/a")}, nil},

		{"P6 root on the wiped root", "SW115", []part{persist("/cold", "/x")},
			[]string{`error environment.persistence."/cold" [/cold] persistence root /cold is gone at the next boot, with all that is in it: fileSystems."/" is a tmpfs`}},
		{"N8 root on a dataset that is rolled back", "SW115", []part{fileSystem("/cold", "rpool/cold", "zfs"), persist("/cold"), initrdHook("postDeviceCommands", "zfs rollback rpool/cold@blank")},
			[]string{`error environment.persistence."/cold" [/cold] persistence root /cold is gone at the next boot, with all that is in it: boot.initrd.postDeviceCommands rolls rpool/cold back`}},
		{"P6 in doubt", "SW115", []part{fileSystem("/cold", "overlay", "overlay"), persist("/cold")},
			[]string{`warning environment.persistence."/cold" [/cold] cannot tell whether persistence root /cold survives a reboot: fileSystems."/cold" is an overlay, and where it writes is not read`}},
		{"P6 disabled root", "SW115", []part{persist("/cold"), changeRoot("/cold", func(r *stateward.PersistenceRoot) { r.Enable = known(false) })}, nil},
		{"P6 below a file system", "SW115", []part{fileSystem("/data", "/dev/c", "ext4"), persist("/data/cold")}, nil},

		{"P6 storage of an entry is wiped", "SW115", []part{persist("/persist", storedAt("/etc/ssh", known(stateward.MustPath("/ephemeral"))), storedAt("/etc/x", known(stateward.MustPath("/ephemeral"))))},
			[]string{`error ` + persistence + `[1] [/ephemeral] the storage /ephemeral of the persisted path /etc/ssh is gone at the next boot, with all that is in it: fileSystems."/" is a tmpfs`}},
		{"P6 storage of an entry survives", "SW115", []part{persist("/persist", storedAt("/etc/ssh", known(stateward.MustPath("/persist/ssh"))))}, nil},

		{"P9 script hook under the systemd initrd", "SW116", []part{noRoot, fileSystem("/", "rpool/root", "zfs"), systemdInitrd(true), initrdHook("postDeviceCommands", "zfs rollback rpool/root@blank")},
			[]string{"warning boot.initrd.postDeviceCommands [] boot.initrd.postDeviceCommands would wipe, and the systemd initrd never runs it: what nobody persisted is still there after the next boot"}},
		{"P9 service without the systemd initrd", "SW116", []part{noRoot, fileSystem("/", "rpool/root", "zfs"), initrdHook("systemd.services.rollback", "zfs rollback rpool/root@blank")},
			[]string{"warning boot.initrd.systemd.services.rollback [] boot.initrd.systemd.services.rollback would wipe, and the scripted initial ramdisk never runs it: what nobody persisted is still there after the next boot"}},
		{"P9 hook that runs", "SW116", []part{noRoot, fileSystem("/", "rpool/root", "zfs"), initrdHook("postDeviceCommands", "zfs rollback rpool/root@blank")}, nil},
		{"P9 root that something else wipes", "SW116", []part{systemdInitrd(true), initrdHook("postDeviceCommands", "zfs rollback rpool/root@blank")}, nil},
		{"N8 what is rolled back is hidden", "SW117", []part{noRoot, fileSystem("/", "rpool/root", "zfs"), hiddenHook("systemd.services.rollback", stateward.UnknownHidden), systemdInitrd(true)},
			[]string{`warning fileSystems."/" [/] cannot tell whether the root is wiped at every boot: the text of boot.initrd.systemd.services.rollback is unknown`}},
		{"N8 no root", "SW117", []part{func(h *stateward.Host) {
			*h = stateward.Host{FileSystems: known([]stateward.FileSystem{})}
		}}, []string{`warning fileSystems."/" [/] cannot tell whether the root is wiped at every boot: fileSystems has no entry for "/"; nor can it be told whether /etc/machine-id survives the next boot`}},
		{"N8 no file systems, and state", "SW117", []part{func(h *stateward.Host) { *h = stateward.Host{} }, service("a", "/a")},
			[]string{`warning fileSystems."/" [/] cannot tell whether the root is wiped at every boot: fileSystems has no entry for "/"; nor can it be told whether /a survives the next boot`}},
		{"N8 no file systems, and nothing to lose", "SW117", []part{func(h *stateward.Host) { *h = stateward.Host{} }}, nil},
		{"N8 root is wiped", "SW117", []part{service("a", "/a")}, nil},
		{"N8 root is kept", "SW117", []part{noRoot, fileSystem("/", "rpool/root", "zfs"), service("a", "/a")}, nil},

		{"N2 assertion", "SW601", []part{func(h *stateward.Host) {
			h.FailedAssertions = known([]stateward.Value[string]{known("  no\n  way "), unknown[string]("assertions[1]")})
		}}, []string{"error assertions [] assertion fails: no way", "error assertions[1] [] assertion fails, and its message cannot be evaluated"}},
		{"N2 no assertion", "SW601", []part{func(h *stateward.Host) { h.FailedAssertions = known([]stateward.Value[string]{}) }}, nil},

		{"N2 warning", "SW602", []part{func(h *stateward.Host) { h.Warnings = known([]stateward.Value[string]{known("a\nb")}) }},
			[]string{"info warnings [] the configuration warns: a b"}},
		{"N2 no warning", "SW602", []part{func(h *stateward.Host) { h.Warnings = known([]stateward.Value[string]{unknown[string]("warnings[0]")}) }}, nil},

		{"N1 what a check needs", "SW603", []part{unknowns(
			stateward.Unknown{Subject: "services.a.dataDir", Kind: stateward.UnknownThrow, Message: "x\n  y"},
			stateward.Unknown{Subject: "fileSystems", Kind: stateward.UnknownFunction},
			stateward.Unknown{Subject: "warnings", Kind: stateward.UnknownDepth},
			stateward.Unknown{Subject: `environment.persistence."/persist".directories[0].mode`, Kind: stateward.UnknownForm, Message: `mode "999" is not octal`})}, []string{
			`warning environment.persistence."/persist".directories[0].mode [] environment.persistence."/persist".directories[0].mode is not understood: mode "999" is not octal; needed by 19 checks of persistence, datasets and secrets (SW1xx, SW2xx, SW7xx)`,
			"warning fileSystems [] fileSystems is a function; needed by 21 checks of persistence and datasets (SW1xx, SW2xx)",
			"warning services.a.dataDir [] services.a.dataDir could not be evaluated: x y; needed by SW101, SW112, SW114, SW120",
			"warning warnings [] warnings is nested too deeply to be read; needed by SW602"}},
		{"N6 what nothing needs", "SW603", []part{unknowns(thrown("systemd.services.a.after"), thrown("systemd.services.a.serviceConfig.Type"), thrown("services.restic.backups.a.backupCleanupCommand"))}, nil},
		{"N4 a whole dialect", "SW603", []part{unknowns(thrown("config"))},
			[]string{"warning config [] config could not be evaluated: it throws; needed by every check"}},
		{"N4 an option of another dialect", "SW603", []part{unknowns(thrown("servicesX"))},
			[]string{"warning servicesX [] servicesX could not be evaluated: it throws; needed by every check"}},
		{"N6 what lies above an option that nothing needs", "SW603", []part{unknowns(thrown("services.restic.backups"), thrown("users"))}, []string{
			"warning services.restic.backups [] services.restic.backups and 1 more could not be evaluated: it throws; needed by 24 checks of persistence, datasets, backups, evaluation and secrets (SW1xx, SW2xx, SW3xx, SW6xx, SW7xx)"}},
		{"N6 one error takes many values away", "SW603", []part{unknowns(thrown("fileSystems"), thrown("warnings"), thrown("users.groups"), thrown("services.syncoid"), thrown("systemd.mounts[0].what"),
			stateward.Unknown{Subject: "boot.zfs", Kind: stateward.UnknownThrow, Message: "another\n  error. Definition values:\n- In x"},
			stateward.Unknown{Subject: "age", Kind: stateward.UnknownThrow}, stateward.Unknown{Subject: "sops", Kind: stateward.UnknownThrow},
			stateward.Unknown{Subject: "assertions", Kind: stateward.UnknownType, Message: "it throws"})}, []string{
			"warning age [] age could not be evaluated; needed by SW118, SW702",
			"warning assertions [] assertions is not understood: it throws; needed by SW601",
			"warning boot.zfs [] boot.zfs could not be evaluated: another error.; needed by SW101, SW110, SW118, SW119, SW216",
			"warning fileSystems [] fileSystems and 4 more could not be evaluated: it throws; needed by 31 checks of persistence, datasets, backups and evaluation (SW1xx, SW2xx, SW3xx, SW6xx)",
			"warning sops [] sops could not be evaluated; needed by SW118, SW702"}},
		{"N6 a job that its engine or systemd refuses", "SW603", []part{
			restic("r", "b2:x:y", func(j *stateward.Job) {
				j.Prune = stateward.Known([]string{"--keep-daily 7", "--keep-monthy 12"}, at("services", "restic", "backups", "r", "pruneOpts"))
				j.Schedule = stateward.Known([]string{"25:00"}, at("services", "restic", "backups", "r", "timerConfig"))
			}, "/srv"),
			restic("asked", "b2:x:z", func(j *stateward.Job) { j.Asked, j.Prune = true, known([]string{"--keep-monthy 12"}) }, "/srv"),
		}, []string{
			"warning services.restic.backups.r.pruneOpts [] services.restic.backups.r.pruneOpts is not understood: restic has no option --keep-monthy; needed by SW302",
			`warning services.restic.backups.r.timerConfig [] services.restic.backups.r.timerConfig is not understood: calendar event "25:00", character 1: hour 25 is out of range: it goes from 0 to 23; needed by SW303, SW304, SW307`}},
		{"N4 every check needs one of them", "SW603", []part{unknowns(thrown("fileSystems"), thrown("zzz"))},
			[]string{"warning fileSystems [] fileSystems and 1 more could not be evaluated: it throws; needed by every check"}},
		{"N6 a unit whose name looks like an option", "SW603", []part{unknowns(thrown(`systemd.services."a.after".serviceConfig.StateDirectory`))},
			[]string{`warning systemd.services."a.after".serviceConfig.StateDirectory [] systemd.services."a.after".serviceConfig.StateDirectory could not be evaluated: it throws; needed by 23 checks of persistence, datasets, backups, preseed and databases (SW1xx, SW2xx, SW3xx, SW4xx, SW5xx)`}},
		{"N6 a whole tree", "SW603", []part{unknowns(thrown("systemd"))},
			[]string{"warning systemd [] systemd could not be evaluated: it throws; needed by 34 checks of persistence, datasets, backups, preseed and databases (SW1xx, SW2xx, SW3xx, SW4xx, SW5xx)"}},

		{"N1 nix path", "SW604", []part{job(func(j *stateward.Job) {
			j.PasswordFile = stateward.Known(stateward.FileRef{Text: "/etc/nixos/pw", NixPath: true}, at("pw"))
			j.EnvironmentFile = stateward.Known(stateward.FileRef{Text: "/nix/store/x-env"}, at("env"))
			j.RepositoryFile = stateward.Known(stateward.FileRef{Text: "/run/secrets/repo"}, at("repo"))
		})}, []string{"error env [/nix/store/x-env] env lies in the world-readable store",
			"error pw [/etc/nixos/pw] pw is a Nix path: using it copies the secret into the world-readable store"}},
		{"N1 text", "SW604", []part{job(func(j *stateward.Job) { j.PasswordFile = known(stateward.FileRef{Text: "/run/secrets/pw"}) })}, nil},

		{"P10 in the store", "SW701", []part{persist("/persist", "/nix//store/x/y"), backsUp("/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-source/data"),
			service("a", "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a-1.0/share"), dataset("tank/a", "/nix/store/a")}, []string{
			`error disko.devices."tank/a" [/nix/store/a] dataset tank/a is to be mounted at /nix/store/a, inside of the nix store: it hides what nix put there`,
			"error " + persistence + "[1] [/nix/store/x/y] /nix/store/x/y is persisted and lies inside of the nix store: at the next boot it hides what nix put there",
			"error qgroget.serviceModules.a.dataDir [/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a-1.0/share] dataDir of a lies inside of the nix store (/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a-1.0/share): nothing can be written there",
			"warning services.restic.backups.daily.paths[0] [/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-source/data] restic job daily stores /nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-source/data, which lies inside of the nix store: that is a copy made when the configuration was built, and no data"}},
		{"P10 the store as a whole", "SW701", []part{persist("/persist", "/nix", "/nix/store", "/nix/var"), backsUp("/nix/store/", "/nix/storage/x"), dataset("tank/nix", "/nix/store")}, nil},
		{"P10 a dataset that a service asks for", "SW701", []part{func(h *stateward.Host) {
			asked := stateward.Dataset{Name: "tank/a", MountPoint: known("/nix/store/a"), Asked: true, Origin: at("stateward", "services", "a", "dataset")}
			push(&h.Datasets, asked)
			changed(contract("a", "/var/lib/a"), func(s *stateward.Service) { s.Dataset = &asked })(h)
		}}, []string{"error stateward.services.a.dataset [/nix/store/a] dataset tank/a is to be mounted at /nix/store/a, inside of the nix store: it hides what nix put there"}},
		{"P11 a service that is off", "SW701", []part{disabled("a", "/nix/store/x")}, nil},

		{"N6 no dialect", "SW605", []part{func(h *stateward.Host) { h.Dialects = nil }},
			[]string{"error config [] no known dialect applies to this host: nothing was checked"}},
		{"N6 failed host", "SW605", []part{func(h *stateward.Host) { h.Dialects, h.Status = nil, stateward.StatusFailed }},
			[]string{"error config [] the host could not be evaluated: nothing was checked"}},
		{"N6 a dialect", "SW605", nil, nil},
	} {
		t.Run(tc.code+" "+tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(wiped, tc.parts...), tc.code)))
		})
	}
}

// Every check has a case that fires and one that is quiet.
func TestChecksAreTested(t *testing.T) {
	var src []byte
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		src = append(src, text...)
	}
	for _, c := range aggregate.Catalog() {
		require.GreaterOrEqual(t, strings.Count(string(src), fmt.Sprintf("%q", c.Code)), 2, c.Code)
	}
}

func TestFindingsAreComplete(t *testing.T) {
	h := with(wiped, service("a", "/a"), persist("/persist", "/x/", "/x", "rel"))
	for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
		require.NotEmpty(t, d.Code)
		require.NotZero(t, d.Severity)
		require.NotEmpty(t, d.Subject)
		require.NotEmpty(t, d.Message)
		require.NotRegexp(t, `\.$`, d.Message)
		require.NotEmpty(t, d.Hint)
		require.Empty(t, d.Acknowledged)
	}
}

// noRoot takes the file system of "/" away.
func noRoot(h *stateward.Host) {
	fs := slices.DeleteFunc(slices.Clone(h.FileSystems.Or(nil)), func(f stateward.FileSystem) bool { return f.MountPoint.Path == stateward.Root })
	h.FileSystems = known(fs)
}

// removeEntries empties the lists of all persistence roots.
func removeEntries(h *stateward.Host) {
	roots := slices.Clone(h.Persistence.Or(nil))
	for i := range roots {
		roots[i].Directories = known([]stateward.Entry(nil))
	}
	h.Persistence = known(roots)
}

func unknowns(us ...stateward.Unknown) part {
	return func(h *stateward.Host) { h.AddUnknown(us...) }
}

// P4, P8: where something may be mounted, to persist the path would hide it. Where only
// the wipe of the root is in doubt, persisting is safe either way.
func TestHintsInDoubtHideNothing(t *testing.T) {
	pool := func(h *stateward.Host) { push(&h.ExtraPools, "tank") }
	opaque := []part{on(fileSystem("/", "rpool/local/root", "zfs"))[0], on(fileSystem("/", "rpool/local/root", "zfs"))[1],
		initrdHook("postDeviceCommands", "zfs rollback -r $DS")}
	many := []part{service("a", "/a"), service("b", "/b"), service("c", "/c"), service("d", "/d")}
	for _, tc := range []struct {
		name string
		host *stateward.Host
		code string
	}{
		{"P4 a pool may hold one place", with(wiped, service("a", "/a"), pool), "SW101"},
		{"P4 a pool may hold many places", with(wiped, append(many, pool)...), "SW101"},
		{"N8 the wipe of the root is in doubt", with(wiped, append(opaque, service("a", "/a"))...), "SW117"},
		{"N8 the wipe of the root is in doubt for many places", with(wiped, append(opaque, many...)...), "SW117"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := 0
			for _, d := range aggregate.Lint(aggregate.Input{Host: tc.host}).Findings {
				if d.Code != "SW101" && d.Code != "SW117" {
					continue
				}
				require.Equal(t, tc.code, d.Code)
				n++
				require.Equal(t, stateward.SeverityWarning, d.Severity)
				if tc.code == "SW117" {
					require.Contains(t, d.Hint, "or persist")
				} else {
					require.NotContains(t, d.Hint, "or persist")
					require.Contains(t, d.Hint, "name what is mounted there in fileSystems")
				}
			}
			require.Equal(t, 1, n)
		})
	}
}
