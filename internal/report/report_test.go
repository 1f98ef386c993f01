package report

import (
	"bytes"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/golden"
)

func given[T any](v T, option string) stateward.Value[T] {
	return stateward.Known(v, stateward.Origin{Option: option})
}

func entries(list ...string) stateward.Value[[]stateward.Entry] {
	out := []stateward.Entry{}
	for _, p := range list {
		out = append(out, stateward.NewEntry(p, stateward.Directory, stateward.Origin{}))
	}
	return given(out, "")
}

func mount(at, device, kind string) stateward.FileSystem {
	return stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, stateward.Origin{}), Device: given(device, ""), FSType: given(kind, "")}
}

var noon = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// sample is a page with something of everything. Each text that a configuration, a record or a command line may hold has x in it.
func sample(x string) Page {
	h := &stateward.Host{
		Name: "forge" + x, HostName: given("forge", ""), Source: ".#" + x, Status: stateward.StatusPartial, Dialects: []string{"nixos" + x},
		FileSystems: given([]stateward.FileSystem{mount("/", "tmpfs", "tmpfs"), mount("/srv/"+x, "tank/srv", "zfs"), mount("/var/lib/app", "tank/app"+x, "zfs")}, ""),
		Datasets:    given([]stateward.Dataset{{Name: "tank/" + x, Asked: true, MountPoint: given("/data/"+x, "")}}, ""),
		Snapshots: given([]stateward.SnapshotPolicy{{Name: "tank/srv", Templates: given([]string{"prod" + x}, ""), Schedule: given([]string{"hourly"}, "")},
			{Name: "tank/" + x, Settings: map[string]stateward.Value[string]{"hourly": given("24", ""), "daily": given("7", ""), "monthly": given("0", "")}, Schedule: given([]string{"hourly"}, "")}}, ""),
		SnapshotTemplates: given([]stateward.SnapshotPolicy{}, ""),
		Replications:      given([]stateward.Replication{{Name: x, Source: given("tank/srv", ""), Target: given("nas:tank/"+x, ""), Recursive: given(false, "")}}, ""),
		Jobs: given([]stateward.Job{
			{Name: "app" + x, Engine: "restic", Repository: given("sftp:u@"+x+":/srv", ""), Paths: entries("/var/lib/app"), Schedule: given([]string{"03:00"}, ""), Prune: given([]string{"--keep-daily 7", "--keep-weekly 4"}, "")},
			{Name: "other" + x, Engine: "borg", Repository: given("ssh://u@h/"+x, ""), Paths: entries("/srv"), Prune: stateward.NotKnown[[]string](stateward.Unknown{Subject: x, Kind: stateward.UnknownThrow, Message: x})}}, ""),
		PITRPolicies: given([]stateward.PITRPolicy{{Name: "pg" + x, Enable: given(true, ""), Destination: given("s3://"+x, ""), Origin: stateward.Origin{Option: x}}}, ""),
	}
	h.AddUnknown(stateward.Unknown{Subject: "services." + x, Kind: stateward.UnknownThrow, Message: "thrown " + x, File: x, Line: 3})
	finding := func(code string, s stateward.Severity) stateward.Diagnostic {
		return stateward.Diagnostic{Code: code, Severity: s, Subject: "services." + x, Service: x, Path: "/var/lib/" + x, File: x + ".nix", Line: 7, Message: "lost: " + x, Hint: "keep " + x,
			Covers: []stateward.Covered{{Service: x, Path: "/" + x, Acknowledged: x}}}
	}
	accepted, known := finding("SW103", stateward.SeverityError), finding("SW102", stateward.SeverityInfo)
	accepted.Acknowledged, known.Baseline = "because "+x, true
	cells := func(state stateward.TierState) map[stateward.Tier]stateward.TierResult {
		out := map[stateward.Tier]stateward.TierResult{}
		for _, tier := range stateward.Tiers() {
			out[tier] = stateward.TierResult{State: state, By: "by " + x, RPO: "1h" + x}
		}
		return out
	}
	return Page{
		Source: ".#" + x, Program: "stateward 1", Nix: "2.26" + x, Made: noon, EvaluatedWith: []string{"--option a " + x}, Configuration: x + ".toml", Notes: []string{"2 findings excluded by " + x},
		Findings: []stateward.Diagnostic{finding("SW606", stateward.SeverityWarning)},
		Hosts: []Host{
			{Name: "sound" + x, Source: ".#sound", Declared: &stateward.Host{Name: "sound" + x, Status: stateward.StatusOK}, Root: aggregate.RootState{Wiped: stateward.SurvivalNo, By: x}},
			{Name: "forge" + x, Source: ".#forge" + x, Declared: h, Root: aggregate.RootState{Wiped: stateward.SurvivalYes, By: "rolls back " + x},
				Findings: []stateward.Diagnostic{finding("SW101", stateward.SeverityError), finding("SW999", 9), accepted, known},
				Survival: []stateward.SurvivalRow{
					{Service: "app" + x, Path: "/var/lib/app", Origin: "dataDir", Tiers: cells(stateward.SurvivalYes)},
					{Service: "app" + x, Path: "/var/lib/" + x, Origin: x, Tiers: cells(stateward.SurvivalNo)},
					{Service: x, Path: "", Origin: x, Tiers: cells(stateward.SurvivalUnknown)},
					{Service: x, Path: "/srv/" + x, Origin: x, Tiers: cells("perhaps" + stateward.TierState(x))}},
				Excluded: map[string]int{"SW113": 2}, Captures: []Capture{{File: x + ".json", Taken: noon, Of: []string{"/persist" + x}}}},
			{Name: "shed" + x, Source: ".#shed", Failure: &Failure{Message: "throws " + x, Hint: "mend " + x, Place: x + ":1"}},
		},
		Drills: []drill.Record{{Job: "app" + x, Host: "forge", Every: "30d", Started: noon.Add(-time.Hour), Ended: noon.Add(-time.Hour), Verdict: drill.Failed, Message: "lacks " + x,
			Restored: drill.Restored{Files: 3, Bytes: 4096, Seconds: 1.5}, Checks: []drill.Check{{Name: "files" + x, Verdict: drill.Failed}}},
			{Job: "gone" + x, Host: "forge", Started: noon, Ended: noon, Verdict: drill.Verdict(x)}},
	}
}

