//go:build unix

package preseed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/preseed"
)

// E13: a stream that stands still ends some day, and says why; one that moves, however slowly, does not.
func TestE13NoProgress(t *testing.T) {
	fill := func(t *testing.T, ssh, used string) error {
		dir := t.TempDir()
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		for name, script := range map[string]string{
			"ssh": ssh,
			"zfs": "case \"$*\" in receive*) exec cat;; get*\" used -- \"*) " + used + ";; *stateward-staging*) echo \"cannot open: dataset does not exist\" >&2; exit 1;; esac",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		r := &runner{plan: preseed.Plan{Name: "app", Dataset: "tank/app", Mountpoint: "/srv/app", Sources: []preseed.Source{{Kind: preseed.Replica, From: "nas:tank/app"}}},
			o: Options{Env: os.Environ(), Now: time.Now, StateDir: dir}, props: map[string]property{}, stall: 2 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		j := preseed.Journal{Target: "tank/app", Staged: "tank/stateward-staging/app", Source: preseed.Replica, Candidate: preseed.Candidate{ID: "1", Name: "a"}}
		return r.fillReplica(ctx, &j)
	}
	began := time.Now()
	err := fill(t, "exec sleep 50", "printf 'used\\t4096\\t-\\n'")
	if err == nil || !strings.Contains(err.Error(), "nothing more has come for 2s: it was ended") || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	err = fill(t, "sleep 5; echo 'the other end is gone' >&2; exit 9", "date +'used%t%N%t-'")
	if err == nil || strings.Contains(err.Error(), "nothing more") {
		t.Errorf("%v", err)
	}
}

func TestE13ProgressOfRestic(t *testing.T) {
	var p progress
	for _, line := range []string{`{"message_type":"status","seconds_elapsed":1,"bytes_restored":10,"files_restored":1}`, `{"message_type":"status","seconds_elapsed":9,"bytes_restored":10,"files_restored":1}`, "no JSON", `{"message_type":"summary"}`} {
		p.line([]byte(line))
		if p.done.Load() != 11 {
			t.Errorf("%s: %d", line, p.done.Load())
		}
	}
}
