//! Equal resources of different tasks are one in memory.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use karman_allocator::Role;
use karman_api::convert;
use karman_api::mesos::v1;
use karman_model::resource::{Kind, Resource, Resources};

/// Different bags that are remembered; beyond, the pool starts over. What was
/// shared stays so.
const BAGS_MAX: usize = 8192;
/// Different names and roles that are remembered.
const TEXTS_MAX: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    bags: HashSet<Arc<Resources>>,
    texts: BTreeSet<Arc<str>>,
    /// Tasks of one kind come in a row.
    recent: Option<Recent>,
    /// The last bag of another pool, and our own.
    adopted: Option<(Arc<Resources>, Arc<Resources>)>,
}

#[derive(Clone, Debug)]
struct Recent {
    wire: Vec<v1::Resource>,
    role: Role,
    shared: Arc<Resources>,
}

impl Pool {
    /// As they come over the wire, on the account of `role`.
    pub(super) fn share_wire(
        &mut self,
        wire: &[v1::Resource],
        role: &Role,
    ) -> Result<Arc<Resources>, convert::Error> {
        if let Some(recent) = &self.recent
            && recent.wire == wire
            && recent.role == *role
        {
            return Ok(Arc::clone(&recent.shared));
        }
        let resources = convert::resources_from_wire(wire)?;
        let shared = self.share(resources.unallocated().allocated_to(role));
        let (wire, role) = (wire.to_vec(), Arc::clone(role));
        self.recent = Some(Recent { wire, role, shared: Arc::clone(&shared) });
        Ok(shared)
    }

    /// What another pool has shared.
    pub(super) fn adopt(&mut self, bag: &Arc<Resources>) -> Arc<Resources> {
        if let Some((theirs, ours)) = &self.adopted
            && Arc::ptr_eq(theirs, bag)
        {
            return Arc::clone(ours);
        }
        let known = self.bags.get(bag).map(Arc::clone);
        let ours = known.unwrap_or_else(|| self.share((**bag).clone()));
        self.adopted = Some((Arc::clone(bag), Arc::clone(&ours)));
        ours
    }

    /// The same resources, shared with whoever has equal ones.
    pub(super) fn share(&mut self, resources: Resources) -> Arc<Resources> {
        if let Some(known) = self.bags.get(&resources) {
            return Arc::clone(known);
        }
        // Not even those with ports of their own need names of their own.
        let shared = resources.iter().map(|resource| self.share_texts(resource.clone()));
        let shared = Arc::new(shared.collect::<Resources>());
        if self.bags.len() >= BAGS_MAX {
            self.bags.clear();
        }
        self.bags.insert(Arc::clone(&shared));
        shared
    }

    fn share_texts(&mut self, resource: Resource) -> Resource {
        let Resource { kind, value } = resource;
        let name = self.text(kind.name);
        let allocated_to = kind.allocated_to.map(|role| self.text(role));
        Resource { kind: Kind { name, allocated_to, ..kind }, value }
    }

    fn text(&mut self, text: Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(&text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= TEXTS_MAX {
            self.texts.clear();
        }
        self.texts.insert(Arc::clone(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bags_are_one() {
        let parse = |text: &str| Resources::parse(text, "*").unwrap().allocated_to("web");
        let mut pool = Pool::default();
        let (first, second) =
            (pool.share(parse("cpus:1;mem:2")), pool.share(parse("cpus:1;mem:2")));
        assert!(Arc::ptr_eq(&first, &second));
        let other = pool.share(parse("cpus:2"));
        assert_eq!(*other, parse("cpus:2"));
        let name = |bag: &Resources| Arc::clone(&bag.iter().next().unwrap().kind.name);
        assert!(Arc::ptr_eq(&name(&first), &name(&other)), "names are shared across bags");
    }
}
