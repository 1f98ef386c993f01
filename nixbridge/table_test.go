package nixbridge_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

// Rows of a user's own, and saved evaluations with and without them.
func TestTableOfAUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "host.nix")
	require.NoError(t, os.WriteFile(file, []byte(`{
		options.services.mine.enable = { _type = "option"; definitionsWithLocations = [ { file = "/mine.nix"; value = true; } ]; };
		config.services = { mine = { enable = true; dir = "/srv/mine"; }; tailscale.enable = true; };
	}`), 0o600))
	evaluator := func(rows ...table.Row) *nixbridge.Evaluator {
		d, err := table.New("state", rows)
		require.NoError(t, err)
		return &nixbridge.Evaluator{CacheDir: privateDir(t), Dialects: append(nixbridge.BuiltinDialects(), d)}
	}
	row := table.Row{Service: "mine", Enable: "services.mine.enable", Paths: []string{"/var/lib/mine"}, Source: "its README"}
	ev, err := evaluator(row).Evaluate(t.Context(), source(t, file))
	require.NoError(t, err, "nix is needed: run `make deps`")
	text := write(t, ev)
	load := func(e *nixbridge.Evaluator, text string) (*stateward.Host, error) {
		hosts, err := nixbridge.Load(t.Context(), source(t, "-"), nixbridge.Options{Evaluator: e, Stdin: bytes.NewReader([]byte(text))})
		if err != nil {
			return nil, err
		}
		return hosts[0], nil
	}
	paths := func(h *stateward.Host) []string {
		var out []string
		for _, s := range h.Services.Or(nil) {
			if s.Enable.Or(false) {
				for _, p := range s.State.Or(nil) {
					out = append(out, s.Dialect+" "+s.Name+" "+p.Text)
				}
			}
		}
		return out
	}
	h, err := load(evaluator(row), text)
	require.NoError(t, err)
	require.Equal(t, []string{"state", "table"}, slices.DeleteFunc(h.Dialects, func(s string) bool { return s == "nixos" }))
	require.Equal(t, []string{"table tailscale /var/lib/tailscale", "state mine /var/lib/mine"}, paths(h))
	i := slices.IndexFunc(h.Services.Or(nil), func(s stateward.Service) bool { return s.Name == "mine" })
	require.Equal(t, stateward.Origin{Option: "services.mine.enable", File: "/mine.nix"}, h.Services.Or(nil)[i].Origin)

	t.Run("other paths need no new evaluation", func(t *testing.T) {
		other := row
		other.Paths = []string{"/srv/a"}
		h, err := load(evaluator(other), text)
		require.NoError(t, err)
		require.Contains(t, paths(h), "state mine /srv/a")
	})
	t.Run("rows that read more are refused", func(t *testing.T) {
		_, err := load(evaluator(row, table.Row{Service: "mine", Enable: "services.mine.enable", Option: "services.mine.dir", Source: "s"}), text)
		require.ErrorContains(t, err, `host host was evaluated with other rows of [[state]]`)
		var fe *nixbridge.FormatError
		require.ErrorAs(t, err, &fe)
		require.Equal(t, "it was evaluated without, or with other rows of [[state]]: evaluate again with the same ones", fe.Hint())
	})
	t.Run("so is an evaluation without rows", func(t *testing.T) {
		ev, err := (&nixbridge.Evaluator{CacheDir: privateDir(t)}).Evaluate(t.Context(), source(t, file))
		require.NoError(t, err)
		_, err = load(evaluator(row), write(t, ev))
		require.ErrorContains(t, err, `dialect "state" was not read`)
		require.ErrorContains(t, err, "of host host")
	})
}
