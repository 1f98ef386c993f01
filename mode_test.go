package stateward_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
)

func TestParseMode(t *testing.T) {
	for _, tc := range []struct {
		text string
		want uint16
		err  string
	}{
		{"750", 0o750, ""},
		{"0750", 0o750, ""},
		{"000", 0, ""},
		{"0000", 0, ""},
		{"7777", 0o7777, ""},
		{"1777", 0o1777, ""},
		{"u=rwx,g=rx,o=", 0o750, ""},
		{"o=,g=rx,u=rwx", 0o750, ""},
		{"a=rx", 0o555, ""},
		{"ugo=r", 0o444, ""},
		{"ug=rw,o=r", 0o664, ""},
		{"u=rwxs,g=rxs,o=t", 0o7750, ""},
		{"u=,g=,o=", 0, ""},
		{"a=s", 0o6000, ""},
		{"a=t", 0o1000, ""},
		{"u=t,g=t,o=s", 0, ""},
		{"u=rr,g=,o=", 0o400, ""},
		{"", 0, "is empty"},
		{"999", 0, "is not octal"},
		{"0758", 0, "is not octal"},
		{"75x", 0, "is not octal"},
		{"7", 0, "has not three or four digits"},
		{"75", 0, "has not three or four digits"},
		{"07777", 0, "has not three or four digits"},
		{"10000", 0, "has not three or four digits"},
		{"0x1ff", 0, "has not three or four digits"},
		{"0o75", 0, "is not octal"},
		{"+750", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"-750", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{" 750", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"rwxr-x---", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"u=rwx", 0, "does not give all of u, g and o"},
		{"u+x", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"=rwx", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"u=rwx,g=rx,o=,", 0, "is neither octal nor of the form u=rwx,g=rx,o="},
		{"u=rwx,g=u,o=", 0, "has a permission 'u' that is none of r, w, x, s, t"},
		{"u=rwX,g=,o=", 0, "has a permission 'X' that is none of r, w, x, s, t"},
		{"u=r=w,g=,o=", 0, "has a permission '=' that is none of r, w, x, s, t"},
		{"u=rw,u=x,g=,o=", 0, "gives 'u' twice"},
		{"a=r,u=w", 0, "gives 'u' twice"},
		{"x=r,a=r", 0, "names a class 'x' that is none of u, g, o, a"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			m, err := stateward.ParseMode(tc.text)
			if tc.err != "" {
				require.EqualError(t, err, fmt.Sprintf("mode %q %s", tc.text, tc.err))
				var me *stateward.ModeError
				require.ErrorAs(t, err, &me)
				require.NotEmpty(t, me.Hint())
				require.True(t, m.IsZero())
				return
			}
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%04o", tc.want), m.String())
			require.Equal(t, tc.want, m.Bits())
			require.False(t, m.IsZero())
		})
	}
}

func TestModeZeroIsUnset(t *testing.T) {
	var unset stateward.Mode
	require.True(t, unset.IsZero())
	require.Empty(t, unset.String())
	none, err := stateward.NewMode(0)
	require.NoError(t, err)
	require.NotEqual(t, unset, none)
	_, err = stateward.NewMode(0o10000)
	require.EqualError(t, err, `mode "010000" has more than twelve bits`)
}

// symbolicMode draws symbolic modes that name every class once.
var symbolicMode = rapid.Custom(func(t *rapid.T) string {
	perms := rapid.StringMatching(`[rwxst]{0,5}`)
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return "a=" + perms.Draw(t, "all")
	case 1:
		pair := rapid.SampledFrom([][2]string{{"ug", "o"}, {"go", "u"}, {"ou", "g"}}).Draw(t, "pair")
		return pair[0] + "=" + perms.Draw(t, "two") + "," + pair[1] + "=" + perms.Draw(t, "one")
	default:
		var clauses []string
		for _, c := range rapid.Permutation([]string{"u", "g", "o"}).Draw(t, "order") {
			clauses = append(clauses, c+"="+perms.Draw(t, c))
		}
		return strings.Join(clauses, ",")
	}
})

