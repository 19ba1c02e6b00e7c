//! Packages into services.
