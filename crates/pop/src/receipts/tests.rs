use super::*;
use freshen_model::ids::{OrderId, TaskId};
use freshen_model::key::Key;
use freshen_model::rule::{Matcher, Mode};
use std::os::unix::fs::PermissionsExt;

fn pop() -> freshen_model::ids::PopId {
    "pop-a".parse().unwrap()
}

fn receipts() -> Receipts {
    let key = SigningKey::from_seed(&[1; 32]);
    Receipts::new(key, RestoredOwed::default(), &[], Epoch(1), Seq::ZERO)
}

fn rules() -> Vec<Rule> {
    vec![Rule::new(Matcher::Url { key: Key::from_parts("a.example", "/a", None) }, Mode::Evict)]
}

/// Orders that come together; the moment is not there, as if too many waited.
fn apply(receipts: &Receipts, seqs: impl IntoIterator<Item = u64>) {
    let purge = |seq| Order {
        seq: Seq(seq),
        id: OrderId([seq as u8; 16]),
        body: Body::Purge { task: Some(TaskId(seq)), rules: rules(), cut: false },
    };
    let orders: Vec<Order> = seqs.into_iter().map(purge).collect();
    let watermark = orders.last().unwrap().seq;
    let (owed, orders) = owed_for(LogId([1; 16]), orders, watermark);
    receipts.applied(owed, Applied { moment: None, epoch: Epoch(1), orders, exact: true });
}

fn count(receipts: &Receipts, evicted: u64) {
    while let Some(applied) = receipts.to_count() {
        let count = Count { objects: 1, evicted_objects: evicted, exact: true, ..Count::default() };
        let counts = applied.orders.iter().map(|(seq, _)| (*seq, count)).collect();
        receipts.counted(receipts.with_counts(counts));
    }
}

/// What is told, a letter each with its order: confirmed, accounted, and accounted with what was deleted.
fn told(statements: &[Statement]) -> Vec<String> {
    let word = |statement: &Statement| match statement {
        Statement::Confirmed(confirmed) => format!("c{}", confirmed.order.seq),
        Statement::Accounted(a) => format!("{}{}", if a.reclaimed { 'r' } else { 'a' }, a.order.seq),
        Statement::StartedOver(over) => format!("o{}", over.seq),
        Statement::Certificate(_) => unreachable!(),
    };
    statements.iter().map(word).collect()
}

#[test]
fn an_order_is_owed_until_control_has_all_of_it() {
    let receipts = receipts();
    let next = || told(&receipts.to_tell(&pop()).unwrap());
    assert!(next().is_empty(), "the key is made known at the start");
    receipts.told(&[]);
    assert!(receipts.to_tell(&pop()).is_none());
    apply(&receipts, [1, 2]);
    assert_eq!(next(), ["c1", "c2"]);
    assert_eq!(next(), ["c1", "c2"], "until it is acknowledged");
    let confirmed = receipts.to_tell(&pop()).unwrap();
    // Counted while the message is on its way.
    count(&receipts, 1);
    assert_eq!(receipts.told(&confirmed), []);
    assert_eq!(next(), ["a1", "a2"]);
    let accounted = receipts.to_tell(&pop()).unwrap();
    receipts.swept(Seq(1));
    assert_eq!(receipts.told(&accounted), []);
    let reclaimed = receipts.to_tell(&pop()).unwrap();
    assert_eq!(told(&reclaimed), ["r1"], "the count again, with what was deleted meanwhile");
    assert_eq!(receipts.told(&reclaimed), [Seq(1)]);
    assert!(receipts.to_tell(&pop()).is_none());
    receipts.swept(Seq(2));
    assert_eq!(receipts.told(&receipts.to_tell(&pop()).unwrap()), [Seq(2)]);
}

