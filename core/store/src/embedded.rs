//! The embedded engine: one redb file, one writer, group commit.
