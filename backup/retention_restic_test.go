package backup_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward/backup"
	"github.com/stretchr/testify/require"
)

// restics are the restic to compare with: those of STATEWARD_TEST_RESTIC, or the one of the machine.
func restics(t *testing.T) []string {
	t.Helper()
	if list := os.Getenv("STATEWARD_TEST_RESTIC"); list != "" {
		return filepath.SplitList(list)
	}
	path, err := exec.LookPath("restic")
	require.NoError(t, err, "restic is needed to compare with; run: make deps, or eval \"$(scripts/deps.sh --versions)\"")
	return []string{path}
}

// repository is a real one, whose snapshots the test writes itself: restic needs a second for each.
type repository struct {
	t       *testing.T
	program string
	dir     string
	tree    string
	master  struct {
		MAC struct {
			K, R []byte
		}
		Encrypt []byte
	}
}

func newRepository(t *testing.T, program string) *repository {
	r := &repository{t: t, program: program, dir: filepath.Join(t.TempDir(), "repository")}
	r.run("UTC", nil, "init")
	r.run("UTC", []byte("x"), "backup", "--stdin", "--host", "first")
	var found []struct{ Tree string }
	require.NoError(t, json.Unmarshal(r.run("UTC", nil, "snapshots", "--json"), &found))
	require.Len(t, found, 1)
	r.tree = found[0].Tree
	require.NoError(t, json.Unmarshal(r.run("UTC", nil, "cat", "masterkey"), &r.master))
	r.clear()
	return r
}

func (r *repository) clear() {
	dir := filepath.Join(r.dir, "snapshots")
	entries, err := os.ReadDir(dir)
	require.NoError(r.t, err)
	for _, e := range entries {
		require.NoError(r.t, os.Remove(filepath.Join(dir, e.Name())))
	}
}

func (r *repository) run(zone string, stdin []byte, args ...string) []byte {
	out, err := r.try(zone, stdin, args...)
	require.NoError(r.t, err)
	return out
}

func (r *repository) try(zone string, stdin []byte, args ...string) ([]byte, error) {
	r.t.Helper()
	cmd := exec.Command(r.program, append([]string{"--repo", r.dir, "--no-cache", "--no-lock", "--quiet"}, args...)...)
	if args[0] == "init" || args[0] == "backup" {
		cmd.Args = slices.DeleteFunc(cmd.Args, func(s string) bool { return s == "--no-lock" })
	}
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=x", "TZ="+zone, "HOME="+r.t.TempDir())
	cmd.Stdin = strings.NewReader(string(stdin))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("restic %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return out, err
}

// write puts a snapshot into the repository, and gives it the ID that restic will see.
func (r *repository) write(s *backup.Snapshot) {
	text, err := json.Marshal(map[string]any{"time": s.Time.Format(time.RFC3339Nano), "tree": r.tree, "paths": s.Paths,
		"hostname": s.Host, "username": "root", "tags": s.Tags})
	require.NoError(r.t, err)
	if len(s.Tags) == 0 {
		text = []byte(strings.Replace(string(text), `"tags":null,`, "", 1))
	}
	iv := make([]byte, 16)
	for i := range iv {
		iv[i] = byte(rand.Uint32())
	}
	block, err := aes.NewCipher(r.master.Encrypt)
	require.NoError(r.t, err)
	sealed := make([]byte, len(text))
	cipher.NewCTR(block, iv).XORKeyStream(sealed, text)
	file := slices.Concat(iv, sealed, r.mac(iv, sealed))
	sum := sha256.Sum256(file)
	s.ID = hex.EncodeToString(sum[:])
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, "snapshots", s.ID), file, 0o600))
}

// mac is Poly1305-AES.
func (r *repository) mac(nonce, text []byte) []byte {
	block, err := aes.NewCipher(r.master.MAC.K)
	require.NoError(r.t, err)
	s := make([]byte, 16)
	block.Encrypt(s, nonce)
	number := func(b []byte) *big.Int { // little endian
		b = slices.Clone(b)
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	key := slices.Clone(r.master.MAC.R)
	for _, i := range []int{3, 7, 11, 15} {
		key[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		key[i] &= 252
	}
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	sum, factor := new(big.Int), number(key)
	for chunk := range slices.Chunk(text, 16) {
		sum.Add(sum, number(append(slices.Clone(chunk), 1)))
		sum.Mul(sum, factor).Mod(sum, prime)
	}
	sum.Add(sum, number(s))
	out := sum.FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return out[:16]
}

// forget asks restic what it would do.
func (r *repository) forget(zone string, p backup.ResticPolicy) (keep, remove []string, refused string) {
	out, err := r.try(zone, nil, append([]string{"forget", "--dry-run", "--json"}, p.Options()...)...)
	if err != nil {
		return nil, nil, err.Error()
	}
	var groups []struct {
		Keep, Remove []struct{ ID string }
		Reasons      []struct {
			Snapshot struct{ ID string }
			Matches  []string
		}
	}
	require.NoError(r.t, json.Unmarshal(out, &groups), "%s", out)
	for _, g := range groups {
		require.Len(r.t, g.Reasons, len(g.Keep))
		for i, k := range g.Reasons {
			require.Equal(r.t, g.Keep[i].ID, k.Snapshot.ID)
			keep = append(keep, fmt.Sprint(k.Snapshot.ID, k.Matches))
		}
		for _, s := range g.Remove {
			remove = append(remove, s.ID)
		}
	}
	slices.Sort(keep)
	slices.Sort(remove)
	return keep, remove, ""
}

func decided(p backup.Retention, history []backup.Snapshot, now time.Time) (keep, remove []string, refused error) {
	d, err := p.Apply(history, now)
	for _, k := range d.Keep {
		keep = append(keep, fmt.Sprint(k.ID, k.Reasons))
	}
	for _, s := range d.Remove {
		remove = append(remove, s.ID)
	}
	slices.Sort(keep)
	slices.Sort(remove)
	return keep, remove, err
}

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

// history makes snapshots before now, and a few after it, with no two at the same instant: of
// these restic keeps one or the other, by chance.
func history(t testing.TB, r *rand.Rand, n int, now time.Time) []backup.Snapshot {
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "Australia/Lord_Howe"), time.FixedZone("", -3*3600-1800)}
	steps := []time.Duration{15 * time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour, 9 * 24 * time.Hour, 50 * 24 * time.Hour}
	var out []backup.Snapshot
	at := now.Add(time.Duration(r.IntN(4)) * 20 * time.Hour)
	for i := range n {
		at = at.Add(-time.Duration(r.Int64N(int64(2*steps[r.IntN(len(steps))]))) - time.Nanosecond)
		s := backup.Snapshot{ID: fmt.Sprintf("%08d", i), Time: at.In(zones[r.IntN(len(zones))]), Host: []string{"forge", "attic"}[r.IntN(8)/7], Paths: []string{"/srv"}}
		switch r.IntN(6) {
		case 0:
			s.Paths = []string{"/var/lib", "/srv/a b"}
		case 1:
			s.Paths = []string{"/srv/a b", "/var/lib"}
		}
		for _, tag := range []string{"daily", "keep", "x y"} {
			if r.IntN(4) == 0 {
				s.Tags = append(s.Tags, tag)
			}
		}
		r.Shuffle(len(s.Tags), func(i, j int) { s.Tags[i], s.Tags[j] = s.Tags[j], s.Tags[i] })
		out = append(out, s)
	}
	return out
}

