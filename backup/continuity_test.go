package backup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

func sanoidSection(name, recursive string, settings ...string) stateward.SnapshotPolicy {
	p := stateward.SnapshotPolicy{Name: name, Recursive: known(recursive, ""), Schedule: known([]string{"hourly"}, ""), Settings: map[string]stateward.Value[string]{}, Origin: stateward.Origin{Option: name}}
	for _, s := range settings {
		key, val, _ := strings.Cut(s, "=")
		p.Settings[key] = known(val, name)
	}
	return p
}

func syncoidCommand(name, source, target string, args ...string) stateward.Replication {
	return stateward.Replication{Name: name, Source: known(source, ""), Target: known(target, ""), Schedule: known([]string{"daily"}, ""), ExtraArgs: known(args, "")}
}

// What a recursive section has takes the place of sanoid's defaults below it: backup/sanoid compares that with sanoid.
func TestS1SettingsAreHandedDown(t *testing.T) {
	text := func(h *stateward.Host, name, key string) string {
		policies, faults := backup.SnapshotPolicies(h)
		require.Empty(t, faults)
		for _, p := range policies {
			if p.Dataset == name {
				s := p.Settings[key]
				if _, unknown := s.Why(); unknown {
					return "unknown"
				}
				if s.Default {
					return s.Or("") + " by default"
				}
				return s.Or("")
			}
		}
		return "no policy"
	}
	unknownWay := sanoidSection("tank", "yes", "daily=7")
	unknownWay.Recursive = stateward.NotKnown[string](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow})
	for _, tc := range []struct {
		name          string
		above         stateward.SnapshotPolicy
		daily, weekly string
		policy        bool
	}{
		{"not recursive", sanoidSection("tank", "no", "daily=7", "weekly=3"), "90 by default", "0 by default", true},
		{"recursive", sanoidSection("tank", "yes", "daily=7", "weekly=3"), "7", "3", true},
		{"atomic", sanoidSection("tank", "zfs", "daily=7", "weekly=3"), "7", "3", true},
		{"it is not known whether", unknownWay, "unknown", "unknown", false},
		{"of another", sanoidSection("tank/ab", "yes", "daily=7", "weekly=3"), "90 by default", "0 by default", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &stateward.Host{SnapshotTemplates: known([]stateward.SnapshotPolicy{}, ""), Snapshots: known([]stateward.SnapshotPolicy{sanoidSection("tank/a", "no", "hourly=5"), tc.above}, "")}
			require.Equal(t, tc.daily, text(h, "tank/a", "daily"))
			require.Equal(t, tc.weekly, text(h, "tank/a", "weekly"))
			require.Equal(t, "5", text(h, "tank/a", "hourly"))
			policies, _ := backup.SnapshotPolicies(h)
			for _, p := range policies {
				if p.Dataset == "tank/a" {
					require.Equal(t, tc.policy, p.Policy.IsKnown())
				}
			}
		})
	}
}

func TestS3Continuity(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy stateward.SnapshotPolicy
		args   string
		want   string
	}{
		{"12 hourly snapshots, sent once a day", sanoidSection("tank/a", "no", "hourly=12", "daily=0", "monthly=0"), "--no-sync-snap", "broken: what was sent is kept for as little as 11h, as one of 12 hourly snapshots, and the next run may be 1d 1min later"},
		{"dailies last", sanoidSection("tank/a", "no", "hourly=12", "daily=7", "monthly=0"), "--no-sync-snap", "kept: what was sent is kept for as little as 6d, as one of 7 daily snapshots: 4 runs in a row may fail"},
		{"one daily may be just one day old", sanoidSection("tank/a", "no", "hourly=0", "daily=1", "monthly=0"), "--no-sync-snap", "broken: what was sent is kept for as little as 0, as one of 1 daily snapshots, and the next run may be 1d 1min later"},
		{"a policy above", sanoidSection("tank", "yes", "hourly=12", "daily=0", "monthly=0"), "--no-sync-snap", "broken: what was sent is kept for as little as 11h, as one of 12 hourly snapshots, and the next run may be 1d 1min later"},
		{"a bookmark", sanoidSection("tank/a", "no", "hourly=12", "daily=0", "monthly=0"), "--no-sync-snap --create-bookmark", "kept: a bookmark or a hold keeps what was sent"},
		{"a snapshot of syncoid", sanoidSection("tank/a", "no", "hourly=12", "daily=0", "monthly=0"), "", "kept: syncoid makes a snapshot of its own and keeps it until the next run"},
		{"nothing is pruned", sanoidSection("tank/a", "no", "hourly=1", "autoprune=no"), "--no-sync-snap", "kept: nothing is pruned"},
		{"nothing is taken", sanoidSection("tank/a", "no", "autosnap=no"), "--no-sync-snap", "unknown: sanoid takes no snapshots of tank/a that it keeps, and who does is not known"},
		{"no policy", sanoidSection("tank/b", "no"), "--no-sync-snap", "unknown: no policy that is read says how long snapshots of tank/a are kept"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &stateward.Host{SnapshotTemplates: known([]stateward.SnapshotPolicy{}, ""), Snapshots: known([]stateward.SnapshotPolicy{tc.policy}, ""),
				Replications: known([]stateward.Replication{syncoidCommand("a", "tank/a", "nas:x/a", strings.Fields(tc.args)...)}, "")}
			policies, _ := backup.SnapshotPolicies(h)
			replications, faults := backup.Replications(h)
			require.Empty(t, faults)
			c := backup.Continuity(policies, &replications[0], noon, time.UTC)
			require.Equal(t, tc.want, c.State.String()+": "+c.Why)
		})
	}
}

