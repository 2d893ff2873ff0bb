//! The fleet: who may connect, what is remembered of them, and how they leave.

use crate::stage::{NOON_MS, Pop, Stage, request, settings, state, within};
use freshen_fleet::wire::{Answered, Question, Reply};
use freshen_fleet::{Event, Link, LinkError};
use freshen_ledger::Ledger;
use freshen_model::area::Area;
use freshen_model::check::CheckAnswer;
use freshen_model::expand::ExpandedLine;
use freshen_model::ids::Seq;
use freshen_model::protocol::follower::{Follower, Identity};
use freshen_model::protocol::heartbeat::{Heartbeat, Standing, Usage};
use freshen_model::protocol::now::Now;
use freshen_model::protocol::roster::Place;
use freshen_model::task::{StepState, TaskKind};
use freshen_model::traffic::{Counted, Traffic};
use std::time::Duration;

#[tokio::test]
async fn a_removed_pop_is_heard_until_it_confirms_its_removal() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let left = stage.control.remove_pop(&a.id()).await.unwrap().left.unwrap();
    // It may still use its cache, so a purge made now waits for it.
    let purge = stage.purge("http://a.example/x").await;
    b.confirm(purge.seq).await;
    assert_eq!(*state(&stage.task(purge.task).await, "pop-a"), StepState::Waiting);
    assert!(matches!(a.beat().await.standing, Standing::Confirmed { .. }));
    a.confirm(left).await;
    let task = stage.ended(purge.task).await;
    assert!(matches!(
        state(&task, "pop-a"),
        StepState::Removed { .. } | StepState::Confirmed { fenced_at_ms: None, .. }
    ));
    let refused = a.link.heartbeat(&a.follower.heartbeat(Now::default(), vec![])).await;
    assert!(matches!(refused, Err(LinkError::Refused(_))), "{refused:?}");
    assert_eq!(stage.control.pops().len(), 1);
    // It may come back under its name, with another folder and a new token.
    let new = stage.control.add_pop(&a.id(), Area::Overseas, "south").await.unwrap();
    let mut a = Pop::new(&stage, a.id(), new.token, 2);
    a.confirm(new.record.joined).await;
    assert_eq!(stage.control.pops().len(), 2);
}

#[tokio::test]
async fn a_pop_is_shown_with_what_it_takes_and_what_it_counted_lately() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let of_a = || stage.control.pops().into_iter().find(|pop| pop.id.as_str() == "pop-a").unwrap();
    // One of before says nothing of it.
    a.beat().await;
    assert_eq!((of_a().usage, of_a().lately), (None, Traffic::default()));
    let usage = Usage { disk_bytes: 1, disk_bytes_max: 2, memory_bytes: 3, memory_bytes_max: 4 };
    let total = Traffic { requests: 4, hits: 3, origin_bytes: 500, ..Traffic::default() };
    let counted = ["a.example", "b.example"].map(|domain| Counted { domain: domain.into(), total });
    // Its counts come twice, and count once.
    for _ in 0..2 {
        let beat = a.follower.heartbeat(Now::default(), vec![]);
        let beat = Heartbeat { usage: Some(usage), traffic: counted.to_vec(), ..beat };
        a.link.heartbeat(&beat).await.unwrap();
    }
    assert_eq!((of_a().usage, of_a().lately), (Some(usage), total.plus(&total)));
    stage.clock.advance(Duration::from_secs(3_601));
    assert_eq!(of_a().lately, Traffic::default());
}

#[tokio::test]
async fn nothing_waits_for_a_machine_that_was_declared_destroyed() {
    let stage = Stage::set().await;
    let (mut a, b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let purge = stage.purge("http://a.example/x").await;
    a.confirm(purge.seq).await;
    stage.control.destroy_pop(&b.id()).await.unwrap();
    let task = stage.ended(purge.task).await;
    assert_eq!(*state(&task, "pop-b"), StepState::Removed { at_ms: NOON_MS });
    let later = stage.purge("http://a.example/x").await;
    assert_eq!(later.scope, [a.id()]);
}

#[tokio::test]
async fn p2_a_rolled_back_folder_is_told_so_also_over_a_restart() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let saved = *a.follower.saved();
    let purge = stage.purge("http://a.example/x").await;
    a.confirm(purge.seq).await;
    // Complete is durable only with what it rests on.
    stage.ended(purge.task).await;
    let stage = stage.restart().await;
    a.reconnect(&stage);
    let Standing::Confirmed { remembered, .. } = a.beat().await.standing else { panic!() };
    assert_eq!(remembered, purge.seq);
    let identity = Identity { boot_number: 2, boot: Default::default(), ..a.follower.identity().clone() };
    a.follower = Follower::restore(identity, saved, [], [], 1_000);
    let Standing::Confirmed { remembered, .. } = a.beat().await.standing else { panic!() };
    assert_eq!(remembered, purge.seq);
}

/// Control may die right behind its answer, and must not take a rolled-back folder for a new one then.
#[tokio::test]
async fn p2_a_folder_is_remembered_before_it_is_answered() {
    let stage = Stage::set().await;
    for name in ["pop-a", "pop-b", "pop-c"] {
        let pop = stage.pop(name).await;
        let known = stage.ledger.pops().await.unwrap().into_iter().find(|known| known.id == pop.id());
        assert_eq!(known.unwrap().remembered.unwrap().data, pop.follower.identity().data);
    }
}

