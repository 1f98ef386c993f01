package pitr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProviders(t *testing.T) {
	for _, name := range []string{"", BarmanCloud} {
		flags := map[string]Flags{}
		p, err := NewProvider(Policy{Provider: name, Destination: "s3://b", Server: "main", Compression: "zstd"}, flags)
		require.NoError(t, err)
		// What a tool says of itself later counts too (G7).
		flags[ToolWALArchive] = Flags{Tool: ToolWALArchive, Options: []string{"--gzip"}}
		_, err = p.WALArchive(Policy{Destination: "s3://b", Server: "main", Compression: "zstd"}, "%p")
		require.EqualError(t, err, "barman-cloud-wal-archive has no option --zstd")
	}
	_, err := NewProvider(Policy{Provider: PgBackRest}, nil)
	require.EqualError(t, err, "the archive is made by pgbackrest, and only barman-cloud can be run")
	require.Contains(t, err.(*ProviderError).Hint(), "commands of pgbackrest itself")
}
