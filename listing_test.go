package stateward

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const soundListing = `{"kind": "stateward-capture", "version": 1, "host": "forge", "taken": "2026-03-14T08:26:53Z", "roots": [
{"path":"/persist","depth":5,"entries":[
{"path":".","kind":"directory","uid":0,"gid":0,"mode":"0755","files":2,"bytes":9},
{"path":"var","kind":"directory","uid":0,"gid":0,"mode":"0755","files":2,"bytes":9},
{"path":"var/a","kind":"file","uid":7,"gid":7,"user":"a","group":"a","mode":"0640","size":9},
{"path":"var/l","kind":"symlink","uid":0,"gid":0,"mode":"0777","target":"a"},
{"path":"var-x","kind":"directory","uid":0,"gid":0,"mode":"0755","closed":"unread","error":"permission denied"}
]}
]}
`

func TestReadListing(t *testing.T) {
	l, err := ReadListing(strings.NewReader(soundListing))
	require.NoError(t, err)
	require.Equal(t, "forge", l.Host)
	require.Equal(t, time.Date(2026, 3, 14, 8, 26, 53, 0, time.UTC), l.Taken)
	require.Len(t, l.Roots[0].Entries, 5)
	var b bytes.Buffer
	require.NoError(t, l.Write(&b))
	require.Equal(t, soundListing, b.String())
	var unread []string
	for p := range l.Unread() {
		unread = append(unread, p)
	}
	require.Equal(t, []string{"/persist/var-x"}, unread)
}

