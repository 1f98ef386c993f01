package sanoid_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/sanoid"
	"github.com/stateward/stateward/internal/nixtest"
)

func end(t testing.TB, text string) sanoid.End {
	e, err := sanoid.ParseEnd(text)
	require.NoError(t, err)
	require.Equal(t, text, e.String())
	return e
}

func sent(t testing.TB) sanoid.Replication {
	return sanoid.Replication{Name: "tank/services/paperless", Source: end(t, "tank/services/paperless"), Target: end(t, "backup@nas:tank/backup/forge/paperless"),
		SSHKey: "/run/secrets/syncoid", KnownHosts: "/etc/stateward/known_hosts", Limit: "10M"}
}

func TestS4NothingIsRolledBackMountedOrDestroyed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*sanoid.Replication)
		want   string
	}{
		"to another machine": {func(*sanoid.Replication) {}, `syncoid --no-privilege-elevation --quiet --no-rollback --compress=none --no-sync-snap --create-bookmark --source-bwlimit=10M --sshoption=BatchMode=yes --sshoption=StrictHostKeyChecking=yes ` +
			`--sshoption=UserKnownHostsFile=/etc/stateward/known_hosts --sshoption=GlobalKnownHostsFile=/dev/null --sshkey=/run/secrets/syncoid --sendoptions=Lce --recvoptions=u o canmount=noauto o readonly=on tank/services/paperless backup@nas:tank/backup/forge/paperless`},
		"S7 raw, and what is below, to another pool": {func(r *sanoid.Replication) {
			*r = sanoid.Replication{Name: "a", Source: end(t, "tank/a"), Target: end(t, "vault/a"), Recursive: true, Raw: true}
		}, "syncoid --no-privilege-elevation --quiet --no-rollback --compress=none --no-sync-snap --create-bookmark --recursive --sendoptions=w --recvoptions=u o canmount=noauto o readonly=on tank/a vault/a"},
		"S3 a snapshot of its own": {func(r *sanoid.Replication) {
			*r = sanoid.Replication{Name: "a", Source: end(t, "tank/a"), Target: end(t, "vault/a"), Base: sanoid.SyncSnapshot, Identifier: "vault", Override: map[string]string{"canmount": "off", "mountpoint": "none"}}
		}, "syncoid --no-privilege-elevation --quiet --no-rollback --compress=none --use-hold --identifier=vault --sendoptions=Lce --recvoptions=u o canmount=off o mountpoint=none o readonly=on tank/a vault/a"},
		"a volume": {func(r *sanoid.Replication) {
			*r = sanoid.Replication{Name: "a", Source: end(t, "tank/v"), Target: end(t, "vault/v"), Volume: true}
		}, "syncoid --no-privilege-elevation --quiet --no-rollback --compress=none --no-sync-snap --create-bookmark --sendoptions=Lce --recvoptions=u o readonly=on tank/v vault/v"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sent(t)
			tc.change(&r)
			args, err := r.Command()
			require.NoError(t, err)
			require.Equal(t, tc.want, strings.Join(args, " "))
		})
	}
}

