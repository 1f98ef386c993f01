package aggregate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// collector is the expression that [aggregate.Collect] equals, over a list of
// hosts. What it takes from nixpkgs' lib is written here from its meaning.
const collector = `
let
  inherit (builtins) attrNames concatMap elem foldl' isList listToAttrs map sort;
  flatten = x: if isList x then concatMap flatten x else [ x ];
  unique = foldl' (seen: e: if elem e seen then seen else seen ++ [ e ]) [ ];
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs = pred: set: listToAttrs (concatMap (name: if pred name set.${name} then [ { inherit name; value = set.${name}; } ] else [ ]) (attrNames set));
  # The module system merges the definitions of a list by their order: 1000, and 1500 with mkAfter.
  mkAfter = content: { order = 1500; inherit content; };
  merge = defs: concatMap (d: d.content) (sort (a: b: a.order < b.order) defs);
  directories = host: merge [
    (mkAfter (unique (flatten (mapAttrsToList (name: s: [ s.dataDir ] ++ s.backupPaths) (filterAttrs (name: s: s.enable) host.services)))))
    { order = 1000; content = host.own; }
  ];
in
map directories
`

// collectorHost is a host as the collector sees it.
type collectorHost struct {
	Own      nix.List
	Services []collectorService
}

type collectorService struct {
	Name        string
	Enable      bool
	DataDir     any
	BackupPaths nix.List
}

// expression writes the host for nix.
func (h collectorHost) expression() nix.Set {
	services := nix.Set{}
	for _, s := range h.Services {
		services = append(services, nix.Attr{Name: s.Name, Value: nix.Set{
			{Name: "enable", Value: s.Enable}, {Name: "dataDir", Value: s.DataDir}, {Name: "backupPaths", Value: s.BackupPaths},
		}})
	}
	return nix.Set{{Name: "own", Value: h.Own}, {Name: "services", Value: services}}
}

// entriesOf flattens what nix is given into what the contract holds.
func entriesOf(list nix.List) []stateward.Entry {
	var out []stateward.Entry
	for _, v := range list {
		switch v := v.(type) {
		case nix.List:
			out = append(out, entriesOf(v)...)
		case nix.Set:
			attrs := map[string]string{}
			for _, a := range v {
				attrs[a.Name] = a.Value.(string)
			}
			out = append(out, owned(attrs["directory"], attrs["user"], attrs["group"], attrs["mode"]))
		default:
			out = append(out, stateward.NewEntry(v.(string), stateward.Directory, stateward.Origin{}))
		}
	}
	return out
}

// collect is the answer of Go, in the form of nix' JSON.
func (h collectorHost) collect() []any {
	var services []stateward.Service
	for _, s := range h.Services {
		services = append(services, stateward.Service{Name: s.Name, Enable: known(s.Enable),
			DataDir: known(entriesOf(nix.List{s.DataDir})[0]), BackupPaths: known(entriesOf(s.BackupPaths))},
			// What another dialect says of it is none of the collector's business.
			stateward.Service{Name: s.Name, Enable: known(true), State: known([]stateward.StatePath{{Entry: owned("/other", "", "", "")}})})
	}
	out := []any{}
	for _, e := range aggregate.Collect(entriesOf(h.Own), services).Entries {
		if !e.HasOwner() {
			out = append(out, e.Text)
			continue
		}
		set := map[string]any{"directory": e.Text}
		for name, text := range map[string]string{"user": e.User.Or(stateward.Owner{}).String(), "group": e.Group.Or(stateward.Owner{}).String(), "mode": e.Mode.Or(stateward.Mode{}).String()} {
			if text != "" {
				set[name] = text
			}
		}
		out = append(out, set)
	}
	return out
}

