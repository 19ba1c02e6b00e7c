//! What an agent has now, with the reservations and volumes that its master
//! knows put on top again.
#![deny(clippy::disallowed_methods)]

use super::{Resource, Resources};

/// What became of the reservations and volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// All that the agent has, as it is to be accounted.
    pub total: Resources,
    /// What was reserved or on a volume and is not there any longer.
    pub lost: Resources,
}

/// `own` is what the agent says it has by its own configuration, `known` is what
/// it had with all operations applied. Volumes come first, as there is data on
/// them, and are kept whole or not at all; of reservations is kept what is still
/// there.
pub fn reconcile(own: &Resources, known: &Resources) -> Reconciled {
    let mut rest = own.clone();
    let mut reconciled = Reconciled::default();
    let (volumes, others): (Vec<_>, Vec<_>) = known
        .iter()
        .filter(|resource| resource.kind != resource.kind.origin())
        .partition(|resource| resource.kind.is_persistent_volume());
    for resource in volumes.into_iter().chain(others) {
        let kept = take(&mut rest, resource);
        let lost = match &kept {
            Some(kept) => {
                Resources::from(resource.clone()).saturating_sub(&Resources::from(kept.clone()))
            }
            None => resource.clone().into(),
        };
        reconciled.lost += &lost;
        if let Some(kept) = kept {
            reconciled.total.insert(kept);
        }
    }
    reconciled.total += &rest;
    reconciled
}

/// As much of the resource as can still be made out of `rest`.
fn take(rest: &mut Resources, wanted: &Resource) -> Option<Resource> {
    let origin = wanted.kind.origin();
    let there = rest.iter().find(|resource| resource.kind == origin)?;
    let value = if wanted.kind.is_indivisible() {
        let source = Resource { kind: origin.clone(), value: wanted.value.clone() };
        rest.contains(&source.into()).then(|| wanted.value.clone())?
    } else {
        there.value.common(&wanted.value)?
    };
    let source = Resource { kind: origin, value: value.clone() };
    *rest = rest.saturating_sub(&source.into());
    let kept = Resource { kind: wanted.kind.clone(), value };
    (!kept.value.is_empty()).then_some(kept)
}
