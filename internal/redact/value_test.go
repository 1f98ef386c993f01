package redact

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func same(t *testing.T, name string, f func(string) string, want map[string]string) {
	t.Helper()
	for in, out := range want {
		if diff := cmp.Diff(out, f(in)); diff != "" {
			t.Errorf("%s(%q) (-want +got):\n%s", name, in, diff)
		}
		require.Equal(t, out, f(out), "hidden once is hidden")
	}
}

func TestAddress(t *testing.T) {
	same(t, "Address", Address, map[string]string{
		"":                                            "",
		"rest:https://me:pw@host/repo":                "rest:https://me:‹hidden›@host/repo",
		"rest:https://me:p@w:x@host/":                 "rest:https://me:‹hidden›@host/",
		"https://:pw@host":                            "https://:‹hidden›@host",
		"https://u:pa/SEKRIT@h/r":                     "https://u:‹hidden›@h/r",
		"https://u:p?a#SEKRIT@h/r":                    "https://u:‹hidden›@h/r",
		"https://u:p'SEKRIT@h/r":                      "https://u:‹hidden›@h/r",
		"https://u:p@ss@host/":                        "https://u:‹hidden›@host/",
		"https://u:p,w@host/":                         "https://u:‹hidden›@host/",
		"https://ghp_SEKRIT5@h/r":                     "https://‹hidden›@h/r",
		"https://0123456789abcdef01234@h":             "https://‹hidden›@h",
		"https://oauth2:glpat-SEKRIT@h/r":             "https://oauth2:‹hidden›@h/r",
		"https://ghp_SEKRIT:x-oauth-basic@h":          "https://‹hidden›:x-oauth-basic@h",
		"https://me@host:22/a@b":                      "https://me@host:22/a@b",
		"https://[::1]:22/a@b":                        "https://[::1]:22/a@b",
		"https://[::1]/a@b":                           "https://[::1]/a@b",
		"sftp:me@host:/repo":                          "sftp:me@host:/repo",
		"https://host:8000/x@y":                       "https://host:8000/x@y",
		"https://a.b/c, me:you@x":                     "https://a.b/c, me:you@x",
		"http://a:$P@b/":                              "http://a:$P@b/",
		"s3:https://h/b?X-Amz-Signature=SEKRIT&x=1":   "s3:https://h/b?X-Amz-Signature=‹hidden›&x=1",
		"https://h/?token=a&repo=1":                   "https://h/?token=‹hidden›&repo=1",
		"https://h/?_=1&__=2":                         "https://h/?_=1&__=2",
		"github:o/r?access_token=SEKRIT":              "github:o/r?access_token=‹hidden›",
		"git+https://u:SEKRIT@h/r?ref=main&shallow=1": "git+https://u:‹hidden›@h/r?ref=main&shallow=1",
	})
}

func TestMount(t *testing.T) {
	same(t, "Mount", Mount, map[string]string{
		"password=/SEKRIT1":                         "password=‹hidden›",
		"username=u,password=%SEKRIT2":              "username=u,password=‹hidden›",
		"pass=ab,cdSEKRIT3":                         "pass=‹hidden›",
		`password="SEKRIT`:                          "password=‹hidden›",
		"password=$SEKRIT":                          "password=‹hidden›",
		"password= SEKRIT":                          "password=‹hidden›",
		"ro,password=a,b,uid=0,nofail":              "ro,password=‹hidden›,uid=0,nofail",
		"secret=AQ==,name=admin":                    "secret=‹hidden›",
		"Volume.Options=username=u,password=SEKRIT": "Volume.Options=username=u,password=‹hidden›",
		"passwordFile=/x":                           "passwordFile=/x",
		"secretfile=/etc/ceph/secret":               "secretfile=/etc/ceph/secret",
		"credentials=/etc/nas":                      "credentials=/etc/nas",
		"x-systemd.requires=token.service":          "x-systemd.requires=token.service",
		"lowerdir=/a/token=b:/c,upperdir=/d":        "lowerdir=/a/token=b:/c,upperdir=/d",
		"bypass=pw":                                 "bypass=pw",
		"subvol=token":                              "subvol=token",
		"s3.secret=SEKRIT":                          "s3.secret=‹hidden›",
	})
}

func TestRepository(t *testing.T) {
	same(t, "Repository", Repository, map[string]string{
		"rclone::s3,secret_access_key=abc:bucket1/repo":                  "rclone::s3,secret_access_key=‹hidden›:bucket1/repo",
		`rclone::s3,access_key_id=i,secret_access_key="a:,b",env=true:b`: `rclone::s3,access_key_id=i,secret_access_key=‹hidden›,env=true:b`,
		"remote,pass=x:dir":             "remote,pass=‹hidden›:dir",
		"rclone:remote:dir":             "rclone:remote:dir",
		"/var/lib/tenants/token=b":      "/var/lib/tenants/token=b",
		"rest:https://u:pa/SEKRIT4@h/r": "rest:https://u:‹hidden›@h/r",
	})
}

