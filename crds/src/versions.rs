//! Kubernetes' order of version names, and the priorities that follow from it.
//!
//! Mirrors `CompareKubeAwareVersionStrings` in k8s.io/apimachinery `pkg/version/helpers.go`:
//! `v10, v2, v1, v11beta2, v10beta3, v3beta1, v12alpha1, v11alpha2, foo1, foo10`.

use std::cmp::Ordering;

use crate::ApiVersion;

/// The priority of the best version of a group. Versions after it get one less each; fifteen
/// leaves room on both sides, and is what operators of other APIs commonly write.
pub const BEST_VERSION_PRIORITY: i32 = 15;

/// Stability first, then the numbers: the order of the fields is the order of comparison.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KubeVersion {
    stability: Stability,
    major: u64,
    minor: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stability {
    Alpha,
    Beta,
    Stable,
}

/// Orders two version names so that the one that clients should prefer comes first.
pub fn compare_preferred_first(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The priority of each version in the order given: what the user wrote, or else by name.
pub fn version_priorities(versions: &[ApiVersion]) -> Vec<i32> {
    let mut ranked: Vec<&str> = versions
        .iter()
        .map(|version| version.name.as_str())
        .collect();
    ranked.sort_by(|a, b| compare_preferred_first(a, b));
    versions
        .iter()
        .map(|version| {
            version.version_priority.unwrap_or_else(|| {
                let rank = ranked
                    .iter()
                    .position(|name| *name == version.name)
                    .unwrap_or_default();
                let rank = i32::try_from(rank).unwrap_or(i32::MAX);
                BEST_VERSION_PRIORITY.saturating_sub(rank).max(1)
            })
        })
        .collect()
}

fn parse(name: &str) -> Option<KubeVersion> {
    let rest = name.strip_prefix('v')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, suffix) = rest.split_at(digits);
    let major = number(major)?;
    let (stability, minor) = match suffix {
        "" => {
            return Some(KubeVersion {
                stability: Stability::Stable,
                major,
                minor: 0,
            });
        }
        _ => match (suffix.strip_prefix("alpha"), suffix.strip_prefix("beta")) {
            (Some(minor), _) => (Stability::Alpha, minor),
            (None, Some(minor)) => (Stability::Beta, minor),
            (None, None) => return None,
        },
    };
    Some(KubeVersion {
        stability,
        major,
        minor: number(minor)?,
    })
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{compare_preferred_first, version_priorities};
    use crate::ApiVersion;

    fn version(name: &str) -> ApiVersion {
        ApiVersion {
            name: name.to_owned(),
            ..ApiVersion::default()
        }
    }

    #[test]
    fn versions_sort_as_upstream_documents() {
        let expected = [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "foo1",
            "foo10",
        ];
        let mut sorted = expected;
        sorted.reverse();
        sorted.sort_by(|a, b| compare_preferred_first(a, b));
        assert_eq!(sorted, expected);
    }

    /// F8: priorities follow version order unless the user says otherwise.
    #[test]
    fn the_best_version_gets_fifteen_and_a_written_priority_wins() {
        assert_eq!(version_priorities(&[version("v1alpha1")]), [15]);
        assert_eq!(
            version_priorities(&[version("v1alpha1"), version("v1"), version("v1beta1")]),
            [13, 15, 14]
        );
        let mut written = version("v1alpha1");
        written.version_priority = Some(100);
        assert_eq!(version_priorities(&[written, version("v1")]), [100, 15]);
    }
}
