//! Conditions as the API conventions describe them: one per type, with the time of the last flip.

use crds::condition;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What was found out about one aspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The condition's type.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl Truth {
    /// The value as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// The value of a text; anything unexpected is unknown.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

impl Finding {
    /// A finding.
    pub(crate) fn new(
        type_: &'static str,
        status: Truth,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// Sums up: ready if nothing conflicts and every aspect holds. The reason is that of the first
/// aspect that does not, in the order in which one depends on the other.
pub(crate) fn ready(findings: &[Finding]) -> Finding {
    let order = [
        condition::CONFLICT,
        condition::TLS_READY,
        condition::WORKLOAD_READY,
        condition::REGISTERED,
        condition::AVAILABLE,
    ];
    for type_ in order {
        let Some(finding) = findings.iter().find(|finding| finding.type_ == type_) else {
            continue;
        };
        let wanted = if type_ == condition::CONFLICT {
            Truth::False
        } else {
            Truth::True
        };
        if finding.status != wanted {
            return Finding::new(
                condition::READY,
                Truth::False,
                finding.reason.clone(),
                finding.message.clone(),
            );
        }
    }
    Finding::new(
        condition::READY,
        Truth::True,
        "Ready",
        "the API is registered and available",
    )
}

/// Writes findings over the conditions that are there. A condition keeps the time of its last
/// flip; it does not move when only the reason or the message does.
pub(crate) fn merge(
    old: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .into_iter()
        .map(|finding| {
            let status = finding.status.as_str();
            let since = old
                .iter()
                .find(|condition| condition.type_ == finding.type_ && condition.status == status)
                .map_or(Time(now), |condition| {
                    condition.last_transition_time.clone()
                });
            Condition {
                type_: finding.type_.to_owned(),
                status: status.to_owned(),
                reason: finding.reason,
                message: finding.message,
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crds::condition;
    use jiff::Timestamp;

    use super::{Finding, Truth, merge, ready};

    fn finding(type_: &'static str, status: Truth) -> Finding {
        Finding::new(type_, status, format!("{type_}Reason"), "")
    }

    fn all_good() -> Vec<Finding> {
        vec![
            finding(condition::CONFLICT, Truth::False),
            finding(condition::TLS_READY, Truth::True),
            finding(condition::WORKLOAD_READY, Truth::True),
            finding(condition::REGISTERED, Truth::True),
            finding(condition::AVAILABLE, Truth::True),
        ]
    }

    #[test]
    fn ready_needs_every_aspect_and_no_conflict() {
        assert_eq!(ready(&all_good()).status, Truth::True);
        for index in 0..all_good().len() {
            let mut findings = all_good();
            findings[index].status = match findings[index].status {
                Truth::True => Truth::Unknown,
                Truth::False | Truth::Unknown => Truth::True,
            };
            let ready = ready(&findings);
            assert_eq!(
                (ready.status, ready.reason),
                (Truth::False, findings[index].reason.clone())
            );
        }
    }

    #[test]
    fn ready_tells_the_cause_before_its_consequences() {
        let mut findings = all_good();
        findings[2].status = Truth::False;
        findings[4].status = Truth::False;
        assert_eq!(ready(&findings).reason, "WorkloadReadyReason");
    }

    #[test]
    fn the_time_of_a_condition_moves_only_when_its_status_flips() {
        let first = Timestamp::from_second(1_000).unwrap();
        let later = Timestamp::from_second(2_000).unwrap();
        let old = merge(
            &[],
            vec![finding(condition::READY, Truth::False)],
            Some(1),
            first,
        );
        let mut same = finding(condition::READY, Truth::False);
        same.reason = "Other".into();
        let kept = merge(&old, vec![same], Some(2), later);
        assert_eq!(kept[0].last_transition_time.0, first);
        assert_eq!(
            (kept[0].reason.as_str(), kept[0].observed_generation),
            ("Other", Some(2))
        );
        let flipped = merge(
            &kept,
            vec![finding(condition::READY, Truth::True)],
            Some(2),
            later,
        );
        assert_eq!(flipped[0].last_transition_time.0, later);
    }
}