func TestReadListingRefuses(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"empty", soundListing, " \n", "listing is empty"},
		{"no JSON", soundListing, "kind", "listing is no JSON object: invalid character 'k' looking for beginning of value"},
		{"a list", soundListing, "[]", "listing is no JSON object: it is a JSON array"},
		{"cut off", "]}\n]}\n", "", "listing is no JSON object: unexpected end of JSON input"},
		{"something after it", "]}\n]}\n", "]}\n]}\n{}", "listing is no JSON object: invalid character '{' after top-level value"},
		{"another kind", "stateward-capture", "stateward-evaluation", `kind is "stateward-evaluation" and not "stateward-capture": the file is no capture`},
		{"no kind", `"kind": "stateward-capture", `, "", `kind is none and not "stateward-capture": the file is no capture`},
		{"a newer version", `"version": 1`, `"version": 2`, "version is 2; this stateward reads 1"},
		{"no version", `"version": 1, `, "", "version is none; this stateward reads 1"},
		{"a field that is not known", `"host"`, `"more": 1, "host"`, `listing is not understood: unknown field "more"`},
		{"a field of another type", `"size":9`, `"size":"9"`, "listing is not understood: roots.entries.size is a JSON string"},
		{"a key twice", `"uid":7`, `"uid":0,"uid":7`, `key "uid" is there twice`},
		{"a key twice in another case", `"uid":7`, `"UID":0,"uid":7`, `key "uid" is there twice`},
		{"no UTF-8", `"forge"`, "\"\xff\"", "listing is no UTF-8"},
		{"no time", `"taken": "2026-03-14T08:26:53Z", `, "", "taken is not there"},
		{"a time that is none", "2026-03-14T08:26:53Z", "9999-12-31T23:59:59-01:00", "taken is no time that a clock shows"},
		{"no roots", soundListing, `{"kind": "stateward-capture", "version": 1, "taken": "2026-03-14T08:26:53Z"}`, "roots is empty"},
		{"a relative root", `"/persist"`, `"persist"`, `roots[0].path "persist" is no clean absolute path`},
		{"an unclean root", `"/persist"`, `"/persist/"`, `roots[0].path "/persist/" is no clean absolute path`},
		{"no depth", `"depth":5`, `"depth":0`, "roots[0].depth is less than one"},
		{"no root entry", `{"path":".",`, `{"path":"a",`, "roots[0].entries do not begin with the root itself"},
		{"a path upwards", `"var/a"`, `"var/../a"`, `roots[0].entries[2] "var/../a" is no clean relative path`},
		{"an absolute path", `"var/a"`, `"/var/a"`, `roots[0].entries[2] "/var/a" is no clean relative path`},
		{"a NUL", `"var/a"`, `"var/a\u0000"`, `roots[0].entries[2] "var/a\x00" is no clean relative path`},
		{"a wrong order", `"var/l"`, `"var/A"`, `roots[0].entries[3] "var/A" does not come after "var/a"`},
		{"an entry twice", `"var/l"`, `"var/a"`, `roots[0].entries[3] "var/a" does not come after "var/a"`},
		{"an entry without its directory", `"var/a"`, `"var/a/b"`, `roots[0].entries[2] "var/a/b" lies in no directory that is listed`},
		{"an entry in a file", `"var/l"`, `"var/a/l"`, `roots[0].entries[3] "var/a/l" lies in no directory that is listed`},
		{"an entry in a directory that is closed", `"mode":"0755","files":2,"bytes":9},
{"path":"var/a"`, `"mode":"0755","closed":"depth"},
{"path":"var/a"`, `roots[0].entries[2] "var/a" lies in no directory that is listed`},
		{"a mode", `"0640"`, `"640"`, `roots[0].entries[2] "var/a" has the mode "640", which is not four octal digits`},
		{"no mode", `"mode":"0640",`, ``, `roots[0].entries[2] "var/a" has no mode`},
		{"a kind", `"symlink"`, `"hole"`, `roots[0].entries[3] "var/l" is no symbolic link and has a target`},
		{"another kind of entry", `"kind":"symlink","uid":0,"gid":0,"mode":"0777","target":"a"`, `"kind":"hole","uid":0,"gid":0,"mode":"0777"`, `roots[0].entries[3] "var/l" is of an unknown kind "hole"`},
		{"closed for another reason", `"unread"`, `"moon"`, `roots[0].entries[4] "var-x" is closed for an unknown reason "moon"`},
		{"a negative size", `"size":9`, `"size":-9`, `roots[0].entries[2] "var/a" has a negative size`},
		{"a user id that is none", `"uid":7`, `"uid":-1`, "listing is not understood: roots.entries.uid is a JSON number -1"},
		{"a file with contents below", `"size":9`, `"size":9,"files":1`, `roots[0].entries[2] "var/a" is no directory and has what only directories have`},
		{"a name twice", `"path":"var/l"`, `"path":"var/l","pathBytes":"eA=="`, `roots[0].entries[3] "x" is given twice`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Contains(t, soundListing, tc.old)
			_, err := ReadListing(strings.NewReader(strings.Replace(soundListing, tc.old, tc.new, 1)))
			require.EqualError(t, err, tc.want)
			var bad *ListingError
			require.ErrorAs(t, err, &bad)
			require.NotEmpty(t, bad.Hint())
		})
	}
	root := soundListing[strings.Index(soundListing, `{"path":"/persist"`):strings.LastIndex(soundListing, "\n]}")]
	_, err := ReadListing(strings.NewReader(strings.Replace(soundListing, root, root+","+root, 1)))
	require.EqualError(t, err, `roots[1].path "/persist" is there twice`)
	_, err = ReadListing(failing{})
	require.ErrorIs(t, err, os.ErrClosed)
}

