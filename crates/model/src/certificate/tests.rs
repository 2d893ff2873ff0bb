use super::*;
use crate::count::Count;
use crate::protocol::roster::fence_after;
use crate::receipt::{Confirmed, SigningKey, StartedOver};

fn pop(name: &str) -> PopId {
    name.parse().unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn name(at: &str) -> OrderName {
    OrderName { pop: pop(at), log: LogId([1; 16]), task: TaskId(10), order: OrderId([2; 16]), seq: Seq(7) }
}

const RULES: [&str; 2] = ["rule one", "rule two"];

fn confirmed(order: OrderName) -> Confirmed {
    Confirmed { order, rules: 2, digest: digest_of(RULES), watermark: Seq(9), applied_ms: 50 }
}

fn accounted(order: OrderName, objects: u64) -> Accounted {
    let count = Count { objects, exact: true, ..Count::default() };
    Accounted { order, count, reclaimed: true, counted_ms: 60 }
}

/// POP a confirmed and counted, b started over, c is fenced.
fn certificate() -> Certificate {
    let (a, b) = (key(1), key(2));
    let part = |name: &str, state, key: Option<&SigningKey>| PopPart {
        pop: pop(name),
        state,
        key: key.map(SigningKey::public),
        confirmed: None,
        accounted: None,
        started_over: None,
    };
    let done = StepState::Confirmed { at_ms: 51, fenced_at_ms: None };
    let over =
        StartedOver { pop: pop("b"), log: LogId([1; 16]), seq: Seq(8), order: OrderId([3; 16]), at_ms: 55 };
    Certificate {
        form: FORM,
        log: LogId([1; 16]),
        task: TaskId(10),
        kind: TaskKind::Url,
        mode: Some(Mode::Evict),
        order: OrderId([2; 16]),
        seq: Seq(7),
        submitted_ms: 40,
        ended_ms: 52,
        issued_ms: 70,
        lines: vec!["http://a.example/1".into(), "http://a.example/2".into()],
        rules: RULES.map(str::to_owned).to_vec(),
        lease_ms: 10_000,
        drift_percent: 10,
        pops: vec![
            PopPart {
                confirmed: Some(a.sign(&Statement::Confirmed(confirmed(name("a"))))),
                accounted: Some(a.sign(&Statement::Accounted(accounted(name("a"), 3)))),
                ..part("a", done.clone(), Some(&a))
            },
            PopPart {
                started_over: Some(b.sign(&Statement::StartedOver(over))),
                ..part("b", done, Some(&b))
            },
            part("c", StepState::Fenced { at_ms: 52, last_contact_ms: None }, None),
        ],
    }
}

fn signed(certificate: Certificate) -> CertificateFile {
    let control = key(9);
    let signed = control.sign(&Statement::Certificate(Box::new(certificate)));
    CertificateFile { key: control.public(), signed }
}

fn keys() -> Keys {
    let of = |name: &str, number| PopKey { pop: pop(name), key: key(number).public(), first_ms: 1 };
    Keys { control: key(9).public(), pops: vec![of("a", 1), of("b", 2)] }
}

/// What is wrong with the certificate after `change`, which control signs as it is then.
fn faults(change: impl FnOnce(&mut Certificate)) -> Vec<Fault> {
    let mut certificate = certificate();
    change(&mut certificate);
    verify(&signed(certificate), Some(&keys())).faults
}

#[test]
fn a_certificate_holds_and_says_what_shows_it() {
    let findings = verify(&signed(certificate()), Some(&keys()));
    assert_eq!(findings.faults, []);
    let (pops, proofs): (Vec<_>, Vec<_>) = findings.pops.into_iter().unzip();
    assert_eq!(pops, [pop("a"), pop("b"), pop("c")]);
    assert_eq!(
        proofs,
        [
            Proof::Confirmed { applied_ms: 50, accounted: Some(accounted(name("a"), 3)) },
            Proof::StartedOver { at_ms: 55 },
            Proof::Fenced { at_ms: 52 },
        ]
    );
    let certificate = findings.certificate.unwrap();
    assert_eq!(certificate.fence_ms(), 11_000);
    let fence = fence_after(Duration::from_millis(certificate.lease_ms));
    assert_eq!(fence.as_millis(), 11_000, "as tasks are fenced");
}

#[test]
fn what_was_changed_behind_control_is_noticed() {
    let file = signed(certificate());
    let text = &file.signed.statement;
    let without_b = {
        let mut certificate = certificate();
        certificate.pops.remove(1);
        signed(certificate).signed.statement
    };
    for changed in [text.replace("\"submitted_ms\":40", "\"submitted_ms\":41"), without_b] {
        assert_ne!(changed, *text);
        let file =
            CertificateFile { signed: Signed { statement: changed, ..file.signed.clone() }, ..file.clone() };
        assert_eq!(verify(&file, None).faults, [Fault::Whole(Unproven::Signature)]);
    }
}

#[test]
fn a_number_that_no_pop_signed_is_noticed_even_where_control_signed_it() {
    let more = |certificate: &mut Certificate| {
        let part = certificate.pops[0].accounted.as_mut().unwrap();
        part.statement = part.statement.replace("\"objects\":3", "\"objects\":4");
    };
    let why = Unproven::Signature;
    assert_eq!(faults(more), [Fault::Statement { pop: pop("a"), part: "accounted", why }]);
}

#[test]
fn a_statement_of_something_else_proves_nothing() {
    let other = |change: fn(&mut OrderName)| {
        faults(|certificate| {
            let mut name = name("a");
            change(&mut name);
            certificate.pops[0].confirmed = Some(key(1).sign(&Statement::Confirmed(confirmed(name))));
        })
    };
    let due = |what| [Fault::Other { pop: pop("a"), part: "confirmed", what }, Fault::Unsigned(pop("a"))];
    assert_eq!(other(|name| name.task = TaskId(11)), due("task"));
    assert_eq!(other(|name| name.log = LogId([4; 16])), due("log"));
    assert_eq!(other(|name| name.order = OrderId([4; 16])), due("order"));
    assert_eq!(other(|name| name.seq = Seq(8)), due("place"));
    assert_eq!(other(|name| name.pop = "b".parse().unwrap()), due("POP"));
    let behind = faults(|certificate| {
        let behind = Confirmed { watermark: Seq(6), ..confirmed(name("a")) };
        certificate.pops[0].confirmed = Some(key(1).sign(&Statement::Confirmed(behind)));
    });
    assert_eq!(behind, due("place"));
    let swapped = faults(|certificate| {
        certificate.pops[0].confirmed = certificate.pops[0].accounted.clone();
    });
    assert_eq!(swapped, due("kind of thing"));
}

#[test]
fn a_pop_that_started_over_too_early_or_elsewhere_proves_nothing() {
    let over = |seq: u64, log: u8| {
        faults(|certificate| {
            let over = StartedOver {
                pop: pop("b"),
                log: LogId([log; 16]),
                seq: Seq(seq),
                order: OrderId([3; 16]),
                at_ms: 55,
            };
            certificate.pops[1].started_over = Some(key(2).sign(&Statement::StartedOver(over)));
        })
    };
    let due = |what| [Fault::Other { pop: pop("b"), part: "started over", what }, Fault::Unsigned(pop("b"))];
    assert_eq!(over(6, 1), due("place"));
    assert_eq!(over(8, 2), due("log"));
    assert_eq!(over(7, 1), []);
}

#[test]
fn rules_that_no_pop_applied_are_noticed() {
    for change in [
        |rules: &mut Vec<String>| rules[1] = "rule too".into(),
        |rules: &mut Vec<String>| drop(rules.pop()),
        |rules: &mut Vec<String>| rules.swap(0, 1),
    ] {
        let found = faults(|certificate| change(&mut certificate.rules));
        assert_eq!(found, [Fault::Rules(pop("a")), Fault::Unsigned(pop("a"))]);
    }
}

#[test]
fn every_pop_must_be_done_or_named() {
    let open = faults(|certificate| certificate.pops[2].state = StepState::Waiting);
    assert_eq!(open, [Fault::Open(pop("c"))]);
    let unsigned = faults(|certificate| certificate.pops[0].confirmed = None);
    assert_eq!(unsigned, [Fault::Unsigned(pop("a"))]);
    assert_eq!(faults(|certificate| certificate.pops.clear()), [Fault::NoPops]);
    assert_eq!(faults(|certificate| certificate.form = 2), [Fault::Form(2)]);
}

#[test]
fn keys_that_came_another_way_unmask_a_forger() {
    let forger = key(7);
    let mut forged = certificate();
    forged.pops[0].key = Some(forger.public());
    forged.pops[0].confirmed = Some(forger.sign(&Statement::Confirmed(confirmed(name("a")))));
    forged.pops[0].accounted = None;
    assert_eq!(verify(&signed(forged.clone()), None).faults, [], "by its own keys alone it holds");
    let due = Fault::ForeignKey { pop: pop("a"), key: forger.public() };
    assert_eq!(verify(&signed(forged), Some(&keys())).faults, [due]);
    let whole = forger.sign(&Statement::Certificate(Box::new(certificate())));
    let file = CertificateFile { key: forger.public(), signed: whole };
    let due = Fault::ForeignControl { found: forger.public(), trusted: key(9).public() };
    assert_eq!(verify(&file, Some(&keys())).faults, [due]);
    let confused = CertificateFile { key: key(9).public(), ..file };
    assert_eq!(verify(&confused, Some(&keys())).faults, [Fault::Whole(Unproven::Signature)]);
}
