package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw603 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW603", Title: "a value that a check needs is unknown", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"N1", "N4", "N6"},
		Doc: doc(`
An option could not be evaluated, holds a function, or holds a value of another type or form than it should, and a
check needs it. What that check did not report is then no good news: it could not look.

The finding names the option, nix's own message where there is one, and the checks that needed it.

Mend the option so that it evaluates. ` + "`stateward eval`" + ` shows everything that could and could not be read.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, u := range f.host.Unknown {
			codes := neededBy(u.Subject)
			if len(codes) == 0 {
				continue
			}
			d := stateward.Diagnostic{Subject: u.Subject, File: u.File, Line: u.Line}
			what := "could not be evaluated"
			switch u.Kind {
			case stateward.UnknownFunction:
				what = "is a function"
			case stateward.UnknownType, stateward.UnknownForm:
				what = "is not understood"
			case stateward.UnknownDepth:
				what = "is nested too deeply to be read"
			}
			d.Message = fmt.Sprintf("%s %s", u.Subject, what)
			if u.Message != "" {
				d.Message += ": " + oneLine(u.Message)
			}
			d.Message += "; needed by " + strings.Join(codes, ", ")
			d.Hint = "make it evaluate: until then these checks cannot speak of it"
			out = append(out, d)
		}
		return out
	},
}

// needs says which checks read which options. A subject below or above a prefix
// touches it.
var needs = []struct {
	prefix string
	codes  []string
}{
	{"assertions", []string{"SW601"}},
	{"boot.initrd", []string{"SW101", "SW110", "SW115"}},
	{"boot.zfs.extraPools", []string{"SW101", "SW110"}},
	{"disko", []string{"SW101", "SW107", "SW108"}},
	{"environment.persistence", []string{"SW101", "SW103", "SW106", "SW111", "SW112"}},
	{"fileSystems", []string{"SW101", "SW106", "SW107", "SW109", "SW115"}},
	{"qgroget", []string{"SW101", "SW111", "SW112"}},
	{"services", []string{"SW101", "SW112", "SW604"}},
	{"systemd.mounts", []string{"SW101", "SW106", "SW107"}},
	{"systemd.services", []string{"SW101", "SW104", "SW105"}},
	{"users.groups", []string{"SW110"}},
	{"users.users", []string{"SW110"}},
	{"virtualisation.oci-containers", []string{"SW101"}},
	{"warnings", []string{"SW602"}},
}

// unread are options that are projected for later checks and that none reads yet.
var unread = []string{
	"after", "before", "requires", "wants", "bindsTo", "wantedBy", "unitConfig", "serviceConfig.CacheDirectory",
	"serviceConfig.LogsDirectory", "serviceConfig.Type",
}

func neededBy(subject string) []string {
	if rest, ok := strings.CutPrefix(subject, "systemd.services."); ok {
		setting := strings.TrimPrefix(afterName(rest), ".")
		if slices.ContainsFunc(unread, func(u string) bool { return setting != "" && below(setting, u) }) {
			return nil
		}
	}
	var codes []string
	for _, n := range needs {
		if below(subject, n.prefix) || below(n.prefix, subject) {
			codes = append(codes, n.codes...)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// afterName cuts the first component off an option path; it may be quoted.
func afterName(path string) string {
	if !strings.HasPrefix(path, `"`) {
		if i := strings.IndexAny(path, ".["); i >= 0 {
			return path[i:]
		}
		return ""
	}
	for i := 1; i < len(path); i++ {
		switch path[i] {
		case '\\':
			i++
		case '"':
			return path[i+1:]
		}
	}
	return ""
}

// below tells whether an option path is prefix, or lies below it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
