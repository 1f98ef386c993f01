package pitr

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

// PgBackRestConfig is the configuration of pgBackRest as it reads it: sections of options. It is judged here, and nothing runs it.
type PgBackRestConfig struct {
	sections map[string]map[string]stateward.Value[string]
	origin   stateward.Origin
	// text tells that it is the text of a file: another may hold the stanzas, such as one in conf.d, or one that is made at run time.
	text bool
}

// ConfError is a line of pgbackrest.conf that pgBackRest refuses: it then does nothing at all.
type ConfError struct {
	Line   int
	Reason string
}

func (e *ConfError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// maxConf is how long a line of the file is, at most, that is looked at.
const maxConf = 1 << 20

// ParsePgBackRest reads pgbackrest.conf as pgBackRest 2 does (common/ini.c): a line is empty, begins with "#", is "[section]" or "key=value"; blanks around
// key and value do not count, and of what is written several times all is kept. The error is a *[ConfError].
func ParsePgBackRest(text string) (map[string]map[string][]string, error) {
	out := map[string]map[string][]string{}
	var in map[string][]string
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r")
		fault := func(format string, args ...any) error { return &ConfError{i + 1, fmt.Sprintf(format, args...)} }
		switch {
		case line == "" || line[0] == '#':
		case len(line) > maxConf:
			return nil, fault("it is too long")
		case line[0] == '[':
			name, closed := strings.CutSuffix(line[1:], "]")
			if !closed || name == "" {
				return nil, fault("a section has no name that ends with ]")
			}
			if out[name] == nil {
				out[name] = map[string][]string{}
			}
			in = out[name]
		default:
			key, value, is := strings.Cut(line, "=")
			key = strings.TrimRight(key, " \t")
			switch {
			case !is:
				return nil, fault("it is no key=value") // what it is may be secret
			case key == "":
				return nil, fault("the key is empty")
			case in == nil:
				return nil, fault("%s is outside of a section", key)
			}
			in[key] = append(in[key], strings.TrimLeft(value, " \t"))
		}
	}
	return out, nil
}

// ReadPgBackRest reads what a configuration says. The error is a *[ConfError]; ok is false where the text could not be had.
func ReadPgBackRest(p *stateward.PgBackRest) (c *PgBackRestConfig, ok bool, err error) {
	if p == nil || p.Text.IsUnknown() {
		return nil, false, nil
	}
	c = &PgBackRestConfig{sections: p.Sections, origin: p.Origin}
	text, given := p.Text.Get()
	if !given {
		return c, true, nil
	}
	sections, err := ParsePgBackRest(text)
	if err != nil {
		return nil, true, err
	}
	c.sections, c.text = map[string]map[string]stateward.Value[string]{}, true
	for name, options := range sections {
		c.sections[name] = map[string]stateward.Value[string]{}
		for key, values := range options {
			c.sections[name][key] = stateward.Known(values[len(values)-1], p.Text.Origin())
		}
	}
	return c, true, nil
}

