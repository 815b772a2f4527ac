//! Small texts that several modules write.

use std::{error::Error, fmt::Write};

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An error with its causes, for messages that users read. Logs carry the error itself.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{chain, hex};

    #[test]
    fn bytes_become_two_digits_each() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }

    #[test]
    fn causes_follow_the_error() {
        let error = crate::probe::ProbeError::Connect(
            ([127, 0, 0, 1], 1).into(),
            std::io::Error::other("refused"),
        );
        assert_eq!(chain(&error), "cannot connect to 127.0.0.1:1: refused");
    }
}
