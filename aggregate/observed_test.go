package aggregate_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// listed is one listed tree. Each text is a path, and what is there: nothing or "N" for a directory with N files of 100 bytes
// below it, "file N", "link TO", "mount", "unread", "depth", "many", "skipped", "partial"; and "by USER:GROUP:MODE" for its owner.
// The directories above are there too.
func listed(at string, texts ...string) stateward.ListingRoot {
	entries := map[string]stateward.ListingEntry{}
	dir := stateward.ListingEntry{Kind: stateward.ListedDirectory, User: "root", Group: "root", Mode: "0755"}
	put := func(p string, e stateward.ListingEntry) {
		e.Path = p
		entries[p] = e
		for p != "." {
			p = path.Dir(p)
			if _, ok := entries[p]; !ok {
				e := dir
				e.Path = p
				entries[p] = e
			}
		}
	}
	put(".", dir)
	for _, text := range texts {
		words := strings.Fields(text)
		e := dir
		for rest := words[1:]; len(rest) > 0; rest = rest[1:] {
			switch w := rest[0]; w {
			case "file":
				n, _ := strconv.Atoi(rest[1])
				e.Kind, e.Size, e.Mode, rest = stateward.ListedFile, int64(n), "0644", rest[1:]
			case "link":
				e.Kind, e.Target, e.Mode, rest = stateward.ListedSymlink, rest[1], "0777", rest[1:]
			case "unread":
				e.Closed, e.Error = stateward.ClosedUnread, "permission denied"
			case "partial":
				e.Partial = true
			case "mount", "depth", "many", "skipped":
				e.Closed = stateward.Closed(w)
			case "by":
				owner := strings.Split(rest[1], ":")
				e.User, e.Group, e.Mode, rest = owner[0], owner[1], owner[2], rest[1:]
				if id, err := strconv.ParseUint(e.User, 10, 32); err == nil {
					e.User, e.UID = "", uint32(id)
				}
			default:
				e.Files, _ = strconv.ParseInt(w, 10, 64)
				e.Bytes = 100 * e.Files
			}
		}
		put(words[0], e)
	}
	r := stateward.ListingRoot{Path: at, Depth: 5}
	for _, name := range slices.SortedFunc(maps.Keys(entries), stateward.CompareListed) {
		r.Entries = append(r.Entries, entries[name])
	}
	return r
}

func live(texts ...string) stateward.ListingRoot {
	r := listed("/", append(texts, "persist skipped")...)
	r.Live = true
	return r
}

func seen(roots ...stateward.ListingRoot) *aggregate.Observed {
	return &aggregate.Observed{Listings: []*stateward.Listing{{
		Kind: stateward.ListingKind, Version: stateward.ListingVersion, Host: "h", Taken: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Roots: roots,
	}}}
}

func observedFindings(h *stateward.Host, o *aggregate.Observed, code string) []string {
	var out []string
	for _, d := range aggregate.Lint(aggregate.Input{Host: h, Observed: o, Now: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)}).Findings {
		if d.Code == code {
			out = append(out, fmt.Sprintf("%s [%s] %s | %s", d.Severity, d.Path, d.Message, d.Hint))
		}
	}
	return out
}

// nothingPersisted takes away what a sound host persists.
func nothingPersisted(h *stateward.Host) { h.Persistence = known([]stateward.PersistenceRoot{}) }