// A symbolic mode means what the real chmod makes of it, whatever the file had before.
func TestSymbolicModeAsChmod(t *testing.T) {
	chmod, stat := program(t, "chmod"), program(t, "stat")
	dir := t.TempDir()
	var script strings.Builder
	var modes []string
	for i := range 200 {
		m := symbolicMode.Example(i)
		before := "0000"
		if i%2 == 1 {
			before = "7777"
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		fmt.Fprintf(&script, "%s %s %s && %s %s %s && %s -c %%a %s || echo failed\n", chmod, before, name, chmod, m, name, stat, name)
		modes = append(modes, m)
	}
	cmd := exec.Command(program(t, "sh"))
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Fields(string(out))
	require.Len(t, lines, len(modes))
	for i, text := range modes {
		m, err := stateward.ParseMode(text)
		require.NoError(t, err, "chmod takes it: %s", text)
		real, err := strconv.ParseUint(lines[i], 8, 16)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%04o", real), m.String(), "%s", text)
	}
}

func TestModeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkMode(t, rapid.OneOf(symbolicMode, rapid.StringMatching(`[0-9]{1,5}`), rapid.String()).Draw(t, "text"))
	})
}

func FuzzParseMode(f *testing.F) {
	for _, s := range []string{"0750", "999", "u=rwx,g=rx,o=", "a=rwxst", "07777", "", "u=,", "a=é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkMode(t, s) })
}

func checkMode(t require.TestingT, s string) {
	m, err := stateward.ParseMode(s)
	if err != nil {
		require.True(t, errors.As(err, new(*stateward.ModeError)))
		require.True(t, m.IsZero())
		return
	}
	require.LessOrEqual(t, m.Bits(), uint16(0o7777))
	again, err := stateward.ParseMode(m.String())
	require.NoError(t, err)
	require.Equal(t, m, again)
	same, err := stateward.NewMode(m.Bits())
	require.NoError(t, err)
	require.Equal(t, m, same)
}

func TestParseOwner(t *testing.T) {
	for _, tc := range []struct{ text, err string }{
		{"root", ""},
		{"sonarr", ""},
		{"_apt", ""},
		{"systemd-network", ""},
		{"first.last", ""},
		{"Sonarr", ""},
		{"4store", ""},
		{"machine$", ""},
		{"0", ""},
		{"1000", ""},
		{"4294967294", ""},
		{strings.Repeat("a", 31), ""},
		{"", "is empty"},
		{strings.Repeat("a", 32), "is longer than 31 bytes"},
		{"4294967295", "is no valid id"},
		{"99999999999999999999", "is no valid id"},
		{"-x", `begins with "-"`},
		{".x", `begins with "."`},
		{"-1", `begins with "-"`},
		{"a b", `contains " "`},
		{"a:b", `contains ":"`},
		{"a$b", `contains "$"`},
		{"a;b", `contains ";"`},
		{"a\nb", `contains "\n"`},
		{"ü", `contains "\xc3"`},
		{"%i", `contains "%"`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			o, err := stateward.ParseOwner(tc.text)
			if tc.err != "" {
				require.EqualError(t, err, fmt.Sprintf("owner %q %s", tc.text, tc.err))
				var oe *stateward.OwnerError
				require.ErrorAs(t, err, &oe)
				require.NotEmpty(t, oe.Hint())
				require.True(t, o.IsZero())
				require.Panics(t, func() { stateward.MustOwner(tc.text) })
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.text, o.String())
			require.False(t, o.IsZero())
		})
	}
}

func FuzzParseOwner(f *testing.F) {
	for _, s := range []string{"root", "0", "4294967295", "a$", "$", "-", "", "ü", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := stateward.ParseOwner(s)
		if err != nil {
			require.True(t, errors.As(err, new(*stateward.OwnerError)))
			require.True(t, o.IsZero())
			return
		}
		require.Equal(t, s, o.String())
		require.False(t, strings.ContainsAny(s, " \t\n\r:;'\"`\\/"), "nothing that a shell, a unit file or chown would split: %q", s)
	})
}
