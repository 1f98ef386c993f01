package pitr

import (
	"cmp"
	"slices"
	"time"

	"github.com/stateward/stateward/backup"
)

// Cluster is one PostgreSQL server and where it is archived to. Secrets are named by the files that hold them.
type Cluster struct {
	// Name is that of the service, "postgresql" mostly.
	Name string `json:"name,omitempty"`
	// Version is the major version, 17; 0 where it is not known.
	Version int `json:"version,omitempty"`
	// DataDir is PGDATA, WALDir where pg_wal lies on a place of its own.
	DataDir string `json:"dataDir"`
	WALDir  string `json:"walDir,omitempty"`
	// Socket is the directory of the socket, Port as configured (0: 5432), User the superuser and owner of the files.
	Socket string `json:"socket,omitempty"`
	Port   int    `json:"port,omitempty"`
	User   string `json:"user,omitempty"`
	// Unit is that of the server.
	Unit string `json:"unit,omitempty"`
	// BinDir holds postgres, pg_ctl and the other programs; empty where they are found by PATH.
	BinDir string `json:"binDir,omitempty"`
}

// Policy is how a cluster is archived: where, by what, how often, for how long.
type Policy struct {
	Cluster Cluster `json:"cluster"`
	// Provider is "barman-cloud" (the default) or "pgbackrest".
	Provider string `json:"provider,omitempty"`
	// Destination is the URL of the store, "s3://bucket/folder", Server the prefix of this cluster below it.
	Destination string `json:"destination"`
	Server      string `json:"server"`
	// Cloud is "aws-s3" (the default), "azure-blob-storage" or "google-cloud-storage"; Endpoint an S3 server that is not Amazon's.
	Cloud    string `json:"cloud,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Profile is a section of the credentials file.
	Profile string `json:"profile,omitempty"`
	// EnvironmentFile is a file that systemd reads, CredentialsFile one of the cloud (AWS_SHARED_CREDENTIALS_FILE); both by path only.
	EnvironmentFile string `json:"environmentFile,omitempty"`
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// Compression is "gzip", "bzip2", "snappy", "xz", "zstd" or "lz4"; Encryption what the server is asked for, "AES256" or "aws:kms".
	Compression string `json:"compression,omitempty"`
	Encryption  string `json:"encryption,omitempty"`
	// Schedule is OnCalendar= of base backups.
	Schedule []string `json:"schedule,omitempty"`
	// Window is for how long any moment can be recovered, Redundancy how many base backups stay at least.
	Window     Span `json:"window,omitempty"`
	Redundancy int  `json:"redundancy,omitempty"`
	// ArchiveTimeout is archive_timeout; zero means that an idle cluster archives nothing (G3).
	ArchiveTimeout Span `json:"archiveTimeout,omitempty"`
	// Drill is how it is tried that the cluster can be recovered; nil where nothing asks for that.
	Drill *DrillPolicy `json:"drill,omitempty"`
	// Notify names what is sent of each run, MetricsDir is a folder for metrics of Prometheus.
	Notify     backup.Notify `json:"notify,omitzero"`
	MetricsDir string        `json:"metricsDir,omitempty"`
}

// DrillPolicy says how it is tried that a cluster can be recovered.
type DrillPolicy struct {
	// Every is how old the last drill that passed may be: a day at least.
	Every Span `json:"every,omitempty"`
}

// BackupStatus is what the tool says of a base backup.
type BackupStatus string

// The states of a base backup.
const (
	BackupDone    BackupStatus = "done"
	BackupRunning BackupStatus = "running"
	BackupFailed  BackupStatus = "failed"
	// BackupUnreadable is one of which the record cannot be read.
	BackupUnreadable BackupStatus = "unreadable"
)

// BaseBackup is one copy of the whole cluster. From its end on any moment can be recovered, as far as the log goes.
type BaseBackup struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Begin and End are when it was made; zero where that is not known.
	Begin    time.Time    `json:"begin,omitzero"`
	End      time.Time    `json:"end,omitzero"`
	BeginLSN LSN          `json:"beginLSN"`
	EndLSN   LSN          `json:"endLSN"`
	Timeline Timeline     `json:"timeline"`
	SystemID uint64       `json:"systemID,string,omitempty"`
	Status   BackupStatus `json:"status"`
	// Fault says why it is not done, in the tool's words.
	Fault string `json:"fault,omitempty"`
	// Version is the major version of the server.
	Version int   `json:"version,omitempty"`
	Size    int64 `json:"size,omitempty"`
	// Kept tells that somebody asked that it be kept (barman-cloud-backup-keep): no retention removes it.
	Kept bool `json:"kept,omitempty"`
	// Tablespaces are those that lie outside of the data directory.
	Tablespaces []Tablespace `json:"tablespaces,omitempty"`
}

// Tablespace is a place of its own for some of a cluster's data.
type Tablespace struct {
	Name     string `json:"name"`
	OID      uint64 `json:"oid"`
	Location string `json:"location"`
}

// ArchivedSegment is one whole segment in the archive.
type ArchivedSegment struct {
	Segment
	// At is when it was stored: no transaction in it was committed later. Zero where that is not known.
	At time.Time
}

// Archive is what an archive of one server holds.
type Archive struct {
	// Server is its prefix.
	Server      string
	SegmentSize SegmentSize
	Backups     []BaseBackup
	// Segments are the whole ones, in any order; partial ones do not count.
	Segments []ArchivedSegment
	// Histories are the history files that are there; nil content is one that could not be read.
	Histories map[Timeline]History
	// LastCommit is when the last transaction in the archive was committed, where somebody read that from the log, by timeline.
	LastCommit map[Timeline]time.Time
	// LogSystemID is the cluster of which the newest segment is, as the segment itself says; zero where nobody read it.
	LogSystemID uint64
	// Leftover are IDs below which something lies of a base backup that has no record: a run was killed there. barman-cloud does not see them.
	Leftover []string
}

// Empty tells whether nothing at all is in the archive.
func (a Archive) Empty() bool {
	return len(a.Backups) == 0 && len(a.Segments) == 0 && len(a.Histories) == 0
}

// SystemIDs are the clusters of which base backups or log are there, each once: more than one means that two share the prefix (G4).
func (a Archive) SystemIDs() []uint64 {
	var ids []uint64
	if a.LogSystemID != 0 {
		ids = append(ids, a.LogSystemID)
	}
	for _, b := range a.Backups {
		if b.SystemID != 0 {
			ids = append(ids, b.SystemID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Timelines are all of which something is there, the oldest first.
func (a Archive) Timelines() []Timeline {
	var ts []Timeline
	for _, b := range a.Backups {
		if b.Status == BackupDone {
			ts = append(ts, b.Timeline)
		}
	}
	for _, s := range a.Segments {
		ts = append(ts, s.Timeline)
	}
	for t := range a.Histories {
		ts = append(ts, t)
	}
	slices.Sort(ts)
	return slices.Compact(ts)
}

func compareBackups(a, b BaseBackup) int {
	return cmp.Or(cmp.Compare(a.EndLSN, b.EndLSN), a.End.Compare(b.End), cmp.Compare(a.ID, b.ID))
}
