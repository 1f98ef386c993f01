package aggregate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/aggregate"
)

// Each trap of snapshots and backups has a row: all checks that watch for it, tests that carry its id, and a rule where there is no check.
func TestTrapsAreAnswered(t *testing.T) {
	text, err := os.ReadFile("../docs/traps.md")
	require.NoError(t, err)
	watching, known := map[string][]string{}, map[string]bool{}
	for _, c := range aggregate.Catalog() {
		known[c.Code] = true
		for _, trap := range c.Traps {
			watching[trap] = append(watching[trap], c.Code)
		}
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		trap := cells[0]
		if len(cells) < 3 || !regexp.MustCompile(`^[A-Z]\d+$`).MatchString(trap) {
			continue
		}
		require.False(t, rows[trap], trap)
		rows[trap] = true
		codes := strings.FieldsFunc(cells[1], func(r rune) bool { return r == ',' || r == ' ' })
		for _, code := range codes {
			require.True(t, known[code], "%s names %s", trap, code)
		}
		if len(cells) == 3 {
			continue // of datasets
		}
		require.Len(t, cells, 4, trap)
		require.Empty(t, cmp.Diff(watching[trap], codes, cmp.Transformer("texts", func(list []string) string { return fmt.Sprint(list) })), "the checks that watch for %s", trap)
		require.True(t, len(codes) > 0 || cells[3] != "", "%s is answered by nothing", trap)
		files := strings.Split(cells[2], ", ")
		require.NotEmpty(t, files[0], trap)
		for _, file := range files {
			source, err := os.ReadFile(filepath.Join("..", file))
			require.NoError(t, err, trap)
			named := regexp.MustCompile(`"(?:[A-Z]\d+ )*` + trap + `[ "]|func Test(?:[A-Z]\d+)*` + trap + `[A-Z]`)
			require.Regexp(t, named, string(source), "%s carries %s", file, trap)
		}
	}
	var all []string
	for i := range 9 {
		all = append(all, fmt.Sprint("S", i+1))
	}
	for i := range 14 {
		all = append(all, fmt.Sprint("R", i+1))
	}
	for i := range 10 {
		all = append(all, fmt.Sprint("D", i+1))
	}
	for _, trap := range append(all, "N9", "N10") {
		require.True(t, rows[trap], "%s has no row", trap)
	}
}
