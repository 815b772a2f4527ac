//! Sets of paths as a sorted tree.

use std::cmp::Ordering;

use super::PathElement;

/// A set of paths: the members of this level, and the sets below it. The root is no member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    members: Vec<PathElement>,
    /// Never with an empty set.
    children: Vec<(PathElement, Self)>,
}

impl Set {
    /// The set of these paths.
    pub fn from_paths<'a>(paths: impl IntoIterator<Item = &'a [PathElement]>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(path);
        }
        set
    }

    /// The set of these paths of field names.
    pub fn from_field_paths(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|n| PathElement::field(n)).collect();
            set.insert(&path);
        }
        set
    }

    /// The paths of one element.
    pub fn members(&self) -> &[PathElement] {
        &self.members
    }

    /// The sets below an element, in order.
    pub fn children(&self) -> impl Iterator<Item = (&PathElement, &Self)> {
        self.children
            .iter()
            .map(|(element, child)| (element, child))
    }

    /// The sets below an element, to add to.
    pub(crate) fn children_mut(&mut self) -> impl Iterator<Item = (&PathElement, &mut Self)> {
        let children = self.children.iter_mut();
        children.map(|(element, child)| (&*element, child))
    }

    /// Adds a path; the empty one is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => self.insert_member(last.clone()),
            [first, rest @ ..] => {
                let at = match search_child(&self.children, first) {
                    Ok(at) => at,
                    Err(at) => {
                        self.children.insert(at, (first.clone(), Self::default()));
                        at
                    }
                };
                if let Some((_, child)) = self.children.get_mut(at) {
                    child.insert(rest);
                }
            }
        }
    }

    /// Adds a path of one element.
    pub(crate) fn insert_member(&mut self, element: PathElement) {
        if self.members.last().is_none_or(|last| *last < element) {
            self.members.push(element);
        } else if let Err(at) = self.members.binary_search(&element) {
            self.members.insert(at, element);
        }
    }

    /// Adds a set below an element; an empty one is ignored.
    pub(crate) fn insert_child(&mut self, element: PathElement, child: Self) {
        if child.is_empty() {
            return;
        }
        if self.children.last().is_none_or(|(last, _)| *last < element) {
            self.children.push((element, child));
            return;
        }
        match search_child(&self.children, &element) {
            Ok(at) => {
                if let Some((_, old)) = self.children.get_mut(at) {
                    *old = old.union(&child);
                }
            }
            Err(at) => self.children.insert(at, (element, child)),
        }
    }

    /// Whether the path is in the set; the empty one never is.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.with_prefix(first).is_some_and(|c| c.has(rest)),
        }
    }

    /// Whether the path of this one element is in the set.
    pub(crate) fn has_member(&self, element: &PathElement) -> bool {
        self.members.binary_search(element).is_ok()
    }

    /// Whether the path of this one field is in the set.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.members.binary_search_by(|m| m.cmp_field(name)).is_ok()
    }

    /// The paths below an element.
    pub fn with_prefix(&self, element: &PathElement) -> Option<&Self> {
        let at = search_child(&self.children, element).ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    /// The paths below a field.
    pub(crate) fn with_field_prefix(&self, name: &str) -> Option<&Self> {
        let at = self
            .children
            .binary_search_by(|(element, _)| element.cmp_field(name))
            .ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Calls `f` with every path: at each level first the members, then what is below.
    pub fn for_each(&self, f: &mut dyn FnMut(&[PathElement])) {
        self.for_each_below(&mut Vec::new(), f);
    }

    fn for_each_below(&self, prefix: &mut Vec<PathElement>, f: &mut dyn FnMut(&[PathElement])) {
        for member in &self.members {
            prefix.push(member.clone());
            f(prefix);
            prefix.pop();
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.for_each_below(prefix, f);
            prefix.pop();
        }
    }

    /// The paths of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut members = Vec::with_capacity(self.members.len() + other.members.len());
        zip(&self.members, &other.members, Ord::cmp, |l, r| {
            members.extend(l.or(r).cloned());
        });
        let mut children = Vec::with_capacity(self.children.len() + other.children.len());
        zip(
            &self.children,
            &other.children,
            cmp_children,
            |l, r| match (l, r) {
                (Some((element, l)), Some((_, r))) => children.push((element.clone(), l.union(r))),
                (one, other) => children.extend(one.or(other).cloned()),
            },
        );
        Self { members, children }
    }

    /// The paths of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut set = Self::default();
        zip(&self.members, &other.members, Ord::cmp, |l, r| {
            if let (Some(l), Some(_)) = (l, r) {
                set.members.push(l.clone());
            }
        });
        zip(&self.children, &other.children, cmp_children, |l, r| {
            if let (Some((element, l)), Some((_, r))) = (l, r) {
                set.push_child(element, l.intersection(r));
            }
        });
        set
    }

    /// The paths of this set that the other has not.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut set = self.members_without(other);
        zip(
            &self.children,
            &other.children,
            cmp_children,
            |l, r| match (l, r) {
                (Some((element, l)), Some((_, r))) => set.push_child(element, l.difference(r)),
                (Some(l), None) => set.children.push(l.clone()),
                (None, _) => {}
            },
        );
        set
    }

    /// The paths of this set that the other has not and that are not below one that it has.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let mut set = self.members_without(other);
        zip(&self.children, &other.children, cmp_children, |l, r| {
            let Some((element, l)) = l else { return };
            if other.has_member(element) {
                return;
            }
            match r {
                Some((_, r)) => set.push_child(element, l.recursive_difference(r)),
                None => set.children.push((element.clone(), l.clone())),
            }
        });
        set
    }

    /// Removes the paths of the other set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        if !other.members.is_empty() {
            self.members.retain(|m| !other.has_member(m));
        }
        if !other.children.is_empty() {
            self.children.retain_mut(|(element, child)| {
                if let Some(other) = other.with_prefix(element) {
                    child.subtract(other);
                }
                !child.is_empty()
            });
        }
    }

    /// Removes the paths of the other set and those below them.
    pub(crate) fn subtract_recursively(&mut self, other: &Self) {
        if !other.members.is_empty() {
            self.members.retain(|m| !other.has_member(m));
        }
        self.children.retain_mut(|(element, child)| {
            if other.has_member(element) {
                return false;
            }
            if let Some(other) = other.with_prefix(element) {
                child.subtract_recursively(other);
            }
            !child.is_empty()
        });
    }

    /// Whether the other set has every path of this one.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.members.iter().all(|m| other.has_member(m))
            && self.children.iter().all(|(element, child)| {
                other
                    .with_prefix(element)
                    .is_some_and(|other| child.is_subset(other))
            })
    }

    /// The paths that are no beginning of another one.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let is_leaf = |m: &&PathElement| search_child(&self.children, m).is_err();
        Self {
            members: self.members.iter().filter(is_leaf).cloned().collect(),
            children: self
                .children
                .iter()
                .map(|(element, child)| (element.clone(), child.leaves()))
                .collect(),
        }
    }

    fn members_without(&self, other: &Self) -> Self {
        let mut set = Self::default();
        zip(&self.members, &other.members, Ord::cmp, |l, r| {
            if let (Some(l), None) = (l, r) {
                set.members.push(l.clone());
            }
        });
        set
    }

    fn push_child(&mut self, element: &PathElement, child: Self) {
        if !child.is_empty() {
            self.children.push((element.clone(), child));
        }
    }
}

fn search_child(children: &[(PathElement, Set)], element: &PathElement) -> Result<usize, usize> {
    children.binary_search_by(|(own, _)| own.cmp(element))
}

fn cmp_children(l: &(PathElement, Set), r: &(PathElement, Set)) -> Ordering {
    l.0.cmp(&r.0)
}

/// Walks two sorted lists side by side.
fn zip<'a, T>(
    mut lhs: &'a [T],
    mut rhs: &'a [T],
    cmp: impl Fn(&T, &T) -> Ordering,
    mut f: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    loop {
        let order = match (lhs.first(), rhs.first()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(l), Some(r)) => cmp(l, r),
        };
        let l = if order.is_le() {
            pop_front(&mut lhs)
        } else {
            None
        };
        let r = if order.is_ge() {
            pop_front(&mut rhs)
        } else {
            None
        };
        f(l, r);
    }
}

fn pop_front<'a, T>(list: &mut &'a [T]) -> Option<&'a T> {
    let (first, rest) = list.split_first()?;
    *list = rest;
    Some(first)
}
