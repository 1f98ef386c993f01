package stateward

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// asWritten are no defaults: what belongs to root says so, since the default is the service's own user.
var asWritten = dialect.Ownership{}

// service reads one of `stateward.services`, and the backup job that it asks for.
func service(name string, n *dialect.Node) (stateward.Service, *stateward.Job) {
	s := stateward.Service{Name: name, Origin: n.Origin(), Enable: n.At("enable").Bool()}
	if n.Kind() == dialect.Attrs {
		NoOther(n)
		for _, part := range []string{"persist", "dataset", "backup", "protection", "exposure", "preseed", "healthCheck", "resources", "notifications"} {
			set(n.At(part))
		}
	}
	switch n.Kind() {
	case dialect.Attrs, dialect.Unknown:
	default:
		s.Enable = stateward.NotKnown[bool](n.Wrong(stateward.UnknownType, "expected an attribute set, found %s", n.Kind()))
	}
	off := false
	if on, known := s.Enable.Get(); known && !on {
		// Its required options need no value then.
		n.Ignore()
		off = true
	}
	if s.Enable.IsAbsent() {
		s.Enable = stateward.NotKnown[bool](n.Wrong(stateward.UnknownForm, "has no enable"))
	}
	for _, u := range append(n.At("units").Strings().Or(nil), n.At("unit").Filled().Or("")) {
		if u != "" && !slices.Contains(s.Units, dialect.UnitName(u)) {
			s.Units = append(s.Units, dialect.UnitName(u))
		}
	}
	s.User, s.Group = owner(n.At("user")), owner(n.At("group"))

	dataDir, backupPaths := n.At("dataDir"), n.At("backupPaths")
	s.DataDir = stateward.MapValue(dataDir.Text(), func(text string) (stateward.Entry, error) {
		return stateward.NewEntry(text, stateward.Directory, dataDir.Origin()), nil
	})
	paths, why := backupPaths.Paths(stateward.Directory, asWritten)
	s.BackupPaths = backupPaths.Entries(paths, why)

	var l dialect.StateList
	lost := func(why *stateward.Unknown) {
		if why != nil {
			l.Lost(*why)
		}
	}
	// A place belongs to the service's user, unless it says otherwise.
	add := func(e stateward.Entry, source stateward.StateSource) {
		if e.User.IsAbsent() && s.User.IsKnown() {
			e.User = s.User
		}
		if e.Group.IsAbsent() && s.Group.IsKnown() {
			e.Group = s.Group
		}
		l.Add(e, source)
	}
	lost(why)
	if dir, ok := s.DataDir.Get(); ok {
		add(dir, stateward.SourceDataDir)
	} else if why, unknown := s.DataDir.Why(); unknown {
		l.Lost(why)
	}
	for _, p := range paths {
		add(dialect.BelowDataDir(s.DataDir, p), stateward.SourceBackupPaths)
	}
	persist := n.At("persist")
	for _, part := range []struct {
		n    *dialect.Node
		kind stateward.EntryKind
	}{{persist.At("directories"), stateward.Directory}, {persist.At("files"), stateward.File}} {
		each(part.n, NoOther)
		paths, why := part.n.Paths(part.kind, asWritten)
		for _, p := range paths {
			add(p, stateward.SourcePersist)
		}
		lost(why)
	}
	l.Fill(&s)

	each(n.At("databases"), NoOther)
	s.Databases = dialect.ListOf(n.At("databases"), func(n *dialect.Node) (stateward.Database, bool) {
		db, ok := dialect.ReadDatabase(n)
		if db.Name.IsAbsent() && !off {
			n.Wrong(stateward.UnknownForm, "has no name: name the database")
		}
		return db, ok
	})
	s.Dataset = dataset(n.At("dataset"), s.DataDir, off)
	s.Protection = protection(n.At("protection"))
	s.Preseed = preseed(n.At("preseed"))
	s.HealthCheck = healthCheck(n.At("healthCheck"))
	s.Exposure = dialect.ReadExposure(n.At("exposure"))
	return s, job(name, n.At("backup"), n.At("notifications"), &s)
}

// set records what is no set, and fields that the contract does not have.
func set(n *dialect.Node) {
	switch n.Kind() {
	case dialect.Absent, dialect.Null, dialect.Unknown:
	case dialect.Attrs:
		NoOther(n)
	default:
		n.Wrong(stateward.UnknownType, "expected an attribute set, found %s", n.Kind())
	}
}

// each visits the sets in a list.
func each(n *dialect.Node, visit func(*dialect.Node)) {
	if n.Kind() != dialect.List {
		return
	}
	for _, e := range n.List() {
		if e.Kind() == dialect.Attrs {
			visit(e)
		}
	}
}

func owner(n *dialect.Node) stateward.Value[stateward.Owner] {
	return dialect.Understood(n, n.Filled(), stateward.ParseOwner)
}

