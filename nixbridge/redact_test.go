package nixbridge

import (
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
