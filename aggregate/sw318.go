package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw318 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW318", Title: "check of backups that nothing starts", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R13"},
		Doc: doc(`
A unit is there that, by its name, verifies backups or tries a restore, and nothing starts it: no timer, no target, no other unit. It looks like a test, and the
first one is the day of the loss.

Mend it by a timer.

` + "```nix" + `
systemd.timers.restic-check-nas = {
  wantedBy = ["timers.target"];
  timerConfig = {
    OnCalendar = "weekly";
    Persistent = true;
  };
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		timers := f.host.Timers.Or(nil)
		if f.host.Timers.IsUnknown() || f.host.Units.IsUnknown() {
			return nil
		}
		units := map[string]bool{}
		for _, u := range f.host.Units.Or(nil) {
			units[strings.TrimSuffix(u.Name, ".service")] = true
		}
		// A timer of another name starts a unit that is not read.
		foreign := ""
		for _, t := range timers {
			if name := strings.TrimSuffix(t.Name, ".timer"); !units[name] && t.Enable.Or(true) {
				if foreign = name; verifies(name) {
					break
				}
			}
		}
		for _, u := range f.host.Units.Or(nil) {
			name := strings.TrimSuffix(u.Name, ".service")
			if !verifies(name) || !u.Enable.Or(true) || strings.Contains(name, "@") || f.started(u.Name) {
				continue
			}
			d := finding(u.Origin)
			d.Message = fmt.Sprintf("%s is there to check backups, and nothing that is read starts it", u.Name)
			d.Hint = "give it a timer, such as " + stateward.OptionPath("systemd", "timers", name) + `.timerConfig.OnCalendar = "weekly";`
			if verifies(foreign) {
				d.Severity = stateward.SeverityInfo
				d.Message += fmt.Sprintf("; what %s.timer starts is not read", foreign)
			}
			out = append(out, d)
		}
		return out
	},
}

// verifies tells whether a unit is one that checks backups, by its name.
func verifies(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' || r == '@' })
	of := func(list ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	if of("drill", "drills") {
		return true
	}
	return of("check", "verify", "verification", "restoretest") && of("restic", "borg", "borgbackup", "backup", "backups", "kopia", "pgbackrest") ||
		of("restore") && of("test", "verify", "check")
}
