package cli

import (
	"encoding/json"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	// Its source holds the OASIS schema. Nothing of it is called; the import keeps it in go.mod.
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/stretchr/testify/require"
)

// officialSchema is the JSON schema of SARIF 2.1.0 that OASIS publishes, as a Go module carries it.
func officialSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	pkg, err := build.Import("github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif", ".", build.FindOnly)
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, "schema.go"), nil, 0)
	require.NoError(t, err)
	literal, ok := file.Scope.Lookup("schema").Decl.(*ast.ValueSpec).Values[0].(*ast.BasicLit)
	require.True(t, ok)
	text, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	require.Contains(t, text, sarifSchema, "this is the schema that the output names")
	// The library reads draft 7, in which the schema means the same: it uses none of what differs but these two words.
	text = strings.Replace(text, "http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#", 1)
	text = strings.Replace(text, `"id": "https:`, `"$id": "https:`, 1)
	require.NotRegexp(t, `"(exclusiveMinimum|exclusiveMaximum)"`, text)
	var s jsonschema.Schema
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	resolved, err := s.Resolve(nil)
	require.NoError(t, err)
	return resolved
}

// checkSARIF runs a check and validates what it prints against the schema.
func checkSARIF(t *testing.T, schema *jsonschema.Resolved, want int, args ...string) sarifLog {
	t.Helper()
	r := run(t, nil, append([]string{"check", "-o", "sarif", "-q", "--cache-dir", t.TempDir()}, args...)...)
	require.Equal(t, want, r.status, r.stderr)
	var v any
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &v))
	require.NoError(t, schema.Validate(v))
	var log sarifLog
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&log))
	require.Len(t, log.Runs, 1)
	for _, result := range log.Runs[0].Results {
		require.Equal(t, result.RuleID, log.Runs[0].Tool.Driver.Rules[result.RuleIndex].ID)
		for _, l := range result.Locations {
			if l.Physical != nil {
				_, err := url.Parse(l.Physical.Artifact.URI)
				require.NoError(t, err)
			}
		}
	}
	return log
}

func TestSARIF(t *testing.T) {
	schema := officialSchema(t)
	require.Error(t, schema.Validate(map[string]any{"version": "2.1.0"}), "the schema refuses what has no runs")

	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	const lib = `
let base = {
  fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; };
  fileSystems."/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; neededForBoot = true; };
  environment.persistence."/persist" = { directories = [ "/var/lib/nixos" "/var/lib/systemd" ]; files = [ "/etc/machine-id" ]; };
  systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
}; in `
	hosts := write("nix/hosts.nix", lib+`{
  "a.b".config = base;
  half.config = base // { environment.persistence = throw "not today"; };
  bad.config = throw "not finished";
}`)
	write("nix/stateward.toml", "[check]\nexclude = [\"SW118\"]\n[[acknowledge]]\ncode = \"SW101\"\nservice = \"sonarr\"\nhost = \"a.b\"\nreason = \"on purpose\"\n"+
		"[[acknowledge]]\ncode = \"SW101\"\nservice = \"radarr\"\nhost = \"a.b\"\nreason = \"x\"\n")
	log := checkSARIF(t, schema, StatusEvaluation, hosts).Runs[0]

	require.Equal(t, "stateward", log.Tool.Driver.Name)
	require.Contains(t, log.Tool.Driver.Rules[0].Help.Markdown, "```nix")
	require.False(t, log.Invocations[0].ExecutionSuccessful)
	require.Equal(t, StatusEvaluation, log.Invocations[0].ExitCode)
	var off []string
	for _, o := range log.Invocations[0].RuleOverrides {
		off = append(off, o.Descriptor.ID)
	}
	require.Equal(t, []string{"SW118"}, off)
	var told []string
	for _, n := range log.Invocations[0].ExecutionNotifications {
		told = append(told, n.Level+" "+n.Locations[0].Logical[0].FullyQualifiedName)
	}
	require.Equal(t, []string{"error bad", "warning half.environment.persistence"}, told)

	byRule := map[string]sarifResult{}
	for _, r := range log.Results {
		byRule[r.RuleID+" "+r.Properties["host"]] = r
		require.Empty(t, r.BaselineState)
	}
	lost := byRule["SW101 a.b"]
	require.Equal(t, "error", lost.Level)
	require.Equal(t, []sarifSuppression{{"external", "accepted", "on purpose"}}, lost.Suppressions)
	require.Equal(t, `"a.b".systemd.services.sonarr.serviceConfig.StateDirectory`, lost.Locations[0].Logical[0].FullyQualifiedName)
	stale := byRule["SW606 "]
	require.Empty(t, stale.Suppressions)
	require.Equal(t, "nix/stateward.toml", stale.Locations[0].Physical.Artifact.URI, "from the repository's root")
	require.Equal(t, 8, stale.Locations[0].Physical.Region.StartLine)

	// A fault that moves to another line keeps its fingerprint; another one has another.
	one := write("one.nix", lib+`{ one.config = base; }`)
	first := checkSARIF(t, schema, StatusFindings, one).Runs[0]
	baseline := write("baseline.json", run(t, nil, "check", one, "-o", "json", "-q", "--cache-dir", t.TempDir()).stdout)
	write("one.nix", "# moved\n\n\n"+lib+`{ one.config = base // { systemd.services = base.systemd.services // { radarr.serviceConfig.StateDirectory = "radarr"; }; }; }`)
	second := checkSARIF(t, schema, StatusFindings, one, "--baseline", baseline).Runs[0]
	states := map[string]string{}
	for _, r := range second.Results {
		if r.RuleID == "SW101" {
			states[r.Properties["service"]] = r.BaselineState
			require.Equal(t, r.Properties["service"] == "sonarr", r.Fingerprints[sarifFingerprint] == fingerprintOf(first, "SW101"))
		}
	}
	require.Equal(t, map[string]string{"sonarr": "unchanged", "radarr": "new"}, states)
}

func fingerprintOf(r sarifRun, rule string) string {
	for _, result := range r.Results {
		if result.RuleID == rule {
			return result.Fingerprints[sarifFingerprint]
		}
	}
	return ""
}

// The example, with everything that it has, is valid too.
func TestSARIFOfTheExample(t *testing.T) {
	log := checkSARIF(t, officialSchema(t), StatusFindings, filepath.Join(repository, "examples/homelab")).Runs[0]
	require.Greater(t, len(log.Results), 10)
	located := 0
	for _, r := range log.Results {
		if p := r.Locations[0].Physical; p != nil && strings.HasPrefix(p.Artifact.URI, "examples/homelab/hosts/") {
			located++
		}
	}
	require.Greater(t, located, 10)
}