func write(t testing.TB, p Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, p))
	return b.String()
}

func TestPage(t *testing.T) {
	got := write(t, sample("x"))
	require.Equal(t, got, write(t, sample("x")), "the same page gives the same bytes")
	got = strings.Replace(strings.Replace(got, styleText, "…", 1), scriptText, "…", 1)
	got = regexp.MustCompile(`sha256-.*?&#39;`).ReplaceAllString(got, "sha256-…&#39;")
	golden.Compare(t, "testdata/page.html", []byte(got))
}

// What the policy allows is what stands on the page, byte for byte.
func TestPolicyNamesWhatStandsThere(t *testing.T) {
	got := write(t, Page{})
	require.Contains(t, got, "<style>"+styleText+"</style>")
	require.Contains(t, got, "<script>"+scriptText+"</script>")
	for _, text := range []string{styleText, scriptText} {
		require.Contains(t, strings.ReplaceAll(got, "&#43;", "+"), "&#39;"+hash(text)+"&#39;")
	}
	require.NotContains(t, styleText+scriptText, "://", "nothing is fetched")
	require.NotContains(t, styleText, "@import")
}

// copied is state that survives, with a copy elsewhere.
var copied = []stateward.SurvivalRow{{Path: "/a", Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: {State: stateward.SurvivalYes}, stateward.TierDisk: {State: stateward.SurvivalYes}}}}

func TestWorstHostIsFirst(t *testing.T) {
	finding := func(s stateward.Severity) []stateward.Diagnostic {
		return []stateward.Diagnostic{{Code: "SW101", Severity: s}}
	}
	ok := func(name string) *stateward.Host {
		return &stateward.Host{Name: name, Status: stateward.StatusOK}
	}
	partial := &stateward.Host{Name: "partial"}
	partial.AddUnknown(stateward.Unknown{Subject: "a"})
	wiped := aggregate.RootState{Wiped: stateward.SurvivalYes}
	lost := []stateward.SurvivalRow{{Path: "/a", Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: {State: stateward.SurvivalNo}}}}
	doubt := []stateward.SurvivalRow{{Path: "/a", Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: {State: stateward.SurvivalYes}, stateward.TierSite: {State: stateward.SurvivalUnknown}}}}
	uncopied := []stateward.SurvivalRow{{Path: "/a", Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: {State: stateward.SurvivalYes}, stateward.TierDisk: {State: stateward.SurvivalNo}, stateward.TierSite: {State: stateward.SurvivalNo}}}}
	v := newView(Page{Hosts: []Host{
		{Name: "sound", Declared: ok("sound"), Root: wiped, Survival: copied}, {Name: "stateless", Declared: ok("stateless"), Root: wiped}, {Name: "uncopied", Declared: ok("uncopied"), Root: wiped, Survival: uncopied},
		{Name: "noted", Declared: ok("noted"), Root: wiped, Survival: copied, Findings: finding(stateward.SeverityInfo)}, {Name: "excluded", Declared: ok("excluded"), Root: wiped, Excluded: map[string]int{"SW101": 1}},
		{Name: "doubt", Declared: ok("doubt"), Root: wiped, Survival: doubt}, {Name: "warned", Declared: ok("warned"), Root: wiped, Findings: finding(stateward.SeverityWarning)},
		{Name: "partial", Declared: partial, Root: wiped}, {Name: "lost", Declared: ok("lost"), Root: wiped, Survival: lost},
		{Name: "root", Declared: ok("root")}, {Name: "error", Declared: ok("error"), Root: wiped, Findings: finding(stateward.SeverityError)}, {Name: "failed", Failure: &Failure{Message: "no"}},
	}})
	var got []string
	for _, h := range v.All {
		got = append(got, h.Name+": "+h.Mark.Tone+" "+h.Mark.Word)
	}
	require.Empty(t, cmp.Diff([]string{"failed: bad not evaluated", "error: bad 1 error", "lost: bad 1 lost", "partial: doubt not all known", "warned: warn 1 warning",
		"doubt: doubt 1 answer unknown", "root: doubt 1 answer unknown", "uncopied: warn 1 not copied", "noted: mute 1 note", "excluded: mute nothing new", "stateless: mute no state named", "sound: good nothing found"}, got))
}

