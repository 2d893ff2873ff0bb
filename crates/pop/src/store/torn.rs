//! What a power cut may leave of the journal's last writes, byte by byte.

use super::journal::{Journal, JournalError, Restored};
use freshen_model::ids::{DataId, Epoch, LogId, OrderId, Seq};
use freshen_model::key::Key;
use freshen_model::protocol::follower::{Plan, Saved};
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::secret::SealingKey;
use std::fs;
use std::path::{Path, PathBuf};

const ORDERS: u64 = 6;

pub(super) fn open(folder: &Path) -> Result<(Journal, Restored), JournalError> {
    Journal::open(folder, DataId([1; 16]), SealingKey::derived_from("token"))
}

pub(super) fn order(seq: u64) -> Plan {
    let saved = Saved {
        log: Some(LogId([1; 16])),
        watermark: Seq(seq),
        watermark_id: OrderId([seq as u8; 16]),
        epoch: Epoch::default(),
        ..Saved::default()
    };
    let key = Key::from_parts("a.example", &format!("/{seq}"), None);
    Plan {
        saved,
        rules: vec![(Seq(seq), vec![Rule::new(Matcher::Url { key }, Mode::Evict)])],
        domains: Vec::new(),
        prefetches: Vec::new(),
        steers: Vec::new(),
        cuts: Vec::new(),
        starts_over: false,
        changes_sides: false,
        names: Vec::new(),
    }
}

/// The write-ahead log, and how far it is written.
fn log_of(folder: &Path) -> (PathBuf, Vec<u8>) {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let log = files.filter(|file| file.extension().is_some_and(|kind| kind == "jnl")).max().unwrap();
    let bytes = fs::read(&log).unwrap();
    (log, bytes)
}

/// Crash between rule and watermark: whatever is left of the last batches, a watermark comes with all its rules.
#[test]
fn p1_a_torn_journal_has_no_watermark_ahead_of_its_rules() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let (journal, _) = open(&whole).unwrap();
    for seq in 1..=ORDERS {
        journal.apply(&order(seq), &Default::default()).unwrap();
    }
    let (log, bytes) = log_of(&whole);
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut seen = std::collections::BTreeSet::new();
    for (cut, zeros) in (1..1_000.min(written)).step_by(37).zip([false, true].into_iter().cycle()) {
        let torn = folder.path().join("torn");
        copy(&whole, &torn);
        let kept = written - cut;
        // A file may have been made longer before its bytes came.
        let left = if zeros { [&bytes[..kept], &vec![0; cut]].concat() } else { bytes[..kept].to_vec() };
        fs::write(torn.join(log.file_name().unwrap()), left).unwrap();
        let (_, restored) = open(&torn).unwrap();
        let watermark = restored.saved.watermark;
        let rules: Vec<Seq> = restored.rules.iter().map(|(seq, _)| *seq).collect();
        let applied: Vec<Seq> = (1..=watermark.0).map(Seq).collect();
        assert_eq!(rules, applied, "{cut} bytes are missing");
        seen.insert(watermark);
        fs::remove_dir_all(&torn).unwrap();
    }
    assert!(seen.len() > 2, "the cuts went through several orders: {seen:?}");
}

/// A page in the middle did not get there, those behind it did.
#[test]
fn p1_a_journal_with_a_hole_is_told_from_one_that_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).unwrap();
    for seq in 1..=ORDERS {
        journal.apply(&order(seq), &Default::default()).unwrap();
    }
    drop(journal);
    let (log, mut bytes) = log_of(folder.path());
    let text = bytes.windows(9).position(|text| text == b"watermark").unwrap();
    bytes[text..text + 9].fill(0);
    fs::write(log, bytes).unwrap();
    assert!(open(folder.path()).is_err_and(|error| error.is_damage()));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
