//! Services, pods, jobs and cron, in one scheduler.
