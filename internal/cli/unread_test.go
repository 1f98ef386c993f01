package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
)

// unreadSections are read by no check yet: that they cannot be had is listed, and is no finding.
var unreadSections = map[string]bool{
	"modules.filesystems.zfs": true,
	// It is read where stateward.pitr asks for something, and the plan of that says so.
	"services.postgresql.package": true,
	// A diff says that it is not known any more.
	"stateward.guard": true,
	// These tell what a capture is of, and what is in use: without one, no check asks.
	"networking.hostName": true, "swapDevices": true, "boot.initrd.network.ssh.hostKeys": true,
}

// A section that cannot be had is a warning, or is said to be read by no check: none of them vanishes.
func TestSectionsThatCannotBeHadAreFindings(t *testing.T) {
	t.Parallel()
	const sound = `boot.initrd.systemd.enable = true; preservation = { enable = true; preserveAt = { }; }; fileSystems."/" = { device = "/dev/a"; fsType = "ext4"; }; qgroget = { }; modules.storage.datasets = { }; virtualisation.oci-containers = { backend = "%s"; containers.x = { }; }; containers.x = { }; services.postgresql.enable = true; stateward.pitr.postgresql = { };`
	var b strings.Builder
	b.WriteString("let merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b; in {\n")
	var sections []string
	for _, d := range nixbridge.BuiltinDialects() {
		for _, s := range d.Sections {
			if slices.Contains(sections, s) || strings.HasPrefix(s, "rows-") || s == "services.postgresql.pgbackrestConf" {
				continue // read by another dialect too, or no option: the text of a file of environment.etc
			}
			sections = append(sections, s)
			backend := "podman"
			if strings.Contains(s, "docker") {
				backend = "docker"
			}
			fmt.Fprintf(&b, "  %q.config = merge { %s } { %s = throw %q; };\n", s, fmt.Sprintf(sound, backend), s, "no "+s)
		}
	}
	b.WriteString("}\n")
	file := filepath.Join(t.TempDir(), "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))

	out := checkJSON(t, t.TempDir(), file)
	require.Len(t, out.Hosts, len(sections))
	for _, h := range out.Hosts {
		require.Nil(t, h.Error, "%s: %+v", h.Name, h.Error)
		require.Equal(t, stateward.StatusPartial, h.Status, h.Name)
		warned := false
		for _, d := range h.Findings {
			// One error that takes several values away is one finding, of the first of them.
			if d.Code == "SW603" && (d.Subject == h.Name || strings.HasPrefix(h.Name, d.Subject+".") || strings.Contains(d.Message, "no "+h.Name)) {
				warned = true
				require.Equal(t, stateward.SeverityWarning, d.Severity)
			}
		}
		require.Equal(t, !unreadSections[h.Name], warned, "%s: %v", h.Name, h.Findings)
		require.NotEmpty(t, h.Unknown, h.Name)
	}
}
