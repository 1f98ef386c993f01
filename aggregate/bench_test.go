package aggregate_test

import (
	"fmt"
	"runtime"
	"syscall"
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

// cpu is the processor time that a run takes, of all its threads: other programs on the
// machine do not count.
func cpu(t *testing.T, run func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	before := used()
	run()
	return used() - before
}

// One host takes about as long as ten of a tenth of its size, whatever is asked and whatever
// the host is full of. What grows with the square would take ten times as long.
func TestCostIsLinear(t *testing.T) {
	const n, most = 1_000, 5
	resolve := func(opts aggregate.Options) func(*stateward.Host) {
		return func(h *stateward.Host) { _, _ = aggregate.Resolve(h, opts) }
	}
	lint := func(h *stateward.Host) { aggregate.Lint(aggregate.Input{Host: h}) }
	for _, tc := range []struct {
		name string
		host func(n int) *stateward.Host
		run  func(*stateward.Host)
	}{
		{"collect", manyHost, func(h *stateward.Host) { aggregate.Collect(nil, h.Services.Or(nil)) }},
		{"resolve", manyHost, resolve(aggregate.Options{})},
		{"collapse", manyHost, resolve(aggregate.Options{Collapse: true})},
		{"lint", manyHost, lint},
		{"lint of templates", templatesHost, lint},
		{"lint of one path over and over", repeatedHost, lint},
		{"resolve of one path over and over", repeatedHost, resolve(aggregate.Options{Root: "/persist"})},
		{"lint of one service with many places", oneServiceHost, lint},
		{"lint of many file systems", mountsHost, lint},
	} {
		t.Run(tc.name, func(t *testing.T) {
			small, large := tc.host(n), tc.host(10*n)
			var ten, one time.Duration
			for i := range 3 { // the shortest of several runs: what a run takes more is noise
				a := cpu(t, func() {
					for range 10 {
						tc.run(small)
					}
				})
				b := cpu(t, func() { tc.run(large) })
				if i == 0 || a < ten {
					ten = a
				}
				if i == 0 || b < one {
					one = b
				}
			}
			require.Less(t, float64(one)/float64(ten), float64(most), "ten times %d: %s, once %d: %s", n, ten, 10*n, one)
		})
	}
}

// entriesHost is a wiped host with n entries in its persistence root.
func entriesHost(n int, entry func(i int) string) *stateward.Host {
	h := with(wiped)
	entries := make([]stateward.Entry, n)
	for i := range entries {
		entries[i] = stateward.NewEntry(entry(i), stateward.Directory, index(at("environment", "persistence", "/persist", "directories"), i))
	}
	changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Directories = known(entries) })(h)
	return h
}

// templatesHost has n template units, each with one instance persisted.
func templatesHost(n int) *stateward.Host {
	h := entriesHost(n, func(i int) string { return fmt.Sprintf("/var/lib/t%d/instance", i) })
	services := make([]stateward.Service, n)
	for i := range services {
		e := stateward.NewEntry(fmt.Sprintf("/var/lib/t%d", i), stateward.Directory, at("systemd", "services"))
		services[i] = stateward.Service{Name: fmt.Sprintf("t%d@", i), Enable: known(true),
			State: known([]stateward.StatePath{{Entry: e, Source: stateward.SourceStateDirectory, Pattern: true}})}
	}
	h.Services = known(services)
	return h
}

// repeatedHost persists /var/lib n times, and has n services below it.
func repeatedHost(n int) *stateward.Host {
	h := entriesHost(n, func(int) string { return "/var/lib" })
	h.Services = known(manyServices(n))
	return h
}

// oneServiceHost has one service with n places, each of them named by two dialects.
func oneServiceHost(n int) *stateward.Host {
	h := with(wiped)
	var state []stateward.StatePath
	for i := range n {
		e := stateward.NewEntry(fmt.Sprintf("/srv/%d", i), stateward.Directory, index(at("services", "one"), i))
		state = append(state, stateward.StatePath{Entry: e, Source: stateward.SourceDataDir})
	}
	s := stateward.Service{Name: "one", Enable: known(true), State: known(state)}
	h.Services = known([]stateward.Service{s, s})
	return h
}

// mountsHost has n file systems, and a service on each.
func mountsHost(n int) *stateward.Host {
	h := with(wiped)
	fs := h.FileSystems.Or(nil)
	services := make([]stateward.Service, n)
	for i := range services {
		where := fmt.Sprintf("/srv/%d", i)
		fs = append(fs, mounted(where, fmt.Sprintf("/dev/d%d", i), "ext4"))
		services[i] = contract(fmt.Sprintf("s%d", i), where+"/data")
	}
	h.FileSystems, h.Services = known(fs), known(services)
	return h
}