var (
	oddText = rapid.Map(rapid.OneOf(
		rapid.SampledFrom([]string{"/var/lib/a", "/var/lib/a/", "/var/lib/a/b", "/srv/a", "/b", "//b", "", "rel", "/a b", "/it's", `/"q"`, "/$HOME", "/${a}", "/''${", `/\n`, "/ü", "/a\nb", "/日本", "/a\tb"}),
		rapid.SampledFrom([]string{"/a", "/b", "/c"}),
		rapid.String(),
	), func(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "") })

	collectorEntry = rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 2).Draw(t, "form") > 0 {
			return oddText.Draw(t, "path")
		}
		set := nix.Set{{Name: "directory", Value: oddText.Draw(t, "directory")}}
		attrs := []nix.Attr{
			{Name: "user", Value: rapid.SampledFrom([]string{"a", "b", "absent", "1000"}).Draw(t, "user")},
			{Name: "group", Value: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "group")},
			{Name: "mode", Value: rapid.SampledFrom([]string{"0700", "0750"}).Draw(t, "mode")},
		}
		for i := range attrs {
			if rapid.Bool().Draw(t, attrs[i].Name+" given") || i == 2 && len(set) == 1 {
				set = append(set, attrs[i])
			}
		}
		return set
	})

	someCollectorHost = rapid.Custom(func(t *rapid.T) collectorHost {
		h := collectorHost{Own: nix.List{}}
		for range rapid.IntRange(0, 3).Draw(t, "own") {
			h.Own = append(h.Own, collectorEntry.Draw(t, "own entry"))
		}
		names := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "B", "a-b", "a.b", "a'", "or", "if", "é", "10", "9", "", "${x}", `"`, "outPath", "__functor"}), oddText)
		for _, name := range rapid.SliceOfNDistinct(names, 0, 6, rapid.ID).Draw(t, "names") {
			s := collectorService{Name: name, Enable: rapid.IntRange(0, 3).Draw(t, "enable") > 0, DataDir: collectorEntry.Draw(t, "dataDir"), BackupPaths: nix.List{}}
			for range rapid.IntRange(0, 4).Draw(t, "paths") {
				s.BackupPaths = append(s.BackupPaths, nested(t, 2))
			}
			h.Services = append(h.Services, s)
		}
		return h
	})
)

// nested draws an entry, or a list of them, as lib.flatten takes it.
func nested(t *rapid.T, depth int) any {
	if depth == 0 || rapid.IntRange(0, 4).Draw(t, "nested") > 0 {
		return collectorEntry.Draw(t, "entry")
	}
	list := nix.List{}
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		list = append(list, nested(t, depth-1))
	}
	return list
}

// hostsAtOnce is how many hosts one evaluation takes.
const hostsAtOnce = 500

func TestCollectEqualsNix(t *testing.T) {
	hosts := make([]collectorHost, 10_000)
	for i := range hosts {
		hosts[i] = someCollectorHost.Example(i)
	}
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			for batch := range slices.Chunk(hosts, hostsAtOnce) {
				compareWithNix(t, n, batch)
			}
		})
	}
}

// evaluate returns what nix collects for each host.
func evaluate(t *testing.T, n nixtest.Nix, hosts []collectorHost) ([][]any, error) {
	t.Helper()
	list := nix.List{}
	for _, h := range hosts {
		list = append(list, h.expression())
	}
	text, err := nix.Write(list, 0)
	require.NoError(t, err)
	out, err := n.Try(t, collector+text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return nixtest.Decode[[][]any](t, out), nil
}

// compareWithNix fails with the smallest host for which Go and nix differ.
func compareWithNix(t *testing.T, n nixtest.Nix, hosts []collectorHost) {
	t.Helper()
	got, err := evaluate(t, n, hosts)
	if err != nil && len(hosts) > 1 {
		// One of them cannot be evaluated: it is in one of the halves.
		compareWithNix(t, n, hosts[:len(hosts)/2])
		compareWithNix(t, n, hosts[len(hosts)/2:])
	}
	require.NoError(t, err, "%+v", hosts)
	require.Len(t, got, len(hosts))
	for i, h := range hosts {
		if cmp.Equal(got[i], h.collect()) {
			continue
		}
		h = smallest(h, func(h collectorHost) bool {
			got, err := evaluate(t, n, []collectorHost{h})
			return err == nil && !cmp.Equal(got[0], h.collect())
		})
		text, err := nix.Write(h.expression(), 0)
		require.NoError(t, err)
		got, err := evaluate(t, n, []collectorHost{h})
		require.NoError(t, err)
		t.Fatalf("Collect differs from the collector for\n%s\nnix -, Go +:\n%s", text, cmp.Diff(got[0], h.collect()))
	}
}

// smallest leaves out of a host what is not needed for it to differ.
func smallest(h collectorHost, differs func(collectorHost) bool) collectorHost {
	for again := true; again; {
		again = false
		for _, smaller := range smallerHosts(h) {
			if differs(smaller) {
				h, again = smaller, true
				break
			}
		}
	}
	return h
}

// smallerHosts are the hosts with one thing less.
func smallerHosts(h collectorHost) []collectorHost {
	var out []collectorHost
	for i := range h.Services {
		out = append(out, collectorHost{Own: h.Own, Services: slices.Delete(slices.Clone(h.Services), i, i+1)})
	}
	for i := range h.Own {
		out = append(out, collectorHost{Own: slices.Delete(slices.Clone(h.Own), i, i+1), Services: h.Services})
	}
	for i := range h.Services {
		for j := range h.Services[i].BackupPaths {
			services := slices.Clone(h.Services)
			services[i].BackupPaths = slices.Delete(slices.Clone(services[i].BackupPaths), j, j+1)
			out = append(out, collectorHost{Own: h.Own, Services: services})
		}
	}
	return out
}
