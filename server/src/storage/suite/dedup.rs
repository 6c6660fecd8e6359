//! The same message sent again.

use super::{Appended, Fingerprint, Harness, LogSettings, ROOMY, Subject, entry};

const FIRST: Fingerprint = Fingerprint { key: 0x0123_4567_89ab_cdef_0011_2233_4455_6677, content: 42 };

impl Subject<'_> {
    fn send(&mut self, fingerprint: Fingerprint) -> Appended {
        self.append_as(entry(&self.topic, "1", 0), Some(fingerprint))
    }

    /// Sends what must be stored, and gives the answer that a duplicate of it gets.
    fn send_fresh(&mut self, fingerprint: Fingerprint) -> Appended {
        let answer = self.send(fingerprint);
        let (Appended::Stored { position, .. } | Appended::Unheld { position, .. }) = answer else { panic!("{answer:?} to a message that is new") };
        Appended::Duplicate { position }
    }
}

pub(super) fn the_same_again_is_a_duplicate(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    log.append("0");
    let duplicate = log.send_fresh(FIRST);
    log.append("2");
    assert_eq!(log.send(FIRST), duplicate, "the answer names the first one's place");
    assert_eq!(log.send(FIRST), duplicate);
    assert_eq!(log.held(), [1, 2, 3], "it is stored once");
}

pub(super) fn the_same_id_with_another_content_is_a_conflict(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let duplicate = log.send_fresh(FIRST);
    assert_eq!(log.send(Fingerprint { content: 43, ..FIRST }), Appended::Conflict);
    assert_eq!(log.send(FIRST), duplicate, "a conflict changes nothing");
    log.send_fresh(Fingerprint { key: FIRST.key + 1, ..FIRST });
    log.send_fresh(Fingerprint { key: FIRST.key ^ (1 << 127), ..FIRST });
    assert_eq!(log.held(), [1, 2, 3]);
}

pub(super) fn without_a_fingerprint_all_is_stored(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    log.append("1");
    log.append("1");
    assert_eq!(log.held(), [1, 2]);
}

pub(super) fn the_window_ends(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { dedup_ms: 1_000, ..ROOMY });
    let duplicate = log.send_fresh(FIRST);
    log.harness.pass(999);
    assert_eq!(log.send(FIRST), duplicate);
    log.harness.pass(1);
    // The question in between did not make the window longer.
    let later = log.send_fresh(FIRST);
    assert_ne!(later, duplicate);
    log.harness.pass(999);
    assert_eq!(log.send(FIRST), later);
    assert_eq!(log.held(), [1, 2]);
}

pub(super) fn ids_are_remembered_longer_than_entries(harness: &mut dyn Harness) {
    for settings in [LogSettings { messages_max: 0, ..ROOMY }, LogSettings { messages_max: 1, ..ROOMY }, LogSettings { age_ms_max: 10, ..ROOMY }] {
        let mut log = Subject::open(harness, &settings);
        let duplicate = log.send_fresh(FIRST);
        log.append("2");
        log.harness.pass(10);
        assert_eq!(log.send(FIRST), duplicate, "{settings:?}");
        assert_eq!(log.state().head.seq, 2);
    }
}

pub(super) fn ids_are_forgotten_with_their_log(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let before = log.send_fresh(FIRST);
    log.harness.delete(&log.topic).expect("an open log is deleted");
    log.harness.open(&log.topic, &ROOMY).expect("a deleted topic opens anew");
    let after = log.send_fresh(FIRST);
    assert_ne!(after, before, "the place is of the new epoch");
    assert_eq!(log.send(FIRST), after);
}

pub(super) fn the_latest_ids_are_remembered(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { dedup_entries_max: 10, ..ROOMY });
    let fingerprint = |number: u128| Fingerprint { key: FIRST.key.wrapping_mul(2 * number + 1), ..FIRST };
    let answers: Vec<_> = (0..100).map(|number| log.send_fresh(fingerprint(number))).collect();
    for number in 90..100 {
        assert_eq!(log.send(fingerprint(number)), answers[number as usize]);
    }
    assert_eq!(log.state().head.seq, 100);
}
