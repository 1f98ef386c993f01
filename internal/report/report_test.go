package report

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
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
	v := newView(Page{Hosts: []Host{
		{Name: "sound", Declared: ok("sound"), Root: wiped}, {Name: "excluded", Declared: ok("excluded"), Root: wiped, Excluded: map[string]int{"SW101": 1}},
		{Name: "doubt", Declared: ok("doubt"), Root: wiped, Survival: doubt}, {Name: "warned", Declared: ok("warned"), Root: wiped, Findings: finding(stateward.SeverityWarning)},
		{Name: "partial", Declared: partial, Root: wiped}, {Name: "lost", Declared: ok("lost"), Root: wiped, Survival: lost},
		{Name: "root", Declared: ok("root")}, {Name: "error", Declared: ok("error"), Root: wiped, Findings: finding(stateward.SeverityError)}, {Name: "failed", Failure: &Failure{Message: "no"}},
	}})
	var got []string
	for _, h := range v.All {
		got = append(got, h.Name+": "+h.Mark.Tone+" "+h.Mark.Word)
	}
	require.Empty(t, cmp.Diff([]string{"failed: bad not evaluated", "error: bad 1 error", "lost: bad 1 lost", "partial: doubt not all known", "warned: warn 1 warning",
		"doubt: doubt 1 answer unknown", "root: doubt 1 answer unknown", "excluded: mute nothing new", "sound: good nothing found"}, got))
}

// Only where all is known, and nothing was left out, is the first sentence a good one.
func TestVerdict(t *testing.T) {
	sound := Host{Name: "a", Declared: &stateward.Host{Status: stateward.StatusOK}, Root: aggregate.RootState{Wiped: stateward.SurvivalYes}}
	with := func(change func(*Host)) Page {
		h := sound
		change(&h)
		return Page{Hosts: []Host{sound, h}}
	}
	for _, tc := range []struct {
		name, tone, want string
		page             Page
	}{
		{"no host", "doubt", "There is no host.", Page{}},
		{"nothing", "good", "Nothing was found.", Page{Hosts: []Host{sound}}},
		{"unknown root", "doubt", "Nothing was found, and 1 answer is not known.", with(func(h *Host) { h.Root.Wiped = stateward.SurvivalUnknown })},
		{"excluded", "mute", "Nothing was found beside what is accepted, known or excluded (2).", with(func(h *Host) { h.Excluded = map[string]int{"SW101": 2} })},
		{"failed", "bad", "1 host could not be evaluated.", with(func(h *Host) { h.Failure = &Failure{Message: "no"} })},
		{"nothing is known", "bad", "1 host could not be evaluated.", with(func(h *Host) { h.Declared = nil })},
		{"partial without a reason", "doubt", "1 value is not known.", with(func(h *Host) { h.Declared = &stateward.Host{Status: stateward.StatusPartial} })},
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

func TestSanoidIsDrawnAsItKeeps(t *testing.T) {
	d := &drawer{drawn: map[string]lane{}}
	p := backup.SanoidPolicy{Hourly: 24, Daily: 7, AutoPrune: true, FrequentPeriod: 15}
	require.Equal(t, "kept are 25 younger than a day, 6 up to a week old; the oldest is 6 days old", d.sanoid(p, []string{"hourly", "daily"}).Text())
	p.AutoPrune = false
	require.Equal(t, "nothing is pruned, so all are kept until the pool is full", d.sanoid(p, []string{"hourly"}).Undrawn)
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

var (
	tags   = regexp.MustCompile(`<[^>]*>?`)
	values = regexp.MustCompile(`"[^"]*"`)
)

// skeleton are the kinds of tags on a page, with the names of their attributes.
func skeleton(page string) []string {
	page = strings.Replace(strings.Replace(page, styleText, "", 1), scriptText, "", 1)
	var out []string
	for _, tag := range tags.FindAllString(page, -1) {
		out = append(out, values.ReplaceAllString(tag, `""`))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// FuzzPage: whatever stands in a configuration, the page has no tag and no attribute that the template does not have, and nothing that reorders what stands beside it.
func FuzzPage(f *testing.F) {
	for _, s := range []string{"x", `"><script>alert(1)</script>`, `' onmouseover='alert(1)`, "</style><img src=x onerror=alert(1)>", "<!--", "-->", "]]>", "{{.}}", "javascript:alert(1)", "`${alert(1)}`",
		"\x00", "\u202eevil", "\xff\xfe", "a\nb", "&lt;b&gt;", "</title>", "<svg/onload=alert(1)>", "\u2028", strings.Repeat("W", 300), " ", "..", "a/../b"} {
		f.Add(s)
	}
	allowed := map[string]bool{}
	for _, s := range []string{"x", "a b", "/", "..", "W W"} {
		p := sample(s)
		p.Drills, p.Made = nil, time.Time{}
		for _, tag := range append(skeleton(write(f, sample(s))), skeleton(write(f, p))...) {
			allowed[tag] = true
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := write(t, sample(s))
		for _, tag := range skeleton(got) {
			if !allowed[tag] {
				t.Fatalf("%q brings %s", s, tag)
			}
		}
		for _, r := range got {
			if r < ' ' && r != '\n' || r >= 0x202a && r <= 0x202e {
				t.Fatalf("%q brings %U", s, r)
			}
		}
	})
}