// Only where all is known, and nothing was left out, is the first sentence a good one.
func TestVerdict(t *testing.T) {
	sound := Host{Name: "a", Declared: &stateward.Host{Status: stateward.StatusOK}, Root: aggregate.RootState{Wiped: stateward.SurvivalYes}, Survival: copied}
	with := func(change func(*Host)) Page {
		h := sound
		change(&h)
		return Page{Hosts: []Host{sound, h}}
	}
	row := func(reboot, disk stateward.TierState) []stateward.SurvivalRow {
		return []stateward.SurvivalRow{{Service: "a", Path: "/a", Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: {State: reboot}, stateward.TierDisk: {State: disk}, stateward.TierSite: {State: disk}}}}
	}
	lost := func(code string, severity stateward.Severity, reason string) func(*Host) {
		return func(h *Host) {
			h.Survival = row(stateward.SurvivalNo, stateward.SurvivalYes)
			h.Findings = []stateward.Diagnostic{{Code: code, Severity: severity, Service: "a", Path: "/a", Acknowledged: reason}}
		}
	}
	for _, tc := range []struct {
		name, tone, want string
		page             Page
	}{
		{"no host", "doubt", "There is no host.", Page{}},
		{"nothing", "good", "Nothing was found.", Page{Hosts: []Host{sound}}},
		{"unknown root", "doubt", "Nothing was found, and 1 answer is not known.", with(func(h *Host) { h.Root.Wiped = stateward.SurvivalUnknown })},
		{"excluded", "mute", "Nothing was found beside 2 findings excluded.", with(func(h *Host) { h.Excluded = map[string]int{"SW101": 2} })},
		{"excluded of all hosts", "mute", "Nothing was found beside 1 finding excluded.", Page{Hosts: []Host{sound}, Excluded: 1}},
		{"notes", "mute", "Nothing was found beside 1 note.", with(func(h *Host) { h.Findings = []stateward.Diagnostic{{Code: "SW306", Severity: stateward.SeverityInfo}} })},
		{"failed", "bad", "1 host could not be evaluated.", with(func(h *Host) { h.Failure = &Failure{Message: "no"} })},
		{"nothing is known", "bad", "1 host could not be evaluated.", with(func(h *Host) { h.Declared = nil })},
		{"partial without a reason", "doubt", "1 value is not known.", with(func(h *Host) { h.Declared = &stateward.Host{Status: stateward.StatusPartial} })},
		{"a warning and doubts", "doubt", "1 warning, 2 answers are not known.", with(func(h *Host) {
			h.Survival = row(stateward.SurvivalYes, stateward.SurvivalUnknown)
			h.Findings = []stateward.Diagnostic{{Code: "SW301", Severity: stateward.SeverityWarning}}
		})},
		{"survives, and no copy", "warn", "1 state path has no copy elsewhere.", with(func(h *Host) { h.Survival = row(stateward.SurvivalYes, stateward.SurvivalNo) })},
		{"no state", "mute", "Nothing was found; 1 host names no state.", with(func(h *Host) { h.Survival = nil })},
		{"not asked whether it survives", "doubt", "Nothing was found, and 1 answer is not known.", with(func(h *Host) { h.Survival = row("", stateward.SurvivalYes) })},
		{"lost", "bad", "1 state path is lost at the next boot, 1 error.", with(lost("SW101", stateward.SeverityError, ""))},
		{"lost, and what is found is less than an error", "mute", "Nothing was found beside 1 note; 1 lesser loss at the next boot.", with(lost("SW118", stateward.SeverityInfo, ""))},
		{"lost, and a warning", "warn", "1 warning, 1 lesser loss at the next boot.", with(lost("SW101", stateward.SeverityWarning, ""))},
		{"lost, as is accepted", "mute", "Nothing was found beside 1 finding accepted; 1 accepted loss at the next boot.", with(lost("SW101", stateward.SeverityError, "it is a cache"))},
		{"lost, and a finding of something else", "bad", "1 state path is lost at the next boot.", with(lost("SW113", stateward.SeverityInfo, ""))},
		{"lost, and no finding", "bad", "1 state path is lost at the next boot.", with(func(h *Host) { h.Survival = row(stateward.SurvivalNo, stateward.SurvivalYes) })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newView(tc.page)
			require.Equal(t, tc.tone+" "+tc.want, v.Tone+" "+v.Verdict)
		})
	}
}

