package nixbridge

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge/dialect"
)

// What tells one place from another stays; what is a secret goes.
func TestValuesWithoutSecrets(t *testing.T) {
	in := `{"test":{"detected":true,"sections":{
		"environment.persistence":{"/persist":{"directories":["/var/lib/tenants/token=a",{"directory":"token=a"}]}},
		"fileSystems":{"/s":{"device":"https://u:SEKRIT@h/d","options":["username=u,password=/SEKRIT","pass=a,SEKRIT","nofail"]}},
		"path":{"__stateward":"path","path":"https://u:p@h/token=a"},
		"services":{"x":{"dataDir":"/var/lib/tenants/token=b","home":"token=b","healthCheck":{"command":"curl --token=SEKRIT localhost"}}},
		"services.postgresql.settings":{"archive_command":"/run/x/env AWS_SECRET_ACCESS_KEY=SEKRIT barman-cloud-wal-archive s3://b main %p"},
		"services.restic.backups":{"b":{"repository":"rclone::s3,secret_access_key=SEKRIT:bucket1/repo"}},
		"systemd.services":{"x":{"serviceConfig":{"StateDirectory":["token=a","token=b"]}}},
		"boot.initrd.postMountCommands":"TOKEN=SEKRIT rm -rf /mnt/token=a",
		"systemd.tmpfiles.rules":[{"rules":["L+ /x - - - - token=a","f /x - - - - token=SEKRIT"]}],
		"systemd.tmpfiles.settings":{"a":{"/b":{"L":{"argument":"token=a"},"f":{"argument":"token=SEKRIT"}}}},
		"warnings":["password=SEKRIT"]},
		"where":{"warnings":{"items":{"password=SEKRIT":[],"password=SEKRIT2":[],"a":[]}},"services":{"attrs":{"token=b":{}}}}}}`
	want := `{"test":{"detected":true,"sections":{
		"environment.persistence":{"/persist":{"directories":["/var/lib/tenants/token=a",{"directory":"token=a"}]}},
		"fileSystems":{"/s":{"device":"https://u:‹hidden›@h/d","options":["username=u,password=‹hidden›","pass=‹hidden›","nofail"]}},
		"path":{"__stateward":"path","path":"https://u:p@h/token=a"},
		"services":{"x":{"dataDir":"/var/lib/tenants/token=b","home":"token=b","healthCheck":{"command":"curl --token=‹hidden› localhost"}}},
		"services.postgresql.settings":{"archive_command":"/run/x/env AWS_SECRET_ACCESS_KEY=‹hidden› barman-cloud-wal-archive s3://b main %p"},
		"services.restic.backups":{"b":{"repository":"rclone::s3,secret_access_key=‹hidden›:bucket1/repo"}},
		"systemd.services":{"x":{"serviceConfig":{"StateDirectory":["token=a","token=b"]}}},
		"boot.initrd.postMountCommands":"TOKEN=‹hidden› rm -rf /mnt/token=a",
		"systemd.tmpfiles.rules":[{"rules":["L+ /x - - - - token=a","f /x - - - - token=‹hidden›"]}],
		"systemd.tmpfiles.settings":{"a":{"/b":{"L":{"argument":"token=a"},"f":{"argument":"token=‹hidden›"}}}},
		"warnings":["password=‹hidden›"]},
		"where":{"warnings":{"items":{"password=‹hidden›":[],"a":[]}},"services":{"attrs":{"token=b":{}}}}}}`
	parse := func(s string) *dialect.Value {
		v, err := dialect.Parse(s, maxDepth)
		require.NoError(t, err)
		return v
	}
	v := parse(in)
	for range 2 {
		withoutSecretValues(v)
		require.Empty(t, cmp.Diff(string(parse(want).AppendJSON(nil)), string(v.AppendJSON(nil))))
	}
}

// What a flake wrote of itself was never read by this package.
func TestSavedEvaluationsAreReadWithoutSecrets(t *testing.T) {
	text := `{"format":"stateward-evaluation","version":1,"nix":"2.26.0","source":".","hosts":[{"name":"forge","source":".#forge","status":"ok",
		"tree":{"test":{"detected":true,"sections":{"warnings":["password=SEKRIT"],"path":"/var/lib/token=a"}}}}]}`
	file := filepath.Join(t.TempDir(), "hosts.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	e := &Evaluator{Dialects: []dialect.Dialect{{Name: "test"}}}
	ev, err := e.Read(t.Context(), Source{Kind: SavedSource, Ref: file}, nil)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, ev.Write(&b))
	require.Contains(t, b.String(), `"warnings":["password=‹hidden›"]`)
	require.Contains(t, b.String(), `"path":"/var/lib/token=a"`)
}
