//! Tasks: submission, progress, lists.

use crate::Home;
use crate::fixture::{DAY, orders, pop, prefetch, purge, refusal, settings, sharing, site};
use freshen_ledger::{Ledger, Line, Refusal, Submission, TaskFilter, TaskUpdate};
use freshen_model::area::Area;
use freshen_model::domain::{NoLease, Settings};
use freshen_model::follow::{First, Follow};
use freshen_model::ids::{Seq, TaskId};
use freshen_model::order::{Body, PrefetchOrder};
use freshen_model::quota::Limits;
use freshen_model::refill::{Bound, Refill};
use freshen_model::rule::Mode;
use freshen_model::task::{PrefetchTerms, Status, Step, StepState, TaskKind};
use freshen_model::variants::Variants;
use std::collections::BTreeSet;

pub async fn p4_a_task_comes_with_its_order(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submission = purge(&*ledger, &["a.example/x", "a.example/y", "a.example/x"]).await;
    let submitted = ledger.submit(submission.clone()).await.unwrap();
    assert_eq!((submitted.task, submitted.seq), (TaskId(10_000_001), Seq(3)));
    let order = orders(&*ledger).await.pop().unwrap();
    assert_eq!(order.seq, submitted.seq);
    assert_eq!(
        order.body,
        Body::Purge { task: Some(submitted.task), rules: submission.rules.clone(), cut: false }
    );

    let task = ledger.task(submitted.task, None).await.unwrap().unwrap();
    assert_eq!((task.kind, task.mode, task.area), (TaskKind::Url, Some(Mode::Evict), None));
    assert_eq!((task.status, task.seq, task.lines), (Status::Running, submitted.seq, 3));
    assert_eq!(task.domains, ["a.example"]);
    assert_eq!((task.submitted_ms, task.ended_ms), (1_000, None));
    assert_eq!(task.steps, [Step { pop: pop("asia"), state: StepState::Waiting }]);
    assert_eq!(ledger.task_lines(submitted.task).await.unwrap(), submission.lines);
    assert_eq!(ledger.task(submitted.task, Some("acme")).await.unwrap(), Some(task));
    assert_eq!(ledger.task(submitted.task, Some("other")).await.unwrap(), None);
    assert_eq!(ledger.task(TaskId(u64::MAX), None).await.unwrap(), None);

    let area = Some(Area::Domestic);
    let follow = Some(Follow { first: Some(First::Seconds(30)), ..Follow::default() });
    let headers: Variants = [("accept-encoding", "gzip"), ("accept-language", "de")].into_iter().collect();
    let terms = PrefetchTerms { headers: headers.clone(), ..PrefetchTerms::default() };
    let warm = prefetch(&*ledger, &["a.example/x"], area).await;
    let warm = Submission { follow: follow.clone(), terms, ..warm };
    let warmed = ledger.submit(warm.clone()).await.unwrap();
    assert_eq!(warmed.task, TaskId(10_000_002));
    let body = orders(&*ledger).await.pop().unwrap().body;
    let (task, items) = (warmed.task, warm.items);
    assert_eq!(
        body,
        Body::Prefetch {
            task,
            area,
            items: items.clone(),
            follow: follow.clone(),
            refill: None,
            pops: None,
            headers: headers.clone(),
            paused: false
        }
    );
    // A POP that cannot have the order gets the same from a snapshot.
    let open = ledger.snapshot(&pop("asia")).await.unwrap().prefetches;
    assert_eq!(
        open,
        [(
            warmed.seq,
            PrefetchOrder { task, area, items, follow, refill: None, pops: None, headers, paused: false }
        )]
    );
    let task = ledger.task(warmed.task, None).await.unwrap().unwrap();
    assert_eq!((task.kind, task.mode, task.area), (TaskKind::Prefetch, None, area));
    assert_eq!(task.follow, Some(Follow { first: Some(First::Seconds(30)), ..Follow::default() }));
}