func TestReplicationIsRefused(t *testing.T) {
	for want, change := range map[string]func(*sanoid.Replication){
		`replication "tank/services/paperless": target is a whole pool`: func(r *sanoid.Replication) { r.Target.Dataset = "vault" },
		`replication "a": target is on the pool of the source, and dies with it`: func(r *sanoid.Replication) {
			*r = sanoid.Replication{Name: "a", Source: end(t, "tank/a"), Target: end(t, "tank/b/a")}
		},
		`replication "tank/services/paperless": source is none: "x@y;reboot" is no user and host of letters, digits, ., _ and -`: func(r *sanoid.Replication) {
			r.Source.User, r.Source.Host, r.Target.User, r.Target.Host = "x", "y;reboot", "", ""
		},
		`replication "tank/services/paperless": the ssh key is "/k $(reboot)", which is no absolute path of letters, digits and /_-.+@=,`:   func(r *sanoid.Replication) { r.SSHKey = "/k $(reboot)" },
		`replication "tank/services/paperless": the file of host keys is "/a%h", which is no absolute path of letters, digits and /_-.+@=,`: func(r *sanoid.Replication) { r.KnownHosts = "/a%h" },
		`replication "tank/services/paperless": the limit is "fast", which is no number of bytes a second such as 10M`:                      func(r *sanoid.Replication) { r.Limit = "fast" },
		`replication "tank/services/paperless": canmount is "on", and what is received must neither be mounted nor changed`:                 func(r *sanoid.Replication) { r.Override = map[string]string{"canmount": "on"} },
		`replication "tank/services/paperless": mountpoint is "/srv", and what is received belongs to no place here`:                        func(r *sanoid.Replication) { r.Override = map[string]string{"mountpoint": "/srv"} },
		`replication "tank/services/paperless": the property "x:y" is nothing that syncoid hands on as it is`:                               func(r *sanoid.Replication) { r.Override = map[string]string{"x:y": "a b"} },
		`replication "-r": the name has something else than letters, digits, _, -, ., : and /`:                                              func(r *sanoid.Replication) { r.Name = "-r" },
		`replication "tank/services/paperless": the identifier is "a b", which has something else than letters, digits, -, _, : and .`:      func(r *sanoid.Replication) { r.Identifier = "a b" },
	} {
		r := sent(t)
		change(&r)
		_, err := r.Command()
		require.EqualError(t, err, want)
		_, _, err = r.Units(sanoid.UnitOptions{Syncoid: "/bin/syncoid", User: "syncoid", OnCalendar: []string{"daily"}})
		require.EqualError(t, err, want)
		_, err = sanoid.Nix([]sanoid.Replication{r}, "daily", 0, nil)
		require.EqualError(t, err, want)
		_, err = r.Allows("syncoid")
		require.EqualError(t, err, want)
	}
	for _, text := range []string{"nas:tank/a", "x@nas", "x@nas:", "", "tank/a b", "-x@nas:tank/a", "tank@a"} {
		_, err := sanoid.ParseEnd(text)
		require.Error(t, err, text)
	}
}

func TestS5Allow(t *testing.T) {
	text := func(r sanoid.Replication) []string {
		list, err := r.Allows("syncoid")
		require.NoError(t, err)
		var out []string
		for _, a := range list {
			for _, p := range a.Permissions {
				require.NotEmpty(t, p.Why)
			}
			out = append(out, strings.TrimSpace(a.Host+" "+strings.Join(a.Command(), " ")))
		}
		return out
	}
	require.Empty(t, cmp.Diff([]string{"zfs allow -u syncoid bookmark,hold,send tank/services/paperless", "nas zfs allow -u backup canmount,create,mount,readonly,receive tank/backup/forge"}, text(sent(t))))
	r := sanoid.Replication{Name: "a", Source: end(t, "tank/a"), Target: end(t, "root@nas:x/a"), Base: sanoid.SyncSnapshot}
	require.Empty(t, cmp.Diff([]string{"zfs allow -u syncoid destroy,hold,mount,release,send,snapshot tank/a"}, text(r)))
}

func TestUnitsOfAReplication(t *testing.T) {
	r := sent(t)
	service, timer, err := r.Units(sanoid.UnitOptions{Syncoid: "/usr/sbin/syncoid", User: "syncoid", Path: []string{"/usr/sbin", "/usr/bin"}, OnCalendar: []string{"daily"}, RandomizedDelay: "30min"})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(`[Unit]
Description=Send snapshots of tank/services/paperless to backup@nas:tank/backup/forge/paperless
After=zfs.target
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/sbin/syncoid --no-privilege-elevation --quiet --no-rollback --compress=none --no-sync-snap --create-bookmark --source-bwlimit=10M --sshoption=BatchMode=yes --sshoption=StrictHostKeyChecking=yes --sshoption=UserKnownHostsFile=/etc/stateward/known_hosts --sshoption=GlobalKnownHostsFile=/dev/null --sshkey=/run/secrets/syncoid --sendoptions=Lce "--recvoptions=u o canmount=noauto o readonly=on" tank/services/paperless backup@nas:tank/backup/forge/paperless
TimeoutStartSec=1d
User=syncoid
Environment=PATH=/usr/sbin:/usr/bin
PrivateTmp=true
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=read-only
Nice=10
IOSchedulingClass=idle
`, service))
	require.Empty(t, cmp.Diff(`[Unit]
Description=When to send snapshots of tank/services/paperless

[Timer]
OnCalendar=daily
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
`, timer))
	for _, analyze := range filepath.SplitList(os.Getenv("STATEWARD_TEST_SYSTEMD")) {
		dir := t.TempDir()
		// The program has to be there for it.
		service := strings.Replace(service, "/usr/sbin/syncoid", "/bin/true", 1)
		for name, text := range map[string]string{".service": service, ".timer": timer} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, r.UnitName()+name), []byte(text), 0o600))
		}
		out, err := exec.Command(analyze, "verify", filepath.Join(dir, r.UnitName()+".timer")).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), r.UnitName())
	}
}

