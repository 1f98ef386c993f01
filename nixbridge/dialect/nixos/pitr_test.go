package nixos_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stateward/stateward"
)

func pitrLines(h stateward.Host) []string {
	if h.PITR.IsUnknown() {
		return []string{"pitr is " + h.PITR.String()}
	}
	var out []string
	for _, p := range h.PITR.Or(nil) {
		out = append(out, p.Service+" "+p.Enable.String()+" queue "+p.QueueMax.String()+" at "+p.Origin.Option)
		if !p.Standby.IsAbsent() {
			out = append(out, "  standby "+p.Standby.String()+" at "+p.Standby.Origin().Option)
		}
		if !p.Version.IsAbsent() || !p.Port.IsAbsent() {
			out = append(out, "  "+p.Version.String()+" in "+p.DataDir.String()+" on "+p.Port.String()+" of "+p.Sockets.String())
		}
		for _, name := range stateward.PITRSettings() {
			if v := p.Settings[name]; !v.IsAbsent() {
				out = append(out, "  "+name+" "+v.String()+" at "+v.Origin().Option)
			}
		}
	}
	for _, p := range h.PITR.Or(nil) {
		if p.PgBackRest == nil {
			continue
		}
		for _, section := range slices.Sorted(maps.Keys(p.PgBackRest.Sections)) {
			for _, name := range slices.Sorted(maps.Keys(p.PgBackRest.Sections[section])) {
				v := p.PgBackRest.Sections[section][name]
				out = append(out, "["+section+"] "+name+" "+v.String()+" at "+v.Origin().Option)
			}
		}
		for _, j := range p.PgBackRest.Jobs {
			out = append(out, "job "+j.Stanza+" "+j.Name+" "+j.Type.String()+" "+j.Schedule.String()+" at "+j.Origin.Option)
		}
		if !p.PgBackRest.Text.IsAbsent() {
			out = append(out, p.PgBackRest.Text.String()+" at "+p.PgBackRest.Origin.Option)
		}
	}
	return out
}

// What makes base backups is looked for in what is executed; a name is not enough, and other words for other things are none.
func TestBaseBackups(t *testing.T) {
	line := func(h stateward.Host) (out []string) {
		for _, u := range h.Units.Or(nil) {
			if !u.BaseBackup.IsAbsent() {
				out = append(out, u.Name+" "+u.BaseBackup.String())
			}
		}
		return out
	}
	runHosts(t, map[string]hostCase{
		"every tool": {
			config: `{ systemd.services = {
				a-pgbackrest.serviceConfig.ExecStart = "\"/nix/store/x/bin/pgbackrest\" \"--stanza=main\" \"backup\""; b-barman.script = "set -e\nbarman-cloud-backup \\\n s3://b main\n";
				c-barman.serviceConfig.ExecStart = [ "" "/bin/barman -q backup main" ]; d-wal-g.script = "exec wal-g backup-push /d"; postgresql-base.script = "pg_basebackup -D /x | gzip";
			}; }`,
			want: []string{"a-pgbackrest.service pgbackrest backup", "b-barman.service barman-cloud-backup", "c-barman.service barman backup", "d-wal-g.service wal-g backup-push", "postgresql-base.service pg_basebackup"},
		},
		"none": {
			config: `{ systemd.services = {
				pgbackrest-main-full.serviceConfig.ExecStart = "/nix/store/x-unit-script-pgbackrest/bin/start"; pgbackrest-check.script = "pgbackrest --stanza=main check\necho backup";
				barman-cloud-backup-delete.script = "barman-cloud-backup-delete s3://b main"; wal-g.serviceConfig.ExecStart = null; other.script = "pg_basebackup -D /x";
			}; }`,
		},
		"N1 one that throws": {
			config:  `{ systemd.services = { pgbackrest.script = throw "no"; barman.script = "barman backup main"; }; }`,
			want:    []string{"barman.service barman backup", "pgbackrest.service unknown (systemd.services.pgbackrest.baseBackup: throw)"},
			unknown: []string{"systemd.services.pgbackrest.baseBackup [throw] "},
		},
	}, line)
}

