package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

// A copyCase is a host on file systems of ZFS, and what one check says of it.
type copyCase struct {
	name  string
	parts []part
	want  []string
}

var onZFS = []part{
	fileSystem("/", "rpool/root", "zfs"), fileSystem("/srv", "tank/srv", "zfs"), fileSystem("/mnt/usb", "usb/backup", "zfs"), fileSystem("/mnt/nas", "nas:/x", "nfs"),
	fileSystem("/boot", "/dev/sda1", "ext4"), systemdInitrd(false), idsWritten,
}

func checkCases(t *testing.T, code string, cases []copyCase) {
	t.Helper()
	require.Empty(t, said(with(onZFS), code))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(with(onZFS, tc.parts...), code)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func span(text string) stateward.Value[stateward.Duration] {
	d, err := stateward.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return stateward.Known(d, at("stateward", "services", "app", "protection", "rpo"))
}

// protected is a service that asks for a tier, with an objective where there is one.
func protected(tier stateward.Tier, rpo string, paths ...any) part {
	return changed(contract("app", paths...), func(s *stateward.Service) {
		s.Protection = &stateward.Protection{Tiers: []stateward.Tier{tier}, Origin: at("stateward", "services", "app", "protection")}
		if rpo != "" {
			s.Protection.RPO = map[stateward.Tier]stateward.Value[stateward.Duration]{tier: span(rpo)}
		}
	})
}

func delayed(text string) func(*stateward.Job) {
	return func(j *stateward.Job) { j.RandomizedDelay = span(text) }
}

func untimed(j *stateward.Job) { j.Schedule = stateward.Value[[]string]{} }

func TestSW303(t *testing.T) {
	require.Empty(t, said(host(), "SW303"))
	const rpo = "stateward.services.app.protection.rpo: "
	const house = rpo + "the newest copy of app that survives a lost house can get older than "
	never := func(j *stateward.Job) {
		j.Schedule = stateward.NotKnown[[]string](stateward.Unknown{Subject: "t", Kind: stateward.UnknownForm})
	}
	checkCases(t, "SW303", []copyCase{
		{"R12 a delay makes it miss", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", delayed("4h"), "/srv")},
			[]string{"error " + house + "1d: up to 1d 4h 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 4h RandomizedDelaySec=, 1min AccuracySec=)"}},
		{"R12 hourly with a delay of four", []part{protected(stateward.TierSite, "2h", "/srv/app"), restic("r", "b2:x:y", func(j *stateward.Job) { delayed("4h")(j); j.Schedule = known([]string{"hourly"}) }, "/srv")},
			[]string{"error " + house + "2h: up to 5h 1min (1h from 2026-01-01 00:00:00 UTC to 2026-01-01 01:00:00 UTC, 4h RandomizedDelaySec=, 1min AccuracySec=)"}},
		{"R12 AccuracySec= alone makes it miss", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")},
			[]string{"error " + house + "1d: up to 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=)"}},
		{"R12 reached", []part{protected(stateward.TierSite, "1d 5h", "/srv/app"), restic("r", "b2:x:y", delayed("4h"), "/srv")}, nil},
		{"R12 the best of two counts", []part{protected(stateward.TierSite, "2h", "/srv/app"), restic("r", "b2:x:y", nil, "/srv"), restic("s", "b2:x:z", func(j *stateward.Job) { j.Schedule = known([]string{"hourly"}) }, "/srv")}, nil},
		{"R12 several places are one finding", []part{protected(stateward.TierSite, "1h", "/srv/app", "/srv/more"), restic("r", "b2:x:y", nil, "/srv")},
			[]string{"error " + house + "1h: up to 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=)"}},
		{"R12 a timer without a calendar is unknown", []part{protected(stateward.TierSite, "1d", "/srv/app"), restic("r", "b2:x:y", never, "/srv")},
			[]string{"warning " + rpo + "cannot tell whether the newest copy of app that survives a lost house stays younger than 1d: t: form"}},
		{"R12 a second one in doubt may be newer", []part{protected(stateward.TierSite, "1h", "/srv/app"), restic("r", "b2:x:y", nil, "/srv"), restic("s", "b2:x:z", untimed, "/srv")},
			[]string{"warning " + rpo + "cannot tell whether the newest copy of app that survives a lost house stays younger than 1h: one that is read gets as old as 1d 1min (1d from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC, 1min AccuracySec=), and further: restic job s has no timer that is read, and what starts it is not known"}},
		{"R12 snapshots", []part{protected(stateward.TierRollback, "30min", "/srv/app"), sanoid("tank/srv", "no")},
			[]string{"error " + rpo + `the newest copy of app that survives a mistake can get older than 30min: up to 1h 1min (1h from one hourly snapshot to the next, 1min RandomizedDelaySec= and AccuracySec=)`}},
		{"R12 replication of what the policy took", []part{protected(stateward.TierDisk, "1d", "/srv/app"), sanoid("tank/srv", "no"), syncoid("tank/srv", "usb/copy", false, "--no-sync-snap")},
			[]string{"error " + rpo + `the newest copy of app that survives a dead pool can get older than 1d: up to 1d 1h 2min (1d from 2026-01-01 03:00:00 UTC to 2026-01-02 03:00:00 UTC, 1min AccuracySec=, 1h 1min of the newest snapshot that it finds)`}},
		{"no copy is not its matter", []part{protected(stateward.TierSite, "1d", "/srv/app")}, nil},
		{"an objective that could not be had", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: unknown[stateward.Duration]("x")}}
		}), restic("r", "b2:x:y", nil, "/srv")}, nil},
		{"no objective", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
	})
}

