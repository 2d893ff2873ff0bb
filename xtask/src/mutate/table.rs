//! The mutations: what is broken, where, and which tests must notice.

/// One small change that breaks a promise.
pub struct Mutation {
    /// What is broken, in words.
    pub name: &'static str,
    /// Which promise.
    pub promise: &'static str,
    /// The file.
    pub file: &'static str,
    /// Text that stands there once.
    pub find: &'static str,
    /// What is put in its place.
    pub replace: &'static str,
    /// The package whose tests are run.
    pub package: &'static str,
    /// Part of the names of the tests that must notice.
    pub tests: &'static str,
}

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "fill_seq taken at the end of a fill",
        promise: "P1",
        file: "crates/pop/src/fill.rs",
        find: "self.store.commit(&self.follower, key, fill.start, head, body)",
        replace: "self.store.commit(&self.follower, key, { let view = self.follower.read().view(clock::now()); view.start_fill(fill.start.source) }, head, body)",
        package: "freshen-cli",
        tests: "p1_a_fill_that_ends_after_the_purge_is_not_used",
    },
    Mutation {
        name: "a slice of another version",
        promise: "P1",
        file: "crates/pop/src/pump.rs",
        find: "if !same || part.total != body.size() {",
        replace: "if false {",
        package: "freshen-cli",
        tests: "whatever_an_origin_says_of_a_further_part",
    },
    Mutation {
        name: "a damaged block taken for sound",
        promise: "P6",
        file: "crates/pop/src/store/slice_file.rs",
        find: "match crc32fast::hash(&bytes) == sum {",
        replace: "match { let _ = sum; true } {",
        package: "freshen-cli",
        tests: "p6_damaged_bytes_on_disk_do_not_count_as_warm",
    },
    Mutation {
        name: "joining any running fill",
        promise: "P1",
        file: "crates/model/src/protocol/follower.rs",
        find: "self.index.marks(key).newest() <= fill.fill_seq()",
        replace: "true",
        package: "freshen-cli",
        tests: "p1_a_request_after_the_purge_does_not_join_an_older_fill",
    },
    Mutation {
        name: "a rule dropped under a running fill",
        promise: "P1",
        file: "crates/model/src/protocol/follower.rs",
        find: "&& fill.fill_seq() >= self.saved.floor",
        replace: "",
        package: "freshen-cli",
        tests: "p1_a_rule_dropped_under_a_running_fill_still_counts",
    },
    Mutation {
        name: "rules dropped between look-up and judgement missed",
        promise: "P1",
        file: "crates/model/src/protocol/follower.rs",
        find: "return Verdict::Reread;",
        replace: "{}",
        package: "freshen-model",
        tests: "p1_rules_dropped_between",
    },
    Mutation {
        name: "a 304 counted from its arrival's copy alone",
        promise: "P1",
        file: "crates/model/src/protocol/fill.rs",
        find: "Provenance { filled: copy.filled,",
        replace: "Provenance { filled: self.fill_seq(),",
        package: "freshen-model",
        tests: "p1_no_304_revives_what_an_evict_forbade",
    },
    Mutation {
        name: "a purged copy served while it is revalidated",
        promise: "P1",
        file: "crates/pop/src/request.rs",
        find: "let Found::Stale { copy, doubt: None } = &self.found else { return None };",
        replace: "let Found::Stale { copy, .. } = &self.found else { return None };",
        package: "freshen-cli",
        tests: "p1_a_stale_copy_serves_while_it_is_revalidated",
    },
    Mutation {
        name: "numbers without names: any log confirms",
        promise: "P1",
        file: "crates/model/src/protocol/roster.rs",
        find: "(_, Place::Order(id)) if id != beat.watermark_id => return Some(Standing::ForeignLog),",
        replace: "",
        package: "freshen-model",
        tests: "p2_a_watermark_counts_only_with_the_order_that_stands_there",
    },
    Mutation {
        name: "fencing counted from the last heartbeat",
        promise: "P2",
        file: "crates/control/src/progress/state.rs",
        find: "let mut task = Watched::new(record, limit, known_at.steady, reached);",
        replace: "let heard_ms = self.heard.values().map(|heard| heard.at_ms).min().unwrap_or(known_at.wall_ms); \
                  let silent = std::time::Duration::from_millis((known_at.wall_ms - heard_ms).max(0) as u64); \
                  let mut task = Watched::new(record, limit, known_at.steady.saturating_sub(silent), reached);",
        package: "freshen-control",
        tests: "p2_",
    },
    Mutation {
        name: "complete with a POP missing",
        promise: "P2",
        file: "crates/model/src/protocol/completion.rs",
        find: "watermark >= self.seq && self.waiting.remove(pop)",
        replace: "self.waiting.remove(pop)",
        package: "freshen-model",
        tests: "p2_complete_needs_every_pop",
    },
    Mutation {
        name: "lease counted from the answer",
        promise: "P3",
        file: "crates/pop/src/agent.rs",
        find: "let consequence = self.follower.write().answered(&answer);",
        replace: "let consequence = { let mut follower = self.follower.write(); \
                  let late = follower.heartbeat(clock::now(), Vec::new()).number; \
                  follower.answered(&freshen_model::protocol::heartbeat::Answer { number: late, ..answer.clone() }) };",
        package: "freshen-cli",
        tests: "p3_a_slow_answer_gives_no_longer_lease",
    },
    Mutation {
        name: "an end that is not applied yet renews the lease",
        promise: "P3",
        file: "crates/model/src/protocol/lease.rs",
        find: "proof.end <= watermark",
        replace: "proof.end >= Seq(0) || watermark == Seq(0)",
        package: "freshen-model",
        tests: "p3_an_end_not_yet_applied_proves_nothing",
    },
    Mutation {
        name: "acknowledged without a commit",
        promise: "P4",
        file: "crates/ledger/src/sqlite/writer.rs",
        find: "transaction.commit()?;\n        Ok(end)",
        replace: "transaction.rollback()?;\n        Ok(end)",
        package: "freshen-ledger",
        tests: "p4_what_was_acknowledged_survives_kill_9",
    },
    Mutation {
        name: "a prefetch that takes a fill from before the purge",
        promise: "P5",
        file: "crates/model/src/protocol/follower.rs",
        find: "self.index.marks(key).newest() <= fill.fill_seq()",
        replace: "true",
        package: "freshen-cli",
        tests: "p5_a_prefetch_behind_a_purge_does_not_take_an_older_fill",
    },
    Mutation {
        name: "warm without reading back",
        promise: "P6",
        file: "crates/pop/src/prefetcher.rs",
        find: "self.read_back(&looked, copy).await?;",
        replace: "let _ = &looked;",
        package: "freshen-cli",
        tests: "p6_damaged_bytes_on_disk_do_not_count_as_warm",
    },
    Mutation {
        name: "every miss fetches for itself",
        promise: "P7",
        file: "crates/pop/src/fills.rs",
        find: "        if shared\n            && let Some(fill)",
        replace: "        if false\n            && let Some(fill)",
        package: "freshen-cli",
        tests: "p7_concurrent_misses_share_one_fetch",
    },
    Mutation {
        name: "another account's domain",
        promise: "P8",
        file: "crates/control/src/submit.rs",
        find: "self.ledger.domains(Some(account))",
        replace: "self.ledger.domains(None)",
        package: "freshen-control",
        tests: "p8_",
    },
    Mutation {
        name: "a directory matches its siblings",
        promise: "P9",
        file: "crates/model/src/protocol/index.rs",
        find: "let directories = inner.rfind('/').map(|end| &inner[..end]);",
        replace: "let directories = Some(inner);",
        package: "freshen-cli",
        tests: "p9_siblings_of_a_purged_directory_stay",
    },
];
