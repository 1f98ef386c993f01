// Package schema holds the JSON schemas of what stateward prints, saves and reads. Those of the command's output are written
// from the Go types (UPDATE_GOLDEN=1 go test ./internal/cli), so that they cannot say something else.
package schema

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.json
var files embed.FS

// Names lists the schemas, sorted.
func Names() []string {
	entries, _ := files.ReadDir(".") // of what is compiled in it cannot fail
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	slices.Sort(names)
	return names
}

// Text is a schema by its name; ok is false where there is none of it.
func Text(name string) (text []byte, ok bool) {
	text, err := files.ReadFile(name + ".json")
	return text, err == nil
}
