package nixbridge_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

var _ = io.Discard
