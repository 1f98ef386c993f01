package aggregate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

// restoring is a unit that restores data.
func restoring(name string, change ...func(*stateward.Unit)) part {
	return unitWith(name, func(u *stateward.Unit) {
		u.Type, u.Executes = known("oneshot"), known(true)
		for _, c := range change {
			c(u)
		}
	})
}

func needs(how string, units ...string) func(*stateward.Unit) {
	return func(u *stateward.Unit) {
		v := known(units)
		switch how {
		case "wants":
			u.Wants = v
		case "requires":
			u.Requires = v
		case "after":
			u.After = v
		case "before":
			u.Before = v
		case "bindsTo":
			u.BindsTo = v
		case "requiredBy":
			u.RequiredBy = v
		}
	}
}

func all(changes ...func(*stateward.Unit)) func(*stateward.Unit) {
	return func(u *stateward.Unit) {
		for _, c := range changes {
			c(u)
		}
	}
}

func TestSW401(t *testing.T) {
	require.Empty(t, said(host(), "SW401"))
	const p = "preseed-app.service"
	wanted := []string{"warning systemd.services.app: preseed of app is wanted and not required: where the restore fails, the service starts on an empty dataset"}
	nothing := []string{"warning systemd.services.app: preseed of app is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}
	app := func(changes ...func(*stateward.Unit)) part { return unitWith("app", all(changes...)) }
	checkCases(t, "SW401", []copyCase{
		{"E9 wanted only", []part{restoring("preseed-app"), app(needs("wants", p), needs("after", p))}, wanted},
		{"E9 wanted by a unit of another name", []part{restoring("preseed-app"), unitWith("web", all(needs("wants", p), needs("after", p)))},
			[]string{"warning systemd.services.web: preseed of web is wanted and not required: where the restore fails, the service starts on an empty dataset"}},
		{"E9 ordered only", []part{restoring("preseed-app"), app(needs("after", p))}, nothing},
		{"E9 named in before only", []part{restoring("preseed-app", needs("before", "web.service")), unitWith("web", nil)},
			[]string{"warning systemd.services.web: preseed of web is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}},
		{"E9 of a container", []part{restoring("preseed-app"), unitWith("podman-app", nil)},
			[]string{"warning systemd.services.podman-app: preseed of podman-app is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset"}},
		{"E9 required without an order", []part{restoring("preseed-app"), app(needs("requires", p))},
			[]string{"warning systemd.services.app: preseed of app is required and not waited for: both start at the same time, and what is written meanwhile meets what is restored"}},
		{"E9 ours", []part{restoring("stateward-preseed-app"), app(needs("wants", "stateward-preseed-app.service"))}, wanted},
		{"E9 several are one finding", []part{restoring("preseed-a"), restoring("preseed-b"), unitWith("a", needs("wants", "preseed-a.service")), unitWith("b", needs("wants", "preseed-b.service"))},
			[]string{"warning systemd.services.a: preseed of a, b is wanted and not required: where the restore fails, the service starts on an empty dataset"}},
		{"E9 required and waited for", []part{restoring("preseed-app"), app(needs("requires", p), needs("after", p))}, nil},
		{"E9 the order is in before", []part{restoring("preseed-app", needs("before", "app.service")), app(needs("requires", p))}, nil},
		{"E9 bound to", []part{restoring("preseed-app"), app(needs("bindsTo", p), needs("after", p))}, nil},
		{"E9 by way of another", []part{restoring("preseed-app"), unitWith("migrate", all(needs("requires", p), needs("after", p))), app(needs("wants", p), func(u *stateward.Unit) {
			u.Requires, u.After = known([]string{"migrate.service"}), known([]string{"migrate.service"})
		})}, nil},
		{"E9 required by its own word", []part{restoring("preseed-app", needs("requiredBy", "app.service"), needs("before", "app.service")), app()}, nil},
		{"E9 what could not be had is no fault", []part{restoring("preseed-app"), app(needs("wants", p), func(u *stateward.Unit) { u.Requires = unknown[[]string]("x") })}, nil},
		{"another's unit is none of its", []part{restoring("preseed-app"), unitWith("report", needs("after", p))}, nil},
		{"a service off", []part{restoring("preseed-app"), app(func(u *stateward.Unit) { u.Enable = known(false) }, needs("wants", p))}, nil},
		{"a preseed off", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Enable = known(false) }), app(needs("after", p))}, nil},
		{"something that goes on running", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Type = known("simple") }), app(needs("wants", p))}, nil},
		{"settings of a program", []part{restoring("incus-preseed"), unitWith("incus", needs("wants", "incus-preseed.service"))}, nil},
		{"instances", []part{restoring("preseed-@"), unitWith("app", needs("wants", "preseed-@.service"))}, nil},
	})
}

func TestSW402(t *testing.T) {
	require.Empty(t, said(host(), "SW402"))
	const p = "preseed-app.service"
	checkCases(t, "SW402", []copyCase{
		{"E9 required and not there", []part{unitWith("app", needs("requires", p))}, []string{"warning systemd.services.app: preseed of app is required, and keeps it from starting for ever: preseed-app.service is not there"}},
		{"E9 wanted and not there", []part{unitWith("app", all(needs("wants", p), needs("after", p)))}, []string{"warning systemd.services.app: preseed of app is wanted, and it starts without: preseed-app.service is not there"}},
		{"E9 only after, and not there", []part{unitWith("app", needs("after", "stateward-preseed-app.service"))}, []string{"warning systemd.services.app: preseed of app comes before it, which orders nothing: stateward-preseed-app.service is not there"}},
		{"E9 switched off", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Enable = known(false) }), unitWith("app", needs("wants", p))},
			[]string{"warning systemd.services.app: preseed of app is wanted, and it starts without: preseed-app.service is switched off"}},
		{"E9 the words in the other order", []part{restoring("preseed-app"), unitWith("app", needs("wants", "app-preseed.service"))},
			[]string{"warning systemd.services.app: preseed of app is wanted, and it starts without: app-preseed.service is not there"}},
		{"E9 nothing to execute", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Executes = known(false) })},
			[]string{"warning systemd.services.preseed-app: preseed-app.service has nothing to execute: systemd refuses it, and nothing is restored"}},
		{"E9 sound", []part{restoring("preseed-app"), unitWith("app", all(needs("requires", p), needs("after", p)))}, nil},
		{"E9 whether it runs something is not known", []part{restoring("preseed-app", func(u *stateward.Unit) { u.Executes = unknown[bool]("x") })}, nil},
		{"E9 a service off", []part{unitWith("app", all(needs("requires", p), func(u *stateward.Unit) { u.Enable = known(false) }))}, nil},
		{"E9 units that could not be had", []part{func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("x") }}, nil},
		{"settings of lxd and incus", []part{unitWith("app", needs("after", "incus-preseed.service", "lxd-preseed.service"))}, nil},
		{"a specifier", []part{unitWith("app", needs("after", "preseed-%i.service", "preseed@x.service"))}, nil},
	})
}