func TestResticIsDrawnAsItKeeps(t *testing.T) {
	schedule := func(events ...string) (s backup.Schedule) {
		for _, e := range events {
			c, err := backup.ParseCalendar(e, nil)
			require.NoError(t, err)
			s.Calendar = append(s.Calendar, c)
		}
		return s
	}
	for _, tc := range []struct {
		name    string
		options []string
		events  []string
		want    string
	}{
		{"days, weeks, months", []string{"--keep-daily 7", "--keep-weekly 5", "--keep-monthly 12"}, []string{"03:00"},
			"kept are 1 younger than a day, 6 up to a week old, 4 up to a month old, 10 up to a year old; the oldest is 10 months old"},
		{"hours of the day", []string{"--keep-hourly 24"}, []string{"hourly"}, "kept are 24 younger than a day; the oldest is 23 hours old"},
		{"two events", []string{"--keep-last 4"}, []string{"03:00", "15:00"}, "kept are 2 younger than a day, 2 up to a week old; the oldest is 45 hours old"},
		{"runs that are rarer than the days that are asked for", []string{"--keep-daily 30"}, []string{"Sun 03:00"}, "kept are 1 up to a week old, 3 up to a month old, 26 up to a year old; the oldest is 6 months old"},
		{"more runs than days", []string{"--keep-last 20"}, []string{"Sun 03:00"}, "kept are 1 up to a week old, 3 up to a month old, 16 up to a year old; the oldest is 4 months old"},
		{"hours, once a day", []string{"--keep-hourly 100"}, []string{"03:00"}, "kept are 1 younger than a day, 6 up to a week old, 24 up to a month old, 69 up to a year old; the oldest is 3 months old"},
		{"months, once a year", []string{"--keep-monthly 3"}, []string{"*-01-01"}, "kept are 1 up to a year old, 2 older; the oldest is 2 years old"},
		{"a span", []string{"--keep-within 2d"}, []string{"daily"}, "kept are 1 younger than a day, 1 up to a week old; the oldest is 36 hours old"},
		{"ten years", []string{"--keep-yearly 10"}, []string{"daily"}, "kept are 1 younger than a day, 1 up to a year old, 8 older; the oldest is 8 years old"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _, err := backup.ParseResticPolicy(tc.options)
			require.NoError(t, err)
			l := (&drawer{drawn: map[string]lane{}}).restic(p, schedule(tc.events...))
			require.Empty(t, l.Undrawn)
			require.Equal(t, tc.want, l.Text())
		})
	}
	p, _, err := backup.ParseResticPolicy([]string{"--keep-yearly 10"})
	require.NoError(t, err)
	d := &drawer{drawn: map[string]lane{}}
	require.Contains(t, d.restic(p, schedule("*:0/5")).Note, "over the last ", "a drawing that does not go all the way says so")
	require.Equal(t, "not drawn: it runs more often than is drawn", d.restic(p, schedule("*:*:0/5")).Undrawn)
	require.Len(t, d.drawn, 2)
}

func TestBorgIsDrawnAsItKeeps(t *testing.T) {
	for _, tc := range []struct {
		name  string
		prune backup.Prune
		event string
		want  string
	}{
		{"days", backup.Prune{Keep: map[string]int{"daily": 7}}, "03:00", "kept are 1 younger than a day, 6 up to a week old; the oldest is 6 days old"},
		{"what the days keep does not count for the weeks", backup.Prune{Keep: map[string]int{"daily": 7, "weekly": 4}}, "03:00",
			"kept are 1 younger than a day, 6 up to a week old, 3 up to a month old, 1 up to a year old; the oldest is 31 days old"},
		{"a span, and days beside it", backup.Prune{Within: "2d", Keep: map[string]int{"daily": 2}}, "03:00", "kept are 1 younger than a day, 3 up to a week old; the oldest is 3 days old"},
		{"the last", backup.Prune{Keep: map[string]int{"last": 3}}, "03:00", "kept are 1 younger than a day, 2 up to a week old; the oldest is 2 days old"},
		{"all years", backup.Prune{Keep: map[string]int{"yearly": backup.Unlimited}}, "*-01-01", "kept are 1 up to a year old, 11 older; the oldest is 11 years old"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := backup.ParseCalendar(tc.event, nil)
			require.NoError(t, err)
			l := (&drawer{}).borg(tc.prune, backup.Schedule{Calendar: []backup.Calendar{c}})
			require.Empty(t, l.Undrawn)
			require.Equal(t, tc.want, l.Text())
		})
	}
	c, err := backup.ParseCalendar("daily", nil)
	require.NoError(t, err)
	for _, p := range []backup.Prune{{Within: "2 days"}, {Within: "d"}, {Within: "99999999999y"}, {Keep: map[string]int{"13weekly": 2, "daily": 1}}} {
		l := (&drawer{}).borg(p, backup.Schedule{Calendar: []backup.Calendar{c}})
		require.Equal(t, "not drawn: a rule of it is not known here", l.Undrawn)
		require.True(t, l.Bad)
	}
}

