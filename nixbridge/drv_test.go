package nixbridge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const someDrv = `Derive([("out","/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x","","")],[("/nix/store/10bgd045z0d4icpbc2yyz4gx48ak44la-y.drv",["out"])],["/nix/store/20bgd045z0d4icpbc2yyz4gx48ak44la-z.sh"],"x86_64-linux","/bin/sh",["-c","echo \"$text\""],[("name","x"),("text","a \"b\"\n\\n\tc")])`

func TestParseDerivation(t *testing.T) {
	var f drvFile
	require.NoError(t, f.parse([]byte(someDrv)))
	text, ok := f.text()
	require.True(t, ok)
	require.Equal(t, "a \"b\"\n\\n\tc", text)
	require.Empty(t, cmp.Diff([]string{"/nix/store/10bgd045z0d4icpbc2yyz4gx48ak44la-y.drv"}, f.inputs))
	require.Empty(t, cmp.Diff([]string{"/nix/store/20bgd045z0d4icpbc2yyz4gx48ak44la-z.sh"}, f.sources))
	require.Empty(t, cmp.Diff([]string{"/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x"}, f.outputs))

	for _, bad := range []string{"", "Derive(", "Derive([])", someDrv[:80], strings.Replace(someDrv, "Derive", "DrvWithVersion", 1), "Derive([(])"} {
		var f drvFile
		require.Error(t, f.parse([]byte(bad)), "%s", bad)
	}
}

// Whatever lies in the store: it is read or refused.
func FuzzParseDerivation(f *testing.F) {
	f.Add([]byte(someDrv))
	f.Add([]byte(strings.Replace(someDrv, `"text"`, `"__json"`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d drvFile
		if d.parse(data) == nil {
			d.text()
		}
	})
}

func TestCommandProgram(t *testing.T) {
	for in, want := range map[string]string{"-+/bin/a b": "/bin/a", "@/bin/a b": "/bin/a", `"/bin/a" b`: "/bin/a", "/bin/a": "/bin/a", "": "", "!!/bin/a": "/bin/a"} {
		require.Equal(t, want, commandProgram(in), in)
	}
	require.Equal(t, []string{"/bin/a   b", "/bin/c"}, commandLines("[Service]\nExecStart=/bin/a \\\n b\nType=exec\n ExecStop = /bin/c\nEnvironment=Exec=x\n"))
}