func TestS8Collisions(t *testing.T) {
	recursive := func(r stateward.Replication) stateward.Replication {
		r.Recursive = known(true, "")
		return r
	}
	for _, tc := range []struct {
		name string
		list []stateward.Replication
		want []string
	}{
		{"two to two", []stateward.Replication{syncoidCommand("a", "tank/a", "nas:x/a"), syncoidCommand("b", "tank/b", "nas:x/b")}, nil},
		{"one to two", []stateward.Replication{syncoidCommand("a", "tank/a", "nas:x/a"), syncoidCommand("b", "tank/a", "nas:y/a")}, nil},
		{"two to one", []stateward.Replication{syncoidCommand("a", "tank/a", "nas:x/a"), syncoidCommand("b", "tank/b", "root@NAS:x/a")},
			[]string{"b: replication a and replication b have the same target nas:x/a: each finds the snapshots of the other there, and none of its own"}},
		{"on the pool of the source", []stateward.Replication{syncoidCommand("a", "tank/a", "tank/backup/a")}, []string{"a: replication a goes to the pool of its source, tank, and dies with it"}},
		{"on the same pool by way of a connection", []stateward.Replication{syncoidCommand("a", "tank/a", "x@localhost:tank/backup/a")}, []string{"a: replication a goes to the pool of its source, tank, and dies with it"}},
		{"a pool of the same name elsewhere", []stateward.Replication{syncoidCommand("a", "tank/a", "nas:tank/a")}, nil},
		{"into itself", []stateward.Replication{recursive(syncoidCommand("a", "tank", "tank/backup"))}, []string{"a: replication a sends tank into itself"}},
		{"within a recursive one", []stateward.Replication{recursive(syncoidCommand("a", "tank", "nas:x/forge")), syncoidCommand("b", "rpool/home", "nas:x/forge/home")},
			[]string{"b: the target of replication b lies within that of replication a, which is recursive"}},
		{"the same within a recursive one", []stateward.Replication{recursive(syncoidCommand("a", "tank", "nas:x/forge")), syncoidCommand("b", "tank/home", "nas:x/forge/home")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, faults := backup.Replications(&stateward.Host{Replications: known(tc.list, "")})
			require.Empty(t, faults)
			var got []string
			for _, c := range backup.Collisions(list) {
				require.NotEmpty(t, c.Hint)
				got = append(got, c.Replication+": "+c.Message)
			}
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
}

func TestS4Hazards(t *testing.T) {
	for _, tc := range []struct {
		name, recv, args string
		want             []string
	}{
		{"none", "u o canmount=noauto o readonly=on", "--no-rollback", nil},
		{"no mountpoint", "uo mountpoint=none", "--no-rollback", nil},
		{"nothing is said", "", "", []string{"replication a may roll the target back (zfs receive -F), which destroys snapshots that only the target has", "replication a lets the target be mounted, where it may hide a path that is in use"}},
		{"the next boot mounts it", "u", "--no-rollback", []string{"replication a lets the target be mounted, where it may hide a path that is in use"}},
		{"it is deleted", "u o canmount=off", "--no-rollback --force-delete", []string{"replication a has --force-delete: where no common snapshot is found, the target is destroyed with all that is below it"}},
		{"its snapshots are deleted", "u o canmount=off", "--no-rollback --delete-target-snapshots", []string{"replication a has --delete-target-snapshots: a snapshot that is deleted on the source is destroyed on the target too"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := syncoidCommand("a", "tank/a", "nas:x/a", strings.Fields(tc.args)...)
			r.RecvOptions = known(tc.recv, "")
			list, _ := backup.Replications(&stateward.Host{Replications: known([]stateward.Replication{r}, "")})
			var got []string
			for _, h := range list[0].Hazards() {
				got = append(got, h.Message)
			}
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
}

func TestS7RawIsRead(t *testing.T) {
	for options, want := range map[string]bool{"w": true, "Lce w": true, "Lce": false, "": false, "o x=w": false} {
		r := syncoidCommand("a", "tank/a", "nas:x/a")
		r.SendOptions = known(options, "")
		list, _ := backup.Replications(&stateward.Host{Replications: known([]stateward.Replication{r}, "")})
		require.Equal(t, want, list[0].Raw.Or(!want), options)
	}
}
