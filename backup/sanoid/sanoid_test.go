package sanoid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/backup/sanoid"
	"github.com/stateward/stateward/internal/nixtest"
)

// real has sanoid itself read configurations, in one process, over a `zfs` that lists these datasets. Of the script only the
// place of its defaults is changed, and what comes after its init is not run. A configuration at which sanoid dies has "" => what it said.
func real(t testing.TB, datasets []string, confs ...string) []map[string]map[string]string {
	t.Helper()
	root := os.Getenv("STATEWARD_TEST_SANOID")
	if root == "" {
		root = "/"
	}
	script, err := os.ReadFile(filepath.Join(root, "usr/sbin/sanoid"))
	require.NoError(t, err, "sanoid is needed to compare with; run: make deps, or eval \"$(scripts/deps.sh --versions)\"")
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	body := string(script)
	_, subs, found := strings.Cut(body, "\nsub init {")
	require.True(t, found)
	defaults := filepath.Join(root, "usr/share/sanoid/sanoid.defaults.conf")
	// What it prints is JSON by hand: the values have neither quotes nor control characters but tabs.
	write("init.pl", `use strict; use warnings; use Config::IniFiles; use JSON::PP;
our %args; our $MINIMUM_DEFAULTS_VERSION = 2; our %cache; our $zfs = 'zfs';
sub init {`+subs[:strings.Index(subs, "} # end sub init")]+`}
sub getchilddatasets { my $fs = shift; return map { "$_\n" } grep { index($_, "$fs/") == 0 } split(/ /, $ENV{DATASETS}); }
my @out;
foreach my $file (@ARGV) {
	my $said = ''; local $SIG{__WARN__} = sub { $said .= $_[0] };
	my %config = eval { init($file, '`+defaults+`') };
	$said .= $@ if $@;
	my %copy; foreach my $s (keys %config) { next if $s =~ /^template_/; foreach my $k (keys %{$config{$s}}) { $copy{$s}{$k} = "$config{$s}{$k}" if defined $config{$s}{$k} } }
	$copy{''}{''} = $said if $said ne '';
	push @out, \%copy;
}
print JSON::PP->new->encode(\@out);
`, 0o644)
	args := []string{"-I" + filepath.Join(root, "usr/share/perl5"), filepath.Join(dir, "init.pl")}
	for i, conf := range confs {
		name := fmt.Sprintf("%d.conf", i)
		write(name, conf, 0o644)
		args = append(args, filepath.Join(dir, name))
	}
	cmd := exec.Command("perl", args...)
	cmd.Env = append(os.Environ(), "DATASETS="+strings.Join(datasets, " "))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", errs.String())
	var list []map[string]map[string]string
	require.NoError(t, json.Unmarshal(out, &list), "%s", out)
	require.Len(t, list, len(confs))
	return list
}

var names = []string{"tank", "tank/a", "tank/a/x", "tank/a-b", "tank/b", "rpool/safe"}

