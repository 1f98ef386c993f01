package nixos_test

import (
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
		if !p.Version.IsAbsent() || !p.Port.IsAbsent() {
			out = append(out, "  "+p.Version.String()+" in "+p.DataDir.String()+" on "+p.Port.String()+" of "+p.Sockets.String())
		}
		for _, name := range stateward.PITRSettings() {
			if v := p.Settings[name]; !v.IsAbsent() {
				out = append(out, "  "+name+" "+v.String()+" at "+v.Origin().Option)
			}
		}
	}
	return out
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
		"G5 a queue of pgBackRest": {
			config: `{ systemd = { }; services.postgresql = { enable = true; dataDir = "/d"; settings = { }; }; services.pgbackrest = { enable = true; settings = { archive-push-queue-max = "1GiB"; }; }; }`,
			want:   []string{"postgresql true queue 1GiB at services.postgresql"},
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
