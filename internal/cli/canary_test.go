package cli

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// canaryHost holds a canary wherever a configuration may hold a secret. What may be shown is a path, and a URL without its
// password.
const canaryHost = `{ config = builtins.trace "CANARY-trace password=CANARY-traced" {
  fileSystems."/" = { fsType = "tmpfs"; device = "tmpfs"; };
  environment.persistence."/persist" = { enable = true; directories = [ "/var/lib/app" ]; files = [ ]; };
  fileSystems."/share" = { fsType = "cifs"; device = "//nas/share"; options = [ "username=u" "password=CANARY-mount" ]; };
  fileSystems."/share2" = { fsType = "cifs"; device = "https://u:pa/CANARY-device@nas/share"; options = [ "password=/CANARY-slash" "username=u,password=%CANARY-percent" "pass=ab,cdCANARY-comma" "password=$CANARY-dollar" "pass=\"CANARY-quote" "nofail" ]; };
  users.users.root = { hashedPassword = "CANARY-hashed"; initialPassword = "CANARY-initial"; password = "CANARY-password"; };
  users.users.app = { name = "app"; hashedPasswordFile = "/run/secrets/app"; };
  services.app = { enable = true; token = "CANARY-token"; dataDir = "/var/lib/app"; environment.SECRET = "CANARY-service"; settings.password = "CANARY-settings"; };
  services.restic.backups.b = {
    repository = "rest:https://me:CANARY-url@backup.example/repo"; paths = [ "/var/lib/app" ]; passwordFile = "/run/secrets/restic";
    environmentFile = "/run/secrets/env"; extraOptions = [ "s3.secret=CANARY-extra" ];
  };
  services.restic.backups.c = { repository = "rest:https://u:pa/CANARY-repo@h/r"; paths = [ "/a" ]; pruneOpts = [ "--token=CANARY-prune" ]; };
  services.restic.backups.d = { repository = "https://ghp_CANARY@h/r"; paths = [ "/a" ]; };
  services.restic.backups.e = { repository = "s3:https://h/b?X-Amz-Signature=CANARY-amz&repo=1"; paths = [ "/a" ]; };
  services.restic.backups.f = { repository = "rclone::s3,secret_access_key=CANARY-rclone:bucket1/repo"; paths = [ "/a" ]; };
  services.borgbackup.jobs.g = { repo = "ssh://u:CANARY-borg@h/r"; paths = [ "/a" ]; };
  services.syncoid = { enable = true; commands.h = { source = "a/b"; target = "c/d"; extraArgs = [ "--password" "CANARY-apart" "--password=CANARY-arg" ]; }; };
  boot.initrd.postDeviceCommands = "export MYSQL_PWD='pa'\\''CANARY-initrd'; true";
  systemd.tmpfiles.rules = [ "f /etc/x 0600 - - - password=CANARY-tmpfiles" ];
  services.restic.backups.broken = { repository = throw "cannot log in with password=CANARY-thrown, MYSQL_PWD=CANARY-pwd, Authorization: Bearer CANARY-bearer at https://me:CANARY-thrownurl@x/"; paths = [ "/a" ]; };
  systemd.services.app = {
    enable = true; environment.PASSWORD = "CANARY-unit"; script = "login CANARY-script"; preStart = "CANARY-prestart";
    serviceConfig = { StateDirectory = "app"; User = "app"; Environment = "X=CANARY-environment"; ExecStart = "/bin/app --password CANARY-exec"; LoadCredential = "a:/run/secrets/a"; SetCredential = "a:CANARY-credential"; };
  };
  systemd.units."app.service" = { enable = true; text = "[Service]\nEnvironment=TOKEN=ab;CANARY-unitword\nExecStart=/bin/app --password CANARY-unitexec\nSetCredential=a:CANARY-set\n"; };
  environment.etc."app.conf".text = "password = CANARY-etc";
  environment.variables.TOKEN = "CANARY-variable";
  sops.secrets.app = { sopsFile = "/etc/secrets.yaml"; key = "CANARY-sopskey"; };
  age.secrets.app = { file = "/etc/app.age"; content = "CANARY-age"; };
  stateward.backup.repositories.nas = { url = "rest:https://me:CANARY-nas@backup.example/repo"; passwordFile = "/run/secrets/restic"; primary = true; };
  stateward.backup.defaults = { schedule = "daily"; drill.command = "PGPASSWORD=CANARY-drill psql"; postHook = "curl -H 'Authorization: Bearer CANARY-posthook' https://u:CANARY-hookurl@h/x"; };
  stateward.services.jobs = { enable = true; dataDir = "/var/lib/jobs"; backup = { preHook = "PGPASSWORD=CANARY-prehook pg_dump x"; dump = { command = "mysqldump --password=CANARY-dump"; directory = "/var/lib/jobs/dump"; }; }; };
  stateward.services.drilled = { enable = true; dataDir = "/var/lib/drilled"; backup.drill = { every = "30d"; command = [ "mysql" "--password" "CANARY-drillword" "--password=CANARY-drillarg" ]; }; };
  stateward.services.own = { enable = true; dataDir = "/var/lib/own"; backup = { repository = "rest:https://me:CANARY-own@backup.example/repo"; passwordFile = "/p"; }; };
  assertions = [ { assertion = true; message = "CANARY-passing"; } ];
  warnings = [ "the password=CANARY-warning is weak" ];
}; }
`