pub async fn p5_a_prefetch_that_follows_is_made_with_its_purge_or_neither_is(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let then = Some(Box::new(prefetch(&*ledger, &["a.example/x"], None).await));
    let both = Submission { then, ..purge(&*ledger, &["a.example/x"]).await };
    let end = ledger.submit(both.clone()).await.unwrap();
    let then = end.then.as_ref().unwrap();
    assert_eq!((then.seq, then.scope.clone()), (end.seq.next(), vec![pop("asia")]));
    let [purged, warmed] = [end.task, then.task];
    let task = ledger.task(purged, None).await.unwrap().unwrap();
    assert_eq!((task.then, task.after, task.kind), (Some(warmed), None, TaskKind::Url));
    let task = ledger.task(warmed, None).await.unwrap().unwrap();
    assert_eq!((task.then, task.after, task.kind), (None, Some(purged), TaskKind::Prefetch));
    let bodies: Vec<_> = orders(&*ledger).await.into_iter().rev().take(2).map(|order| order.body).collect();
    assert!(matches!(&bodies[..], [Body::Prefetch { .. }, Body::Purge { .. }]), "{bodies:?}");

    // A refill has the purge's rules in its order; a POP that starts over has nothing of that.
    let bound = Bound { objects: Some(5), bytes: None };
    let refill = Some(Refill { bound, rules: both.rules.clone() });
    let then = Submission { refill: refill.clone(), ..prefetch(&*ledger, &["a.example/x"], None).await };
    let then = Some(Box::new(Submission { items: Vec::new(), ..then }));
    let refilled = ledger.submit(Submission { then, ..both.clone() }).await.unwrap().then.unwrap();
    let body = orders(&*ledger).await.pop().unwrap().body;
    let (task, area, items, follow) = (refilled.task, None, Vec::new(), None);
    let (pops, headers) = (None, Variants::default());
    assert_eq!(body, Body::Prefetch { task, area, items, follow, refill, pops, headers, paused: false });
    assert_eq!(ledger.task(task, None).await.unwrap().unwrap().refill, Some(bound));
    let open = ledger.snapshot(&pop("asia")).await.unwrap().prefetches.pop().unwrap().1;
    assert_eq!((open.items, open.refill), (Vec::new(), Some(Refill { bound, rules: Vec::new() })));

    ledger.set_limits("acme", Limits { prefetch: 2, ..Limits::default() }).await.unwrap();
    let (used, log) = (ledger.quota("acme", DAY).await.unwrap(), orders(&*ledger).await);
    assert!(matches!(refusal(ledger.submit(both.clone()).await), Refusal::OverQuota { .. }));
    let later = Submission { not_before_ms: Some(2_000), ..both };
    assert!(matches!(refusal(ledger.submit(later).await), Refusal::Unfit(_)));
    let unchanged = (ledger.quota("acme", DAY).await.unwrap()[0], orders(&*ledger).await);
    assert_eq!(unchanged, (used[0], log), "nothing of the purge is left");
}

pub async fn p4_concurrent_submissions_are_all_there(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let submitting = (0..200).map(|_| {
        let (ledger, submission) = (ledger.clone(), submission.clone());
        tokio::spawn(async move { ledger.submit(submission).await.unwrap() })
    });
    let mut pairs = BTreeSet::new();
    for submitted in submitting.collect::<Vec<_>>() {
        let submitted = submitted.await.unwrap();
        pairs.insert((submitted.seq.0, submitted.task.0));
    }
    let expected: BTreeSet<(u64, u64)> = (3..203).zip(10_000_001..).collect();
    assert_eq!(pairs, expected, "dense, distinct, and in one order");
    for order in orders(&*ledger).await.into_iter().skip(2) {
        let Body::Purge { task: Some(task), .. } = order.body else { panic!("{order:?}") };
        assert_eq!(ledger.task(task, None).await.unwrap().unwrap().seq, order.seq);
    }
    assert_eq!(ledger.quota("acme", DAY).await.unwrap()[0].used, 200);
}

pub async fn p8_submissions_name_own_domains(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_account("other", false).await.unwrap();
    ledger.add_domain("other", "o.example", &settings("two")).await.unwrap();
    let foreign = purge(&*ledger, &["a.example/x", "o.example/x"]).await;
    let unknown = |name: &str| Refusal::NotFound { what: "domain", name: name.into() };
    assert_eq!(refusal(ledger.submit(foreign).await), unknown("o.example"));
    let missing = purge(&*ledger, &["none.example/x"]).await;
    assert_eq!(refusal(ledger.submit(missing).await), unknown("none.example"));
    let mut unread = purge(&*ledger, &["a.example/x"]).await;
    unread.lines.push(Line { url: "http://o.example/x".into(), domain: "o.example".into() });
    assert!(matches!(refusal(ledger.submit(unread).await), Refusal::Unfit(_)));
    let empty = purge(&*ledger, &[]).await;
    assert!(matches!(refusal(ledger.submit(empty).await), Refusal::Unfit(_)));
    assert_eq!(ledger.quota("acme", DAY).await.unwrap()[0].used, 0);
}

