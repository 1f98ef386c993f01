package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/preseed"
)

type preseedUnitsFlags struct {
	program, installed, write string
	path, datasets, onFailure []string
}

func newPreseedUnits(env Env) *cobra.Command {
	var f preseedUnitsFlags
	cmd := &cobra.Command{
		Use:   "units PLAN",
		Short: "Write the unit that runs a plan, and what has its service wait for it",
		Long: `Units writes the systemd unit that runs a plan before its service starts, and for each unit of the service
a drop-in by which that needs the run and waits for it. Without the drop-ins a preseed holds nobody
back.

Name the units that make or mount the dataset with --after; those of ZFS itself are there already.

` + exitStatus,
		Example: "  stateward preseed units sonarr.json --after stateward-dataset@tank-services-sonarr.service\n  stateward preseed units sonarr.json --installed-plan /etc/stateward/preseed/sonarr.json --write /etc/systemd/system",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cmp.Or(onMachine("stateward", f.program), onMachine("path", f.path...)); err != nil {
				return err
			}
			if f.installed != "" {
				if err := onMachine("installed-plan", f.installed); err != nil {
					return err
				}
			}
			text, err := readRegular(args[0], maxConfig)
			if err != nil {
				return withStatus(StatusEvaluation, err)
			}
			p, err := preseed.ReadPlan(text)
			if err != nil {
				return withStatus(StatusEvaluation, fmt.Errorf("%s: %w", args[0], err))
			}
			at := f.installed
			if at == "" {
				if at, err = filepath.Abs(args[0]); err != nil {
					return withStatus(StatusStep, err)
				}
			}
			// A job that is not on this machine may need the network.
			remote := p.Remote(func(file string) (restic.Job, error) {
				text, err := readRegular(file, maxConfig)
				if err != nil {
					return restic.Job{}, err
				}
				return restic.ReadJob(text)
			})
			unit, err := p.Unit(preseed.UnitOptions{Stateward: f.program, Plan: at, Path: f.path, Remote: remote, Datasets: f.datasets, OnFailure: f.onFailure})
			if err != nil {
				return withStatus(StatusEvaluation, err)
			}
			dropIn, err := p.DropIn()
			if err != nil {
				return withStatus(StatusEvaluation, err)
			}
			// The unit first: a drop-in that names one which is not there keeps its service from starting.
			files := []struct{ name, text string }{{p.UnitName(), unit}}
			for _, u := range p.Units {
				files = append(files, struct{ name, text string }{filepath.Join(u+".d", "stateward-preseed-"+p.Name+".conf"), dropIn})
			}
			for _, x := range files {
				if f.write == "" {
					fmt.Fprintf(env.Stdout, "# %s\n%s\n", x.name, x.text)
					continue
				}
				name := filepath.Join(f.write, x.name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					return withStatus(StatusStep, err)
				}
				if err := writeFile(name, []byte(x.text), 0o644); err != nil {
					return withStatus(StatusStep, err)
				}
				fmt.Fprintln(env.Stdout, inLine(name))
			}
			return nil
		},
	}
	fs := cmd.Flags()
	f.program = "/run/current-system/sw/bin/stateward"
	fs.Var(wordFlag{&f.program}, "stateward", "the program stateward on the machine, a `FILE`")
	fs.Var(wordFlag{&f.installed}, "installed-plan", "where the plan lies on the machine, a `FILE` (default: that of PLAN)")
	fs.StringSliceVar(&f.path, "path", nil, "a `DIR` with zfs, ssh or restic, for the PATH of the unit; may be repeated")
	fs.StringSliceVar(&f.datasets, "after", nil, "a `UNIT` that makes or mounts the dataset; may be repeated")
	fs.StringSliceVar(&f.onFailure, "on-failure", nil, "a `UNIT` to start where the service must not start; may be repeated")
	fs.Var(wordFlag{&f.write}, "write", "write the files into `DIR` in place of standard output")
	return cmd
}
