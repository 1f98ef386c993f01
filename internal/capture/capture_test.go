//go:build linux

package capture

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stateward/stateward"
)

var now = time.Date(2026, 3, 14, 9, 26, 53, 589, time.FixedZone("", 3600))

func take(t *testing.T, o Options) *stateward.Listing {
	t.Helper()
	o.Now = now
	l, err := Take(context.Background(), o)
	require.NoError(t, err)
	return l
}

// brief are the entries of the first tree, one a line, without owners.
func brief(l *stateward.Listing) []string {
	var out []string
	for _, e := range l.Roots[0].Entries {
		s := fmt.Sprintf("%q %s", e.Name(), e.Kind)
		if e.Size > 0 {
			s += fmt.Sprintf(" size %d", e.Size)
		}
		if e.Link() != "" {
			s += fmt.Sprintf(" to %q", e.Link())
		}
		if e.Files > 0 {
			s += fmt.Sprintf(" holds %d of %d", e.Files, e.Bytes)
		}
		if e.Partial {
			s += " partial"
		}
		if e.Closed != "" {
			s += " closed " + string(e.Closed)
		}
		if e.Error != "" {
			s += ": " + e.Error
		}
		out = append(out, s)
	}
	return out
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o640))
}

// again is the listing as it is read back.
func again(t *testing.T, l *stateward.Listing) *stateward.Listing {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, l.Write(&b))
	r, err := stateward.ReadListing(bytes.NewReader(b.Bytes()))
	require.NoError(t, err, "%s", b.String())
	var c bytes.Buffer
	require.NoError(t, r.Write(&c))
	require.Equal(t, b.String(), c.String(), "what is read back is written alike")
	return r
}

