//! Names that the server makes: `k8s.io/apiserver/pkg/storage/names/generate.go`.

use rand::RngExt;

/// Characters that cannot spell a word by accident.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// Longest base, so that base and suffix fit into 63 characters.
const BASE_MAX_LENGTH: usize = 63 - SUFFIX_LENGTH;

/// `base`, cut to 58 characters, and five random characters.
pub fn generate_name(base: &str, rng: &mut impl RngExt) -> String {
    let mut name: String = base.chars().take(BASE_MAX_LENGTH).collect();
    for _ in 0..SUFFIX_LENGTH {
        name.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V4: the base is cut to 58 characters and five follow.
    #[test]
    fn a_generated_name_has_five_random_characters_and_fits() {
        let name = generate_name("job-", &mut rand::rng());
        assert_eq!(name.len(), 9);
        assert!(name.starts_with("job-"));
        assert_eq!(generate_name(&"x".repeat(100), &mut rand::rng()).len(), 63);
        assert_ne!(name, generate_name("job-", &mut rand::rng()));
    }
}
