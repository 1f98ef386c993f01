package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// manyServices are n services of the contract, each with a data directory of its own, which
// it backs up together with one that all share.
func manyServices(n int) []stateward.Service {
	services := make([]stateward.Service, n)
	o := at("qgroget", "serviceModules")
	shared := stateward.NewEntry("/srv/shared", stateward.Directory, o)
	for i := range services {
		name := fmt.Sprintf("service-%07d", i)
		dir := stateward.NewEntry("/var/lib/"+name, stateward.Directory, o)
		services[i] = stateward.Service{
			Name: name, Dialect: "qgroget", Origin: o, Enable: known(true), DataDir: known(dir), BackupPaths: known([]stateward.Entry{dir, shared}),
			State: known([]stateward.StatePath{
				{Entry: dir, Source: stateward.SourceDataDir}, {Entry: dir, Source: stateward.SourceBackupPaths}, {Entry: shared, Source: stateward.SourceBackupPaths},
			}),
		}
	}
	return services
}

// manyHost is a wiped host with n services, a third of which is persisted.
func manyHost(n int) *stateward.Host {
	h := with(wiped)
	h.Services = known(manyServices(n))
	var paths []any
	for i := 0; i < n; i += 3 {
		paths = append(paths, fmt.Sprintf("/var/lib/service-%07d", i))
	}
	entries := []stateward.Entry{stateward.NewEntry("/var/lib/nixos", stateward.Directory, at("environment", "persistence", "/persist", "directories"))}
	for i, p := range paths {
		entries = append(entries, asEntry(p, stateward.Directory, index(entries[0].Origin, i+1)))
	}
	changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Directories = known(entries) })(h)
	return h
}

// BenchmarkAggregate collects what n services need persisted.
func BenchmarkAggregate(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			services := manyServices(n)
			b.ReportAllocs()
			for b.Loop() {
				if c := aggregate.Collect(nil, services); len(c.Entries) != n+1 {
					b.Fatal(len(c.Entries))
				}
			}
			perService(b, n)
		})
	}
}

func perService(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/service")
}

// BenchmarkResolve resolves n services of which a third is persisted.
func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			h := manyHost(n)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := aggregate.Resolve(h, aggregate.Options{}); err != nil || len(r.Entries) < n {
					b.Fatal(err)
				}
			}
			perService(b, n)
		})
	}
}

// BenchmarkLint runs every check over them.
func BenchmarkLint(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			h := manyHost(n)
			b.ReportAllocs()
			for b.Loop() {
				aggregate.Lint(aggregate.Input{Host: h})
			}
			perService(b, n)
		})
	}
}

// BenchmarkCollector compares Collect with the Nix expression that it equals. Nix
// is timed over two evaluations, one of nothing, so that its start does not count.
func BenchmarkCollector(b *testing.B) {
	n := nixtest.All(b)[0]
	for _, size := range []int{10, 1000, 5000} {
		services := manyServices(size)
		set := nix.Set{}
		for _, s := range services {
			dir, _ := s.DataDir.Get()
			paths := nix.List{}
			for _, e := range s.BackupPaths.Or(nil) {
				paths = append(paths, e.Text)
			}
			set = append(set, nix.Attr{Name: s.Name, Value: nix.Set{
				{Name: "enable", Value: true}, {Name: "dataDir", Value: dir.Text}, {Name: "backupPaths", Value: paths}}})
		}
		evaluate := func(b *testing.B, force string) time.Duration {
			text, err := nix.Write(nix.List{nix.Set{{Name: "own", Value: nix.List{}}, {Name: "services", Value: set}}}, 0)
			require.NoError(b, err)
			began := time.Now()
			_, err = n.Try(b, "let collected = "+collector+text+"; in "+force)
			require.NoError(b, err)
			return time.Since(began)
		}
		var goTime, nixTime time.Duration
		b.Run(fmt.Sprintf("go/n=%d", size), func(b *testing.B) {
			for b.Loop() {
				aggregate.Collect(nil, services)
			}
			goTime = b.Elapsed() / time.Duration(b.N)
		})
		b.Run(fmt.Sprintf("nix/n=%d", size), func(b *testing.B) {
			var total time.Duration
			for b.Loop() {
				total += max(evaluate(b, "builtins.length (builtins.head collected)")-evaluate(b, "0"), 0)
			}
			nixTime = total / time.Duration(b.N)
			b.ReportMetric(float64(nixTime.Nanoseconds()), "collecting-ns/op")
			if goTime > 0 {
				b.ReportMetric(float64(nixTime)/float64(goTime), "nix/go")
			}
		})
	}
}

// best is the shortest of several runs: what a run takes more is the machine's noise.
func best(runs int, run func()) time.Duration {
	shortest := time.Duration(1<<63 - 1)
	for range runs {
		began := time.Now()
		run()
		shortest = min(shortest, time.Since(began))
	}
	return shortest
}

// Ten times the services take about ten times as long, whatever is asked. What
// grows with the square would take a hundred times as long.
func TestCostIsLinear(t *testing.T) {
	const n, most = 5_000, 30
	small, large := manyHost(n), manyHost(10*n)
	for name, run := range map[string]func(*stateward.Host){
		"collect":  func(h *stateward.Host) { aggregate.Collect(nil, h.Services.Or(nil)) },
		"resolve":  func(h *stateward.Host) { _, _ = aggregate.Resolve(h, aggregate.Options{}) },
		"collapse": func(h *stateward.Host) { _, _ = aggregate.Resolve(h, aggregate.Options{Collapse: true}) },
		"lint":     func(h *stateward.Host) { aggregate.Lint(aggregate.Input{Host: h}) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := best(3, func() { run(small) }), best(3, func() { run(large) })
			require.Less(t, float64(b)/float64(a), float64(most), "%d services: %s, %d: %s", n, a, 10*n, b)
		})
	}
}
