package aggregate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// entryLine is a resolved entry on one line: path, owner where given, who asked, services.
func entryLine(e aggregate.ResolvedEntry) string {
	parts := []string{e.Text}
	for _, f := range []struct {
		name string
		text string
		not  bool
	}{{"user", e.User.String(), e.User.IsAbsent()}, {"group", e.Group.String(), e.Group.IsAbsent()}, {"mode", e.Mode.String(), e.Mode.IsAbsent()}} {
		if !f.not {
			parts = append(parts, f.name+"="+f.text)
		}
	}
	parts = append(parts, string(e.From))
	return strings.Join(append(parts, e.Services...), " ")
}

type outcome struct{ Entries, Notes []string }

// resolved is a resolution on a few lines. A note is its kind, path and message.
func resolved(r *aggregate.Resolution) outcome {
	var o outcome
	for _, e := range r.Entries {
		o.Entries = append(o.Entries, entryLine(e))
	}
	for _, n := range r.Notes {
		o.Notes = append(o.Notes, string(n.Kind)+" "+n.Path+": "+n.Message)
	}
	return o
}

func TestResolve(t *testing.T) {
	const nixos = "/var/lib/nixos host"
	for _, tc := range []struct {
		name  string
		parts []part
		opts  aggregate.Options
		want  outcome
	}{
		{"nothing to do", nil, aggregate.Options{}, outcome{Entries: []string{nixos}}},
		{"P1 state of a service is added", []part{service("sonarr", "/var/lib/sonarr")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/sonarr collector sonarr"}}},
		{"P1 state that the collector does not see", []part{stateUnit("sonarr", known(false), "sonarr")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/sonarr state sonarr"}}},
		{"P11 disabled service yields nothing", []part{changed(contract("a", "/a"), func(s *stateward.Service) { s.Enable = known(false) })}, aggregate.Options{},
			outcome{Entries: []string{nixos}}},
		{"host's own entry is kept in its place", []part{persist("/persist", "/z", "/a"), service("s", "/a", "/b")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/z host", "/a host s", "/b collector s"}, Notes: []string{
				`merged /a: environment.persistence."/persist".directories[2] and qgroget.serviceModules.s.dataDir name one path`,
			}}},
		{"services share a path", []part{service("b", "/x"), service("a", "/x")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x collector a b"}}},
		{"P2 text and set for one path merge", []part{service("a", "/x"), service("b", owned("/x", "b", "", "0700"))}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x user=b mode=0700 collector a b"}, Notes: []string{
				"merged /x: qgroget.serviceModules.a.dataDir and qgroget.serviceModules.b.dataDir name one path",
			}}},
		{"P2 own entries for one path merge", []part{persist("/persist", "/x", owned("/x", "x", "x", "0750"))}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x user=x group=x mode=0750 host"}, Notes: []string{
				`merged /x: environment.persistence."/persist".directories[1] and environment.persistence."/persist".directories[2] name one path`,
			}}},
		{"owner given by another declaration of one service", []part{stateUnit("a", known(false), "a"), changed(contract("a"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: owned("/var/lib/a", "a", "", ""), Source: stateward.SourcePersistedData}})
		})}, aggregate.Options{}, outcome{Entries: []string{nixos, "/var/lib/a user=a state a"}}},
		{"P10 different owners are a conflict, the first is kept", []part{persist("/persist", owned("/x", "a", "", "0700")), service("b", owned("/x", "b", "b", "0700"))}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x user=a group=b mode=0700 host b"}, Notes: []string{
				`conflict /x: /x: user is a by environment.persistence."/persist".directories[1] and b by qgroget.serviceModules.b.dataDir`,
				`merged /x: environment.persistence."/persist".directories[1] and qgroget.serviceModules.b.dataDir name one path`,
			}}},
		{"an unknown mode is no conflict and is not replaced", []part{persist("/persist", func() stateward.Entry {
			e := owned("/x", "", "", "")
			e.Mode = unknown[stateward.Mode]("mode")
			return e
		}()), changed(contract("b"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: owned("/x", "", "", "0700"), Source: stateward.SourcePersistedData}})
		})}, aggregate.Options{}, outcome{Entries: []string{nixos, "/x mode=unknown (mode: it throws) host b"}, Notes: []string{
			"unknown /x: the mode of /x cannot be written again: mode: it throws",
		}}},
		{"P2 nested paths are reported", []part{service("a", "/x", "/x/y")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x collector a", "/x/y collector a"}, Notes: []string{"nested /x/y: /x/y lies below /x"}}},
		{"P2 nested paths are collapsed", []part{service("a", "/x/y/z", "/x", "/x/y")}, aggregate.Options{Collapse: true},
			outcome{Entries: []string{nixos, "/x collector a"}, Notes: []string{"collapsed /x/y: /x/y is left out below /x", "collapsed /x/y/z: /x/y/z is left out below /x/y"}}},
		{"P2 what has a mode of its own is not collapsed", []part{service("a", "/x", owned("/x/y", "", "", "0700"))}, aggregate.Options{Collapse: true},
			outcome{Entries: []string{nixos, "/x collector a", "/x/y mode=0700 collector a"}, Notes: []string{"nested /x/y: /x/y lies below /x"}}},
		{"P2 below a persisted parent is covered", []part{persist("/persist", "/var/lib"), service("a", "/var/lib/a")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib host"}, Notes: []string{
				`covered /var/lib/a: /var/lib/a survives a reboot already by environment.persistence."/persist"`, "nested /var/lib/nixos: /var/lib/nixos lies below /var/lib",
			}}},
		{"P4 what has a file system of its own is left out", []part{fileSystem("/srv", "/dev/b", "ext4"), service("a", "/srv/a")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{`covered /srv/a: /srv/a survives a reboot already by fileSystems."/srv"`}}},
		{"P4 what has a dataset of its own is left out", []part{dataset("tank/a", "/var/lib/a"), service("a", "/var/lib/a")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{"covered /var/lib/a: /var/lib/a survives a reboot already by dataset tank/a"}}},
		{"what a file system in memory holds is added", []part{fileSystem("/srv", "none", "tmpfs"), service("a", "/srv/a")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/srv/a collector a"}}},
		{"another root holds it", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/cold", "/x"), service("a", "/x")}, aggregate.Options{Root: "/persist"},
			outcome{Entries: []string{nixos}, Notes: []string{`covered /x: /x survives a reboot already by environment.persistence."/cold"`}}},
		{"P10 trailing and doubled slashes are one path", []part{persist("/persist", "/x/"), service("a", "//x", "/y/")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/x host a", "/y collector a"}, Notes: []string{
				`merged /x: environment.persistence."/persist".directories[1] and qgroget.serviceModules.a.dataDir name one path`,
				`respelt /x: "//x" is /x`, `respelt /x: "/x/" is /x`, `respelt /y: "/y/" is /y`,
			}}},
		{"N9 the host spells a path through the root", []part{persist("/persist", "/persist/var/lib/a"), stateUnit("a", known(false), "a")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/a host a"}, Notes: []string{`respelt /var/lib/a: "/persist/var/lib/a" is /var/lib/a seen through the persistence root`}}},
		{"N9 a service keeps state in the root itself", []part{service("a", "/persist/a")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{"covered /persist/a: /persist/a lies in the persistence root /persist itself"}}},
		{"P3 DynamicUser: the parent is persisted with its mode", []part{stateUnit("a", known(true), "a"), stateUnit("b", known(true), "b")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/private mode=0700 state a b"}, Notes: []string{
				"moved /var/lib/a: a runs with DynamicUser: the state is in /var/lib/private/a and /var/lib/a is a symbolic link",
				"moved /var/lib/b: b runs with DynamicUser: the state is in /var/lib/private/b and /var/lib/b is a symbolic link",
			}}},
		{"P3 DynamicUser: the host's own entry is moved", []part{persist("/persist", owned("/var/lib/a", "a", "a", "0750")), stateUnit("a", known(true), "a")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/private mode=0700 host a"}, Notes: []string{
				"moved /var/lib/a: a runs with DynamicUser: the state is in /var/lib/private/a and /var/lib/a is a symbolic link",
				"moved /var/lib/a: a.service runs with DynamicUser: /var/lib/a is a symbolic link, and persisting it stops the unit",
			}}},
		{"P3 DynamicUser in doubt", []part{stateUnit("a", unknown[bool]("a.DynamicUser"), "a"), persist("/persist", owned("/var/lib/private", "", "", "0700"))}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/private mode=0700 host"}, Notes: []string{
				"unknown /var/lib/a: /var/lib/a is not written, for whether something holds it already is unknown: whether a.service keeps it in /var/lib/private/a is unknown: a.DynamicUser: it throws",
			}}},
		{"P10 unusable paths", []part{persist("/persist", "rel", "/tmp/x", "/"), service("a", "", "../up", "/tmp/y", "/nix/x", "/a/../b")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{
				"unusable : path is empty",
				`unusable ../up: path "../up" is not absolute`,
				`unusable /: "/" cannot be bind-mounted over itself`,
				`unusable /a/../b: path "/a/../b" contains ".."`,
				"unusable /nix/x: /nix must be there before anything is persisted",
				"unusable /tmp/x: /tmp is emptied by design",
				"unusable /tmp/y: /tmp is emptied by design",
				`unusable rel: path "rel" is not absolute`,
			}}},
		{"a runtime directory needs nothing", []part{service("a", "/run/a")}, aggregate.Options{}, outcome{Entries: []string{nixos}}},
		{"unknown state of a service", []part{changed(contract("a"), func(s *stateward.Service) {
			s.State = unknown[[]stateward.StatePath]("a.dataDir")
		})}, aggregate.Options{}, outcome{Entries: []string{nixos}, Notes: []string{"unknown a.dataDir: the state of a could not be read: a.dataDir: it throws"}}},
		{"unknown whether something holds it", []part{service("a", "/a"), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{
				"unknown /a: /a is not written, for whether something holds it already is unknown: pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says",
			}}},
		{"unknown own list: what is seen is kept", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) {
			r.Directories = unknown[[]stateward.Entry]("p.directories")
			r.Seen = []stateward.Entry{owned("/a", "", "", ""), {Text: "/f", Path: stateward.MustPath("/f"), Kind: stateward.File}}
		})}, aggregate.Options{}, outcome{Entries: []string{"/a host"}, Notes: []string{"unknown p.directories: p.directories: it throws"}}},
		{"a host that keeps its root gets a list all the same", []part{func(h *stateward.Host) { *h = *with(kept, persist("/persist", "/z"), service("a", "/a", "/z/x")) }}, aggregate.Options{},
			outcome{Entries: []string{"/z host", "/a collector a"}, Notes: []string{`covered /z/x: /z/x survives a reboot already by environment.persistence."/persist"`}}},
		{"P2 entries of a user stay where they are", []part{persist("/persist", func() stateward.Entry {
			e := owned("/home/alice/Documents", "", "", "")
			e.Special = &stateward.EntrySpecial{OfUser: "alice"}
			return e
		}()), service("a", "/home/alice/Documents")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{`covered /home/alice/Documents: /home/alice/Documents survives a reboot already by environment.persistence."/persist"`}}},
		{"the user a service runs as owns what is added", []part{runsAs("a", "alice", ""), runsAs("b", "bob", "media"), runsAs("c", "root", ""),
			service("a", "/a"), service("b", "/b"), service("c", "/c"), service("d", "/d"), func(h *stateward.Host) {
				push(&h.Users, stateward.User{Name: "alice", UID: known(1), Group: known("users")})
			}}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/a user=alice group=users collector a", "/b user=bob group=media collector b", "/c collector c", "/d collector d"}}},
		{"state below other state is persisted with it", []part{stateUnit("acme", known(false), "acme/.lego/x", "acme"), stateUnit("b", known(false), "acme/b")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/acme state acme"}, Notes: []string{
				"collapsed /var/lib/acme/.lego/x: /var/lib/acme/.lego/x is left out below /var/lib/acme", "collapsed /var/lib/acme/b: /var/lib/acme/b is left out below /var/lib/acme",
			}}},
		{"P4 what is mounted within a persisted directory is not persisted with it", []part{persist("/persist", "/var/lib"), fileSystem("/var/lib/a", "none", "tmpfs"),
			stateUnit("a", known(false), "a")}, aggregate.Options{Collapse: true},
			outcome{Entries: []string{"/var/lib host", "/var/lib/a state a"}, Notes: []string{
				"collapsed /var/lib/nixos: /var/lib/nixos is left out below /var/lib", "nested /var/lib/a: /var/lib/a lies below /var/lib",
			}}},
		{"P3 the parent and the link are both listed", []part{persist("/persist", "/var/lib/a", "/var/lib/private"), stateUnit("a", known(true), "a")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/var/lib/private mode=0700 host a"}, Notes: []string{
				"moved /var/lib/a: a runs with DynamicUser: the state is in /var/lib/private/a and /var/lib/a is a symbolic link",
				"moved /var/lib/a: a.service runs with DynamicUser: /var/lib/a is a symbolic link, and persisting it stops the unit",
			}}},
		{"P7 the memory of ids is added where ids are dealt", []part{func(h *stateward.Host) {
			*h = *host(fileSystem("/", "none", "tmpfs"), fileSystem("/persist", "/dev/p", "ext4"), persist("/persist", "/z"))
			push(&h.Users, stateward.User{Name: "a"})
		}}, aggregate.Options{}, outcome{Entries: []string{"/z host", "/var/lib/nixos state nixos"}}},
		{"P4 an own entry that is a mount point is a conflict", []part{persist("/persist", "/srv"), fileSystem("/srv", "/dev/s", "ext4")}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/srv host"}, Notes: []string{`conflict /srv: /srv is persisted and is the mount point of fileSystems."/srv": drop one of the two`}}},
		{"services that could not be read are spoken of", []part{service("a", "/a"), unknowns(thrown("systemd.services"), thrown("systemd.services.b.after"))}, aggregate.Options{},
			outcome{Entries: []string{nixos, "/a collector a"}, Notes: []string{"unknown systemd.services: what it names is not in the list: systemd.services: it throws"}}},
		{"a root that the host does not have yet", []part{func(h *stateward.Host) { *h = *with(kept, service("a", "/a")) }}, aggregate.Options{Root: "/persist"},
			outcome{Entries: []string{"/a collector a"}}},
		{"a state file", []part{changed(contract("a"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: asEntry("/etc/a.key", stateward.File, at("k")), Source: stateward.SourceVolume}})
		})}, aggregate.Options{}, outcome{Entries: []string{nixos, "/etc/a.key state a"}}},
		{"a persisted file is covered", []part{persistFiles("/persist", "/etc/a.key"), service("a", "/etc/a.key")}, aggregate.Options{},
			outcome{Entries: []string{nixos}, Notes: []string{`covered /etc/a.key: /etc/a.key survives a reboot already by environment.persistence."/persist"`}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := aggregate.Resolve(with(wiped, tc.parts...), tc.opts)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tc.want, resolved(r)))
			for _, e := range r.Added() {
				require.NotEqual(t, aggregate.FromHost, e.From)
			}
		})
	}
}

