//! Takes out of kubectl's output what cannot be equal on both sides.

use e2e::testing::Output;

use crate::texts::{is_age, replace_generated, replace_revisions, replace_times, replace_uids};

/// What stands before a number that grows with every write in the cluster, or with time.
const BEFORE_NUMBERS: [&str; 6] = [
    "resourceVersion: \"",
    "resourceVersion\": \"",
    "Resource Version:",
    "/LIVE-",
    "/MERGED-",
    "kubectl-edit-",
];

/// What is known of one side of a table.
pub(super) struct Normaliser {
    group: &'static str,
    uids: Vec<String>,
}

impl Normaliser {
    pub(super) fn new(group: &'static str) -> Self {
        Self {
            group,
            uids: Vec::new(),
        }
    }

    /// Everything that a line printed.
    pub(super) fn output(&mut self, output: &Output) -> String {
        let code = output.code.unwrap_or(-1);
        let mut text = format!("exit code {code}\n{}", output.stdout);
        let stderr = output.stderr.lines().filter(|line| !is_logged(line));
        for (index, line) in stderr.enumerate() {
            let before = if index == 0 { "stderr:\n" } else { "" };
            text.extend([before, line, "\n"]);
        }
        let lines: Vec<_> = text.lines().map(|line| self.line(line)).collect();
        lines.join("\n")
    }

    fn line(&mut self, line: &str) -> String {
        let line = line.replace(self.group, "<group>");
        let line = replace_uids(&line, &mut self.uids);
        let line = replace_revisions(&replace_generated(&replace_times(&line)));
        let line = replace_numbers(&line);
        // Ages are in the last column, or alone between columns of fixed width.
        let words = line.split(' ');
        let words = words.map(|word| if is_age(word) { "<age>" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Whether a line is of kubectl's log, such as `I1121 16:00:59.757016 ...`: a watch that was very
/// short, for instance, which is a matter of time.
fn is_logged(line: &str) -> bool {
    let Some(rest) = line.strip_prefix(['I', 'W', 'E']) else {
        return false;
    };
    let (date, _) = rest.split_once(' ').unwrap_or_default();
    date.len() == 4 && date.bytes().all(|byte| byte.is_ascii_digit())
}

fn replace_numbers(line: &str) -> String {
    let mut line = line.to_owned();
    for before in BEFORE_NUMBERS {
        if let Some((head, tail)) = line.clone().split_once(before) {
            let tail = tail
                .trim_start()
                .trim_start_matches(|c: char| c.is_ascii_digit());
            line = format!("{head}{before}<number>{tail}");
        }
    }
    line
}
