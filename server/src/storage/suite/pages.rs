//! Reading: pages in both directions, bounds by seq and by time.

use arqonbus_protocol::Direction;
use bytes::Bytes;

use super::{ALL, Bound, Harness, ROOMY, ReadRange, Subject, UNIX_MS, seq, seqs, time};

pub(super) fn reading_an_empty_log(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    for direction in [Direction::Forward, Direction::Backward] {
        for (since, until) in [(None, None), (seq(0), None), (seq(7), seq(9)), (time(0), None), (None, time(UNIX_MS))] {
            let page = log.page(ReadRange { since, until, direction, ..ALL });
            assert_eq!((page.entries.len(), page.more, page.state), (0, false, log.opened));
        }
    }
}

pub(super) fn forward_pages_cover_exactly(harness: &mut dyn Harness) {
    let (mut log, all) = trimmed_log(harness);
    for limit in [1, 7, 30, 31] {
        let range = ReadRange { limit, ..ALL };
        assert_eq!(log.pages(range, |range, last| range.since = seq(last)), all, "pages of {limit}");
    }
}

pub(super) fn backward_pages_cover_exactly(harness: &mut dyn Harness) {
    let (mut log, mut all) = trimmed_log(harness);
    all.reverse();
    for limit in [1, 7, 30, 31] {
        let range = ReadRange { limit, direction: Direction::Backward, ..ALL };
        assert_eq!(log.pages(range, |range, last| range.until = seq(last - 1)), all, "pages of {limit}");
    }
}

impl Subject<'_> {
    /// Page after page, where `go_on` moves the range behind the last seq of a page.
    fn pages(&mut self, mut range: ReadRange, go_on: impl Fn(&mut ReadRange, u64)) -> Vec<(u64, Bytes)> {
        let mut entries = Vec::new();
        // Each page has an entry, so that a store which never comes to an end is found out here.
        for _ in 0..100 {
            let page = self.page(range);
            assert!(page.entries.len() <= range.limit, "a page of {} has {}", range.limit, page.entries.len());
            entries.extend(page.entries.clone());
            let Some((last, _)) = page.entries.last().filter(|_| page.more) else { return entries };
            go_on(&mut range, *last);
        }
        panic!("more than 100 pages");
    }
}

/// A log that holds 11 to 40 of 40.
fn trimmed_log(harness: &mut dyn Harness) -> (Subject<'_>, Vec<(u64, Bytes)>) {
    let mut log = Subject::open(harness, &super::LogSettings { messages_max: 30, ..ROOMY });
    let mut all: Vec<_> = (1..=40).map(|number| log.append(&number.to_string())).map(|(position, body)| (position.seq, body)).collect();
    all.drain(..10);
    (log, all)
}

pub(super) fn bounds_by_seq(harness: &mut dyn Harness) {
    let (mut log, _) = trimmed_log(harness);
    let table: &[(Option<u64>, Option<u64>, &[u64])] = &[
        (Some(37), None, &[38, 39, 40]),
        (Some(37), Some(39), &[38, 39]),
        (None, Some(13), &[11, 12, 13]),
        (Some(0), Some(12), &[11, 12]),
        (Some(10), Some(11), &[11]),
        (None, Some(10), &[]),
        (Some(40), None, &[]),
        (Some(41), Some(50), &[]),
        (Some(20), Some(20), &[]),
        (Some(30), Some(20), &[]),
        (Some(39), Some(u64::MAX), &[40]),
        (Some(u64::MAX), None, &[]),
    ];
    for (since, until, expected) in table {
        let range = ReadRange { since: since.map(Bound::Seq), until: until.map(Bound::Seq), ..ALL };
        let page = log.page(range);
        assert_eq!((seqs(&page).as_slice(), page.more), (*expected, false), "since {since:?} until {until:?}");
        let mut back = seqs(&log.page(ReadRange { direction: Direction::Backward, ..range }));
        back.reverse();
        assert_eq!(back, *expected, "backward, since {since:?} until {until:?}");
    }
}

pub(super) fn bounds_by_time(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    for ms in [10, 20, 20, 30] {
        log.append_at("0", UNIX_MS + ms);
    }
    let table: &[(Option<u64>, Option<u64>, &[u64])] = &[
        (Some(9), None, &[1, 2, 3, 4]),
        (Some(10), None, &[2, 3, 4]),
        (Some(20), None, &[4]),
        (Some(30), None, &[]),
        (None, Some(9), &[]),
        (None, Some(10), &[1]),
        (None, Some(20), &[1, 2, 3]),
        (Some(10), Some(20), &[2, 3]),
        (Some(15), Some(100), &[2, 3, 4]),
        (Some(30), Some(10), &[]),
    ];
    for (since, until, expected) in table {
        let range = ReadRange { since: since.and_then(|ms| time(UNIX_MS + ms)), until: until.and_then(|ms| time(UNIX_MS + ms)), ..ALL };
        assert_eq!(seqs(&log.page(range)), *expected, "since {since:?} until {until:?}");
    }
    let mixed = ReadRange { since: seq(1), until: time(UNIX_MS + 20), ..ALL };
    assert_eq!(seqs(&log.page(mixed)), [2, 3]);
}

pub(super) fn a_clock_set_back_loses_and_repeats_nothing(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    for ms in [10, 50, 20, 30, 60] {
        log.append_at("0", UNIX_MS + ms);
    }
    for ms in 0..70 {
        let until = seqs(&log.page(ReadRange { until: time(UNIX_MS + ms), ..ALL }));
        let since = seqs(&log.page(ReadRange { since: time(UNIX_MS + ms), ..ALL }));
        assert_eq!([until, since].concat(), [1, 2, 3, 4, 5], "cut at {ms}");
    }
    let since = log.page(ReadRange { since: time(UNIX_MS + 30), ..ALL });
    assert_eq!(seqs(&since), [2, 3, 4, 5], "from the first later entry on, in order of seq");
}

pub(super) fn a_page_ends_at_its_bytes_but_gives_one(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let payload = format!("\"{}\"", "x".repeat(1_000));
    let sizes: Vec<usize> = (0..6).map(|_| log.append(&payload).1.len()).collect();
    let two = sizes[0] + sizes[1];
    for (bytes_max, count) in [(0, 1), (1, 1), (two - 1, 1), (two, 2), (two + 1, 2), (usize::MAX, 6)] {
        for direction in [Direction::Forward, Direction::Backward] {
            let page = log.page(ReadRange { bytes_max, direction, ..ALL });
            assert_eq!((page.entries.len(), page.more), (count, count < 6), "{bytes_max} bytes");
        }
    }
    let page = log.page(ReadRange { limit: 0, ..ALL });
    assert_eq!((page.entries.len(), page.more), (0, true), "a page of none says that there are some");
}
