package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
)

var sw209 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW209", Title: "dataset and systemd give one place different owners or modes", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D9"},
		Doc: doc(`
A dataset is declared with an owner, group or mode, and a rule of tmpfiles gives its mount point another one. What makes the datasets
sets the one when it runs, systemd-tmpfiles the other at every boot and at every switch: the service can write today and not tomorrow.
The same goes for a unit's ` + "`StateDirectory`" + `, whose mode systemd sets at each start: 0755, unless ` + "`StateDirectoryMode`" + ` says
otherwise. Where only the rights of group and others differ it is an info. A recursive rule (` + "`Z`" + `) also walks through the whole dataset.

Mend it by saying the same, or by leaving one of them out:

` + "```nix" + `
modules.storage.datasets.services.sonarr = {
  mountpoint = "/var/lib/sonarr";
  owner = "sonarr";
  group = "media";
  mode = "0750";
};
systemd.tmpfiles.rules = ["d /var/lib/sonarr 0755 root root -"]; # drop this
systemd.services.sonarr.serviceConfig.StateDirectoryMode = "0750";
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		rules := f.host.Tmpfiles.Or(nil)
		atStart := f.stateModes()
		for _, w := range f.declared() {
			at, ok := mountedAt(w)
			if !ok {
				continue
			}
			for _, s := range atStart[at] {
				if w.Mode.IsZero() || s.mode.Bits() == w.Mode.Bits() {
					continue
				}
				d := finding(s.origin)
				d.Path = at.String()
				if (s.mode.Bits()^w.Mode.Bits())&ownerBits == 0 {
					d.Severity = stateward.SeverityInfo
				}
				d.Service = strings.TrimSuffix(s.unit, ".service")
				d.Message = fmt.Sprintf("systemd gives %s mode %s at each start of %s (StateDirectory), and not %s, as %s has it: the two undo one another", at, s.mode, s.unit, w.Mode, w.Origin.Option)
				d.Hint = fmt.Sprintf("%s = %q;", stateward.OptionPath("systemd", "services", d.Service, "serviceConfig", "StateDirectoryMode"), w.Mode)
				out = append(out, d)
			}
			for i := range rules {
				r := &rules[i]
				if r.At.Problem != nil || r.At.Path != at || r.OnlyNew || r.Type == "" || !strings.Contains("dDveqQzZ", r.Type[:1]) {
					continue
				}
				var wrong []string
				var severity stateward.Severity
				if u, ok := r.At.User.Get(); ok && !w.Owner.IsZero() && !same(u, w.Owner, f.uid) {
					wrong = append(wrong, fmt.Sprintf("user %s and not %s", u, w.Owner))
				}
				if g, ok := r.At.Group.Get(); ok && !w.Group.IsZero() && !same(g, w.Group, f.gid) {
					wrong = append(wrong, fmt.Sprintf("group %s and not %s", g, w.Group))
				}
				if m, ok := r.At.Mode.Get(); ok && !w.Mode.IsZero() && m.Bits() != w.Mode.Bits() {
					if len(wrong) == 0 && (m.Bits()^w.Mode.Bits())&ownerBits == 0 {
						severity = stateward.SeverityInfo // the service itself can do the same
					}
					wrong = append(wrong, fmt.Sprintf("mode %s and not %s", m, w.Mode))
				}
				if len(wrong) == 0 {
					continue
				}
				d := finding(r.Origin)
				d.Path, d.Severity = at.String(), severity
				if len(w.Services) == 1 {
					d.Service = w.Services[0]
				}
				d.Message = fmt.Sprintf("a rule of tmpfiles (%s) gives %s %s, as %s has it: the two undo one another", r.Type, at, strings.Join(wrong, ", "), w.Origin.Option)
				d.Hint = "give owner and mode in one place"
				out = append(out, d)
			}
		}
		return out
	},
}

// ownerBits are the rights of the owner himself.
const ownerBits = 0o700

// stateMode is the mode that systemd gives to a unit's state directory at each start.
type stateMode struct {
	unit   string
	mode   stateward.Mode
	origin stateward.Origin
}

// stateModes are those of the units that are on, by the directory. A dynamic user's directory is elsewhere, and so is one of which a
// part is not known.
func (f *facts) stateModes() map[stateward.AbsPath][]stateMode {
	modes := map[stateward.AbsPath][]stateMode{}
	for _, u := range f.host.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on || !u.DynamicUser.IsAbsent() && u.DynamicUser.Or(true) || u.StateDirectoryMode.IsUnknown() {
			continue
		}
		m := stateMode{u.Name, u.StateDirectoryMode.Or(stateDirectoryMode), u.Origin}
		if u.StateDirectoryMode.IsKnown() {
			m.origin = u.StateDirectoryMode.Origin()
		}
		for _, text := range u.StateDirectory.Or(nil) {
			if at, partial, ok := stateward.StateDirectoryPath(u.Name, text); ok && !partial {
				modes[at] = append(modes[at], m)
			}
		}
	}
	return modes
}
