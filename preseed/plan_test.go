package preseed_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/preseed"
)

const plan = `{
  "protocolVersion": "1",
  "name": "sonarr",
  "service": "sonarr",
  "units": ["podman-sonarr.service"],
  "dataset": "tank/services/sonarr",
  "mountpoint": "/var/lib/sonarr",
  "properties": {"recordsize": "16K", "compression": "zstd"},
  "owner": "568", "group": "568", "mode": "0700",
  "sources": [{"kind": "local"}, {"kind": "replica", "from": "backup@nas:tank/backup/forge/sonarr"}, {"kind": "restic", "job": "/etc/stateward/backup/sonarr.json"}],
  "onNoBackup": "refuse"
}`

func TestPlan(t *testing.T) {
	p, err := preseed.ReadPlan([]byte(plan))
	require.NoError(t, err)
	text, err := p.Write()
	require.NoError(t, err)
	again, err := preseed.ReadPlan(text)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(p, again))
	require.Equal(t, "tank/stateward-staging/sonarr", p.Staged())
	require.Equal(t, preseed.Policy{Sources: []preseed.SourceKind{"local", "replica", "restic"}, OnNoBackup: preseed.Refuse}, p.Policy())

	for _, tc := range []struct{ name, old, changed, want string }{
		{"E7 no policy", `"onNoBackup": "refuse"`, `"maxAge": "1d"`, `preseed "sonarr": onNoBackup is missing`},
		{"E7 another policy", `"refuse"`, `"whatever"`, `onNoBackup is "whatever"`},
		{"a field that is not known", `"service"`, `"servce"`, `line 4: "servce" is no field`},
		{"another version", `"1"`, `"2"`, `protocolVersion is "2"`},
		{"a name that leads elsewhere", `"name": "sonarr"`, `"name": "../x"`, "name is no name"},
		{"no dataset", `tank/services/sonarr`, `tank//sonarr`, "dataset "},
		{"a pool", `"tank/services/sonarr"`, `"tank"`, "is a whole pool"},
		{"no mountpoint", `"/var/lib/sonarr"`, `"sonarr"`, `mountpoint "sonarr" is not absolute`},
		{"no units", `["podman-sonarr.service"]`, `[]`, "units is empty"},
		{"no unit", `"podman-sonarr.service"`, `"sonarr; reboot"`, "which is no unit"},
		{"a mountpoint as a property", `"recordsize": "16K"`, `"mountpoint": "/x"`, "which the run sets itself"},
		{"D7 a value that zfs refuses", `"16K"`, `"17K"`, "properties"},
		{"a source that is not known", `{"kind": "local"}`, `{"kind": "tape"}`, `sources[0].kind is "tape"`},
		{"a source twice", `{"kind": "local"}`, `{"kind": "restic", "job": "/x"}`, "sources[2] is restic once more"},
		{"no replica", `"from": "backup@nas:tank/backup/forge/sonarr"`, `"timeout": "1h"`, "sources[1].from"},
		{"an option for a host", `backup@nas:`, `-oProxyCommand=x:`, "is no host"},
		{"the dataset as its own replica", `backup@nas:tank/backup/forge/sonarr`, `tank/services/sonarr`, "is the dataset itself"},
		{"no policy", `"kind": "restic", "job": "/etc/stateward/backup/sonarr.json"`, `"kind": "pitr"`, "sources[2].policy is missing"},
		{"a policy of a replica", `"from": "backup@nas:tank/backup/forge/sonarr"`, `"from": "backup@nas:tank/backup/forge/sonarr", "policy": "/x"`, "sources[1].policy is for pitr only"},
		{"no job", `, "job": "/etc/stateward/backup/sonarr.json"`, ``, "sources[2].job is missing"},
		{"a job of a replica", `"from": "backup@nas:tank/backup/forge/sonarr"`, `"job": "/x"`, "sources[1].job is for restic only"},
		{"a span that is none", `"onNoBackup"`, `"maxAge": "soon", "onNoBackup"`, "maxAge"},
		{"a path that leads out", `"onNoBackup"`, `"paths": ["../x"], "onNoBackup"`, "no path within the dataset"},
		{"staging on another pool", `"onNoBackup"`, `"staging": "rpool/staging", "onNoBackup"`, "is on another pool"},
		{"staging within the dataset", `"onNoBackup"`, `"staging": "tank/services/sonarr/s", "onNoBackup"`, "lie in one another"},
		{"staging above the dataset", `"onNoBackup"`, `"staging": "tank/services", "onNoBackup"`, "lie in one another"},
		{"the root as mountpoint", `"mountpoint": "/var/lib/sonarr"`, `"mountpoint": "/"`, `mountpoint "/" is the root of the machine`},
		{"a template as unit", `"podman-sonarr.service"`, `"podman-sonarr@.service"`, "which is a template and never runs"},
		{"its own unit", `"podman-sonarr.service"`, `"stateward-preseed-sonarr.service"`, "would wait for itself"},
		{"a replica within the dataset", `"from": "backup@nas:tank/backup/forge/sonarr"`, `"from": "tank/services/sonarr/replica"`, "lie in one another"},
		{"a replica above the dataset", `"from": "backup@nas:tank/backup/forge/sonarr"`, `"from": "tank/services"`, "lie in one another"},
		{"no owner", `"owner": "568"`, `"owner": "a b"`, `preseed "sonarr": owner "a b" contains`},
		{"no mode", `"mode": "0700"`, `"mode": "zzz"`, `preseed "sonarr": mode "zzz" is neither`},
		{"more behind", `"refuse"
}`, `"refuse"
} {}`, "there is more behind its JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Contains(t, plan, tc.old)
			_, err := preseed.ReadPlan([]byte(strings.Replace(plan, tc.old, tc.changed, 1)))
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestCheckJob(t *testing.T) {
	p, err := preseed.ReadPlan([]byte(plan))
	require.NoError(t, err)
	for dir, want := range map[string]bool{"/": true, "/var/lib": true, "/var/lib/sonarr": true, "/var/lib/sonarr/db": true, "/var/lib/sonarr2": false, "/srv": false} {
		require.Equal(t, want, p.CheckJob(restic.Job{Name: "x", Paths: []string{dir}}) == nil, dir)
	}
}

func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(plan))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := preseed.ReadPlan(data)
		if err != nil {
			return
		}
		text, err := p.Write()
		if err != nil {
			t.Fatal(err)
		}
		again, err := preseed.ReadPlan(text)
		if err != nil || cmp.Diff(p.Policy(), again.Policy()) != "" {
			t.Fatalf("%v\n%s", err, text)
		}
		if _, err := p.Unit(preseed.UnitOptions{Stateward: "/bin/stateward", Plan: "/etc/plan.json"}); err != nil {
			t.Fatal(err)
		}
	})
}