func TestHiddenData(t *testing.T) {
	const cp = "(cd -- / && cp -ax --reflink=auto --parents -- var/lib/a /persist)"
	a := []part{persist("/persist", "/var/lib/a")}
	for _, tc := range []struct {
		name  string
		parts []part
		roots []stateward.ListingRoot
		want  []string
	}{
		{"P8 data lies at the path", append([]part{service("svc", "/var/lib/a")}, a...), []stateward.ListingRoot{listed("/persist", "var/lib 0"), live("var/lib/a 3")}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted and is not in /persist yet: at the next switch an empty directory is mounted over what lies there (300 B in 3 files), and svc starts with nothing" +
				" | before switching, with svc stopped: " + cp + "; then capture again"}},
		{"P8 nothing lies at the path", a, []stateward.ListingRoot{listed("/persist", "var/lib 0"), live("var/lib 0")}, nil},
		{"P8 empty directories lie at the path", a, []stateward.ListingRoot{listed("/persist"), live("var/lib/a/b 0")}, nil},
		{"P8 it is there", a, []stateward.ListingRoot{listed("/persist", "var/lib/a 3"), live("var/lib/a 3")}, nil},
		{"P8 it is there, below what is summed up", a, []stateward.ListingRoot{listed("/persist", "var/lib/a 3 depth"), live("var/lib/a 3")}, nil},
		{"P8 it is there and empty, and data lies at the path", a, []stateward.ListingRoot{listed("/persist", "var/lib/a"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted and is empty in /persist: at the next switch an empty directory is mounted over what lies there (100 B in 1 file)" +
				" | before switching: " + cp + "; then capture again"}},
		{"P8 it is there, empty and mounted", a, []stateward.ListingRoot{listed("/persist", "var/lib/a"), live("var/lib/a mount")}, nil},
		{"P8 a link leads into the root", a, []stateward.ListingRoot{listed("/persist", "var/lib"), live("var/lib/a link /persist/var/lib/a")}, nil},
		{"P8 the root's directory is a link", a, []stateward.ListingRoot{listed("/persist", "var/lib link ../state", "state/a 1"), live("var/lib/a 1")}, nil},
		{"P8 links in a circle", a, []stateward.ListingRoot{listed("/persist", "var/lib link lib2", "var/lib2 link lib"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is in /persist yet: /persist/var/lib/a leads through more than 40 symbolic links | "}},
		{"P8 nobody looked at the path", a, []stateward.ListingRoot{listed("/persist")}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted and is not in /persist yet: at the next switch an empty directory is mounted over whatever lies there" +
				" (whether anything does is not known: the capture does not list /var/lib/a) | if something lies there, before switching: " + cp + "; if nothing does, nothing need be done"}},
		{"P8 its parent is mounted from the root", []part{persist("/persist", "/var/lib", "/var/lib/a")}, []stateward.ListingRoot{listed("/persist", "var/lib/b 1"), live("var/lib mount")}, nil},
		{"P8 its parent is another file system", a, []stateward.ListingRoot{listed("/persist", "var/lib"), live("var mount")}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted and is not in /persist yet: at the next switch an empty directory is mounted over whatever lies there" +
				" (whether anything does is not known: /var is a file system of its own, which the capture does not look into) | if something lies there, before switching: " + cp + "; if nothing does, nothing need be done"}},
		{"P8 the outermost is named", []part{persist("/persist", "/srv/a", "/srv")}, []stateward.ListingRoot{listed("/persist"), live("srv 1", "srv/a 1")}, nil},
		{"P8 unread", a, []stateward.ListingRoot{listed("/persist", "var unread"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is in /persist yet: /persist/var could not be read (permission denied) | capture as root"}},
		{"P8 too deep", a, []stateward.ListingRoot{listed("/persist", "var 9 depth"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is in /persist yet: the capture lists no more than 5 levels of /persist | capture with --depth 3"}},
		{"P8 too deep, and nothing is said of the path either", []part{persist("/persist", "/home/u/.local/share/Steam/steamapps", "/home/u/.local/share/Steam/steamapps/x")},
			[]stateward.ListingRoot{listed("/persist", "home/u/.local/share/Steam 9 depth"), live("home/u/.local/share/Steam 9 depth")}, []string{
				"info [] cannot tell whether 2 persisted paths (/home/u/.local/share/Steam/steamapps, /home/u/.local/share/Steam/steamapps/x) are in /persist yet: the capture lists no more than 5 levels of /persist | capture with --depth 7"}},
		{"P8 too deep, and nobody looked at the path", a, []stateward.ListingRoot{listed("/persist", "var 9 depth")}, []string{
			"info [/var/lib/a] cannot tell whether /var/lib/a is in /persist yet: the capture lists no more than 5 levels of /persist | capture with --depth 3"}},
		{"P8 too deep, and nothing lies at the path", a, []stateward.ListingRoot{listed("/persist", "var 9 depth"), live("var/lib 0")}, nil},
		{"P8 too deep, and mounted", a, []stateward.ListingRoot{listed("/persist", "var 9 depth"), live("var/lib/a mount")}, nil},
		{"P8 too deep, and its parent mounted from the root", []part{persist("/persist", "/var", "/var/lib/a")}, []stateward.ListingRoot{listed("/persist", "var 9 depth"), live("var mount")}, nil},
		{"P8 too deep, and nothing lies there", a, []stateward.ListingRoot{listed("/persist", "var 0 depth"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted and is empty in /persist: at the next switch an empty directory is mounted over what lies there (100 B in 1 file)" +
				" | before switching: " + cp + "; then capture again"}},
		{"P8 too deep, and some of it unread", a, []stateward.ListingRoot{listed("/persist", "var 0 depth partial"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is in /persist yet: the capture lists no more than 5 levels of /persist | capture with --depth 3"}},
		{"P8 nothing lies at the path, too deep", a, []stateward.ListingRoot{listed("/persist"), live("var 0 depth")}, nil},
		{"P8 it is there and empty, and the path unread", a, []stateward.ListingRoot{listed("/persist", "var/lib/a"), live("var/lib/a unread")}, []string{
			"warning [/var/lib/a] cannot tell whether data lies at /var/lib/a, which is empty in /persist: /var/lib/a could not be read (permission denied) | capture as root"}},
		{"P8 it is there and empty, and the path's parent unread", []part{persist("/persist", "/srv/a", "/srv/b")}, []stateward.ListingRoot{listed("/persist", "srv/a", "srv/b"), live("srv unread")}, []string{
			"warning [] cannot tell whether data lies at 2 persisted paths (/srv/a, /srv/b), which are empty in /persist: /srv could not be read (permission denied) | capture as root"}},
		{"P8 it is there and empty, and some of the path unread", a, []stateward.ListingRoot{listed("/persist", "var/lib/a"), live("var/lib/a 0 partial")}, []string{
			"warning [/var/lib/a] cannot tell whether data lies at /var/lib/a, which is empty in /persist: some of what lies in /var/lib/a could not be read | capture as root"}},
		{"P8 it is there and empty, and its parent another file system", a, []stateward.ListingRoot{listed("/persist", "var/lib/a"), live("var mount")}, []string{
			"warning [/var/lib/a] cannot tell whether data lies at /var/lib/a, which is empty in /persist: /var is a file system of its own, which the capture does not look into | name /var too when capturing"}},
		{"P8 it is there and empty, and its parent mounted from the root", []part{persist("/persist", "/var/lib", "/var/lib/a")}, []stateward.ListingRoot{listed("/persist", "var/lib/a", "var/lib/b 1"), live("var/lib mount")}, nil},
		{"P8 it is there and empty, and nobody looked at any path", []part{persist("/persist", "/srv/a", "/srv/b")}, []stateward.ListingRoot{listed("/persist", "srv/a", "srv/b")}, []string{
			"info [] cannot tell whether data lies at 2 persisted paths (/srv/a, /srv/b), which are empty in /persist: the capture lists the persistence roots only | capture without --no-live"}},
		{"P8 it is there and unread, and data lies at the path", a, []stateward.ListingRoot{listed("/persist", "var/lib/a unread"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is empty in /persist: /persist/var/lib/a could not be read (permission denied) | capture as root"}},
		{"P8 it is there and a file system, and data lies at the path", a, []stateward.ListingRoot{listed("/persist", "var/lib/a mount"), live("var/lib/a 1")}, []string{
			"warning [/var/lib/a] cannot tell whether /var/lib/a is empty in /persist: /persist/var/lib/a is a file system of its own, which the capture does not look into | name /persist/var/lib/a too when capturing"}},
		{"P8 it is there and unread, and mounted", a, []stateward.ListingRoot{listed("/persist", "var/lib/a unread"), live("var/lib/a mount")}, nil},
		{"P8 it is there and unread, and nothing lies at the path", a, []stateward.ListingRoot{listed("/persist", "var/lib/a unread"), live("var/lib 0")}, nil},
		{"P8 a mount in the root is listed for itself", a, []stateward.ListingRoot{listed("/persist", "var/lib mount"), listed("/persist/var/lib", "a 1"), live("var/lib/a 1")}, nil},
		{"P8 another root is not listed", []part{persist("/cold", "/var/lib/a", "/var/lib/b")}, []stateward.ListingRoot{listed("/persist")}, []string{
			"warning [] cannot tell whether 2 persisted paths (/var/lib/a, /var/lib/b) are in /cold yet: the capture does not list /cold | name it, or a directory above it, when capturing"}},
		{"P8 a directory that is a file", a, []stateward.ListingRoot{listed("/persist", "var/lib/a file 3"), live()}, []string{
			"warning [/var/lib/a] /var/lib/a is persisted as a directory, and in /persist it is a file: it cannot be mounted | look at /persist/var/lib/a, and list it under files"}},
		{"P3 a dynamic user's state", []part{persist("/persist", "/var/lib/private/a")}, []stateward.ListingRoot{listed("/persist", "var/lib"), live("var/lib/private/a 1")}, []string{
			"warning [/var/lib/private/a] /var/lib/private/a is persisted and is not in /persist yet: at the next switch an empty directory is mounted over what lies there (100 B in 1 file)" +
				" | before switching: (cd -- / && cp -ax --reflink=auto --parents -- var/lib/private/a /persist); then capture again"}},
		{"D6 a path that the shell would read", []part{persist("/persist", "/srv/$(x) y")}, []stateward.ListingRoot{listed("/persist"), live("srv 0", "srv/$(x)_y 0")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.HasPrefix(tc.name, "P8 the outermost") {
				got := observedFindings(with(wiped, append([]part{nothingPersisted}, tc.parts...)...), seen(tc.roots...), "SW121")
				require.Len(t, got, 1)
				require.Contains(t, got[0], "[/srv] ")
				return
			}
			h := with(wiped, append([]part{nothingPersisted}, tc.parts...)...)
			require.Empty(t, cmp.Diff(tc.want, observedFindings(h, seen(tc.roots...), "SW121")))
		})
	}
}

func TestHiddenFiles(t *testing.T) {
	h := func(parts ...part) *stateward.Host {
		return with(wiped, append([]part{persist("/persist", "/var/lib/nixos"), persistFiles("/persist", "/etc/machine-id")}, parts...)...)
	}
	root := listed("/persist", "var/lib/nixos 1", "etc")
	require.Equal(t, []string{"warning [/etc/machine-id] /etc/machine-id is persisted and is not in /persist yet: at the next switch its unit fails at the file that lies there (33 B), which is not persisted then" +
		" | before switching: (cd -- / && cp -ax --reflink=auto --parents -- etc/machine-id /persist); then capture again"},
		observedFindings(h(), seen(root, live("etc/machine-id file 33")), "SW121"), "Impermanence")
	require.Contains(t, observedFindings(h(module(stateward.Preservation)), seen(root, live("etc/machine-id file 33")), "SW121")[0], "an empty file is mounted over the file that lies there (33 B)")
	require.Empty(t, observedFindings(h(), seen(root, live("etc/machine-id file 0")), "SW121"), "empty")
	require.Empty(t, observedFindings(h(), seen(root, live("etc")), "SW121"), "missing")
	require.Empty(t, observedFindings(h(), seen(root, live("etc/machine-id link /persist/etc/machine-id")), "SW121"), "linked")
}

func TestDirectState(t *testing.T) {
	h := with(wiped, persist("/persist", "/var/lib/nixos"), service("svc", "/persist/svc/data"))
	root := listed("/persist", "var/lib/nixos 1")
	require.Equal(t, []string{"info [/persist/svc/data] svc keeps state in /persist/svc/data, which is not there yet: it starts with nothing" +
		" | nothing need be done for a new service; otherwise copy its data there before it starts"}, observedFindings(h, seen(root, live()), "SW121"))
	require.Equal(t, []string{"warning [/persist/svc/data] svc keeps state in /persist/svc/data, which is not there yet, while /svc/data holds data (100 B in 1 file): it starts with nothing" +
		" | if that is its data, with svc stopped: (cd -- / && cp -ax --reflink=auto --parents -- svc/data /persist)"}, observedFindings(h, seen(root, live("svc/data 1")), "SW121"))
	require.Empty(t, observedFindings(h, seen(listed("/persist", "var/lib/nixos 1", "svc/data")), "SW121"))
	require.Empty(t, observedFindings(h, seen(listed("/persist", "var/lib/nixos 1", "svc unread")), "SW121"), "unread is not missing")
}

func TestOldListings(t *testing.T) {
	h := with(wiped, persist("/persist", "/var/lib/nixos"))
	for _, tc := range []struct {
		now  time.Time
		want string
	}{
		{time.Time{}, ""},
		{time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC), ""},
		{time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), ""},
		{time.Date(2026, 3, 31, 1, 0, 0, 0, time.UTC), "the capture of forge was made on 2026-03-01, more than 30 days ago: what was copied or removed since is not in it"},
		{time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC), "the capture of forge was made on 2026-03-01, in the future: what was copied or removed since is not in it"},
	} {
		var got string
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Observed: seen(listed("/persist", "var/lib/nixos 1")), Now: tc.now}).Findings {
			if d.Code == "SW121" {
				got += d.Message
			}
		}
		require.Equal(t, tc.want, got)
	}
}

func TestLeftovers(t *testing.T) {
	const look = " | look at it before anything else: ls -la -- "
	nixos := persist("/persist", "/var/lib/nixos")
	disabled := func(name string, paths ...any) part {
		return func(h *stateward.Host) {
			service(name, paths...)(h)
			s := h.Services.Or(nil)
			s[len(s)-1].Enable = known(false)
		}
	}
	for _, tc := range []struct {
		name  string
		parts []part
		roots []stateward.ListingRoot
		want  []string
	}{
		{"P11 left over", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "var/lib/a 2")}, []string{
			"info [/persist/var/lib/a] /persist/var/lib/a is used by nothing that is read: 200 B in 2 files" + look + "/persist/var/lib/a"}},
		{"P11 outermost", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "old 2", "old/var/lib/a 1")}, []string{
			"info [/persist/old] /persist/old is used by nothing that is read: 200 B in 2 files" + look + "/persist/old"}},
		{"P11 of a disabled service", []part{nixos, disabled("a", "/var/lib/a")}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "var/lib/a 2")}, []string{
			"info [/persist/var/lib/a] /persist/var/lib/a is used by nothing that is read: 200 B in 2 files; it has the name of a, which is disabled" + look + "/persist/var/lib/a; keep it if a is to come back"}},
		{"P11 of a running service that lost it", []part{nixos, service("a", "/var/lib/a")}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "var/lib/a 2")}, []string{
			"info [/persist/var/lib/a] /persist/var/lib/a is used by nothing that is read: 200 B in 2 files; a keeps its state in /var/lib/a, which is not persisted from there" + look + "/persist/var/lib/a; if it is the state of a, persist /var/lib/a"}},
		{"P11 empty", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "a")}, []string{
			"info [/persist/a] /persist/a is used by nothing that is read: empty" + look + "/persist/a"}},
		{"P11 a file", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "a file 2048")}, []string{
			"info [/persist/a] /persist/a is used by nothing that is read: 2.0 KiB" + look + "/persist/a"}},
		{"P11 many", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos 1", "a 1", "b 1", "c 1", "d 1 unread", "e file 5")}, []string{
			`info [/persist] 5 things in /persist ("a", "b", "c", "d" and 1 more) are used by nothing that is read: at least 405 B in 5 files | look at them before anything else: du -sh -- /persist/*`}},
		{"N9 parents and own trees", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos/x 1")}, nil},
		{"N9 used by a service by its path in the root", []part{nixos, service("a", "/persist/data/a")}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "data/a/b 1")}, nil},
		{"N9 bound elsewhere", append([]part{nixos}, on(fileSystem("/srv", "/persist/srv", "none", "bind"))...), []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "srv 1")}, nil},
		{"N9 linked from outside", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "srv 1"), live("srv link /persist/srv")}, nil},
		{"N9 linked from what is in use", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos/x link ../../../srv/x", "srv/x 1")}, nil},
		{"N9 linked from what is left over", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "old link srv", "srv 1")}, []string{
			"info [/persist/old] /persist/old is used by nothing that is read: a symlink" + look + "/persist/old",
			"info [/persist/srv] /persist/srv is used by nothing that is read: 100 B in 1 file" + look + "/persist/srv"}},
		{"N9 file systems' own", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "lost+found 1", ".zfs skipped", ".snapshots skipped", ".Trash-1000 2", "tank mount")}, nil},
		{"N9 a home in the root", []part{nixos, func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "u", Home: known("/persist/home/u")}) }},
			[]stateward.ListingRoot{listed("/persist", "var/lib/nixos", "home/u 9")}, nil},
		{"N9 keys", []part{nixos, func(h *stateward.Host) {
			push(&h.SecretKeys, stateward.NewEntry("/persist/key", stateward.File, stateward.Origin{}))
			push(&h.HostKeys, stateward.NewEntry("/persist/ssh_key", stateward.File, stateward.Origin{}))
			push(&h.Mentions, stateward.NewEntry("/persist/pw", stateward.File, stateward.Origin{}))
		}}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "key file 1", "ssh_key file 1", "ssh_key.pub file 1", "pw file 1")}, nil},
		{"N9 links and rules", []part{nixos, func(h *stateward.Host) {
			push(&h.Links, stateward.Link{At: stateward.NewEntry("/etc/a", stateward.File, stateward.Origin{}), Target: known("../persist/a")})
			push(&h.Tmpfiles, stateward.TmpfilesRule{Type: "d", At: stateward.NewEntry("/persist/b", stateward.Directory, stateward.Origin{})},
				stateward.TmpfilesRule{Type: "L+", At: stateward.NewEntry("/etc/c", stateward.File, stateward.Origin{}), Argument: known("/persist/c")})
		}}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "a file 1", "b 1", "c 1")}, nil},
		{"N9 backed up as such, and as a part of more", []part{nixos, func(h *stateward.Host) {
			push(&h.Jobs, stateward.Job{Name: "j", Engine: "restic", Repository: known("/persist/repo"), Paths: known([]stateward.Entry{
				stateward.NewEntry("/persist/photos", stateward.Directory, stateward.Origin{}), stateward.NewEntry("/persist/var", stateward.Directory, stateward.Origin{})})})
		}}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "photos 1", "repo 1", "var/lib/a 1")}, []string{
			"info [/persist/var/lib/a] /persist/var/lib/a is used by nothing that is read: 100 B in 1 file" + look + "/persist/var/lib/a"}},
		{"N9 a root in a root", []part{nixos, persist("/persist/cold", "/srv")}, []stateward.ListingRoot{listed("/persist", "var/lib/nixos", "cold/srv 1", "cold/old 1")}, []string{
			"info [/persist/cold/old] /persist/cold/old is used by nothing that is read: 100 B in 1 file" + look + "/persist/cold/old"}},
		{"N9 beside the root", []part{persist("/nix/persist", "/var/lib/nixos")}, []stateward.ListingRoot{listed("/nix", "store skipped", "var 1", "persist/var/lib/nixos 1")}, nil},
		{"N1 unread", []part{nixos}, []stateward.ListingRoot{listed("/persist", "var unread", "a unread")}, []string{
			"info [/persist/a] /persist/a is used by nothing that is read: at least 0 B in 0 files" + look + "/persist/a",
			"info [/persist/var] cannot tell what is left over in /persist/var: /persist/var could not be read (permission denied) | capture as root"}},
		{"N1 entries that could not be read", []part{nixos, func(h *stateward.Host) { h.Persistence.Or(nil)[0].Files = unknown[[]stateward.Entry]("x") }},
			[]stateward.ListingRoot{listed("/persist", "var/lib/nixos", "a 1")}, []string{"info [/persist] cannot tell what is left over in /persist: x: it throws | make it evaluate: until then anything may be in use"}},
		{"no root is listed", []part{nixos}, []stateward.ListingRoot{listed("/cold", "a 1")}, nil},
		{"a disabled root", []part{func(h *stateward.Host) { nixos(h); h.Persistence.Or(nil)[0].Enable = known(false) }}, []stateward.ListingRoot{listed("/persist", "a 1")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, observedFindings(with(wiped, tc.parts...), seen(tc.roots...), "SW122")))
		})
	}
}