func TestNixOfAReplication(t *testing.T) {
	r := sent(t)
	text, err := sanoid.Nix([]sanoid.Replication{r, {Name: "a", Source: end(t, "tank/a"), Target: end(t, "vault/a")}}, "daily", 0, nil)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		var got map[string]any
		n.JSON(t, text, &got)
		require.Empty(t, cmp.Diff(map[string]any{"enable": true, "interval": "daily", "commands": map[string]any{
			"a": map[string]any{"source": "tank/a", "target": "vault/a", "recursive": false, "sendOptions": "Lce", "recvOptions": "u o canmount=noauto o readonly=on", "useCommonArgs": false,
				"extraArgs":        []any{"--quiet", "--no-rollback", "--compress=none", "--no-sync-snap", "--create-bookmark"},
				"localSourceAllow": []any{"bookmark", "hold", "send"}, "localTargetAllow": []any{"canmount", "create", "mount", "readonly", "receive"}},
			"tank/services/paperless": map[string]any{"source": "tank/services/paperless", "target": "backup@nas:tank/backup/forge/paperless", "recursive": false, "sendOptions": "Lce",
				"recvOptions": "u o canmount=noauto o readonly=on", "sshKey": "/run/secrets/syncoid", "useCommonArgs": false, "localSourceAllow": []any{"bookmark", "hold", "send"},
				"extraArgs": []any{"--quiet", "--no-rollback", "--compress=none", "--no-sync-snap", "--create-bookmark", "--source-bwlimit=10M", "--sshoption=BatchMode=yes", "--sshoption=StrictHostKeyChecking=yes",
					"--sshoption=UserKnownHostsFile=/etc/stateward/known_hosts", "--sshoption=GlobalKnownHostsFile=/dev/null"}},
		}}, got))
	}
}

func TestModuleOfAHost(t *testing.T) {
	c := example()
	text, err := sanoid.Module(c, "hourly", []sanoid.Replication{sent(t)}, "daily", nil)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		var got struct {
			Services map[string]struct{ Interval string }
		}
		n.JSON(t, "("+text+") { }", &got)
		require.Equal(t, "hourly", got.Services["sanoid"].Interval)
		require.Equal(t, "daily", got.Services["syncoid"].Interval)
	}
}

func TestReplicationsOfAHost(t *testing.T) {
	known := func(s string) stateward.Value[string] { return stateward.Known(s, stateward.Origin{}) }
	h := &stateward.Host{
		Datasets: stateward.Known([]stateward.Dataset{{Name: "tank/v", Type: known("volume")}, {Name: "tank/a/v", Type: known("volume")}}, stateward.Origin{}),
		Replications: stateward.Known([]stateward.Replication{
			{Name: "v", Source: known("tank/v"), Target: known("vault/v")},
			{Name: "raw", Source: known("tank/e"), Target: known("x@nas:vault/e"), SendOptions: known("w"), ExtraArgs: stateward.Known([]string{"--force-delete"}, stateward.Origin{})},
			{Name: "below", Source: known("tank/a"), Target: known("vault/a"), Recursive: stateward.Known(true, stateward.Origin{})},
			{Name: "unknown", Source: known("tank/b"), Target: stateward.NotKnown[string](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "no target"})},
			{Name: "same", Source: known("tank/b"), Target: known("tank/c/b")},
		}, stateward.Origin{}),
	}
	list, faults := sanoid.ReplicationsFromHost(h)
	require.Len(t, list, 2)
	require.True(t, list[0].Raw)
	require.True(t, list[1].Volume)
	args, err := list[0].Command()
	require.NoError(t, err)
	require.NotContains(t, strings.Join(args, " "), "force")
	var got []string
	for _, x := range faults {
		got = append(got, x.Error())
	}
	require.Empty(t, cmp.Diff([]string{
		`replication below: replication "below": the source has the volume tank/a/v below it, which has no canmount that could be set`,
		`replication same: replication "same": target is on the pool of the source, and dies with it`,
		"replication unknown: x: no target",
	}, got))
}