#[test]
fn what_evicts_nothing_is_told_once() {
    let receipts = receipts();
    apply(&receipts, [1]);
    assert_eq!(receipts.first_uncounted(), Some(Seq(1)));
    count(&receipts, 0);
    assert_eq!(receipts.first_uncounted(), None);
    let statements = receipts.to_tell(&pop()).unwrap();
    assert_eq!(told(&statements), ["c1", "r1"]);
    assert_eq!(receipts.told(&statements), [Seq(1)]);
}

#[test]
fn a_message_has_its_limit_and_the_rest_follows() {
    let receipts = receipts();
    apply(&receipts, 1..=1_000);
    count(&receipts, 0);
    let (mut settled, mut messages) = (0, 0);
    while let Some(statements) = receipts.to_tell(&pop()) {
        assert!(statements.len() <= STATEMENTS_MAX);
        settled += receipts.told(&statements).len();
        messages += 1;
    }
    assert_eq!((settled, messages), (1_000, 4));
}

#[test]
fn starting_over_leaves_nothing_owed_but_the_word_of_it() {
    let receipts = receipts();
    receipts.told(&[]);
    apply(&receipts, [1]);
    let late = receipts.to_count().unwrap();
    let early = receipts.to_tell(&pop()).unwrap();
    let (log, order) = (LogId([1; 16]), OrderId([9; 16]));
    receipts.started_over(StartedOver { pop: pop(), log, seq: Seq(5), order, at_ms: 1 });
    assert_eq!(receipts.first_uncounted(), None);
    // What was under way for an order of before finds nothing any more.
    let count = Count { objects: 1, ..Count::default() };
    receipts.counted(receipts.with_counts(vec![(late.orders[0].0, count)]));
    assert_eq!(receipts.told(&early), []);
    let statements = receipts.to_tell(&pop()).unwrap();
    assert_eq!(told(&statements), ["o5"]);
    receipts.told(&statements);
    assert!(receipts.to_tell(&pop()).is_none());
}

#[test]
fn too_many_moments_make_one_that_is_told_as_at_least() {
    let receipts = receipts();
    for seq in 1..=(MOMENTS_MAX as u64 + 3) {
        apply(&receipts, [seq]);
    }
    let waiting: Vec<_> = std::iter::from_fn(|| receipts.to_count()).collect();
    assert_eq!(waiting.len(), MOMENTS_MAX);
    let (last, exact) = waiting.split_last().unwrap();
    assert!(exact.iter().all(|applied| applied.exact && applied.orders.len() == 1));
    assert_eq!((last.exact, last.orders.len()), (false, 4));
}

#[test]
fn a_restart_counts_again_what_was_not_counted_and_tells_all_again() {
    let owed = |seq: u64, counted: Option<(Count, i64)>| {
        let (log, order) = (LogId([1; 16]), OrderId([seq as u8; 16]));
        let digest = counted.map(|_| Digest([1; 32]));
        let (task, watermark) = (TaskId(seq), Seq(seq));
        (Seq(seq), Owed { log, order, task, applied_ms: 1, watermark, rules: 1, digest, counted })
    };
    let count = Count { objects: 1, exact: true, ..Count::default() };
    let orders = vec![owed(1, Some((count, 5))), owed(2, None)];
    let restored = RestoredOwed { orders, started_over: None };
    let live = [(Seq(1), rules()), (Seq(2), rules())];
    let receipts = Receipts::new(SigningKey::from_seed(&[1; 32]), restored, &live, Epoch(1), Seq::ZERO);
    assert_eq!(told(&receipts.to_tell(&pop()).unwrap()), ["c1", "r1", "c2"]);
    let again = receipts.to_count().unwrap();
    assert!(again.moment.is_none() && !again.exact, "what left before the restart is not known");
    assert_eq!(again.orders.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [Seq(2)]);
    assert_eq!(again.orders[0].1.as_ref(), rules());
}

#[test]
fn the_key_is_made_once_and_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("receipt.key");
    let made = key_in(&file).unwrap().public();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key_in(&file).unwrap().public(), made);
    std::fs::write(&file, "half").unwrap();
    assert!(key_in(&file).unwrap_err().to_string().contains("64 hexadecimal digits"));
}