pub async fn changed_settings_refuse_the_submission(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let stale = purge(&*ledger, &["a.example/x"]).await;
    ledger.set_domain("a.example", &settings("two")).await.unwrap();
    let end = ledger.end().borrow().seq;
    let changed = Refusal::SettingsChanged("a.example".into());
    assert_eq!(refusal(ledger.submit(stale).await), changed);
    assert_eq!(ledger.end().borrow().seq, end);
    assert_eq!(ledger.quota("acme", DAY).await.unwrap()[0].used, 0);
    let fresh = purge(&*ledger, &["a.example/x"]).await;
    ledger.submit(fresh).await.unwrap();
}

/// From which place on a purge of a URL of `a.example`, submitted now, can fence POPs.
async fn fence_from(ledger: &dyn Ledger) -> Option<Seq> {
    fence_from_of(ledger, "a.example/x").await
}

async fn fence_from_of(ledger: &dyn Ledger, line: &str) -> Option<Seq> {
    let submitted = ledger.submit(purge(ledger, &[line]).await).await.unwrap();
    let task = ledger.task(submitted.task, None).await.unwrap().unwrap();
    assert_eq!(task.fence_from, submitted.fence_from);
    task.fence_from
}

pub async fn p2_the_end_of_serve_is_kept_for_the_fence(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let serving = |settings| Settings { no_lease: NoLease::Serve, ..settings };
    assert_eq!(fence_from(&*ledger).await, Some(Seq::ZERO));

    // The domain itself; another change does not move the place.
    ledger.set_domain("a.example", &serving(settings("one"))).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, None);
    ledger.set_domain("a.example", &serving(settings("two"))).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, None);
    let ended = ledger.set_domain("a.example", &settings("two")).await.unwrap().seq;
    assert_eq!(fence_from(&*ledger).await, Some(ended));
    ledger.set_domain("a.example", &settings("three")).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, Some(ended));

    // Removed and added again, over a restart too.
    ledger.set_domain("a.example", &serving(settings("one"))).await.unwrap();
    ledger.remove_domain("a.example").await.unwrap();
    let removed = ledger.end().borrow().seq;
    ledger.add_domain("acme", "a.example", &settings("one")).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, Some(removed));
    drop(ledger);
    let ledger = home.open().await;
    assert_eq!(fence_from(&*ledger).await, Some(removed));

    // A domain that served from the cache leaves it, serving on elsewhere.
    ledger.add_domain("acme", "b.example", &serving(sharing("a.example"))).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, None);
    let left = ledger.set_domain("b.example", &serving(settings("one"))).await.unwrap().seq;
    assert_eq!(fence_from(&*ledger).await, Some(left));
    // It comes back and serves no more, with and without a removal in between.
    let joined = ledger.set_domain("b.example", &sharing("a.example")).await.unwrap().seq;
    assert_eq!(fence_from(&*ledger).await, Some(joined));
    ledger.set_domain("b.example", &serving(settings("one"))).await.unwrap();
    ledger.remove_domain("b.example").await.unwrap();
    let removed = ledger.end().borrow().seq;
    assert_eq!(fence_from(&*ledger).await, Some(left), "it was not in this cache");
    ledger.add_domain("acme", "b.example", &sharing("a.example")).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, Some(removed));

    // Who served from this cache and is now on its own may still be taken for what it was.
    ledger.set_domain("b.example", &serving(sharing("a.example"))).await.unwrap();
    let alone = ledger.set_domain("b.example", &settings("one")).await.unwrap().seq;
    for line in ["a.example/x", "b.example/x"] {
        assert_eq!(fence_from_of(&*ledger, line).await, Some(alone));
    }

    // What others say of their own caches is nothing to this one.
    ledger.add_domain("acme", "c.example", &serving(settings("one"))).await.unwrap();
    assert_eq!(fence_from(&*ledger).await, Some(alone));
}

