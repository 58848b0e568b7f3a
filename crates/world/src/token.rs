//! The word by which a lab's admin ports know whoever runs the lab.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;
/// Longer ones would not fit beside the rest of a request's head.
const LONGEST: usize = 256;

/// A secret that admin ports ask for. It is written where it is meant to be read, an address book or a variable of the
/// environment, and nowhere else: what is printed for people does not have it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(String);

/// What cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has 16 to 256 characters: letters, digits and - . _ ~ + / (RFC 6750 section 2.1)")]
pub struct NoToken;

impl Token {
    /// A new one.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// What a client sends as `Authorization` (RFC 6750 §2.1).
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether `authorization` has this token. It takes as long for a wrong one of the same length, wherever the difference
    /// is.
    pub fn is_in(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked("Bearer ".len()) else { return false };
        let own = self.0.as_bytes();
        let differs = own.iter().zip(given).fold(0, |differs, (one, other)| differs | (one ^ other));
        scheme.eq_ignore_ascii_case(b"Bearer ") && own.len() == given.len() && std::hint::black_box(differs) == 0
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let is_one = (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(fits);
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoToken) }
    }
}

impl TryFrom<String> for Token {
    type Error = NoToken;

    fn try_from(text: String) -> Result<Self, NoToken> {
        text.parse()
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::random();
        let text = String::from(token.clone());
        assert_eq!(text.parse(), Ok(token.clone()));
        assert!(token.is_in(token.authorization().as_bytes()) && token.is_in(format!("bearer {text}").as_bytes()));
        let mut other = text.clone().into_bytes();
        *other.last_mut().unwrap() ^= 1;
        let other = String::from_utf8(other).unwrap();
        for wrong in [
            String::new(),
            "Bearer ".to_owned(),
            format!("Bearer {other}"),
            format!("Bearer {}", &text[1..]),
            format!("Bearer {text}0"),
            format!("Basic {text}"),
            text.clone(),
        ] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
        assert_ne!(Token::random(), token);
    }

    #[test]
    fn debug_output_does_not_contain_the_token() {
        let token = Token::random();
        assert!(!format!("{token:?}").contains(&String::from(token)));
    }

    #[test]
    fn short_and_odd_words_are_refused() {
        for word in ["", "secret", "fifteen-letters", "sixteen letters!", "0123456789abcdef\n", &"a".repeat(257)] {
            assert_eq!(word.parse::<Token>(), Err(NoToken), "{word:?}");
        }
        assert!("0123456789abcdef".parse::<Token>().is_ok());
    }
}
