package notify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// Unit is one of systemd.
type Unit struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Template is that of the messages that it sends.
	Template string `json:"template"`
	// Use is the option, and what it is set to, by which another unit has it started.
	Use string `json:"use"`
}

// UnitOptions say where things are on the machine; both are required, and absolute.
type UnitOptions struct{ Stateward, Plan string }

// Units are those that send the templates that a channel carries, one each, sorted by name. The instance of such a unit is the
// name of the unit that is told of.
func (p Plan) Units(o UnitOptions) ([]Unit, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(o.Plan, "/") || !plainText(o.Plan) {
		return nil, &PlanError{Field: "the file of the plan", Reason: fmt.Sprintf("is %q, which is no absolute path", o.Plan)}
	}
	var out []Unit
	for _, name := range p.Carried() {
		exec, err := unit.Exec(o.Stateward, "notify", "--plan="+o.Plan, "--event="+name)
		if err != nil {
			return nil, err
		}
		// %i is the name as it is; %I would make "/" of its "-". It may begin with a "-", and has nothing that needs quotes.
		exec += " --unit=%i"
		var options []unit.Option
		add := func(section, name, value string) {
			options = append(options, unit.Option{Section: section, Name: name, Value: value})
		}
		add("Unit", "Description", "Tell of %i: "+name)
		add("Unit", "Documentation", "man:stateward-notify(1)")
		add("Unit", "Wants", "network-online.target")
		add("Unit", "After", "network-online.target")
		add("Service", "Type", "oneshot")
		add("Service", "ExecStart", exec)
		add("Service", "TimeoutStartSec", "300")
		// It reads files of secrets, which are root's, and records, and writes nothing.
		add("Service", "CapabilityBoundingSet", "CAP_DAC_READ_SEARCH")
		add("Service", "ProtectSystem", "strict")
		add("Service", "ProtectHome", "read-only")
		for _, o := range []string{"PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
			"ProtectHostname", "NoNewPrivileges", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID", "RestrictNamespaces"} {
			add("Service", o, "true")
		}
		add("Service", "RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6")
		add("Service", "SystemCallArchitectures", "native")
		text, err := unit.Write(options...)
		if err != nil {
			return nil, err
		}
		out = append(out, Unit{backup.NotifyUnit(name, ""), text, name, use(p.All()[name].Ping) + "=" + backup.NotifyUnit(name, "%n")})
	}
	slices.SortFunc(out, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// use is the option by which such a template is sent.
func use(p Ping) string {
	switch p {
	case PingStart:
		return "Wants"
	case PingFail:
		return "OnFailure"
	}
	return "OnSuccess"
}

// Settings are the units as NixOS has them.
func Settings(units []Unit) (m nix.Module) {
	for _, u := range units {
		m.Add(nix.Settings{{Name: "text", Value: nix.Text(u.Text)}}, "systemd", "units", u.Name)
	}
	return m
}

// NixUnits are the units as a module of NixOS.
func NixUnits(units []Unit) (string, error) { return Settings(units).Nix() }

// IsNotification says whether a unit is one that sends notifications: of these nothing is told, or a drop-in for all services would have it
// tell of itself without end.
func IsNotification(unit string) bool {
	prefix, _, instance := strings.Cut(unit, "@")
	rest, ok := strings.CutPrefix(prefix, backup.NotifyUnitPrefix)
	return ok && instance && (rest == "" || strings.HasPrefix(rest, "-"))
}