pub async fn progress_is_kept(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ledger.submit(submission.clone()).await.unwrap().task);
    }
    let ids_of =
        |tasks: Vec<freshen_ledger::TaskRecord>| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
    assert_eq!(ids_of(ledger.running_tasks().await.unwrap()), ids);

    let ended = |id, state| TaskUpdate {
        id,
        status: Status::Complete,
        ended_ms: Some(2_000),
        steps: vec![Step { pop: pop("asia"), state }],
    };
    let fenced = StepState::Fenced { at_ms: 1_500, last_contact_ms: None };
    let confirmed = StepState::Confirmed { at_ms: 1_800, fenced_at_ms: Some(1_500) };
    let updates = vec![ended(ids[0], confirmed.clone()), ended(ids[1], fenced.clone())];
    ledger.update_tasks(updates).await.unwrap();
    let running = TaskUpdate { status: Status::Running, ended_ms: None, ..ended(ids[2], fenced) };
    ledger.update_tasks(vec![running]).await.unwrap();

    assert_eq!(ids_of(ledger.running_tasks().await.unwrap()), ids[2..]);
    assert_eq!(ids_of(ledger.fenced_tasks().await.unwrap()), ids[1..2], "only ended ones");
    let task = ledger.task(ids[0], None).await.unwrap().unwrap();
    assert_eq!((task.status, task.ended_ms), (Status::Complete, Some(2_000)));
    assert_eq!(task.steps[0].state, confirmed);
    ledger.update_tasks(vec![ended(ids[1], confirmed.clone())]).await.unwrap();
    assert!(ledger.fenced_tasks().await.unwrap().is_empty());

    let unknown = Refusal::NotFound { what: "task", name: "7".into() };
    let updates = vec![ended(ids[2], confirmed.clone()), ended(TaskId(7), confirmed)];
    assert_eq!(refusal(ledger.update_tasks(updates).await), unknown);
    assert_eq!(ids_of(ledger.running_tasks().await.unwrap()), ids[2..], "all or nothing");
}

/// Six tasks: 1 and 2 purge `/x` (1 also `/y` on b), 3 a directory, 4 a prefetch of `/x`, 5 by another account, 6 late.
async fn six(ledger: &dyn Ledger) {
    site(ledger).await;
    ledger.add_domain("acme", "b.example", &settings("two")).await.unwrap();
    ledger.add_account("other", false).await.unwrap();
    ledger.add_domain("other", "o.example", &settings("three")).await.unwrap();
    let x = purge(ledger, &["a.example/x"]).await;
    let both = purge(ledger, &["a.example/x", "b.example/y"]).await;
    let directory = Submission {
        kind: TaskKind::Directory,
        mode: Some(Mode::Expire),
        ..purge(ledger, &["b.example/d/"]).await
    };
    let warm = prefetch(ledger, &["a.example/x"], None).await;
    let foreign = Submission { account: "other".into(), ..purge(ledger, &["o.example/x"]).await };
    for (submission, at_ms) in [both, x.clone(), directory, warm, foreign, x].into_iter().zip(1..) {
        ledger.submit(Submission { at_ms, ..submission }).await.unwrap();
    }
    let ended = TaskUpdate {
        id: TaskId(10_000_002),
        status: Status::Complete,
        ended_ms: Some(9),
        steps: vec![Step { pop: pop("asia"), state: StepState::Waiting }],
    };
    ledger.update_tasks(vec![ended]).await.unwrap();
}

pub async fn lists_are_filtered(home: &dyn Home) {
    let ledger = home.open().await;
    six(&*ledger).await;
    let all = TaskFilter { limit: 100, ..TaskFilter::default() };
    let acme = TaskFilter { account: Some("acme".into()), ..all.clone() };
    let x = Some("http://a.example/x".to_owned());
    // Each filter, the tasks it gives, and the lines, as (task, line).
    let expected: Vec<(TaskFilter, Vec<u64>, Vec<(u64, u32)>)> = vec![
        (all.clone(), vec![6, 5, 4, 3, 2, 1], vec![(6, 1), (5, 1), (4, 1), (3, 1), (2, 1), (1, 1), (1, 2)]),
        (acme.clone(), vec![6, 4, 3, 2, 1], vec![(6, 1), (4, 1), (3, 1), (2, 1), (1, 1), (1, 2)]),
        (TaskFilter { id: Some(TaskId(10_000_001)), ..acme.clone() }, vec![1], vec![(1, 1), (1, 2)]),
        (TaskFilter { id: Some(TaskId(10_000_005)), ..acme.clone() }, vec![], vec![]),
        (TaskFilter { kind: Some(TaskKind::Directory), ..all.clone() }, vec![3], vec![(3, 1)]),
        (TaskFilter { statuses: vec![Status::Complete], ..all.clone() }, vec![2], vec![(2, 1)]),
        (
            TaskFilter { statuses: vec![Status::Complete, Status::Running], from_ms: Some(5), ..all.clone() },
            vec![6, 5],
            vec![(6, 1), (5, 1)],
        ),
        (TaskFilter { domain: Some("b.example".into()), ..all.clone() }, vec![3, 1], vec![(3, 1), (1, 2)]),
        (
            TaskFilter { url: x.clone(), ..acme.clone() },
            vec![6, 4, 2, 1],
            vec![(6, 1), (4, 1), (2, 1), (1, 1)],
        ),
        (
            TaskFilter { url: x.clone(), kind: Some(TaskKind::Url), to_ms: Some(6), ..acme.clone() },
            vec![2, 1],
            vec![(2, 1), (1, 1)],
        ),
        (TaskFilter { url: x, account: Some("other".into()), ..all.clone() }, vec![], vec![]),
        (TaskFilter { from_ms: Some(2), to_ms: Some(4), ..all }, vec![3, 2], vec![(3, 1), (2, 1)]),
    ];
    for (filter, tasks, lines) in expected {
        let page = ledger.tasks(&filter).await.unwrap();
        let found: Vec<u64> = page.rows.iter().map(|task| task.id.0 - 10_000_000).collect();
        assert_eq!((found, page.total), (tasks.clone(), tasks.len() as u64), "{filter:?}");
        assert_eq!(one_by_one(&*ledger, &filter).await, tasks, "{filter:?}");
        let page = ledger.lines(&filter).await.unwrap();
        let found: Vec<_> = page.rows.iter().map(|line| (line.task.id.0 - 10_000_000, line.line)).collect();
        assert_eq!((found, page.total), (lines.clone(), lines.len() as u64), "{filter:?}");
    }
}

