package redact

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const canary = "hunter2-C4nary"

// Of what carries a secret's name nothing is left, in whatever way it is quoted.
func TestScriptHides(t *testing.T) {
	for in, want := range map[string]string{
		"export DB_PASSWORD=" + canary + " X=1":                                  "export DB_PASSWORD=‹hidden› X=1",
		`TOKEN="a ` + canary + `"; run`:                                          `TOKEN="‹hidden›"; run`,
		`TOKEN='a "` + canary + `'`:                                              `TOKEN='‹hidden›'`,
		"TOKEN=\"a\n" + canary + "\nb\"\nnext":                                   "TOKEN=\"‹hidden›\"\nnext",
		`TOKEN="a\"` + canary + `" y`:                                            `TOKEN="‹hidden›" y`,
		`run "--api-key=a ` + canary + `" y`:                                     `run "--api-key=‹hidden›" y`,
		"run --password " + canary + " -v":                                       "run --password ‹hidden› -v",
		"run -password " + canary:                                                "run -password ‹hidden›",
		`{"password": "` + canary + `", "a": 1}`:                                 `{"password": "‹hidden›", "a": 1}`,
		`"{\"clientSecret\":\"` + canary + `\"}"`:                                `"{\"clientSecret\":\"‹hidden›\"}"`,
		"password: a " + canary + "\nuser: b":                                    "password: ‹hidden›\nuser: b",
		"secret_key = a " + canary + "\nuser = b":                                "secret_key = ‹hidden›\nuser = b",
		`curl -H "Authorization: Bearer ` + canary + `" u`:                       `curl -H "Authorization: ‹hidden›" u`,
		"u=postgres://me:" + canary + "@db/x":                                    "u=postgres://me:‹hidden›@db/x",
		"${API_TOKEN:-" + canary + "}":                                           "${API_TOKEN:-‹hidden›}",
		`[ "$TOKEN" = "` + canary + `" ]`:                                        `[ "$TOKEN" = "‹hidden›" ]`,
		"-----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY-----": "-----BEGIN PRIVATE KEY-----‹hidden›-----END PRIVATE KEY-----",
		"AGE-SECRET-KEY-1QQQ":                                                    "‹hidden›",
		`"TOKEN=""` + canary + `" x`:                                             `"TOKEN=""‹hidden›" x`,
		"TOKEN+=" + canary:                                                       "TOKEN+=‹hidden›",
		"TOKEN=" + canary:                                                        "TOKEN=‹hidden›",
		"TOKEN=$(echo " + canary + ")":                                           "TOKEN=‹hidden›",
		"TOKEN=\"$(echo \"" + canary + "\")\" x":                                 "TOKEN=\"‹hidden›\" x",
		"TOKEN=a\"b " + canary + "\"c x":                                         "TOKEN=‹hidden› x",
		"sh -c \"A=1 TOKEN=" + canary + "\"; rm -rf /x \"y\"":                    "sh -c \"A=1 TOKEN=‹hidden›\"; rm -rf /x \"y\"",
		"${TOKEN:-\"a " + canary + "\"}":                                         "${TOKEN:-\"‹hidden›\"}",
		`export PASS='pa'\''` + canary + `'; next`:                               `export PASS=‹hidden›; next`,
		`PASS="a"'` + canary + `' x`:                                             `PASS=‹hidden› x`,
		`PASS=a" ` + canary + `" x`:                                              `PASS=‹hidden› x`,
		"PASS=a}b" + canary + " x":                                               "PASS=‹hidden› x",
		"MYSQL_PWD=" + canary + " mysql":                                         "MYSQL_PWD=‹hidden› mysql",
		"u=http://u:p@" + canary + "@host/":                                      "u=http://u:‹hidden›@host/",
		"a: 1\npassword: |\n  " + canary + "\n\n  b\nc: 2":                       "a: 1\npassword: |\n  ‹hidden›\nc: 2",
		"- token: >-\n    a\n    " + canary + "\n  c: 2":                         "- token: >-\n    ‹hidden›\n  c: 2",
		"secrets:\n  - " + canary + "\nc: 2":                                     "secrets:\n  ‹hidden›\nc: 2",
		"tokens:\n- a\n- " + canary + "\nc: 2":                                   "tokens:\n‹hidden›\nc: 2",
		`{"auths":{"h":{"auth":"` + canary + `"}}}`:                              `{"auths":{"h":{"auth":"‹hidden›"}}}`,
		"read PASSWORD <<<" + canary + "; x":                                     "read PASSWORD <<<‹hidden›; x",
		"read PASSWORD <<< \"a " + canary + "\"; x":                              "read PASSWORD <<< \"‹hidden›\"; x",
		"PASSWORD=$(cat /dev/null; echo " + canary + ") x":                       "PASSWORD=‹hidden› x",
		"PASSWORD=$(cat <<EOF\n" + canary + "\nEOF\n) x":                         "PASSWORD=‹hidden› x",
		"PASSWORD=/" + canary + " x":                                             "PASSWORD=‹hidden› x",
	} {
		got := Script(in)
		require.Empty(t, cmp.Diff(want, got), in)
	}
}

