package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw110 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW110", Title: "/var/lib/nixos is not persisted", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P7", "P12"},
		Doc: doc(`
NixOS deals a uid or gid to every user and group that has none written down, and remembers it in ` + "`/var/lib/nixos`" + `.
With that directory wiped the ids are dealt anew at the next boot, in the order of the day: persisted files then
belong to another service, and restored ones to nobody who is there.

It is quiet where every user and group has its id in the configuration.

Mend it:

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/nixos"];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		r := f.reboot(varLibNixos)
		if r.State == stateward.SurvivalYes || r.State == stateward.SurvivalNotNeeded || f.rootSays(r) {
			return nil
		}
		dealt, why := dealtIDs(f.host)
		if len(dealt) == 0 && why == "" {
			return nil
		}
		d := f.atPersistence("directories")
		d.Path = varLibNixos.String()
		d.Hint = f.persistLine(stateward.Directory, varLibNixos.String())
		switch {
		case r.State == stateward.SurvivalUnknown:
			d.Severity = stateward.SeverityWarning
			d.Message = "cannot tell whether /var/lib/nixos survives a reboot: " + r.By
		case len(dealt) == 0:
			d.Severity = stateward.SeverityWarning
			d.Message = "/var/lib/nixos is gone at the next boot, and cannot tell whether all ids are written down: " + why
		default:
			d.Message = fmt.Sprintf("/var/lib/nixos is gone at the next boot: %s then get other ids than their files have", some(dealt))
		}
		return []stateward.Diagnostic{d}
	},
}

var varLibNixos = stateward.MustPath("/var/lib/nixos")

// dealtIDs returns the users and groups whose id NixOS deals, or why that is unknown.
func dealtIDs(h *stateward.Host) (names []string, why string) {
	note := func(u stateward.Unknown, unknown bool) {
		if unknown {
			why = firstText(why, u.String())
		}
	}
	note(h.Users.Why())
	note(h.Groups.Why())
	for _, u := range h.Users.Or(nil) {
		note(u.UID.Why())
		if u.UID.IsAbsent() {
			names = append(names, "user "+u.Name)
		}
	}
	for _, g := range h.Groups.Or(nil) {
		note(g.GID.Why())
		if g.GID.IsAbsent() {
			names = append(names, "group "+g.Name)
		}
	}
	slices.Sort(names)
	return names, why
}

// some names the first few of a list.
func some(names []string) string {
	const few = 4
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
