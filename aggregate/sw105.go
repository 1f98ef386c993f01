package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw105 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW105", Title: "/var/lib/private is persisted with another owner than root or another mode than 0700", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P3"},
		Doc: doc(`
systemd keeps the state of ` + "`DynamicUser`" + ` services below ` + "`/var/lib/private`" + ` and insists that this directory is
root's with mode 0700: their user ids are dealt anew and again, so nobody else may look inside. Impermanence
creates a persisted directory, and the parents of one, with mode 0755 unless told otherwise, and the units then
refuse to start.

Mend it by persisting the directory as a whole, with its mode:

` + "```nix" + `
environment.persistence."/persist".directories = [
  {
    directory = "/var/lib/private";
    mode = "0700";
  }
];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		held := false
		for _, e := range f.entries {
			if e.Path != varLibPrivate {
				continue
			}
			held = true
			d := finding(e.Origin)
			d.Path = e.Path.String()
			d.Hint = "write " + privateElement + ", without user and group"
			if m, ok := e.Mode.Get(); ok && m.Bits() != 0o700 {
				d.Message = fmt.Sprintf("/var/lib/private is persisted with mode %s: units with DynamicUser refuse to start at the next boot", m)
			} else if e.Mode.IsAbsent() {
				d.Message = "/var/lib/private is persisted with the default mode 0755: units with DynamicUser refuse to start at the next boot"
			} else if owner, ok := notRoot(e.User); ok {
				d.Message = fmt.Sprintf("/var/lib/private is persisted as user %s's: units with DynamicUser refuse to start at the next boot", owner)
			} else if owner, ok := notRoot(e.Group); ok {
				d.Message = fmt.Sprintf("/var/lib/private is persisted as group %s's: units with DynamicUser refuse to start at the next boot", owner)
			} else if why, unknown := e.Mode.Why(); unknown {
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether /var/lib/private has mode 0700: %s", why)
			} else if why, unknown := e.User.Why(); unknown {
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether /var/lib/private is root's: %s", why)
			} else if why, unknown := e.Group.Why(); unknown {
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether /var/lib/private is root's: %s", why)
			} else {
				continue
			}
			out = append(out, d)
		}
		if held {
			return out
		}
		for _, e := range f.entries {
			if e.Problem != nil || !e.Path.Below(varLibPrivate) {
				continue
			}
			if len(f.mounts[varLibPrivate]) > 0 {
				continue
			}
			d := finding(e.Origin)
			d.Severity = stateward.SeverityWarning
			d.Path = e.Path.String()
			d.Message = fmt.Sprintf("%s is persisted, and /var/lib/private above it is created with mode 0755 if it is not there: units with DynamicUser refuse to start at the next boot", e.Path)
			d.Hint = f.persistElements(stateward.Directory, privateElement)
			out = append(out, d)
		}
		return out
	},
}

// privateElement is /var/lib/private as it has to be persisted.
const privateElement = `{ directory = "/var/lib/private"; mode = "0700"; }`

// notRoot returns an owner that is given and is not root.
func notRoot(v stateward.Value[stateward.Owner]) (stateward.Owner, bool) {
	o, ok := v.Get()
	return o, ok && o.String() != "root" && o.String() != "0"
}
