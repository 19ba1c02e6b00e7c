//! The bodies of the fuzz targets. They live with the tests, which run them as
//! well: on the committed seeds and on what the property tests make up.

#[path = "../../tests/src/fuzz/bodies.rs"]
pub mod bodies;

#[path = "../../tests/src/fuzz/unpacking.rs"]
pub mod unpacking;
