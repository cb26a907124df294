//! The folders of a backup set as one tree of path components, so that the walk emits each ancestor once and in order.
//!
//! It does not read the file system.

use std::collections::BTreeMap;

/// Components that lead to the selected paths.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathTree {
    /// True if everything below is selected.
    pub selected: bool,
    /// Components on the way to what is selected further down; empty if `selected`.
    pub children: BTreeMap<Vec<u8>, PathTree>,
}

impl PathTree {
    /// The tree of some paths given as component lists. A path below another selected path adds nothing.
    pub fn new<'a>(paths: impl IntoIterator<Item = Vec<&'a [u8]>>) -> Self {
        let mut root = Self::default();
        for components in paths {
            root.select(&components);
        }
        root
    }

    /// The selected paths, each as its components, in order.
    pub fn paths(&self) -> Vec<Vec<Vec<u8>>> {
        if self.selected {
            return vec![Vec::new()];
        }
        let mut paths = Vec::new();
        for (name, child) in &self.children {
            paths.extend(child.paths().into_iter().map(|mut path| {
                path.insert(0, name.clone());
                path
            }));
        }
        paths
    }

    fn select(&mut self, components: &[&[u8]]) {
        match components {
            _ if self.selected => {}
            [] => {
                self.selected = true;
                self.children.clear();
            }
            [first, rest @ ..] => self.children.entry(first.to_vec()).or_default().select(rest),
        }
    }
}

/// The components of an absolute or relative path, without empty ones and `.`.
pub fn components(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_selected_one_adds_nothing_in_either_order() {
        let one = PathTree::new([components(b"/srv/a"), components(b"/srv/a/b"), components(b"/home")]);
        let two = PathTree::new([components(b"/home/"), components(b"/srv/a/b"), components(b"//srv/./a")]);
        assert_eq!(one, two);
        assert!(one.children[&b"srv"[..]].children[&b"a"[..]].selected);
        assert!(!one.children[&b"srv"[..]].selected);
        assert!(PathTree::new([components(b"/"), components(b"/x")]).children.is_empty());
        assert_eq!(one.paths(), [vec![b"home".to_vec()], vec![b"srv".to_vec(), b"a".to_vec()]]);
    }
}
