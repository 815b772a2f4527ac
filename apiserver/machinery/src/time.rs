//! Times as Kubernetes writes them.

use jiff::{Timestamp, Unit};

/// RFC 3339 in UTC, cut to whole seconds, as `metav1.Time` is encoded.
pub fn format_time(time: Timestamp) -> String {
    let rounded = jiff::TimestampRound::new()
        .smallest(Unit::Second)
        .mode(jiff::RoundMode::Trunc);
    time.round(rounded).unwrap_or(time).to_string()
}

/// How long ago, in the short form that `kubectl get` shows: `5s`, `3m12s`, `2d4h`, `3y12d`.
/// Mirrors `k8s.io/apimachinery/pkg/util/duration.HumanDuration`.
pub fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with_rest = |big: i64, unit: &str, rest: i64, rest_unit: &str| {
        if rest == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{rest}{rest_unit}")
        }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        with_rest(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        with_rest(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        with_rest(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else if days < 365 * 8 {
        with_rest(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(301, "5m1s")]
    #[case(3600, "60m")]
    #[case(3 * 3600 + 60, "3h1m")]
    #[case(9 * 3600, "9h")]
    #[case(50 * 3600, "2d2h")]
    #[case(8 * 86_400, "8d")]
    #[case(3 * 365 * 86_400 + 86_400, "3y1d")]
    #[case(-5, "<invalid>")]
    fn durations_are_short(#[case] seconds: i64, #[case] text: &str) {
        assert_eq!(human_duration(seconds), text);
    }

    #[test]
    fn times_have_whole_seconds() {
        let time = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
        assert_eq!(format_time(time), "2023-11-14T22:13:20Z");
    }
}