// N7: what differs apart from a secret still differs.
func TestRepositoriesStayTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z]{1,6}[0-9]?`)
		secret := rapid.StringMatching(`[A-Za-z0-9+/._=-]{1,12}`)
		form := rapid.SampledFrom([]func(a, secret string) string{
			func(a, s string) string { return "rclone::s3,secret_access_key=" + s + ":" + a + "/repo" },
			func(a, s string) string { return "rclone::s3,access_key_id=" + a + ",secret_access_key=" + s + ":b" },
			func(a, s string) string { return "rest:https://u:" + s + "@" + a + "/r" },
			func(a, s string) string { return "rest:https://" + a + ":" + s + "@h/r" },
			func(a, s string) string { return "https://h/r?token=" + s + "&repo=" + a },
			func(a, s string) string { return "https://h/" + a + "?token=" + s },
			func(a, s string) string { return "/srv/token=" + a },
			func(a, s string) string { return "sftp:u@h:" + a },
		}).Draw(t, "form")
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		x, y := Repository(form(a, secret.Draw(t, "x"))), Repository(form(b, secret.Draw(t, "y")))
		if a != b && x == y {
			t.Fatalf("%s and %s became %s", a, b, x)
		}
	})
}

func TestCommand(t *testing.T) {
	same(t, "Command", Command, map[string]string{
		"rm -rf /persist --token=abc\nzfs rollback a@b": "rm -rf /persist --token=‹hidden›\nzfs rollback a@b",
		"PASSWORD='a b' mount /x; rm -rf /y":            "PASSWORD='‹hidden›' mount /x; rm -rf /y",
		`echo "password: "; rm -rf /persist`:            `echo "password: "; rm -rf /persist`,
		"login --password SEKRIT; rm -rf /x":            "login --password ‹hidden›; rm -rf /x",
		"TOKEN=\"a\nrm -rf /x":                          "TOKEN=\"‹hidden›\nrm -rf /x",
		"d /var/lib/tenants/token=b 0755 - - -":         "d /var/lib/tenants/token=b 0755 - - -",
		"TOKEN=$(rm -rf /x) y":                          "TOKEN=$(rm -rf /x) y",
		"DEVICE_KEY=/dev/disk/x open":                   "DEVICE_KEY=/dev/disk/x open",
		"MYSQL_PWD=SEKRIT mysql":                        "MYSQL_PWD=‹hidden› mysql",
		"f /etc/x 0600 - - - password=SEKRIT":           "f /etc/x 0600 - - - password=‹hidden›",
	})
}

func TestMessage(t *testing.T) {
	same(t, "Message", Message, map[string]string{
		`cannot log in: password = "a b"; at https://u:p@h/`: `cannot log in: password = "‹hidden›"; at https://u:‹hidden›@h/`,
		`bad token: 'abc'`: `bad token: '‹hidden›'`,
		"The option `services.x.passwordFile' is used but not defined.": "The option `services.x.passwordFile' is used but not defined.",
		"attribute 'password' missing":                                  "attribute 'password' missing",
		"Authorization: Bearer SEKRIT":                                  "Authorization: ‹hidden›",
		"sent Bearer abc1.def":                                          "sent Bearer ‹hidden›",
		"MYSQL_PWD=SEKRIT":                                              "MYSQL_PWD=‹hidden›",
		"secret: expected a set":                                        "secret: expected a set",
		"A definition for option `services.x.token' is not of type `path'. Definition values:\n- In `/a.nix': \"SEKRIT x\"\n- In `/b.nix': 1\nsee": "A definition for option `services.x.token' is not of type `path'. Definition values:\n- In `/a.nix': ‹hidden›\n- In `/b.nix': ‹hidden›\nsee",
		"A definition for option `services.x.tokenFile' is not of type `path'. Definition values:\n- In `/a.nix': \"x\"":                           "A definition for option `services.x.tokenFile' is not of type `path'. Definition values:\n- In `/a.nix': \"x\"",
	})
	require.Equal(t, "https://u:‹hidden›@c.example https://d", Option("extra-substituters", "https://u:SEKRIT@c.example https://d"))
	require.Equal(t, "cache.nixos.org-1:6NCH=", Option("trusted-public-keys", "cache.nixos.org-1:6NCH="))
	require.Equal(t, Hidden, Option("access-tokens", "x"))
}

func FuzzValues(f *testing.F) {
	f.Add("https://u:p@h/?_=1")
	f.Fuzz(func(t *testing.T, s string) {
		for _, g := range []func(string) string{Address, Mount, Repository, Command, Message, Script, Unit} {
			g(s)
		}
	})
}

func TestWhatIssuersBeginWithIsLookedFor(t *testing.T) {
	for _, begin := range issuers {
		if s := begin + "0123456789abcdef"; begin != "xox" && Address(s) != Hidden {
			t.Errorf("%q stays", s)
		}
	}
	if Address("xoxb-0123456789") != Hidden {
		t.Error("xoxb-")
	}
}

func TestHook(t *testing.T) {
	same(t, "Hook", Hook, map[string]string{
		"curl -H 'Authorization: Bearer SEKRIT' u":          "curl -H 'Authorization: Bearer ‹hidden›' u",
		`curl -H "Authorization: Bearer $(cat /run/t)" u`:   `curl -H "Authorization: Bearer $(cat /run/t)" u`,
		`curl -H "Authorization: Bearer $TOKEN" u`:          `curl -H "Authorization: Bearer $TOKEN" u`,
		"PGPASSWORD=SEKRIT pg_dump":                         "PGPASSWORD=‹hidden› pg_dump",
		"PGPASSWORD=$(cat /run/secrets/pg) pg_dump x >/b/x": "PGPASSWORD=$(cat /run/secrets/pg) pg_dump x >/b/x",
	})
}
