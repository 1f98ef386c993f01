package nixos_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// BenchmarkDecode decodes hosts with n units, each with state, and n persisted directories.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		var units, dirs []string
		for i := range n {
			units = append(units, fmt.Sprintf(`"u%d": {"enable": true, "after": ["network.target"], "serviceConfig": {"StateDirectory": "u%d", "User": "u"}}`, i, i))
			dirs = append(dirs, fmt.Sprintf(`{"directory": "/var/lib/u%d", "dirPath": "/var/lib/u%d", "user": "u", "group": "root", "mode": "0755"}`, i, i))
		}
		v, err := dialect.Parse(`{"detected": true, "sections": {"systemd.services": {`+strings.Join(units, ",")+
			`}, "environment.persistence": {"/p": {"directories": [`+strings.Join(dirs, ",")+`]}}}}`, 64)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				tree, err := dialect.NewTree(v)
				require.NoError(b, err)
				var h stateward.Host
				nixos.Dialect().Decode(tree.Root(), &h)
			}
		})
	}
}
