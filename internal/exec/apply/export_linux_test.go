package apply

import "strings"

// FindMount is findMount for tests.
func FindMount(info string, id int) string {
	m, ok := findMount(info, id)
	if !ok {
		return ""
	}
	return strings.Join([]string{m.device, m.root, m.at, m.fsType, m.source}, " ")
}
