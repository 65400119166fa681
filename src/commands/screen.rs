//! How text is laid out on a screen. Pure.

/// The text in lines of at most so many columns, but for longer words.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_it_may_be_and_no_word_is_lost() {
        let lines = wrap("a text  of some\nwords, and averyveryverylongone at its end", 12);
        assert_eq!(lines, ["a text of", "some words,", "and", "averyveryverylongone", "at its end"]);
        assert!(wrap(" ", 5).is_empty());
    }
}
