//! Whether the file can be used.

use std::path::Path;

use parking_lot::Mutex;

use super::error::{is_damage, is_full, sentence};

/// What is wrong with the file, if anything.
#[derive(Debug, Default)]
pub(super) struct Condition(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Good,
    /// It takes no writes for want of space; what is there is served.
    Full,
    /// It may be used again.
    Failing(String),
    /// Until somebody has put it right and the process starts anew.
    Lost(String),
}

impl Condition {
    pub(super) fn get(&self) -> Result<(), String> {
        match &*self.0.lock() {
            State::Good | State::Full => Ok(()),
            State::Failing(sentence) | State::Lost(sentence) => Err(sentence.clone()),
        }
    }

    /// Why nothing may be written any more: it could make things worse.
    pub(super) fn lost(&self) -> Option<String> {
        match &*self.0.lock() {
            State::Lost(sentence) => Some(sentence.clone()),
            _ => None,
        }
    }

    /// Whether trying again can show that it is well.
    pub(super) fn is_failing(&self) -> bool {
        matches!(*self.0.lock(), State::Failing(_))
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(*self.0.lock(), State::Full)
    }

    pub(super) fn succeeded(&self, path: &Path) {
        let mut state = self.0.lock();
        if matches!(*state, State::Full | State::Failing(_)) {
            tracing::info!(path = %path.display(), "the file can be used again");
            *state = State::Good;
        }
    }

    /// Said in the log when it is new.
    pub(super) fn failed(&self, path: &Path, error: &rusqlite::Error) {
        let sentence = sentence(path, error);
        let mut state = self.0.lock();
        let (is_new, next) = match &*state {
            State::Lost(_) => return,
            _ if is_damage(error) => (true, State::Lost(sentence.clone())),
            State::Full if is_full(error) => return,
            _ if is_full(error) => (true, State::Full),
            State::Failing(known) => (*known != sentence, State::Failing(sentence.clone())),
            _ => (true, State::Failing(sentence.clone())),
        };
        *state = next;
        if is_new {
            tracing::error!("{sentence}");
        }
    }

    /// The file is not the one that this process has written.
    pub(super) fn lose(&self, sentence: &str) {
        let mut state = self.0.lock();
        if !matches!(*state, State::Lost(_)) {
            tracing::error!("{sentence}");
            *state = State::Lost(sentence.to_owned());
        }
    }
}