func TestOwnersInTheRoot(t *testing.T) {
	entry := func(e stateward.Entry) part {
		return func(h *stateward.Host) {
			persist("/persist", "/var/lib/nixos")(h)
			push(&h.Persistence.Or(nil)[0].Directories, e)
		}
	}
	user := func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "svc", UID: known(990)}) }
	for _, tc := range []struct {
		name  string
		entry stateward.Entry
		part  part
		have  string
		want  []string
	}{
		{"P10 as asked", owned("/a", "svc", "media", "0750"), nil, "svc:media:0750", nil},
		{"P10 nothing asked", owned("/a", "", "", ""), nil, "svc:media:0750", nil},
		{"P7 another owner", owned("/a", "svc", "media", "0750"), nil, "root:root:0750", []string{
			"warning [/a] /persist/a has the user root and not svc and the group root and not media: Impermanence sets it only when it makes the directory | on the host: chown svc:media -- /persist/a; what lies below it may need the same"}},
		{"P7 an owner without a name", owned("/a", "svc", "", ""), nil, "991:media:0750", []string{
			"warning [/a] /persist/a has the user 991 and not svc: Impermanence sets it only when it makes the directory | on the host: chown svc -- /persist/a; what lies below it may need the same"}},
		{"P7 an owner without a name, of that id", owned("/a", "svc", "", ""), user, "990:media:0750", nil},
		{"P7 a number", owned("/a", "990", "", ""), nil, "990:media:0750", nil},
		{"P3 others may look in", owned("/var/lib/private", "", "", "0700"), nil, "root:root:0755", []string{
			"warning [/var/lib/private] /persist/var/lib/private has the mode 0755 and not 0700: Impermanence sets it only when it makes the directory | on the host: chmod 0700 -- /persist/var/lib/private"}},
		{"P10 closed by the service itself", owned("/a", "", "", "0755"), nil, "root:root:0700", []string{
			"info [/a] /persist/a has the mode 0700 and not 0755: Impermanence sets it only when it makes the directory | on the host: chmod 0755 -- /persist/a"}},
		{"systemd sets it", owned("/a", "svc", "", ""), func(h *stateward.Host) {
			service("svc", "/a")(h)
			h.Services.Or(nil)[0].State.Or(nil)[0].Source = stateward.SourceStateDirectory
		}, "root:root:0750", nil},
		{"tmpfiles sets it", owned("/a", "svc", "", ""), func(h *stateward.Host) {
			push(&h.Tmpfiles, stateward.TmpfilesRule{Type: "d", At: owned("/a", "svc", "svc", "0750")})
		}, "root:root:0750", nil},
		{"Preservation sets it", owned("/a", "svc", "", ""), module(stateward.Preservation), "root:root:0750", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parts := []part{entry(tc.entry)}
			if tc.part != nil {
				parts = append(parts, tc.part)
			}
			o := seen(listed("/persist", "var/lib/nixos 1", tc.entry.Path.String()[1:]+" 1 by "+tc.have))
			require.Empty(t, cmp.Diff(tc.want, observedFindings(with(wiped, parts...), o, "SW123")))
		})
	}
}

