package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw402 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW402", Title: "preseed that is not there, or runs nothing", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E9"},
		Doc: doc(`
A service names the unit of a preseed (see SW401 for how these are told; ` + "`NAME-preseed.service`" + ` is looked for too, but for those of lxd and incus, which hold settings) in ` + "`wants`, `requires`, `bindsTo` or `after`" + `, and the host has no such unit, or it is switched off, or it has nothing to execute. An order
after a unit that does not exist orders nothing, and one that is only wanted is passed over without a word: the service starts on an empty dataset, and the configuration reads as if it were guarded. One that
is required and is not there keeps the service from starting for ever.

A unit without ` + "`ExecStart`" + ` and ` + "`script`" + ` comes about where one writes ` + "`systemd.services.preseed-NAME`" + ` to add something to a unit that is made
elsewhere, and it is not: systemd refuses it.

Mend the name, or the condition under which the unit is made. A unit that a package brings (` + "`systemd.packages`" + `) is not seen: acknowledge it.

` + "```nix" + `
systemd.services.paperless = {
  requires = ["preseed-paperless.service"];
  after = ["preseed-paperless.service"];
};
systemd.services.preseed-paperless = {
  serviceConfig.Type = "oneshot";
  serviceConfig.RemainAfterExit = true;
  script = "…";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		units, known := f.host.Units.Get()
		if !known {
			return nil
		}
		g := newGathered()
		for i := range units {
			u := &units[i]
			if !u.Enable.Or(true) {
				continue
			}
			said := map[string]bool{}
			for _, list := range []struct {
				names []string
				how   string
			}{{slices.Concat(u.Requires.Or(nil), u.BindsTo.Or(nil)), "requires"}, {u.Wants.Or(nil), "wants"}, {u.After.Or(nil), "after"}} {
				for _, name := range list.names {
					title, is := meantPreseed(name)
					if !is || said[name] {
						continue
					}
					said[name] = true
					there := slices.IndexFunc(units, func(o stateward.Unit) bool { return o.Name == name })
					d := finding(u.Origin)
					d.Service = unitTitle(u.Name)
					d.Hint = "mend the name, or make the unit: stateward preseed units writes it; where a package brings it, acknowledge the finding"
					if swapped := handPreseed + title + ".service"; swapped != name && slices.ContainsFunc(units, func(o stateward.Unit) bool { return o.Name == swapped }) {
						d.Hint = "is " + swapped + " meant?"
					}
					what := fmt.Sprintf("%s is not there", name)
					switch {
					case there < 0:
					case !units[there].Enable.Or(true):
						what = fmt.Sprintf("%s is switched off", name)
					default:
						continue
					}
					g.add(d, func(who string) string {
						switch list.how {
						case "requires":
							return fmt.Sprintf("preseed of %s is required, and keeps it from starting for ever: %s", who, what)
						case "wants":
							return fmt.Sprintf("preseed of %s is wanted, and it starts without: %s", who, what)
						}
						return fmt.Sprintf("preseed of %s comes before it, which orders nothing: %s", who, what)
					})
				}
			}
		}
		out := g.findings()
		for _, p := range f.preseedUnits() {
			if runs, known := p.Executes.Get(); !known || runs {
				continue
			}
			d := finding(p.Origin)
			d.Service, _ = preseedName(p.Name)
			d.Message = fmt.Sprintf("%s has nothing to execute: systemd refuses it, and nothing is restored", p.Name)
			d.Hint = "give it a script or an ExecStart, or take away what names it: something makes a part of it only"
			out = append(out, d)
		}
		return out
	},
}

func unitTitle(unit string) string { return strings.TrimSuffix(unit, ".service") }
