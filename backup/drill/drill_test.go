package drill_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/drill"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func record(ago time.Duration, v drill.Verdict) drill.Record {
	return drill.Record{Job: "paperless", Host: "forge", Every: "30d", Started: now.Add(-ago - time.Minute), Ended: now.Add(-ago), Verdict: v}
}

func TestRecordRoundTrip(t *testing.T) {
	r := record(time.Hour, drill.Failed)
	r.Engine, r.Snapshot = drill.Engine{Name: "restic", Version: "0.18.0"}, drill.Snapshot{ID: "5dd84a12", Time: now}
	r.Paths, r.Checks = []string{"/var/lib/x <&>"}, []drill.Check{{Name: "files", Verdict: drill.Failed, Checked: 2, Message: "1 missing", Files: []string{"/var/lib/x"}}}
	text, err := r.Write()
	require.NoError(t, err)
	got, err := drill.Read(text)
	require.NoError(t, err)
	r.Kind, r.ProtocolVersion = drill.Kind, "1"
	require.Empty(t, cmp.Diff(r, got))
	require.Equal(t, "20260317T105900.000Z.json", r.FileName())
	for _, bad := range []string{"", "{}", "null", string(text) + "{}", `{"kind":"stateward-drill","protocolVersion":"2"}`, `{"kind":"stateward-drill","protocolVersion":"1","job":"x","host":"y"}`} {
		_, err := drill.Read([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestR13Overdue(t *testing.T) {
	day := 24 * time.Hour
	another := record(0, drill.Passed)
	another.Host = "other"
	for _, c := range []struct {
		name    string
		every   string
		records []drill.Record
		overdue bool
		due     bool
	}{
		{"never drilled", "30d", nil, true, true},
		{"nobody asked", "", nil, false, true},
		{"passed in time", "30d", []drill.Record{record(20*day, drill.Passed)}, false, false},
		{"about to be overdue", "30d", []drill.Record{record(29*day, drill.Passed)}, false, true},
		{"passed too long ago", "30d", []drill.Record{record(31*day, drill.Passed)}, true, true},
		{"what the record says goes", "", []drill.Record{record(31*day, drill.Passed)}, true, true},
		{"what is asked for goes before that", "60d", []drill.Record{record(31*day, drill.Passed)}, false, false},
		{"failed since", "30d", []drill.Record{record(31*day, drill.Passed), record(day, drill.Failed)}, true, true},
		{"unknown is no pass", "30d", []drill.Record{record(day, drill.Unknown)}, true, true},
		{"refused is no pass", "30d", []drill.Record{record(day, drill.Refused)}, true, true},
		{"of another host", "30d", []drill.Record{another}, true, true},
		{"of the future", "30d", []drill.Record{record(-day, drill.Passed)}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := drill.Overdue("forge", "paperless", c.every, c.records, now)
			require.Equal(t, []bool{c.overdue, c.due}, []bool{s.Overdue, s.Due()})
		})
	}
}

func TestCompare(t *testing.T) {
	file := func(n int64) drill.Entry { return drill.Entry{Kind: "file", Size: n} }
	tree := func(add func(drill.Tree)) drill.Tree {
		out := drill.Tree{}
		out.Add("/x", drill.Entry{Kind: "dir"})
		out.Add("/x/a", file(3))
		add(out)
		return out
	}
	same := tree(func(drill.Tree) {})
	for _, c := range []struct {
		name, want string
		got        drill.Tree
	}{
		{"the same", "", same},
		{"nothing", "2 missing, such as /x", drill.Tree{}},
		{"more", "1 not in the snapshot, such as /x/b", tree(func(t drill.Tree) { t.Add("/x/b", file(1)) })},
		{"shorter", "1 of another kind or size, such as /x/a", tree(func(t drill.Tree) { t["/x/a"] = []drill.Entry{file(2)} })},
		{"a link in its place", "1 of another kind or size, such as /x/a", tree(func(t drill.Tree) { t["/x/a"] = []drill.Entry{{Kind: "symlink"}} })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := drill.Compare(same, c.got)
			require.Equal(t, c.want, got.Message)
			require.Equal(t, c.want == "", got.Verdict == drill.Passed)
		})
	}
	// JSON has both names as one.
	a, b := drill.Tree{}, drill.Tree{}
	a.Add("/\xfe", file(1))
	a.Add("/\xff", file(2))
	b.Add("/\ufffd", file(2))
	b.Add("/\ufffd", file(1))
	require.Equal(t, drill.Passed, drill.Compare(b, a).Verdict)
	delete(a, "/\ufffd")
	a.Add("/\xff", file(2))
	require.Equal(t, drill.Failed, drill.Compare(b, a).Verdict)
}

func TestIntegrity(t *testing.T) {
	for _, c := range []struct {
		out, said string
		ended     bool
		want      drill.Verdict
	}{
		{"ok\n", "", true, drill.Passed},
		{"ok\n", "", false, drill.Unknown},
		{"*** in database main ***\nPage 3: never used\n", "", true, drill.Failed},
		{"", "Error: in prepare, database disk image is malformed (11)\n", false, drill.Failed},
		{"", "Error: in prepare, no such collation sequence: NATURAL\n", false, drill.Unknown},
		{"", "", true, drill.Unknown},
	} {
		got, said := drill.Integrity(c.out, c.said, c.ended)
		require.Equal(t, c.want, got, "%s%s", c.out, c.said)
		require.Equal(t, c.want == drill.Passed, said == "")
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		checks []drill.Verdict
		want   drill.Verdict
	}{
		{nil, drill.Unknown},
		{[]drill.Verdict{drill.Passed}, drill.Passed},
		{[]drill.Verdict{drill.Passed, drill.Unknown}, drill.Unknown},
		{[]drill.Verdict{drill.Unknown, drill.Failed, drill.Passed}, drill.Failed},
	} {
		var r drill.Record
		for _, v := range c.checks {
			r.Checks = append(r.Checks, drill.Check{Name: "files", Verdict: v, Message: "x"})
		}
		r.Judge()
		require.Equal(t, c.want, r.Verdict)
	}
}