// Stanzas are the names of the clusters that it knows, sorted.
func (c *PgBackRestConfig) Stanzas() []string {
	seen := map[string]bool{}
	for section := range c.sections {
		if name, _, _ := strings.Cut(section, ":"); name != "global" {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Option is what holds for a command and a stanza: the nearest section that has it counts. It is absent where none has.
func (c *PgBackRestConfig) Option(stanza, command, name string) stateward.Value[string] {
	for _, section := range []string{stanza + ":" + command, stanza, "global:" + command, "global"} {
		if v := c.sections[section][name]; !v.IsAbsent() {
			return v
		}
	}
	return stateward.Value[string]{}
}

var indexed = regexp.MustCompile(`^(repo|pg)([0-9]+)-`)

// indexes are the numbers that options of a stanza have, such as those of "repo2-path".
func (c *PgBackRestConfig) indexes(stanza, prefix string) []int {
	var out []int
	for section, options := range c.sections {
		name, _, _ := strings.Cut(section, ":")
		if name != stanza && name != "global" {
			continue
		}
		for key := range options {
			if m := indexed.FindStringSubmatch(key); m != nil && m[1] == prefix {
				if n, err := strconv.Atoi(m[2]); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Secrets are the options that hold a secret in the configuration, with their values hidden.
func (c *PgBackRestConfig) Secrets() []stateward.Value[string] {
	var out []stateward.Value[string]
	for _, section := range slices.Sorted(maps.Keys(c.sections)) {
		for _, key := range slices.Sorted(maps.Keys(c.sections[section])) {
			if v := c.sections[section][key]; v.Or("") == stateward.HiddenValue {
				out = append(out, stateward.Known(key, v.Origin()))
			}
		}
	}
	return out
}

// ArchiveStanza is the stanza that an archive_command pushes to; called is false where it does not call pgBackRest, or that cannot be told.
func ArchiveStanza(command string) (stanza string, called bool) {
	fields, ok := words(command)
	if !ok || !slices.ContainsFunc(fields, func(w string) bool { return path.Base(w) == "pgbackrest" }) || !slices.Contains(fields, "archive-push") || strings.ContainsAny(command, "$`") {
		return "", false
	}
	if slices.ContainsFunc(fields, func(w string) bool { return strings.HasPrefix(w, "--config") || strings.HasPrefix(w, "--pg") }) {
		return "", false // another file, which is not read, or the directory itself
	}
	for _, w := range fields {
		if name, is := strings.CutPrefix(w, "--stanza="); is {
			return name, true
		}
	}
	return "", true
}

// PgBackRestFault is what is wrong with a configuration of pgBackRest.
type PgBackRestFault struct {
	// Kind says what it costs.
	Kind         PgBackRestFaultKind
	Reason, Hint string
	Origin       stateward.Origin
}

// PgBackRestFaultKind says what a fault costs.
type PgBackRestFaultKind string

// The kinds of faults.
const (
	// ArchivesNothing: archive-push fails for every segment.
	ArchivesNothing PgBackRestFaultKind = "archives nothing"
	// KeepsAll: nothing ever expires.
	KeepsAll PgBackRestFaultKind = "keeps all"
	// CutsLog: log that a base backup needs to get any further is removed.
	CutsLog PgBackRestFaultKind = "cuts the log"
	// OneChain: there is one full backup at a time.
	OneChain PgBackRestFaultKind = "one chain"
	// NoFull: no job makes full backups.
	NoFull PgBackRestFaultKind = "no full backup"
)

// Archiving are the reasons why an archive_command that calls pgBackRest archives nothing of the cluster in dataDir (empty where that is not known).
func (c *PgBackRestConfig) Archiving(command, dataDir string) []PgBackRestFault {
	stanza, called := ArchiveStanza(command)
	if !called {
		return nil
	}
	list := "it has " + strings.Join(c.Stanzas(), ", ")
	if len(c.Stanzas()) == 0 {
		list = "it has none"
	}
	switch {
	case stanza == "":
		return []PgBackRestFault{{ArchivesNothing, "archive_command names no stanza, and pgBackRest refuses it", "write --stanza=NAME: " + list, stateward.Origin{}}}
	case !slices.Contains(c.Stanzas(), stanza) && (c.text || len(c.Stanzas()) == 0):
		return nil
	case !slices.Contains(c.Stanzas(), stanza):
		return []PgBackRestFault{{ArchivesNothing, fmt.Sprintf("archive_command pushes to the stanza %s, which the configuration of pgBackRest does not have", stanza), list, stateward.Origin{}}}
	}
	if fault, is := c.refusedSpool(command, stanza); is {
		return []PgBackRestFault{fault}
	}
	var other stateward.Value[string]
	for _, i := range c.indexes(stanza, "pg") {
		v := c.Option(stanza, "archive-push", fmt.Sprintf("pg%d-path", i))
		at, known := v.Get()
		switch {
		case v.IsUnknown() || known && path.Clean(at) == path.Clean(dataDir):
			return nil
		case known && c.Option(stanza, "archive-push", fmt.Sprintf("pg%d-host", i)).IsAbsent():
			other = v
		}
	}
	at, known := other.Get()
	if dataDir == "" || !known {
		return nil
	}
	return []PgBackRestFault{{ArchivesNothing, fmt.Sprintf("stanza %s is of the cluster in %s, and the server's is in %s: pgBackRest refuses its log", stanza, at, dataDir), "write pg1-path as services.postgresql.dataDir is", other.Origin()}}
}

// defaultSpool is where pgBackRest keeps its spool.
const defaultSpool = "/var/spool/pgbackrest"

// Spool is the folder of a stanza whose log is archived asynchronously (archive-async); absent where it is not. Nothing is lost with it: archive-push stores
// segments from pg_wal itself, succeeds once they are in the archive, and keeps there what it knows of them; archive-get keeps copies of what the archive has.
func (c *PgBackRestConfig) Spool(stanza string) stateward.Value[string] {
	async := c.Option(stanza, "archive-push", "archive-async")
	if on, known := async.Get(); !known || on != "y" && on != "true" { // the module of NixOS has a Boolean
		if async.IsUnknown() {
			return async
		}
		return stateward.Value[string]{}
	}
	if at := c.Option(stanza, "archive-push", "spool-path"); !at.IsAbsent() {
		return at
	}
	return stateward.Known(defaultSpool, async.Origin())
}

// refusedSpool is what pgBackRest refuses of asynchronous archiving: it then stores no segment.
func (c *PgBackRestConfig) refusedSpool(command, stanza string) (PgBackRestFault, bool) {
	if strings.Contains(command, "archive-async") || strings.Contains(command, "--spool-path") {
		return PgBackRestFault{}, false // what the command says counts
	}
	async := c.Option(stanza, "archive-push", "archive-async")
	if text, known := async.Get(); known && c.text && text != "y" && text != "n" {
		return PgBackRestFault{ArchivesNothing, fmt.Sprintf("archive-async is %q, and pgBackRest takes y and n only: it refuses the log", text), "write archive-async=y", async.Origin()}, true
	}
	spool := c.Spool(stanza)
	if at, known := spool.Get(); known && (!strings.HasPrefix(at, "/") || strings.Contains(at, "//")) {
		return PgBackRestFault{ArchivesNothing, fmt.Sprintf("spool-path is %q, and pgBackRest takes a path from / on without //: it refuses the log", at), "write spool-path=" + defaultSpool, spool.Origin()}, true
	}
	return PgBackRestFault{}, false
}

// QueueMax is how much log may wait before archive-push drops it and says that it is archived; absent where none is dropped.
func (c *PgBackRestConfig) QueueMax(stanza string) stateward.Value[string] {
	return c.Option(stanza, "archive-push", "archive-push-queue-max")
}

// Repositories are the numbers of those that a stanza has, sorted.
func (c *PgBackRestConfig) Repositories(stanza string) []int {
	if list := c.indexes(stanza, "repo"); len(list) > 0 {
		return list
	}
	return []int{1} // in /var/lib/pgbackrest
}

// PgBackRestRetention is what `pgbackrest expire` keeps of a stanza in a repository. What is absent removes nothing.
type PgBackRestRetention struct {
	// Full is the number of full backups, or where FullType is "time" of days that they reach back. Diff is the number of differential ones.
	Full, Diff stateward.Value[int]
	FullType   stateward.Value[string]
	// Archive is of how many backups of the kind ArchiveType ("full", "diff" or "incr") the log is kept; absent where that of all is. Where it is not set and the
	// kind is "diff", it is as Diff.
	Archive     stateward.Value[int]
	ArchiveType stateward.Value[string]
}

// Retention is what is kept of a stanza in one of its repositories. An option that is no number is unknown: pgBackRest refuses it.
func (c *PgBackRestConfig) Retention(stanza string, repository int) PgBackRestRetention {
	text := func(name string) stateward.Value[string] {
		return c.Option(stanza, "expire", fmt.Sprintf("repo%d-retention-%s", repository, name))
	}
	number := func(name string) stateward.Value[int] {
		return stateward.MapValue(text(name), func(s string) (int, error) {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil || n < 1 {
				return 0, fmt.Errorf("repo%d-retention-%s is no number above 0", repository, name)
			}
			return n, nil
		})
	}
	kind := func(name, otherwise string) stateward.Value[string] {
		if v := text(name); !v.IsAbsent() {
			return v
		}
		return stateward.Known(otherwise, stateward.Origin{})
	}
	r := PgBackRestRetention{Full: number("full"), FullType: kind("full-type", "count"), Diff: number("diff"), Archive: number("archive"), ArchiveType: kind("archive-type", "full")}
	// Where nothing says of how many, it is of as many as are kept of that kind: of full ones that is all, of differential ones it is not.
	if r.Archive.IsAbsent() && r.ArchiveType.Or("") == "diff" {
		r.Archive = r.Diff
	} else if r.Archive.IsAbsent() && r.ArchiveType.IsUnknown() {
		r.Archive = stateward.MapValue(r.ArchiveType, func(string) (int, error) { return 0, nil })
	}
	n, is := r.Archive.Get()
	if full, known := r.Full.Get(); is && known && n >= full && r.FullType.Or("") == "count" && r.ArchiveType.Or("") == "full" {
		r.Archive = stateward.Value[int]{} // that of all that are kept
	}
	return r
}

// Keeping are the faults of what is kept of a stanza.
func (c *PgBackRestConfig) Keeping(stanza string) []PgBackRestFault {
	var out []PgBackRestFault
	for _, i := range c.Repositories(stanza) {
		option := func(name string) stateward.Value[string] {
			return c.Option(stanza, "expire", fmt.Sprintf("repo%d-%s", i, name))
		}
		full, archive := option("retention-full"), option("retention-archive")
		if full.IsUnknown() || archive.IsUnknown() {
			continue
		}
		text, given := full.Get()
		at := full.Origin()
		if at.Option == "" {
			at = c.originOf(stanza, fmt.Sprintf("repo%d-", i))
		}
		count := option("retention-full-type").Or("count") == "count"
		n, err := strconv.Atoi(text)
		kept, archived := strconv.Atoi(archive.Or(""))
		switch {
		case !given:
			out = append(out, PgBackRestFault{KeepsAll, fmt.Sprintf("repo%d-retention-full is not set: no backup and no log of stanza %s ever expires, until the repository is full", i, stanza), fmt.Sprintf("set repo%d-retention-full, such as 4, or retention-full-type = \"time\" with days", i), at})
		case err != nil || !count:
		case archived == nil && kept < n && option("retention-archive-type").Or("full") == "full":
			out = append(out, PgBackRestFault{CutsLog, fmt.Sprintf("repo%d-retention-archive keeps the log of %d full backups, and %d are kept: of the others only the moment of their end can be restored", i, kept, n), fmt.Sprintf("leave repo%d-retention-archive out: then the log of all is kept", i), archive.Origin()})
		case n == 1:
			out = append(out, PgBackRestFault{OneChain, fmt.Sprintf("repo%d-retention-full = 1: each full backup takes away all that could be recovered to before it", i), "keep 2 at least", at})
		}
	}
	return out
}

func (c *PgBackRestConfig) originOf(stanza, prefix string) stateward.Origin {
	for _, section := range []string{stanza, "global"} {
		for _, key := range slices.Sorted(maps.Keys(c.sections[section])) {
			if strings.HasPrefix(key, prefix) {
				return c.sections[section][key].Origin()
			}
		}
	}
	return c.origin
}

// Remote tells whether a repository of a stanza, or the stanza itself, is on another host, which may make the backups.
func (c *PgBackRestConfig) Remote(stanza string) bool {
	for _, i := range c.indexes(stanza, "repo") {
		if !c.Option(stanza, "backup", fmt.Sprintf("repo%d-host", i)).IsAbsent() {
			return true
		}
	}
	return false
}
