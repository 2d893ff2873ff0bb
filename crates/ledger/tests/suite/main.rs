//! One suite for every engine of the ledger; what only one engine promises stands in its own file.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, their fixtures and the child they kill")]

mod accounts;
mod callbacks;
mod domains;
mod embedded;
mod fixture;
mod log;
mod media;
mod media_jobs;
mod pending;
mod people;
mod pops;
mod quotas;
mod receipts;
mod server_certificates;
mod steering;
mod tasks;
mod traffic;

use async_trait::async_trait;
use freshen_ledger::Ledger;
use std::sync::Arc;

/// Where a ledger lives: opened again, it is the same one.
#[async_trait]
pub trait Home: Send + Sync {
    /// Opens the ledger; the one opened before must have been dropped.
    async fn open(&self) -> Arc<dyn Ledger>;
}

/// Makes a test of each case on each engine; another engine is one more line here.
macro_rules! cases {
    ($($noun:ident: $($case:ident),+;)+) => {
        mod sqlite {
            $(mod $noun {
                $(#[tokio::test]
                async fn $case() {
                    crate::$noun::$case(&crate::embedded::Folder::new()).await;
                })+
            })+
        }
    };
}

cases! {
    log: seqs_are_dense_and_ids_distinct, the_end_moves_only_to_what_is_there, reads_fit_the_bytes_asked_for,
        what_is_pruned_is_told_apart, a_snapshot_is_the_state_so_far, p4_reopening_keeps_everything;
    accounts: accounts_have_limits, keys_act_for_accounts;
    domains: every_change_is_an_order, sharers_follow, unfit_shares_are_refused, an_account_has_ten_thousand_of_them_and_lists_them_by_pages;
    server_certificates: each_domain_has_one_until_it_goes;
    pops: come_and_go, removed_ones_stay_in_scope_until_gone, prefetches_go_to_members_of_their_area,
        folders_are_remembered, p2_a_return_is_usable_from_its_join_only_where_it_was_gone;
    media: streams_come_and_go, too_many_are_refused_whole;
    media_jobs: p4_a_part_gets_its_task_in_one_transaction_and_once, who_wants_to_be_told_is_told_once,
        jobs_are_their_accounts_own;
    callbacks: p4_they_are_kept_until_they_end, those_of_one_account_hold_up_nobody, too_many_are_refused;
    quotas: are_counted_per_day_and_kind, over_quota_counts_nothing;
    people: users_come_and_go, sessions_end, a_link_is_good_once_and_for_a_time, deeds_are_kept_with_what_came_of_them;
    pending: p4_they_are_kept_and_released_once, p5_what_follows_one_is_released_behind_it, an_account_has_a_thousand_of_them;
    receipts: p4_what_was_signed_is_kept_as_it_was_signed, what_speaks_of_nothing_known_is_passed_over,
        no_key_is_ever_replaced, the_first_start_over_behind_a_task_stands_for_it;
    steering: p4_what_holds_a_prefetch_is_kept_with_its_order, a_cancelled_prefetch_has_ended,
        a_prefetch_goes_to_the_regions_it_names;
    tasks: p4_a_task_comes_with_its_order, p5_a_prefetch_that_follows_is_made_with_its_purge_or_neither_is,
        p4_concurrent_submissions_are_all_there, p8_submissions_name_own_domains,
        changed_settings_refuse_the_submission, p2_the_end_of_serve_is_kept_for_the_fence, progress_is_kept, lists_are_filtered, lists_are_paged,
        texts_are_searched_a_piece_at_a_time;
    traffic: entries_add_up_and_are_told_in_spans, p8_whoever_has_a_name_next_does_not_see_what_was;
}