// E9: every unit is one that systemd takes, and what it makes wait is made to.
func TestUnit(t *testing.T) {
	p, err := preseed.ReadPlan([]byte(plan))
	require.NoError(t, err)
	local := func(string) (restic.Job, error) { return restic.Job{Repository: "/srv/restic"}, nil }
	require.True(t, p.Remote(local))
	text, err := p.Unit(preseed.UnitOptions{Stateward: "/bin/true", Plan: "/etc/stateward/preseed/sonarr.json", Path: []string{"/usr/sbin", "/usr/bin"}, Remote: true, Datasets: []string{"stateward-dataset@tank-services-sonarr.service"}})
	require.NoError(t, err)
	for _, line := range []string{"Before=podman-sonarr.service", "After=network-online.target stateward-dataset@tank-services-sonarr.service zfs-import.target zfs-load-key.service zfs-mount.service",
		"Type=oneshot", "RemainAfterExit=true", "ExecStart=/bin/true preseed run /etc/stateward/preseed/sonarr.json"} {
		require.Contains(t, text, line+"\n")
	}
	dropIn, err := p.DropIn()
	require.NoError(t, err)
	require.Equal(t, "[Unit]\nRequires=stateward-preseed-sonarr.service\nAfter=stateward-preseed-sonarr.service\n", dropIn)

	versions := strings.Split(os.Getenv("STATEWARD_TEST_SYSTEMD"), ":")
	for i, analyze := range versions {
		if analyze == "" {
			analyze = "systemd-analyze"
		}
		dir := t.TempDir()
		for name, text := range map[string]string{p.UnitName(): text, "podman-sonarr.service": "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n" + dropIn,
			"stateward-dataset@.service": "[Service]\nExecStart=/bin/true\n", "zfs-import.target": "", "zfs-load-key.service": "[Service]\nExecStart=/bin/true\n", "zfs-mount.service": "[Service]\nExecStart=/bin/true\n", "network-online.target": ""} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
		r, err := run.Run(context.Background(), run.Cmd{Path: analyze, Args: []string{"verify", "--man=no", filepath.Join(dir, "podman-sonarr.service"), filepath.Join(dir, p.UnitName())}, Env: append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")})
		require.NoError(t, err, "version %d: %s%s", i, r.Stdout, r.Stderr)
		require.NotContains(t, string(r.Stderr), "stateward", "version %d", i)
	}
}
