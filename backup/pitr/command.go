package pitr

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// Archiving is what a configuration makes of the write-ahead log.
type Archiving struct {
	// State is yes where segments are archived, no where they are not, unknown where it cannot be told.
	State stateward.TierState
	// Why says it of no and unknown; Origin is the setting that decides.
	Why    string
	Origin stateward.Origin
	// Timeout is after how long a segment is archived that is not full; zero where never (G3). TimeoutKnown tells whether that could be read.
	Timeout      time.Duration
	TimeoutKnown bool
}

// ReadArchiving reads the settings as PostgreSQL does; its defaults are archive_mode = off, wal_level = replica and
// archive_timeout = 0.
func ReadArchiving(p stateward.PITR) Archiving {
	var a Archiving
	timeout := p.Settings["archive_timeout"]
	switch text, ok := timeout.Get(); {
	case timeout.IsAbsent():
		a.TimeoutKnown = true
	case ok:
		a.Timeout, a.TimeoutKnown = ParseTimeout(text)
	}
	mode, level, command, library := p.Settings["archive_mode"], p.Settings["wal_level"], p.Settings["archive_command"], p.Settings["archive_library"]
	for _, v := range []stateward.Value[string]{mode, level, command, library} {
		if why, unknown := v.Why(); unknown {
			a.State, a.Why, a.Origin = stateward.SurvivalUnknown, why.String(), v.Origin()
			return a
		}
	}
	no := func(v stateward.Value[string], why string) Archiving {
		a.State, a.Why, a.Origin = stateward.SurvivalNo, why, v.Origin()
		return a
	}
	switch on, known := archiveMode(mode.Or("off")); {
	case !known:
		return no(mode, fmt.Sprintf("archive_mode is %q, which PostgreSQL does not know", mode.Or("")))
	case !on:
		return no(mode, "archive_mode is off")
	case strings.EqualFold(level.Or("replica"), "minimal"):
		return no(level, "wal_level is minimal, and the server does not start with archive_mode beside it")
	case strings.TrimSpace(command.Or("")) != "" && library.Or("") != "":
		return no(library, "archive_library and archive_command are both set, and the server archives nothing")
	case strings.TrimSpace(command.Or("")) == "" && library.Or("") == "":
		return no(mode, "archive_mode is on, and neither archive_command nor archive_library says where to")
	}
	if faults := CommandFaults(command.Or("")); library.Or("") == "" && len(faults) > 0 {
		return no(command, faults[0].Reason)
	}
	a.State, a.Origin = stateward.SurvivalYes, command.Origin()
	return a
}

// archiveMode reads archive_mode as PostgreSQL does, and as Nix writes truth.
func archiveMode(s string) (on, known bool) {
	switch strings.ToLower(s) {
	case "on", "always", "true", "yes", "1":
		return true, true
	case "off", "false", "no", "0":
		return false, true
	}
	return false, false
}

