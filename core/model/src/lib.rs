//! The nouns: typed ids, exact quantities, resources and their algebra.
