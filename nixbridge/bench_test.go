//go:build unix

package nixbridge_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge"
)

// savedHosts is a saved evaluation of about so many bytes, of hosts with what a projection reads of a NixOS host.
func savedHosts(size int) string {
	var b strings.Builder
	b.WriteString(`{"format":"stateward-evaluation","version":1,"nix":"2.34.0","source":"x","hosts":[`)
	for h := 0; b.Len() < size; h++ {
		if h > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"name":"h%d","source":"x#h%d","status":"ok","tree":{"test":{"detected":true,"where":{},"sections":{"systemd.services":{`, h, h)
		for u := range 500 {
			if u > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `"unit-%d":{"enable":true,"after":["network.target","local-fs.target"],"wantedBy":["multi-user.target"],"serviceConfig":{"StateDirectory":"unit-%d","User":"unit","ExecStart":"/nix/store/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-unit-%d/bin/unit --config /etc/unit.conf"},"environment":{"A":"1"}}`, u, u, u)
		}
		b.WriteString(`}}}}}`)
	}
	b.WriteString("]}\n")
	return b.String()
}

// highest runs f and returns the most bytes that the heap's objects took meanwhile, beyond those before.
func highest(f func()) (most uint64) {
	objects := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	runtime.GC()
	before := objects()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				most = max(most, objects())
			}
		}
	})
	f()
	close(stop)
	wg.Wait()
	return max(most, objects(), before) - before
}

// BenchmarkReadSaved reads 100 MB of JSON from a file; "peak/input" is the most memory that it took, garbage included, as a
// multiple of the text.
func BenchmarkReadSaved(b *testing.B) {
	file := filepath.Join(b.TempDir(), "saved.json")
	text := savedHosts(100_000_000)
	size := len(text)
	require.NoError(b, os.WriteFile(file, []byte(text), 0o600))
	text = ""
	b.SetBytes(int64(size))
	for b.Loop() {
		most := highest(func() {
			f, err := os.Open(file)
			require.NoError(b, err)
			ev, err := nixbridge.ReadEvaluation(f)
			require.NoError(b, err)
			require.NoError(b, f.Close())
			runtime.KeepAlive(ev)
		})
		b.ReportMetric(float64(most)/float64(size), "peak/input")
	}
}

// TestMain lets this program stand in for nix, since what a script says of its version is asked each time: as "nix" it runs
// the program that the file beside it names, and fails where there is none.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "nix" {
		real, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "real"))
		if err != nil {
			fmt.Fprintln(os.Stderr, "nix was started")
			os.Exit(99)
		}
		fmt.Fprintln(os.Stderr, syscall.Exec(string(real), os.Args, os.Environ()))
		os.Exit(98)
	}
	os.Exit(m.Run())
}

// standIn is such a program, in front of the last nix of STATEWARD_TEST_NIX.
func standIn(t testing.TB) (nix, real string) {
	programs := strings.Split(os.Getenv("STATEWARD_TEST_NIX"), ":")
	name := cmp.Or(programs[len(programs)-1], "nix")
	path, err := run.LookPath(name, os.Environ())
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	nix, real = filepath.Join(dir, "nix"), filepath.Join(dir, "real")
	require.NoError(t, os.Symlink(self, nix))
	require.NoError(t, os.WriteFile(real, []byte(path), 0o600))
	return nix, real
}

// cpu is what this process and those that it waited for have spent computing outside of the kernel, and in all.
func cpu(t testing.TB) (user, all time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(who, &u))
		user += time.Duration(u.Utime.Nano())
		all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return user, all
}

func thousandFiles(t testing.TB) string {
	files := map[string]string{"flake.nix": `{ outputs = { self }: { nixosConfigurations.a.config = {
  fileSystems."/".fsType = "tmpfs";
  systemd.services = builtins.listToAttrs (builtins.genList (i: { name = "u${toString i}"; value = { enable = true; serviceConfig.StateDirectory = "u${toString i}"; }; }) 300);
}; }; }`}
	for i := range 1000 {
		files[fmt.Sprintf("d%d/f%d.nix", i/50, i)] = strings.Repeat("0123456789abcde\n", 200)
	}
	dir := folder(t, files)
	git(t, dir, "init", "-q")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "one")
	return dir
}

// warm evaluates a flake, takes nix away and returns what evaluates it again.
func warm(t testing.TB, dir string) func() *nixbridge.Evaluation {
	nix, real := standIn(t)
	e := &nixbridge.Evaluator{Nix: nix, CacheDir: privateDir(t)}
	src := source(t, dir)
	_, err := e.Evaluate(t.Context(), src)
	require.NoError(t, err)
	require.NoError(t, os.Remove(real))
	return func() *nixbridge.Evaluation {
		ev, err := e.Evaluate(t.Context(), src)
		require.NoError(t, err)
		for _, h := range ev.Hosts {
			_, err := h.Decode()
			require.NoError(t, err)
		}
		return ev
	}
}

func TestWarmEvaluationStartsNoNix(t *testing.T) {
	require.Len(t, warm(t, gitFlake(t))().Hosts, 2)
}

// BenchmarkWarm loads a host of a flake of a thousand files, which has not changed, with a nix that would fail. On a machine
// that is busy with something else look at "cpu-ms".
func BenchmarkWarm(b *testing.B) {
	again := warm(b, thousandFiles(b))
	_, before := cpu(b)
	for b.Loop() {
		again()
	}
	_, after := cpu(b)
	b.ReportMetric(float64((after-before).Microseconds())/1000/float64(b.N), "cpu-ms")
}

// heavyHost takes nix about a second: units merged from definitions of many modules, as the module system does it.
const heavyHost = `let
  mod = m: { name = "m${toString m}"; units = builtins.listToAttrs (builtins.genList (i: { name = "u${toString i}"; value = {
    enable = true; after = [ "network.target" "m${toString m}.target" ];
    serviceConfig = { StateDirectory = "u${toString i}"; User = "u${toString (builtins.length (builtins.filter (x: x == i) (builtins.genList (x: x) 40)))}"; };
  }; }) 300); };
  merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then builtins.zipAttrsWith (n: vs: builtins.foldl' merge (builtins.head vs) (builtins.tail vs)) [ a b ]
    else if builtins.isList a && builtins.isList b then a ++ b else b;
in { config = { fileSystems."/".fsType = "tmpfs"; systemd.services = builtins.foldl' merge { } (map (m: m.units) (builtins.genList mod 80)); }; }
`

// BenchmarkOverhead compares the user time of loading a host, with all that nix spends on it, to that of a bare `nix eval` of
// the same projection: "ours/nix" is the median of the ratios of pairs.
func BenchmarkOverhead(b *testing.B) {
	nix, real := standIn(b)
	text, err := os.ReadFile(real)
	require.NoError(b, err)
	dir := b.TempDir()
	record := filepath.Join(dir, "args")
	script := filepath.Join(dir, "record")
	require.NoError(b, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n[ \"$1\" = eval ] && printf '%%s\\0' \"$@\" >'%s'\nexec '%s' \"$@\"\n", record, text), 0o755))
	file := filepath.Join(folder(b, map[string]string{"h.nix": heavyHost}), "h.nix")
	e := &nixbridge.Evaluator{Nix: script, CacheDir: privateDir(b)}
	load := func() {
		ev, err := e.Evaluate(b.Context(), source(b, file))
		require.NoError(b, err)
		h, err := ev.Hosts[0].Decode()
		require.NoError(b, err)
		require.Equal(b, []string{"nixos"}, h.Dialects)
	}
	load()
	args, err := os.ReadFile(record)
	require.NoError(b, err)
	e.Nix = nix
	load()
	home := filepath.Join(e.CacheDir, "home")
	bare := func() time.Duration {
		before, _ := cpu(b)
		_, err := run.Run(b.Context(), run.Cmd{Path: nix, Args: strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00"),
			Env: []string{"HOME=" + home, "USER=x", "PATH=" + os.Getenv("PATH"), "NIX_CONF_DIR=" + home, "TMPDIR=" + filepath.Join(e.CacheDir, "tmp")}})
		require.NoError(b, err)
		after, _ := cpu(b)
		return after - before
	}
	ours := func() time.Duration {
		before, _ := cpu(b)
		load()
		after, _ := cpu(b)
		return after - before
	}
	var ratios []float64
	var total time.Duration
	for b.Loop() {
		var x, y time.Duration
		// Whoever comes second finds warmer caches.
		if len(ratios)%2 == 0 {
			x, y = ours(), bare()
		} else {
			y, x = bare(), ours()
		}
		total += y
		ratios = append(ratios, float64(x)/float64(y))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ours/nix")
	b.ReportMetric(total.Seconds()/float64(len(ratios)), "nix-s")
}
