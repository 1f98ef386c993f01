package stateward_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
)

// The specifiers are those of the table in systemd.unit(5).
func TestStateDirectoryPath(t *testing.T) {
	for _, tc := range []struct {
		name, unit, text, want string
		partial, no            bool
	}{
		{name: "plain", unit: "sonarr.service", text: "sonarr", want: "/var/lib/sonarr"},
		{name: "nested", unit: "a.service", text: "a/b/c", want: "/var/lib/a/b/c"},
		{name: "doubled and trailing slashes", unit: "a.service", text: "a//b/", want: "/var/lib/a/b"},
		{name: "alias", unit: "a.service", text: "a:b", want: "/var/lib/a"},
		{name: "alias and read-only", unit: "a.service", text: "a:b:ro", want: "/var/lib/a"},
		{name: "read-only without alias", unit: "a.service", text: "a::ro", want: "/var/lib/a"},
		{name: "full name", unit: "a-b.service", text: "%n", want: "/var/lib/a-b.service"},
		{name: "name without suffix", unit: "a.b.service", text: "%N", want: "/var/lib/a.b"},
		{name: "prefix of an instance", unit: "a-b@c.service", text: "%p", want: "/var/lib/a-b"},
		{name: "prefix of what is no instance", unit: "a-b.service", text: "%p", want: "/var/lib/a-b"},
		{name: "unescaped prefix", unit: `a-b\x2dc@d.service`, text: "%P", want: "/var/lib/a/b-c"},
		{name: "last part of the prefix", unit: "a-b-c@d.service", text: "%j", want: "/var/lib/c"},
		{name: "last part of a prefix without dashes", unit: "abc.service", text: "%j", want: "/var/lib/abc"},
		{name: "unescaped last part", unit: `a-b\x2dc.service`, text: "%J", want: "/var/lib/b-c"},
		{name: "instance", unit: "a@b-c.service", text: "x/%i", want: "/var/lib/x/b-c"},
		{name: "unescaped instance", unit: `a@b-c\x2dd.service`, text: "x/%I", want: "/var/lib/x/b/c-d"},
		{name: "instance with an at sign", unit: "a@b@c.service", text: "%i", want: "/var/lib/b@c"},
		{name: "instance with a dot", unit: "a@b.c.service", text: "%i", want: "/var/lib/b.c"},
		{name: "no instance is empty", unit: "a.service", text: "x%i/y", want: "/var/lib/x/y"},
		{name: "percent sign", unit: "a.service", text: "50%%", want: "/var/lib/50%"},
		{name: "escaped percent before a letter", unit: "a.service", text: "%%i", want: "/var/lib/%i"},
		{name: "in the middle of a word", unit: "a@b.service", text: "x-%i-y", want: "/var/lib/x-b-y"},
		{name: "template", unit: "a@.service", text: "x/%i", want: "/var/lib/x", partial: true},
		{name: "template, below the instance", unit: "a@.service", text: "x/%i/y", want: "/var/lib/x", partial: true},
		{name: "template, prefix is sure", unit: "a@.service", text: "%p", want: "/var/lib/a"},
		{name: "template and nothing sure", unit: "a@.service", text: "%i", partial: true, no: true},
		{name: "specifier of the machine", unit: "a.service", text: "x/%H/y", want: "/var/lib/x", partial: true},
		{name: "specifier of the machine first", unit: "a.service", text: "%m", partial: true, no: true},
		{name: "percent sign at the end", unit: "a.service", text: "x/y%", want: "/var/lib/x", partial: true},
		{name: "escape of the unit file", unit: "a.service", text: `x/y\x2dz`, want: "/var/lib/x", partial: true},
		{name: "escaped colon", unit: "a.service", text: `y\:z`, partial: true, no: true},
		{name: "unit without a suffix", unit: "a", text: "%N", want: "/var/lib/a"},
		{name: "empty", unit: "a.service", text: "", no: true},
		{name: "only an alias", unit: "a.service", text: ":b", no: true},
		{name: "/var/lib itself", unit: "a.service", text: ".", no: true},
		{name: "absolute", unit: "a.service", text: "/srv/a", no: true},
		{name: "parent", unit: "a.service", text: "../a", no: true},
		{name: "parent by an instance", unit: "a@...service", text: "x/%i", no: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, partial, ok := stateward.StateDirectoryPath(tc.unit, tc.text)
			require.Equal(t, !tc.no, ok)
			require.Equal(t, tc.partial, partial)
			require.Equal(t, tc.want, p.String())
		})
	}
}

// What systemd-escape makes of a text, the capital specifiers undo.
func TestUnescapeAsSystemd(t *testing.T) {
	var texts []string
	for i := range 200 {
		texts = append(texts, rapid.StringMatching(`[a-zA-Z0-9:_.ü \-]{1,8}`).Example(i))
	}
	out, err := exec.Command(program(t, "systemd-escape"), append([]string{"--"}, texts...)...).Output()
	require.NoError(t, err)
	escaped := strings.Split(strings.TrimSuffix(string(out), "\n"), " ")
	require.Len(t, escaped, len(texts))
	for i, text := range texts {
		p, partial, ok := stateward.StateDirectoryPath("a@"+escaped[i]+".service", "x%I")
		require.True(t, ok, "%q", text)
		require.False(t, partial)
		require.Equal(t, "/var/lib/x"+text, p.String())
	}
}

func FuzzStateDirectoryPath(f *testing.F) {
	f.Add("a@b.service", "x/%i:y:ro")
	f.Add("a@.service", "%i%")
	f.Add(`a-\x2d\x@.`, "%J%P%%/..")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, unit, text string) {
		p, partial, ok := stateward.StateDirectoryPath(unit, text)
		if !ok {
			require.True(t, p.IsZero())
			return
		}
		require.True(t, p.Below(stateward.MustPath("/var/lib")))
		again, err := stateward.ParsePath(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
		if !strings.ContainsAny(text, `%\:`) {
			require.False(t, partial)
			want, joined := stateward.MustPath("/var/lib").Join(text)
			require.True(t, joined)
			require.Equal(t, want, p)
		}
	})
}
