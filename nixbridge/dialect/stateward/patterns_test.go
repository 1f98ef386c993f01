package stateward_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/nixtest"
	dialectstateward "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

// The patterns by which the module tells what can be meant accept what is read, and nothing else.
func TestPatternsAcceptWhatIsRead(t *testing.T) {
	table := dialectstateward.Options()
	parse := map[string]func(string) error{
		"span":  func(s string) error { _, err := stateward.ParseDuration(s); return err },
		"mode":  func(s string) error { _, err := stateward.ParseMode(s); return err },
		"owner": func(s string) error { _, err := stateward.ParseOwner(s); return err },
		"place": func(s string) error { _, err := stateward.ParsePath(s); return err },
	}
	texts := map[string][]string{
		"span":  {"90", "1h 30min", "1.5h", "2d12h", " 5 min ", "1h30", "0", ".5s", "1 2 3", "3M2w", "soon", "1.", "1..5h", "-1h", "+1h", "5 parsecs", "infinity", "1h,2h", "1 h h", "min", "1.5.2", "1e3s", "5µs", "1h\n2s", "1min5"},
		"mode":  {"0750", "750", "75", "07500", "0999", "u=rwx,g=rx,o=", "a=rx", "u+rwx", "u=rwx", "g=,u=,o=", "ug=r,o=", "u=rwx,u=r,g=,o=", "x=r", "u=z,g=,o=", "=r", "u=rwx,g=rx,o=t", "a=s", "rwxr-xr-x", "0o750"},
		"owner": {"paperless", "1000", "-x", ".x", "a b", "_x", "x$", "$x", "a.b-c_d", strings.Repeat("a", 31), strings.Repeat("a", 32), strings.Repeat("a", 30) + "$", strings.Repeat("a", 31) + "$", "4294967294", "ä", "a:b"},
		"place": {"/a", "/", "/a/b//c/", "/a/./b", "a", "./a", "/a/..", "/../a", "/a..b", "/..a/b", "/a/...", "~/a"},
	}
	r := rand.New(rand.NewPCG(1, 2))
	pieces := map[string][]string{
		"span":  {"1", "23", "h", "min", "s", " ", ".", "5", "d", "M", "x", "-"},
		"mode":  {"0", "7", "5", "9", "u=", "g=", "o=", "a=", "u", ",", "rwx", "+", "s", "t"},
		"place": {"/", "a", "..", ".", "b"},
		"owner": {"a", "-", ".", "$", "_", "9", " "},
	}
	for name, of := range pieces {
		for range 500 {
			var b strings.Builder
			for range 1 + r.IntN(7) {
				b.WriteString(of[r.IntN(len(of))])
			}
			texts[name] = append(texts[name], b.String())
		}
	}
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			for name, read := range parse {
				typ := table.Types[name]
				list, err := json.Marshal(texts[name])
				require.NoError(t, err)
				pattern, err := json.Marshal(typ.Pattern)
				require.NoError(t, err)
				without, err := json.Marshal(typ.Without)
				require.NoError(t, err)
				quote := func(data []byte) string {
					return "''" + strings.NewReplacer("''", "'''", "${", "''${").Replace(string(data)) + "''"
				}
				var accepted []bool
				nix.JSON(t, fmt.Sprintf(`let pattern = builtins.fromJSON %s; without = builtins.fromJSON %s; in
					map (s: builtins.match pattern s != null && !(without != "" && builtins.elem without (builtins.filter builtins.isString (builtins.split "/" s)))) (builtins.fromJSON %s)`,
					quote(pattern), quote(without), quote(list)), &accepted)
				for i, text := range texts[name] {
					if err := read(text); err != nil && strings.Contains(err.Error(), "292 years") {
						continue // a pattern does not count
					}
					if ok := read(text) == nil; ok != accepted[i] {
						t.Errorf("%s %q: read %v, accepted in Nix %v: %v", name, text, ok, accepted[i], read(text))
					}
				}
			}
		})
	}
}
