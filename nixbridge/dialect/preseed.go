package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// PreseedSources reads the sources of a preseed in their order; what syncoid made is a replica.
func PreseedSources(n *Node) stateward.Value[[]string] {
	return Understood(n, n.Strings(), func(list []string) ([]string, error) {
		out := []string{}
		for _, text := range list {
			if text == "syncoid" {
				text = "replica"
			}
			if known := []string{"local", "replica", "restic", "pitr"}; !slices.Contains(known, text) {
				return nil, fmt.Errorf("source %q is none of %s", text, strings.Join(known, ", "))
			}
			out = append(out, text)
		}
		return out, nil
	})
}