func TestSanoidIsDrawnAsItKeeps(t *testing.T) {
	d := &drawer{drawn: map[string]lane{}}
	p := backup.SanoidPolicy{Hourly: 24, Daily: 7, AutoPrune: true, FrequentPeriod: 15}
	require.Equal(t, "kept are 25 younger than a day, 6 up to a week old; the oldest is 6 days old", d.sanoid(p, []string{"hourly", "daily"}, time.Hour).Text())
	l := d.sanoid(p, []string{"hourly", "daily"}, 12*time.Hour)
	require.Equal(t, "kept are 3 younger than a day, 18 up to a week old, 10 up to a month old; the oldest is 11 days old", l.Text(), "where sanoid runs twice a day, none is hourly")
	require.Equal(t, "sanoid runs only every 12 hours, so that hourly snapshots are as far apart", l.Note)
	h := &stateward.Host{SnapshotTemplates: given([]stateward.SnapshotPolicy{}, ""), Snapshots: given([]stateward.SnapshotPolicy{
		{Name: "a", Recursive: given("zfs", ""), Settings: map[string]stateward.Value[string]{"hourly": given("24", "")}, Schedule: given([]string{"hourly"}, "")},
		{Name: "a/b", Settings: map[string]stateward.Value[string]{"hourly": given("24", ""), "weekly": given("4", "")}, Schedule: given([]string{"hourly"}, "")},
		{Name: "c", Settings: map[string]stateward.Value[string]{"hourly": given("24", "")}}}, "")}
	doubts := map[string]string{}
	for _, l := range d.retentions(h) {
		doubts[l.Who()] = strings.Join(l.Doubts, ", ")
	}
	require.Equal(t, map[string]string{"a": "", "a/b": "no weekly snapshots are taken", "c": "no timer is seen that runs sanoid"}, doubts)
	require.Equal(t, "no snapshots are taken that are kept", d.sanoid(p, nil, time.Hour).Undrawn)
	p.AutoPrune = false
	require.Equal(t, "nothing is pruned, so all are kept until the pool is full", d.sanoid(p, []string{"hourly"}, 0).Undrawn)
}

// Who asks for drills, and what their records say, by the day on which it is judged. No day on the page is no reason to take an old one for a good one.
func TestDrills(t *testing.T) {
	h := &stateward.Host{Name: "forge", Status: stateward.StatusOK, HostName: given("forge", ""), Jobs: given([]stateward.Job{
		{Name: "asked", Engine: "restic", Settings: map[string]stateward.Value[string]{"drill.every": given("30d", "")}}, {Name: "plain", Engine: "restic"}, {Name: "old", Engine: "borg"}}, "")}
	record := func(job string, v drill.Verdict, ended time.Time) drill.Record {
		return drill.Record{Job: job, Host: "forge", Started: ended, Ended: ended, Verdict: v}
	}
	at := func(p Page) map[string]string {
		p.Hosts = []Host{{Name: "forge", Declared: h}}
		out := map[string]string{}
		for _, d := range newView(p).All[0].Drilled {
			out[d.Job] = strings.TrimSpace(d.Mark.Tone + " " + d.Mark.Word + " " + d.Age)
		}
		return out
	}
	fresh, stale := record("asked", drill.Passed, noon.Add(-24*time.Hour)), record("asked", drill.Passed, noon.Add(-40*24*time.Hour))
	never := "warn no record"
	for _, tc := range []struct {
		name string
		page Page
		want map[string]string
	}{
		{"nobody looked", Page{Judged: noon}, map[string]string{"asked": "doubt no records given"}},
		{"none", Page{Judged: noon, Drills: []drill.Record{}}, map[string]string{"asked": "bad no record", "plain": never, "old": "doubt no drills of borg"}},
		{"fresh", Page{Judged: noon, Drills: []drill.Record{fresh}}, map[string]string{"asked": "good passed", "plain": never, "old": "doubt no drills of borg"}},
		{"overdue, and no day on the page", Page{Judged: noon, Drills: []drill.Record{stale}}, map[string]string{"asked": "warn passed, overdue", "plain": never, "old": "doubt no drills of borg"}},
		{"overdue", Page{Judged: noon, Made: noon, Drills: []drill.Record{stale}}, map[string]string{"asked": "warn passed, overdue 40 days ago", "plain": never, "old": "doubt no drills of borg"}},
		{"nobody says what day it is", Page{Drills: []drill.Record{stale, record("plain", drill.Failed, noon)}}, map[string]string{"asked": "good passed", "plain": "bad failed", "old": "doubt no drills of borg"}},
		{"of a job that is gone", Page{Judged: noon, Drills: []drill.Record{fresh, record("gone", drill.Passed, noon)}},
			map[string]string{"asked": "good passed", "plain": never, "old": "doubt no drills of borg", "gone": "doubt passed, of no job that is read"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, at(tc.page)))
		})
	}
}

