package pitr_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

func TestParsePgBackRest(t *testing.T) {
	got, err := pitr.ParsePgBackRest("# all\n[global]\r\n repo1-path = /b \nlog-level-console=info=x\n\n[main]\npg1-path=/d\nrecovery-option=a=1\nrecovery-option=b=2\n[global]\nspool-path=\n")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(map[string]map[string][]string{
		"global": {"repo1-path": {"/b"}, "log-level-console": {"info=x"}, "spool-path": {""}},
		"main":   {"pg1-path": {"/d"}, "recovery-option": {"a=1", "b=2"}},
	}, got))
	for text, want := range map[string]string{
		"a=b":                          "line 1: a is outside of a section",
		"[global]\n=b":                 "line 2: the key is empty",
		"[global\na=b":                 `line 1: a section has no name that ends with ]`,
		"[global]\n\nrepo1-path /b":    `line 3: it is no key=value`,
		"[global]\nsecret canary here": `line 2: it is no key=value`,
	} {
		_, err := pitr.ParsePgBackRest(text)
		require.EqualError(t, err, want)
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzParsePgBackRest(f *testing.F) {
	for _, s := range []string{"", "[a]\nb=c", "[global:archive-push]\n#x\nrepo1-path = /b", "[", "=", "[a]\n="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := pitr.ParsePgBackRest(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		var b strings.Builder
		for section, options := range got {
			b.WriteString("[" + section + "]\n")
			for key, values := range options {
				for _, v := range values {
					b.WriteString(key + "=" + v + "\n")
				}
			}
		}
		again, err := pitr.ParsePgBackRest(b.String())
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(got, again))
	})
}

func TestArchiveStanza(t *testing.T) {
	for command, want := range map[string]string{
		"/nix/store/x-pgbackrest/bin/pgbackrest --stanza=main archive-push \"%p\"": "main true",
		"pgbackrest archive-push %p":                                        " true",
		"pgbackrest --stanza=$S archive-push %p":                            " false",
		"pgbackrest --config=/run/x.conf --stanza=main archive-push %p":     " false",
		"pgbackrest --stanza=main --config-include-path=/x archive-push %p": " false",
		"barman-cloud-wal-archive s3://b main %p":                           " false",
		"test ! -f /mnt/%f && cp %p /mnt/%f":                                " false",
		"pgbackrest --stanza=main archive-get %f \"%p\"":                    " false",
	} {
		stanza, called := pitr.ArchiveStanza(command)
		got := stanza + " false"
		if called {
			got = stanza + " true"
		}
		require.Equal(t, want, got, command)
	}
}

func confOf(t *testing.T, text string) *pitr.PgBackRestConfig {
	t.Helper()
	c, ok, err := pitr.ReadPgBackRest(&stateward.PgBackRest{Text: stateward.Known(text, stateward.Origin{Option: "conf"})})
	require.NoError(t, err)
	require.True(t, ok)
	return c
}

func reasons(list []pitr.PgBackRestFault) []string {
	var out []string
	for _, x := range list {
		out = append(out, string(x.Kind)+": "+x.Reason)
	}
	return out
}

