//! Removes images before the disk is full.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::collect::Collected;
use super::disk::Space;
use super::{Inner, blocking, remove};

/// When images go by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    /// With this part of the disk in use it begins,
    pub used_max: f64,
    /// and at this part it ends.
    pub used_wanted: f64,
    /// How often the disk is looked at.
    pub period: Duration,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { used_max: 0.85, used_wanted: 0.75, period: Duration::from_secs(60) }
    }
}

/// The bytes that should be free and are not.
fn wanted(space: Space, pressure: Pressure) -> u64 {
    let Space { free_bytes, total_bytes } = space;
    let part = |used: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a disk need not be exact"
        )]
        let free = ((1.0 - used).clamp(0.0, 1.0) * total_bytes as f64) as u64;
        free
    };
    if free_bytes >= part(pressure.used_max) {
        return 0;
    }
    part(pressure.used_wanted).saturating_sub(free_bytes)
}

pub(super) async fn tend(store: &Arc<Inner>, pressure: Pressure) {
    loop {
        let inner = Arc::clone(store);
        let looked = blocking(move || {
            inner.disk.sweep();
            match wanted(inner.disk.space()?, pressure) {
                0 => Ok(Collected::default()),
                needed => remove::collect(&inner, needed),
            }
        });
        match looked.await {
            Ok(collected) if collected.images.is_empty() => {}
            Ok(collected) => info!(
                images = collected.images.len(),
                freed_bytes = collected.freed_bytes,
                "images removed, for the disk is filling up"
            ),
            Err(error) => warn!(error = %error, "cannot make room on the disk of images"),
        }
        tokio::time::sleep(pressure.period).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_from_one_mark_to_the_other() {
        let pressure = Pressure::default();
        let space = |free_bytes| Space { free_bytes, total_bytes: 1000 };
        assert_eq!(wanted(space(500), pressure), 0);
        assert_eq!(wanted(space(151), pressure), 0);
        assert_eq!(wanted(space(100), pressure), 150);
        assert_eq!(wanted(space(0), pressure), 250);
    }
}