// ParseTimeout reads archive_timeout: a number of seconds, or one with "ms", "s", "min", "h" or "d". Zero is never.
func ParseTimeout(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	i := strings.LastIndexAny(s, "0123456789") + 1
	n, err := strconv.ParseUint(s[:i], 10, 31)
	unit, ok := map[string]time.Duration{"": time.Second, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[strings.TrimSpace(s[i:])]
	if err != nil || !ok || n > uint64((1<<62)/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// CommandFault is why an archive_command does not archive.
type CommandFault struct {
	// Trap is "G5" of what says that it stored what it did not, "G7" of what the tool refuses.
	Trap   string
	Reason string
}

// swallowed is the end of a command that succeeds whatever came before.
var swallowed = regexp.MustCompile(`(?:\|\||;|\n)\s*(?:\S*/)?((?:true|:|exit\s+0)|(?:echo|logger|printf)\s[^;|&\n]*?)\s*;?\s*['"]?\s*$`)

// idle is a command that does nothing.
var idle = regexp.MustCompile(`^\s*(?:\S*/)?(?:true|:|exit\s+0|env\s+true)\s*;?\s*$`)

// CommandFaults are what an archive_command does wrong, the gravest first. PostgreSQL removes a segment as soon as the command ends with
// status 0.
func CommandFaults(command string) []CommandFault {
	var out []CommandFault
	say := func(trap, format string, args ...any) {
		out = append(out, CommandFault{trap, fmt.Sprintf(format, args...)})
	}
	switch m := swallowed.FindStringSubmatch(command); {
	case strings.TrimSpace(command) == "":
		return nil
	case idle.MatchString(command):
		say("G5", "archive_command stores nothing and succeeds")
		return out
	case m != nil:
		say("G5", "archive_command ends with %q, and succeeds where it stored nothing", strings.TrimSpace(m[1]))
	case strings.HasSuffix(strings.TrimSpace(command), "&") && !strings.HasSuffix(strings.TrimSpace(command), "&&"):
		say("G5", "archive_command goes on in the background, and succeeds before anything is stored")
	}
	if !strings.Contains(command, "%p") && !strings.Contains(command, "%f") {
		say("G5", "archive_command names no segment: neither %%p nor %%f is in it")
	}
	return append(out, barmanFaults(command)...)
}

// walArchiveOptions are the options of barman-cloud-wal-archive in any version from 2.12 to 3.17, and whether a value follows.
var walArchiveOptions = map[string]bool{
	"-V": false, "--version": false, "--help": false, "-v": false, "--verbose": false, "-q": false, "--quiet": false, "-t": false, "--test": false,
	"--cloud-provider": true, "-z": false, "--gzip": false, "-j": false, "--bzip2": false, "--xz": false, "--snappy": false, "--zstd": false, "--lz4": false,
	"--compression-level": true, "--tag": true, "--history-tag": true, "--endpoint-url": true, "-P": true, "--profile": true, "--aws-profile": true,
	"--read-timeout": true, "-e": true, "--encryption": true, "--sse-kms-key-id": true, "--credential": true, "--azure-credential": true, "--encryption-scope": true,
	"--max-block-size": true, "--max-concurrency": true, "--max-single-put-size": true, "--kms-key-name": true, "--tags": true, "--history-tags": true, "--default": true,
}

// barmanFaults compares a call of barman-cloud-wal-archive with what the tool takes (G7). What a shell makes of variables is not known,
// and nothing is said of it.
func barmanFaults(command string) (out []CommandFault) {
	args, _, out, counted := barmanCall(command)
	if len(out) > 0 || !counted {
		return out
	}
	switch {
	case len(args) != 3:
		out = append(out, CommandFault{"G7", fmt.Sprintf("%s takes DESTINATION SERVER_NAME WAL_PATH, and is given %d arguments", ToolWALArchive, len(args))})
	case strings.Contains(args[0], "%p") || strings.Contains(args[1], "%p") || !strings.Contains(args[2], "%p"):
		out = append(out, CommandFault{"G7", fmt.Sprintf("%s takes DESTINATION SERVER_NAME WAL_PATH, and %%p is not the last", ToolWALArchive)})
	}
	return out
}

// barmanCall takes a call of barman-cloud-wal-archive apart: its arguments, the address that --endpoint-url names, and the options that it does not have. counted
// tells that the arguments are all that there are.
func barmanCall(command string) (args []string, endpoint string, out []CommandFault, counted bool) {
	words, ok := words(command)
	at := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == ToolWALArchive })
	if at < 0 || !ok {
		return nil, "", nil, false
	}
	counted = true
	rest := words[at+1:]
	for i := 0; i < len(rest); i++ {
		w := rest[i]
		name, joinedTo, joined := strings.Cut(w, "=")
		if strings.ContainsAny(w, "$`") {
			counted = false
		}
		if w == "--" {
			args = append(args, rest[i+1:]...)
			break
		}
		switch value, known := walArchiveOptions[name]; {
		case !strings.HasPrefix(w, "-"):
			args = append(args, w)
		case !strings.HasPrefix(w, "--") && len(w) > 2:
			counted = counted && !strings.ContainsAny(w[1:], "Pe") // several in one word
		case !known:
			if abbreviates(name) {
				counted = false
				continue
			}
			out = append(out, CommandFault{"G7", fmt.Sprintf("%s has no option %s", ToolWALArchive, name)})
		case name == "--tags" || name == "--history-tags":
			counted = false // as many values as there are
		case value && !joined:
			i++
			if name == "--endpoint-url" && i < len(rest) {
				endpoint = rest[i]
			}
		case name == "--endpoint-url":
			endpoint = joinedTo
		}
	}
	return args, endpoint, out, counted
}

// ArchivePlace is where the log of one cluster is stored.
type ArchivePlace struct{ Endpoint, Destination, Server string }

// NewArchivePlace leaves out what makes no difference: a slash at the end.
func NewArchivePlace(endpoint, destination, server string) ArchivePlace {
	return ArchivePlace{strings.TrimRight(endpoint, "/"), strings.TrimRight(destination, "/"), server}
}

func (p ArchivePlace) String() string { return p.Destination + "/" + p.Server }

// ArchivedTo is where an archive_command of barman-cloud stores to; ok is false where it is another, or that cannot be told.
func ArchivedTo(command string) (p ArchivePlace, ok bool) {
	args, endpoint, faults, counted := barmanCall(command)
	if !counted || len(faults) > 0 || len(args) != 3 {
		return ArchivePlace{}, false
	}
	return NewArchivePlace(endpoint, args[0], args[1]), true
}

// abbreviates tells whether an option is the beginning of one that is known: argparse takes that.
func abbreviates(name string) bool {
	if name == "--compression" {
		return false // people mean --gzip by it; a level is taken for it by none
	}
	for known := range walArchiveOptions {
		if len(name) > 3 && strings.HasPrefix(known, name) {
			return true
		}
	}
	return false
}

// words splits a command as a shell does, up to the end of its first pipeline that has an operator after a call; ok is false where a quote
// does not end. Operators that stand alone end it.
func words(command string) (out []string, ok bool) {
	var b strings.Builder
	open, quote, escaped := false, rune(0), false
	end := func() {
		if open {
			out = append(out, b.String())
		}
		b.Reset()
		open = false
	}
	for i, r := range command {
		switch {
		case escaped:
			escaped = false
			b.WriteRune(r)
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			end()
			if r == '\n' && slices.ContainsFunc(out, func(w string) bool { return path.Base(w) == ToolWALArchive }) {
				return out, true
			}
		case strings.ContainsRune(";|&<>()", r):
			if strings.ContainsRune("<>", r) && b.Len() == 1 && b.String()[0] >= '0' && b.String()[0] <= '9' {
				b.Reset() // the number of a file that is redirected
				open = false
			}
			end()
			if slices.ContainsFunc(out, func(w string) bool { return path.Base(w) == ToolWALArchive }) {
				return out, true
			}
			out = nil
		case r == '\\' && i+1 < len(command):
			open, escaped = true, true
		default:
			open = true
			b.WriteRune(r)
		}
	}
	end()
	return out, quote == 0
}