func TestScriptKeeps(t *testing.T) {
	for _, s := range []string{
		"PASSWORD_FILE=/run/secrets/x", "TOKEN=/run/secrets/token", "PASSWORD=$(cat /run/x)", `PASSWORD="$(</run/x)"`, "TOKEN=$OTHER", `TOKEN="${OTHER}"`,
		"run --password-file x", "run --token %d/token", "KEY=%d/key", "a keyboard: de", "run --password --verbose", "USE_TOKEN=true", "PASSWORD=", "PASSWORD=''",
		"Environment=\"DB_PASSWORD=\"\nEnvironment=\"DB_PATH=/x\"", `run "--password=" "b"; c`, `run '--password=' 'b'`, `"sh -c \"TOKEN=\" \"b\""`,
		"mkdir -p /var/lib/x\nrm -rf /var/lib/sonarr/*\n", "token and key are words", "key", "--token", "", "url=http://a:$P@b/",
	} {
		require.Empty(t, cmp.Diff(s, Script(s)))
	}
}

func TestUnit(t *testing.T) {
	in := `[Service]
Environment="DB_PASSWORD=a ` + canary + `" "OTHER=b c"
Environment=A_TOKEN=` + canary + ` LANG=C
LoadCredential=token:/run/x
Environment=TOKEN=ab;` + canary + ` "LANG=C" 'PASSWORD=a&|<>)` + canary + `'
Environment=A=1 \
  TOKEN="a"'` + canary + `'
ExecStart=/bin/x --token ab;` + canary + ` -c "TOKEN=` + canary + `; y"
SetCredential=token:` + canary + `
SetCredential=more:a\
` + canary + `
ExecStart=/bin/x --token=` + canary + `
StateDirectory=x
`
	want := `[Service]
Environment="DB_PASSWORD=‹hidden›" "OTHER=b c"
Environment=A_TOKEN=‹hidden› LANG=C
LoadCredential=token:/run/x
Environment=TOKEN=‹hidden› "LANG=C" 'PASSWORD=‹hidden›'
Environment=A=1 \
  TOKEN=‹hidden›
ExecStart=/bin/x --token ‹hidden› -c "TOKEN=‹hidden›"
SetCredential=token:‹hidden›
SetCredential=more:‹hidden›
ExecStart=/bin/x --token=‹hidden›
StateDirectory=x
`
	require.Empty(t, cmp.Diff(want, Unit(in)))
	require.Equal(t, want, Unit(want), "hidden once is hidden")
}

func TestSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"PASSWORD": true, "dbPass": true, "DB_PASS": true, "apiKey": true, "API_KEY": true, "APIKEY": true, "AWS_SECRET_ACCESS_KEY": true, "GITHUB_TOKEN": true, "credentials": true,
		"PASSWORD_FILE": false, "passwordFile": false, "KEY_PATH": false, "PATH": false, "keyboard": false, "HOME": false, "": false, "bypass": false, "compass": false,
		"MYSQL_PWD": true, "PWD": false, "OLDPWD": false, "auth": true, "_auth": true, "author": false, "secretfile": false, "trusted-public-keys": false, "AWS_ACCESS_KEY_ID": false, "secret_id": true,
	} {
		require.Equal(t, want, Secret(name), name)
	}
}

func FuzzUnit(f *testing.F) {
	f.Add("Environment=\"A_TOKEN=x\n", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		Unit(before)
		// On a line of its own, whatever stands around it.
		if strings.ContainsAny(before, "\"'\\`") {
			return
		}
		got := Unit(before + "\nTOKEN=" + canary + "\n" + after)
		if strings.Contains(got, canary) && !strings.Contains(before+after, "canary") {
			t.Fatalf("%q", got)
		}
	})
}
