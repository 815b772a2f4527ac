//! Regular expressions in Go's syntax (RE2), run by the `regex` crate.
//!
//! The two agree on almost everything; [`translate`] rewrites the rest: perl classes are ASCII in
//! Go, `\<` is a character there, `\Q…\E`, octal numbers and a lone `{` exist only there, and sets
//! in brackets exist only here. Deviation: what only the crate understands, such as the property
//! `\p{Alphabetic}` or a repetition of a repetition, is accepted.

use regex::{Regex, RegexBuilder};

/// Memory that one compiled pattern may take: a large one of the usual kind takes a tenth of it.
const SIZE_MAX: usize = 1 << 20;
/// Most repetitions of a part, as in RE2.
const REPETITIONS_MAX: u32 = 1000;

/// A pattern with the text that it was compiled from.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern; the error is the compiler's, in one line.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(&translate(source)?)
            .size_limit(SIZE_MAX)
            .build()
            .map_err(|error| last_line(&error.to_string()))?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The two groups of every match, for a pattern that has two.
    pub(crate) fn captures<'a>(&self, text: &'a str) -> impl Iterator<Item = [&'a str; 2]> {
        self.regex
            .captures_iter(text)
            .map(|found| found.extract().1)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn translate(source: &str) -> Result<String, String> {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => escape(&mut out, tail, Place::Outside)?,
            '[' => class(&mut out, tail)?,
            '{' => repetition(&mut out, tail)?,
            '(' => group(&mut out, tail)?,
            c => {
                out.push(c);
                tail
            }
        };
    }
    Ok(out)
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Outside,
    InClass,
}

/// What stands after a backslash; gives what is left.
fn escape<'a>(out: &mut String, rest: &'a str, place: Place) -> Result<&'a str, String> {
    let Some(c) = rest.chars().next() else {
        return Err("trailing backslash at end of expression: ``".to_owned());
    };
    let tail = &rest[c.len_utf8()..];
    let in_class = place == Place::InClass;
    let perl = match c {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some("\\t\\n\\f\\r "),
        'D' => Some("^0-9"),
        'W' => Some("^0-9A-Za-z_"),
        'S' => Some("^\\t\\n\\f\\r "),
        _ => None,
    };
    if let Some(set) = perl {
        if in_class && !set.starts_with('^') {
            out.push_str(set);
        } else {
            out.extend(["[", set, "]"]);
        }
        return Ok(tail);
    }
    match c {
        'Q' if !in_class => {
            let (literal, left) = tail.split_once("\\E").unwrap_or((tail, ""));
            out.push_str(&regex::escape(literal));
            return Ok(left);
        }
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        '0'..='7' => {
            let octal = |b: &u8| (b'0'..=b'7').contains(b);
            let length = rest.bytes().take(3).take_while(octal).count();
            let (digits, left) = rest.split_at(length);
            if c != '0' && length == 1 {
                return Err(format!("invalid escape sequence: `\\{c}`"));
            }
            let code = u32::from_str_radix(digits, 8).map_err(|e| e.to_string())?;
            let code = char::from_u32(code).unwrap_or_default();
            out.push_str(&regex::escape(&code.to_string()));
            return Ok(left);
        }
        'p' | 'P' if tail.starts_with("{^") => {
            out.push_str(if c == 'p' { "\\P{" } else { "\\p{" });
            return Ok(&tail[2..]);
        }
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => out.extend(['\\', c]),
        'A' | 'z' if !in_class => out.extend(['\\', c]),
        c if c.is_ascii_punctuation() => out.push_str(&regex::escape(&c.to_string())),
        c => return Err(format!("invalid escape sequence: `\\{c}`")),
    }
    Ok(tail)
}

