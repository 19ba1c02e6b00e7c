//! The karmand binary: wires roles to configuration, nothing else.
