package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// linked is a link that the configuration makes.
func linked(at, target string) part {
	return func(h *stateward.Host) {
		o := stateward.Origin{Option: "links." + at}
		push(&h.Links, stateward.Link{At: stateward.NewEntry(at, stateward.File, o), Target: known(target), Origin: o})
	}
}

// rule is one of tmpfiles.
func rule(kind, path string) part {
	return func(h *stateward.Host) {
		o := stateward.Origin{Option: "rules." + kind + path}
		push(&h.Tmpfiles, stateward.TmpfilesRule{Type: kind, At: stateward.NewEntry(path, stateward.Directory, o), Origin: o})
	}
}

func TestLinks(t *testing.T) {
	const path = "/var/lib/app"
	link := func(target string) part { return linked(path, target) }
	for _, tc := range []struct {
		name  string
		parts []part
		want  stateward.TierState
		by    string
	}{
		{"to the persistence root", []part{link("/persist/var/lib/app")}, yes, `links./var/lib/app links /var/lib/app to /persist/var/lib/app: fileSystems."/persist"`},
		{"of a directory above", []part{linked("/var/lib", "/persist/lib")}, yes, `links./var/lib links /var/lib to /persist/lib: fileSystems."/persist"`},
		{"of something below decides nothing", []part{linked("/var/lib/app/data", "/persist/data")}, no, `fileSystems."/" is a tmpfs`},
		{"to a lost place", []part{link("/srv/app")}, no, `links./var/lib/app links /var/lib/app to /srv/app: fileSystems."/" is a tmpfs`},
		{"to a persisted place", []part{link("/srv/app"), persist("/persist", "/srv")}, yes, ""},
		{"relative", []part{link("../../persist/app")}, yes, `links./var/lib/app links /var/lib/app to /persist/app: fileSystems."/persist"`},
		{"relative beside", []part{link("other"), persist("/persist", "/var/lib/other")}, yes, ""},
		{"with dots", []part{link("/persist/x/../y")}, yes, ""},
		{"above the root", []part{link("../../../../../persist/y")}, yes, ""},
		{"to the store", []part{link("/nix/store/x-app/data")}, notNeeded, "links./var/lib/app links /var/lib/app to /nix/store/x-app/data, the nix store"},
		{"to memory", []part{link("/run/app")}, no, "links./var/lib/app links /var/lib/app to /run/app: a runtime directory"},
		{"to a secret", []part{link("/run/secrets/app")}, notNeeded, ""},
		{"of links", []part{link("/a/b"), linked("/a", "/c"), linked("/c", "/persist")}, yes, ""},
		{"loop", []part{link("/a"), linked("/a", path)}, unsure, ""},
		{"to itself", []part{link(path)}, unsure, ""},
		{"into itself", []part{link(path + "/x")}, unsure, ""},
		{"through a bind mount", []part{fileSystem("/bound", path, "none", "bind"), link("/persist/app"), linked("/x", "/bound")}, yes, ""},
		{"and a bind mount that lead to one another", []part{fileSystem("/bound", path, "none", "bind"), link("/bound")}, unsure, ""},
		{"two that agree", []part{link("/persist/app"), link("/persist/app")}, yes, ""},
		{"two that differ", []part{link("/persist/app"), link("/srv/app")}, unsure, "links./var/lib/app and links./var/lib/app make different things of /var/lib/app"},
		{"where a directory is made too", []part{link("/persist/app"), rule("d", path)}, unsure, "links./var/lib/app and rules.d/var/lib/app make different things of /var/lib/app"},
		{"where the mode is set too", []part{link("/persist/app"), rule("z", path)}, yes, ""},
		{"and a persisted entry that agree", []part{link("/persist/app"), persist("/persist", path)}, yes, `environment.persistence."/persist"`},
		{"and a persisted entry that differ", []part{link("/srv/app"), persist("/persist", path)}, unsure, `environment.persistence."/persist" and links./var/lib/app hide one another`},
		{"and a mount that agree", []part{link("/srv/app"), fileSystem(path, "none", "tmpfs")}, no, ""},
		{"and a mount that differ", []part{link("/persist/app"), fileSystem(path, "none", "tmpfs")}, unsure, ""},
		{"above a persisted entry", []part{linked("/var/lib", "/srv"), persist("/persist", path)}, yes, ""},
		{"below a persisted entry", []part{link("/srv/app"), persist("/persist", "/var/lib")}, no, ""},
		{"to what cannot be had", []part{func(h *stateward.Host) {
			push(&h.Links, stateward.Link{At: stateward.NewEntry(path, stateward.File, at("x")), Target: unknown[string]("x")})
		}}, unsure, "x: it throws"},
		{"to nothing", []part{link("")}, no, ""},
		{"that may be anywhere", []part{func(h *stateward.Host) {
			push(&h.Links, stateward.Link{At: stateward.Entry{Text: "/var/%m", Problem: &stateward.PathError{Reason: "has a specifier"}}, Origin: at("x")})
		}}, unsure, "where x makes a link is unknown: has a specifier"},
		{"that is somewhere in memory", []part{func(h *stateward.Host) {
			push(&h.Links, stateward.Link{At: stateward.Entry{Text: "/run/user/%m", Problem: &stateward.PathError{Reason: "has a specifier"}}})
		}}, no, ""},
		{"unknown which there are", []part{func(h *stateward.Host) { h.Links = unknown[[]stateward.Link]("links") }}, unsure, "links: it throws"},
		{"P3 of what a dynamic user has", []part{stateUnit("u", known(true), "app"), linked("/var/lib/private/app", "/persist/app")}, yes, ""},
		{"P3 of what a dynamic user has not", []part{stateUnit("u", known(true), "app"), link("/persist/app")}, no, ""},
		{"persistence root that is one", []part{fileSystem("/disk", "/dev/d", "ext4"), linked("/keep", "/disk/keep"), persist("/keep", path)}, yes, ""},
		{"persistence root that leads to memory", []part{linked("/keep", "/srv"), persist("/keep", path)}, no, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := with(wiped, tc.parts...)
			got := rebootOf(t, h, path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
			if tc.by != "" {
				require.Equal(t, tc.by, got.By)
			}
		})
	}
}

// What is to be persisted is where a link leads, and so says the advice.
func TestLinkedStateIsPersistedWhereItIs(t *testing.T) {
	h := with(wiped, service("app", "/var/lib/app"), linked("/var/lib", "/srv/lib"), service("b", "/var/lib/b"), linked("/var/lib/b", "/nix/store/x"),
		service("c", "/var/lib/c"), linked("/var/lib/c", "/run/c"))
	r, err := aggregate.Resolve(h, aggregate.Options{})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]string{"/var/lib/nixos host", "/srv/lib/app collector app"}, resolved(r).Entries))
	hints := map[string]string{}
	for _, d := range lint(h).Findings {
		if d.Code == "SW101" {
			hints[d.Path] = d.Hint
		}
	}
	require.Empty(t, cmp.Diff(map[string]string{
		"/var/lib/app": `environment.persistence."/persist".directories = [ "/srv/lib/app" ];`,
		"/var/lib/c":   "link it elsewhere: /run/c is a runtime directory",
	}, hints))
}
