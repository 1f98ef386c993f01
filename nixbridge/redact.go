package nixbridge

import (
	"strings"

	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// What the last name before a value says of it: only there a secret is looked for by names, since elsewhere "token=b" is a
// place, and what is not the same would seem so. docs/secrets.md.
var (
	mountPlaces = set("options", "Options", "o", "mountOptions", "commonMountOptions", "rawConfig")
	// A place that a backup goes to, or that is mounted.
	addressPlaces = set("repository", "repo", "repositories", "url", "device", "what", "What")
	commandPlaces = set("script", "preStart", "postStart", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop", "text", "command",
		"preDeviceCommands", "preLVMCommands", "postDeviceCommands", "postResumeCommands", "postMountCommands", "kernelParams",
		"extraOptions", "podmanArgs", "extraFlags", "extraArgs", "commonArgs", "sendOptions", "recvOptions", "pruneOpts")
	hookPlaces    = set("archive_command", "preHook", "postHook", "command")
	messagePlaces = set("message", "warnings")
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// withoutSecretValues takes secrets out of what was read of a host. Which state there is, and where it lies, stays as it was.
func withoutSecretValues(v *dialect.Value) {
	for i := range v.Len() {
		_, d := v.Index(i)
		d.Get("sections").EachString(withoutSecret)
		// The elements of a list are named by their texts.
		d.Get("where").Get("warnings").Get("items").RenameAll(redact.Message)
	}
}

// writes tells of a line of tmpfiles.d, or of its type alone, whether its argument is what a file will hold.
func writes(line string) bool {
	return strings.HasPrefix(line, "f") || strings.HasPrefix(line, "F") || strings.HasPrefix(line, "w")
}

func withoutSecret(path []string, before, s string) string {
	if len(path) == 0 {
		return s
	}
	name := path[len(path)-1]
	name = name[strings.LastIndexByte(name, '.')+1:] // a section is called by its whole path
	switch {
	case name == "rules" && !writes(s), name == "argument" && len(path) > 1 && !writes(path[len(path)-2]):
		return s // such as the target of a link
	case name == "rules" || name == "argument":
		return redact.Command(s)
	}
	switch {
	case messagePlaces[name]:
		return redact.Message(s)
	case mountPlaces[name]:
		return redact.Mount(s)
	case commandPlaces[name] && redact.Flag(before) && !strings.HasPrefix(s, "-"):
		return redact.Hidden
	case commandPlaces[name]:
		return redact.Command(s)
	case hookPlaces[name]:
		return redact.Hook(s)
	case strings.HasPrefix(s, "/"):
		return s
	case addressPlaces[name]:
		return redact.Repository(s)
	}
	return redact.Address(s)
}
