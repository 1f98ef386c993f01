package preseed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward/preseed"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func snapshot(name string, txg uint64, age time.Duration, c preseed.Content) preseed.Snapshot {
	return preseed.Snapshot{Name: name, GUID: "guid of " + name, CreateTXG: txg, Creation: now.Add(-age), Content: c}
}

// seen is an empty dataset that is mounted where it belongs.
func seen(change ...func(*preseed.Seen)) preseed.Seen {
	s := preseed.Seen{Pool: preseed.Pool{Imported: true, Health: "ONLINE"}, Target: &preseed.Target{GUID: "1", Key: preseed.Unencrypted, Mounted: true, Content: preseed.Empty}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func target(change func(*preseed.Target)) func(*preseed.Seen) {
	return func(s *preseed.Seen) { change(s.Target) }
}

func snapshots(list ...preseed.Snapshot) func(*preseed.Seen) {
	return target(func(t *preseed.Target) { t.Snapshots = list })
}

func answers(list ...preseed.Answer) func(*preseed.Seen) {
	return func(s *preseed.Seen) { s.Answers = list }
}

func none(k preseed.SourceKind) preseed.Answer {
	return preseed.Answer{Source: k, Kind: preseed.ConfirmedNone}
}

func has(k preseed.SourceKind) preseed.Answer {
	return preseed.Answer{Source: k, Kind: preseed.Available, Candidate: preseed.Candidate{ID: "c", Name: "c", Time: now.Add(-time.Hour)}}
}

func journal(stage preseed.Stage, at map[string]string) func(*preseed.Seen) {
	return func(s *preseed.Seen) {
		s.Journal = &preseed.Journal{Target: "tank/app", TargetGUID: "1", Staged: "tank/staging/app", StagedGUID: "2", Displaced: "tank/staging/app-was", Source: preseed.Restic, Stage: stage}
		s.At = at
	}
}

func TestNext(t *testing.T) {
	all := preseed.Policy{Sources: []preseed.SourceKind{preseed.Local, preseed.Replica, preseed.Restic}}
	empty := all
	empty.OnNoBackup = preseed.StartEmpty
	const hour = time.Hour
	aged := all
	aged.MaxAge = hour
	old := func(s *preseed.Seen) {
		s.Journal.Candidate = preseed.Candidate{ID: "c", Name: "c", Time: now.Add(-2 * hour)}
	}
	for _, tc := range []struct {
		name   string
		policy preseed.Policy
		seen   preseed.Seen
		want   string
	}{
		{"the latest snapshot has data", all, seen(snapshots(snapshot("a", 1, 2*hour, preseed.Populated), snapshot("b", 2, hour, preseed.Populated))), "rollback local b: latest snapshot b"},
		{"E1 the newest snapshot with data is not the latest", all, seen(snapshots(snapshot("a", 1, 2*hour, preseed.Populated), snapshot("b", 2, hour, preseed.Empty))), "fill local a: a rollback would destroy those after it"},
		{"E1 a clock that went back", all, seen(snapshots(snapshot("a", 2, 2*hour, preseed.Populated), snapshot("b", 1, hour, preseed.Populated))), "rollback local a:"},
		{"E13 a newer bookmark", all, seen(snapshots(snapshot("a", 1, hour, preseed.Populated)), target(func(t *preseed.Target) { t.Bookmarks = []uint64{1, 2} })), "fill local a: newer bookmark"},
		{"a bookmark of the snapshot itself", all, seen(snapshots(snapshot("a", 1, hour, preseed.Populated)), target(func(t *preseed.Target) { t.Bookmarks = []uint64{1} })), "rollback local a:"},
		{"a snapshot that nobody looked into", all, seen(snapshots(snapshot("a", 1, hour, preseed.ContentUnknown))), "look-snapshot local a:"},
		{"a snapshot that cannot be looked into", all, seen(snapshots(preseed.Snapshot{Name: "a", Unread: "I/O error"})), "wait local a: I/O error"},
		{"a snapshot that is too old", preseed.Policy{Sources: []preseed.SourceKind{preseed.Local}, MaxAge: hour}, seen(snapshots(snapshot("a", 1, 2*hour, preseed.Populated))), "refused: the newest with data, is of 2026-03-17 10:00 UTC"},
		{"no snapshot, and the next source is asked", all, seen(), "ask replica: no source before this one"},
		{"snapshots of nothing, and the next source is asked", all, seen(snapshots(snapshot("a", 1, hour, preseed.Empty))), "ask replica:"},
		{"the last source is asked", all, seen(answers(none(preseed.Replica))), "ask restic:"},
		{"the user's order", preseed.Policy{Sources: []preseed.SourceKind{preseed.Restic, preseed.Local}}, seen(snapshots(snapshot("a", 1, hour, preseed.Populated))), "ask restic:"},
		{"a source that has it", all, seen(answers(none(preseed.Replica), has(preseed.Restic))), "fill restic c: restic has c"},
		{"E7 a source that does not answer", empty, seen(answers(preseed.Answer{Source: preseed.Replica, Kind: preseed.SourceUnreachable, Reason: "no route"}, has(preseed.Restic))), "wait replica: no route"},
		{"E7 no source answers", empty, seen(answers(none(preseed.Replica), preseed.Answer{Source: preseed.Restic, Kind: preseed.SourceUnreachable, Reason: "no route"})), "wait restic: no route"},
		{"E7 an answer that nobody knows", empty, seen(answers(preseed.Answer{Source: preseed.Replica, Kind: "maybe"})), "wait replica:"},
		{"a backup that is not taken", empty, seen(answers(none(preseed.Replica), preseed.Answer{Source: preseed.Restic, Kind: preseed.SourceRefused, Reason: "3 years old"})), "refused: restic: 3 years old"},
		{"no backup anywhere", all, seen(answers(none(preseed.Replica), none(preseed.Restic))), "confirmed-no-backup:"},
		{"no backup anywhere, and it may start empty", empty, seen(answers(none(preseed.Replica), none(preseed.Restic))), "mark-empty:"},
		{"E5 it starts empty, and is not mounted", empty, seen(answers(none(preseed.Replica), none(preseed.Restic)), target(func(t *preseed.Target) { t.Mounted = false })), "mount:"},
		{"it started empty", empty, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 empty", Local: true} }), func(s *preseed.Seen) { s.StartedEmpty = true }), "confirmed-no-backup start:"},
		{"no source is named", preseed.Policy{OnNoBackup: preseed.StartEmpty}, seen(), "refused: no source is named"},

		{"E6 files, whatever the snapshots say", all, seen(snapshots(snapshot("a", 1, hour, preseed.Populated)), target(func(t *preseed.Target) { t.Content, t.Holds = preseed.Populated, []string{"photos.db"} })), "mark: it holds files: photos.db"},
		{"E4 not mounted is not empty", all, seen(target(func(t *preseed.Target) { t.Mounted, t.Content = false, preseed.ContentUnknown })), "look:"},
		{"E4 files, and not mounted", all, seen(target(func(t *preseed.Target) { t.Mounted, t.Content = false, preseed.Populated })), "mount:"},
		{"E4 it cannot be looked into", empty, seen(target(func(t *preseed.Target) { t.Content, t.Unread = preseed.ContentUnknown, "I/O error" })), "wait: I/O error"},
		{"E5 something else is mounted there", all, seen(target(func(t *preseed.Target) { t.Hidden = "rpool/root" })), "wait: rpool/root is mounted where it belongs"},
		{"mounted elsewhere", all, seen(target(func(t *preseed.Target) { t.Mounted, t.MountedAt = false, "/mnt" })), "refused: mounted at /mnt"},
		{"E13 its key is not loaded", empty, seen(target(func(t *preseed.Target) { t.Key, t.Content = preseed.KeyUnavailable, preseed.ContentUnknown })), "wait: the key"},
		{"E3 an inherited marker", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 restored"} })), "ask replica:"},
		{"E3 the marker of another dataset", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "12 restored", Local: true} })), "ask replica:"},
		{"seeded before, and emptied since", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 restored", Local: true} })), "already-seeded start:"},
		{"E8 a degraded pool", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 restored", Local: true} }), func(s *preseed.Seen) { s.Pool.Health = "DEGRADED" }), "already-seeded start:"},
		{"E8 a pool that is read-only", all, seen(target(func(t *preseed.Target) { t.Content = preseed.Populated }), func(s *preseed.Seen) { s.Pool.ReadOnly = true }), "already-seeded start:"},
		{"an empty one on a pool that is read-only", all, seen(func(s *preseed.Seen) { s.Pool.ReadOnly = true }), "refused:"},
		{"a pool that is suspended", empty, seen(func(s *preseed.Seen) { s.Pool.Health = "SUSPENDED" }), "wait: the pool is SUSPENDED"},
		{"no pool", empty, preseed.Seen{}, "wait: the pool is not imported"},
		{"no dataset", empty, seen(func(s *preseed.Seen) { s.Target = nil }), "wait: there is no such dataset"},
		{"a volume", empty, seen(target(func(t *preseed.Target) { t.Volume = true })), "refused:"},
		{"a unit that runs", all, seen(snapshots(snapshot("a", 1, hour, preseed.Populated)), func(s *preseed.Seen) { s.Active = []string{"app.service"} }), "wait: app.service runs"},

		{"E10 cut off while it was cloned", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Journal.Source = preseed.Local }), "discard:"},
		{"E10 cut off while restic restored", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "ask restic: while it was restored"},
		{"E10 cut off while restic restored, and it answers", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), answers(has(preseed.Restic))), "fill: it goes on"},
		{"E10 E7 cut off while restic restored, and it does not answer", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), answers(preseed.Answer{Source: preseed.Restic, Kind: preseed.SourceUnreachable, Reason: "no route"})), "wait restic: no route"},
		{"E10 cut off while restic restored, which is no source any more", preseed.Policy{Sources: []preseed.SourceKind{preseed.Local}}, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "discard: no source any more"},
		{"E10 cut off before it was made", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app"})), "discard:"},
		{"E10 cut off while it received", all, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Journal.Source = preseed.Replica }, answers(has(preseed.Replica))), "fill: it goes on"},
		{"E10 too old by now, and whole", aged, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old), "abandon: is older than the policy allows by now"},
		{"E10 too old by now, and a part of it", aged, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old), "discard: is older than the policy allows by now"},
		{"E10 not too old yet", aged, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old, func(s *preseed.Seen) { s.Journal.Candidate.Time = now.Add(-hour) }), "promote:"},
		{"too old by now, since this run took so long to restore it", aged, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old, func(s *preseed.Seen) { s.Own = true }), "promote:"},
		{"E10 too old, and a person chose it", aged, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old, func(s *preseed.Seen) { s.Journal.ByHand = true }), "promote:"},
		{"E10 too old by now, and between the renames", aged, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), old, func(s *preseed.Seen) { s.Target = nil }), "place:"},
		{"E10 too old by now, and nobody knows whether files came in since", aged, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), old, target(func(t *preseed.Target) { t.Content = preseed.ContentUnknown })), "look:"},
		{"E10 cut off before the renames", all, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "promote:"},
		{"E10 E6 files came in since", all, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), target(func(t *preseed.Target) { t.Content = preseed.Populated })), "abandon: they stay"},
		{"E10 E4 nobody knows whether files came in since", all, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), target(func(t *preseed.Target) { t.Content = preseed.ContentUnknown })), "look:"},
		{"E10 between the renames", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Target = nil }), "place:"},
		{"E10 between the renames, and a boot made it anew", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), target(func(t *preseed.Target) { t.GUID = "3" })), "displace:"},
		{"E10 between the renames, and somebody uses what a boot made", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), target(func(t *preseed.Target) { t.GUID, t.Content = "3", preseed.Populated })), "refused: is not empty"},
		{"E10 between the renames, and what was restored is gone", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), func(s *preseed.Seen) { s.Target = nil }), "undo:"},
		{"E10 what was restored is gone, and somebody made it anew", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID = "3" })), "abandon: it begins anew"},
		{"E10 a clone is gone, and its snapshot is in what was moved away", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID = "3" }), func(s *preseed.Seen) { s.Journal.Source = preseed.Local }), "displace: was made anew, and empty"},
		{"E10 a clone is gone, and nobody looked yet into what somebody made anew", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID, t.Content = "3", preseed.ContentUnknown }), func(s *preseed.Seen) { s.Journal.Source = preseed.Local }), "look:"},
		{"E10 E6 a clone is gone, and what somebody made anew holds files", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID, t.Content = "3", preseed.Populated }), func(s *preseed.Seen) { s.Journal.Source = preseed.Local }), "refused: another dataset has that name"},
		{"E10 a clone is gone, and what somebody made anew has snapshots", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID = "3" }), snapshots(snapshot("x", 9, hour, preseed.ContentUnknown)), func(s *preseed.Seen) { s.Journal.Source = preseed.Local }), "refused: another dataset has that name"},
		{"E10 E12 nobody knows what was restored, and it is gone", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was"}), target(func(t *preseed.Target) { t.GUID = "3" }), func(s *preseed.Seen) { s.Journal.StagedGUID = "" }), "displace: was made anew, and empty"},
		{"E10 the empty one was destroyed, and made anew", all, seen(journal(preseed.Promoting, map[string]string{"2": "tank/staging/app"}), target(func(t *preseed.Target) { t.GUID = "3" })), "abandon: it begins anew"},
		{"E10 after the renames", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/app"}), target(func(t *preseed.Target) { t.GUID, t.Mounted, t.Content = "2", false, preseed.ContentUnknown })), "finish:"},
		{"E10 the empty one was renamed by somebody", all, seen(journal(preseed.Filled, map[string]string{"1": "tank/mine", "2": "tank/staging/app"})), "refused: is neither"},
		{"E10 other paths are asked for since it was cut off", preseed.Policy{Sources: all.Sources, Paths: []string{"a"}}, seen(journal(preseed.Filling, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "discard: other paths"},
		{"E10 other paths are asked for since it was whole", preseed.Policy{Sources: all.Sources, Paths: []string{"a"}}, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "abandon: other paths"},
		{"E10 the same paths in another order", preseed.Policy{Sources: all.Sources, Paths: []string{"b", "a"}}, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Journal.Paths = []string{"a", "b"} }), "promote:"},
		{"E10 by hand, what an earlier run began from another source is not what was asked for", preseed.Policy{Sources: []preseed.SourceKind{preseed.Replica}, ByHand: true}, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "discard: from restic, which is not what is asked for now"},
		{"E10 by hand, what an earlier run began is too new", preseed.Policy{Sources: []preseed.SourceKind{preseed.Restic}, ByHand: true, At: now}, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Journal.Candidate.Time = now.Add(hour) }), "discard:"},
		{"E10 by hand, what an earlier run began is what was asked for", preseed.Policy{Sources: []preseed.SourceKind{preseed.Restic}, ByHand: true}, seen(journal(preseed.Filled, map[string]string{"1": "tank/app", "2": "tank/staging/app"})), "promote:"},
		{"E10 by hand, what is between the renames is put in its place", preseed.Policy{Sources: []preseed.SourceKind{preseed.Replica}, ByHand: true}, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Target = nil }), "place:"},
		{"E10 a journal that says nothing", all, seen(func(s *preseed.Seen) { s.Journal = &preseed.Journal{} }), "refused:"},
		{"E10 a key that is not loaded", all, seen(journal(preseed.Filled, nil), target(func(t *preseed.Target) { t.Key = preseed.KeyUnavailable })), "wait: the key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := preseed.Next(tc.policy, tc.seen, now)
			text := string(got.Action) + string(got.Outcome)
			if got.Start {
				text += " start"
			}
			if got.Source != "" && got.Outcome == "" {
				text += " " + string(got.Source)
			}
			if got.Candidate.Name != "" && got.Outcome == "" {
				text += " " + got.Candidate.Name
			}
			head, why, _ := strings.Cut(tc.want, ":")
			if diff := cmp.Diff(head, text); diff != "" || !strings.Contains(got.Why, strings.TrimSpace(why)) {
				t.Errorf("want %q, got %q: %s", tc.want, text, got.Why)
			}
			if got.Action != "" && got.Outcome != "" || got.Action == "" && got.Outcome == "" || got.Why == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}