// What could not be evaluated is said to be needed by these checks where somebody looked at the host, and only there.
func TestObservedNeeds(t *testing.T) {
	h := with(wiped, persist("/persist", "/var/lib/nixos"), unknowns(thrown("users.users.alice.hashedPasswordFile"), thrown("swapDevices")))
	require.Empty(t, findings(h, "SW603"))
	require.Empty(t, findings(h, "SW121"))
	require.Empty(t, findings(h, "SW122"))
	require.Empty(t, findings(h, "SW123"))
	got := observedFindings(h, seen(listed("/persist", "var/lib/nixos 1")), "SW603")
	require.Equal(t, []string{"warning [] swapDevices and 1 more could not be evaluated: it throws; needed by SW122, SW123 | make it evaluate: until then these checks cannot speak of it"}, got)
}

// sources are where a host's entries, and what its services keep in a root, are really kept.
func sources(h *stateward.Host) []string {
	var out, roots []string
	for _, r := range h.Persistence.Or(nil) {
		root, ok := r.Path.Get()
		if on, known := r.Enable.Get(); known && !on || !ok || root.IsZero() {
			continue
		}
		roots = append(roots, root.String())
		for _, e := range slices.Concat(r.Directories.Or(nil), r.Seen) {
			storage := e.Rare().Storage.Or(root)
			if !e.Path.IsZero() && !storage.IsZero() {
				out = append(out, storage.Mount(e.Path).String())
			}
		}
	}
	for _, s := range h.Services.Or(nil) {
		paths, _ := s.StatePaths()
		for _, p := range paths {
			for _, root := range roots {
				if p.Path.Below(stateward.MustPath(root)) {
					out = append(out, p.Path.String())
				}
			}
		}
	}
	return out
}

