package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

// pgBackRestRefuses are the reasons why pgBackRest takes none of the log of a server.
func pgBackRestRefuses(h *stateward.Host, p stateward.PITR) []pitr.PgBackRestFault {
	conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest)
	if _, called := pitr.ArchiveStanza(p.Settings["archive_command"].Or("")); !ok || !called {
		return nil
	}
	if err != nil {
		return []pitr.PgBackRestFault{{Kind: pitr.ArchivesNothing, Reason: "pgBackRest refuses its file: " + err.Error(), Hint: "mend the line: pgBackRest does nothing before", Origin: p.PgBackRest.Origin}}
	}
	return conf.Archiving(p.Settings["archive_command"].Or(""), clusterDir(h, p))
}

// backRest is a server whose log pgBackRest archives, with what is known of that.
type backRest struct {
	server stateward.PITR
	conf   *pitr.PgBackRestConfig
	stanza string
}

// pgBackRests are the servers whose log goes to a stanza that is read.
func (f *facts) pgBackRests() (out []backRest) {
	for _, p := range f.servers() {
		stanza, called := pitr.ArchiveStanza(p.Settings["archive_command"].Or(""))
		conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest)
		if called && ok && err == nil && pitr.ReadArchiving(p).State == stateward.SurvivalYes && slices.Contains(conf.Stanzas(), stanza) {
			out = append(out, backRest{p, conf, stanza})
		}
	}
	return out
}

// byPgBackRest tells whether a unit makes backups by pgBackRest, or may, by what it executes.
func byPgBackRest(u stateward.Unit) bool {
	return u.BaseBackup.IsUnknown() || strings.HasPrefix(u.BaseBackup.Or(""), "pgbackrest ")
}

// clusterDir is where the cluster of a server lies; empty where that is not known.
func clusterDir(h *stateward.Host, p stateward.PITR) string {
	if dir, known := p.DataDir.Get(); known {
		return dir
	}
	for _, s := range h.Services.Or(nil) {
		if s.Name != p.Service {
			continue
		}
		if at, known := s.DataDir.Get(); known && at.Problem == nil {
			return at.Path.String()
		}
		for _, at := range s.State.Or(nil) {
			if at.Source == stateward.SourceDataDir && at.Problem == nil {
				return at.Path.String()
			}
		}
	}
	return ""
}

// makesFull tells whether a unit may make backups by pgBackRest, by its name.
func makesFull(unit string) bool {
	name := strings.ToLower(unitTitle(unit))
	return strings.Contains(name, "pgbackrest") && !slices.ContainsFunc([]string{"exporter", "stanza", "check", "restore", "server"}, func(other string) bool { return strings.Contains(name, other) }) ||
		slices.ContainsFunc(baseBackupTools, func(tool string) bool { return strings.HasPrefix(name, tool) })
}
