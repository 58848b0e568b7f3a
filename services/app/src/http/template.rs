//! Pages with holes: `{{name}}` is a value, escaped; `{{#name}}…{{/name}}` is there only when `name` is said to be so.

/// A page, cut at its holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
    Begin(String),
    End(String),
}

/// What fills the holes of a page.
pub(crate) trait Fill {
    /// The value of that name, as plain text.
    fn value(&self, name: &str) -> Option<String>;
    /// Whether a section of that name is there.
    fn is_so(&self, name: &str) -> Option<bool>;
}

impl Template {
    /// Reads a page. A hole that is not closed is text.
    pub(crate) fn new(mut page: &str) -> Self {
        let mut pieces = Vec::new();
        while let Some((text, (hole, rest))) =
            page.split_once("{{").and_then(|(text, rest)| Some((text, rest.split_once("}}")?)))
        {
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(match hole.split_at_checked(1) {
                Some(("#", name)) => Piece::Begin(name.to_owned()),
                Some(("/", name)) => Piece::End(name.to_owned()),
                _ => Piece::Value(hole.to_owned()),
            });
            page = rest;
        }
        pieces.push(Piece::Text(page.to_owned()));
        Self(pieces)
    }

    /// The page with its holes filled. What nothing fills stays empty.
    pub(crate) fn fill(&self, with: &impl Fill) -> String {
        let mut page = String::with_capacity(16 * 1024);
        let mut hidden: Option<&str> = None;
        for piece in &self.0 {
            match (piece, hidden) {
                (Piece::End(name), Some(hides)) if name == hides => hidden = None,
                (_, Some(_)) | (Piece::End(_), None) => {}
                (Piece::Text(text), None) => page.push_str(text),
                (Piece::Value(name), None) => push_escaped(&mut page, &with.value(name).unwrap_or_default()),
                (Piece::Begin(name), None) => {
                    if !with.is_so(name).unwrap_or_default() {
                        hidden = Some(name);
                    }
                }
            }
        }
        page
    }

    /// The names of holes that nothing fills.
    #[cfg(test)]
    pub(crate) fn unknown(&self, with: &impl Fill) -> Vec<&str> {
        let unknown = |piece: &Piece| match piece {
            Piece::Text(_) => false,
            Piece::Value(name) => with.value(name).is_none(),
            Piece::Begin(name) | Piece::End(name) => with.is_so(name).is_none(),
        };
        let name = |piece| match piece {
            &Piece::Value(ref name) | &Piece::Begin(ref name) | &Piece::End(ref name) => name.as_str(),
            Piece::Text(text) => text,
        };
        self.0.iter().filter(|piece| unknown(piece)).map(name).collect()
    }
}

/// For text and for attributes in quotes.
fn push_escaped(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            _ => page.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Values;

    impl Fill for Values {
        fn value(&self, name: &str) -> Option<String> {
            (name == "host").then(|| "<b a=\"1\" b='2'>&".to_owned())
        }

        fn is_so(&self, name: &str) -> Option<bool> {
            match name {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            }
        }
    }

    fn check(page: &str, expected: &str) {
        assert_eq!(Template::new(page).fill(&Values), expected, "{page}");
    }

    #[test]
    fn fills() {
        check("", "");
        check("a { b }} {{ c", "a { b }} {{ c");
        check("[{{host}}]", "[&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;]");
        check("{{#yes}}a{{host}}{{/yes}}b", "a&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;b");
        check("{{#no}}a{{host}}{{#yes}}c{{/yes}}{{/no}}b", "b");
        check("{{}}", "");
        assert_eq!(Template::new("{{host}}{{other}}{{#yes}}{{/yes}}{{#x}}").unknown(&Values), ["other", "x"]);
    }
}