func TestS7WhatIsAskedForIsSentRawWhereItIsEncrypted(t *testing.T) {
	known := func(s string) stateward.Value[string] { return stateward.Known(s, stateward.Origin{}) }
	with := func(name string, encryption stateward.Value[string], asked ...stateward.AskedReplication) stateward.Dataset {
		d := stateward.Dataset{Name: name, Replicate: asked}
		if !encryption.IsAbsent() {
			d.Properties = map[string]stateward.Value[string]{"encryption": encryption}
		}
		return d
	}
	absent := stateward.Value[string]{}
	throws := stateward.NotKnown[string](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "it throws"})
	to := func(at string) stateward.AskedReplication {
		return stateward.AskedReplication{Target: known("b@nas:vault/" + at)}
	}
	recursive, clear := to("r"), to("clear")
	recursive.Recursive, clear.Raw = stateward.Known(true, stateward.Origin{}), stateward.Known(false, stateward.Origin{})
	h := &stateward.Host{Datasets: stateward.Known([]stateward.Dataset{
		with("tank/a", known("on")), with("tank/a/b", absent, to("inherited")), with("tank/a/c", known("off"), to("plain")), with("tank/a/d", absent, clear),
		with("tank/r", absent, recursive), with("tank/r/x", known("aes-256-gcm")), with("tank/u", throws, to("unknown")),
	}, stateward.Origin{})}
	list, faults := sanoid.ReplicationsFromHost(h)
	got := map[string]bool{}
	for _, r := range list {
		got[r.Target.Dataset] = r.Raw
	}
	require.Equal(t, map[string]bool{"vault/inherited": true, "vault/plain": false, "vault/clear": false, "vault/r": true}, got)
	require.Len(t, faults, 1)
	require.EqualError(t, faults[0], `replication of tank/u: replication "tank/u": raw is left open, and whether the source is encrypted is not known: x: it throws`)
}

func TestD10UnitsOfReplicationsHaveNamesOfTheirOwn(t *testing.T) {
	known := func(s string) stateward.Value[string] { return stateward.Known(s, stateward.Origin{}) }
	asked := func(at string) stateward.AskedReplication {
		return stateward.AskedReplication{Target: known(at)}
	}
	h := &stateward.Host{
		Datasets: stateward.Known([]stateward.Dataset{{Name: "tank/a-b", Replicate: []stateward.AskedReplication{asked("b@x:vault/a"), asked("b@y:vault/a")}}, {Name: "tank/srv", Replicate: []stateward.AskedReplication{asked("b@x:vault/srv")}}}, stateward.Origin{}),
		Replications: stateward.Known([]stateward.Replication{
			{Name: "tank/a/b", Source: known("tank/a/b"), Target: known("vault/ab")},
			{Name: "tank/a:b", Source: known("tank/c"), Target: known("vault/c")},
			{Name: "tank/srv", Source: known("tank/srv"), Target: known("vault/srv")},
		}, stateward.Origin{}),
	}
	list, faults := sanoid.ReplicationsFromHost(h)
	var got []string
	for _, r := range list {
		got = append(got, r.UnitName()+" "+r.Target.String())
	}
	require.Equal(t, []string{"stateward-syncoid-tank-a-b-2 b@x:vault/a", "stateward-syncoid-tank-a-b-3 b@y:vault/a", "stateward-syncoid-tank-a-b vault/ab", "stateward-syncoid-tank-srv vault/srv", "stateward-syncoid-tank-srv-2 b@x:vault/srv"}, got)
	require.Len(t, faults, 1)
	require.EqualError(t, faults[0], `replication tank/a:b: replication "tank/a:b": the name gives the unit stateward-syncoid-tank-a-b, as tank/a/b does`)
}

func TestWhatIsAskedForMayBeUnknown(t *testing.T) {
	h := &stateward.Host{Datasets: stateward.NotKnown[[]stateward.Dataset](stateward.Unknown{Subject: "stateward.services", Kind: stateward.UnknownThrow, Message: "it throws"})}
	_, faults := sanoid.FromHost(h)
	require.Len(t, faults, 1)
	require.EqualError(t, faults[0], "datasets: stateward.services: it throws")
	_, faults = sanoid.ReplicationsFromHost(h)
	require.Len(t, faults, 1)
}
