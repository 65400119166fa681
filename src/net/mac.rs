//! An Ethernet address. Pure.

use std::fmt;

/// Six bytes, of which the first three are the maker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_people_write_it() {
        assert_eq!(Mac([2, 0, 10, 77, 0, 1]).to_string(), "02:00:0a:4d:00:01");
    }
}