func TestSecretsAppearNowhere(t *testing.T) {
	for _, nix := range strings.Split(os.Getenv("STATEWARD_TEST_NIX"), ":") {
		t.Run(filepath.Base(nix), func(t *testing.T) { secretsAppearNowhere(t, cmp.Or(nix, "nix")) })
	}
}

func secretsAppearNowhere(t *testing.T, nix string) {
	t.Setenv("STATEWARD_TOKEN", "CANARY-ours")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "CANARY-aws")
	// A flake, since what a file evaluates to is never kept.
	file := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(file, "flake.nix"), []byte("{ outputs = { self }: { nixosConfigurations.host = "+canaryHost+"; }; }"), 0o600))
	cache := filepath.Join(t.TempDir(), "cache")
	// nix writes a copy of the flake below the folder, which it makes read-only.
	t.Cleanup(func() {
		_ = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	savedFile := filepath.Join(t.TempDir(), "saved.json")
	look := func(what, text string) {
		t.Helper()
		if i := strings.Index(text, "CANARY-"); i >= 0 {
			t.Errorf("%s shows a secret: …%s…", what, text[max(0, i-80):min(len(text), i+40)])
		}
	}
	for _, args := range [][]string{
		{"eval", file, "-o", savedFile}, {"check", file}, {"check", file, "-o", "json", "--survival"}, {"check", file, "-o", "sarif"}, {"check", file, "-o", "github"},
		{"check", savedFile, "--survival"}, {"report", file}, {"report", savedFile}, {"report", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example"}, {"plan", "persistence", file}, {"plan", "persistence", file, "-o", "json"}, {"plan", "persistence", file, "-o", "nix"}, {"plan", "host", file}, {"plan", "host", file, "-o", "json"}, {"plan", "host", file, "-o", "nix"}, {"diff", file, savedFile}, {"diff", savedFile, file, "-o", "json"}, {"diff", savedFile, file, "-o", "markdown"}, {"eval", file},
		{"backup", "plan", file}, {"backup", "plan", file, "-o", "json"}, {"backup", "plan", file, "-o", "units", "--all"}, {"backup", "plan", file, "-o", "nix", "--all"},
		{"backup", "plan", file, "-o", "stock"}, {"backup", "plan", file, "-o", "paths"}, {"eval", "--units", file}, {"eval", "--units", file, "-o", "json"},
		{"check", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example"},
		{"check", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example", "-o", "json"},
		{"check", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example", "-o", "sarif"},
		{"eval", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example"},
		{"eval", "--units", file, "--option", "extra-substituters", "https://u:CANARY-option@c.example", "-o", "json"},
		{"eval", "path:" + file + "?token=CANARY-source"},
	} {
		r := run(t, nil, append(args, "--cache-dir", cache, "--nix", nix)...)
		require.NotEqual(t, 2, r.status, "%v: %s", args, r.stderr)
		look(strings.Join(args[:1], " ")+" "+strings.Join(args[2:], " "), r.stdout)
		look(args[0]+", standard error,", r.stderr)
	}
	for _, ref := range []string{"git+https://u:CANARY-ref@h.example/r", "github:o/r?access_token=CANARY-query", "https://ghp_CANARY@h.example/r"} {
		for _, args := range [][]string{{"check", file, "--override-input", "i", ref}, {"eval", "--units", file, "--override-input", "i", ref}, {"check", ref}, {"eval", "--units", ref}} {
			r := run(t, nil, append(args, "--cache-dir", cache, "--nix", nix)...)
			require.NotZero(t, r.status, "%v", args)
			look(strings.Join(args[:1], " ")+" "+ref, r.stdout+r.stderr)
		}
	}
	text, err := os.ReadFile(savedFile)
	require.NoError(t, err)
	require.Contains(t, string(text), "rest:https://me:‹hidden›@backup.example/repo", "who is addressed is kept")
	require.Contains(t, string(text), "cannot log in with password=‹hidden›, MYSQL_PWD=‹hidden›, Authorization: ‹hidden›")
	look("the saved evaluation", string(text))
	require.NoError(t, filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			// Below the store lies a copy of the flake itself, as nix makes it; its own repositories know where they are from.
			if !strings.Contains(path, "/store/nix/") && !strings.Contains(path, "/home/.cache/nix/gitv") {
				look(path, string(b))
			}
		}
		return err
	}))
}
