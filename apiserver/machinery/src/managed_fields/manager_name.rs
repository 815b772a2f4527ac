//! How a client that names no field manager is called.

/// Longest name of a manager in bytes: `FieldManagerMaxLength` of
/// `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.
const NAME_BYTES_MAX: usize = 128;

/// The manager of a write without a `fieldManager`: the `User-Agent` up to the first slash, without
/// what cannot be printed, of at most 128 bytes. Mirrors
/// `k8s.io/apiserver/pkg/endpoints/handlers/create.go`.
pub fn manager_from_user_agent(user_agent: &str) -> String {
    let product = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in product.chars() {
        if c.is_control() || (c.is_whitespace() && c != ' ') {
            continue;
        }
        if name.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A3: the default manager.
    #[test]
    fn a_client_is_called_by_the_product_of_its_user_agent() {
        assert_eq!(
            manager_from_user_agent("kubectl/v1.36.3 (linux/amd64)"),
            "kubectl"
        );
        assert_eq!(manager_from_user_agent("a\u{0}b \u{2003}c\n/1"), "ab c");
        assert_eq!(manager_from_user_agent(""), "");
        assert_eq!(manager_from_user_agent(&"é".repeat(100)).len(), 128);
    }
}
