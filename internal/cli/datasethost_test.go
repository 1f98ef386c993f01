package cli

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/capture"
)

func TestApplyIsForTheMachineOfTheHost(t *testing.T) {
	host := func(name string) *stateward.Host {
		return &stateward.Host{HostName: stateward.Known(name, stateward.Origin{})}
	}
	for _, tt := range []struct {
		name, machine string
		host          loaded
		want          bool
	}{
		{"networking.hostName", "forge", loaded{name: "nn", host: host("forge")}, true},
		{"the attribute", "nn", loaded{name: "nn", host: host("nixos")}, true},
		{"the attribute where nothing else is known", "nn", loaded{name: "nn", host: &stateward.Host{}}, true},
		{"a machine with its domain", "forge.example.org", loaded{name: "nn", host: host("forge")}, true},
		{"an attribute with its domain", "forge", loaded{name: "forge.example.org", host: &stateward.Host{}}, true},
		{"U5 another machine", "atlas", loaded{name: "nn", host: host("forge")}, false},
		{"a name that only begins alike", "forge2", loaded{name: "forge", host: host("forge")}, false},
		{"no name at all", "atlas", loaded{name: "", host: host("")}, false},
		{"a machine without a name", "", loaded{name: "nn", host: host("forge")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := Env{Hostname: func() (string, error) { return tt.machine, nil }, Stderr: &bytes.Buffer{}}
			err := (&hostFlags{}).here(env, &tt.host)
			require.Equal(t, tt.want, err == nil, "%v", err)
			require.NoError(t, (&hostFlags{other: true}).here(env, &tt.host))
			if tt.machine != "" {
				file := &capture.PoolFile{Host: tt.machine}
				require.Equal(t, tt.want, (&hostFlags{}).captured(env, "pool.json", file, &tt.host) == nil)
				require.NoError(t, (&hostFlags{other: true}).captured(env, "pool.json", file, &tt.host))
			}
		})
	}
	nameless := Env{Hostname: func() (string, error) { return "", errors.New("no name") }}
	require.Error(t, (&hostFlags{}).here(nameless, &loaded{name: "forge"}))
}

// A machine that is called as the host is passes the guard, and is found to have no ZFS or another fault of its own.
func TestApplyOnTheMachineOfTheHostPassesTheGuard(t *testing.T) {
	for machine, want := range map[string]int{"one": StatusStep, "atlas": StatusUsage} {
		var out, errs bytes.Buffer
		status := Main(context.Background(), []string{"dataset", "apply", repository + "/e2e/apply/testdata/hosts.json", "--host", "one", "-q", "--lock-dir", t.TempDir()},
			Env{Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return machine, nil }})
		require.Equal(t, want, status, "%s: %s", machine, errs.String())
	}
}
