//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
//!
//! Mirrors `k8s.io/apimachinery/pkg/labels/selector.go`: requirements are joined by "and"; a
//! negative requirement also matches objects that lack the label. The printed form parses to an
//! equal selector.

use std::{collections::BTreeMap, fmt};

use crate::validation::{label_value_problems, qualified_name_problems};

/// A conjunction of requirements; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements, sorted by key as upstream prints them.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is required of its value.
    pub operator: Operator,
}

/// What is required of a label's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The value is this one (`=` and `==`).
    Equals(String),
    /// The value is another one, or the label is missing.
    NotEquals(String),
    /// The value is one of these.
    In(Vec<String>),
    /// The value is none of these, or the label is missing.
    NotIn(Vec<String>),
    /// The value is an integer greater than this.
    GreaterThan(i64),
    /// The value is an integer less than this.
    LessThan(i64),
}

impl LabelSelector {
    /// Parses a selector; the error is a sentence for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokenize(text),
            position: 0,
        };
        let mut requirements = Vec::new();
        if *parser.peek() != Token::End {
            loop {
                requirements.push(parser.requirement()?);
                match parser.next() {
                    Token::End => break,
                    Token::Comma => {}
                    other => {
                        return Err(format!("found '{other}', expected: ',' or 'end of string'"));
                    }
                }
            }
        }
        requirements.sort();
        Ok(Self { requirements })
    }

    /// Whether these labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements
            .iter()
            .all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
    }

    /// Whether the selector matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let integer = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Equals(want) => value == Some(want),
            Operator::NotEquals(not) => value != Some(not),
            Operator::In(set) => value.is_some_and(|v| set.iter().any(|s| s == v)),
            Operator::NotIn(set) => value.is_none_or(|v| set.iter().all(|s| s != v)),
            Operator::GreaterThan(bound) => integer().is_some_and(|v| v > *bound),
            Operator::LessThan(bound) => integer().is_some_and(|v| v < *bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator } = self;
        match operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals(value) => write!(f, "{key}={value}"),
            Operator::NotEquals(value) => write!(f, "{key}!={value}"),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        })
    }
}

fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_ascii_whitespace() {
            chars.next();
            continue;
        }
        if !is_special(c) {
            let mut word = String::new();
            while let Some(c) = chars.next_if(|&c| !is_special(c) && !c.is_ascii_whitespace()) {
                word.push(c);
            }
            tokens.push(Token::Word(word));
            continue;
        }
        chars.next();
        tokens.push(match c {
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '!' if chars.next_if_eq(&'=').is_some() => Token::NotEquals,
            '!' => Token::Not,
            _ => {
                chars.next_if_eq(&'=');
                Token::Equals
            }
        });
    }
    tokens.push(Token::End);
    tokens
}

