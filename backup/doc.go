// Package backup holds what holds for every engine of backups and snapshots: when a job runs and how old its newest
// result can get ([Schedule]), and which snapshots a policy keeps ([Retention]).
package backup