// Where a list could not be read, the page does not say that there is nothing.
func TestWhatCouldNotBeReadIsNotMissing(t *testing.T) {
	why := stateward.Unknown{Subject: "services.x", Kind: stateward.UnknownThrow, Message: "boom"}
	h := &stateward.Host{Name: "a", Services: stateward.NotKnown[[]stateward.Service](why), Jobs: stateward.NotKnown[[]stateward.Job](why), Snapshots: stateward.NotKnown[[]stateward.SnapshotPolicy](why),
		FileSystems: given([]stateward.FileSystem{mount("/srv/photos", "tank/photos", "zfs")}, "")}
	h.AddUnknown(why)
	got := write(t, Page{Hosts: []Host{{Name: "a", Declared: h}}, Drills: []drill.Record{}})
	for _, no := range []string{"No enabled service", "No snapshot policy", "No backup job that is read", "No dataset", "nothing that is read copies it"} {
		require.NotContains(t, got, no)
	}
	require.Equal(t, 4, strings.Count(got, "? Not all of this could be read: services.x: boom"))
	got = write(t, Page{Hosts: []Host{{Name: "a", Declared: &stateward.Host{Name: "a"}}}, Drills: []drill.Record{}})
	for _, no := range []string{"No enabled service", "No snapshot policy", "No backup job that is read", "No dataset"} {
		require.Contains(t, got, no)
	}
}

// The map says of a file system what is known of its copies, whether or not a service names a place on it.
func TestMapSaysWhatIsCopied(t *testing.T) {
	hourly, calendar := given([]string{"hourly"}, ""), given([]string{"03:00"}, "")
	h := &stateward.Host{Name: "a",
		FileSystems: given([]stateward.FileSystem{mount("/", "tmpfs", "tmpfs"), mount("/nix", "tank/nix", "zfs"), mount("/srv/photos", "tank/photos", "zfs"), mount("/srv/a", "tank/a", "zfs"), mount("/srv/b", "tank/b", "zfs"),
			mount("/srv/b/in", "tank/in", "zfs"), mount("/srv/c", "tank/c", "zfs"), mount("/srv/d", "tank/d", "zfs"), mount("/srv/e", "/dev/sdb1", "ext4"), mount("/srv/f", "/dev/sdc1", "ext4")}, ""),
		Snapshots: given([]stateward.SnapshotPolicy{
			{Name: "tank/a", Settings: map[string]stateward.Value[string]{"hourly": given("24", "")}, Schedule: hourly},
			{Name: "tank/c", Settings: map[string]stateward.Value[string]{"hourly": given("24", ""), "autosnap": given("no", "")}, Schedule: hourly},
			{Name: "tank/d", Settings: map[string]stateward.Value[string]{"hourly": given("24", "")}}}, ""),
		SnapshotTemplates: given([]stateward.SnapshotPolicy{}, ""),
		Replications: given([]stateward.Replication{{Name: "a", Source: given("tank/a", ""), Target: given("nas:tank/a", ""), Recursive: given(false, ""), Schedule: calendar},
			{Name: "d", Source: given("tank/d", ""), Target: given("nas:tank/d", ""), Recursive: given(false, "")}}, ""),
		Jobs: given([]stateward.Job{{Name: "b", Engine: "restic", Repository: given("sftp:u@h:/srv", ""), Paths: entries("/srv/b"), Exclude: given([]string{"cache"}, ""), Schedule: calendar},
			{Name: "f", Engine: "restic", Repository: given("sftp:u@h:/srv", ""), Paths: entries("/srv/f")}}, ""),
	}
	observed := &dataset.Observed{Pools: []dataset.Pool{{Name: "tank", Health: "DEGRADED"}}}
	for _, name := range []string{"tank", "tank/nix", "tank/photos", "tank/a", "tank/b", "tank/in", "tank/d", "tank/forgotten"} {
		n, err := dataset.ParseName(name)
		require.NoError(t, err)
		observed.Datasets = append(observed.Datasets, dataset.State{Name: n})
	}
	for at, source := range map[string]string{"/nix": "tank/nix", "/srv/photos": "tank/elsewhere", "/srv/b": "tank/b", "/srv/b/in": "tank/in", "/srv/d": "tank/d"} {
		observed.Mounts = append(observed.Mounts, dataset.Mount{At: at, Source: source, FSType: "zfs", Root: "/"})
	}
	got := func(host Host) (out []string) {
		line := func(name string, list []says) {
			for _, s := range list {
				out = append(out, name+": "+s.Sign+" "+s.Text)
			}
		}
		for _, p := range mapHost(host) {
			line(p.Name, p.Says)
			for _, d := range p.Datasets {
				line(d.Name+" "+strings.Join(d.Mounts, ","), d.Says)
			}
		}
		return out
	}
	require.Empty(t, cmp.Diff([]string{
		"tank/a /srv/a: ✓ snapshots by the snapshot policy of tank/a", "tank/a /srv/a: ✓ sent to nas:tank/a",
		"tank/b /srv/b: ✓ /srv/b stored by restic job b in sftp:u@h:/srv, without what that excludes",
		"tank/c /srv/c: ✕ no snapshots by the snapshot policy of tank/c: no snapshots are taken that are kept", "tank/c /srv/c: ✕ no service that is read keeps state on it, and nothing that is read copies it",
		"tank/d /srv/d: ? perhaps snapshots by the snapshot policy of tank/d: no timer is seen that runs sanoid", "tank/d /srv/d: ? sent to nas:tank/d, and no timer is seen that starts it",
		"tank/in /srv/b/in: ? perhaps stored with /srv/b by restic job b: whether that goes from there into other file systems is not read",
		"tank/photos /srv/photos: ✕ no service that is read keeps state on it, and nothing that is read copies it",
		"ext4 /srv/e: ✕ no service that is read keeps state on it, and nothing that is read copies it",
		"ext4 /srv/f: ? /srv/f stored by restic job f in sftp:u@h:/srv; no timer is seen that starts it",
	}, got(Host{Declared: h})))
	root := &stateward.Host{FileSystems: given([]stateward.FileSystem{mount("/", "tank/root", "zfs")}, "")}
	require.Equal(t, []string{"tank/root /:  emptied at every boot"}, got(Host{Declared: root, Root: aggregate.RootState{Wiped: stateward.SurvivalYes}}))
	require.Equal(t, []string{"tank/root /: ✕ no service that is read keeps state on it, and nothing that is read copies it"}, got(Host{Declared: root}))
	seen := got(Host{Declared: h, Pools: observed})
	for _, want := range []string{"tank: ✕ was DEGRADED when the host was looked at", "tank: ? seen on the host, and not in what is read: tank/forgotten", "tank/a /srv/a: ✕ was not mounted at /srv/a when the host was looked at",
		"tank/c /srv/c: ✕ was not there when the host was looked at", "tank/photos /srv/photos: ✕ tank/elsewhere was mounted at /srv/photos when the host was looked at"} {
		require.Contains(t, seen, want)
	}
	require.Len(t, seen, 16)
	observed.Pools = nil
	require.Contains(t, got(Host{Declared: h, Pools: observed}), "tank: ✕ not imported when the host was looked at")
	observed.LeftOut = []string{"tank"}
	require.Contains(t, got(Host{Declared: h, Pools: observed}), "tank: ? not looked at when the host was: whether its datasets are there is not known")
}