func TestResolveRoot(t *testing.T) {
	two := []part{persist("/persist", "/a"), persist("/cold", "/b")}
	main := changeRoot("/cold", func(r *stateward.PersistenceRoot) { r.Name = "main" })
	for _, tc := range []struct {
		name, asked string
		parts       []part
		want        string // path and name of the root
		err, hint   string
	}{
		{"the only one", "", two[:1], "/persist /persist", "", ""},
		{"by its name", "/cold", two, "/cold /cold", "", ""},
		{"by a name that is no path", "main", append(two, main), "/cold main", "", ""},
		{"by the path of a named root", "/cold", append(two, main), "/cold main", "", ""},
		{"by a path spelt otherwise", "/cold/", two, "/cold /cold", "", ""},
		{"by name where another has that path", "/cold", append(two, persist("/other"), changeRoot("/other", func(r *stateward.PersistenceRoot) { r.Path = known(stateward.MustPath("/cold")) })), "/cold /cold", "", ""},
		{"none asked for, two there", "", two, "", "the host has 2 persistence roots", `choose one of ["/cold" "/persist"] with --root`},
		{"not there", "/other", two, "", `the host has no persistence root "/other"`, `choose one of ["/cold" "/persist"] with --root`},
		{"none there", "", nil, "", "the host names no persistence root", `declare environment.persistence."/persist", or name a root with --root`},
		{"none there, one asked for", "/persist", nil, "/persist /persist", "", ""},
		{"none there, no path asked for", "persist", nil, "", `the host has no persistence root "persist"`, `declare environment.persistence."/persist", or name a root with --root`},
		{"disabled", "", append(two, changeRoot("/cold", func(r *stateward.PersistenceRoot) { r.Enable = known(false) })), "/persist /persist", "", ""},
		{"perhaps disabled", "/cold", append(two, changeRoot("/cold", func(r *stateward.PersistenceRoot) { r.Enable = unknown[bool]("e") })), "/cold /cold", "", ""},
		{"at an unknown path", "", append(two, changeRoot("/cold", func(r *stateward.PersistenceRoot) { r.Path = unknown[stateward.AbsPath]("p") })), "/persist /persist", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := aggregate.Resolve(host(tc.parts...), aggregate.Options{Root: tc.asked})
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				var re *aggregate.RootError
				require.ErrorAs(t, err, &re)
				require.Equal(t, tc.asked, re.Asked)
				require.Equal(t, tc.hint, re.Hint())
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, r.Root.String()+" "+r.RootName)
		})
	}
}

func TestResolveDifference(t *testing.T) {
	h := with(wiped, service("a", "/a/", "/tmp/x"), stateUnit("b", known(false), "b"))
	r, err := aggregate.Resolve(h, aggregate.Options{})
	require.NoError(t, err)
	onlyCollect, onlyResolve := r.Difference()
	require.Equal(t, []string{"/a/", "/tmp/x"}, onlyCollect)
	require.Equal(t, []string{"/a", "/var/lib/b"}, onlyResolve)

	t.Run("what the collector has put there already is not the host's own", func(t *testing.T) {
		h := with(wiped, persist("/persist", "/a/", "/tmp/x"), service("a", "/a/", "/tmp/x"))
		r, err := aggregate.Resolve(h, aggregate.Options{})
		require.NoError(t, err)
		require.Equal(t, 1, r.Collection.Own)
		require.Len(t, r.Collection.Entries, 3)
		require.Empty(t, cmp.Diff([]string{
			`respelt /a: "/a/" is /a`, `respelt /a: "/a/" is /a`,
			"unusable /tmp/x: /tmp is emptied by design", "unusable /tmp/x: /tmp is emptied by design",
		}, resolved(r).Notes), "once in the list, once in the service")
	})
}
