package nix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect/own"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

// evaluation is the value of lib.evaluation for a flake, with further arguments.
func evaluation(t *testing.T, n nix, flake, args string) map[string]any {
	t.Helper()
	apply := fmt.Sprintf(`f: f { self = builtins.getFlake "path:%s"; %s }`, flake, args)
	return eval[map[string]any](t, n, "--impure", "path:"+ours(t)+"#lib.evaluation", "--apply", apply)
}

// written is what the command writes of a source, as JSON.
func written(t *testing.T, n nix, flake string, e *nixbridge.Evaluator) map[string]any {
	t.Helper()
	src, err := nixbridge.ParseSource(flake)
	require.NoError(t, err)
	e.Nix, e.CacheDir = n.Path(), tempDir(t)
	ev, err := e.Evaluate(t.Context(), src)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, ev.Write(&b))
	var v map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &v))
	return v
}

// withoutWords drops what a flake cannot tell of values that could not be had, and what differs by where the flake is named.
func withoutWords(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["__stateward"] == "unknown" {
			delete(v, "message")
			delete(v, "file")
			delete(v, "line")
		}
		for _, below := range v {
			withoutWords(below)
		}
	case []any:
		for _, below := range v {
			withoutWords(below)
		}
	}
	return v
}

func sameEvaluation(t *testing.T, want, got map[string]any) {
	t.Helper()
	for _, ev := range []map[string]any{want, got} {
		delete(ev, "source")
		for _, h := range ev["hosts"].([]any) {
			delete(h.(map[string]any), "source")
		}
		withoutWords(ev)
	}
	require.Empty(t, cmp.Diff(want, got))
}

func TestEvaluationIsWhatTheCommandWrites(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		lab := homelab(t)
		got := evaluation(t, n, lab, `hosts = [ "forge" "attic" ];`)
		sameEvaluation(t, written(t, n, lab, &nixbridge.Evaluator{Hosts: []string{"attic", "forge"}}), got)
	})
}

const ownConfig = `dialects = ["nix/apps.nix"]

[[acknowledge]]
code = "SW101"
path = "/var/lib/feeds"
reason = "until = 2030-01-01 is in a text, 'quoted'"
until = 2030-01-31

[[state]]
service = "feeds"
enable = "services.feeds.enable"
unless = "services.feeds.remote.enable"
option = "services.feeds.sites.*.folder"
source = "ours"

[[state]]
service = "feeds"
enable = "services.feeds.sites.*.enable"
option = "services.feeds.sites.*.cache"
source = "ours"

[[state]]
service = "feeds"
enable = "services.feeds.enable"
option = "services.feeds.dir"
source = "ours"

[[state]]
service = "feeds"
enable = "services.feeds.enable"
paths = ["/var/lib/feeds"]
source = "ours"
`

// ownFlake has a host with a dialect and a table of its own, with values that could not be had and with what must not be told.
const ownFlake = `{
  outputs = {self}: {
    nixosConfigurations.forge = {
      config = {
        fileSystems."/" = {device = "tmpfs"; fsType = "tmpfs"; options = ["size=1G"];};
        services.feeds = {
          enable = true;
          dir = "/srv/feeds";
          sites = {
            a = {enable = true; cache = "/var/cache/a"; folder = ./flake.nix;};
            b = {enable = false; cache = throw "b has no cache"; folder = "/srv/b";};
          };
        };
        apps.wiki = {at = "/srv/wiki"; lost = throw "no value";};
        services.restic.backups.wiki = {paths = ["/srv/wiki"]; repository = "rest:https://ada:hunter2@backup.example/wiki";};
        services.restic.backups.other = {paths = throw "no paths"; repository = "s3:https://s3.example/a@b";};
      };
    };
  };
}
`

const appsDialect = `{config, ...}: {
  services = builtins.mapAttrs (_: a: {enable = true; dataDir = a.at; user = a.lost;}) (config.apps or {});
}
`

func TestEvaluationReadsDialectsAndTablesOfOnesOwn(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		dir := folder(t, map[string]string{"flake.nix": ownFlake, "stateward.toml": ownConfig, "nix/apps.nix": appsDialect})
		rows, err := table.New("state", []table.Row{
			{Service: "feeds", Enable: "services.feeds.enable", Unless: "services.feeds.remote.enable", Option: "services.feeds.sites.*.folder", Source: "ours"},
			{Service: "feeds", Enable: "services.feeds.sites.*.enable", Option: "services.feeds.sites.*.cache", Source: "ours"},
			{Service: "feeds", Enable: "services.feeds.enable", Option: "services.feeds.dir", Source: "ours"},
			{Service: "feeds", Enable: "services.feeds.enable", Paths: []string{"/var/lib/feeds"}, Source: "ours"},
		})
		require.NoError(t, err)
		apps, err := own.FromFile("nix/apps.nix", []byte(appsDialect))
		require.NoError(t, err)
		want := written(t, n, dir, &nixbridge.Evaluator{Dialects: append(nixbridge.BuiltinDialects(), rows, apps)})
		sameEvaluation(t, want, evaluation(t, n, dir, ""))
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.Contains(t, string(text), "hidden")
		require.Contains(t, string(text), `"partial"`)
	})
}

func TestTableReadsWhatTheCommandReads(t *testing.T) {
	const expr = `let
  table = import %s/table.nix;
  probe = { fields = x: x; attrsOf = x: x; text = 1; value = x: x; via = f: s: { inherit s; below = null; }; };
in map (rows: builtins.attrNames ((table rows).projection { inherit probe; } { config = { }; options = { }; }).sections)
  (builtins.fromJSON (builtins.readFile %s))`
	tables := [][]table.Row{table.Rows()}
	for seed := range 300 {
		tables = append(tables, randomRows(rand.New(rand.NewPCG(uint64(seed), 0))))
	}
	tables = slices.DeleteFunc(tables, func(rows []table.Row) bool { _, err := table.New("state", rows); return err != nil })
	require.Greater(t, len(tables), 50)
	var want [][]string
	for _, rows := range tables {
		d, err := table.New("state", rows)
		require.NoError(t, err)
		want = append(want, slices.Sorted(slices.Values(d.Sections)))
	}
	file := filepath.Join(t.TempDir(), "rows.json")
	text, err := json.Marshal(tables)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
	here, err := filepath.Abs(".")
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		var got [][]string
		n.JSON(t, fmt.Sprintf(expr, here, file), &got)
		require.Empty(t, cmp.Diff(want, got), n.Name)
	}
}

// randomRows are rows that are mostly valid: of few names, so that they meet.
func randomRows(r *rand.Rand) (rows []table.Row) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for range 1 + r.IntN(6) {
		row := table.Row{Service: "x", Source: "here"}
		top := pick("services.a", "services.b", "programs.c")
		switch r.IntN(4) {
		case 0:
			row.Enable, row.Paths = top+pick(".enable", ".on"), []string{"/x"}
		case 1:
			row.Enable, row.Option = top+".enable", top+pick(".dir", ".settings.dir", ".settings.deep.dir", ".stateDir")
		case 2:
			row.Option = top + ".items.*" + pick(".dir", ".state.dir", ".sub.*.dir")
			row.Enable = pick("", top+".enable", top+".items.*.enable", top+".items.*.state.enable")
		case 3:
			row.Option = top + ".items.*.sub.*" + pick(".dir", ".state.dir")
			row.Enable = pick("", top+".items.*.enable", top+".items.*.sub.*.enable")
		}
		row.Unless = pick("", "", "", top+".remote")
		rows = append(rows, row)
	}
	return rows
}
