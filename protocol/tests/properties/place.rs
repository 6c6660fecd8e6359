//! A JSON tree that keeps twin keys, so that a pointer to either of them resolves.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value, of which only the containers matter.
pub(crate) enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Leaf,
}

impl Tree {
    /// Reads a text, where it is JSON.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether a pointer (RFC 6901) names something in it.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        let Some(path) = pointer.strip_prefix('/') else { return pointer.is_empty() };
        let (segment, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        let key = segment.replace("~1", "/").replace("~0", "~");
        match self {
            Self::Object(members) => members.iter().any(|(name, value)| *name == key && value.has(rest)),
            Self::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)).is_some_and(|item| item.has(rest)),
            Self::Leaf => false,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

/// Visits of scalars, which are all leaves.
macro_rules! leaves {
    ($($visit:ident $type:ty),+) => { $(fn $visit<E>(self, _: $type) -> Result<Tree, E> { Ok(Tree::Leaf) })+ };
}

impl<'de> Visitor<'de> for Build {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    leaves!(visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str);

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Tree::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(Tree::Object(all))
    }
}

#[test]
fn a_tree_knows_its_places() {
    let tree = Tree::read(r#"{"a":[1,{"b/c~":null}],"a":{"x":1}}"#).expect("JSON");
    for good in ["", "/a", "/a/0", "/a/1/b~1c~0", "/a/x"] {
        assert!(tree.has(good), "{good}");
    }
    for bad in ["a", "/b", "/a/2", "/a/1/b", "/a/0/0", "/a/"] {
        assert!(!tree.has(bad), "{bad}");
    }
}
