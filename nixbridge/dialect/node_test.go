package dialect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

func tree(t *testing.T, json string) *dialect.Tree {
	t.Helper()
	v, err := dialect.Parse(json, 64)
	require.NoError(t, err)
	tr, err := dialect.NewTree(v)
	require.NoError(t, err)
	return tr
}

const sample = `{
  "detected": true,
  "sections": {
    "environment.persistence": {"/persist": {"directories": ["/var/lib/a", {"directory": "/var/lib/b", "user": "b"}, {"__stateward": "absent"}]}},
    "services.restic.backups": {"forge": {"paths": "/srv", "initialize": true, "pruneOpts": ["--keep-daily 7", 3], "user": null,
        "passwordFile": {"__stateward": "path", "path": "/secrets/restic"}}},
    "services.sonarr": {"enable": {"__stateward": "unknown", "kind": "throw", "message": "no", "file": "a.nix", "line": 3}},
    "systemd.services": {"a": {"serviceConfig": {"DynamicUser": "true", "Restart": 5}}, "b": {"__stateward": "unknown", "kind": "abort"}},
    "gone": {"__stateward": "absent"},
    "__stateward:odd": {"__stateward:__stateward": "unknown", "__stateward:outPath": 1}
  },
  "where": {
    "environment.persistence": {"at": [{"file": "p.nix"}], "attrs": {"/persist": {"at": [{"file": "p.nix", "line": 4}], "attrs": {"directories": {
        "at": [{"file": "p.nix", "line": 5}], "items": {"/var/lib/b": [{"file": "b.nix", "line": 9}]}}}}}}
  }
}`

func TestNodeReads(t *testing.T) {
	n := tree(t, sample).Root()
	for name, tc := range map[string]struct{ want, got any }{
		"a Boolean that systemd understands": {true, n.At("systemd", "services", "a", "serviceConfig", "DynamicUser").BoolLike().Or(false)},
		"a number as text":                   {"5", n.At("systemd", "services", "a", "serviceConfig", "Restart").Scalar().Or("")},
		"one string as a list":               {[]string{"/srv"}, n.At("services", "restic", "backups", "forge", "paths").Strings().Or(nil)},
		"a path as text":                     {"/secrets/restic", n.At("services", "restic", "backups", "forge", "passwordFile").Text().Or("")},
		"a path keeps its kind":              {dialect.PathValue, n.At("services", "restic", "backups", "forge", "passwordFile").Kind()},
		"null is absent":                     {true, n.At("services", "restic", "backups", "forge", "user").Text().IsAbsent()},
		"nothing is absent":                  {true, n.At("services", "nope", "x").Text().IsAbsent()},
		"an absent section is absent":        {dialect.Absent, n.At("gone").Kind()},
		"the way to a section is a set":      {dialect.Attrs, n.At("services").Kind()},
		"a forged marker stays a set":        {"unknown", n.At("odd", "__stateward").Text().Or("")},
		"absent elements are left out":       {2, len(n.At("environment", "persistence", "/persist", "directories").List())},
		"a component that is no identifier is quoted": {
			`environment.persistence."/persist".directories[1].user`,
			n.At("environment", "persistence", "/persist", "directories").List()[1].At("user").Path(),
		},
		"the definition of an element is found by its text": {
			stateward.Origin{Option: `environment.persistence."/persist".directories[1]`, File: "b.nix", Line: 9},
			n.At("environment", "persistence", "/persist", "directories").List()[1].Origin(),
		},
		"an element without its own definition has the list's": {
			stateward.Origin{Option: `environment.persistence."/persist".directories[0]`, File: "p.nix", Line: 5},
			n.At("environment", "persistence", "/persist", "directories").List()[0].Text().Origin(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, tc.got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAttrsJoinsSectionsAndValues(t *testing.T) {
	var names []string
	for _, e := range tree(t, sample).Root().At("services").Attrs() {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"restic", "sonarr"}, names)
}

func TestUnknownPlaceStaysUnknownBelow(t *testing.T) {
	n := tree(t, sample).Root().At("systemd", "services", "b", "serviceConfig", "User")
	why, ok := n.Text().Why()
	require.True(t, ok)
	require.Equal(t, stateward.Unknown{Subject: "systemd.services.b", Kind: stateward.UnknownAbort}, why)
}

func TestEveryUnknownIsRecordedOnce(t *testing.T) {
	tr := tree(t, sample)
	n := tr.Root().At("services", "restic", "backups", "forge")
	for range 2 {
		require.True(t, n.At("initialize").Text().IsUnknown())
		require.True(t, n.At("pruneOpts").Strings().IsUnknown())
		require.Empty(t, n.At("paths").Attrs())
	}
	want := []stateward.Unknown{
		{Subject: "services.restic.backups.forge.initialize", Kind: stateward.UnknownType, Message: "expected a string, found a Boolean"},
		{Subject: "services.restic.backups.forge.paths", Kind: stateward.UnknownType, Message: "expected an attribute set, found a string"},
		{Subject: "services.restic.backups.forge.pruneOpts[1]", Kind: stateward.UnknownType, Message: "expected a string, found an integer"},
		{Subject: "services.sonarr.enable", Kind: stateward.UnknownThrow, Message: "no", File: "a.nix", Line: 3},
		{Subject: "systemd.services.b", Kind: stateward.UnknownAbort},
	}
	if d := cmp.Diff(want, tr.Unknowns()); d != "" {
		t.Error(d)
	}
}

func TestSplitPathIsTheInverseOfOptionPath(t *testing.T) {
	for _, path := range [][]string{{"a"}, {"a", "b-c"}, {"environment", "persistence", "/per.sist"}, {`q"u\o`, "tab\there", "1"}, {""}} {
		got, err := dialect.SplitPath(stateward.OptionPath(path...))
		require.NoError(t, err)
		require.Equal(t, path, got)
	}
	for _, bad := range []string{"", "a.", ".a", "a..b", `"a`, `"a"b`} {
		_, err := dialect.SplitPath(bad)
		require.Error(t, err, bad)
	}
}

func TestNewTreeRefusesOtherForms(t *testing.T) {
	for _, bad := range []string{`1`, `{}`, `{"detected": 1}`, `{"detected": true, "sections": []}`, `{"detected": true, "sections": {"a..b": 1}}`} {
		v, err := dialect.Parse(bad, 8)
		require.NoError(t, err)
		_, err = dialect.NewTree(v)
		require.IsType(t, &dialect.TreeError{}, err, bad)
	}
}

func TestProjectionThatFailsAsAWholeIsUnknown(t *testing.T) {
	tr := tree(t, `{"__stateward": "unknown", "kind": "throw"}`)
	require.True(t, tr.Detected().IsUnknown())
	require.Equal(t, dialect.Unknown, tr.Root().At("a").Kind())
	require.Len(t, tr.Unknowns(), 1)
	require.Equal(t, "config", tr.Unknowns()[0].Subject)
}
