package nixbridge_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/storepath"
	"github.com/stateward/stateward/nixbridge"
)

// show prints units without hashes, as one text.
func show(h *nixbridge.HostUnits) string {
	var b strings.Builder
	for _, u := range h.Units {
		b.WriteString("== " + u.Name)
		if u.Masked {
			b.WriteString(" masked")
		}
		if u.DropIn {
			b.WriteString(" drop-in")
		}
		if u.Derivation == "" {
			b.WriteString(" (no derivation)")
		}
		b.WriteString("\n" + u.Text)
		for _, s := range u.Scripts {
			b.WriteString("-- " + s.Path + "\n" + s.Text)
		}
		for _, u := range u.Unknown {
			b.WriteString("?? " + u.Subject + ": " + u.Message + "\n")
		}
	}
	for _, u := range h.Unknown {
		b.WriteString("?? " + u.Subject + ": " + u.Message + "\n")
	}
	return storepath.ReplaceHashes(b.String(), "")
}

const wholeUnits = `== masked.service masked
== sonarr.service
[Service]
Environment="DB_PASSWORD=‹hidden›" "LANG=C"
ExecStartPre=-/nix/store/-unit-script-sonarr-start/bin/unit-script-sonarr-start
ExecStartPre=+/nix/store/-prepare.sh --fast
ExecStart=/nix/store/-hello-1.0/bin/hello --config /nix/store/-hello.conf
ExecStop=/bin/sh /nix/store/-stop.sh
-- /nix/store/-unit-script-sonarr-start/bin/unit-script-sonarr-start
#!/bin/sh
export SONARR_TOKEN=‹hidden›
"a\b"	ü
/nix/store/-wipe now
/nix/store/-hello-1.0/bin/hello
-- /nix/store/-wipe
#!/bin/sh
rm -rf /var/lib/wiped/*
-- /nix/store/-prepare.sh
#!/bin/sh
mkdir -p /var/lib/sonarr
-- /nix/store/-stop.sh
#!/bin/sh
echo stopped
== sonarr.timer
[Timer]
OnCalendar=daily
== structured.service
[Service]
Type=oneshot
== var-lib-x\x2dy.mount drop-in
[Mount]
Where=/var/lib/x-y
`

// TestUnits: the texts of units and of what they start are read from derivations, and each that cannot be had costs itself (N4, N6).
func TestUnits(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		hosts, err := e.Units(t.Context(), source(t, "testdata/units/hosts.nix"))
		require.NoError(t, err)
		by := map[string]*nixbridge.HostUnits{}
		for _, h := range hosts {
			by[h.Name] = h
		}
		require.Len(t, by, 4)

		require.Empty(t, cmp.Diff(wholeUnits, show(by["whole"])))
		require.Equal(t, stateward.StatusOK, by["whole"].Status)
		require.Equal(t, []string{"dbus-1.14"}, by["whole"].Packages)

		require.Equal(t, stateward.StatusPartial, by["broken"].Status)
		got := show(by["broken"])
		for _, want := range []string{
			"== thrown.service (no derivation)\n?? systemd.units.\"thrown.service\": no such disk\n",
			"== noText.service\n[Unit]\nDescription=there\n?? systemd.units.\"noText.service\".text: no text\n",
			"== noUnit.service (no derivation)\n[Service]\nEnvironment=A_TOKEN=‹hidden›\n?? systemd.units.\"noUnit.service\".unit: the package is broken\n",
			"== missing.service (no derivation)\n[Unit]\nDescription=missing\n?? systemd.units.\"missing.service\".unit: attribute 'nothing' missing\n",
			"== text.service (no derivation)\n[Unit]\nDescription=other\n?? systemd.units.\"text.service\".unit: what makes the unit is no derivation\n",
			"== built.service (no derivation)\n[Unit]\nDescription=built\n?? systemd.units.\"built.service\".unit: the derivation does not hold the text",
			"== both.service (no derivation)\n?? systemd.units.\"both.service\".unit: neither the derivation nor the option holds a text\n",
		} {
			require.Contains(t, got, want)
		}
		for _, whole := range strings.SplitAfter(wholeUnits, "\n== ")[1:] {
			require.Contains(t, got, strings.TrimSuffix(whole, "\n== "), "what is whole is as it is alone")
		}

		require.Equal(t, stateward.StatusPartial, by["none"].Status)
		require.Equal(t, "?? systemd.units: the configuration has no such option\n", show(by["none"]))
		require.Equal(t, stateward.StatusFailed, by["failed"].Status)
		require.ErrorContains(t, by["failed"].Err, "not finished")

		// No secret is left, neither in what is returned nor in the folder.
		all, err := json.Marshal(hosts)
		require.NoError(t, err)
		require.NotContains(t, string(all), "canary")
		_ = filepath.WalkDir(e.CacheDir, func(path string, d os.DirEntry, err error) error {
			require.NoError(t, err)
			require.False(t, strings.HasSuffix(path, ".drv"), path)
			if d.Type().IsRegular() {
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NotContains(t, string(text), "canary", path)
			}
			return nil
		})
	})
}

func TestUnitsByName(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Hosts = []string{"broken"}
		for _, c := range []struct {
			ask  []string
			want []string
		}{
			{[]string{"sonarr"}, []string{"sonarr.service"}},
			{[]string{"sonarr.*", "masked"}, []string{"masked.service", "sonarr.service", "sonarr.timer"}},
			{[]string{`var-lib-x\x2dy.mount`}, []string{`var-lib-x\x2dy.mount`}},
			{[]string{"sonarr?timer"}, []string{"sonarr.timer"}},
		} {
			hosts, err := e.Units(t.Context(), source(t, "testdata/units/hosts.nix"), c.ask...)
			require.NoError(t, err)
			var names []string
			for _, u := range hosts[0].Units {
				names = append(names, u.Name)
				require.Empty(t, u.Unknown)
			}
			require.Equal(t, c.want, names, "%v", c.ask)
			require.Equal(t, stateward.StatusOK, hosts[0].Status, "what was not asked for is not evaluated")
		}
		for _, name := range []string{"s(onarr", "a}", "a]", "", "a b", "a\n"} {
			_, err := e.Units(t.Context(), source(t, "testdata/units/hosts.nix"), name)
			var re *nixbridge.RefusedError
			require.ErrorAs(t, err, &re, name)
		}
	})
}

// The inputs and the source of a flake are in a store of their own, without being copied again.
func TestUnitsOfFlake(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := t.TempDir()
		for _, f := range []string{"hosts.nix", "prepare.sh"} {
			text, err := os.ReadFile(filepath.Join("testdata/units", f))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, f), text, 0o755))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte("{ outputs = _: { nixosConfigurations = { inherit (import ./hosts.nix) whole; }; }; }"), 0o600))
		for range 2 {
			hosts, err := e.Units(t.Context(), source(t, "path:"+dir))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(wholeUnits, show(hosts[0])))
			// An ordinary evaluation beside it finds its store as it left it.
			_, err = e.Evaluate(t.Context(), source(t, "path:"+dir))
			require.NoError(t, err)
		}
		left, err := filepath.Glob(filepath.Join(e.CacheDir, "tmp/*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestUnitsOfSavedEvaluation(t *testing.T) {
	_, err := (&nixbridge.Evaluator{CacheDir: privateDir(t)}).Units(t.Context(), source(t, "hosts.json"))
	var se *nixbridge.SourceError
	require.True(t, errors.As(err, &se), "%v", err)
}