fn is_special(c: char) -> bool {
    matches!(c, ',' | '(' | ')' | '!' | '=' | '>' | '<')
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if *self.peek() == Token::Not {
            self.next();
            return Ok(Requirement {
                key: self.key()?,
                operator: Operator::DoesNotExist,
            });
        }
        let key = self.key()?;
        let operator = match self.peek().clone() {
            Token::End | Token::Comma => Operator::Exists,
            Token::Equals => {
                self.next();
                Operator::Equals(self.value()?)
            }
            Token::NotEquals => {
                self.next();
                Operator::NotEquals(self.value()?)
            }
            Token::Greater => {
                self.next();
                Operator::GreaterThan(self.integer()?)
            }
            Token::Less => {
                self.next();
                Operator::LessThan(self.integer()?)
            }
            Token::Word(word) if word == "in" => {
                self.next();
                Operator::In(self.values()?)
            }
            Token::Word(word) if word == "notin" => {
                self.next();
                Operator::NotIn(self.values()?)
            }
            other => {
                return Err(format!(
                    "unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        };
        Ok(Requirement { key, operator })
    }

    fn key(&mut self) -> Result<String, String> {
        let Token::Word(key) = self.next() else {
            let found = &self.tokens[self.position.saturating_sub(1).min(self.tokens.len() - 1)];
            return Err(format!(
                "unable to parse requirement: found '{found}', expected: identifier"
            ));
        };
        match qualified_name_problems(&key).first() {
            Some(problem) => Err(format!(
                "unable to parse requirement: key: Invalid value: {key:?}: {problem}"
            )),
            None => Ok(key),
        }
    }

    /// The value after `=`; a missing one is the empty string.
    fn value(&mut self) -> Result<String, String> {
        match self.peek().clone() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                checked_value(word)
            }
            other => Err(format!(
                "unable to parse requirement: found '{other}', expected: identifier"
            )),
        }
    }

    fn integer(&mut self) -> Result<i64, String> {
        let text = self.value()?;
        text.parse().map_err(|_| {
            format!("unable to parse requirement: {text:?}: for '>' and '<' the value must be an integer")
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Token::Open {
            return Err("unable to parse requirement: found no '(' after in or notin".to_owned());
        }
        let mut values = Vec::new();
        let mut expect_value = true;
        loop {
            match self.next() {
                Token::Word(word) if expect_value => {
                    values.push(checked_value(word)?);
                    expect_value = false;
                }
                Token::Comma => {
                    if expect_value {
                        values.push(String::new());
                    }
                    expect_value = true;
                }
                Token::Close => {
                    if expect_value {
                        values.push(String::new());
                    }
                    break;
                }
                other => {
                    return Err(format!(
                        "unable to parse requirement: found '{other}', expected: ',', or ')'"
                    ));
                }
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn checked_value(value: String) -> Result<String, String> {
    match label_value_problems(&value).first() {
        Some(problem) => Err(format!(
            "unable to parse requirement: values: Invalid value: {value:?}: {problem}"
        )),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    /// L6: every operator.
    #[rstest]
    #[case::empty_matches_all("", &[], true)]
    #[case::equals("a=b", &[("a", "b")], true)]
    #[case::double_equals("a==b", &[("a", "b")], true)]
    #[case::equals_other("a=b", &[("a", "c")], false)]
    #[case::not_equals_missing("a!=b", &[], true)]
    #[case::not_equals("a!=b", &[("a", "b")], false)]
    #[case::exists("a", &[("a", "")], true)]
    #[case::not_exists("!a", &[("a", "")], false)]
    #[case::in_set("a in (x, y)", &[("a", "y")], true)]
    #[case::in_set_missing("a in (x,y)", &[], false)]
    #[case::notin_missing("a notin (x)", &[], true)]
    #[case::greater("a>2", &[("a", "3")], true)]
    #[case::less_not_a_number("a<2", &[("a", "x")], false)]
    #[case::both("a=b,!c", &[("a", "b")], true)]
    #[case::contradiction("a,!a", &[("a", "b")], false)]
    #[case::empty_value("a=", &[("a", "")], true)]
    #[case::prefixed("x.io/a=b", &[("x.io/a", "b")], true)]
    fn matches_as_upstream(
        #[case] selector: &str,
        #[case] on: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let selector = LabelSelector::parse(selector).unwrap();
        assert_eq!(selector.matches(&labels(on)), expected, "{selector}");
    }

    #[rstest]
    #[case("a=b c")]
    #[case("=b")]
    #[case("a in x")]
    #[case("a in (x")]
    #[case("a,,b")]
    #[case("a>b")]
    #[case("a b")]
    #[case("!")]
    #[case("a/b/c")]
    #[case("a=$")]
    fn refuses_what_upstream_refuses(#[case] text: &str) {
        assert!(LabelSelector::parse(text).is_err(), "{text}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = LabelSelector::parse(&text);
        }

        #[test]
        fn the_printed_form_parses_to_an_equal_selector(text in "[ab=!, ()in<>1]{0,24}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
            }
        }
    }
}