// What is written can be read back, or is not written.
func TestListingTooLarge(t *testing.T) {
	const limit = 1 << 20
	l, err := ReadListing(strings.NewReader(soundListing))
	require.NoError(t, err)
	var b bytes.Buffer
	l.Roots[0].Entries[2].User = ""
	require.NoError(t, l.write(&b, limit))
	l.Roots[0].Entries[2].User = strings.Repeat("a", limit-b.Len()-len(`"user":"",`))
	b.Reset()
	require.NoError(t, l.write(&b, limit))
	require.Equal(t, limit, b.Len())
	_, err = readListing(bytes.NewReader(b.Bytes()), limit)
	require.NoError(t, err)
	l.Roots[0].Entries[2].User += "a"
	for name, err := range map[string]error{
		"written": l.write(failing{}, limit),
		"read":    func() error { _, err := readListing(bytes.NewReader(append(b.Bytes(), ' ')), limit); return err }(),
	} {
		require.EqualError(t, err, "listing is larger than 1 MiB", name)
		var bad *ListingError
		require.ErrorAs(t, err, &bad, name)
		require.Equal(t, "list fewer levels: capture with a smaller --depth", bad.Hint(), name)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrClosed }

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestListingEntryData(t *testing.T) {
	for _, tc := range []struct {
		name        string
		e           ListingEntry
		some, known bool
	}{
		{"a file", ListingEntry{Kind: ListedFile, Size: 1}, true, true},
		{"an empty file", ListingEntry{Kind: ListedFile}, false, true},
		{"a link", ListingEntry{Kind: ListedSymlink}, true, true},
		{"a directory with files", ListingEntry{Kind: ListedDirectory, Files: 1}, true, true},
		{"a directory with files of which some were not read", ListingEntry{Kind: ListedDirectory, Files: 1, Partial: true}, true, true},
		{"empty directories", ListingEntry{Kind: ListedDirectory, Closed: ClosedDepth}, false, true},
		{"a directory of which some was not read", ListingEntry{Kind: ListedDirectory, Partial: true}, false, false},
		{"a mount", ListingEntry{Kind: ListedDirectory, Closed: ClosedMount}, false, false},
		{"nothing but a name", ListingEntry{Kind: ListedUnknown}, false, false},
	} {
		some, known := tc.e.Data()
		require.Equal(t, []bool{tc.some, tc.known}, []bool{some, known}, tc.name)
	}
}

// Names are kept as they are, and in one order.
func TestListingKeepsNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 6), func(b []byte) string {
			return strings.NewReplacer("\x00", "0", "/", "-").Replace(string(b))
		}), rapid.ID).Filter(func(names []string) bool {
			return !slices.ContainsFunc(names, func(n string) bool { return n == "." || n == ".." })
		}).Draw(t, "names")
		slices.SortFunc(names, CompareListed)
		r := ListingRoot{Path: "/p", Depth: 1, Entries: []ListingEntry{{Path: ".", Kind: ListedDirectory, Mode: "0755"}}}
		for _, n := range names {
			e := ListingEntry{Kind: ListedSymlink, Mode: "0777"}
			e.Path, e.PathBytes = ListingName(n)
			e.Target, e.TargetBytes = ListingName(n)
			r.Entries = append(r.Entries, e)
		}
		l := &Listing{Kind: ListingKind, Version: ListingVersion, Taken: time.Unix(1, 0).UTC(), Roots: []ListingRoot{r}}
		var b bytes.Buffer
		require.NoError(t, l.Write(&b))
		got, err := ReadListing(&b)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(l, got))
		for i, n := range names {
			require.Equal(t, n, got.Roots[0].Entries[i+1].Name())
			require.Equal(t, n, got.Roots[0].Entries[i+1].Link())
		}
	})
}

func FuzzReadListing(f *testing.F) {
	f.Add([]byte(soundListing))
	files, _ := filepath.Glob("testdata/checks/SW12*/*.persist.json")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ReadListing(bytes.NewReader(data))
		if err != nil {
			var bad *ListingError
			if !errors.As(err, &bad) {
				t.Fatalf("%v is no ListingError", err)
			}
			return
		}
		// What is accepted is written in a way that is accepted, and says the same.
		var b, c bytes.Buffer
		require.NoError(t, l.Write(&b))
		again, err := ReadListing(bytes.NewReader(b.Bytes()))
		require.NoError(t, err, "%s", b.String())
		require.NoError(t, again.Write(&c))
		require.Equal(t, b.String(), c.String())
	})
}
