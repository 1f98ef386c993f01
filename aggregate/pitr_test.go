package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// server is a PostgreSQL server with settings of its log, in pairs.
func server(pairs ...string) part {
	return func(h *stateward.Host) {
		p := stateward.PITR{Service: "postgresql", Enable: known(true), Settings: map[string]stateward.Value[string]{}, Origin: at("services", "postgresql")}
		for i := 0; i < len(pairs); i += 2 {
			o := at("services", "postgresql", "settings", pairs[i])
			switch {
			case pairs[i] == "queue":
				p.QueueMax = stateward.Known(pairs[i+1], at("services", "pgbackrest", "settings", "archive-push-queue-max"))
			case pairs[i+1] == "throws":
				p.Settings[pairs[i]] = unknown[string](o.Option)
			default:
				p.Settings[pairs[i]] = stateward.Known(pairs[i+1], o)
			}
		}
		push(&h.PITR, p)
		services(contract("postgresql", "/srv/pg"))(h)
	}
}

const archives = "barman-cloud-wal-archive --gzip s3://b/pg main %p"

func TestSW501(t *testing.T) {
	require.Empty(t, said(host(), "SW501"))
	const command = "error services.postgresql.settings.archive_command: "
	checkCases(t, "SW501", []copyCase{
		{"G5 a command that does nothing", []part{server("archive_mode", "on", "archive_command", "/bin/true")}, []string{command + "archive_command stores nothing and succeeds"}},
		{"G5 a failure that is passed over", []part{server("archive_mode", "on", "archive_command", archives+" || true")}, []string{command + `archive_command ends with "true", and succeeds where it stored nothing`}},
		{"G5 a queue that is dropped", []part{server("archive_mode", "on", "archive_command", "pgbackrest --stanza=a archive-push %p", "queue", "1GiB")},
			[]string{"warning services.pgbackrest.settings.archive-push-queue-max: pgBackRest drops the write-ahead log and says that it is archived once 1GiB of it wait"}},
		{"archiving that is off", []part{server("archive_command", "true")}, nil},
		{"a command that fails", []part{server("archive_mode", "on", "archive_command", archives)}, nil},
		{"a command that throws", []part{server("archive_mode", "on", "archive_command", "throws")}, nil},
	})
}

func TestSW502(t *testing.T) {
	require.Empty(t, said(host(), "SW502"))
	const it = "the write-ahead log of postgresql is not archived: "
	const settings = "error services.postgresql.settings."
	checkCases(t, "SW502", []copyCase{
		{"G3 a command and no mode", []part{server("archive_command", archives)}, []string{settings + "archive_command: " + it + "archive_mode is off"}},
		{"G3 a mode and no command", []part{server("archive_mode", "on")}, []string{settings + "archive_mode: " + it + "archive_mode is on, and neither archive_command nor archive_library says where to"}},
		{"G3 too little in the log", []part{server("archive_mode", "on", "archive_command", archives, "wal_level", "minimal")}, []string{settings + "wal_level: " + it + "wal_level is minimal, and the server does not start with archive_mode beside it"}},
		{"G3 a library and a command", []part{server("archive_mode", "on", "archive_command", archives, "archive_library", "basic_archive")}, []string{settings + "archive_library: " + it + "archive_library and archive_command are both set, and the server archives nothing"}},
		{"nobody asks for an archive", []part{server()}, nil},
		{"it is off", []part{server("archive_mode", "off")}, nil},
		{"it is false", []part{server("archive_mode", "false")}, nil},
		{"all is well", []part{server("archive_mode", "true", "archive_command", archives)}, nil},
		{"of a bad command another check speaks", []part{server("archive_mode", "on", "archive_command", "true")}, nil},
		{"a mode that throws", []part{server("archive_mode", "throws", "archive_command", archives)}, nil},
	})
}

func TestSW503(t *testing.T) {
	require.Empty(t, said(host(), "SW503"))
	const it = ": the write-ahead log of postgresql is archived by full segments only: archive_timeout is not set"
	checkCases(t, "SW503", []copyCase{
		{"G3 none is set", []part{server("archive_mode", "on", "archive_command", archives)}, []string{"warning services.postgresql.settings.archive_command" + it}},
		{"G3 it is zero", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "0")}, []string{"warning services.postgresql.settings.archive_timeout" + it}},
		{"it is set", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min")}, nil},
		{"nothing is archived", []part{server()}, nil},
		{"it throws", []part{server("archive_mode", "on", "archive_command", archives, "archive_timeout", "throws")}, nil},
	})
}

