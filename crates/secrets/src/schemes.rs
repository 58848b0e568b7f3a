//! Credentials behind the name of an authentication scheme (RFC 9110 §11.4), and JSON Web Tokens (RFC 7519).

use super::REMOVED;

/// Schemes whose name is enough to know the word behind it for a credential, wherever it stands.
const SCHEMES: [&str; 7] = ["basic", "bearer", "dpop", "kerberos", "negotiate", "ntlm", "gnap"];
/// A shorter word behind a scheme in any text is rather a word.
const SHORTEST: usize = 6;
/// A JSON Web Token is longer, even an empty one.
const SHORTEST_JWT: usize = 20;

/// A text without the words behind `Bearer` and its like, and without JSON Web Tokens.
pub(crate) fn without_credentials(text: &str) -> String {
    without(text, |scheme, token, _| token.len() >= SHORTEST && is_scheme(scheme))
}

/// The value of a field that names schemes, without the token behind any of them.
pub(crate) fn without_tokens(text: &str) -> String {
    without(text, |_, _, is_quoted| !is_quoted)
}

fn without(text: &str, is_credential: impl Fn(&str, &str, bool) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_quoted = false;
    while let Some(start) = rest.find(is_of_word) {
        is_quoted ^= rest[..start].matches('"').count() % 2 == 1;
        kept.push_str(&rest[..start]);
        rest = &rest[start..];
        let word = &rest[..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())];
        rest = &rest[word.len()..];
        if is_jwt(word) {
            kept.push_str(REMOVED);
            continue;
        }
        kept.push_str(word);
        let gap = &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()];
        let token = token68(&rest[gap.len()..]);
        // Of `Bearer Bearer abcdef`, which some programs send, the second is no credential; what follows it is.
        if !gap.is_empty() && !token.is_empty() && !is_scheme(token) && is_credential(word, token, is_quoted) {
            kept.push_str(gap);
            kept.push_str(REMOVED);
            rest = &rest[gap.len() + token.len()..];
        }
    }
    kept + rest
}

fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The token68 that a text begins with (RFC 9110 §11.2), if it is not the name of a parameter.
fn token68(text: &str) -> &str {
    let is_inner = |c: char| is_of_word(c) || matches!(c, '~' | '+' | '/');
    let inner = text.find(|c| !is_inner(c)).unwrap_or(text.len());
    let rest = &text[inner..];
    let padding = rest.len() - rest.trim_start_matches('=').len();
    let ends = rest[padding..].chars().next().is_none_or(|c| !(is_inner(c) || (c == '"' && padding > 0)));
    if ends && inner > 0 { &text[..inner + padding] } else { "" }
}

/// The head of a token is a JSON object, so its base64url begins like this; the parts are separated by dots.
fn is_jwt(word: &str) -> bool {
    word.starts_with("eyJ") && word.len() >= SHORTEST_JWT && word.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_schemes() {
        let check = |text: &str, expected: &str| assert_eq!(without_credentials(text), expected);
        check("Bearer abcdef", "Bearer (removed)");
        check("x bearer  ab+/~cd==, y", "x bearer  (removed), y");
        check("(Basic am9lOnB3) \"NTLM TlRMTVNT\"", "(Basic (removed)) \"NTLM (removed)\"");
        check("Bearer realm=\"abcdef\"", "Bearer realm=\"abcdef\"");
        check("Basic realm=abcdef", "Basic realm=abcdef");
        check("the bearer of it; unbearer abcdef", "the bearer of it; unbearer abcdef");
        check("Bearer", "Bearer");
        check("Bearer Bearer abcdef", "Bearer Bearer (removed)");
        check("bearer negotiate abcdef", "bearer negotiate (removed)");
        check("grüße Bearer äbcdef", "grüße Bearer äbcdef");
        let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.sig";
        check(&format!("/cb/{jwt}/x \"{jwt}\""), "/cb/(removed)/x \"(removed)\"");
        check("eyJabc eyJhbGciOiJub25lIn0", "eyJabc eyJhbGciOiJub25lIn0");
    }

    #[test]
    fn behind_any_scheme_of_a_challenge() {
        assert_eq!(without_tokens("Negotiate"), "Negotiate");
        assert_eq!(without_tokens("Negotiate YII="), "Negotiate (removed)");
        assert_eq!(without_tokens("Digest nonce=\"a b\", Own abc"), "Digest nonce=\"a b\", Own (removed)");
    }
}
