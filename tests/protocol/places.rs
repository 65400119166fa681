//! The places from which the seeded mistakes are looked for.

use crate::faults::Net::{Both, Cluster};
use crate::guards::Clock;
use crate::mistakes::Mistake;
use crate::seeded::Seeded;
use crate::setup::Start::{Alone, Fresh, Returning, Whole};
use crate::setup::{Hitch, Setup, Start};
use crate::state::Broken::{Lost, Outsider, Promise, SecondWriter, Stuck};
use crate::state::Id;
use crate::steps::Move::{self, *};

const NO_CLOCK: Clock = Clock { lost: 0, is_waiting: false, is_patience_over: false };

const IMPATIENT: Clock = Clock { is_patience_over: true, ..NO_CLOCK };

/// A turn of the primary's guard.
const fn guard(id: Id) -> Move {
    Guard(id, NO_CLOCK, None)
}

/// One in which patience is over.
const fn impatient(id: Id) -> Move {
    Guard(id, IMPATIENT, None)
}

/// One in which these have been missing for too long.
const fn loses(id: Id, lost: u8) -> Move {
    Guard(id, Clock { lost, ..NO_CLOCK }, None)
}

/// Both.
const fn gives_up(id: Id, lost: u8) -> Move {
    Guard(id, Clock { lost, ..IMPATIENT }, None)
}

/// Three nodes with one acknowledgement, and so many writes, faults and hitches.
fn three(start: Start, [writes, faults, hitches]: [u8; 3]) -> Setup {
    Setup { start, writes, faults, hitches, ..Setup::three() }
}

fn three_with_two(start: Start, [writes, faults, hitches]: [u8; 3]) -> Setup {
    Setup { start, writes, faults, hitches, ..Setup::three_with_two() }
}

fn two(start: Start, [writes, faults, hitches]: [u8; 3]) -> Setup {
    Setup { start, writes, faults, hitches, ..Setup::two() }
}

/// All of them.
pub fn all() -> Vec<Seeded> {
    [acknowledging(), keeping(), electing(), recording(), succeeding(), sealing()].concat()
}

/// Who acknowledges.
fn acknowledging() -> Vec<Seeded> {
    vec![
        Seeded::new(Mistake::AcknowledgesBeforeEntered, Outsider(0), three(Whole, [1, 1, 0]), &[], 4),
        Seeded::new(Mistake::LifeIgnored, Outsider(0), three(Whole, [1, 1, 0]), &[], 5),
        // db3, which was sealed for db2's promotion, returns to db1, which does not count on it; db2 does.
        Seeded::new(
            Mistake::AcknowledgesToAnother,
            SecondWriter(0),
            three(Returning, [1, 1, 0]),
            &[Part(0, Both), NoticeHere, Begin(1), Seal(2), Gather(1), Heal(true), Review(2), Claim(1, None), Open(1)],
            5,
        )
        .masked_by(&[Mistake::LifeGoesOnAfterSeal, Mistake::ComesBackAcknowledging]),
        Seeded::new(
            Mistake::ComesBackAcknowledging,
            Promise(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Both), Heal(false), impatient(0), Connect(2), loses(0, 2), guard(0)],
            6,
        ),
        // db2 is taken out, and one acknowledgement is promised.
        Seeded::new(
            Mistake::ServerWaitsForLess,
            Promise(0),
            three_with_two(Whole, [1, 1, 0]),
            &[CrashServer(1, false), gives_up(0, 2), gives_up(0, 2), Answer(2, None), gives_up(0, 2)],
            3,
        ),
    ]
}