func policy(r *rand.Rand, local *time.Location) backup.ResticPolicy {
	count := func() int {
		switch r.IntN(6) {
		case 0:
			return r.IntN(5)
		case 1:
			return 1 + r.IntN(40)
		case 2:
			if r.IntN(6) == 0 {
				return backup.Unlimited
			}
		}
		return 0
	}
	span := func() backup.Period {
		if r.IntN(5) > 0 {
			return backup.Period{}
		}
		return backup.Period{Years: r.IntN(3) / 2, Months: r.IntN(4), Days: r.IntN(40), Hours: r.IntN(30)}
	}
	p := backup.ResticPolicy{Last: count(), Hourly: count(), Daily: count(), Weekly: count(), Monthly: count(), Yearly: count(),
		Within: span(), WithinHourly: span(), WithinDaily: span(), WithinWeekly: span(), WithinMonthly: span(), WithinYearly: span(), Local: local}
	if r.IntN(8) == 0 {
		p = backup.ResticPolicy{Tags: [][]string{{"keep", "daily"}}, Local: local}
	}
	switch r.IntN(6) {
	case 0:
		p.Tags = [][]string{{"keep"}}
	case 1:
		p.Tags = [][]string{{"keep", "x y"}, {"daily"}}
	case 2:
		p.Tags = [][]string{{""}}
	}
	if r.IntN(2) == 0 {
		p.GroupBy = &backup.GroupBy{Host: r.IntN(2) == 0, Paths: r.IntN(2) == 0, Tags: r.IntN(2) == 0}
	}
	return p
}

// The same snapshots kept and removed as by `restic forget --dry-run`, for the same reasons.
func TestR4RetentionEqualsRestic(t *testing.T) {
	for _, program := range restics(t) {
		version, err := exec.Command(program, "version").Output()
		require.NoError(t, err)
		t.Run(strings.Join(strings.Fields(string(version))[:2], " "), func(t *testing.T) {
			repo := newRepository(t, program)
			r := rand.New(rand.NewPCG(4, 18))
			kept, removed, refused := 0, 0, 0
			for _, zone := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"} {
				for _, n := range []int{1, 150, 400} {
					repo.clear()
					all := history(t, r, n, time.Now())
					for i := range all {
						repo.write(&all[i])
					}
					for range max(2, n/50) {
						p := policy(r, zoneOf(t, zone))
						wantKeep, wantRemove, wantRefused := repo.forget(zone, p)
						keep, remove, err := decided(p, all, time.Now())
						note := fmt.Sprintf("TZ=%s restic forget %s, of %d snapshots", zone, strings.Join(p.Options(), " "), n)
						require.Equal(t, wantRefused != "", err != nil, "%s: restic: %s, here: %v", note, wantRefused, err)
						require.Empty(t, cmp.Diff(wantKeep, keep), note)
						require.Empty(t, cmp.Diff(wantRemove, remove), note)
						kept += len(keep)
						removed += len(remove)
						if err != nil {
							refused++
						}
					}
				}
			}
			t.Logf("kept %d, removed %d, refused %d", kept, removed, refused)
			require.NotZero(t, refused)
			require.Greater(t, removed, 500)
		})
	}
}

// Options that are read say the same when they are written again.
func FuzzResticPolicy(f *testing.F) {
	for _, s := range []string{"--keep-daily 7", "--keep-within=1y5m7d2h -l unlimited", "--keep-tag a,,b --group-by=", "-g host,tags --prune", "--keep-last"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, _, err := backup.ParseResticPolicy([]string{text})
		if err != nil {
			return
		}
		again, others, err := backup.ParseResticPolicy(p.Options())
		require.NoError(t, err)
		require.Empty(t, others)
		require.Equal(t, p.Options(), again.Options())
	})
}