// dataset reads the dataset of a service. A file system is mounted at the data directory, unless it says otherwise.
func dataset(n *dialect.Node, dataDir stateward.Value[stateward.Entry], off bool) *stateward.Dataset {
	if n.Kind() != dialect.Attrs {
		return nil
	}
	name, mode := n.At("name"), n.At("mode")
	d := &stateward.Dataset{
		Name: name.Filled().Or(""), Origin: n.Origin(),
		Type:       n.At("type").Filled(),
		MountPoint: n.At("mountpoint").Filled(),
		CanMount:   n.At("canmount").Filled(),
		Profile:    n.At("profile").Filled(),
		Properties: map[string]stateward.Value[string]{},
		Asked:      true, // nothing makes it by its being declared here
		Owner:      owner(n.At("owner")), Group: owner(n.At("group")),
		Mode: dialect.Understood(mode, mode.Scalar(), stateward.ParseMode),
	}
	if d.MountPoint.IsAbsent() && !d.IsVolume() {
		d.MountPoint = stateward.MapValue(dataDir, func(e stateward.Entry) (string, error) { return e.Text, nil })
	}
	for _, p := range n.At("properties").Attrs() {
		if v := p.Node.Scalar(); !v.IsAbsent() {
			d.Properties[p.Name] = v
		}
	}
	snapshots, replication := n.At("snapshots"), n.At("replication")
	NoOther(snapshots)
	d.SnapshotPolicy = snapshots.At("policy").Filled()
	list := dialect.ListOf(replication, func(n *dialect.Node) (stateward.AskedReplication, bool) {
		NoOther(n)
		key := n.At("sshKey")
		return stateward.AskedReplication{
			Target: n.At("target").Filled(), Schedule: n.At("schedule").Strings(), SSHKey: key.Filled(), HostKeys: n.At("hostKeys").Strings(),
			Raw: n.At("raw").Bool(), Recursive: n.At("recursive").Bool(), Limit: n.At("limit").Filled(), Origin: n.Origin(),
		}, true
	})
	d.Replicate = list.Or(nil)
	if why, unknown := list.Why(); unknown {
		d.Replicate = []stateward.AskedReplication{{Target: stateward.NotKnown[string](why), Origin: replication.Origin()}}
	}
	if name.Filled().IsAbsent() && !off {
		n.Wrong(stateward.UnknownForm, "has no name: name the dataset, such as tank/services/NAME")
	}
	return d
}

// healthCheck reads how to see whether the service works.
func healthCheck(n *dialect.Node) *stateward.HealthCheck {
	on := n.At("enable").Bool()
	if n.Kind() != dialect.Attrs || on.IsKnown() && !on.Or(true) {
		return nil
	}
	span := func(n *dialect.Node) stateward.Value[stateward.Duration] {
		return dialect.Understood(n, n.Filled(), stateward.ParseDuration)
	}
	retries := n.At("retries")
	h := &stateward.HealthCheck{
		Command:  n.At("command").Filled(),
		Interval: span(n.At("interval")), Timeout: span(n.At("timeout")), StartPeriod: span(n.At("startPeriod")),
		Retries: dialect.Understood(retries, retries.Scalar(), func(text string) (int, error) {
			many, err := strconv.Atoi(text)
			if err != nil || many < 1 {
				return 0, fmt.Errorf("%q is no number of tries: write 1 or more", text)
			}
			return many, nil
		}),
		Origin: n.Origin(),
	}
	if h.Command.IsAbsent() {
		n.Wrong(stateward.UnknownForm, "has no command: write what ends with status 0 while the service works")
	}
	return h
}

// protection reads which losses the service must survive, and how much may be missing then.
func protection(n *dialect.Node) *stateward.Protection {
	if n.Kind() != dialect.Attrs {
		return nil
	}
	p := &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{}, Origin: n.Origin()}
	tier := func(n *dialect.Node, text string) (stateward.Tier, bool) {
		if t := stateward.Tier(text); slices.Contains(stateward.Tiers(), t) {
			return t, true
		}
		var names []string
		for _, t := range stateward.Tiers() {
			names = append(names, string(t))
		}
		n.Wrong(stateward.UnknownForm, "tier %q is none of %s", text, strings.Join(names, ", "))
		return "", false
	}
	tiers := n.At("tiers")
	for i, v := range tiers.Texts().Or(nil) {
		at := tiers
		if tiers.Kind() == dialect.List {
			at = tiers.List()[i]
		}
		if text, ok := v.Get(); ok {
			if t, ok := tier(at, text); ok && !slices.Contains(p.Tiers, t) {
				p.Tiers = append(p.Tiers, t)
			}
		}
	}
	rpo := n.At("rpo")
	read := func(n *dialect.Node) stateward.Value[stateward.Duration] {
		return dialect.Understood(n, n.Scalar(), stateward.ParseDuration)
	}
	if rpo.Kind() == dialect.Attrs {
		for _, a := range rpo.Attrs() {
			if t, ok := tier(a.Node, a.Name); ok {
				p.RPO[t] = read(a.Node)
			}
		}
		return p
	}
	if v := read(rpo); !v.IsAbsent() {
		// One for all that are asked for.
		for _, t := range p.Tiers {
			p.RPO[t] = v
		}
	}
	return p
}
