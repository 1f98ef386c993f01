package nixos

import (
	"path"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// hooks are the script hooks of `boot.initrd`, in the order in which they run.
var hooks = []string{"preDeviceCommands", "preLVMCommands", "postDeviceCommands", "postResumeCommands", "postMountCommands"}

func initrd(boot *dialect.Node, in *stateward.Initrd) {
	dialect.MergeWhole(&in.KernelParams, boot.At("kernelParams").Strings())
	n := boot.At("initrd")
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
	for _, of := range []struct {
		option string
		read   func(string, *dialect.Node) ([]stateward.InitrdCommand, bool)
	}{{"services", initrdService}, {"units", initrdUnit}} {
		units := dialect.AttrsOf(n.At("systemd", of.option), of.read)
		for _, cs := range units.Or(nil) {
			commands = append(commands, cs...)
		}
		if why, unknown := units.Why(); unknown {
			dialect.MergeWhole(&in.Commands, stateward.NotKnown[[]stateward.InitrdCommand](why))
			return
		}
		there = there || !units.IsAbsent()
	}
	if there {
		dialect.MergeWhole(&in.Commands, stateward.Known(commands, n.Origin()))
	}
}

// texts are the options of a service that hold shell text, by the setting that NixOS
// makes a program of its own of.
var texts = map[string]string{"ExecStartPre": "preStart", "ExecStart": "script", "ExecStartPost": "postStart"}

// settings are those whose commands a service runs, in their order.
var settings = []string{"ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop"}

// initrdService reads what a service of the initial ramdisk runs.
func initrdService(name string, n *dialect.Node) ([]stateward.InitrdCommand, bool) {
	if off(n) {
		return nil, false
	}
	hook := stateward.OptionPath("systemd", "services", name)
	var cs []stateward.InitrdCommand
	add := func(text stateward.Value[string], o stateward.Origin) {
		cs = append(cs, stateward.InitrdCommand{Hook: hook, Text: text, Origin: o})
	}
	for _, setting := range settings {
		text := stateward.Value[string]{}
		if option, ok := texts[setting]; ok {
			if text = n.At(option).Filled(); !text.IsAbsent() {
				add(text, n.At(option).Origin())
			}
		}
		lines := n.At("serviceConfig", setting)
		if why, unknown := lines.Why(); unknown {
			add(stateward.NotKnown[string](why), lines.Origin())
		}
		for _, line := range lines.Texts().Or(nil) {
			s, known := line.Get()
			if line.IsAbsent() || known && strings.TrimSpace(s) == "" || known && !text.IsAbsent() && strings.Contains(s, "unit-script") {
				continue
			}
			add(command(line), line.Origin())
		}
	}
	return cs, len(cs) > 0
}

// initrdUnit reads a unit file that is written out, as systemd.syntax(7) has it.
func initrdUnit(name string, n *dialect.Node) ([]stateward.InitrdCommand, bool) {
	if off(n) {
		return nil, false
	}
	hook, text := stateward.OptionPath("systemd", "units", name), n.At("text")
	file := text.Filled()
	s, known := file.Get()
	if !known {
		return []stateward.InitrdCommand{{Hook: hook, Text: file, Origin: text.Origin()}}, !file.IsAbsent()
	}
	var cs []stateward.InitrdCommand
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\\\n", " "), "\n") {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if ok && strings.HasPrefix(key, "Exec") && value != "" {
			cs = append(cs, stateward.InitrdCommand{Hook: hook, Text: command(stateward.Known(value, text.Origin())), Origin: text.Origin()})
		}
	}
	return cs, len(cs) > 0
}

// command makes a command line shell text; one that is no command line is hidden.
func command(line stateward.Value[string]) stateward.Value[string] {
	text := stateward.MapValue(line, shellText)
	if why, unknown := text.Why(); unknown && line.IsKnown() {
		why.Kind = stateward.UnknownHidden
		return stateward.NotKnown[string](why)
	}
	return text
}

type hiddenError struct{ program string }

func (e *hiddenError) Error() string {
	return "what " + e.program + " does is not in the configuration"
}

// shellText returns a command line of systemd.service(5) as shell text: the script of
// `sh -c`, or the line without its prefix, quoted for a shell.
func shellText(line string) (string, error) {
	rest := strings.TrimLeft(strings.TrimLeft(line, blanks), "@-:+!|")
	renamed := strings.Contains(line[:len(line)-len(rest)], "@")
	words, err := splitWords(rest)
	for i := 0; i < len(words) && err == nil; i++ {
		if words[i] != `\;` {
			words[i], err = unescape(words[i])
			words[i] = strings.ReplaceAll(words[i], "%%", "%")
		}
	}
	if err != nil || len(words) == 0 {
		// Whatever systemd makes of it, it runs nothing that is known.
		return "", &hiddenError{program: line}
	}
	if renamed && len(words) > 1 {
		words = append(words[:1:1], words[2:]...)
	}
	if program := path.Base(words[0]); program == "sh" || program == "bash" {
		for i, w := range words[1:] {
			if strings.HasPrefix(w, "-") && strings.HasSuffix(w, "c") && i+2 < len(words) {
				return strings.ReplaceAll(words[i+2], "$$", "$"), nil
			}
			if !strings.HasPrefix(w, "-") {
				break
			}
		}
	}
	for i, w := range words {
		words[i] = quoteShell(w)
	}
	return strings.Join(words, " "), nil
}

// quoteShell writes a word of a command line for a shell. A variable stays one.
func quoteShell(w string) string {
	const special = " \t\n\r'\"\\$`;&|<>()*?[]{}#~!"
	switch {
	case w == ";":
		return w
	case w == `\;`:
		return "';'"
	case w != "" && !strings.ContainsAny(w, special):
		return w
	case !strings.Contains(strings.ReplaceAll(w, "$$", ""), "$"):
		return "'" + strings.ReplaceAll(strings.ReplaceAll(w, "$$", "$"), "'", `'\''`) + "'"
	}
	w = strings.NewReplacer("$$", `\$`, `\`, `\\`, `"`, `\"`, "`", "\\`").Replace(w)
	return `"` + w + `"`
}
