//! A bearer token among the subprotocols of a WebSocket: browsers cannot set other headers.
//!
//! Mirrors `k8s.io/apiserver/pkg/authentication/request/websocket`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};

const TOKEN_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Takes the token out of a request for a WebSocket.
///
/// # Errors
/// A sentence for the log when there is a token that cannot be read.
pub(super) fn take_token(headers: &mut HeaderMap) -> Result<Option<String>, String> {
    if !has_word(headers, &UPGRADE, "websocket") || !has_word(headers, &CONNECTION, "upgrade") {
        return Ok(None);
    }
    let protocols = words(headers, &SEC_WEBSOCKET_PROTOCOL);
    let (tokens, others): (Vec<_>, Vec<_>) = protocols
        .into_iter()
        .partition(|protocol| protocol.starts_with(TOKEN_PREFIX));
    if tokens.is_empty() {
        return Ok(None);
    }
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(others) = HeaderValue::from_str(&others.join(",")) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    }
    let [token] = tokens.as_slice() else {
        return Err("more than one token among the WebSocket's subprotocols".to_owned());
    };
    let token = URL_SAFE_NO_PAD.decode(&token[TOKEN_PREFIX.len()..]);
    let token = token.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let token = token.ok_or("the token among the WebSocket's subprotocols is not base64url")?;
    if others.is_empty() {
        return Err("a WebSocket's token needs another subprotocol beside it".to_owned());
    }
    Ok(Some(token).filter(|token| !token.is_empty()))
}

fn words(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let words = texts.flat_map(|text| text.split(',')).map(str::trim);
    words.map(str::to_owned).collect()
}

fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut words = words(headers, name).into_iter();
    words.any(|found| found.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(protocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        for protocol in protocols {
            headers.append(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_str(protocol).unwrap(),
            );
        }
        headers
    }

    #[rstest]
    #[case::one_header(&["base64url.bearer.authorization.k8s.io.dG9rZW4, v4.channel.k8s.io"])]
    #[case::two_headers(&["v4.channel.k8s.io", "base64url.bearer.authorization.k8s.io.dG9rZW4"])]
    fn a_token_is_taken_out(#[case] protocols: &[&str]) {
        let mut headers = request(protocols);
        assert_eq!(take_token(&mut headers), Ok(Some("token".to_owned())));
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "v4.channel.k8s.io");
    }

    #[rstest]
    #[case::alone(&["base64url.bearer.authorization.k8s.io.dG9rZW4"])]
    #[case::twice(&["base64url.bearer.authorization.k8s.io.dG9rZW4,base64url.bearer.authorization.k8s.io.dG9rZW4,a"])]
    #[case::padded(&["base64url.bearer.authorization.k8s.io.dG9rZQ==,a"])]
    #[case::no_base64(&["base64url.bearer.authorization.k8s.io.?!,a"])]
    #[case::no_text(&["base64url.bearer.authorization.k8s.io._w,a"])]
    fn a_token_that_cannot_be_read_is_refused(#[case] protocols: &[&str]) {
        let mut headers = request(protocols);
        assert!(take_token(&mut headers).is_err());
        let left = format!("{headers:?}");
        assert!(!left.contains("bearer"), "it must not go on: {left}");
    }

    #[test]
    fn only_a_websocket_has_one() {
        let mut headers = request(&["base64url.bearer.authorization.k8s.io.dG9rZW4,a"]);
        headers.remove(UPGRADE);
        assert_eq!(take_token(&mut headers), Ok(None));
        assert_eq!(take_token(&mut request(&["a"])), Ok(None));
    }
}
