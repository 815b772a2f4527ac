//! The paths that an object loses when nobody owns them any more.

use super::schema::{Atom, ObjectType};
use crate::fieldpath::{PathElement, Set};

/// What is left may have other paths than now: an item of a list loses a part of its name, or a
/// field keeps nothing but empty lists, which have no path.
#[derive(Debug)]
pub(crate) struct PathsChange;

impl ObjectType {
    /// Those of the `last` paths that go with a path that nobody owns now: `fields` are the paths of
    /// the object, with its named fields.
    pub(crate) fn gone(
        &self,
        fields: &Set,
        owned: &[&Set],
        last: &Set,
    ) -> Result<Set, PathsChange> {
        let level = Level {
            atom: self.atom(),
            fields,
            owned,
            last: Some(last),
            is_below_last: false,
            is_below_removed: false,
        };
        level.outcome().map(|outcome| outcome.gone)
    }
}

/// What becomes of the paths below one path.
#[derive(Default)]
struct Outcome {
    gone: Set,
    is_anything_left: bool,
}

/// The sets below one path.
struct Level<'a> {
    atom: &'a Atom,
    fields: &'a Set,
    owned: &'a [&'a Set],
    last: Option<&'a Set>,
    is_below_last: bool,
    /// Whether nobody owns a path above, so that it is removed with all that is below.
    is_below_removed: bool,
}

impl Level<'_> {
    fn outcome(&self) -> Result<Outcome, PathsChange> {
        let mut outcome = Outcome::default();
        for element in self.fields.members() {
            let is_removed = self.is_below_removed || self.removes(element);
            outcome.is_anything_left |= !is_removed;
            if is_removed && self.is_last(element) {
                outcome.gone.insert_member(element.clone());
            }
        }
        for (element, fields) in self.fields.children() {
            let last = self.last.and_then(|last| last.with_prefix(element));
            let is_below_last = self.is_below_last || self.is_last(element);
            if last.is_none() && (!is_below_last || self.is_below_removed) {
                outcome.is_anything_left |= !self.is_below_removed;
                continue;
            }
            let owned = self.owned.iter();
            let owned: Vec<&Set> = owned.filter_map(|set| set.with_prefix(element)).collect();
            let level = Level {
                atom: self.atom.below(element),
                fields,
                owned: &owned,
                last,
                is_below_last,
                is_below_removed: self.is_below_removed || self.removes(element),
            };
            let below = level.outcome()?;
            if !level.is_below_removed && (!below.is_anything_left || level.renames(element)) {
                return Err(PathsChange);
            }
            outcome.is_anything_left |= below.is_anything_left;
            outcome.gone.insert_child(element.clone(), below.gone);
        }
        Ok(outcome)
    }

    fn is_last(&self, element: &PathElement) -> bool {
        self.last.is_some_and(|last| self.is_in(last, element))
    }

    /// Whether this part of the object goes with the last set, and nobody owns it.
    fn removes(&self, element: &PathElement) -> bool {
        (self.is_below_last || self.is_last(element))
            && !self.owned.iter().any(|owned| self.is_in(owned, element))
    }

    /// Named fields are members of a set that has something below them.
    fn is_in(&self, set: &Set, element: &PathElement) -> bool {
        set.has_member(element) || self.atom.names(element) && set.with_prefix(element).is_some()
    }

    /// Whether the item loses one of the members that tell it apart.
    fn renames(&self, item: &PathElement) -> bool {
        let PathElement::Key(keys) = item else {
            return false;
        };
        let goes =
            |name: &str| self.fields.has_field(name) && self.removes(&PathElement::field(name));
        keys.iter().any(|(name, _)| goes(name))
    }
}
