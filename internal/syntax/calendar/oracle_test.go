package calendar

import (
	"bytes"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// analyzers are the systemd-analyze to compare with: those of STATEWARD_TEST_SYSTEMD, or the one of the machine.
func analyzers(t *testing.T) []string {
	t.Helper()
	if list := os.Getenv("STATEWARD_TEST_SYSTEMD"); list != "" {
		return filepath.SplitList(list)
	}
	path, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "systemd-analyze is needed to compare with; run: make deps, or install Debian's systemd")
	return []string{path}
}

// answer is what is said of one expression: that it is invalid, or its normal form and when it elapses.
type answer struct {
	Text    string
	Valid   bool
	Normal  string
	Elapses []string // in UTC, then "never" or "lost"
}

const stamp = "2006-01-02 15:04:05"

// ask has systemd-analyze answer for many expressions.
func ask(t *testing.T, program, zone string, base time.Time, n int, texts []string) []answer {
	t.Helper()
	args := append([]string{"calendar", fmt.Sprintf("--iterations=%d", n), fmt.Sprintf("--base-time=@%d", base.Unix()), "--"}, texts...)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TZ="+zone, "LC_ALL=C", "SYSTEMD_COLORS=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)

	var refused, lost []string
	for _, line := range strings.Split(errs.String(), "\n") {
		if rest, ok := strings.CutPrefix(line, "Failed to parse calendar specification '"); ok {
			refused = append(refused, rest[:strings.LastIndex(rest, "'")])
		} else if rest, ok := strings.CutPrefix(line, "Failed to determine next elapse for '"); ok {
			lost = append(lost, rest[:strings.LastIndex(rest, "'")])
		}
	}
	var blocks []answer
	local := ""
	for _, line := range strings.Split(out.String(), "\n") {
		key, val, _ := strings.Cut(strings.TrimSpace(line), ": ")
		last := func() *answer { return &blocks[len(blocks)-1] }
		switch {
		case key == "Normalized form":
			blocks = append(blocks, answer{Valid: true, Normal: val})
		case key == "Next elapse" || strings.HasPrefix(key, "Iter"):
			local = val
			if val == "never" {
				last().Elapses = append(last().Elapses, val)
			} else if strings.HasSuffix(val, " UTC") {
				last().Elapses = append(last().Elapses, val[4:len(val)-4])
			}
		case key == "(in UTC)" && !strings.HasSuffix(local, " UTC"):
			last().Elapses = append(last().Elapses, val[4:len(val)-4])
		}
	}
	var all []answer
	for _, text := range texts {
		if len(refused) > 0 && refused[0] == text {
			refused = refused[1:]
			all = append(all, answer{Text: text})
			continue
		}
		if len(lost) > 0 && lost[0] == text { // and nothing else is printed
			lost = lost[1:]
			all = append(all, answer{Text: text, Valid: true, Elapses: []string{"lost"}})
			continue
		}
		require.NotEmpty(t, blocks, "%s\n%s", out.String(), errs.String())
		a := blocks[0]
		blocks = blocks[1:]
		a.Text = text
		all = append(all, a)
	}
	require.Empty(t, blocks)
	require.Empty(t, refused)
	return all
}

var zoneCache sync.Map

// load is time.LoadLocation, which reads the file again every time.
func load(name string) (*time.Location, error) {
	type found struct {
		loc *time.Location
		err error
	}
	if f, ok := zoneCache.Load(name); ok {
		return f.(found).loc, f.(found).err
	}
	loc, err := time.LoadLocation(name)
	zoneCache.Store(name, found{loc, err})
	return loc, err
}

// ours answers the same.
func ours(t *testing.T, zone string, base time.Time, n int, text string, old bool) answer {
	t.Helper()
	s, err := Parse(text, load)
	if err != nil {
		return answer{Text: text}
	}
	a := answer{Text: text, Valid: true, Normal: s.String()}
	local, err := load(zone)
	require.NoError(t, err)
	for i := range n {
		next, err := s.next(base, local, old)
		switch {
		case errors.Is(err, ErrNever):
			if i == 0 {
				a.Elapses = append(a.Elapses, "never")
			}
			return a
		case err != nil:
			return answer{Text: text, Valid: true, Elapses: []string{"lost"}}
		}
		a.Elapses = append(a.Elapses, next.UTC().Format(stamp))
		base = next
	}
	return a
}

// generator makes expressions, most of them valid.
type generator struct{ *mrand.Rand }

func rand(seed uint64) *mrand.Rand { return mrand.New(mrand.NewPCG(seed, 252)) }

