package nixbridge

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPasswordsAreLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"rest:https://me:pw@host/repo": "rest:https://me:xxxxx@host/repo",
		"rest:https://me:p@w:x@host/":  "rest:https://me:xxxxx@host/",
		"https://:pw@host":             "https://:xxxxx@host",
		"https://me@host:22/a@b":       "https://me@host:22/a@b",
		"sftp:me@host:/repo":           "sftp:me@host:/repo",
		"https://host:8000/x@y":        "https://host:8000/x@y",
		"https://a.b/c, me:you@x":      "https://a.b/c, me:you@x",
		"username=u,password=pw,uid=0": "username=u,password=xxxxx,uid=0",
		"pass=pw":                      "pass=xxxxx",
		"bypass=pw":                    "bypass=pw",
		"--api-key=k --state=/x":       "--api-key=xxxxx --state=/x",
		"APP_TOKEN=abc":                "APP_TOKEN=xxxxx",
		"token=/run/secrets/token":     "token=/run/secrets/token",
		"passwordFile=x":               "passwordFile=x",
		"password=$PASSWORD":           "password=$PASSWORD",
		"password=%d/cred":             "password=%d/cred",
	} {
		require.Equal(t, want, withoutPasswords(text))
		require.Equal(t, want, withoutPasswords(want), "twice is as once")
	}
	for text, want := range map[string]string{
		`cannot log in: password = "a b"; at https://u:p@h/`: `cannot log in: password = xxxxx; at https://u:xxxxx@h/`,
		`bad token: 'abc'`: `bad token: 'xxxxx'`,
		"The option `services.x.passwordFile' is used but not defined.": "The option `services.x.passwordFile' is used but not defined.",
		"attribute 'password' missing":                                  "attribute 'password' missing",
		"secret: expected a set":                                        "secret: expected a set",
	} {
		require.Equal(t, want, withoutSecrets(text))
	}
}
