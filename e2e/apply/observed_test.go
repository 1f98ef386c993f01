//go:build e2e

package apply_test

import (
	"testing"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// What quotas of users and groups are is seen, so that they are set once.
func TestQuotasOfUsers(t *testing.T) {
	fresh(t)
	fs := func(name string, settings ...string) dataset.Wanted {
		return wants(t, name, dataset.Filesystem, settings...)
	}
	a := fs("tank/a", "mountpoint=/srv/a", "userquota@sonarr=1G", "groupquota@media=none", "projectquota@42=4G", "userobjquota@4711=40")
	b := fs("tank/b", "mountpoint=none", "canmount=off", "userquota@0=2G")
	equal(t, 3, len(run(t, a))-1)
	before := history(t)
	equal(t, []string{"nothing to do"}, run(t, a))
	equal(t, before, history(t))
	equal(t, "1073741824", command(t, "zfs", "get", "-Hpo", "value", "userquota@4990", "tank/a"))

	command(t, "zfs", "set", "userquota@sonarr=5G", "tank/a")
	equal(t, []string{"applied", "zfs set -- userquota@sonarr=1G tank/a", "zfs create -u -o canmount=off -o mountpoint=none -o userquota@0=2G -- tank/b"}, run(t, a, b)[:3])
	equal(t, []string{"nothing to do"}, run(t, a, b))
	equal(t, []string{"conflicts", "tank/c owner is unknown"}, run(t, fs("tank/c", "mountpoint=none", "userquota@whoever=1G")))

	// With its key unloaded nothing is known of them, and nothing can be set.
	locked := fs("tank/locked", "mountpoint=none", "encryption=on", "keyformat=passphrase", "keylocation=file:///run/keys/passphrase", "userquota@sonarr=1G")
	run(t, locked)
	equal(t, []string{"nothing to do"}, run(t, locked))
	command(t, "zfs", "unload-key", "tank/locked")
	equal(t, []string{"conflicts", "tank/locked was not observed"}, run(t, locked))
}

// Two names of one number own the same.
func TestTwoNamesOfOneNumber(t *testing.T) {
	fresh(t)
	add("/etc/passwd", "sonarr-too:x:4990:4991::/:/bin/false\n")
	w := wants(t, "tank/a", dataset.Filesystem, "mountpoint=/srv/a")
	for _, owner := range []string{"sonarr-too", "sonarr", "4990"} {
		w.Owner = stateward.MustOwner(owner)
		run(t, w)
		equal(t, []string{"nothing to do"}, run(t, w))
	}
}
