//! From good inputs to bad ones.

use proptest::{collection::vec, prelude::*, sample::Index};

/// Longest input that mutations make, in bytes.
const LENGTH_MAX: usize = 64 * 1024;
/// Deepest nesting that one mutation makes.
const NESTING_MAX: usize = 20_000;

/// What gives the syntaxes here their meaning.
const TOKENS: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "'",
    "\n",
    "\n- ",
    " ",
    "\t",
    "\0",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!!int ",
    "---\n",
    "? ",
    "| ",
    "%",
    "%2F",
    "%00",
    "%zz",
    "/",
    "..",
    "//",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "=",
    "!=",
    " in (",
    ")",
    "\\ud800",
    "\u{feff}",
    "é",
    ";q=0.5",
    "\"metadata\":",
    "\"f:\":{}",
];
const NESTINGS: [&str; 6] = ["[", "{\"a\":", "{\"f:a\":", "- ", "(", "a:\n "];

#[derive(Clone, Debug)]
enum Mutation {
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Insert(Index, usize),
    Byte(Index, u8),
    /// A part of another good input.
    Splice(Index, usize, Index, Index),
    /// Opens the same again and again.
    Nest(Index, usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        (at(), at(), 2..20_usize).prop_map(|(from, to, n)| Mutation::Repeat(from, to, n)),
        (at(), 0..TOKENS.len()).prop_map(|(at, token)| Mutation::Insert(at, token)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        (at(), any::<usize>(), at(), at()).prop_map(|(i, n, a, b)| Mutation::Splice(i, n, a, b)),
        (at(), 0..NESTINGS.len(), 1..NESTING_MAX).prop_map(|(at, n, l)| Mutation::Nest(at, n, l)),
    ]
}

/// Inputs made of seeds by a few mutations.
pub(super) fn inputs(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (0..seeds.len(), vec(mutation(), 0..8)).prop_map(move |(seed, mutations)| {
        let mut bytes = seeds[seed].as_bytes().to_vec();
        for mutation in &mutations {
            mutation.apply(&mut bytes, seeds);
            bytes.truncate(LENGTH_MAX);
        }
        bytes
    })
}

/// A part of some bytes, in whichever order its ends come.
fn part(length: usize, one: Index, other: Index) -> std::ops::Range<usize> {
    let (one, other) = (one.index(length + 1), other.index(length + 1));
    one.min(other)..one.max(other)
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[&str]) {
        let length = bytes.len();
        let insert = |bytes: &mut Vec<u8>, at: &Index, new: &[u8]| {
            let at = at.index(length + 1);
            bytes.splice(at..at, new.iter().copied());
        };
        match self {
            Self::Remove(from, to) => {
                bytes.drain(part(length, *from, *to));
            }
            Self::Repeat(from, to, times) => {
                let part = part(length, *from, *to);
                let repeated = bytes[part.clone()].repeat(*times);
                bytes.splice(part, repeated);
            }
            Self::Insert(at, token) => insert(bytes, at, TOKENS[*token].as_bytes()),
            Self::Byte(at, byte) => insert(bytes, at, &[*byte]),
            Self::Splice(at, seed, from, to) => {
                let seed = seeds[seed % seeds.len()].as_bytes();
                insert(bytes, at, &seed[part(seed.len(), *from, *to)]);
            }
            Self::Nest(at, nesting, levels) => {
                insert(bytes, at, NESTINGS[*nesting].repeat(*levels).as_bytes());
            }
        }
    }
}
