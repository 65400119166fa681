//! Seeded mistakes: each is a rule of the product left out, by a switch around a decision or in how it is carried out. The
//! search must find what each does, or finding nothing elsewhere is worth nothing.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A survivor tells a position as sealed and goes on receiving (objection 1).
    NoSeal,
    /// A replica acknowledges as soon as it is attached, before it is entered.
    AcknowledgesBeforeEntered,
    /// A replica acknowledges to its source because another primary counts on it.
    AcknowledgesToAnother,
    /// A joining replica becomes a member without having received a note.
    MemberWithoutNote,
    /// A replica is taken out without the others having received a note.
    TakeOutWithoutNote,
    /// The note that was taken before a replica was lost is good for taking it out.
    TakeOutByOldNote,
    /// A replica is taken out while its connection goes on.
    TakeOutBeforeCut,
    /// The server's count is lowered before the set is in the CIB.
    EffectBeforeCib,
    /// Another life of a server's counts as the one that is on record.
    LifeIgnored,
    /// A joining replica counts as a member in an election.
    JoiningCountsAsMember,
    /// One less must be there at a promotion.
    NeededOneLess,
    /// A promotion over a primary that was alone (objection 10).
    PromotesOverAlone,
    /// What another survivor has more is not fetched.
    NoFetch,
    /// A note's position leaves out what waits for its acknowledgement (objection 6).
    NoteWithoutWaiting,
    /// A write that only this node's copy of the CIB has is taken for confirmed.
    UnconfirmedTaken,
    /// The record in the own copy of the CIB is believed without asking a majority.
    OwnCopyBelieved,
    /// A record is written without asking a majority first whether it is reached.
    WritesWithoutAsking,
    /// A primary that hears of a newer promotion goes on.
    DeafToNewerPromotion,
    /// A replica follows whoever is promoted, on record or not.
    FollowsAnyPrimary,
    /// The data note a promotion that may never come to be on record.
    EpochNotedBeforeClaim,
    /// A primary that is not the one on record goes on.
    OldPrimaryStays,
    /// A write replaces whatever record there is (objection 4).
    UnconditionalWrite,
    /// A write replaces any record of the epoch from which it was decided.
    ConditionOnEpochOnly,
    /// Of two copies of the CIB the one with more writes wins, whichever of them has the promotion that took place.
    ClaimDoesNotOutrank,
    /// A position counts that was told for an older promotion.
    StaleSealBelieved,
    /// A survivor that returns to an older promotion than the one that it was sealed for is still the same instance.
    LifeGoesOnAfterSeal,
    /// A survivor receives again without taking back what it told.
    NoUnseal,
    /// Who has less than the new primary is a member at once.
    FoundAllMembers,
    /// The data do not remember the newest promotion (objection 4).
    EpochForgotten,
    /// A replica that was taken out comes back with its acknowledgements on, and they count (objection 5).
    ComesBackAcknowledging,
    /// The server waits for fewer than the record says.
    ServerWaitsForLess,
    /// A claim is not written before the server is opened.
    OpensBeforeClaim,
    /// A survivor is sealed while the guard is in the middle of a turn.
    SealsWithoutTurn,
}

/// All of them.
pub const ALL: &[Mistake] = &[
    Mistake::NoSeal,
    Mistake::AcknowledgesBeforeEntered,
    Mistake::AcknowledgesToAnother,
    Mistake::MemberWithoutNote,
    Mistake::TakeOutWithoutNote,
    Mistake::TakeOutByOldNote,
    Mistake::TakeOutBeforeCut,
    Mistake::EffectBeforeCib,
    Mistake::LifeIgnored,
    Mistake::JoiningCountsAsMember,
    Mistake::NeededOneLess,
    Mistake::PromotesOverAlone,
    Mistake::NoFetch,
    Mistake::NoteWithoutWaiting,
    Mistake::UnconfirmedTaken,
    Mistake::OwnCopyBelieved,
    Mistake::WritesWithoutAsking,
    Mistake::DeafToNewerPromotion,
    Mistake::FollowsAnyPrimary,
    Mistake::EpochNotedBeforeClaim,
    Mistake::OldPrimaryStays,
    Mistake::UnconditionalWrite,
    Mistake::ConditionOnEpochOnly,
    Mistake::ClaimDoesNotOutrank,
    Mistake::StaleSealBelieved,
    Mistake::LifeGoesOnAfterSeal,
    Mistake::NoUnseal,
    Mistake::FoundAllMembers,
    Mistake::EpochForgotten,
    Mistake::ComesBackAcknowledging,
    Mistake::ServerWaitsForLess,
    Mistake::OpensBeforeClaim,
    Mistake::SealsWithoutTurn,
];