/// The tasks of pages of one.
async fn one_by_one(ledger: &dyn Ledger, filter: &TaskFilter) -> Vec<u64> {
    let filter = TaskFilter { limit: 1, ..filter.clone() };
    let (mut ids, mut place) = (Vec::new(), None);
    loop {
        let page = ledger.tasks_behind(&filter, place).await.unwrap();
        ids.extend(page.rows.iter().map(|task| task.id.0 - 10_000_000));
        place = page.next;
        if place.is_none() {
            return ids;
        }
    }
}

pub async fn texts_are_searched_a_piece_at_a_time(home: &dyn Home) {
    let ledger = home.open().await;
    six(&*ledger).await;
    let all = TaskFilter { text: Some("EXAMPLE/y".into()), limit: 9, ..TaskFilter::default() };
    assert_eq!(one_by_one(&*ledger, &all).await, [1]);
    let of = |domain: &str| TaskFilter { within: Some([domain.to_owned()].into()), ..all.clone() };
    assert_eq!(one_by_one(&*ledger, &of("b.example")).await, [1]);
    assert_eq!(one_by_one(&*ledger, &of("a.example")).await, [0; 0], "the line is of another domain");
    assert_eq!(one_by_one(&*ledger, &TaskFilter { text: Some("_".into()), ..all }).await, [0; 0]);

    // More lines than are looked at for one page: it ends early, and says where to go on.
    ledger.set_limits("acme", Limits::all(u64::MAX)).await.unwrap();
    let lines: Vec<String> = (0..1_000).map(|n| format!("a.example/{n}")).collect();
    let many = purge(&*ledger, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for at_ms in 10..111 {
        ledger.submit(Submission { at_ms, ..many.clone() }).await.unwrap();
    }
    let rare = TaskFilter { text: Some("b.example/d/".into()), limit: 9, ..TaskFilter::default() };
    let first = ledger.tasks_behind(&rare, None).await.unwrap();
    assert_eq!((first.rows.len(), first.next.map(|place| place.submitted_ms)), (0, Some(11)));
    let second = ledger.tasks_behind(&rare, first.next).await.unwrap();
    assert_eq!((second.rows.len(), second.next), (1, None));
}

pub async fn lists_are_paged(home: &dyn Home) {
    let ledger = home.open().await;
    six(&*ledger).await;
    let page = |offset, limit| TaskFilter { offset, limit, ..TaskFilter::default() };
    let tasks = ledger.tasks(&page(2, 3)).await.unwrap();
    let ids: Vec<u64> = tasks.rows.iter().map(|task| task.id.0).collect();
    assert_eq!((ids, tasks.total), (vec![10_000_004, 10_000_003, 10_000_002], 6));
    let lines = ledger.lines(&page(5, u64::MAX)).await.unwrap();
    let urls: Vec<&str> = lines.rows.iter().map(|line| &*line.url).collect();
    assert_eq!((urls, lines.total), (vec!["http://a.example/x", "http://b.example/y"], 7));
    assert_eq!(lines.rows[1].task.domains, ["a.example", "b.example"]);
    let none = ledger.tasks(&page(9, 9)).await.unwrap();
    assert_eq!((none.rows.len(), none.total), (0, 6));
    assert_eq!(ledger.tasks(&page(0, 0)).await.unwrap().total, 6);
}
