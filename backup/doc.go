// Package backup holds what holds for every engine of backups and snapshots: which jobs, snapshot policies and replications
// a host declares ([Jobs], [SnapshotPolicies], [Replications]), when a job runs and how old its newest result can get
// ([Schedule]), and which snapshots a policy keeps ([Retention]).
package backup
