package preseed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/preseed"
)

// planner decides, as [preseed.Next] does.
type planner func(preseed.Policy, preseed.Seen, time.Time) preseed.Decision

// careless are planners as they are found in the field. Each walks into its trap, and is otherwise none to laugh at.
var careless = map[string]planner{
	// The newest snapshot with data, rolled back to with -r.
	"E1": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		for _, snap := range slices.Backward(s.Target.Snapshots) {
			if snap.Content == preseed.Populated {
				return preseed.Decision{Action: preseed.Rollback, Candidate: preseed.Candidate{ID: snap.GUID}}
			}
		}
		return preseed.Decision{Outcome: preseed.ConfirmedNoBackup}
	},
	// Any marker will do.
	"E3": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		if s.Target.Marker.Value != "" {
			return preseed.Decision{Outcome: preseed.AlreadySeeded, Start: true}
		}
		return preseed.Decision{Action: preseed.Ask}
	},
	// Where nothing is seen, nothing is.
	"E4": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		if s.Target.Content != preseed.Populated {
			return preseed.Decision{Action: preseed.Fill}
		}
		return preseed.Decision{Outcome: preseed.AlreadySeeded, Start: true}
	},
	// What is restored is written to the mountpoint, whatever is mounted there.
	"E5": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		return preseed.Decision{Action: preseed.Fill}
	},
	// What is not marked was not seeded.
	"E6": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		if !s.Target.Marker.Of(s.Target.GUID) {
			return preseed.Decision{Action: preseed.Rollback, Candidate: preseed.Candidate{ID: s.Target.Snapshots[0].GUID}}
		}
		return preseed.Decision{Outcome: preseed.AlreadySeeded, Start: true}
	},
	// A source that gives nothing has nothing.
	"E7": func(p preseed.Policy, s preseed.Seen, _ time.Time) preseed.Decision {
		for _, a := range s.Answers {
			if a.Kind == preseed.Available {
				return preseed.Decision{Action: preseed.Fill, Source: a.Source, Candidate: a.Candidate}
			}
		}
		return preseed.Decision{Outcome: preseed.ConfirmedNoBackup, Start: p.OnNoBackup == preseed.StartEmpty}
	},
	// The pool must be well.
	"E8": func(p preseed.Policy, s preseed.Seen, now time.Time) preseed.Decision {
		if s.Pool.Health != "ONLINE" {
			return preseed.Decision{Outcome: preseed.Failed}
		}
		return preseed.Next(p, s, now)
	},
	// Each run begins anew: what a killed one left is destroyed, and a name is all that anything is known by.
	"E10": func(p preseed.Policy, s preseed.Seen, now time.Time) preseed.Decision {
		if s.Journal != nil {
			return preseed.Decision{Action: preseed.Discard}
		}
		return preseed.Next(p, s, now)
	},
	// A try that fails is the end of the unit; a dataset without a key is an empty one.
	"E13": func(p preseed.Policy, s preseed.Seen, now time.Time) preseed.Decision {
		if s.Target.Key == preseed.KeyUnavailable {
			return preseed.Decision{Action: preseed.Fill}
		}
		d := preseed.Next(p, s, now)
		if d.Action == preseed.Wait {
			d = preseed.Decision{Outcome: d.Late}
		}
		return d
	},
}

