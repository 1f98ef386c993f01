package preseed_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/preseed"
)

// E12: who is told of the backup of a service is told of its preseed.
func TestE12WhoIsTold(t *testing.T) {
	job := func(change func(*stateward.Job)) change {
		return func(h *stateward.Host, _ *stateward.Service, _ *stateward.Preseed) {
			jobs := h.Jobs.Or(nil)
			change(&jobs[0])
			h.Jobs = known(jobs)
		}
	}
	for name, c := range map[string]struct {
		change change
		want   backup.Notify
	}{
		"nobody":               {nil, backup.Notify{}},
		"notifications.enable": {job(func(j *stateward.Job) { j.Notifications = known(true) }), backup.Notify{OnFailure: "failure"}},
		"what the backup says, but no start": {job(func(j *stateward.Job) {
			j.Settings = map[string]stateward.Value[string]{"notify.onFailure": known("critical"), "notify.onSuccess": known("success"), "notify.onStart": known("start")}
		}), backup.Notify{OnFailure: "critical", OnSuccess: "success"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, faults := preseed.FromHost(forge(func(h *stateward.Host, s *stateward.Service, p *stateward.Preseed) {
				if c.change != nil {
					c.change(h, s, p)
				}
			}), false)
			if len(faults) > 0 || len(out) != 1 || out[0].Plan == nil {
				t.Fatalf("%+v %+v", out, faults)
			}
			if diff := cmp.Diff(c.want, out[0].Plan.Notify); diff != "" {
				t.Error(diff)
			}
		})
	}
}