func (g generator) of(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) chain(from, to, width int, seconds bool) string {
	if g.IntN(4) == 0 {
		return "*"
	}
	num := func(lo, hi int) (int, string) {
		n := lo
		if hi > lo {
			n = lo + g.IntN(hi-lo+1)
		}
		if g.IntN(60) == 0 {
			n = to + 1 + g.IntN(5)
		}
		s := fmt.Sprintf("%0*d", 1+g.IntN(width), n)
		if seconds && g.IntN(6) == 0 {
			s += "." + g.of("5", "25", "000001", "1234567", "9999999", "999999", "3333", "0", "")
		}
		return n, s
	}
	var parts []string
	for range 1 + max(0, g.IntN(6)-3) {
		n, s := num(from, to)
		switch g.IntN(5) {
		case 0:
			_, stop := num(min(n, to), to)
			s += ".." + stop
		case 1:
			_, step := num(0, (to-from)/2)
			s += "/" + step
		case 2:
			_, stop := num(min(n, to), to)
			_, step := num(1, max(1, (to-from)/4))
			s += ".." + stop + "/" + step
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ",")
}

func (g generator) weekdays() string {
	names := []string{"Mon", "tue", "WED", "Thursday", "fri", "Saturday", "sun", "Monday", "Sunday"}
	var parts []string
	for range 1 + g.IntN(3) {
		s := names[g.IntN(len(names))]
		if g.IntN(3) == 0 {
			s += g.of("..", "..", "-", ".") + names[g.IntN(len(names))]
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ",") + g.of("", "", "", ",")
}

func (g generator) text() string {
	if g.IntN(25) == 0 {
		return g.of("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "semi-annually", "annually", "yearly", "anually", "biannually", "bi-annually", "Daily", "WEEKLY", "fortnightly") + g.zone()
	}
	if g.IntN(40) == 0 {
		return g.of("@", "@ ", "@-", "@+") + fmt.Sprint(g.IntN(3_000_000_000)*g.IntN(3)) + g.of("", "", " 12:00", "x") + g.zone()
	}
	var parts []string
	if g.IntN(3) == 0 {
		parts = append(parts, g.weekdays())
	}
	if g.IntN(4) > 0 {
		date := ""
		if g.IntN(2) == 0 {
			switch g.IntN(4) {
			case 0:
				date = fmt.Sprintf("%d-", 2026+g.IntN(4))
			case 1:
				date = g.chain(2024, 2040, 4, false) + "-"
			case 2:
				date = g.chain(0, 99, 2, false) + "-"
			default:
				date = "*-"
			}
		}
		sep, last := "-", 31
		if g.IntN(4) == 0 {
			sep, last = "~", 28
		}
		parts = append(parts, date+g.chain(1, 12, 2, false)+sep+g.chain(1, last, 2, false))
	}
	if g.IntN(4) > 0 || len(parts) == 0 {
		hour := g.chain(0, 23, 2, false)
		if g.IntN(2) == 0 {
			hour = g.of("1", "02", "2..3", "*", "0..3", "01..02/1", "23", "0")
		}
		clock := hour + ":" + g.chain(0, 59, 2, false)
		if g.IntN(2) == 0 {
			clock += ":" + g.chain(0, 59, 2, true)
		}
		parts = append(parts, clock)
	}
	text := strings.Join(parts, g.of(" ", " ", " ", " ", " ", " ", "  ", "T")) + g.zone()
	if g.IntN(12) == 0 { // spoil it
		at := g.IntN(len(text) + 1)
		cut := min(len(text), at+g.IntN(3))
		text = text[:at] + g.of("", "", "*", "-", "~", "/", ",", ".", "..", ":", " ", "0", "x", "@", "-1", "é") + text[cut:]
	}
	return text
}

func (g generator) zone() string {
	switch g.IntN(12) {
	case 0:
		return " UTC"
	case 1:
		return " " + g.of("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "MST")
	case 2:
		return g.of(" utc", " europe/berlin", " Europe/", " Mars/Olympus", " UTC ", "UTC", " America/Sao_Paulo")
	}
	return ""
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Europe/Dublin", "Africa/Cairo"}

// bases are near changes of the clock, and elsewhere.
var bases = []string{"2026-11-22 13:00:00", "2026-03-28 23:12:34", "2026-10-24 22:59:59", "2027-03-14 05:00:00", "2026-11-01 05:10:00", "2026-10-03 14:00:00", "2027-04-03 14:20:00", "2028-02-28 23:59:59", "2026-09-06 02:00:00", "1999-12-31 23:59:59", "2026-12-31 21:30:00", "2027-12-30 10:00:00", "2026-09-06 03:40:00", "2026-04-23 21:30:00"}

// Thousands of expressions, valid and not, in six zones of the host: the same
// verdict, the same normal form, and the same times as systemd-analyze has.
func TestCalendarEqualsSystemdAnalyze(t *testing.T) {
	const perBatch, iterations = 70, 4
	for _, program := range analyzers(t) {
		version, err := exec.Command(program, "--version").Output()
		require.NoError(t, err)
		name := strings.Join(strings.Fields(string(version))[:2], " ")
		t.Run(name, func(t *testing.T) {
			old := strings.HasPrefix(name, "systemd 252")
			g := generator{rand(6)}
			valid, elapses, total := 0, 0, 0
			for _, zone := range zones {
				for _, at := range bases {
					base, err := time.Parse(stamp, at)
					require.NoError(t, err)
					var texts []string
					texts = append(texts, "*:*:0/1,5", "*:*:0,0/1,5..54/14", "*:*:0.5,0/1", "Mon *-06/5-21")
					for range perBatch {
						texts = append(texts, g.text())
					}
					for i, want := range ask(t, program, zone, base, iterations, texts) {
						got := ours(t, zone, base, iterations, texts[i], old)
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("TZ=%s systemd-analyze calendar --base-time='%s UTC' --iterations=%d -- %q\n%s", zone, at, iterations, texts[i], diff)
						}
						total++
						elapses += len(want.Elapses)
						if want.Valid {
							valid++
						}
					}
				}
			}
			t.Logf("%d expressions, %d valid, %d elapses", total, valid, elapses)
			require.Greater(t, valid, total/3)
			require.Greater(t, total-valid, total/20)
		})
	}
}
