//! Names of fields and parameters by which credentials go.

/// Fields that are credentials or grant them.
pub fn is_secret_field(name: &str) -> bool {
    const FIELDS: [&str; 9] = [
        "authentication-info",
        "authorization",
        "cookie",
        "cookie2",
        "dpop",
        "proxy-authentication-info",
        "proxy-authorization",
        "set-cookie",
        "set-cookie2",
    ];
    FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field)) || is_secret_name(name)
}

/// Fields that name authentication schemes, each of which may have a token of its own (RFC 9110 §11.6.1, RFC 4559 §4.1).
pub(crate) fn is_challenge(name: &str) -> bool {
    name.eq_ignore_ascii_case("www-authenticate") || name.eq_ignore_ascii_case("proxy-authenticate")
}

/// Names of parameters and fields by which credentials go: whole names, and words that make any name one. Only letters and
/// digits count.
pub(crate) fn is_secret_name(name: &str) -> bool {
    /// Among them those of OAuth (RFC 6749, 7636, 8628), SAML (bindings 2.0) and WS-Federation.
    const WHOLE: [&str; 30] = [
        "auth",
        "authcode",
        "code",
        "connectsid",
        "devicecode",
        "hmac",
        "jwt",
        "key",
        "oauthverifier",
        "otp",
        "pass",
        "pin",
        "pwd",
        "relaystate",
        "samlart",
        "samlrequest",
        "samlresponse",
        "sess",
        "session",
        "sessionstate",
        "sid",
        "sig",
        "sso",
        "ticket",
        "usercode",
        "wctx",
        "wresult",
        "xauth",
        "xsession",
        "codeverifier",
    ];
    const WORDS: [&str; 18] = [
        "accesskey",
        "apikey",
        "assertion",
        "authorization",
        "bearer",
        "credential",
        "csrf",
        "macaroon",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "secret",
        "sessid",
        "sessionid",
        "signature",
        "token",
    ];
    /// A kind of token, which is no secret (RFC 6749 §5.1).
    const PUBLIC: [&str; 1] = ["tokentype"];
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase()));
    let name: String = letters.collect();
    !PUBLIC.contains(&name.as_str())
        && (WHOLE.contains(&name.as_str()) || name.contains("xsrf") || WORDS.iter().any(|word| name.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "code",
            "Access-Token",
            "id_token",
            "SAMLResponse",
            "SAMLRequest",
            "RelayState",
            "PHPSESSID",
            "jsessionid",
            "connect.sid",
            "client_assertion",
            "X-Amz-Signature",
            "X-Amz-Security-Token",
            "user[password]",
            "XSRF-Token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["token_type", "page", "monkey", "postcode", "author", "passage", "signal", "consider"] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(is_secret_field("Authentication-Info") && !is_secret_field("www-authenticate"));
    }
}
