//! Keys of the snapshot tree: paths as bytes whose plain order keeps each directory, and each subtree, together.
//!
//! ```text
//! key = (parent component ‖ 0)* ‖ 0 ‖ name          srv/a/b  =  "srv" 0 "a" 0 0 "b"
//! ```
//! Names are bytes and are never changed: it knows no encoding, no case and no Unicode form.
//!
//! Invariant: a key is never empty, and no component is empty, `.`, `..`, or holds a NUL or a slash.

use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};

/// A path that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No component at all.
    #[error("path is empty")]
    Empty,
    /// A component that is empty, `.`, `..`, too long, or holds a NUL or a slash.
    #[error("path has a component that is not a name")]
    Component,
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("path is too long")]
    TooLong,
    /// The separators are not where a key has them.
    #[error("key is malformed")]
    Separators,
}

/// Where an entry stands in the snapshot tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey(Vec<u8>);

impl EntryKey {
    /// The key of the entry at these components, from the root.
    ///
    /// # Errors
    /// Any [`InvalidKey`] but [`InvalidKey::Separators`].
    pub fn from_components<'a>(components: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, InvalidKey> {
        let (mut key, mut name): (Vec<u8>, Option<&[u8]>) = (Vec::new(), None);
        for component in components {
            check_component(component)?;
            if let Some(parent) = name.replace(component) {
                key.extend_from_slice(parent);
                key.push(0);
            }
            if key.len() + component.len() >= PATH_BYTES_MAX {
                return Err(InvalidKey::TooLong);
            }
        }
        key.push(0);
        key.extend_from_slice(name.ok_or(InvalidKey::Empty)?);
        Ok(Self(key))
    }

    /// The key of a path whose components are separated by slashes; one leading slash is tolerated.
    ///
    /// # Errors
    /// As [`Self::from_components`]; doubled and trailing slashes are errors.
    pub fn from_path(path: &[u8]) -> Result<Self, InvalidKey> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        if path.is_empty() { Err(InvalidKey::Empty) } else { Self::from_components(path.split(|byte| *byte == b'/')) }
    }

    /// Takes stored key bytes.
    ///
    /// # Errors
    /// Any [`InvalidKey`].
    pub fn from_encoded(bytes: &[u8]) -> Result<Self, InvalidKey> {
        check_encoded(bytes)?;
        Ok(Self(bytes.to_vec()))
    }

    /// The stored bytes, in whose order a tree is sorted.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        &self.0[self.name_at()..]
    }

    /// The components from the root, the name last.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        let (parents, name) = self.0.split_at(self.name_at());
        let parents = parents.split(|byte| *byte == 0).filter(|component| !component.is_empty());
        parents.chain(std::iter::once(name))
    }

    /// The path with slashes between its components, no leading slash.
    pub fn path(&self) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.0.len());
        for component in self.components() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        path
    }

    /// The directory that holds it; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let parents = self.0[..self.name_at()].strip_suffix(&[0, 0])?;
        let name_at = parents.iter().rposition(|byte| *byte == 0).map_or(0, |at| at + 1);
        let mut key = Vec::with_capacity(parents.len() + 1);
        key.extend_from_slice(&parents[..name_at]);
        key.push(0);
        key.extend_from_slice(&parents[name_at..]);
        Some(Self(key))
    }

    /// The key of the entry `name` in the directory that this key names.
    ///
    /// # Errors
    /// [`InvalidKey::Component`] or [`InvalidKey::TooLong`].
    pub fn child(&self, name: &[u8]) -> Result<Self, InvalidKey> {
        check_component(name)?;
        let mut key = self.prefix();
        if key.len() + name.len() >= PATH_BYTES_MAX {
            return Err(InvalidKey::TooLong);
        }
        key.push(0);
        key.extend_from_slice(name);
        Ok(Self(key))
    }

    /// What every key below this directory starts with.
    fn prefix(&self) -> Vec<u8> {
        let name_at = self.name_at();
        let mut prefix = Vec::with_capacity(self.0.len() + 8);
        prefix.extend_from_slice(&self.0[..name_at - 1]);
        prefix.extend_from_slice(&self.0[name_at..]);
        prefix.push(0);
        prefix
    }

    fn name_at(&self) -> usize {
        self.0.iter().rposition(|byte| *byte == 0).expect("a key has one NUL at least") + 1
    }
}

/// Refuses what cannot be one name in a path.
///
/// # Errors
/// [`InvalidKey::Component`].
pub fn check_component(component: &[u8]) -> Result<(), InvalidKey> {
    let special = component.is_empty() || component == b"." || component == b"..";
    if special || component.len() > NAME_BYTES_MAX || component.iter().any(|byte| *byte == 0 || *byte == b'/') {
        Err(InvalidKey::Component)
    } else {
        Ok(())
    }
}