/// How the primary keeps the set.
fn keeping() -> Vec<Seeded> {
    vec![
        // db1 has gone on alone, and lets db2 in again.
        Seeded::new(
            Mistake::MemberWithoutNote,
            Promise(0),
            two(Returning, [1, 0, 0]),
            &[impatient(0), guard(0), Write(0), Acknowledge(0)],
            4,
        ),
        // Only db2 has what was acknowledged, and is lost.
        Seeded::new(
            Mistake::TakeOutWithoutNote,
            Promise(0),
            three(Whole, [1, 1, 0]),
            &[Write(0), Receive(1), Acknowledge(0), CrashMachine(1, false)],
            3,
        ),
        Seeded::new(
            Mistake::TakeOutByOldNote,
            Promise(0),
            three(Whole, [1, 1, 0]),
            &[Write(0), Receive(1), Acknowledge(0), CrashMachine(1, false)],
            4,
        ),
        // db2 hears of nothing any more, and its receiver goes on.
        Seeded::new(
            Mistake::TakeOutBeforeCut,
            Promise(0),
            three(Whole, [1, 1, 0]),
            &[Part(1, Cluster), NoticeHere, loses(0, 2), loses(0, 2)],
            5,
        ),
        Seeded::new(Mistake::EffectBeforeCib, Promise(0), three(Returning, [1, 0, 1]), &[], 4),
        // db1 goes on alone, and a write is under way when it notes where it is.
        Seeded::new(
            Mistake::NoteWithoutWaiting,
            Promise(0),
            three_with_two(Returning, [1, 0, 0]),
            &[impatient(0), guard(0), Write(0), Answer(1, None)],
            5,
        ),
    ]
}

/// Who is promoted, and what with.
fn electing() -> Vec<Seeded> {
    let in_vain = [Write(0), Acknowledge(0), CrashServer(0, false), Start(0), Begin(0), Seal(1), Seal(2), Gather(0)];
    let twice = [&in_vain[..], &[Claim(0, None), Open(0), CrashServer(0, false), Begin(1)]].concat();
    vec![
        // db1 was promoted again, and the others had less; they have nothing more when it is lost.
        Seeded::new(Mistake::JoiningCountsAsMember, Lost(0), three(Alone, [1, 2, 0]), &twice, 5),
        Seeded::new(Mistake::FoundAllMembers, Lost(0), three(Alone, [1, 2, 0]), &twice, 5),
        // Only db2 has what was acknowledged, and both are lost.
        Seeded::new(
            Mistake::NeededOneLess,
            Lost(0),
            three(Whole, [1, 2, 0]),
            &[Write(0), Receive(1), Acknowledge(0), CrashServer(1, false), CrashServer(0, false)],
            6,
        ),
        Seeded::new(Mistake::PromotesOverAlone, Lost(0), three(Alone, [1, 1, 0]), &[Write(0), Acknowledge(0)], 7),
        Seeded::new(Mistake::NoFetch, Lost(0), three(Whole, [1, 1, 0]), &[Write(0), Receive(1), Acknowledge(0)], 7),
        // What db3 told for the promotion of db1, which was cut off, is older than what it received from db2.
        Seeded::new(
            Mistake::StaleSealBelieved,
            SecondWriter(0),
            three(Fresh, [1, 2, 1]),
            &[
                Begin(0),
                Seal(1),
                Part(0, Cluster),
                Seal(2),
                NoticeHere,
                Begin(1),
                Heal(false),
                Seal(2),
                Gather(1),
                Claim(1, None),
                Open(1),
                Write(1),
                Review(2),
            ],
            5,
        ),
        // db1 is back while db2 is being promoted, and decides to go on alone.
        Seeded::new(
            Mistake::OpensBeforeClaim,
            Lost(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Cluster), NoticeHere, Begin(1), Heal(false), Seal(2), Gather(1), Write(0), impatient(0)],
            4,
        ),
    ]
}

/// What is on record.
fn recording() -> Vec<Seeded> {
    vec![
        Seeded::new(Mistake::OwnCopyBelieved, Promise(0), two(Returning, [1, 1, 1]), &[], 7),
        // db1 is cut off while it writes that it is alone.
        Seeded::new(
            Mistake::UnconfirmedTaken,
            Lost(0),
            two(Returning, [1, 1, 1]),
            &[Guard(0, IMPATIENT, Some(Hitch::SlowCib)), Part(0, Both), Apply(0), Confirm(0), NoticeHere],
            8,
        ),
        // db1 goes on alone when it was just cut off.
        Seeded::new(
            Mistake::WritesWithoutAsking,
            SecondWriter(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Both), impatient(0)],
            10,
        )
        .masked_by(&[Mistake::ClaimDoesNotOutrank]),
        // db1 is back while db2 claims.
        Seeded::new(
            Mistake::UnconditionalWrite,
            SecondWriter(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Both), NoticeHere, Begin(1), Seal(2), Heal(true), Gather(1), Claim(1, None)],
            6,
        ),
        // db1 is back before db2 claims, and may yet change the set.
        Seeded::new(
            Mistake::ConditionOnEpochOnly,
            Lost(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Cluster), NoticeHere, Begin(1), Heal(false), Seal(2), Gather(1), Write(0)],
            5,
        ),
        // db1 is promoted again after a switch-over that came to nothing.
        Seeded::new(
            Mistake::EpochNotedBeforeClaim,
            Stuck,
            three(Returning, [1, 2, 0]),
            &[SwitchOver(0), RecordClosed(0, None), Begin(0), Seal(1), Seal(2)],
            3,
        ),
    ]
}

