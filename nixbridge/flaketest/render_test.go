package flaketest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

func option(format string, args ...any) stateward.Origin {
	return stateward.Origin{Option: fmt.Sprintf(format, args...)}
}

func known[T any](v T) stateward.Value[T] { return stateward.Known(v, stateward.Origin{}) }

// draw makes a host of few names, so that they meet.
func draw(t *rapid.T) *stateward.Host {
	path := rapid.SampledFrom([]string{"/var/lib/a", "/var/lib/b", "/var/lib", "/var/lib/a/x", "/srv//c/", "rel", "/persist/var/lib/a", "/nix/store/00000000000000000000000000000000-x/y"})
	entry := func(o stateward.Origin, label string) stateward.Entry {
		e := stateward.NewEntry(path.Draw(t, label), stateward.Directory, o)
		if rapid.Bool().Draw(t, label+" owned") {
			e.User = known(stateward.MustOwner("u"))
		}
		return e
	}
	h := &stateward.Host{Name: "h", Status: stateward.StatusOK, Dialects: []string{"nixos"}}
	var roots []stateward.PersistenceRoot
	for _, name := range []string{"/persist", "/cold"}[:rapid.IntRange(0, 2).Draw(t, "roots")] {
		r := stateward.PersistenceRoot{Name: name, Path: known(stateward.MustPath(name)), Enable: known(true), Origin: option("environment.persistence.%q", name), Files: known([]stateward.Entry(nil))}
		var es []stateward.Entry
		for i := range rapid.IntRange(0, 4).Draw(t, "entries") {
			es = append(es, entry(option("environment.persistence.%q.directories[%d]", name, i), fmt.Sprint(name, i)))
		}
		r.Directories = known(es)
		roots = append(roots, r)
	}
	h.Persistence = known(roots)
	var services []stateward.Service
	for i := range rapid.IntRange(0, 5).Draw(t, "services") {
		name := rapid.SampledFrom([]string{"a", "b", "c\nforged"}).Draw(t, "name")
		o := option("services.%s%d", name, i)
		s := stateward.Service{Name: name, Dialect: "nixos", Origin: o, Enable: known(true), State: known([]stateward.StatePath{{Entry: entry(option("services.%s%d.dataDir", name, i), fmt.Sprint("state", i)), Source: stateward.SourceDataDir}})}
		if rapid.IntRange(0, 4).Draw(t, "unread") == 0 {
			s.State = stateward.NotKnown[[]stateward.StatePath](stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownThrow, Message: "x\ny"})
			h.AddUnknown(stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownThrow, Message: "x\ny"})
		}
		services = append(services, s)
	}
	h.Services = known(services)
	var mounts []stateward.FileSystem
	for i, at := range []string{"/", "/persist", "/srv/c"}[:rapid.IntRange(0, 3).Draw(t, "mounts")] {
		o := option("fileSystems.%q", at)
		f := stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, o), Device: known("/dev/" + fmt.Sprint(i)), FSType: known("ext4"), NeededForBoot: known(true), Origin: o}
		if i == 0 {
			f.FSType = known("tmpfs")
		}
		mounts = append(mounts, f)
	}
	h.FileSystems = known(mounts)
	return h
}

func shuffled[T any](v stateward.Value[[]T], r *rand.Rand) stateward.Value[[]T] {
	list := slices.Clone(v.Or(nil))
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return known(list)
}

// The order in which a host declares things is none of the files' business.
func TestFilesDoNotHangOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := draw(t)
		want := renderHost(h, scrubber(""))
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
		p := *h
		p.Services, p.FileSystems, p.Persistence = shuffled(h.Services, r), shuffled(h.FileSystems, r), shuffled(h.Persistence, r)
		got := renderHost(&p, scrubber(""))
		for name := range want {
			if d := cmp.Diff(string(want[name]), string(got[name])); d != "" {
				t.Fatalf("%s\n%s", name, d)
			}
			for line := range strings.Lines(string(got[name])) {
				if strings.HasPrefix(line, "forged") || strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
					t.Fatalf("%s has the line %q", name, line)
				}
			}
		}
	})
}

