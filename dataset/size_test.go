package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/dataset"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]dataset.Size{
		"0": 0, "512": 512, "131072": 128 << 10, "128K": 128 << 10, "128k": 128 << 10, "128KB": 128 << 10, "128KiB": 128 << 10, "1024K": 1 << 20,
		"1M": 1 << 20, "1.5G": 3 << 29, ".5K": 512, "512B": 512, "16E": 0, "15E": 15 << 60, "0E": 0, "0.5M": 1 << 19, "18446744073709551615": 1<<64 - 1,
	} {
		got, err := dataset.ParseSize(text)
		if text == "16E" {
			require.ErrorContains(t, err, "is larger than 16 EiB")
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"": "is empty", "K": "does not begin with a digit", "-1": "does not begin with a digit", "010": "begins with a zero, which zfs takes for an octal number",
		"0x10": `has a unit "x10" that zfs does not know`, "1BB": `has a unit "BB"`, "1 K": `has a unit " K"`, "1.2.3": "is no number", "1KK": `has a unit "KK"`,
		"18446744073709551616": "is larger than 16 EiB", "1Q": `has a unit "Q"`, ".": "is no number",
	} {
		_, err := dataset.ParseSize(text)
		require.ErrorContains(t, err, want, "D5 %q", text)
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("128K")
	f.Add("1.5G")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := dataset.ParseSize(s)
		if err != nil {
			return
		}
		again, err := dataset.ParseSize(n.String())
		if err != nil || again != n {
			t.Errorf("%q is %d, printed as %q, read as %d, %v", s, n, n, again, err)
		}
	})
}
