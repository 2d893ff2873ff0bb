use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn scheduler(at_once: usize, at_once_per_origin: usize, bytes_per_s: Option<u64>) -> Scheduler {
    Scheduler::new(Limits { at_once, at_once_per_origin, bytes_per_s })
}

fn wish(domain: &str) -> Wish {
    let origin = format!("origin.{domain}:80");
    Wish { origin: origin.as_str().into(), domain: domain.into(), requests_per_s: None, bytes_per_s: None }
}

fn out_of_order(retry_after: Option<u64>) -> Ending {
    let retry_after = retry_after.map(Duration::from_secs);
    Ending::Failed { out_of_order: true, retry_after, reason: "503".into() }
}

fn wait(scheduler: &mut Scheduler, wish: &Wish, files: usize) -> Vec<Ticket> {
    (0..files).map(|_| scheduler.wait(wish, ms(0))).collect()
}

const QUICK: Ending = Ending::Answered(Some(Duration::from_millis(10)));

#[test]
fn domains_take_turns_within_the_places_of_all_and_of_each_origin() {
    let mut scheduler = scheduler(5, 4, None);
    let a = wait(&mut scheduler, &wish("a"), 10);
    let b = wait(&mut scheduler, &wish("b"), 10);
    assert_eq!(scheduler.turn(ms(0)).begin, [a[0], b[0], a[1], b[1], a[2]]);
    assert_eq!(scheduler.turn(ms(0)), Turn::default(), "nothing to be asked again for before one ends");
    scheduler.ended(b[0], QUICK, ms(1));
    scheduler.ended(b[1], QUICK, ms(1));
    assert_eq!(scheduler.turn(ms(1)).begin, [b[2], a[3]]);
    scheduler.ended(b[2], QUICK, ms(2));
    assert_eq!(scheduler.turn(ms(2)).begin, [b[3]], "its origin has four of a's already");
    a.iter().chain(&b).for_each(|ticket| scheduler.leave(*ticket));
    scheduler.ended(a[0], QUICK, ms(3));
    assert_eq!(scheduler.turn(ms(3)), Turn::default(), "who left does not begin");
}

/// An origin that hangs keeps its own places, and no others.
#[test]
fn a_slow_origin_holds_nobody_else_up() {
    let mut scheduler = scheduler(4, 2, None);
    let slow = wait(&mut scheduler, &wish("slow"), 100);
    assert_eq!(scheduler.turn(ms(0)).begin, slow[..2]);
    let quick = wait(&mut scheduler, &wish("quick"), 50);
    let mut now = ms(0);
    for pair in quick.chunks(2) {
        assert_eq!(scheduler.turn(now).begin, pair);
        now += ms(10);
        pair.iter().for_each(|ticket| scheduler.ended(*ticket, QUICK, now));
    }
}

#[test]
fn an_origin_that_becomes_slow_is_asked_for_less_at_a_time_and_for_more_once_it_is_quick_again() {
    let mut scheduler = scheduler(8, 8, None);
    let files = wait(&mut scheduler, &wish("a"), 1_000);
    let mut running: VecDeque<Ticket> = scheduler.turn(ms(0)).begin.into();
    assert_eq!(running.len(), 8);
    let mut now = ms(0);
    let mut answer = |head: u64, count: usize, running: &mut VecDeque<Ticket>| {
        for _ in 0..count {
            now += ms(head / 8);
            scheduler.ended(running.pop_front().unwrap(), Ending::Answered(Some(ms(head))), now);
            running.extend(scheduler.turn(now).begin);
        }
        running.len()
    };
    assert_eq!(answer(20, 100, &mut running), 8);
    assert_eq!(answer(2_000, 8, &mut running), 4, "those under way when it became slow tell nothing new");
    assert_eq!(answer(2_000, 20, &mut running), 1);
    assert_eq!(answer(20, 60, &mut running), 8);
    assert!(running.back().unwrap() < files.last().unwrap());
}

#[test]
fn an_origin_out_of_order_is_left_alone_and_then_tried_by_one() {
    let mut scheduler = scheduler(8, 8, None);
    let files = wait(&mut scheduler, &wish("a"), 20);
    let others = wait(&mut scheduler, &wish("b"), 1);
    let begun = scheduler.turn(ms(0)).begin;
    assert_eq!(begun, [files[0], others[0], files[1], files[2], files[3], files[4], files[5], files[6]]);
    for file in &files[..7] {
        scheduler.ended(*file, out_of_order(None), ms(100));
    }
    assert_eq!(
        scheduler.turn(ms(100)),
        Turn { again: Some(ms(600)), ..Turn::default() },
        "one failure, not seven"
    );
    assert_eq!(scheduler.turn(ms(600)).begin, [files[7]]);
    scheduler.ended(files[7], out_of_order(None), ms(700));
    assert_eq!(scheduler.turn(ms(700)).again, Some(ms(1_700)), "twice as long");
    assert_eq!(scheduler.turn(ms(1_700)).begin, [files[8]]);
    scheduler.ended(files[8], QUICK, ms(1_800));
    assert_eq!(scheduler.turn(ms(1_800)).begin, files[9..11]);
}