// What is sent to its own pool, or stored on its own disks, is no copy that survives them.
func TestMapTellsCopiesOnTheSameDisks(t *testing.T) {
	calendar := given([]string{"03:00"}, "")
	job := func(name, repository, path string) stateward.Job {
		return stateward.Job{Name: name, Engine: "restic", Repository: given(repository, ""), Paths: entries(path), Schedule: calendar}
	}
	replication := func(name, source, target string) stateward.Replication {
		return stateward.Replication{Name: name, Source: given(source, ""), Target: given(target, ""), Recursive: given(false, ""), Schedule: calendar}
	}
	h := &stateward.Host{
		FileSystems: given([]stateward.FileSystem{mount("/srv", "tank/srv", "zfs"), mount("/srv/disk", "/dev/sdb1", "ext4"), mount("/mnt/usb", "usb/backup", "zfs"), mount("/net", "nas:/", "nfs4")}, ""),
		Jobs: given([]stateward.Job{job("a", "/srv/restic", "/srv/a"), job("b", "/mnt/usb/restic", "/srv/b"), job("c", "/srv/disk/restic", "/srv/c"), job("d", "/elsewhere", "/srv/d"), job("e", "/srv/disk/restic", "/srv/disk/e"),
			job("f", "/net/restic", "/srv/f"), job("g", "rest:http://localhost:8000/", "/srv/g"), {Name: "h", Engine: "restic", Paths: entries("/srv/h"), Schedule: calendar}, job("i", "/mnt/usb/restic", "/elsewhere/i"),
			job("j", "sftp:u@nas:/restic", "/elsewhere/j")}, ""),
		Replications: given([]stateward.Replication{replication("x", "tank/srv", "tank/copy"), replication("y", "tank/srv", "usb/copy"), replication("z", "tank/srv", "root@localhost:tank/copy"),
			replication("w", "tank/srv", "nas:tank/copy"), {Name: "v", Source: given("tank/srv", ""), Recursive: given(false, ""), Schedule: calendar}}, ""),
	}
	var got []string
	for _, p := range mapHost(Host{Declared: h}) {
		for _, d := range p.Datasets {
			for _, s := range d.Says {
				if s.Tone == "bad" || s.Tone == "doubt" && !strings.HasPrefix(s.Text, "perhaps") || s.Sign == "✓" {
					got = append(got, s.Sign+" "+s.Text)
				}
			}
		}
	}
	require.Empty(t, cmp.Diff([]string{
		"? /elsewhere/i stored by restic job i in /mnt/usb/restic; whether that lies on other disks is not known", "✓ /elsewhere/j stored by restic job j in sftp:u@nas:/restic",
		"✕ /srv/a stored by restic job a in /srv/restic, on the same disks, and lost with them", "✓ /srv/b stored by restic job b in /mnt/usb/restic", "? /srv/c stored by restic job c in /srv/disk/restic; whether that lies on other disks is not known",
		"? /srv/d stored by restic job d in /elsewhere; whether that lies on other disks is not known", "✓ /srv/f stored by restic job f in /net/restic",
		"? /srv/g stored by restic job g in rest:http://localhost:8000/; whether that lies on other disks is not known", "? /srv/h stored by restic job h; where is not known",
		"? sent to a target that is not known",
		"✓ sent to nas:tank/copy", "✕ sent to tank/copy, on the same pool, and lost with it", "✓ sent to usb/copy", "✕ sent to localhost:tank/copy, on the same pool, and lost with it",
		"✕ /srv/disk/e stored by restic job e in /srv/disk/restic, on the same disks, and lost with them",
	}, got))
}

