package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw116 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW116", Title: "wipe is in a hook that this initial ramdisk ignores", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P9"},
		Doc: doc(`
A rollback, or another wipe, is declared in a hook that the host's kind of initial ramdisk never runs: with
` + "`boot.initrd.systemd.enable`" + ` the script hooks such as ` + "`postDeviceCommands`" + ` are ignored, without it the services of
` + "`boot.initrd.systemd.services`" + ` are. The root is then never wiped although somebody means it to be: what nobody persisted
piles up there, and is lost on the day the hook is mended.

Mend it by declaring the wipe where it is run:

` + "```nix" + `
boot.initrd.systemd.services.rollback = {
  wantedBy = ["initrd.target"];
  after = ["zfs-import-rpool.service"];
  before = ["sysroot.mount"];
  unitConfig.DefaultDependencies = "no";
  serviceConfig.Type = "oneshot";
  script = "zfs rollback -r rpool/local/root@blank";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		// Where the root is wiped, the hook is what is left of the other kind.
		if f.root.Wiped == stateward.SurvivalYes {
			return nil
		}
		var out []stateward.Diagnostic
		for _, w := range f.wipes.ignored {
			d := finding(w.origin)
			kind, hint := "the scripted initial ramdisk", "set boot.initrd.systemd.enable, or write the wipe in boot.initrd.postResumeCommands"
			if systemd, _ := f.host.Initrd.Systemd.Get(); systemd {
				kind, hint = "the systemd initrd", "write the wipe as a service of boot.initrd.systemd.services"
			}
			d.Message = fmt.Sprintf("%s would wipe, and %s never runs it: what nobody persisted is still there after the next boot", w.hook, kind)
			d.Hint = hint
			out = append(out, d)
		}
		return out
	},
}
