//go:build e2e

package sanoid_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/sanoid"
)

// A year goes by. Every other month sanoid prunes, and what is left is what the policies say; at the end it takes snapshots for a day, and those are of the types that the policies say.
func TestS1AYearIsPrunedAsPredicted(t *testing.T) {
	began := time.Now()
	defer func() { setClock(t, began.Add(time.Minute)) }()
	pools(t)
	// Those of the machine would all elapse at each step of the clock.
	command(t, "systemctl", "stop", "*.timer")
	datasets := []string{"tank/y", "tank/y/services", "tank/y/own"}
	for _, d := range datasets {
		command(t, "zfs", "create", d)
	}
	c := &sanoid.Config{
		Templates: []sanoid.Template{{Name: "production", Settings: sanoid.Production()}, {Name: "services", Settings: sanoid.Services()}},
		Datasets: []sanoid.Dataset{
			{Name: "tank/y", UseTemplate: []string{"production"}, Recursive: sanoid.RecursiveYes},
			{Name: "tank/y/services", UseTemplate: []string{"services"}, Recursive: sanoid.RecursiveYes},
			{Name: "tank/y/own", Settings: sanoid.Settings{"hourly": "0", "daily": "45", "weekly": "5"}},
		},
	}
	text, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/sanoid-y/sanoid.conf", text)
	policies := map[string]backup.SanoidPolicy{}
	for _, e := range c.Effective() {
		p, err := e.Policy()
		if err != nil {
			t.Fatal(err)
		}
		policies[e.Dataset] = p
	}
	// A cache would be of another time.
	runs := 0
	run := func(what ...string) {
		t.Helper()
		runs++
		os.RemoveAll("/var/cache/sanoid-y")
		out := command(t, append([]string{"sanoid", "--configdir=/etc/sanoid-y", "--cache-dir=/var/cache/sanoid-y", "--run-dir=/run/sanoid-y"}, what...)...)
		if strings.Contains(out, "WARN") || strings.Contains(out, "ERROR") {
			t.Errorf("sanoid: %s", out)
		}
	}
	all := 0
	snap := func(at time.Time, kind string, of ...string) {
		t.Helper()
		setClock(t, at)
		args := []string{"zfs", "snapshot"}
		for _, d := range of {
			args = append(args, d+"@autosnap_"+at.Format("2006-01-02_15:04:05_")+kind)
		}
		command(t, args...)
		all += len(of)
	}
	predicted := func(d string, now time.Time) []string {
		t.Helper()
		var own []backup.Snapshot
		for _, s := range snapshots(t, d) {
			if strings.HasPrefix(s.ID, d+"@") {
				own = append(own, s)
			}
		}
		decision, err := policies[d].Apply(own, now)
		if err != nil {
			t.Fatal(err)
		}
		var keep []string
		for _, k := range decision.Keep {
			keep = append(keep, k.ID)
		}
		slices.Sort(keep)
		return keep
	}
	command(t, "zfs", "snapshot", "tank/y@mine")
	day := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	pruned := 0
	for month := range 12 {
		snap(day.Add(4*time.Second), "monthly", datasets...)
		for next := day.AddDate(0, 1, 0); day.Before(next); day = day.AddDate(0, 0, 1) { // sanoid starts a process or two for each that it removes: three days out of four the machine is off
			if day.Weekday() == time.Monday {
				snap(day.Add(23*time.Hour+30*time.Minute), "weekly", "tank/y/own")
			}
			if month%2 == 1 && !day.AddDate(0, 0, 2).Before(next) {
				for h := range 4 {
					snap(day.Add(time.Duration(6*h)*time.Hour+time.Second), "hourly", datasets...)
				}
			}
			if day.YearDay()%4 == 0 {
				snap(day.Add(24*time.Hour-time.Minute), "daily", datasets...)
			}
		}
		if month%2 == 0 {
			continue
		}
		now := day.Add(30 * time.Minute)
		setClock(t, now)
		var want []string
		for _, d := range datasets {
			want = append(want, predicted(d, now)...)
		}
		slices.Sort(want)
		before := len(snapshots(t, "tank/y"))
		run("--prune-snapshots")
		got := names(snapshots(t, "tank/y"))
		same(t, fmt.Sprintf("after month %d", month+1), want, got)
		pruned += before - len(got)
		t.Logf("month %d: %d snapshots, %d left", month+1, before, len(got))
	}
	for _, h := range []int{0, 6, 23, 24} {
		setClock(t, day.Add(time.Duration(h+1)*time.Hour+time.Second))
		run("--take-snapshots")
	}
	for _, d := range datasets {
		count := map[string]int{}
		for _, s := range snapshots(t, d) {
			if strings.HasPrefix(s.ID, d+"@") && s.Time.After(day.Add(45*time.Minute)) {
				count[s.ID[strings.LastIndexByte(s.ID, '_')+1:]]++
			}
		}
		for _, kind := range policies[d].Types() {
			want := map[string]int{"hourly": 4, "daily": 2, "monthly": 1, "weekly": 0, "yearly": 0, "frequently": 0}[kind.Name]
			if kind.Keep == 0 {
				want = 0
			}
			if got := count[kind.Name]; got != want && !(kind.Name == "weekly" && got <= 1 && kind.Keep > 0) {
				t.Errorf("%s: %d %s snapshots were taken, %d expected", d, got, kind.Name, want)
			}
		}
	}
	t.Logf("%d snapshots of a year, %d pruned as predicted, %d runs of sanoid", all, pruned, runs)
	command(t, "zfs", "destroy", "-r", "tank/y")
}
