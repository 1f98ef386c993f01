//go:build unix

package preseed

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Left is a dataset that a run made, or moved away, and that nothing of stateward touches any more. Only people know whether somebody needs what it holds.
type Left struct {
	Plan    string `json:"plan"`
	Dataset string `json:"dataset"`
	GUID    string `json:"guid"`
	// Restored tells that it was to take the place of the dataset; else it had that.
	Restored bool `json:"restored"`
	// Bytes is what it takes, with its snapshots, which are Snapshots.
	Bytes     int64 `json:"bytes"`
	Snapshots int   `json:"snapshots"`
}

// Remove are the commands that would remove it. What zfs refuses to destroy by them is needed: none has -r, and none -R.
func (l Left) Remove() []string {
	if l.Snapshots == 0 {
		return []string{"zfs destroy " + l.Dataset}
	}
	return []string{"zfs destroy " + l.Dataset + "@%", "zfs destroy " + l.Dataset}
}

// ReadLeft looks for what runs of all plans marked in the pools of this machine.
func ReadLeft(ctx context.Context, env []string) ([]Left, error) {
	r := &runner{o: Options{Env: env}}
	text, err := r.zfs(ctx, "get", "-Hp", "-t", "filesystem", "-s", "local", "-o", "name,value", StagingProperty)
	if err != nil {
		return nil, err
	}
	var out []Left
	var names []string
	for _, f := range rows(text) {
		if len(f) != 2 {
			continue
		}
		w := strings.SplitN(f[1], " ", 4)
		if len(w) < 3 || !slices.Contains([]string{roleStaged, roleDisplaced, roleKept}, w[0]) {
			continue
		}
		// The dataset itself may have such a mark, and what a person gave another name is theirs: only what a run gave its name to counts.
		if base := path.Base(f[0]); base != w[1]+"-was" && !strings.HasPrefix(base, w[1]+"-was-") && !strings.HasPrefix(base, w[1]+"-left-") {
			continue
		}
		out, names = append(out, Left{Plan: w[1], Dataset: f[0], Restored: w[0] == roleStaged}), append(names, f[0])
	}
	if len(out) == 0 {
		return nil, nil
	}
	if text, err = r.zfs(ctx, slices.Concat([]string{"list", "-Hp", "-t", "filesystem,snapshot", "-d", "1", "-o", "name,guid,used,mounted", "--"}, names)...); err != nil {
		return nil, err
	}
	for _, f := range rows(text) {
		if len(f) != 4 {
			continue
		}
		name, _, snapshot := strings.Cut(f[0], "@")
		i := slices.IndexFunc(out, func(l Left) bool { return l.Dataset == name })
		switch {
		case i < 0:
		case snapshot:
			out[i].Snapshots++
		case f[3] != "no": // somebody looks into it, or uses it
			out = slices.Delete(out, i, i+1)
		default:
			out[i].GUID = f[1]
			out[i].Bytes, _ = strconv.ParseInt(f[2], 10, 64)
		}
	}
	slices.SortFunc(out, func(a, b Left) int { return cmp.Or(cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Dataset, b.Dataset)) })
	return out, nil
}

// Leave gives each status what was left of its plan, but for what it names already.
func Leave(list []Status, left []Left) {
	for i := range list {
		s := &list[i]
		for _, l := range left {
			switch j := s.Unfinished; {
			case l.Plan != s.Plan || l.GUID == "" || s.Newest != nil && l.Dataset == s.Newest.Dataset || s.Restored != nil && l.Dataset == s.Restored.Kept:
			case j != nil && slices.Contains([]string{j.Target, j.Staged, j.Displaced}, l.Dataset):
			default:
				s.Left = append(s.Left, l)
			}
		}
	}
}