func TestTakeEveryKind(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/var/lib/a/f", "12345")
	write(t, d+"/var/lib/a/deep/er/g", "123")
	write(t, d+"/odd\nname", "1")
	write(t, d+"/caf\xe9/\xff", "12")
	write(t, d+"/<&>\"\\", "")
	require.NoError(t, os.Symlink("loop2", d+"/loop1"))
	require.NoError(t, os.Symlink("loop1", d+"/loop2"))
	require.NoError(t, os.Symlink("/nowhere/\xfe", d+"/dangling"))
	require.NoError(t, os.Symlink(d, d+"/var/up"))
	require.NoError(t, os.Symlink(strings.Repeat("x/", 1000), d+"/long"))
	require.NoError(t, unix.Mkfifo(d+"/fifo", 0o600))
	l, err := net.Listen("unix", d+"/socket")
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Link(d+"/var/lib/a/f", d+"/var/linked"))
	require.NoError(t, os.MkdirAll(d+"/var/links/deep/er", 0o755))
	require.NoError(t, os.Link(d+"/var/lib/a/f", d+"/var/links/deep/er/f"))
	require.NoError(t, os.MkdirAll(d+"/var/none/x", 0o755))
	require.NoError(t, os.MkdirAll(d+"/.snapshots/1", 0o755))
	require.NoError(t, os.Truncate(filepath.Join(d, "odd\nname"), 1<<40))

	got := take(t, Options{Roots: []string{d}, Depth: 4, Host: "h"})
	require.Empty(t, cmp.Diff([]string{
		`"." directory holds 14 of 1099511627786`,
		`".snapshots" directory closed skipped`,
		`"<&>\"\\" file`,
		`"caf\xe9" directory holds 1 of 2`,
		`"caf\xe9/\xff" file size 2`,
		`"dangling" symlink to "/nowhere/\xfe"`,
		`"fifo" fifo`,
		`"long" symlink to "` + strings.Repeat("x/", 1000) + `"`,
		`"loop1" symlink to "loop2"`,
		`"loop2" symlink to "loop1"`,
		`"odd\nname" file size 1099511627776`,
		`"socket" socket`,
		`"var" directory holds 5 of 8`,
		`"var/lib" directory holds 2 of 8`,
		`"var/lib/a" directory holds 2 of 8`,
		`"var/lib/a/deep" directory holds 1 of 3 closed depth`,
		`"var/lib/a/f" file size 5`,
		`"var/linked" file size 5`,
		`"var/links" directory holds 1 of 0`,
		`"var/links/deep" directory holds 1 of 0`,
		`"var/links/deep/er" directory holds 1 of 0 closed depth`,
		`"var/none" directory`,
		`"var/none/x" directory`,
		fmt.Sprintf(`"var/up" symlink to %q`, d),
	}, brief(got)))
	var empty []string
	for i := range got.Roots[0].Entries {
		if some, known := got.Roots[0].Entries[i].Data(); known && !some {
			empty = append(empty, got.Roots[0].Entries[i].Name())
		}
	}
	require.Equal(t, []string{`<&>"\`, "var/none", "var/none/x"}, empty, "a directory of files that are linked elsewhere too holds data")
	require.Equal(t, "2026-03-14T08:26:53Z", got.Taken.Format(time.RFC3339Nano))
	require.Empty(t, cmp.Diff(got, again(t, got)))
	require.Empty(t, cmp.Diff(got, take(t, Options{Roots: []string{d}, Depth: 4, Host: "h"})), "an unchanged tree gives the same listing")
}

func TestTakeOwners(t *testing.T) {
	d := t.TempDir()
	require.NoError(t, os.Chmod(d, 0o1750))
	require.NoError(t, os.Chmod(d, os.FileMode(0o750)|os.ModeSticky|os.ModeSetgid))
	write(t, d+"/accounts/passwd", fmt.Sprintf("first:x:%d:0::/:\nsecond:x:%d:0::/:\nbroken\n:x:1:\nbig:x:4294967296:0\nodd\xff:x:7:", os.Getuid(), os.Getuid()))
	got := take(t, Options{Roots: []string{d}, Accounts: d + "/accounts/passwd", Groups: "/nonexistent"}).Roots[0].Entries[0]
	require.Equal(t, stateward.ListingEntry{Path: ".", Kind: stateward.ListedDirectory, UID: uint32(os.Getuid()), GID: got.GID, User: "first", Mode: "3750",
		Files: 1, Bytes: got.Bytes}, got)
}

// As somebody else than root, what must not be read is noted, and everything else is listed.
func TestTakeWhatMayNotBeRead(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/closed/x", "1")
	write(t, d+"/deep/closed/x", "1")
	write(t, d+"/names/x", "1")
	write(t, d+"/open/x", "1")
	for name, mode := range map[string]os.FileMode{"/closed": 0, "/deep/closed": 0, "/names": 0o444} {
		at := d + name
		require.NoError(t, os.Chmod(at, mode))
		t.Cleanup(func() { os.Chmod(at, 0o755) })
	}
	// Whether others may pass the directories above, as those of TMPDIR, is not to matter: a descriptor leads past them.
	fd, err := unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	d = fmt.Sprintf("/proc/self/fd/%d", fd)
	var got []string
	asNobody(t, func() {
		l, err := Take(context.Background(), Options{Roots: []string{d}, Depth: 1, Now: now})
		if err == nil {
			got = append(brief(l), "")
		}
		l, err = Take(context.Background(), Options{Roots: []string{d}, Depth: 3, Now: now})
		if err == nil {
			got = append(got, brief(l)...)
		}
		_, err = Take(context.Background(), Options{Roots: []string{d + "/closed"}, Now: now})
		got = append(got, "", strings.ReplaceAll(fmt.Sprint(err), d, "D"))
	})
	require.Empty(t, cmp.Diff([]string{
		`"." directory holds 1 of 1 partial`,
		`"closed" directory partial closed unread: permission denied`,
		`"deep" directory partial closed depth`,
		`"names" directory partial closed depth`,
		`"open" directory holds 1 of 1 closed depth`,
		``,
		`"." directory holds 1 of 1 partial`,
		`"closed" directory partial closed unread: permission denied`,
		`"deep" directory partial`,
		`"deep/closed" directory partial closed unread: permission denied`,
		`"names" directory partial`,
		`"names/x" unknown: permission denied`,
		`"open" directory holds 1 of 1`,
		`"open/x" file size 1`,
		``,
		`cannot list D/closed: permission denied`,
	}, got))
}

// asNobody runs f without root's rights over files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine, and its user with it.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			unix.Setfsgid(65534)
			unix.Setfsuid(65534)
		}
		f()
	}()
	<-done
}

// Mount points are noted and not crossed: a file system, a bind mount of a directory and of a file.
func TestTakeCrossesNoMount(t *testing.T) {
	if os.Geteuid() != 0 {
		// Nobody else may mount; /proc is mounted everywhere.
		root := take(t, Options{Roots: []string{"/"}, Depth: 1, MaxNames: 1 << 20}).Roots[0]
		i := slices.IndexFunc(root.Entries, func(e stateward.ListingEntry) bool { return e.Name() == "proc" })
		require.Positive(t, i)
		require.Equal(t, stateward.ClosedMount, root.Entries[i].Closed)
		return
	}
	d := t.TempDir()
	write(t, d+"/p/data/x", "123")
	for _, name := range []string{"/p/tmpfs", "/p/bind", "/p/tree/inner"} {
		require.NoError(t, os.MkdirAll(d+name, 0o755))
	}
	write(t, d+"/p/file", "1")
	var got, inner []string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread and its mounts end here
		step := func(e error) {
			if err == nil {
				err = e
			}
		}
		step(unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS))
		step(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		step(unix.Mount("none", d+"/p/tmpfs", "tmpfs", 0, "size=64k"))
		step(unix.Mount(d+"/p/data", d+"/p/bind", "", unix.MS_BIND, ""))
		step(unix.Mount("none", d+"/p/tree/inner", "tmpfs", 0, "size=64k"))
		step(unix.Mount(d+"/p/data/x", d+"/p/file", "", unix.MS_BIND, ""))
		if err != nil {
			return
		}
		step(os.WriteFile(d+"/p/tmpfs/y", []byte("12"), 0o600))
		l, e := Take(context.Background(), Options{Roots: []string{d + "/p"}, Depth: 1, Now: now})
		step(e)
		if e == nil {
			got = brief(l)
		}
		l, e = Take(context.Background(), Options{Roots: []string{d + "/p/tmpfs"}, Now: now})
		step(e)
		if e == nil {
			inner = brief(l)
		}
	}()
	<-done
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]string{
		`"." directory holds 2 of 6`,
		`"bind" directory closed mount`,
		`"data" directory holds 1 of 3 closed depth`,
		`"file" file size 3`,
		`"tmpfs" directory closed mount`,
		`"tree" directory closed depth`,
	}, got))
	require.Empty(t, cmp.Diff([]string{`"." directory holds 1 of 2`, `"y" file size 2`}, inner), "named as a root of its own, it is listed")
}

func TestTakeSumsUpManyNames(t *testing.T) {
	d := t.TempDir()
	for i := range 12 {
		write(t, fmt.Sprintf("%s/many/%02d", d, i), "1")
		write(t, fmt.Sprintf("%s/few/%02d", d, i%3), "1")
	}
	got := brief(take(t, Options{Roots: []string{d}, MaxNames: 10}))
	require.Equal(t, []string{`"." directory holds 15 of 15`, `"few" directory holds 3 of 3`, `"few/00" file size 1`, `"few/01" file size 1`, `"few/02" file size 1`,
		`"many" directory holds 12 of 12 closed many`}, got)
}

func TestTakeSkipsTheRootsInLiveTrees(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/persist/x", "1")
	write(t, d+"/var/x", "1")
	l := take(t, Options{Roots: []string{d + "/persist/", d + "/persist"}, Live: []string{d}})
	require.Len(t, l.Roots, 2)
	require.False(t, l.Roots[0].Live)
	require.True(t, l.Roots[1].Live)
	l.Roots = l.Roots[1:]
	require.Equal(t, []string{`"." directory holds 1 of 1`, `"persist" directory closed skipped`, `"var" directory holds 1 of 1`, `"var/x" file size 1`}, brief(l))
}

// A root may be a link; links below it are not followed.
func TestTakeFollowsTheRootOnly(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/real/x", "1")
	require.NoError(t, os.Symlink("real", d+"/persist"))
	l := take(t, Options{Roots: []string{d + "/persist"}})
	require.Equal(t, d+"/persist", l.Roots[0].Name())
	require.Equal(t, []string{`"." directory holds 1 of 1`, `"x" file size 1`}, brief(l))
}

func TestTakeRefuses(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/file", "1")
	for name, root := range map[string]string{"missing": d + "/missing", "a file": d + "/file", "empty": "", "NUL": "/a\x00b"} {
		_, err := Take(context.Background(), Options{Roots: []string{root}, Now: now})
		var bad *RootError
		require.ErrorAs(t, err, &bad, name)
	}
	_, err := Take(context.Background(), Options{Roots: []string{d + "/missing"}})
	require.EqualError(t, err, "cannot list "+d+"/missing: no such file or directory")
	require.NotEmpty(t, err.(*RootError).Hint())

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Take(ctx, Options{Roots: []string{d}})
	require.ErrorIs(t, err, context.Canceled)
}

// While it is listed, a tree changes: directories become files and links, and vanish. The listing is always one that can be read.
func TestTakeWhileTheTreeChanges(t *testing.T) {
	d := t.TempDir()
	for i := range 40 {
		write(t, fmt.Sprintf("%s/%02d/a/b", d, i), "1")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i = (i + 1) % 40 {
			select {
			case <-stop:
				return
			default:
			}
			name := fmt.Sprintf("%s/%02d", d, i)
			os.RemoveAll(name)
			switch i % 3 {
			case 0:
				os.Symlink("/", name)
			case 1:
				os.WriteFile(name, []byte("1"), 0o600)
			default:
				os.MkdirAll(name+"/a/c", 0o755)
			}
		}
	}()
	for range 100 {
		again(t, take(t, Options{Roots: []string{d}}))
	}
	close(stop)
	<-stopped
}

// A tree may be deeper than any path that a call can name, and than the number of files that may be open.
func TestTakeGoesDeep(t *testing.T) {
	d := t.TempDir()
	const levels = 3000
	fd, err := unix.Open(d, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	for range levels {
		require.NoError(t, unix.Mkdirat(fd, "d", 0o755))
		next, err := unix.Openat(fd, "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		fd = next
	}
	f, err := unix.Openat(fd, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	require.NoError(t, err)
	require.NoError(t, unix.Close(f))
	require.NoError(t, unix.Close(fd))
	got := take(t, Options{Roots: []string{d}}).Roots[0].Entries
	require.Len(t, got, 6)
	require.Equal(t, stateward.ClosedDepth, got[5].Closed)
	if !got[0].Partial { // where few files may be open, it says that it did not get there
		require.EqualValues(t, 1, got[0].Files)
	}
}
