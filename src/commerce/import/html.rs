//! Pure: the HTML of a shop's description into plain text.
//!
//! Not a browser: tags go, blocks and `<br>` become line breaks, entities become characters, scripts, styles and
//! comments go with what is in them. A text without tags keeps its line breaks. Every step is linear in the text,
//! whatever is in it.

/// Elements that stand on lines of their own.
const BLOCKS: &str = "address article blockquote dd div dl dt figure footer h1 h2 h3 h4 h5 h6 header hr li ol p section \
                      table tr ul";
/// Elements whose content is no text.
const SILENT: [&str; 2] = ["script", "style"];
/// Named entities that shops write.
const ENTITIES: [(&str, char); 24] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("yen", '¥'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("middot", '·'),
    ("bull", '•'),
    ("times", '×'),
    ("deg", '°'),
    ("euro", '€'),
];
/// Characters between `&` and `;`.
const MAX_ENTITY_CHARS: usize = 10;

/// What stands at a `<`.
enum Markup<'t> {
    /// A tag, by its lower-case name, and what follows it.
    Tag(String, &'t str),
    /// A comment or declaration that ends, and what follows it.
    Remark(&'t str),
    /// Just the character.
    Text,
}

/// The text that a reader of the page would see.
pub(super) fn plain(html: &str) -> String {
    let mut page = Page { keeps_lines: !html.contains('<'), ..Page::default() };
    // Looked up once: rubbish full of `<` is not searched again and again.
    let last_end = html.rfind('>').unwrap_or(0);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        page.write(&rest[..at]);
        rest = &rest[at..];
        let markup = if html.len() - rest.len() < last_end { markup(rest) } else { Markup::Text };
        match markup {
            Markup::Tag(name, after) => {
                match name.trim_start_matches('/') {
                    "br" => page.hard_breaks += 1,
                    block if BLOCKS.split(' ').any(|known| known == block) => page.soft_break = true,
                    _ => {}
                }
                rest = if SILENT.contains(&name.as_str()) { after_silence(&name, after) } else { after };
            }
            Markup::Remark(after) => rest = after,
            Markup::Text => {
                page.write("<");
                rest = &rest[1..];
            }
        }
    }
    page.write(rest);
    page.text
}

fn markup(rest: &str) -> Markup<'_> {
    let inside = &rest[1..];
    if let Some(remark) = inside.strip_prefix("!--") {
        // An open comment swallows the rest, as in a browser.
        return Markup::Remark(remark.split_once("-->").map_or("", |(_, after)| after));
    }
    let name = inside.strip_prefix('/').unwrap_or(inside);
    let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_remark = inside.starts_with(['!', '?']);
    if !is_tag && !is_remark {
        return Markup::Text;
    }
    let Some(end) = tag_end(inside) else { return Markup::Text };
    let after = &inside[end + 1..];
    if is_remark {
        return Markup::Remark(after);
    }
    let length = inside[1..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(inside.len(), |at| at + 1);
    Markup::Tag(inside[..length].to_ascii_lowercase(), after)
}

/// Where the tag's `>` is: the first outside of quotes, or the first at all when a quote stays open within the tag.
fn tag_end(inside: &str) -> Option<usize> {
    let first = inside.find('>')?;
    let mut quote = None;
    for (at, c) in inside.char_indices().take_while(|(at, _)| *at <= first.saturating_add(MAX_ATTRIBUTE_BYTES)) {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    Some(first)
}

/// How far behind the first `>` a quoted attribute may still end.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// What follows the end tag of a silent element; nothing when it is never closed.
fn after_silence<'t>(name: &str, rest: &'t str) -> &'t str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        let tag = &rest[from + at + 2..];
        if tag.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return tag.split_once('>').map_or("", |(_, after)| after);
        }
        from += at + 2;
    }
    ""
}

/// The text so far: white space is folded, lines are trimmed, at most one blank line stands between two.
#[derive(Default)]
struct Page {
    text: String,
    keeps_lines: bool,
    /// What to write before the next character.
    space: bool,
    soft_break: bool,
    hard_breaks: usize,
}

impl Page {
    fn write(&mut self, source: &str) {
        let mut rest = source;
        while let Some(c) = rest.chars().next() {
            let (c, length) = if c == '&' { entity(rest) } else { (c, c.len_utf8()) };
            rest = &rest[length..];
            match c {
                '\n' if self.keeps_lines => self.hard_breaks += 1,
                // Other control characters are nothing that can be read.
                c if c.is_whitespace() || c.is_control() => self.space = true,
                c => self.push(c),
            }
        }
    }

    fn push(&mut self, c: char) {
        if !self.text.is_empty() {
            match self.hard_breaks + usize::from(self.soft_break) {
                0 if self.space => self.text.push(' '),
                0 => {}
                1 => self.text.push('\n'),
                _ => self.text.push_str("\n\n"),
            }
        }
        (self.space, self.soft_break, self.hard_breaks) = (false, false, 0);
        self.text.push(c);
    }
}

/// The character that an `&` begins, and how many bytes it took; the `&` itself when it begins none.
fn entity(rest: &str) -> (char, usize) {
    const LITERAL: (char, usize) = ('&', 1);
    let Some(end) = rest.bytes().take(MAX_ENTITY_CHARS + 2).position(|b| b == b';') else { return LITERAL };
    // The byte before a `;` ends a character, so this cuts between characters.
    let name = &rest[1..end];
    let found = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
        None => ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c),
    };
    found.map_or(LITERAL, |c| (c, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_description_reads_as_on_the_page() {
        for (html, text) in [
            ("<p>三色の<strong>団子</strong>。</p>\n<p>賞味期限は2日。</p>", "三色の団子。\n賞味期限は2日。"),
            ("<ul>\n<li>綿100%</li>\n<li>日本製</li>\n</ul>", "綿100%\n日本製"),
            ("A &amp; B &lt;C&gt; &#165;1,980 &#x3042;&nbsp;&unknown; & more", "A & B <C> ¥1,980 あ &unknown; & more"),
            ("one<br>two<br/>three<BR />four", "one\ntwo\nthree\nfour"),
            ("<div><br></div><div>a</div><div><br></div><div>b</div>", "a\n\nb"),
            ("<style>p { color: red }</style>seen<script>if (a < b) {}</script> too", "seen too"),
            ("<!-- <p>note</p> -->kept<!doctype html>", "kept"),
            ("<a href=\"x>y\" title='>'>link</a>", "link"),
            ("1 < 2 and 3 > 2, i <3 u", "1 < 2 and 3 > 2, i <3 u"),
            ("S <M", "S <M"),
            ("<b>folded \r\n text </b> ", "folded text"),
            ("  plain \r\n text\n\n\n  of three  ", "plain\ntext\n\nof three"),
            ("one<br><br>two", "one\n\ntwo"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("", ""),
        ] {
            assert_eq!(plain(html), text, "{html}");
        }
    }

    #[test]
    fn long_rubbish_takes_no_long_time() {
        for piece in ["<", "<a", "<a '>", "<!--", "<script>", "&", "</", "<a \"'>"] {
            assert!(plain(&piece.repeat(200_000)).len() <= 1_200_000, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "[<>/a!&#;x1'\" \nあ-]{0,60}") {
            let _ = plain(&text);
        }

        #[test]
        fn text_without_markup_stays(text in "[a-zあ-ん0-9]{0,40}") {
            prop_assert_eq!(plain(&text), text);
        }
    }
}
