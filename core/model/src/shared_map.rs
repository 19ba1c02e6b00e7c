//! A sorted map that is copied in no time.
//!
//! A copy shares everything with its original; a change to one of them copies
//! the few small nodes on the way to the entry, if somebody else still has them,
//! and otherwise happens in place. So a writer can hand out a snapshot after
//! every change, however much there is in it.
#![deny(clippy::disallowed_methods)]

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// Small, because a changed leaf of a shared map is copied with all its entries.
const LEAF_MAX: usize = 16;
const CHILDREN_MAX: usize = 32;

/// A B-tree whose nodes are shared between copies.
pub struct SharedMap<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

#[derive(Clone)]
enum Node<K, V> {
    /// Sorted by key.
    Leaf(Vec<(K, V)>),
    /// `bounds[i]` is above everything in `children[i]` and not above anything
    /// in `children[i + 1]`.
    Inner { bounds: Vec<K>, children: Vec<Arc<Self>> },
}

/// A new right neighbour and the bound before it.
type Split<K, V> = Option<(K, Arc<Node<K, V>>)>;

impl<K, V> Node<K, V> {
    const fn size(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner { bounds: _, children } => children.len(),
        }
    }

    /// Whether two neighbours of these sizes are better one.
    const fn fits_with(&self, other: &Self) -> bool {
        let sum = self.size() + other.size();
        match self {
            Self::Leaf(_) => sum <= LEAF_MAX / 2,
            Self::Inner { .. } => sum <= CHILDREN_MAX / 2,
        }
    }
}

fn slot<K: Borrow<Q>, Q: Ord + ?Sized>(bounds: &[K], key: &Q) -> usize {
    bounds.partition_point(|bound| bound.borrow() <= key)
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize> {
    entries.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    fn insert(&mut self, key: K, value: V) -> (Option<V>, Split<K, V>) {
        match self {
            Self::Leaf(entries) => match find(entries, &key) {
                Ok(at) => {
                    let old = entries.get_mut(at).map(|entry| &mut entry.1);
                    (old.map(|old| std::mem::replace(old, value)), None)
                }
                Err(at) => (None, insert_into_leaf(entries, at, key, value)),
            },
            Self::Inner { bounds, children } => {
                let at = slot(bounds, &key);
                let Some(child) = children.get_mut(at) else { return (None, None) };
                let (old, split) = Arc::make_mut(child).insert(key, value);
                let Some((bound, right)) = split else { return (old, None) };
                bounds.insert(at, bound);
                children.insert(at + 1, right);
                (old, split_children(bounds, children))
            }
        }
    }

    /// The key must be there.
    fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Leaf(entries) => find(entries, key).ok().map(|at| entries.remove(at).1),
            Self::Inner { bounds, children } => {
                let at = slot(bounds, key);
                let child = Arc::make_mut(children.get_mut(at)?);
                let removed = child.remove(key);
                if child.size() == 0 {
                    children.remove(at);
                    if !bounds.is_empty() {
                        bounds.remove(at.saturating_sub(1));
                    }
                } else {
                    let left = at.saturating_sub(1);
                    join(bounds, children, at);
                    join(bounds, children, left);
                }
                removed
            }
        }
    }

    /// Appends the right neighbour.
    fn absorb(&mut self, bound: K, right: Self) {
        match (self, right) {
            (Self::Leaf(mine), Self::Leaf(theirs)) => mine.extend(theirs),
            (
                Self::Inner { bounds, children },
                Self::Inner { bounds: their_bounds, children: their_children },
            ) => {
                bounds.push(bound);
                bounds.extend(their_bounds);
                children.extend(their_children);
            }
            (Self::Leaf(_) | Self::Inner { .. }, _) => {
                debug_assert!(false, "all leaves are on one level");
            }
        }
    }
}

