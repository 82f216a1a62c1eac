//! Pure: the words that a liver does not want to read, however they are written.
//!
//! Word and text are folded alike before they are compared: width and compatibility forms (NFKC), case, katakana to
//! hiragana, a few kanji to the reading they are abused for; and everything between the letters is left out: blanks,
//! punctuation, emoji, zero-width characters, lengthening marks. So 「死 ね」, 「ｼﾈ」 and 「シーネ」 hold the word 「しね」.
//! Invariant: folding a folded text changes nothing; whatever is put between or around the letters of a word does not
//! hide it.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;

use crate::ids::WordId;

/// Words of one liver; beyond, another must be removed first.
pub const MAX_WORDS: usize = 500;
/// Longest word, in characters.
pub const MAX_WORD_CHARS: usize = 40;
/// Rounds of folding: leaving a character out may bring together what composes. Two were enough for everything tried.
const MAX_ROUNDS: usize = 4;

/// Kanji that stand for a refused word's sound.
const READINGS: [(char, &str); 4] = [('死', "し"), ('殺', "ころ"), ('糞', "くそ"), ('屑', "くず")];

/// A word of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its id.
    pub id: WordId,
    /// As it was typed.
    pub word: String,
    /// As it is compared.
    pub folded: String,
}

/// Why a word cannot be on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordRefusal {
    /// Nothing of it is compared.
    #[error("a word needs a letter or a digit")]
    Empty,
    /// Too long.
    #[error("a word may have {MAX_WORD_CHARS} characters")]
    TooLong,
    /// The list is full.
    #[error("the list has {MAX_WORDS} words already; remove one first")]
    Full,
}

impl Word {
    /// A new word.
    ///
    /// # Errors
    /// When nothing of it is left to compare, or it is too long.
    pub fn parse(text: &str) -> Result<Self, WordRefusal> {
        let word = text.trim();
        if word.chars().count() > MAX_WORD_CHARS {
            return Err(WordRefusal::TooLong);
        }
        let folded = fold(word);
        if folded.is_empty() || word.chars().any(char::is_control) {
            return Err(WordRefusal::Empty);
        }
        Ok(Self { id: WordId::fresh(), word: word.to_owned(), folded })
    }
}

/// A text as it is compared.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = fold_once(text);
    for _ in 1..MAX_ROUNDS {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

fn fold_once(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    // Upper case first: it is what makes `ß` and `ss`, `ς` and `σ` one.
    for c in text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).filter(|c| is_compared(*c)) {
        match READINGS.iter().find(|(kanji, _)| *kanji == c) {
            Some((_, reading)) => folded.push_str(reading),
            None => folded.push(to_hiragana(c)),
        }
    }
    folded
}

/// Letters and digits are; what lengthens a sound, fills a place or stands between is not.
fn is_compared(c: char) -> bool {
    // Lengthening marks and Hangul fillers are letters to Unicode.
    c.is_alphanumeric() && !matches!(c, 'ー' | 'ｰ' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

fn to_hiragana(c: char) -> char {
    /// From a katakana to its hiragana.
    const DOWN: u32 = 0x60;
    match c {
        'ァ'..='ヶ' | 'ヽ' | 'ヾ' => char::from_u32(u32::from(c) - DOWN).unwrap_or(c),
        _ => c,
    }
}

/// A liver's words, ready to be looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordList {
    /// By their first character, so that each place of a text is compared with few.
    by_first: HashMap<char, Vec<String>>,
}

impl WordList {
    /// From the folded words.
    #[must_use]
    pub fn new(folded: impl IntoIterator<Item = String>) -> Self {
        let mut list = Self::default();
        for word in folded.into_iter().take(MAX_WORDS) {
            if let Some(first) = word.chars().next() {
                list.by_first.entry(first).or_default().push(word);
            }
        }
        list
    }

    /// Whether the text holds one of the words.
    #[must_use]
    pub fn refuses(&self, text: &str) -> bool {
        if self.by_first.is_empty() {
            return false;
        }
        let folded = fold(text);
        folded.char_indices().any(|(at, c)| {
            self.by_first.get(&c).is_some_and(|words| words.iter().any(|word| folded[at..].starts_with(word)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(words: &[&str]) -> WordList {
        WordList::new(words.iter().map(|word| Word::parse(word).expect("a word").folded))
    }

    #[test]
    fn one_word_in_all_its_disguises() {
        let words = list(&["しね", "badword", "ガチャ"]);
        let disguises = [
            "死ね",
            "死 ね",
            "死　ね",
            "ｼﾈ",
            "シネ",
            "しーね",
            "シ～ネ！",
            "し.ね",
            "し・ね",
            "し\u{200b}ね",
            "し\u{2060}ネ",
            "早くし🌸ね",
            "BADWORD",
            "ｂａｄ ｗｏｒｄ",
            "b-a-d_w.o.r.d",
            "𝐛𝐚𝐝𝐰𝐨𝐫𝐝",
            "ｶﾞﾁｬ",
            "カ\u{3099}チャ",
            "がちゃ",
        ];
        for text in disguises {
            assert!(words.refuses(text), "{text}");
        }
        for text in ["こんにちは", "かちゃ", "bad", "しかね", ""] {
            assert!(!words.refuses(text), "{text}");
        }
        assert!(!WordList::default().refuses("死ね"));
    }

    #[test]
    fn a_word_has_something_to_compare() {
        for empty in ["", " ", "ーー", "🌸", "\u{200b}"] {
            assert_eq!(Word::parse(empty), Err(WordRefusal::Empty), "{empty}");
        }
        assert_eq!(Word::parse(&"あ".repeat(41)), Err(WordRefusal::TooLong));
        assert_eq!(Word::parse(" シネ ").expect("a word").folded, "しね");
    }

    /// Kana in any of their forms, Latin in any width, and what people put between.
    fn text() -> impl Strategy<Value = String> {
        "[ぁ-ゖァ-ヶｦ-ﾟa-zA-Zａ-ｚＡ-Ｚ0-9 　・ー〜~._\u{200b}\u{200d}\u{3099}\u{309a}゛゜ßς漢死🌸]{0,24}"
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in prop_oneof![text(), ".{0,40}".prop_map(String::from)]) {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn nothing_between_the_letters_hides_a_word(
            word in "[ぁ-ゔa-z]{1,8}",
            between in "[ 　・ー〜~.,!_*\u{200b}\u{200c}\u{2060}\u{feff}🌸-]{0,3}",
            katakana: bool,
            (before, after) in ("[一-三]{0,3}", "[一-三]{0,3}"),
        ) {
            let words = list(&[&word]);
            let disguised: Vec<String> = word
                .chars()
                .map(|c| match c {
                    'ぁ'..='ゔ' if katakana => char::from_u32(u32::from(c) + 0x60).expect("a katakana").to_string(),
                    c => c.to_uppercase().to_string(),
                })
                .collect();
            let hidden = format!("{before}{}{after}", disguised.join(&between));
            prop_assert!(words.refuses(&hidden), "{} in {}", word, hidden);
        }

        #[test]
        fn an_unrelated_text_passes(word in "[a-m]{1,8}", text in "[n-zあ-ん ]{0,40}") {
            prop_assert!(!list(&[&word]).refuses(&text));
        }
    }
}
