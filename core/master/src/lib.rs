//! Who gets which resources.