/// Who is the primary after another, and who no more.
fn succeeding() -> Vec<Seeded> {
    vec![
        // What db1 wrote when it was just cut off wins, although db3 has followed db2.
        Seeded::new(
            Mistake::EpochForgotten,
            SecondWriter(0),
            three(Returning, [1, 1, 1]),
            &[
                Answer(2, None),
                guard(0),
                Answer(2, None),
                Guard(0, NO_CLOCK, Some(Hitch::SlowCib)),
                Part(0, Both),
                Apply(0),
                NoticeHere,
                Begin(1),
                Seal(2),
                Gather(1),
                Claim(1, None),
                Open(1),
                Review(2),
                Write(0),
                Heal(true),
            ],
            3,
        )
        .masked_by(&[Mistake::ClaimDoesNotOutrank, Mistake::ComesBackAcknowledging]),
        // What db1 wrote when it was just cut off is in its own copy only, which wins against db2's promotion.
        Seeded::new(
            Mistake::ClaimDoesNotOutrank,
            SecondWriter(0),
            three(Returning, [1, 1, 1]),
            &[
                Guard(0, IMPATIENT, Some(Hitch::SlowCib)),
                Part(0, Both),
                Apply(0),
                NoticeHere,
                Begin(1),
                Seal(2),
                Gather(1),
                Claim(1, None),
                Open(1),
            ],
            5,
        ),
        // db1 is cut off from the cluster, another one is promoted, and both are called promoted when it is back.
        Seeded::new(Mistake::FollowsAnyPrimary, Stuck, three(Whole, [1, 1, 0]), &[Part(0, Cluster), NoticeHere], 4),
        Seeded::new(Mistake::OldPrimaryStays, Stuck, three(Whole, [1, 1, 0]), &[Part(0, Cluster), NoticeHere], 4),
        // db1 is back, and hears of db2.
        Seeded::new(
            Mistake::DeafToNewerPromotion,
            SecondWriter(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Both), NoticeHere, Begin(1), Seal(2), Gather(1), Claim(1, None), Open(1), guard(1), Heal(false)],
            5,
        )
        .masked_by(&[Mistake::UnconditionalWrite]),
    ]
}

/// What a survivor promises.
fn sealing() -> Vec<Seeded> {
    let sealed = [Part(0, Both), NoticeHere, Begin(1), Seal(2), Gather(1), Heal(true)];
    vec![
        // db2 tells what it has, and db1 still writes.
        Seeded::new(
            Mistake::NoSeal,
            Lost(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Cluster), NoticeHere, Begin(2), Seal(1), Write(0)],
            5,
        ),
        // db3 has promised itself to db2, which is being promoted, when db1 is back.
        Seeded::new(Mistake::LifeGoesOnAfterSeal, SecondWriter(0), three(Whole, [1, 1, 0]), &sealed, 6),
        // db2 tells what it has, and follows db1 again, which is back.
        Seeded::new(
            Mistake::NoUnseal,
            Lost(0),
            three(Whole, [1, 1, 0]),
            &[Part(0, Cluster), NoticeHere, Write(0), Begin(2), Seal(1), Heal(true), Review(1)],
            5,
        )
        .masked_by(&[Mistake::LifeGoesOnAfterSeal]),
        // The guard of db3 is about to let it acknowledge when db2 is to be promoted.
        Seeded::new(
            Mistake::SealsWithoutTurn,
            SecondWriter(0),
            three(Returning, [1, 1, 1]),
            &[
                Answer(2, None),
                guard(0),
                Answer(2, None),
                guard(0),
                Answer(2, Some(Hitch::Hesitation)),
                Part(0, Cluster),
                NoticeHere,
                Write(0),
                Begin(1),
            ],
            8,
        ),
    ]
}