func TestPITR(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"no server":          {config: `{ systemd = { }; }`},
		"N6 one that is off": {config: `{ systemd = { }; services.postgresql = { enable = false; settings = throw "no"; dataDir = throw "no"; }; }`},
		"a server with values of every type": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/var/lib/postgresql/17"; settings = { archive_mode = true; archive_command = "cp %p /mnt/%f"; archive_timeout = 300; wal_level = null; port = throw "never read"; }; }; }`,
			want: []string{"postgresql true queue absent at services.postgresql", "  archive_command cp %p /mnt/%f at services.postgresql.settings.archive_command",
				"  archive_mode true at services.postgresql.settings.archive_mode", "  archive_timeout 300 at services.postgresql.settings.archive_timeout"},
		},
		"a standby, without the password of its primary": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { primary_conninfo = "host=a password=canary"; }; }; }`,
			want:   []string{"postgresql true queue absent at services.postgresql", "  standby true at services.postgresql.settings.primary_conninfo"},
		},
		"none that follows nobody": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { primary_conninfo = ""; }; }; }`,
			want:   []string{"postgresql true queue absent at services.postgresql", "  standby false at services.postgresql.settings.primary_conninfo"},
		},
		"G5 a queue of pgBackRest": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { }; }; services.pgbackrest = { enable = true; settings = { archive-push-queue-max = "1GiB"; }; }; }`,
			want: []string{"postgresql true queue 1GiB at services.postgresql",
				"[global] archive-push-queue-max 1GiB at services.pgbackrest.settings.archive-push-queue-max"},
		},
		"G5 a queue of the command alone": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { }; }; services.pgbackrest = { enable = true; commands.archive-push.archive-push-queue-max = "2GiB"; }; }`,
			want: []string{"postgresql true queue 2GiB at services.postgresql",
				"[global:archive-push] archive-push-queue-max 2GiB at services.pgbackrest.commands.archive-push.archive-push-queue-max"},
		},
		"G5 all of pgBackRest, and nothing secret": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { }; }; services.pgbackrest = {
				enable = true;
				settings = { repo1-cipher-pass = "canary"; process-max = throw "not read"; archive-async = true; repo1-s3-key-secret = "canary"; };
				repos = { nas = { host = "nas"; path = "/b"; retention-full = 2; }; localhost = { path = "/a"; host = null; s3-key = null; }; };
				stanzas.main = { settings = { cmd = throw "not read"; }; instances.localhost = { path = "/d"; user = "postgres"; };
					jobs.full = { type = "full"; schedule = "weekly"; }; };
			}; }`,
			want: []string{"postgresql true queue absent at services.postgresql",
				"[global] archive-async true at services.pgbackrest.settings.archive-async", "[global] repo1-cipher-pass (hidden) at services.pgbackrest.settings.repo1-cipher-pass",
				"[global] repo1-path /a at services.pgbackrest.repos.localhost.path", "[global] repo1-s3-key-secret (hidden) at services.pgbackrest.settings.repo1-s3-key-secret",
				"[global] repo2-host nas at services.pgbackrest.repos.nas.host", "[global] repo2-path /b at services.pgbackrest.repos.nas.path",
				"[global] repo2-retention-full 2 at services.pgbackrest.repos.nas.retention-full", "[main] pg1-path /d at services.pgbackrest.stanzas.main.instances.localhost.path",
				"job main full full weekly at services.pgbackrest.stanzas.main.jobs.full"},
		},
		"the text of its file, without what is secret": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { }; };
				environment.etc."pgbackrest/pgbackrest.conf".text = "[global]\n repo1-cipher-pass = canary\n#repo1-cipher-pass=canary\nrepo-s3-key=canary\nrepo1-storage-token=canary\n; canary\nRepo1 s3-key=canary\nrepo1-s3-key: canary\n[canary\n\nrepo1-path=/b\n"; }`,
			want: []string{"postgresql true queue absent at services.postgresql",
				"[global]\n repo1-cipher-pass =(hidden)\n#\nrepo-s3-key=(hidden)\nrepo1-storage-token=\n(hidden)\n(hidden)=\n(hidden)\n[\n\nrepo1-path=/b\n at environment.etc.\"pgbackrest/pgbackrest.conf\".text"},
		},
		"what is archived is known better": {
			config: `{ systemd = { }; stateward.pitr.postgresql = { }; services.postgresql = { enable = true; dataDir = "/d"; package = { type = "derivation"; psqlSchema = "17"; version = "17.2"; outPath = throw "no"; }; settings = { port = 5433; unix_socket_directories = "/run/a,/run/b"; }; }; }`,
			want:   []string{"postgresql true queue absent at services.postgresql", "  17 in /d on 5433 of /run/a,/run/b"},
		},
		"N6 one that is off and asked for": {config: `{ systemd = { }; stateward.pitr.postgresql = { }; services.postgresql = { enable = false; package = throw "no"; settings = throw "no"; }; }`},
		"one setting that throws": {
			config:  `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { archive_mode = throw "no"; wal_level = "replica"; }; }; }`,
			want:    []string{"postgresql true queue absent at services.postgresql", "  archive_mode unknown (services.postgresql.settings.archive_mode: throw) at services.postgresql.settings.archive_mode", "  wal_level replica at services.postgresql.settings.wal_level"},
			unknown: []string{"services.postgresql.settings.archive_mode [throw] "},
		},
	}, pitrLines)
}
