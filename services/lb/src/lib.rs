//! Virtual IPs of tasks.
