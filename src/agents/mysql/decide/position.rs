//! What an instance tells the others about what it has, when there is no primary or one is about to be promoted.

use std::fmt;

use crate::gtid::GtidSet;
use crate::server::rows::parse_gtids;
use crate::server::version::Vendor;

/// A position, told for one promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The epoch of the promotion that it is told for: what was told for an older one counts for nothing.
    pub epoch: u64,
    /// Nothing more is received, and nothing acknowledged to an older primary, until the promotion is over
    /// (objection 1).
    pub sealed: bool,
    /// The life of its server: what an earlier one had received may be gone.
    pub life: String,
    /// Everything that it has received, or why it takes no part.
    pub has: Result<GtidSet, String>,
}

impl Told {
    /// Reads what a node told.
    ///
    /// # Errors
    /// A text of another form.
    pub fn parse(vendor: Vendor, text: &str) -> Result<Self, String> {
        let mut words = text.splitn(5, ' ');
        let broken = || format!("'{text}' is not a position");
        let epoch = words.next().and_then(|epoch| epoch.parse().ok()).ok_or_else(broken)?;
        let sealed = words.next().ok_or_else(broken)? == "sealed";
        let life = words.next().ok_or_else(broken)?.to_string();
        let has = match words.next() {
            Some("has") => Ok(parse_gtids(vendor, words.next().unwrap_or_default())?),
            Some("excluded") => Err(words.next().unwrap_or_default().to_string()),
            _ => return Err(broken()),
        };
        Ok(Self { epoch, sealed, life, has })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = if self.sealed { "sealed" } else { "open" };
        write!(formatter, "{} {sealed} {} ", self.epoch, self.life)?;
        match &self.has {
            Ok(set) => write!(formatter, "has {set}"),
            Err(why) => write!(formatter, "excluded {}", why.replace('"', "'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_told() {
        for has in [Ok("0-1-7,1-2-3"), Ok(""), Err("its SQL thread stopped")] {
            let has = has.map(|set| parse_gtids(Vendor::MariaDb, set).expect("valid")).map_err(str::to_string);
            let told = Told { epoch: 4, sealed: true, life: "a1".into(), has };
            assert_eq!(Told::parse(Vendor::MariaDb, &told.to_string()), Ok(told));
        }
    }

    #[test]
    fn convention_19_what_was_told_for_an_older_promotion_or_before_sealing_can_be_told_apart() {
        // Private attributes arrive late: promote polls until it sees this epoch, sealed.
        let read = |text: &str| Told::parse(Vendor::MariaDb, text).map(|told| (told.epoch, told.sealed));
        assert_eq!(read("3 sealed a1 has 0-1-7"), Ok((3, true)));
        assert_eq!(read("4 open a1 has 0-1-7"), Ok((4, false)));
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(Told::parse(Vendor::MySql, "").is_err());
        assert!(Told::parse(Vendor::MySql, "x sealed a1 has ").is_err());
        assert!(Told::parse(Vendor::MySql, "4 sealed a1 has nonsense").is_err());
    }
}