fn insert_into_leaf<K: Ord + Clone, V: Clone>(
    entries: &mut Vec<(K, V)>,
    at: usize,
    key: K,
    value: V,
) -> Split<K, V> {
    if entries.len() < LEAF_MAX {
        entries.insert(at, (key, value));
        return None;
    }
    // Who always appends gets full leaves.
    let middle = if at == entries.len() { at } else { entries.len() / 2 };
    let mut right = Vec::with_capacity(LEAF_MAX);
    right.extend(entries.drain(middle..));
    if at <= middle && middle < LEAF_MAX {
        entries.insert(at, (key, value));
    } else {
        right.insert(at - middle, (key, value));
    }
    let bound = right.first()?.0.clone();
    Some((bound, Arc::new(Node::Leaf(right))))
}

fn split_children<K, V>(bounds: &mut Vec<K>, children: &mut Vec<Arc<Node<K, V>>>) -> Split<K, V> {
    if children.len() <= CHILDREN_MAX {
        return None;
    }
    let middle = children.len() / 2;
    let children = children.split_off(middle);
    let right = bounds.split_off(middle);
    let bound = bounds.pop()?;
    Some((bound, Arc::new(Node::Inner { bounds: right, children })))
}

/// Makes one of the child at `left` and its right neighbour if both are small.
fn join<K: Ord + Clone, V: Clone>(
    bounds: &mut Vec<K>,
    children: &mut Vec<Arc<Node<K, V>>>,
    left: usize,
) {
    let (Some(first), Some(second)) = (children.get(left), children.get(left + 1)) else { return };
    if !first.fits_with(second) {
        return;
    }
    let right = Arc::unwrap_or_clone(children.remove(left + 1));
    let bound = bounds.remove(left);
    if let Some(child) = children.get_mut(left) {
        Arc::make_mut(child).absorb(bound, right);
    }
}

impl<K, V> SharedMap<K, V> {
    pub fn new() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// By key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter { inner: Vec::new(), leaf: [].iter(), left: self.len };
        iter.descend(&self.root);
        iter
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => return entries.last().map(|(key, value)| (key, value)),
                Node::Inner { bounds: _, children } => node = children.last()?,
            }
        }
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = find(entries, key).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
                Node::Inner { bounds, children } => node = children.get(slot(bounds, key))?,
            }
        }
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        // What is not there must not cost copies.
        if !self.contains_key(key) {
            return None;
        }
        let mut node = Arc::make_mut(&mut self.root);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = find(entries, key).ok()?;
                    return entries.get_mut(at).map(|(_, value)| value);
                }
                Node::Inner { bounds, children } => {
                    let at = slot(bounds, key);
                    node = Arc::make_mut(children.get_mut(at)?);
                }
            }
        }
    }

    /// Returns what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (old, split) = Arc::make_mut(&mut self.root).insert(key, value);
        if let Some((bound, right)) = split {
            let left = Arc::clone(&self.root);
            let (bounds, children) = (vec![bound], vec![left, right]);
            self.root = Arc::new(Node::Inner { bounds, children });
        }
        if old.is_none() {
            self.len += 1;
        }
        old
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let removed = Arc::make_mut(&mut self.root).remove(key)?;
        self.len -= 1;
        while let Node::Inner { bounds: _, children } = &*self.root
            && children.len() <= 1
        {
            self.root = match children.first() {
                Some(only) => Arc::clone(only),
                None => Arc::new(Node::Leaf(Vec::new())),
            };
        }
        Some(removed)
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = self.first_key_value()?.0.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

impl<'a, K, V> IntoIterator for &'a SharedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

/// The entries by key.
pub struct Iter<'a, K, V> {
    inner: Vec<std::slice::Iter<'a, Arc<Node<K, V>>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
    left: usize,
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a, K, V> Iter<'a, K, V> {
    /// To the first leaf below `node`.
    fn descend(&mut self, mut node: &'a Node<K, V>) {
        loop {
            match node {
                Node::Leaf(entries) => return self.leaf = entries.iter(),
                Node::Inner { bounds: _, children } => {
                    let mut children = children.iter();
                    let Some(first) = children.next() else { return };
                    self.inner.push(children);
                    node = first;
                }
            }
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                self.left -= 1;
                return Some((key, value));
            }
            match self.inner.last_mut()?.next() {
                Some(node) => self.descend(node),
                None => {
                    self.inner.pop();
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

#[cfg(test)]
mod tests;
