// Package nixos is the dialect of NixOS' own options, with those of Impermanence
// and disko beside them.
package nixos

import (
	_ "embed"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Name of the dialect.
const Name = "nixos"

//go:embed projection.nix
var projection string

// Dialect returns the dialect. It applies where a configuration has `fileSystems`,
// `systemd` or `environment.persistence`.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: Name, Projection: projection, Sections: dialect.SectionNames(projection), Decode: decode}
}

func decode(n *dialect.Node, h *stateward.Host) {
	h.HostName = n.At("networking", "hostName").Filled()
	dialect.Merge(&h.Mentions, mentions(n))
	dialect.MergeWhole(&h.Persistence, persistence(n))
	dialect.MergeWhole(&h.FileSystems, fileSystems(n.At("fileSystems")))
	dialect.MergeWhole(&h.Mounts, mounts(n.At("systemd", "mounts")))
	dialect.MergeWhole(&h.Mounts, initrdMounts(n.At("boot", "initrd", "systemd")))
	dialect.MergeWhole(&h.Datasets, datasets(n.At("disko", "devices", "zpool")))
	dialect.MergeWhole(&h.ExtraPools, n.At("boot", "zfs", "extraPools").Strings())
	initrd(n.At("boot"), &h.Initrd)

	units := units(n.At("systemd", "services"))
	dialect.Merge(&h.Units, stateward.MapValue(units, func(us []unit) ([]stateward.Unit, error) {
		list := make([]stateward.Unit, len(us))
		for i := range us {
			list[i] = us[i].Unit
		}
		return list, nil
	}))
	rules := tmpfiles(n)
	dialect.Merge(&h.Tmpfiles, rules)
	dialect.MergeWhole(&h.Links, links(n, rules))
	users := users(n.At("users", "users"))
	dialect.Merge(&h.Services, services(n, units.Or(nil), withoutPreserved(n, rules.Or(nil)), users.Or(nil)))

	dialect.Merge(&h.ActivationScripts, activationScripts(n.At("system", "activationScripts")))
	dialect.Merge(&h.Timers, timers(n.At("systemd", "timers")))

	dialect.Merge(&h.Jobs, resticJobs(n.At("services", "restic", "backups")))
	dialect.Merge(&h.Jobs, borgJobs(n.At("services", "borgbackup", "jobs")))
	dialect.Merge(&h.PITR, pitr(n.At("services", "postgresql"), n.At("services", "pgbackrest")))
	sanoid(n.At("services", "sanoid"), h)
	dialect.Merge(&h.Replications, replications(n.At("services", "syncoid")))

	dialect.MergeWhole(&h.Users, users)
	dialect.MergeWhole(&h.Groups, groups(n.At("users", "groups")))

	dialect.Merge(&h.HostKeys, hostKeys(n))
	dialect.Merge(&h.SecretKeys, secretKeys(n))

	dialect.Merge(&h.FailedAssertions, dialect.ListOf(n.At("assertions"), failedAssertion))
	dialect.Merge(&h.Warnings, n.At("warnings").Texts())
}

// failedAssertion reads one of the failing assertions. One whose condition could
// not be evaluated is unknown, and not known to fail.
func failedAssertion(n *dialect.Node) (stateward.Value[string], bool) {
	if n.Kind() == dialect.Unknown {
		return stateward.Value[string]{}, false
	}
	m := n.At("message").Text()
	if text, ok := m.Get(); ok {
		// The assertion is the subject, not its message.
		return stateward.Known(text, n.Origin()), true
	}
	return m, true
}
