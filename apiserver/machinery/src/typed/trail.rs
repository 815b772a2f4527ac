//! The way from the root to where a walk stands, kept on the stack and only written out when needed.

use std::fmt;

use super::list::ItemName;
use crate::fieldpath::PathElement;

/// One step of a walk and the steps before it.
#[derive(Clone, Copy)]
pub(super) struct Trail<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Element(&'a PathElement),
    Item(&'a ItemName<'a>),
    Position(usize),
}

impl<'a> Trail<'a> {
    pub(super) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };

    pub(super) fn field(&'a self, name: &'a str) -> Self {
        self.then(Step::Field(name))
    }

    pub(super) fn element(&'a self, element: &'a PathElement) -> Self {
        self.then(Step::Element(element))
    }

    pub(super) fn item(&'a self, name: &'a ItemName<'a>) -> Self {
        self.then(Step::Item(name))
    }

    pub(super) fn position(&'a self, index: usize) -> Self {
        self.then(Step::Position(index))
    }

    fn then(&'a self, step: Step<'a>) -> Self {
        Self {
            parent: Some(self),
            step,
        }
    }

    pub(super) fn to_path(self) -> Vec<PathElement> {
        let mut path = self.parent.map(|p| p.to_path()).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) => path.push(PathElement::field(name)),
            Step::Element(element) => path.push(element.clone()),
            Step::Item(name) => path.push(name.to_element()),
            Step::Position(index) => {
                path.push(PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX)));
            }
        }
        path
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Element(element) => element.fmt(f),
            Step::Item(name) => name.to_element().fmt(f),
            Step::Position(index) => write!(f, "[{index}]"),
        }
    }
}