func TestSW504(t *testing.T) {
	require.Empty(t, said(host(), "SW504"))
	checkCases(t, "SW504", []copyCase{
		{"G7 an option that no version has", []part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive --compression gzip s3://b main %p")},
			[]string{"error services.postgresql.settings.archive_command: barman-cloud-wal-archive has no option --compression"}},
		{"G7 no server name", []part{server("archive_mode", "on", "archive_command", "barman-cloud-wal-archive s3://b %p")},
			[]string{"error services.postgresql.settings.archive_command: barman-cloud-wal-archive takes DESTINATION SERVER_NAME WAL_PATH, and is given 2 arguments"}},
		{"what it takes", []part{server("archive_mode", "on", "archive_command", archives)}, nil},
	})
}

func TestSurvivalPointInTime(t *testing.T) {
	unit := func(name string, timer bool) part {
		return func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: name + ".service", Enable: known(true)})
			if timer {
				push(&h.Timers, stateward.Timer{Name: name + ".timer"})
			}
		}
	}
	on := server("archive_mode", "on", "archive_command", archives, "archive_timeout", "5min")
	for name, c := range map[string]struct {
		parts []part
		want  *stateward.TierResult
	}{
		"nothing is read of a server": {[]part{service("postgresql", "/srv/pg")}, nil},
		"another service":             {[]part{on, service("app", "/srv/app")}, &stateward.TierResult{State: "unknown", By: "the log is archived, and no unit that is read makes base backups"}},
		"archiving is off":            {[]part{server()}, &stateward.TierResult{State: "no", By: "archive_mode is off"}},
		"G5 it archives nothing":      {[]part{server("archive_mode", "on", "archive_command", "true")}, &stateward.TierResult{State: "no", By: "archive_command stores nothing and succeeds"}},
		"it throws":                   {[]part{server("archive_mode", "throws")}, &stateward.TierResult{State: "unknown", By: "services.postgresql.settings.archive_mode: it throws"}},
		"base backups without a timer": {[]part{on, unit("pgbackrest-main-full", false)},
			&stateward.TierResult{State: "unknown", By: "what starts pgbackrest-main-full.service is not read"}},
		"log and base backups": {[]part{on, unit("pgbackrest-main-full", true)},
			&stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and pgbackrest-main-full.service", RPO: "5min"}},
		"G3 no archive_timeout, no RPO": {[]part{server("archive_mode", "on", "archive_command", archives), unit("barman-cloud-backup", true)},
			&stateward.TierResult{State: "yes", By: "services.postgresql.settings.archive_command and barman-cloud-backup.service"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, row := range aggregate.Survival(with(onZFS, c.parts...)) {
				got, ok := row.Tiers[stateward.TierPointInTime]
				if row.Service != "postgresql" {
					require.False(t, ok, row.Service)
					continue
				}
				require.Equal(t, c.want != nil, ok)
				if ok {
					require.Empty(t, cmp.Diff(*c.want, got))
				}
			}
		})
	}
}

// asksPITR asks for a cluster to be archived.
func asksPITR(p stateward.PITRPolicy) part {
	return func(h *stateward.Host) {
		if p.Name == "" {
			p.Name = "postgresql"
		}
		p.Enable, p.Origin = known(true), at("stateward", "pitr", p.Name)
		push(&h.PITRPolicies, p)
	}
}

func TestSW604OfPITR(t *testing.T) {
	require.Equal(t, []string{"error stateward.pitr.postgresql.environmentFile: stateward.pitr.postgresql.environmentFile lies in the world-readable store"},
		said(host(asksPITR(stateward.PITRPolicy{EnvironmentFile: stateward.Known(stateward.FileRef{Text: "/nix/store/x/env"}, at("stateward", "pitr", "postgresql", "environmentFile")),
			CredentialsFile: known(stateward.FileRef{Text: "/run/secrets/aws"})})), "SW604"))
}
