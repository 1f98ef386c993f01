package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

func TestP8Copies(t *testing.T) {
	user := func(path string) stateward.Entry { return rare(path, stateward.EntrySpecial{OfUser: "ada"}) }
	stored := func(path, at string) stateward.Entry {
		return rare(path, stateward.EntrySpecial{Storage: known(stateward.MustPath(at))})
	}
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"nothing to add", []part{persist("/persist", "/a"), service("a", "/a")}, nil},
		{"a directory, with its owner and the units that write there", []part{runsAs("a", "alice", "media"), service("a", "/a"), service("b", "/a")},
			[]string{"directory /a to /persist/a alice:media stop [a.service]"}},
		{"a file", []part{changed(contract("a"), func(s *stateward.Service) {
			s.State = known([]stateward.StatePath{{Entry: asEntry("/etc/a.key", stateward.File, at("k")), Source: stateward.SourceVolume}})
		})}, []string{"file /etc/a.key to /persist/etc/a.key"}},
		{"DynamicUser: the parent, with all units", []part{stateUnit("a", known(true), "a"), stateUnit("b", known(true), "b")},
			[]string{"directory /var/lib/private to /persist/var/lib/private 0700 stop [a.service b.service]"}},
		{"DynamicUser: one of them is persisted already", []part{persist("/persist", "/var/lib/private/a"), stateUnit("a", known(true), "a"), stateUnit("b", known(true), "b")},
			[]string{"directory /var/lib/private to /persist/var/lib/private 0700 stop [b.service] keep [/persist/var/lib/private/a]"}},
		{"DynamicUser: the host's own entry was the link", []part{persist("/persist", "/var/lib/a"), stateUnit("a", known(true), "a")},
			[]string{"directory /var/lib/private to /persist/var/lib/private 0700 stop [a.service]"}},
		{"what lies below another comes with it", []part{service("a", "/x"), service("b", owned("/x/y", "", "", "0700")), stateUnit("c", known(false), "c")},
			[]string{"directory /x to /persist/x", "directory /var/lib/c to /persist/var/lib/c stop [c.service]"}},
		{"unless something is mounted between", []part{service("a", "/x"), service("b", "/x/y"), fileSystem("/x/y", "none", "tmpfs")},
			[]string{"directory /x to /persist/x keep [/persist/x/y]", "directory /x/y to /persist/x/y"}},
		{"what is stored elsewhere is in nobody's way", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/persist", stored("/x/y", "/cold")), service("a", "/x")},
			[]string{"directory /x to /persist/x"}},
		{"entries of users and files stay as they are", []part{persist("/persist", user("/x/u")), persistFiles("/persist", "/x/f"), service("a", "/x")},
			[]string{"directory /x to /persist/x keep [/persist/x/f /persist/x/u]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := aggregate.Resolve(with(wiped, tc.parts...), aggregate.Options{Root: "/persist"})
			require.NoError(t, err)
			var got []string
			for _, c := range r.Copies() {
				line := fmt.Sprintf("%s %s to %s", c.Kind, c.From, c.To)
				if u := c.User.Or(stateward.Owner{}).String(); u != "" {
					line += fmt.Sprintf(" %s:%s", u, c.Group.Or(stateward.Owner{}))
				}
				if m, ok := c.Mode.Get(); ok {
					line += " " + m.String()
				}
				if len(c.Units) > 0 {
					line += fmt.Sprintf(" stop %s", c.Units)
				}
				if len(c.Keep) > 0 {
					line += fmt.Sprintf(" keep %s", c.Keep)
				}
				got = append(got, line)
			}
			require.Empty(t, cmp.Diff(tc.want, got))
			require.Equal(t, stateward.MustPath("/persist"), r.MountPoint())
		})
	}
}