// Both are one option of borg, of which the later counts, and they are written in order.
func TestBorgKeepsTheLastBySeconds(t *testing.T) {
	at, err := backup.ParseCalendar("03:00", nil)
	require.NoError(t, err)
	for range 50 {
		l := (&drawer{}).borg(backup.Prune{Keep: map[string]int{"last": 9, "secondly": 2}}, backup.Schedule{Calendar: []backup.Calendar{at}})
		require.Empty(t, l.Undrawn)
		require.Equal(t, 2, strings.Count(l.Drawn, "M"), l.Drawn)
	}
}

func TestBlocks(t *testing.T) {
	got := blocks("One `code`\nline.\n\n- **a**: b\n  goes on\n- c\n\n```nix\nx = {\n  a\n```\n")
	require.Empty(t, cmp.Diff([]block{
		{Spans: []span{{"", "One "}, {"code", "code"}, {"", " line."}}},
		{Items: [][]span{{{"strong", "a"}, {"", ": b"}, {"", " goes on"}}, {{"", "c"}}}},
		{Code: "x = {\n  a"},
	}, got))
	for _, c := range aggregate.Catalog() {
		require.NotEmpty(t, blocks(c.Doc), c.Code)
	}
}

// tags are those on a page, with the names of their attributes and without what these are set to. An element that never ends is one, too.
func tags(page string) map[string]bool {
	page = strings.Replace(strings.Replace(page, styleText, "", 1), scriptText, "", 1)
	seen, out := map[string]bool{}, map[string]bool{}
	for {
		_, tag, ok := strings.Cut(page, "<")
		if !ok {
			return out
		}
		tag, page, _ = strings.Cut(tag, ">")
		if !seen[tag] {
			seen[tag] = true
			out[withoutValues(tag)] = true
		}
	}
}

// withoutValues cuts out what stands between two quotation marks.
func withoutValues(tag string) string {
	parts := strings.Split(tag, `"`)
	var b strings.Builder
	for i, part := range parts {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case i == len(parts)-1: // a mark that nothing closes
			b.WriteString(`"` + part)
		default:
			b.WriteString(`""`)
		}
	}
	return b.String()
}

// FuzzPage: whatever stands in a configuration, the page has no tag and no attribute that the template does not have, and nothing that reorders what stands beside it.
func FuzzPage(f *testing.F) {
	for _, s := range []string{"x", `"><script>alert(1)</script>`, `' onmouseover='alert(1)`, "</style><img src=x onerror=alert(1)>", "<!--", "-->", "]]>", "{{.}}", "javascript:alert(1)", "`${alert(1)}`",
		"\x00", "\u202eevil", "\xff\xfe", "a\nb", "&lt;b&gt;", "</title>", "<svg/onload=alert(1)>", "\u2028", strings.Repeat("W", 300), " ", "..", "a/../b"} {
		f.Add(s)
	}
	// What is drawn of a retention follows from its rules and its schedule, where nothing of the input stands, and takes most of a page's time: a job that runs
	// once a month has the same drawing in it, of few runs.
	page := func(s string) Page {
		p := sample(s)
		for i := range p.Hosts {
			if h := p.Hosts[i].Declared; h != nil && len(h.Jobs.Or(nil)) > 0 {
				h.Jobs.Or(nil)[0].Schedule = given([]string{"monthly"}, "")
			}
		}
		return p
	}
	require.Empty(f, cmp.Diff(tags(write(f, sample("x"))), tags(write(f, page("x")))))
	allowed := map[string]bool{}
	for _, s := range []string{"x", "a b", "/", "..", "W W"} {
		p := page(s)
		maps.Copy(allowed, tags(write(f, p)))
		p.Drills, p.Made = nil, time.Time{}
		maps.Copy(allowed, tags(write(f, p)))
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := write(t, page(s))
		for tag := range tags(got) {
			if !allowed[tag] {
				t.Fatalf("%q brings <%s>", s, tag)
			}
		}
		for _, r := range got {
			if r < ' ' && r != '\n' || r >= 0x202a && r <= 0x202e {
				t.Fatalf("%q brings %U", s, r)
			}
		}
	})
}
