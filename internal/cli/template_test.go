package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate/template"
	"github.com/stateward/stateward/internal/nixtest"
)

// Each template, written as a module and evaluated by every nix, is read back as a whole: nothing of it is unknown, nothing is
// found, its data is seen to survive, and exactly its dataset is planned.
func TestTemplatesAreReadBack(t *testing.T) {
	dir := t.TempDir()
	var hosts strings.Builder
	hosts.WriteString(`let
  merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b;
  pkgs.postgresql_16 = { type = "derivation"; name = "postgresql"; };
  host = module: root: { config = merge { fileSystems = { "/srv/media" = { device = "/dev/c"; fsType = "ext4"; }; } // root; } (import module { inherit pkgs; }); };
  kept = { "/" = { device = "/dev/a"; fsType = "ext4"; }; };
  wiped = { "/" = { device = "none"; fsType = "tmpfs"; }; };
in {
`)
	l := template.NewLibrary()
	resolved := map[string]*template.Resolved{}
	for _, name := range l.Names() {
		r := run(t, nil, "template", "show", name, "--no-config", "--set", "repository=sftp:backup@nas:/srv/restic", "-o", "nix")
		require.Equal(t, StatusOK, r.status, r.stderr)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".nix"), []byte(r.stdout), 0o600))
		fmt.Fprintf(&hosts, "  %s = host ./%s.nix kept;\n", name, name)
		var err error
		resolved[name], err = l.Resolve(name, template.Options{Set: map[string]string{"repository": "sftp:backup@nas:/srv/restic"}})
		require.NoError(t, err)
	}
	hosts.WriteString("  wiped = host ./sonarr.nix wiped;\n}\n")
	file := filepath.Join(dir, "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(hosts.String()), 0o600))

	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			cache := t.TempDir()
			out := checkJSON(t, cache, file, "--nix", n.Path())
			require.Len(t, out.Hosts, len(resolved)+1)
			for _, h := range out.Hosts {
				require.Equal(t, stateward.StatusOK, h.Status, "%s: %v", h.Name, h.Unknown)
				r, dataDir := resolved[h.Name], ""
				if h.Name == "wiped" {
					// That nothing makes the dataset yet is the one thing to say of it.
					r = resolved["sonarr"]
				}
				var about []string
				// Nothing runs its backup, sends its snapshots, nor brings it back, as long as there is a template only.
				h.Findings = slices.DeleteFunc(h.Findings, func(d stateward.Diagnostic) bool {
					return slices.Contains([]string{"SW304", "SW307", "SW403", "SW409"}, d.Code)
				})
				for _, d := range h.Findings {
					if d.Service == r.Name {
						about = append(about, d.Severity.String()+" "+d.Code+" "+d.Subject)
					}
				}
				if h.Name == "wiped" {
					require.Empty(t, cmp.Diff([]string{"warning SW101 stateward.services.sonarr.dataDir"}, about))
					continue
				}
				require.Empty(t, h.Findings, h.Name)
				for _, row := range h.Survival {
					if row.Path == r.Service.DataDir {
						dataDir = string(row.Tiers[stateward.TierReboot].State)
					}
				}
				require.Equal(t, "yes", dataDir, h.Name)
			}

			r := run(t, nil, "dataset", "plan", file, "-o", "json", "--nix", n.Path(), "--cache-dir", cache)
			require.Contains(t, []int{StatusOK, StatusFindings}, r.status, r.stderr)
			var plan DatasetPlan
			require.NoError(t, json.Unmarshal([]byte(r.stdout), &plan))
			for _, h := range plan.Hosts {
				want, ok := resolved[h.Name]
				if !ok {
					continue
				}
				require.Empty(t, h.Faults, h.Name)
				d := want.Service.Dataset
				at := d.MountPoint
				if at == "" {
					at = want.Service.DataDir
				}
				var got []string
				for _, w := range h.Datasets {
					if w.Implicit {
						continue
					}
					line := fmt.Sprintf("%s %s:%s %s", w.Name, w.Owner, w.Group, w.Mode)
					for _, s := range w.Settings {
						line += " " + s.String()
					}
					got = append(got, line)
				}
				wants := fmt.Sprintf("%s %s:%s %s", d.Name, d.Owner, d.Group, d.Mode)
				for _, property := range sortedNames(d.Properties, "mountpoint") {
					value := d.Properties[property]
					if property == "mountpoint" {
						value = at
					}
					wants += " " + property + "=" + value
				}
				require.Empty(t, cmp.Diff([]string{wants}, got), h.Name)
			}
		})
	}
}

func sortedNames(m map[string]string, more string) []string {
	all := maps.Clone(m)
	all[more] = ""
	return slices.Sorted(maps.Keys(all))
}

// The schema takes what is built in, and refuses what is no template.
func TestTemplateSchema(t *testing.T) {
	r := resolved(t, "template")
	require.NoError(t, r.Validate(instance(t, `{"name": "x", "description": "X", "service": {"unit": "x.service", "dataDir": "/x"}, "user": {"name": "x", "uid": "${uid}", "group": "x"}, "groups": [{"name": "x", "gid": 5}]}`)))
	require.Error(t, r.Validate(instance(t, `{"name": "x", "description": "X", "service": {"unt": "x.service"}}`)))
	require.Error(t, r.Validate(instance(t, `{"description": "X"}`)))
	files, err := filepath.Glob(filepath.Join(repository, "aggregate/template/templates/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, filepath.Join(repository, "testdata/templates/prowlarr.json")) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, r.Validate(instance(t, string(text))), file)
	}
	require.Error(t, r.Validate(instance(t, `{"name": "x", "description": "X", "service": {"unit": 5, "dataDir": "/x"}}`)))
	require.Error(t, r.Validate(instance(t, `{"name": "x", "description": "X", "service": {"unit": "x.service", "dataDir": "/x"}, "user": {"name": "x", "uid": true, "group": "x"}}`)))
}