/// Checks stored key bytes and gives the position of the name.
///
/// # Errors
/// Any [`InvalidKey`].
pub(crate) fn check_encoded(key: &[u8]) -> Result<usize, InvalidKey> {
    if key.len() > PATH_BYTES_MAX {
        return Err(InvalidKey::TooLong);
    }
    let mut at = 0;
    loop {
        match key.get(at) {
            None => return Err(InvalidKey::Separators),
            Some(0) => {
                check_component(&key[at + 1..])?;
                return Ok(at + 1);
            }
            Some(_) => {
                let length = key[at..].iter().position(|byte| *byte == 0).ok_or(InvalidKey::Separators)?;
                check_component(&key[at..at + length])?;
                at += length + 1;
            }
        }
    }
}

/// Keys from `from` (included) to `to` (excluded; `None` is the end of the tree).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First bytes that are inside.
    pub from: Vec<u8>,
    /// First bytes that are not.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// The whole tree.
    pub const fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// The entries that are directly in `directory` (`None` is the root of the tree).
    pub fn directory(directory: Option<&EntryKey>) -> Self {
        let mut from = directory.map_or(Vec::new(), EntryKey::prefix);
        let mut to = from.clone();
        from.push(0);
        to.push(1);
        Self { from, to: Some(to) }
    }

    /// Everything below `directory`, at any depth, without the directory itself.
    pub fn below(directory: &EntryKey) -> Self {
        let from = directory.prefix();
        let mut to = from.clone();
        to.pop();
        to.push(1);
        Self { from, to: Some(to) }
    }

    /// True if `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && !self.is_before(key)
    }

    /// True if the range ends before `key`.
    pub fn is_before(&self, key: &[u8]) -> bool {
        self.to.as_deref().is_some_and(|to| to <= key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    fn key(path: &str) -> EntryKey {
        EntryKey::from_path(path.as_bytes()).unwrap()
    }

    fn components() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let name = prop::collection::vec(prop::sample::select(vec![1u8, b'-', b'.', b'a', 0xe9, 0xff]), 1..4);
        prop::collection::vec(name.prop_filter("a name", |name| check_component(name).is_ok()), 1..5)
    }

    fn from(components: &[Vec<u8>]) -> EntryKey {
        EntryKey::from_components(components.iter().map(Vec::as_slice)).unwrap()
    }

    proptest! {
        #[test]
        fn order_is_parent_components_then_name(a in components(), b in components()) {
            let split = |c: &[Vec<u8>]| (c[..c.len() - 1].to_vec(), c[c.len() - 1].clone());
            prop_assert_eq!(from(&a).cmp(&from(&b)), split(&a).cmp(&split(&b)));
        }

        #[test]
        fn keys_take_apart_into_what_they_were_made_of(a in components(), name in "[a-z]{1,3}") {
            let key = from(&a);
            prop_assert_eq!(key.components().map(<[u8]>::to_vec).collect::<Vec<_>>(), a.clone());
            prop_assert_eq!(EntryKey::from_path(&key.path()).unwrap(), key.clone());
            prop_assert_eq!(EntryKey::from_encoded(key.as_bytes()).unwrap(), key.clone());
            let child = key.child(name.as_bytes()).unwrap();
            prop_assert_eq!(child.parent(), Some(key.clone()));
            prop_assert_eq!(key.parent(), (a.len() > 1).then(|| from(&a[..a.len() - 1])));
            prop_assert_eq!(child.name(), name.as_bytes());
        }

        #[test]
        fn ranges_hold_a_directory_or_a_subtree_and_nothing_else(a in components(), b in components()) {
            let (directory, key) = (from(&a), from(&b));
            let below = b.len() > a.len() && b.starts_with(&a);
            prop_assert_eq!(KeyRange::below(&directory).contains(key.as_bytes()), below);
            prop_assert_eq!(KeyRange::directory(Some(&directory)).contains(key.as_bytes()), below && b.len() == a.len() + 1);
            prop_assert_eq!(KeyRange::directory(None).contains(key.as_bytes()), b.len() == 1);
            prop_assert!(KeyRange::all().contains(key.as_bytes()));
        }

        #[test]
        fn stored_bytes_that_are_accepted_are_a_key(bytes in prop::collection::vec(prop::sample::select(vec![0u8, 0, b'/', b'.', b'a']), 0..9), noise in prop::collection::vec(any::<u8>(), 0..9)) {
            for bytes in [bytes, noise] {
                if let Ok(key) = EntryKey::from_encoded(&bytes) {
                    prop_assert_eq!(EntryKey::from_components(key.components()).unwrap(), key);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_path_inside_a_snapshot_is_refused() {
        for bad in ["", "/", "a//b", "a/", "../a", "a/./b", "a/..", "a\0b"] {
            assert!(EntryKey::from_path(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(EntryKey::from_path(&[b'a'; NAME_BYTES_MAX + 1]), Err(InvalidKey::Component));
        let deep = [&b"a/".repeat(PATH_BYTES_MAX / 2)[..], b"a"].concat();
        assert_eq!(EntryKey::from_path(&deep), Err(InvalidKey::TooLong));
        assert!(key("a").child(b"b/c").is_err());
        assert_eq!(key("/srv/a"), key("srv/a"));
        assert_eq!(key("srv/a").as_bytes(), b"srv\0\0a");
    }
}
