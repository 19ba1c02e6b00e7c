//! What is not to be removed while somebody in this process looks at it.

use std::fmt;
use std::sync::{Arc, Weak};

use super::Inner;
use crate::digest::Digest;

/// Layers, by chain id, that stay as long as this does.
pub(super) struct Pins {
    store: Weak<Inner>,
    layers: Vec<Digest>,
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pins").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl Pins {
    pub(super) fn new(store: &Arc<Inner>, layers: &[Digest]) -> Arc<Self> {
        store.state().pin(layers);
        Arc::new(Self { store: Arc::downgrade(store), layers: layers.to_vec() })
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.state().unpin(&self.layers);
        }
    }
}
