//! Takes out of a text what cannot be equal on both sides: UIDs, times, generated names, revisions.

use jiff::{SignedDuration, Timestamp};

/// Names that a case lets the server generate begin with this.
const GENERATED: &str = "gen-";
/// How far a time may be from now to count as now.
const NOW: SignedDuration = SignedDuration::from_mins(10);

const UID_LENGTH: usize = 36;

/// Replaces UIDs by the order in which they came.
pub(crate) fn replace_uids(text: &str, known: &mut Vec<String>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = (0..rest.len()).find(|start| is_uid(rest, *start)) {
        let (before, after) = rest.split_at(start);
        let (uid, after) = after.split_at(UID_LENGTH);
        let index = known.iter().position(|known| known == uid);
        let index = index.unwrap_or_else(|| {
            known.push(uid.to_owned());
            known.len() - 1
        });
        replaced = format!("{replaced}{before}<uid {}>", index + 1);
        rest = after;
    }
    replaced + rest
}

fn is_uid(text: &str, start: usize) -> bool {
    let Some(candidate) = text.get(start..start + UID_LENGTH) else {
        return false;
    };
    // The nil UID is one that cases send.
    !candidate.starts_with("00000000")
        && candidate.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

const TIME_LENGTH: usize = "2006-01-02T15:04:05Z".len();

/// Replaces times of second precision that are about now.
pub(crate) fn replace_times(text: &str) -> String {
    let now = Timestamp::now();
    let is_now = |start: usize| {
        let candidate = text.get(start..start + TIME_LENGTH)?;
        let time: Timestamp = candidate.parse().ok()?;
        (time.duration_since(now).abs() < NOW).then_some(start)
    };
    let mut replaced = text.to_owned();
    // From the last one, so that the places of the others stay.
    let ends = text.match_indices('Z').map(|(end, _)| end + 1);
    let starts = ends.filter_map(|end| is_now(end.checked_sub(TIME_LENGTH)?));
    for start in starts.collect::<Vec<_>>().into_iter().rev() {
        replaced.replace_range(start..start + TIME_LENGTH, "<now>");
    }
    replaced
}

/// The age of a young object, as a Table shows it.
pub(crate) fn is_age(text: &str) -> bool {
    let number = text.strip_suffix('s').unwrap_or_default();
    !number.is_empty() && number.len() < 4 && number.bytes().all(|b| b.is_ascii_digit())
}

/// Replaces the five random characters of a generated name.
pub(crate) fn replace_generated(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(GENERATED) {
        replaced.push_str(before);
        replaced.push_str(GENERATED);
        let random = after.bytes().take(5);
        if random.clone().count() == 5 && random.clone().all(|b| b.is_ascii_alphanumeric()) {
            replaced.push_str("<random>");
            rest = after.split_at(5).1;
        } else {
            rest = after;
        }
    }
    replaced + rest
}

/// What stands before a revision in messages.
const BEFORE_REVISIONS: [&str; 7] = [
    "current: ",
    "too old resource version: ",
    "too old resource version: <revision> (",
    "ResourceVersion in the precondition (",
    "ResourceVersion in record (",
    "resourceVersion\":\"",
    "resourceVersion\\\":\\\"",
];

pub(crate) fn replace_revisions(text: &str) -> String {
    let mut replaced = text.to_owned();
    for before in BEFORE_REVISIONS {
        let Some(start) = replaced.find(before).map(|at| at + before.len()) else {
            continue;
        };
        let digits = replaced.split_at(start).1.bytes();
        let digits = digits.take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            replaced.replace_range(start..start + digits, "<revision>");
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_lose_their_random_part_only() {
        assert_eq!(replace_generated("a gen-x7y2z b"), "a gen-<random> b");
        assert_eq!(replace_generated("gen-a"), "gen-a");
    }

    #[test]
    fn revisions_in_messages_are_replaced() {
        let text = "Too large resource version: 7, current: 123";
        assert_eq!(
            replace_revisions(text),
            "Too large resource version: 7, current: <revision>"
        );
        let text = "too old resource version: 1 (57)";
        assert_eq!(
            replace_revisions(text),
            "too old resource version: <revision> (<revision>)"
        );
    }

    #[test]
    fn only_recent_times_are_now() {
        let now = Timestamp::now();
        let text = format!(
            "{} 2020-01-01T00:00:00Z",
            now.strftime("%Y-%m-%dT%H:%M:%SZ")
        );
        assert_eq!(replace_times(&text), "<now> 2020-01-01T00:00:00Z");
        let precise = now.to_string();
        assert_eq!(replace_times(&precise), precise);
    }
}
