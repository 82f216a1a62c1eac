//! Pure: names as banks take them: half-width kana, capitals, digits and a few marks, one byte each in Shift_JIS.

use unicode_normalization::UnicodeNormalization;

/// Katakana in the order of their half-width forms, from 0xA6 on.
const KATAKANA: &str =
    "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";
/// The half-width form of the first of them.
const FIRST: u8 = 0xA6;
/// ﾞ and ﾟ.
const VOICED: u8 = 0xDE;
const HALF_VOICED: u8 = 0xDF;

/// A name in katakana: half-width kana, hiragana and small letters are brought into one form. The first character that a
/// bank would not take is given back.
pub(super) fn katakana(text: &str) -> Result<String, char> {
    // Sounds that stand alone would become a space and a mark.
    let text = text.trim().replace(['゛', 'ﾞ'], "\u{3099}").replace(['゜', 'ﾟ'], "\u{309A}");
    let wide = |c: char| match c {
        'ぁ'..='ゖ' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        _ => c.to_ascii_uppercase(),
    };
    let text: String = text.nfkc().map(wide).nfc().collect();
    match text.nfd().find(|c| byte(*c).is_none()) {
        Some(wrong) => Err(wrong),
        None => Ok(text),
    }
}

/// The bytes of a name that [`katakana`] has made.
pub(super) fn half_width(text: &str) -> Vec<u8> {
    text.nfd().filter_map(byte).collect()
}

fn byte(c: char) -> Option<u8> {
    // Banks know no small kana and no ヲ, and write the long sound as a hyphen.
    let c = match c {
        'ァ' => 'ア',
        'ィ' | 'ヰ' => 'イ',
        'ゥ' => 'ウ',
        'ェ' | 'ヱ' => 'エ',
        'ォ' | 'ヲ' => 'オ',
        'ャ' => 'ヤ',
        'ュ' => 'ユ',
        'ョ' => 'ヨ',
        'ッ' => 'ツ',
        'ヮ' => 'ワ',
        'ヵ' => 'カ',
        'ヶ' => 'ケ',
        'ー' | '‐' | '−' | '–' | '—' => '-',
        '・' => '.',
        c => c,
    };
    match c {
        '\u{3099}' => Some(VOICED),
        '\u{309A}' => Some(HALF_VOICED),
        ' ' | '(' | ')' | '-' | '.' | '/' | ',' | '0'..='9' | 'A'..='Z' => u8::try_from(u32::from(c)).ok(),
        c => {
            let place = KATAKANA.chars().position(|known| known == c)?;
            Some(FIRST + u8::try_from(place).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form_however_it_is_written() {
        for written in ["ヤマダ　サクラ", "ﾔﾏﾀﾞ ｻｸﾗ", "やまだ さくら", " ヤマタ゛ サクラ"]
        {
            let name = katakana(written).expect("a name");
            assert_eq!(name, "ヤマダ サクラ", "{written}");
            // Shift_JIS: ﾔ 0xD4, ﾏ 0xCF, ﾀ 0xC0, ﾞ 0xDE, ｻ 0xBB, ｸ 0xB8, ﾗ 0xD7.
            assert_eq!(half_width(&name), [0xD4, 0xCF, 0xC0, 0xDE, b' ', 0xBB, 0xB8, 0xD7]);
        }
        let name = katakana("ショップ・ヴィーナス（ｶ").expect("a name");
        assert_eq!(half_width(&name), b"\xBC\xD6\xC2\xCC\xDF.\xB3\xDE\xB2-\xC5\xBD(\xB6");
        assert_eq!(katakana("山田"), Err('山'));
        assert_eq!(katakana("ヤマダ!"), Err('!'));
        assert_eq!(half_width("ｱ".nfkc().collect::<String>().as_str()), [0xB1]);
        assert_eq!(half_width("ン"), [0xDD]);
    }
}
