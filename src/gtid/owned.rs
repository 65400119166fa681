//! MySQL's `gtid_owned`: what sessions are writing at this moment, in a notation of its own. Pure.
//!
//! `uuid:5#17:4#16` are the transactions 5 and 4, owned by the threads 17 and 16. The next UUID follows without any
//! separator (`uuid:3#15uuid:1#18`: the thread is 15, and a UUID has 36 characters), as does the same UUID with a tag
//! (`uuid:tag:1#18`); both captured from 9.7.4.

use super::GtidError;
use super::mysql::Set;

/// The length of a UUID.
const UUID: usize = 36;

/// Reads `gtid_owned` without the owners. Empty text is the empty set.
pub fn parse(text: &str) -> Result<Set, GtidError> {
    let mut parts = text.trim().split(':').map(str::trim);
    let mut source = parts.next().unwrap_or_default().to_string();
    if source.is_empty() {
        return Set::parse("");
    }
    let mut tag = "";
    let mut is_wanting = true;
    let mut entries = Vec::new();
    for part in parts {
        let Some((number, owner)) = part.split_once('#') else {
            tag = part;
            continue;
        };
        let tag_part = if tag.is_empty() { String::new() } else { format!(":{tag}") };
        entries.push(format!("{source}{tag_part}:{number}"));
        is_wanting = false;
        let (thread, next) = split_owner(owner);
        super::parse_number::<u64>("thread's number", thread)?;
        if let Some(next) = next {
            source = next.to_string();
            tag = "";
            is_wanting = true;
        }
    }
    if is_wanting {
        return Err(GtidError::NoInterval(GtidError::excerpt(&source)));
    }
    Set::parse(&entries.join(","))
}

/// The owner's number, and the UUID that may follow it.
fn split_owner(text: &str) -> (&str, Option<&str>) {
    let start = text.len().saturating_sub(UUID);
    match text.get(start..) {
        Some(uuid) if uuid.contains('-') => (text[..start].trim_end_matches([',', '\n', ' ']), Some(uuid)),
        _ => (text, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const A: &str = "06aaedca-e5a6-11f1-8aa2-a285b3f09a35";
    const B: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn owned(text: &str) -> String {
        let set = parse(&text.replace('A', A).replace('B', B)).unwrap();
        set.to_string().replace(A, "A").replace(B, "B")
    }

    #[test]
    fn owners_are_no_part_of_the_set() {
        assert_eq!(owned("A:3#12"), "A:3");
        assert_eq!(owned("A:5#17:4#16:3#15"), "A:3-5");
        assert_eq!(owned(""), "");
    }

    #[test]
    fn a_uuid_that_follows_an_owner_without_a_separator_is_found() {
        // As 9.7.4 wrote it: thread 15, then a UUID that begins with digits as well.
        assert_eq!(owned("A:5#17:4#16:3#15A:tag_a:1#18"), "A:3-5:tag_a:1");
        assert_eq!(owned("B:7#4294967295A:1#2"), "A:1,B:7");
        assert_eq!(owned("B:tag:7#8A:1#2"), "A:1,B:tag:7");
    }

    #[test]
    fn a_separator_where_a_later_version_writes_one_is_harmless() {
        assert_eq!(owned("B:7#4,\nA:1#2"), "A:1,B:7");
    }

    #[test]
    fn what_is_not_owned_by_a_thread_is_refused() {
        for text in ["A", "A:tag", "A:1", "A:x#1", "A:1#x", "x:1#1", "A:1#1B"] {
            let text = text.replace('A', A).replace('B', B);
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