/// A bracket expression after its `[`; gives what is left.
fn class<'a>(out: &mut String, rest: &'a str) -> Result<&'a str, String> {
    out.push('[');
    let mut rest = rest;
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        let is_first = std::mem::take(&mut first);
        rest = match c {
            ']' if !is_first => {
                out.push(']');
                return Ok(tail);
            }
            '\\' => escape(out, tail, Place::InClass)?,
            '[' => {
                let end = tail.find(":]").filter(|_| tail.starts_with(':'));
                let (named, left) = tail.split_at(end.map_or(0, |end| end + 2));
                out.extend([if named.is_empty() { "\\[" } else { "[" }, named]);
                left
            }
            ']' | '&' | '~' | '^' => {
                out.extend(['\\', c]);
                tail
            }
            c => {
                out.push(c);
                tail
            }
        };
    }
    Err("missing closing ]".to_owned())
}

/// `{2,5}` after its brace; anything else is the character itself.
fn repetition<'a>(out: &mut String, rest: &'a str) -> Result<&'a str, String> {
    let bounds = rest.split_once('}').filter(|(inner, _)| {
        let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        !low.is_empty() && digits(low) && digits(high)
    });
    let Some((inner, tail)) = bounds else {
        out.push_str("\\{");
        return Ok(rest);
    };
    for bound in inner.split(',').filter(|b| !b.is_empty()) {
        if bound.parse::<u32>().is_ok_and(|n| n <= REPETITIONS_MAX) {
            continue;
        }
        return Err(format!("invalid repeat count: `{{{inner}}}`"));
    }
    out.extend(["{", inner, "}"]);
    Ok(tail)
}

/// A group after its parenthesis: only the flags that Go has.
fn group<'a>(out: &mut String, rest: &'a str) -> Result<&'a str, String> {
    out.push('(');
    let Some(tail) = rest.strip_prefix('?') else {
        return Ok(rest);
    };
    out.push('?');
    let flags = tail.split([':', ')']).next().unwrap_or_default();
    let named = flags.starts_with('<') || flags.starts_with("P<");
    if !named && !flags.chars().all(|c| "imsU-".contains(c)) {
        return Err(format!("invalid or unsupported Perl syntax: `(?{flags}`"));
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::unanchored("b+", "abc", true)]
    #[case::perl_classes_are_ascii(r"^\d$", "٣", false)]
    #[case::and_in_brackets(r"^[\d_\s]+$", "1_ 2", true)]
    #[case::negated_in_brackets(r"^[\Da]$", "x", true)]
    #[case::word_boundary(r"\bfoo\b", "a foo b", true)]
    #[case::less_than_is_a_character(r"^\<a\>$", "<a>", true)]
    #[case::lone_brace("^a{,3}$", "a{,3}", true)]
    #[case::quoted(r"^\Qa.b\E$", "a.b", true)]
    #[case::quoted_is_no_pattern(r"^\Qa.b\E$", "axb", false)]
    #[case::octal(r"^\101$", "A", true)]
    #[case::no_set_operations("^[a&&b]+$", "&a&b", true)]
    #[case::open_bracket_in_brackets("^[[a]+$", "[a", true)]
    #[case::posix("^[[:alpha:]_]+$", "ab_", true)]
    #[case::case_insensitive("(?i)^ab$", "AB", true)]
    #[case::not_a_property(r"^\p{^L}$", "1", true)]
    #[case::end_is_the_very_end("a$", "a\n", false)]
    fn patterns_match_as_in_go(#[case] pattern: &str, #[case] text: &str, #[case] matches: bool) {
        assert_eq!(Pattern::compile(pattern).unwrap().is_match(text), matches);
    }

    #[rstest]
    #[case("(")]
    #[case("[a")]
    #[case("(?=a)")]
    #[case("(?x)a")]
    #[case(r"\1")]
    #[case(r"\Z")]
    #[case("a{1001}")]
    #[case("\\")]
    #[case("*a")]
    fn what_go_does_not_compile_is_refused(#[case] pattern: &str) {
        assert!(Pattern::compile(pattern).is_err(), "{pattern}");
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "\\PC{0,20}", text in "\\PC{0,8}") {
            if let Ok(pattern) = Pattern::compile(&pattern) {
                pattern.is_match(&text);
            }
        }

        #[test]
        fn no_pattern_of_special_characters_panics(pattern in r"[\\\[\]{}()?*+^$a-c0-3:,&~|\-QE<>bdPp]{0,16}") {
            let _ = Pattern::compile(&pattern);
        }
    }
}