// A listing in which lies what a host persists, and nothing else, has nothing to be said of.
func TestOwnListingIsQuiet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		for i := range h.Persistence.Or(nil) {
			h.Persistence.Or(nil)[i].Files = known([]stateward.Entry{}) // a path that is a directory and a file can be in no root
		}
		// What a service that is switched off keeps is left over, and rightly said to be.
		on := *h
		on.Services = stateward.MapValue(h.Services, func(ss []stateward.Service) ([]stateward.Service, error) {
			return slices.DeleteFunc(slices.Clone(ss), func(s stateward.Service) bool {
				enabled, known := s.Enable.Get()
				return known && !enabled || s.Enable.IsAbsent()
			}), nil
		})
		var texts []string
		places := sources(&on)
		for _, row := range aggregate.Survival(h) {
			if strings.HasPrefix(row.Path, "/var/lib/private/") {
				places = append(places, row.Path) // where a dynamic user's state really is
			}
		}
		for _, p := range places {
			if p != "/" {
				texts = append(texts, strings.TrimPrefix(p, "/")+" 1")
			}
		}
		o := seen(listed("/", texts...))
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Observed: o}).Findings {
			if d.Code == "SW121" || d.Code == "SW122" {
				require.Contains(t, d.Message, "cannot tell what is left over", "%+v", d)
			}
		}
	})
}

