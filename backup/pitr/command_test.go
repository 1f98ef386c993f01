package pitr

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

func TestCommandFaults(t *testing.T) {
	const wal = "/nix/store/x-barman/bin/barman-cloud-wal-archive "
	const places = "DESTINATION SERVER_NAME WAL_PATH"
	for command, want := range map[string]string{
		"":                                "",
		"true":                            "G5 archive_command stores nothing and succeeds",
		"/run/current-system/sw/bin/true": "G5 archive_command stores nothing and succeeds",
		"cp %p /mnt/%f || true":           `G5 archive_command ends with "true", and succeeds where it stored nothing`,
		"cp %p /mnt/%f; exit 0":           `G5 archive_command ends with "exit 0", and succeeds where it stored nothing`,
		"bash -c 'cp %p /mnt/%f || :'":    `G5 archive_command ends with ":", and succeeds where it stored nothing`,
		"cp %p /mnt/%f || echo failed":    `G5 archive_command ends with "echo failed", and succeeds where it stored nothing`,
		"cp %p /mnt/%f &":                 "G5 archive_command goes on in the background, and succeeds before anything is stored",
		"rsync -a /var/lib/pg /mnt":       "G5 archive_command names no segment: neither %p nor %f is in it",
		"cp %p /mnt/%f || { echo failed; exit 1; }":           "",
		"cp %p /mnt/%f || (echo failed >&2; false)":           "",
		"test ! -f /mnt/%f && cp %p /mnt/%f":                  "",
		"pgbackrest --stanza=main archive-push %p":            "",
		wal + "--gzip s3://b/pg main %p":                      "",
		wal + "-z -P pg s3://b/pg 'my main' %p 2>&1":          "",
		wal + "--gzip --endpoint-url http://x s3://b main %p": "",
		wal + `--gzip s3://b main "%p"`:                       "",
		wal + "s3://b $NAME %p":                               "",
		wal + "--tags a,b -- s3://b main %p":                  "",
		wal + "--compression=gzip s3://b main %p":             "G7 barman-cloud-wal-archive has no option --compression",
		wal + "--jobs 2 s3://b main %p":                       "G7 barman-cloud-wal-archive has no option --jobs",
		wal + "--gzip s3://b %p":                              "G7 barman-cloud-wal-archive takes " + places + ", and is given 2 arguments",
		wal + "%p s3://b main":                                "G7 barman-cloud-wal-archive takes " + places + ", and %p is not the last",
		"test -f x && " + wal + "s3://b main %p":              "",
		"env A=1 " + wal + "s3://b main %p || exit 255":       "",
	} {
		got := ""
		if f := CommandFaults(command); len(f) > 0 {
			got = f[0].Trap + " " + f[0].Reason
		}
		require.Equal(t, want, got, command)
	}
}

// G7: the options that commands are compared with are those that the tools themselves name.
func TestG7OptionsAreThoseOfTheTools(t *testing.T) {
	named := map[string]bool{}
	for _, version := range []string{"2.12", "3.4", "3.17"} {
		for _, o := range help(t, version).Flags[ToolWALArchive].Options {
			named[o] = true
			_, ok := walArchiveOptions[o]
			require.True(t, ok, "%s has %s", version, o)
		}
	}
	for o := range walArchiveOptions {
		require.True(t, named[o], "no version has %s", o)
	}
}

func TestReadArchiving(t *testing.T) {
	set := func(pairs ...string) stateward.PITR {
		p := stateward.PITR{Settings: map[string]stateward.Value[string]{}}
		for i := 0; i < len(pairs); i += 2 {
			p.Settings[pairs[i]] = stateward.Known(pairs[i+1], stateward.Origin{})
		}
		return p
	}
	const command = "cp %p /mnt/%f"
	for _, c := range []struct {
		pitr stateward.PITR
		want string
	}{
		{set(), "no archive_mode is off"},
		{set("archive_mode", "false", "archive_command", command), "no archive_mode is off"},
		{set("archive_mode", "maybe"), `no archive_mode is "maybe", which PostgreSQL does not know`},
		{set("archive_mode", "on"), "no archive_mode is on, and neither archive_command nor archive_library says where to"},
		{set("archive_mode", "on", "archive_command", command, "wal_level", "minimal"), "no wal_level is minimal, and the server does not start with archive_mode beside it"},
		{set("archive_mode", "on", "archive_command", command+" || true"), `no archive_command ends with "true", and succeeds where it stored nothing`},
		{set("archive_mode", "true", "archive_command", command), "yes "},
		{set("archive_mode", "always", "archive_library", "basic_archive"), "yes "},
		{stateward.PITR{Settings: map[string]stateward.Value[string]{"wal_level": stateward.NotKnown[string](stateward.Unknown{Subject: "s", Kind: stateward.UnknownThrow})}}, "unknown s: throw"},
	} {
		a := ReadArchiving(c.pitr)
		require.Equal(t, c.want, string(a.State)+" "+a.Why)
	}
	for text, want := range map[string]time.Duration{"0": 0, "60": time.Minute, "5min": 5 * time.Minute, "1h": time.Hour, " 90 s ": 90 * time.Second, "-1": -1, "x": -1, "": -1, "5m": -1} {
		d, ok := ParseTimeout(text)
		require.Equal(t, want >= 0, ok, text)
		require.Equal(t, max(want, 0), d, text)
	}
}

func FuzzCommandFaults(f *testing.F) {
	f.Add("barman-cloud-wal-archive -z 's3://b' m %p || true")
	f.Fuzz(func(_ *testing.T, command string) {
		CommandFaults(command)
		ParseTimeout(command)
	})
}
