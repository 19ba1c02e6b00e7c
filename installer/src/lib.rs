//! From machines to a datacenter.