// Whatever a listing says, the order of what a configuration says decides nothing, and one more unread place
// makes nothing known: what SW121 says for sure with it was for sure without it.
func TestListingsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		var texts, at []string
		for i, p := range rapid.SliceOfN(rapid.StringMatching(`(persist|cold|a|var/lib)(/[ab]){0,3}`), 0, 12).Draw(t, "paths") {
			what := rapid.SampledFrom([]string{"1", "0", "file 3", "link /a", "link ../b", "mount", "unread", "depth", "skipped"}).Draw(t, fmt.Sprint("what ", i))
			if !slices.ContainsFunc(at, func(q string) bool { return strings.HasPrefix(p+"/", q+"/") || strings.HasPrefix(q+"/", p+"/") }) {
				at = append(at, p)
				texts = append(texts, p+" "+what)
			}
		}
		o := seen(listed("/", texts...))
		in := func(h *stateward.Host) aggregate.Report {
			return aggregate.Lint(aggregate.Input{Host: h, Observed: o})
		}
		before := in(h)
		require.Empty(t, cmp.Diff(before, in(shuffled(t, h))))
		if len(texts) == 0 {
			return
		}
		sums(&o.Listings[0].Roots[0])
		before = in(h)
		unread(t, &o.Listings[0].Roots[0])
		require.Subset(t, append(sure(before), ""), sure(in(h)))
	})
}

