package cli

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fullDisk takes the first bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.room {
		return 0, errors.New("no space left on device")
	}
	d.room -= len(b)
	return len(b), nil
}

// What was found and could not be said is no result: 4 wins over 1 and over 0, for every command
// that prints one.
func TestUnwrittenOutputIsNoSuccess(t *testing.T) {
	t.Chdir(repository)
	cache := t.TempDir()
	saved := filepath.Join(t.TempDir(), "hosts.json")
	require.Equal(t, StatusOK, run(t, nil, "eval", "examples/homelab", "-o", saved, "--cache-dir", cache, "-q").status)
	for _, args := range [][]string{
		{"check", saved}, {"check", saved, "--host", "forge"}, {"check", saved, "-o", "json"},
		{"plan", "persistence", saved}, {"plan", "persistence", saved, "--host", "forge", "-o", "nix"},
		{"golden", saved, t.TempDir()}, {"golden", "--update", saved, t.TempDir()},
		{"explain"}, {"explain", "SW101"}, {"version"}, {"eval", "examples/homelab", "--cache-dir", cache, "-q"},
	} {
		t.Run(strings.Join(args[:1], " "), func(t *testing.T) {
			for _, room := range []int{0, 5} {
				var errs bytes.Buffer
				got := Main(context.Background(), args, Env{Stdin: strings.NewReader(""), Stdout: &fullDisk{room}, Stderr: &errs, Getenv: func(string) string { return "" }})
				require.Equal(t, StatusStep, got, "%v", args)
				require.Contains(t, errs.String(), "no space left on device")
			}
		})
	}
}
