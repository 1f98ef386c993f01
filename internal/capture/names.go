package capture

import (
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// accounts are the names of ids.
type accounts struct{ users, groups map[uint32]string }

// readNames reads a file of passwd(5) or group(5) format; of one id the first name counts. A file that
// cannot be read names nobody.
func readNames(file string) map[uint32]string {
	names := map[uint32]string{}
	data, err := os.ReadFile(file)
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < 3 || fields[0] == "" || !utf8.ValidString(fields[0]) {
			continue
		}
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			continue
		}
		if _, ok := names[uint32(id)]; !ok {
			names[uint32(id)] = fields[0]
		}
	}
	return names
}