// harm says what a decision would cost; empty where it costs nothing.
func harm(p preseed.Policy, s preseed.Seen, d preseed.Decision) string {
	t := s.Target
	replaces := slices.Contains([]preseed.Action{preseed.Rollback, preseed.Fill, preseed.Promote, preseed.Displace}, d.Action)
	unanswered := slices.ContainsFunc(s.Answers, func(a preseed.Answer) bool { return a.Kind == preseed.SourceUnreachable })
	switch {
	case t != nil && replaces && t.Content == preseed.Populated:
		return "files are lost"
	case t != nil && replaces && t.Content == preseed.ContentUnknown:
		return "nobody looked what is lost"
	case t != nil && replaces && t.Hidden != "":
		return "what is restored is written into " + t.Hidden
	case d.Action == preseed.Rollback:
		for _, snap := range t.Snapshots {
			i := slices.IndexFunc(t.Snapshots, func(s preseed.Snapshot) bool { return s.GUID == d.Candidate.ID })
			if snap.CreateTXG > t.Snapshots[i].CreateTXG {
				return "snapshot " + snap.Name + " is lost"
			}
		}
	case unanswered && (d.Action == preseed.Fill || d.Outcome == preseed.ConfirmedNoBackup || d.Start):
		return "what did not answer is taken for nothing"
	case unanswered && d.Outcome != "":
		return "it is not asked again, and nothing starts the service later"
	case d.Start && d.Outcome == preseed.AlreadySeeded && t.Content == preseed.Empty && !t.Marker.Of(t.GUID):
		return "the service starts empty"
	case d.Outcome != "" && !d.Start && t != nil && t.Marker.Of(t.GUID):
		return "a service that is seeded is kept down"
	case d.Action == preseed.Discard && s.At[s.Journal.TargetGUID] != s.Journal.Target:
		return "what was restored is destroyed between the renames"
	}
	return ""
}

func TestCarelessPlannersWalkIntoTheTrapsAndOursDoesNot(t *testing.T) {
	all := preseed.Policy{Sources: []preseed.SourceKind{preseed.Local, preseed.Replica, preseed.Restic}, OnNoBackup: preseed.StartEmpty}
	two := preseed.Policy{Sources: []preseed.SourceKind{preseed.Replica, preseed.Restic}, OnNoBackup: preseed.StartEmpty}
	unreachable := func(k preseed.SourceKind) preseed.Answer {
		return preseed.Answer{Source: k, Kind: preseed.SourceUnreachable, Reason: "connection refused"}
	}
	data := snapshot("a", 1, time.Hour, preseed.Populated)
	for _, tc := range []struct {
		trap, name string
		policy     preseed.Policy
		seen       preseed.Seen
		want       string
	}{
		{"E1", "the protective snapshot is newer", all, seen(snapshots(data, snapshot("protective", 2, 0, preseed.Empty))), "snapshot protective is lost"},
		{"E3", "the marker is the parent's", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 restored"} })), "the service starts empty"},
		{"E3", "the marker came with send -p", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "7 restored", Local: true} })), "the service starts empty"},
		{"E4", "900 GB that are not mounted", all, seen(target(func(t *preseed.Target) { t.Mounted, t.Content = false, preseed.ContentUnknown })), "nobody looked what is lost"},
		{"E5", "the mount failed, and the root is what is there", all, seen(target(func(t *preseed.Target) { t.Mounted, t.Hidden = false, "tmpfs" })), "what is restored is written into tmpfs"},
		{"E6", "enabled late, on a dataset in use", all, seen(snapshots(data), target(func(t *preseed.Target) { t.Content = preseed.Populated })), "files are lost"},
		{"E7", "no source answers", two, seen(answers(unreachable(preseed.Replica), unreachable(preseed.Restic))), "what did not answer is taken for nothing"},
		{"E7", "the first does not answer, and the second is older", two, seen(answers(unreachable(preseed.Replica), has(preseed.Restic))), "what did not answer is taken for nothing"},
		{"E8", "one disk of two is gone", all, seen(target(func(t *preseed.Target) { t.Marker = preseed.Marker{Value: "1 restored", Local: true} }), func(s *preseed.Seen) { s.Pool.Health = "DEGRADED" }), "a service that is seeded is kept down"},
		{"E10", "killed between the renames", all, seen(journal(preseed.Promoting, map[string]string{"1": "tank/staging/app-was", "2": "tank/staging/app"}), func(s *preseed.Seen) { s.Target = nil }), "what was restored is destroyed between the renames"},
		{"E13", "the network comes a minute later", two, seen(answers(unreachable(preseed.Replica))), "it is not asked again, and nothing starts the service later"},
		{"E13", "the key is not loaded", all, seen(target(func(t *preseed.Target) {
			t.Key, t.Mounted, t.Content = preseed.KeyUnavailable, false, preseed.ContentUnknown
		})), "nobody looked what is lost"},
	} {
		t.Run(tc.trap+" "+tc.name, func(t *testing.T) {
			if got := harm(tc.policy, tc.seen, careless[tc.trap](tc.policy, tc.seen, now)); got != tc.want {
				t.Errorf("careless: %q, want %q", got, tc.want)
			}
			if d := preseed.Next(tc.policy, tc.seen, now); harm(tc.policy, tc.seen, d) != "" {
				t.Errorf("ours: %s: %+v", harm(tc.policy, tc.seen, d), d)
			}
		})
	}
}

