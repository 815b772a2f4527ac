//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
//!
//! Mirrors `k8s.io/apimachinery/pkg/labels/selector.go`: requirements are joined by "and"; a
//! negative requirement also matches objects that lack the label. The printed form parses to an
//! equal selector. Errors are upstream's, to the word.
//!
//! Deviation: `==` is printed as `=`, and the integer of `>` and `<` without leading zeros.

use std::fmt;

use crate::{
    go_format::quote,
    validation::{label_value_problems, qualified_name_problems},
};

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
        loop {
            match parser.peek() {
                Token::Word(_) | Token::Not => {}
                Token::End => break,
                other => {
                    return Err(format!(
                        "found '{other}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
            let requirement = parser.requirement();
            requirements
                .push(requirement.map_err(|e| format!("unable to parse requirement: {e}"))?);
            match parser.next() {
                Token::End => break,
                Token::Comma => match parser.peek() {
                    Token::Word(_) | Token::Not => {}
                    other => {
                        return Err(format!("found '{other}', expected: identifier after ','"));
                    }
                },
                other => {
                    return Err(format!("found '{other}', expected: ',' or 'end of string'"));
                }
            }
        }
        // A stable sort, so that requirements on one key stay in their order.
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Whether labels satisfy every requirement; `label` gives the value of one.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.matches(label(&r.key)))
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
    DoubleEquals,
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
            Self::DoubleEquals => "==",
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
        if is_space(c) {
            chars.next();
            continue;
        }
        if !is_special(c) {
            let mut word = String::new();
            while let Some(c) = chars.next_if(|&c| !is_special(c) && !is_space(c)) {
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
            _ if chars.next_if_eq(&'=').is_some() => Token::DoubleEquals,
            _ => Token::Equals,
        });
    }
    tokens.push(Token::End);
    tokens
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
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
        let negated = *self.peek() == Token::Not;
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{other}', expected: identifier")),
        };
        let problems = qualified_name_problems(&key);
        if !problems.is_empty() {
            let (key, problems) = (quote(&key), problems.join("; "));
            return Err(format!("<nil>: Invalid value: {key}: {problems}"));
        }
        let operator = match self.peek() {
            _ if negated => Operator::DoesNotExist,
            Token::End | Token::Comma => Operator::Exists,
            _ => self.operator(&key)?,
        };
        Ok(Requirement { key, operator })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, String> {
        Ok(match self.next() {
            Token::Equals | Token::DoubleEquals => Operator::Equals(self.value(key)?),
            Token::NotEquals => Operator::NotEquals(self.value(key)?),
            Token::Greater => Operator::GreaterThan(self.integer(key)?),
            Token::Less => Operator::LessThan(self.integer(key)?),
            Token::Word(word) if word == "in" => Operator::In(self.values(key)?),
            Token::Word(word) if word == "notin" => Operator::NotIn(self.values(key)?),
            other => {
                return Err(format!(
                    "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        })
    }

    /// The text after an operator; a missing one is empty.
    fn text(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            _ => match self.next() {
                Token::Word(word) => Ok(word),
                other => Err(format!("found '{other}', expected: identifier")),
            },
        }
    }

    fn value(&mut self, key: &str) -> Result<String, String> {
        let value = self.text()?;
        check_values(key, std::slice::from_ref(&value), Vec::new())?;
        Ok(value)
    }

    fn integer(&mut self, key: &str) -> Result<i64, String> {
        let text = self.text()?;
        let integer = text.parse::<i64>();
        let problems = match integer {
            Ok(_) => Vec::new(),
            Err(_) => vec![format!(
                "values[0]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                quote(&text)
            )],
        };
        check_values(key, &[text], problems)?;
        integer.map_err(|e| e.to_string())
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Open => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        let first = self.peek().clone();
        let mut values = match &first {
            Token::Word(_) | Token::Comma => self.list()?,
            Token::Close => vec![String::new()],
            other => {
                return Err(format!("found '{other}', expected: ',', ')' or identifier"));
            }
        };
        if self.next() != Token::Close {
            return Err(format!("found '{first}', expected: ')'"));
        }
        values.sort();
        values.dedup();
        check_values(key, &values, Vec::new())?;
        Ok(values)
    }

    /// Values up to the closing parenthesis. Nothing between two commas is the empty value.
    fn list(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.peek() {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        other => return Err(format!("found '{other}', expected: ',' or ')'")),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek() {
                        Token::Close => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Comma => values.push(String::new()),
                        _ => {}
                    }
                }
                other => return Err(format!("found '{other}', expected: ',', or identifier")),
            }
        }
    }
}

/// Checks the values of a requirement; `problems` are known already.
fn check_values(key: &str, values: &[String], mut problems: Vec<String>) -> Result<(), String> {
    for (i, value) in values.iter().enumerate() {
        let found = label_value_problems(value);
        if !found.is_empty() {
            let (value, found) = (quote(value), found.join("; "));
            problems.push(format!(
                "values[{i}][{key}]: Invalid value: {value}: {found}"
            ));
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
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
        let on = labels(on);
        let matches = selector.matches(|key| on.get(key).map(String::as_str));
        assert_eq!(matches, expected, "{selector}");
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

    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        error: Option<String>,
        printed: Option<String>,
        matches: Option<bool>,
    }

    /// L6: what Kubernetes 1.36 says about the same selectors, on the labels a=b, n=5 and e with no
    /// value.
    #[test]
    fn selectors_are_read_printed_and_refused_as_upstream() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../testdata/label_selectors.json")).unwrap();
        let labels = labels(&[("a", "b"), ("n", "5"), ("e", "")]);
        for case in cases {
            match LabelSelector::parse(&case.text) {
                Err(error) => assert_eq!(Some(error), case.error, "{:?}", case.text),
                Ok(selector) => {
                    assert_eq!(case.error, None, "{:?}", case.text);
                    let printed = case.printed.map(|p| p.replace("==", "="));
                    assert_eq!(Some(selector.to_string()), printed, "{:?}", case.text);
                    assert_eq!(
                        Some(selector.matches(|key| labels.get(key).map(String::as_str))),
                        case.matches,
                        "{:?}",
                        case.text
                    );
                }
            }
        }
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let value = || {
            prop_oneof![
                Just(String::new()),
                "[a-z0-9]([-A-Za-z0-9_.]{0,8}[a-z0-9])?"
            ]
        };
        let set = || {
            prop::collection::btree_set(value(), 1..4)
                .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        };
        let operator = prop_oneof![
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
            value().prop_map(Operator::Equals),
            value().prop_map(Operator::NotEquals),
            set().prop_map(Operator::In),
            set().prop_map(Operator::NotIn),
            (0..i64::MAX).prop_map(Operator::GreaterThan),
            (0..i64::MAX).prop_map(Operator::LessThan),
        ];
        ("([a-z]{1,4}\\.io/)?([a-z]{1,6}|in|notin)", operator)
            .prop_map(|(key, operator)| Requirement { key, operator })
    }

    proptest! {
        #[test]
        fn every_selector_survives_printing(
            mut requirements in prop::collection::vec(requirement(), 0..5),
        ) {
            requirements.sort_by(|a, b| a.key.cmp(&b.key));
            let selector = LabelSelector { requirements };
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }

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