func TestScrub(t *testing.T) {
	const hash = "00000000000000000000000000000000"
	s := scrubber("/etc/nixos")
	for in, want := range map[string]string{
		"/nix/store/" + hash + "-source/hosts/x.nix": "/nix/store/<hash>-source/hosts/x.nix",
		"/nix/store/" + hash:                         "/nix/store/<hash>",
		"/nix/store/" + hash + "0-x":                 "/nix/store/" + hash + "0-x",
		"/nix/store":                                 "/nix/store",
		"/etc/nixos":                                 "/etc/nixos", // persisted as such more often than meant as a place of this machine
		"/etc/nixos/secrets/a:/etc/nixos/b":          "./secrets/a:./b",
		"/persist/etc/nixos/a":                       "/persist/etc/nixos/a",
		"/etc/nixosx/a":                              "/etc/nixosx/a",
	} {
		require.Equal(t, want, s(in), in)
	}
	require.Equal(t, "/a/b", scrubber("/")("/a/b"))
	own := scrubber("/nix/store/" + hash + "-source/cfg")
	for in, want := range map[string]string{
		"/nix/store/" + hash + "-source/cfg":        ".",
		"in /nix/store/" + hash + "-source/cfg: no": "in .: no",
		"/nix/store/" + hash + "-source/cfg/x/y":    "./x/y",
		"/nix/store/" + hash + "-source/cfgx":       "/nix/store/<hash>-source/cfgx",
		"/nix/store/" + hash + "-source":            "/nix/store/<hash>-source",
	} {
		require.Equal(t, want, own(in), in)
	}
	require.Equal(t, "/a/b", scrubber("")("/a/b"))
}

// One value a line, in an order that does not hang on what is left out.
func TestValues(t *testing.T) {
	const h0, h1 = "/nix/store/00000000000000000000000000000000-x", "/nix/store/11111111111111111111111111111111-x"
	for name, tc := range map[string]struct{ in, want string }{
		"scalars":                   {`{"a":1,"b":1.5,"c":true,"d":null,"e":"x"}`, "{\n  \"a\": 1,\n  \"b\": 1.5,\n  \"c\": true,\n  \"d\": null,\n  \"e\": \"x\"\n}"},
		"nothing is left out":       {`{"a":{"__stateward":"absent"},"b":[],"c":[{"__stateward":"absent"}],"d":{}}`, "{\n  \"d\": {}\n}"},
		"unknown is not":            {`{"a":{"__stateward":"unknown","kind":"throw","message":"no"}}`, "{\n  \"a\": {\"__stateward\":\"unknown\",\"kind\":\"throw\",\"message\":\"no\"}\n}"},
		"a forged marker":           {`{"__stateward:__stateward":1}`, "{\n  \"__stateward:__stateward\": 1\n}"},
		"names without their hash":  {`{"` + h0 + `":2,"` + h1 + `":1}`, "{\n  \"/nix/store/<hash>-x\": 1,\n  \"/nix/store/<hash>-x #2\": 2\n}"},
		"path of this machine":      {`[{"__stateward":"path","path":"/cfg/a"},{"__stateward":"path","path":"/cfg"}]`, "[\n  {\"__stateward\":\"path\",\"path\":\"./a\"},\n  {\"__stateward\":\"path\",\"path\":\".\"}\n]"},
		"line breaks stay in texts": {`["a\nb"]`, "[\n  \"a\\nb\"\n]"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := dialect.Parse(tc.in, 10)
			require.NoError(t, err)
			w := &valueWriter{scrub: scrubber("/cfg")}
			w.value(v, 0)
			require.Empty(t, cmp.Diff(tc.want, w.String()))
		})
	}
}