func TestPgBackRestArchiving(t *testing.T) {
	const push = "pgbackrest --stanza=main archive-push %p"
	for _, c := range []struct {
		name, conf, command, dir string
		want                     []string
	}{
		{"it is its own", "[main]\npg1-path=/d/17/", push, "/d/17", nil},
		{"one of several", "[main]\npg1-path=/a\npg2-path=/d/17", push, "/d/17", nil},
		{"on another host", "[main]\npg1-path=/a\npg1-host=db2", push, "/d/17", nil},
		{"for all stanzas", "[global]\npg1-path=/d/17\n[main]\nprocess-max=2", push, "/d/17", nil},
		{"for the command alone", "[main:archive-push]\npg1-path=/d/17", push, "/d/17", nil},
		{"where it lies is not known", "[main]\npg1-path=/a", push, "", nil},
		{"another tool", "[main]\npg1-path=/a", "cp %p /b", "/d/17", nil},
		{"asynchronously", "[global]\narchive-async=y\n[main]\npg1-path=/d/17", push, "/d/17", nil},
		{"G3 asynchronously, in no words of its own", "[global]\narchive-async=true\n[main]\npg1-path=/d/17", push, "/d/17", []string{`archives nothing: archive-async is "true", and pgBackRest takes y and n only: it refuses the log`}},
		{"G3 a spool that is no path", "[global]\narchive-async=y\nspool-path=spool\n[main]\npg1-path=/d/17", push, "/d/17", []string{`archives nothing: spool-path is "spool", and pgBackRest takes a path from / on without //: it refuses the log`}},
		{"a spool that is not used", "[global]\narchive-async=n\nspool-path=spool\n[main]\npg1-path=/d/17", push, "/d/17", nil},
		{"a spool of the command", "[global]\narchive-async=y\nspool-path=spool\n[main]\npg1-path=/d/17", "pgbackrest --stanza=main --spool-path=/s archive-push %p", "/d/17", nil},
		{"G3 another directory", "[main]\npg1-path=/d/16", push, "/d/17", []string{"archives nothing: stanza main is of the cluster in /d/16, and the server's is in /d/17: pgBackRest refuses its log"}},
		{"another file may have the stanza", "[global]\nrepo1-path=/b", push, "/d/17", nil},
		{"G3 none", "[main]\npg1-path=/d/17", "pgbackrest archive-push %p", "/d/17", []string{"archives nothing: archive_command names no stanza, and pgBackRest refuses it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(c.want, reasons(confOf(t, c.conf).Archiving(c.command, c.dir))))
		})
	}
}

func TestPgBackRestSpool(t *testing.T) {
	for conf, want := range map[string]string{
		"[main]\npg1-path=/d":                                             "absent",
		"[global]\nspool-path=/s\n[main]\narchive-async=n":                "absent",
		"[global]\narchive-async=y\n[main]\npg1-path=/d":                  "/var/spool/pgbackrest",
		"[global]\narchive-async=y\nspool-path=/a\n[main]\nspool-path=/b": "/b",
		"[main:archive-get]\narchive-async=y\n[main]\n":                   "absent",
	} {
		require.Equal(t, want, confOf(t, conf).Spool("main").String(), conf)
	}
	throws := stateward.NotKnown[string](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow})
	c, _, err := pitr.ReadPgBackRest(&stateward.PgBackRest{Sections: map[string]map[string]stateward.Value[string]{"global": {"archive-async": throws}, "main": {}}})
	require.NoError(t, err)
	require.True(t, c.Spool("main").IsUnknown())
}

func TestPgBackRestKeeping(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		want       []string
	}{
		{"two", "[global]\nrepo1-retention-full=2\n[main]\npg1-path=/d", nil},
		{"by time", "[global]\nrepo1-retention-full=14\nrepo1-retention-full-type=time\n[main]\n", nil},
		{"of the stanza", "[global]\nrepo1-path=/b\n[main]\nrepo1-retention-full=2", nil},
		{"the log of all", "[global]\nrepo1-retention-full=2\nrepo1-retention-archive=2\n[main]\n", nil},
		{"the log of some days", "[global]\nrepo1-retention-full=4\nrepo1-retention-archive=2\nrepo1-retention-archive-type=diff\n[main]\n", nil},
		{"nothing is said", "[main]\npg1-path=/d", []string{"keeps all: repo1-retention-full is not set: no backup and no log of stanza main ever expires, until the repository is full"}},
		{"the second has none", "[global]\nrepo1-retention-full=2\nrepo2-path=/c\n[main]\n", []string{"keeps all: repo2-retention-full is not set: no backup and no log of stanza main ever expires, until the repository is full"}},
		{"less log than backups", "[global]\nrepo1-retention-full=4\nrepo1-retention-archive=2\n[main]\n", []string{"cuts the log: repo1-retention-archive keeps the log of 2 full backups, and 4 are kept: of the others only the moment of their end can be restored"}},
		{"one", "[global]\nrepo1-retention-full=1\n[main]\n", []string{"one chain: repo1-retention-full = 1: each full backup takes away all that could be recovered to before it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(c.want, reasons(confOf(t, c.conf).Keeping("main"))))
		})
	}
	_, ok, err := pitr.ReadPgBackRest(&stateward.PgBackRest{Text: stateward.Known("[main", stateward.Origin{})})
	require.True(t, ok)
	require.EqualError(t, err, `line 1: a section has no name that ends with ]`)
}