#[test]
fn what_an_origin_says_of_when_to_come_again_is_heeded_up_to_a_limit() {
    let mut scheduler = scheduler(8, 8, None);
    let files = wait(&mut scheduler, &wish("a"), 9);
    assert_eq!(scheduler.turn(ms(0)).begin.len(), 8);
    scheduler.ended(files[0], out_of_order(Some(7)), ms(0));
    assert_eq!(scheduler.turn(ms(0)).again, Some(ms(7_000)));
    scheduler.ended(files[1], out_of_order(Some(86_400)), ms(1_000));
    assert_eq!(scheduler.turn(ms(7_000)).again, Some(ms(1_000) + RETRY_AFTER_MAX));
    scheduler.ended(files[2], out_of_order(Some(1)), ms(8_000));
    assert_eq!(
        scheduler.turn(ms(8_000)).again,
        Some(ms(1_000) + RETRY_AFTER_MAX),
        "never less than was said"
    );
}

#[test]
fn an_origin_that_fails_on_and_on_is_waited_for_no_longer() {
    let mut scheduler = scheduler(8, 8, None);
    let others = wait(&mut scheduler, &wish("b"), 1);
    let files = wait(&mut scheduler, &wish("a"), 20);
    let mut now = ms(0);
    for failure in 1..FAILURES_MAX {
        let begun = scheduler.turn(now).begin;
        begun.iter().filter(|ticket| **ticket != others[0]).for_each(|ticket| {
            scheduler.ended(*ticket, out_of_order(None), now);
        });
        let turn = scheduler.turn(now);
        assert_eq!(turn.give_up, [], "failure {failure}");
        now = turn.again.unwrap();
    }
    assert!(now > Duration::from_secs(30), "that took {now:?}");
    let last = scheduler.turn(now).begin;
    scheduler.ended(last[0], out_of_order(None), now);
    let given_up = scheduler.turn(now).give_up;
    assert_eq!(given_up.last(), Some(&(files[19], "503".into())));
    let late = scheduler.wait(&wish("a"), now);
    assert_eq!(scheduler.turn(now).give_up, [(late, "503".into())], "until the pause is over");
    let later = scheduler.wait(&wish("a"), now);
    assert_eq!(scheduler.turn(now + PAUSE_MAX).begin, [later]);
}

#[test]
fn a_domain_sends_no_more_requests_than_its_budget_and_delays_no_other() {
    let mut scheduler = scheduler(100, 100, None);
    let limited = Wish { requests_per_s: Some(5), ..wish("a") };
    let files = wait(&mut scheduler, &limited, 40);
    let others = wait(&mut scheduler, &wish("b"), 10);
    let turn = scheduler.turn(ms(0));
    assert_eq!(
        turn.begin.iter().filter(|ticket| files.contains(ticket)).count(),
        5,
        "a second's worth at once"
    );
    assert_eq!(turn.begin.iter().filter(|ticket| others.contains(ticket)).count(), 10);
    assert_eq!(turn.again, Some(ms(200)));
    let mut begun = 0;
    for now in (0..5_000).step_by(50) {
        begun += scheduler.turn(ms(now)).begin.len();
    }
    assert_eq!(begun, 24, "one each 200 ms");
}

#[test]
fn bytes_are_spent_by_domain_and_in_all_and_what_is_owed_keeps_files_from_beginning() {
    let mut scheduler = scheduler(100, 100, Some(10_000));
    let limited = Wish { bytes_per_s: Some(1_000), ..wish("a") };
    let files = wait(&mut scheduler, &limited, 2);
    assert_eq!(scheduler.turn(ms(0)).begin, files);
    // A tenth of a second is saved up.
    assert_eq!(scheduler.spend("a", 100, ms(0)), ms(0));
    assert_eq!(scheduler.spend("a", 500, ms(0)), ms(500), "its own budget is the smaller one");
    let (more, other) = (scheduler.wait(&limited, ms(0)), scheduler.wait(&wish("b"), ms(0)));
    assert_eq!(scheduler.turn(ms(0)), Turn { begin: vec![other], again: Some(ms(500)), ..Turn::default() });
    assert_eq!(scheduler.spend("b", 10_400, ms(0)), ms(1_000));
    assert_eq!(scheduler.turn(ms(600)).again, Some(ms(1_000)), "all together");
    assert_eq!(scheduler.turn(ms(1_000)).begin, [more]);
    // Settings that say nothing any more end the domain's budget, not that of all.
    scheduler.wait(&wish("a"), ms(2_000));
    assert_eq!(scheduler.spend("a", 1_000, ms(2_000)), ms(2_000));
    assert_eq!(scheduler.spend("a", 1_000, ms(2_000)), ms(2_100));
}