// sure are the paths of which SW121 says more than that something is not known.
func sure(r aggregate.Report) []string {
	var out []string
	for _, d := range r.Findings {
		if d.Code == "SW121" && !strings.HasPrefix(d.Message, "cannot tell") && !strings.Contains(d.Message, "is not known:") {
			out = append(out, d.Path)
		}
	}
	return out
}

// sums makes what is summed up of a directory what lies below it.
func sums(r *stateward.ListingRoot) {
	for i := range slices.Backward(r.Entries) {
		e := &r.Entries[i]
		if e.Kind != stateward.ListedDirectory || e.Closed != stateward.Open {
			continue
		}
		files := e.Files
		for _, b := range r.Entries[i+1:] {
			if path.Dir(b.Path) != e.Path {
				continue
			}
			if b.Kind == stateward.ListedDirectory {
				files += b.Files
				e.Partial = e.Partial || b.Partial || b.Closed == stateward.ClosedUnread
			} else {
				files++
			}
		}
		e.Files, e.Bytes = files, 100*files
	}
}

// unread makes one directory of a tree one that could not be read.
func unread(t *rapid.T, r *stateward.ListingRoot) {
	i := rapid.IntRange(1, len(r.Entries)-1).Draw(t, "unread")
	e := &r.Entries[i]
	if e.Kind != stateward.ListedDirectory || e.Closed != stateward.Open {
		return
	}
	name, files := e.Path, e.Files
	e.Closed, e.Error, e.Files, e.Bytes, e.Partial = stateward.ClosedUnread, "permission denied", 0, 0, true
	for p := path.Dir(name); ; p = path.Dir(p) {
		j := slices.IndexFunc(r.Entries, func(e stateward.ListingEntry) bool { return e.Path == p })
		r.Entries[j].Files -= files
		r.Entries[j].Bytes -= 100 * files
		r.Entries[j].Partial = true
		if p == "." {
			break
		}
	}
	r.Entries = slices.DeleteFunc(r.Entries, func(e stateward.ListingEntry) bool { return strings.HasPrefix(e.Path, name+"/") })
}