// E9: what systemd makes of a drop-in. Wants= lets the service start on nothing, After= alone does not bring the unit up, and a unit that is not there holds nobody.
func TestE9CarelessDropIn(t *testing.T) {
	holds := func(dropIn, unit string) string {
		switch {
		case !strings.Contains(dropIn, "Requires="+unit+"\n"):
			return "the service starts whatever came of the preseed"
		case !strings.Contains(dropIn, "After="+unit+"\n"):
			return "the service starts beside the preseed"
		}
		return ""
	}
	p := preseed.Plan{ProtocolVersion: preseed.FormatVersion, Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: "tank/app", Mountpoint: "/var/lib/app", Sources: []preseed.Source{{Kind: preseed.Local}}, OnNoBackup: preseed.Refuse}
	ours, err := p.DropIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ dropIn, want string }{
		{fmt.Sprintf("[Unit]\nWants=%[1]s\nAfter=%[1]s\n", p.UnitName()), "the service starts whatever came of the preseed"},
		{fmt.Sprintf("[Unit]\nRequires=%s\n", p.UnitName()), "the service starts beside the preseed"},
		{"[Unit]\nRequires=preseed-app.service\nAfter=preseed-app.service\n", "the service starts whatever came of the preseed"},
		{ours, ""},
	} {
		if got := holds(tc.dropIn, p.UnitName()); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.dropIn, got, tc.want)
		}
	}
}

// E2: `zfs list -r` shows the snapshots of children too, and the newest of them all may be a child's.
func TestE2CarelessChild(t *testing.T) {
	type row struct {
		dataset string
		preseed.Snapshot
	}
	listed := []row{{"tank/app", snapshot("nightly", 1, 2*time.Hour, preseed.Populated)}, {"tank/app/cache", snapshot("hourly", 2, time.Hour, preseed.Populated)}}
	seenOf := func(rows []row) preseed.Seen {
		s := seen()
		for _, r := range rows {
			s.Target.Snapshots = append(s.Target.Snapshots, r.Snapshot)
		}
		return s
	}
	own := slices.DeleteFunc(slices.Clone(listed), func(r row) bool { return r.dataset != "tank/app" })
	careless := func(listed []row) preseed.Decision {
		newest := listed[0]
		for _, r := range listed {
			if r.CreateTXG > newest.CreateTXG {
				newest = r
			}
		}
		return preseed.Decision{Action: preseed.Rollback, Source: preseed.Local, Candidate: preseed.Candidate{ID: newest.GUID, Name: newest.Name}}
	}
	harm := func(d preseed.Decision) string {
		for _, r := range listed {
			if (d.Action == preseed.Rollback || d.Action == preseed.Fill) && r.GUID == d.Candidate.ID && r.dataset != "tank/app" {
				return r.dataset + " is rolled back, and its parent is marked done"
			}
		}
		return ""
	}
	all := preseed.Policy{Sources: []preseed.SourceKind{preseed.Local}}
	if got, want := harm(careless(listed)), "tank/app/cache is rolled back, and its parent is marked done"; got != want {
		t.Errorf("careless: %q, want %q", got, want)
	}
	d := preseed.Next(all, seenOf(own), now)
	if d.Action != preseed.Rollback || d.Candidate.Name != "nightly" || harm(d) != "" {
		t.Errorf("ours: %q: %+v", harm(d), d)
	}
	// With snapshots of a child only there is none, and nothing is marked.
	if d := preseed.Next(all, seenOf(nil), now); d.Outcome != preseed.ConfirmedNoBackup || d.Start {
		t.Errorf("ours: %+v", d)
	}
}