func TestSW304(t *testing.T) {
	require.Empty(t, said(host(), "SW304"))
	const subject = "stateward.services.app.protection: "
	const none = "no backup job or replication that is read covers it"
	kept := func(h *stateward.Host) {
		ss := h.Services.Or(nil)
		push(&ss[0].State, stateward.StatePath{Entry: stateward.NewEntry("/srv/index", stateward.Directory, at("x")), Source: stateward.SourcePersist})
	}
	checkCases(t, "SW304", []copyCase{
		{"R10 no copy in another house", []part{protected(stateward.TierSite, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a lost house, as its protection asks: " + none}},
		{"R10 no copy on another pool", []part{protected(stateward.TierDisk, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a dead pool, as its protection asks: " + none}},
		{"R10 no snapshot", []part{protected(stateward.TierRollback, "", "/srv/app")}, []string{"error " + subject + "state of app does not survive a mistake, as its protection asks: no snapshot policy that is read covers dataset tank/srv"}},
		{"R10 an objective asks for its tier", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Protection = &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{stateward.TierSite: span("1d")}, Origin: at("p")}
		})}, []string{"error p: state of app does not survive a lost house, as its protection asks: " + none}},
		{"N10 without a timer it is unknown", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", untimed, "/srv")},
			[]string{"warning " + subject + "cannot tell whether state of app survives a lost house: restic job r has no timer that is read, and what starts it is not known"}},
		{"another host may stand anywhere", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "sftp:nas:/r", nil, "/srv")},
			[]string{"warning " + subject + "cannot tell whether state of app survives a lost house: in which house nas stands is not known"}},
		{"rebuild is not answered", []part{protected(stateward.TierRebuild, "", "/srv/app", "/srv/b")},
			[]string{"warning " + subject + "cannot tell whether the tier rebuild holds for app: whether a service is brought back onto an empty disk by itself is not looked at"}},
		{"point-in-time is not answered", []part{protected(stateward.TierPointInTime, "", "/srv/app")},
			[]string{"warning " + subject + "cannot tell whether the tier point-in-time holds for app: whether a database can be brought back to a point in time is not looked at"}},
		{"there is a copy", []part{protected(stateward.TierSite, "", "/srv/app"), restic("r", "b2:x:y", nil, "/srv")}, nil},
		{"of a reboot SW101 speaks", []part{protected(stateward.TierReboot, "", "/srv/app")}, nil},
		{"what is persisted and needs no backup", []part{protected(stateward.TierSite, "", "/srv/app"), kept, restic("r", "b2:x:y", nil, "/srv/app")}, nil},
		{"a service that is off", []part{changed(contract("app", "/srv/app"), func(s *stateward.Service) {
			s.Enable = known(false)
			s.Protection = &stateward.Protection{Tiers: []stateward.Tier{stateward.TierSite}}
		})}, nil},
		{"nothing is asked for", []part{service("app", "/srv/app")}, nil},
	})
}