#[tokio::test]
async fn orders_are_pruned_behind_the_slowest_pop() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let first = stage.purge("http://a.example/1").await;
    a.confirm(first.seq).await;
    b.confirm(first.seq).await;
    let second = stage.purge("http://a.example/2").await;
    b.confirm(second.seq).await;
    within(async {
        let mut looks = 0;
        while stage.ledger.place(first.seq.previous()).await.unwrap() != Place::Pruned {
            // A clock that ran while the keeper is busy would come to the time at which everything is pruned.
            if looks % 100 == 0 {
                stage.clock.advance(Duration::from_secs(61));
            }
            looks += 1;
        }
    })
    .await;
    assert!(matches!(stage.ledger.place(first.seq).await.unwrap(), Place::Order(_)));
    // The slow one stands where it stood, and goes on from there.
    assert!(matches!(a.beat().await.standing, Standing::Confirmed { .. }));
    a.confirm(second.seq).await;
}

#[tokio::test]
async fn people_see_the_fleet() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let purge = stage.purge("http://a.example/x").await;
    stage.clock.advance(Duration::from_secs(10));
    let view = stage.control.pops().remove(0);
    assert_eq!((view.end, view.watermark, view.lag), (purge.seq, purge.seq.previous(), 1));
    assert_eq!((view.last_contact_ms, view.may_hold_lease, view.connected), (Some(NOON_MS), true, true));
    stage.clock.advance(Duration::from_secs(1));
    assert!(!stage.control.pops()[0].may_hold_lease);
    a.confirm(purge.seq).await;
    assert_eq!(stage.control.pops()[0].lag, 0);
    assert!(stage.control.pops()[0].may_hold_lease);
}

#[tokio::test]
async fn a_check_asks_every_pop() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let id = "pop-silent".parse().unwrap();
    stage.control.add_pop(&id, Area::Overseas, "").await.unwrap_err();
    stage.control.add_pop(&id, Area::Overseas, "south").await.unwrap();
    let answer = async {
        loop {
            if let Event::Ask(number, Question::Check(question)) = a.event().await {
                assert_eq!((question.domain.as_str(), question.gzip), ("a.example", true));
                let answer = CheckAnswer {
                    x_cache: "HIT".into(),
                    why: None,
                    status: Some(200),
                    age: Some(1),
                    etag: None,
                    size: Some(7),
                    fill_seq: Some(Seq(1)),
                    watermark: Seq(1),
                    leased: true,
                };
                a.link.reply(&Reply { number, answer: Ok(Answered::Check(answer)) }).await.unwrap();
                return;
            }
        }
    };
    let (rows, ()) = tokio::join!(stage.control.check("ann", "http://a.example/x?y", true), answer);
    let rows = rows.unwrap();
    assert_eq!(rows[0].answer.as_ref().unwrap().x_cache, "HIT");
    assert_eq!(rows[1].error.as_deref(), Some("not connected"));
}

#[tokio::test]
async fn what_a_prefetch_leads_to_is_asked_of_a_pop_that_is_connected() {
    let stage = Stage::set().await;
    for away in ["pop-1", "pop-2", "pop-3", "pop-4"] {
        stage.control.add_pop(&away.parse().unwrap(), Area::Domestic, "north").await.unwrap();
    }
    let dry_run = || {
        let prefetch = request(TaskKind::Prefetch, &["http://a.example/film.m3u8"]);
        stage.control.dry_run_prefetch("ann", None, prefetch)
    };
    assert_eq!(dry_run().await.unwrap().error.as_deref(), Some("no POP is connected"));
    let mut last = stage.pop("pop-last").await;
    let answer = async {
        loop {
            if let Event::Ask(number, Question::Expand(_)) = last.event().await {
                let lines = vec![ExpandedLine { files: 7, ..ExpandedLine::default() }];
                let answer = Ok(Answered::Expanded { lines });
                return last.link.reply(&Reply { number, answer }).await.unwrap();
            }
        }
    };
    let (run, ()) = within(async { tokio::join!(dry_run(), answer) }).await;
    let run = run.unwrap();
    assert_eq!((run.error, run.lines[0].files), (None, 7));
}

/// It would take the question for nonsense, and lose its connection over it.
#[tokio::test]
async fn a_pop_of_before_is_not_asked_what_it_does_not_know() {
    let stage = Stage::set().await;
    let mut old = stage.pop("pop-a").await;
    old.reconnect(&stage);
    old.expands = false;
    let purge = stage.purge("http://a.example/x").await;
    old.confirm(purge.seq).await;
    let tried = stage.control.try_domain("new.example", &settings()).await.unwrap();
    assert!(tried[0].tried.as_ref().unwrap_err().contains("older than this question"), "{tried:?}");
    let prefetch = request(TaskKind::Prefetch, &["http://a.example/film.m3u8"]);
    let run = stage.control.dry_run_prefetch("ann", None, prefetch).await.unwrap();
    assert!(run.error.unwrap().contains("older than this question"));
}

/// What is read once for all POPs that stand at the same place is not taken for what is behind another.
#[tokio::test]
async fn p2_each_pop_near_the_end_of_the_log_gets_the_orders_behind_its_own_place() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let first = stage.purge("http://a.example/1").await;
    a.confirm(first.seq).await;
    b.confirm_only(first.seq).await;
    // One by one, so that there is a batch behind each place; the other POP follows none of them.
    let mut last = first;
    for number in 2..=5 {
        last = stage.purge(&format!("http://a.example/{number}")).await;
        a.confirm(last.seq).await;
    }
    assert_eq!(state(&stage.task(last.task).await, "pop-b"), &StepState::Waiting);
    // Fails on orders that do not follow its own watermark.
    b.confirm(last.seq).await;
    stage.ended(last.task).await;
    assert_eq!(b.follower.rules_live(), 5);
}