func config(t *rapid.T) *sanoid.Config {
	settings := func(template bool) sanoid.Settings {
		s := sanoid.Settings{}
		for _, k := range sanoid.Keys() {
			if rapid.IntRange(0, 4).Draw(t, k) > 0 || template && k == "skip_children" {
				continue
			}
			for _, try := range []string{fmt.Sprint(rapid.IntRange(0, 60).Draw(t, k)), "yes", "1", "90m"} {
				if s.Set(k, try) == nil {
					break
				}
			}
		}
		if rapid.Bool().Draw(t, "script") {
			if err := s.Set("pre_snapshot_script", rapid.SampledFrom([]string{"/bin/a b", "/bin/x = # [y] ;", `/bin/q "z" '%' \`, "/bin/e é"}).Draw(t, "text")); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	c := &sanoid.Config{}
	for _, name := range []string{"default", "production", "x.y_z-1"} {
		if rapid.Bool().Draw(t, name) {
			c.Templates = append(c.Templates, sanoid.Template{Name: name, Settings: settings(true)})
		}
	}
	for _, name := range names {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		d := sanoid.Dataset{Name: name, Recursive: sanoid.Recursion(rapid.IntRange(0, 2).Draw(t, "recursive")), Settings: settings(false)}
		for _, u := range c.Templates {
			if rapid.Bool().Draw(t, "use") {
				d.UseTemplate = append(d.UseTemplate, u.Name)
			}
		}
		c.Datasets = append(c.Datasets, d)
	}
	if len(c.Datasets) == 0 {
		c.Datasets = []sanoid.Dataset{{Name: "tank", Settings: settings(false)}}
	}
	return c
}

// Whatever is written comes back as it was, and nothing of what is kept is left to a default.
func TestS1ConfigComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := config(rt)
		text, err := c.Render()
		require.NoError(rt, err)
		back, err := sanoid.Parse(text)
		require.NoError(rt, err, "%s", text)
		require.Empty(rt, cmp.Diff(c.Explicit(), back))
		again, err := back.Render()
		require.NoError(rt, err)
		require.Equal(rt, text, again)
		before := c.Effective()
		for i, e := range back.Effective() {
			for _, k := range []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly", "autosnap", "autoprune"} {
				require.NotEmpty(rt, e.Settings[k].From, "%s of %s\n%s", k, e.Dataset, text)
				require.Equal(rt, before[i].Settings[k].Value, e.Settings[k].Value)
			}
		}
	})
}

// What holds for each dataset is what sanoid makes of the same file.
func TestS1EffectiveEqualsSanoid(t *testing.T) {
	var configs []*sanoid.Config
	var texts []string
	gen := rapid.Custom(config)
	for i := range 150 {
		c := gen.Example(i)
		// It takes away what was set below it; nothing is said of that here.
		for j := range c.Datasets {
			delete(c.Datasets[j].Settings, "skip_children")
		}
		text, err := c.Render()
		require.NoError(t, err)
		configs, texts = append(configs, c), append(texts, text)
	}
	words := map[string]string{"yes": "1", "no": "0"}
	for i, got := range real(t, names, texts...) {
		for _, e := range configs[i].Effective() {
			for k, v := range e.Settings {
				want := v.Value
				if w, ok := words[want]; ok {
					want = w
				}
				if _, own := got[e.Dataset][k]; own || k != "process_children_only" && k != "skip_children" {
					require.Equal(t, want, got[e.Dataset][k], "%s of %s\n%s\n%s", k, e.Dataset, texts[i], got[""][""])
				}
			}
		}
		for line := range strings.Lines(got[""][""]) { // the one thing that it says of a sound file
			require.Contains(t, line, "because it's part of a zfs recursion", "%s", texts[i])
		}
	}
}

// lines are texts that say something else than they seem to, the errors that tell so, and what sanoid makes of them.
var lines = []struct {
	name, text, want, hint string
	// said is a part of what sanoid says; where it says nothing, key of [tank] comes out as value.
	said, key, value string
}{
	{"S1 minutely", "[tank]\nminutely = 5\n", `line 2: "minutely" is no key of sanoid`, "what comes several times an hour is frequently, and frequent_period says how many minutes lie between two", "I don't understand the setting minutely", "", ""},
	{"a mistyped key", "[tank]\n\nhourley = 5\n", `line 3: "hourley" is no key of sanoid`, "the nearest is hourly", "I don't understand the setting hourley", "", ""},
	{"S1 a template that is not there", "[tank]\nuse_template = prodution\n[template_production]\nhourly = 3\n", "line 2: no section is called template_prodution, and sanoid passes over it", "the nearest is production", "", "hourly", "48"},
	{"a preset without a definition", "[tank]\nuse_template = services\n", "line 2: no section is called template_services, and sanoid passes over it", "it is a preset of stateward: define it with what that keeps", "", "monthly", "6"},
	{"a flag with a comment", "[tank]\nautosnap = no # not now\n", `line 2: autosnap is "no # not now", which is neither yes nor no, and sanoid would take it for yes`, "a comment stands in a line of its own", "", "autosnap", "no # not now"},
	{"a flag with a blank", "[tank]\nautosnap = no \n", `line 2: autosnap is "no ", which ends with a blank, which sanoid's reader keeps`, "", "", "autosnap", "no "},
	{"a key that is there twice", "[tank]\nhourly = 1\nhourly = 2\n", "line 3: hourly is there already, in line 2, which counts", "", "duplicate key 'hourly'", "hourly", "1"},
	{"a section that is there twice", "[tank]\nhourly = 1\n[rpool]\n[tank]\ndaily = 2\n", "line 4: section [tank] is there already, in line 1, and sanoid makes one of both", "put both into one", "", "daily", "2"},
	{"a text of several lines", "[tank]\npruning_script = <<E\nx\nE\n", `line 2: pruning_script is "<<E", which begins with <<, which sanoid's reader takes for a text of several lines`, "", "", "pruning_script", "x"},
	{"no section", "hourly = 1\n", "line 1: hourly stands before the first section", "begin with [DATASET]", "cannot load", "", ""},
	{"neither", "[tank\n", `line 1: neither a section nor a key with a value: "[tank"`, "", "cannot load", "", ""},
	{"nothing", "# nothing\n", "line 1: there is no section, and sanoid refuses such a file", "", "cannot load", "", ""},
	{"one line", "[tank]", "line 1: no line ends, and sanoid's reader finds nothing", "", "cannot load", "", ""},
	{"a recursion further down", "[tank/a]\nhourly = 1\n[tank]\nrecursive = yes\n", "line 1: [tank/a] stands before [tank], whose recursion overrides it", "put [tank] first", "", "hourly", "48"},
	{"recursion in a template", "[template_x]\nrecursive = yes\n[tank]\nuse_template = x\n", "line 2: recursive is not read from a template", "", "ignored key 'recursive'", "", ""},
	{"recursion of another kind", "[tank]\nrecursive = all\n", `line 2: recursive is "all", which is none of yes, no and zfs, and counts as no`, "", "", "hourly", "48"},
	{"a number", "[tank]\nhourly = many\n", `line 2: hourly is "many", which is no whole number`, "", "", "hourly", "many"},
	{"a day that not every month has", "[tank]\nmonthly_mday = 31\n", `line 2: monthly_mday is "31", which is no whole number from 1 to 28`, "", "", "monthly_mday", "31"},
	{"a span", "[tank]\nhourly_warn = 90min\n", `line 2: hourly_warn is "90min", which is no time span such as 90m, 28h or 32d`, "", "", "hourly_warn", "90min"},
	{"other ends of lines", "[tank]\r\nhourly = 1\ndaily = 2\r\n", "line 2: the line ends otherwise than the first, and sanoid's reader joins it with the next", "end every line in the same way", "cannot load", "", ""},
	{"a line that ends within", "[tank]\nhourly = 1\x15\ndaily = 2\n", "line 2: a control character, at which sanoid's reader may end the line", "", "", "hourly", "1\x15"},
}

func TestParseTellsWhatSanoidDoesNot(t *testing.T) {
	var texts []string
	for _, tc := range lines {
		texts = append(texts, tc.text)
		_, err := sanoid.Parse(tc.text)
		require.Error(t, err, tc.name)
		first, _, _ := strings.Cut(err.Error(), "\n")
		require.Equal(t, tc.want, first, tc.name)
		var e *sanoid.LineError
		require.ErrorAs(t, err, &e)
		require.Equal(t, tc.hint, e.Hint(), tc.name)
	}
	for i, got := range real(t, []string{"tank", "tank/a"}, texts...) {
		tc := lines[i]
		require.Contains(t, got[""][""], tc.said, tc.name)
		if tc.said == "" {
			require.Empty(t, got[""][""], tc.name)
		}
		at := "tank"
		if tc.name == "a recursion further down" {
			at = "tank/a"
		}
		if tc.key != "" {
			require.Equal(t, tc.value, got[at][tc.key], tc.name)
		}
	}
}

func TestConfigIsRefused(t *testing.T) {
	of := func(name string, s sanoid.Settings) *sanoid.Config {
		return &sanoid.Config{Datasets: []sanoid.Dataset{{Name: name, Settings: s}}}
	}
	for want, c := range map[string]*sanoid.Config{
		"there is no section, and sanoid refuses such a file":                                                                {},
		"[templates/a]: sanoid takes a section whose name begins with template for a template, and no snapshot of that pool": of("templates/a", nil),
		`[tank/a b]: dataset name "tank/a b" contains a blank, which ZFS allows, but scripts, units and sanoid do not`:       of("tank/a b", nil),
		`[tank]: pruning_script is "<<x", which begins with <<, which sanoid's reader takes for a text of several lines`:     of("tank", sanoid.Settings{"pruning_script": "<<x"}),
		`[tank]: pruning_script is "a\nb", which contains a control character, at which sanoid's reader may end the line`:    of("tank", sanoid.Settings{"pruning_script": "a\nb"}),
		`[tank]: hourly is "-1", which is no whole number`:                                                                   of("tank", sanoid.Settings{"hourly": "-1"}),
		`[tank]: "minutely" is no key of sanoid`:                                                                             of("tank", sanoid.Settings{"minutely": "1"}),
		`[tank]: use_template is "services", which no section defines, and sanoid passes over`:                               {Datasets: []sanoid.Dataset{{Name: "tank", UseTemplate: []string{"services"}}}},
		"[tank]: the dataset is there twice, and sanoid would make one of both":                                              {Datasets: []sanoid.Dataset{{Name: "tank"}, {Name: "tank"}}},
		"[template_a,b]: the name of the template has something else than letters, digits, _, - and .":                       {Templates: []sanoid.Template{{Name: "a,b"}}},
		"[tank]: Recursion(7) is no way of recursion":                                                                        {Datasets: []sanoid.Dataset{{Name: "tank", Recursive: 7}}},
		"[template_x]: the template is there twice, and only one can be read":                                                {Templates: []sanoid.Template{{Name: "x"}, {Name: "x"}}},
		"[template_x]: skip_children is not read from a template":                                                            {Templates: []sanoid.Template{{Name: "x", Settings: sanoid.Settings{"skip_children": "yes"}}}},
	} {
		text, err := c.Render()
		require.EqualError(t, err, want)
		require.Empty(t, text)
		_, err = c.Nix("hourly", 0, nil)
		require.EqualError(t, err, want)
	}
	_, err := of("tank", nil).Nix("sometimes", 0, nil)
	require.Error(t, err)
}

func example() *sanoid.Config {
	return &sanoid.Config{
		Templates: []sanoid.Template{{Name: "services", Settings: sanoid.Services()}, {Name: "production", Settings: sanoid.Production()}},
		Datasets: []sanoid.Dataset{
			{Name: "tank/services/paperless", UseTemplate: []string{"services"}, Settings: sanoid.Settings{"hourly": "36", "pre_snapshot_script": "/bin/q \"${x}\""}},
			{Name: "tank/services", UseTemplate: []string{"production"}, Recursive: sanoid.RecursiveYes, Settings: sanoid.Settings{"process_children_only": "yes"}},
			{Name: "rpool/home", Recursive: sanoid.RecursiveZFS, Settings: sanoid.Settings{"hourly": "5", "hourly_warn": "2h"}},
		},
	}
}

func TestRender(t *testing.T) {
	text, err := example().Render()
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(`[template_production]
frequently = 0
hourly = 48
daily = 30
weekly = 0
monthly = 3
yearly = 0
autosnap = yes
autoprune = yes

[template_services]
frequently = 0
hourly = 24
daily = 7
weekly = 0
monthly = 0
yearly = 0
autosnap = yes
autoprune = yes

[rpool/home]
recursive = zfs
frequently = 0
hourly = 5
daily = 90
weekly = 0
monthly = 6
yearly = 0
autosnap = yes
autoprune = yes
hourly_warn = 2h

[tank/services]
use_template = production
recursive = yes
process_children_only = yes

[tank/services/paperless]
use_template = services
recursive = no
hourly = 36
pre_snapshot_script = /bin/q "${x}"
`, text))
}

// What NixOS is told says the same.
func TestNixSaysTheSame(t *testing.T) {
	text, err := example().Nix("*:0/15", 0, nil)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		var got struct {
			Enable              bool
			Interval            string
			Templates, Datasets map[string]map[string]any
		}
		n.JSON(t, text, &got)
		require.True(t, got.Enable)
		require.Equal(t, "*:0/15", got.Interval)
		require.Empty(t, cmp.Diff(map[string]map[string]any{
			"rpool/home":              {"recursive": "zfs", "frequently": 0.0, "hourly": 5.0, "daily": 90.0, "weekly": 0.0, "monthly": 6.0, "yearly": 0.0, "autosnap": true, "autoprune": true, "hourly_warn": "2h"},
			"tank/services":           {"use_template": []any{"production"}, "recursive": true, "process_children_only": true},
			"tank/services/paperless": {"use_template": []any{"services"}, "recursive": false, "hourly": 36.0, "pre_snapshot_script": "/bin/q \"${x}\""},
		}, got.Datasets))
		require.Equal(t, []string{"production", "services"}, slices.Sorted(func(yield func(string) bool) {
			for k := range got.Templates {
				if !yield(k) {
					return
				}
			}
		}))
		require.Equal(t, 0.0, got.Templates["services"]["monthly"])
	}
}

func FuzzParse(f *testing.F) {
	for _, tc := range lines {
		f.Add(tc.text)
	}
	text, err := example().Render()
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := sanoid.Parse(text)
		if err != nil {
			var e *sanoid.LineError
			if !errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("%v", err)
			}
			return
		}
		out, err := c.Render()
		if err != nil {
			t.Fatalf("what was read is not written: %v", err)
		}
		back, err := sanoid.Parse(out)
		if err != nil || !cmp.Equal(c.Explicit(), back) {
			t.Fatalf("%v\n%s", err, cmp.Diff(c.Explicit(), back))
		}
	})
}
