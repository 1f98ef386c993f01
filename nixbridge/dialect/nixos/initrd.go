package nixos

import (
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// hooks are the script hooks of `boot.initrd`, in the order in which they run.
var hooks = []string{"preLVMCommands", "postDeviceCommands", "postResumeCommands", "postMountCommands"}

func initrd(n *dialect.Node, in *stateward.Initrd) {
	if enable := n.At("systemd", "enable").Bool(); !enable.IsAbsent() {
		in.Systemd = enable
	}
	there := false
	commands := []stateward.InitrdCommand{}
	for _, hook := range hooks {
		h := n.At(hook)
		there = there || h.Exists()
		if text := h.Filled(); !text.IsAbsent() {
			commands = append(commands, stateward.InitrdCommand{Hook: hook, Text: text, Origin: h.Origin()})
		}
	}
	services := dialect.AttrsOf(n.At("systemd", "services"), initrdService)
	for _, cs := range services.Or(nil) {
		commands = append(commands, cs...)
	}
	switch why, unknown := services.Why(); {
	case unknown:
		dialect.MergeWhole(&in.Commands, stateward.NotKnown[[]stateward.InitrdCommand](why))
	case there || !services.IsAbsent():
		dialect.MergeWhole(&in.Commands, stateward.Known(commands, n.Origin()))
	}
}

// initrdService reads what a service of the initial ramdisk runs: its `script`, which NixOS turns into
// an ExecStart of its own, or else the commands of ExecStart.
func initrdService(name string, n *dialect.Node) ([]stateward.InitrdCommand, bool) {
	if off(n) {
		return nil, false
	}
	hook := stateward.OptionPath("systemd", "services", name)
	if script := n.At("script").Filled(); !script.IsAbsent() {
		return []stateward.InitrdCommand{{Hook: hook, Text: script, Origin: n.At("script").Origin()}}, true
	}
	var cs []stateward.InitrdCommand
	for _, setting := range []string{"ExecStartPre", "ExecStart"} {
		lines := n.At("serviceConfig", setting)
		if why, unknown := lines.Why(); unknown {
			cs = append(cs, stateward.InitrdCommand{Hook: hook, Text: stateward.NotKnown[string](why), Origin: lines.Origin()})
		}
		for _, line := range lines.Texts().Or(nil) {
			if s, known := line.Get(); line.IsAbsent() || known && strings.TrimSpace(s) == "" {
				continue
			}
			o := line.Origin()
			text := stateward.MapValue(line, func(s string) (string, error) { return shellText(s) })
			if why, unknown := text.Why(); unknown && line.IsKnown() {
				why.Kind = stateward.UnknownHidden
				text = stateward.NotKnown[string](why)
			}
			cs = append(cs, stateward.InitrdCommand{Hook: hook, Text: text, Origin: o})
		}
	}
	return cs, len(cs) > 0
}

// plain are programs that do what their arguments say; any other program in the store
// may be a built script, whose text options do not show.
var plain = []string{
	"zfs", "zpool", "btrfs", "mount", "umount", "mkfs", "mke2fs", "blkdiscard", "wipefs", "sh", "bash", "echo", "cat", "true",
	"mkdir", "rm", "rmdir", "mv", "cp", "ln", "chmod", "chown", "sleep", "modprobe", "udevadm", "systemctl", "cryptsetup", "lvm",
}

type hiddenError struct{ program string }

func (e *hiddenError) Error() string {
	return "what " + e.program + " does is not in the configuration"
}

// shellText returns a command line of systemd.service(5) as shell text: the script of
// `sh -c`, or the line without its prefix.
func shellText(line string) (string, error) {
	line = strings.TrimLeft(strings.TrimLeft(line, blanks), "@-:+!|")
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		// Whatever systemd makes of it, it runs nothing that is known.
		return "", &hiddenError{program: line}
	}
	program := path.Base(words[0])
	inStore := strings.HasPrefix(words[0], "/nix/store/")
	if inStore && !slices.Contains(plain, program) && !strings.HasPrefix(program, "mkfs.") {
		return "", &hiddenError{program: words[0]}
	}
	if program == "sh" || program == "bash" {
		for i, w := range words[1:] {
			if strings.HasPrefix(w, "-") && strings.HasSuffix(w, "c") && i+2 < len(words) {
				script, err := unescape(words[i+2])
				if err != nil {
					return "", &hiddenError{program: line}
				}
				return strings.NewReplacer("%%", "%", "$$", "$").Replace(script), nil
			}
			if !strings.HasPrefix(w, "-") {
				// A script that lies in a file.
				return "", &hiddenError{program: w}
			}
		}
	}
	return strings.NewReplacer("%%", "%").Replace(line), nil
}
