//! The POP's counters. Handles are made once, so that counting costs an addition.

use crate::policy::storing::NotStored;
use crate::traffic::Counts;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

/// How a viewer's request was answered; the first word of `X-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XCache {
    /// Fresh from this POP.
    Hit,
    /// Was not here.
    Miss,
    /// Stale or purged; the upstream sent a new body.
    Expired,
    /// The origin said 304.
    Revalidated,
    /// Served stale by policy.
    Stale,
    /// Not looked up.
    Bypass,
}

impl XCache {
    /// All of them.
    pub const ALL: [XCache; 6] =
        [XCache::Hit, XCache::Miss, XCache::Expired, XCache::Revalidated, XCache::Stale, XCache::Bypass];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            XCache::Hit => "HIT",
            XCache::Miss => "MISS",
            XCache::Expired => "EXPIRED",
            XCache::Revalidated => "REVALIDATED",
            XCache::Stale => "STALE",
            XCache::Bypass => "BYPASS",
        }
    }
}

/// Every counter of a POP.
pub struct Metrics {
    /// What is counted of each domain, for control.
    pub traffic: Counts,
    answers: [Counter; 6],
    /// Requests for hosts that are no domain.
    pub unknown_hosts: Counter,
    /// TLS handshakes with viewers that failed or took too long.
    pub handshakes_failed: Counter,
    /// Certificates that could not be read; the ones of before stay in use.
    pub certificate_errors: Counter,
    /// Certificates that control handed out and viewers are shown.
    pub certificates: Gauge,
    /// Certificates that control names and that could not be had yet.
    pub certificates_missing: Gauge,
    /// Body bytes received from other POPs.
    pub peer_bytes: Counter,
    /// Requests sent to origins.
    pub origin_requests: Counter,
    /// Body bytes received from origins.
    pub origin_bytes: Counter,
    /// Origins that could not be reached or broke off.
    pub origin_errors: Counter,
    /// Copies evicted for room.
    pub evicted: Counter,
    /// Files or entries that could not be read or written.
    pub disk_errors: Counter,
    /// Fills whose outcome the protocol forbade to store.
    pub fills_too_early: Counter,
    /// Orders applied.
    pub orders: Counter,
    /// Rules taken for something wider than they say.
    pub rules_widened: Counter,
    /// Times that everything had to be given up: another log, or a gap in it.
    pub starts_over: Counter,
    /// Starts with a damaged index, so that everything cached was given up.
    pub index_lost: Counter,
    /// Connections on which answers under way were broken off by a purge.
    pub cut: Counter,
    /// Copies that the sweep deleted or marked.
    pub swept: Counter,
    /// The watermark.
    pub watermark: Gauge,
    /// Whether the lease held when last looked at.
    pub leased: Gauge,
    /// URLs and directories in the purge index.
    pub rules: Gauge,
    /// Other POPs that can be asked.
    pub peers: Gauge,
    /// Bytes on disk.
    pub disk_bytes: Gauge,
    /// Bytes in memory.
    pub memory_bytes: Gauge,
    /// Seconds from the receipt of a batch of orders to its publication.
    pub apply_seconds: Histogram,
    /// Seconds that it took to count what orders applied together matched.
    pub count_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        describe_counter!("freshen_pop_answers_total", "Viewers' requests answered, by X-Cache");
        describe_counter!("freshen_pop_not_stored_total", "Responses that were not stored, by reason");
        describe_counter!("freshen_pop_peer_requests_total", "Requests to other POPs, by what came of them");
        describe_counter!("freshen_pop_peer_answers_total", "Requests of other POPs, answered or why not");
        describe_gauge!(
            "freshen_pop_watermark",
            "The highest seq up to which every order is durably applied"
        );
        describe_histogram!(
            "freshen_pop_apply_seconds",
            "From receipt of a batch of orders to its publication"
        );
        describe_histogram!(
            "freshen_pop_count_seconds",
            "To count what orders applied together matched, rests included"
        );
        Metrics {
            traffic: Counts::default(),
            answers: XCache::ALL
                .map(|x_cache| counter!("freshen_pop_answers_total", "x_cache" => x_cache.as_str())),
            unknown_hosts: counter!("freshen_pop_unknown_hosts_total"),
            handshakes_failed: counter!("freshen_pop_handshakes_failed_total"),
            certificate_errors: counter!("freshen_pop_certificate_errors_total"),
            certificates: gauge!("freshen_pop_certificates"),
            certificates_missing: gauge!("freshen_pop_certificates_missing"),
            peer_bytes: counter!("freshen_pop_peer_bytes_total"),
            origin_requests: counter!("freshen_pop_origin_requests_total"),
            origin_bytes: counter!("freshen_pop_origin_bytes_total"),
            origin_errors: counter!("freshen_pop_origin_errors_total"),
            evicted: counter!("freshen_pop_evicted_total"),
            disk_errors: counter!("freshen_pop_disk_errors_total"),
            fills_too_early: counter!("freshen_pop_fills_too_early_total"),
            orders: counter!("freshen_pop_orders_total"),
            rules_widened: counter!("freshen_pop_rules_widened_total"),
            starts_over: counter!("freshen_pop_starts_over_total"),
            index_lost: counter!("freshen_pop_index_lost_total"),
            cut: counter!("freshen_pop_connections_cut_total"),
            swept: counter!("freshen_pop_swept_total"),
            watermark: gauge!("freshen_pop_watermark"),
            leased: gauge!("freshen_pop_leased"),
            rules: gauge!("freshen_pop_rules"),
            peers: gauge!("freshen_pop_peers"),
            disk_bytes: gauge!("freshen_pop_disk_bytes"),
            memory_bytes: gauge!("freshen_pop_memory_bytes"),
            apply_seconds: histogram!("freshen_pop_apply_seconds"),
            count_seconds: histogram!("freshen_pop_count_seconds"),
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, x_cache: XCache) {
        self.answers[x_cache as usize].increment(1);
    }

    /// Counts a request to another POP, by what came of it.
    pub fn peer_asked(&self, outcome: &'static str) {
        counter!("freshen_pop_peer_requests_total", "outcome" => outcome).increment(1);
    }

    /// Counts a request of another POP: answered, or why not.
    pub fn peer_answered(&self, outcome: &'static str) {
        counter!("freshen_pop_peer_answers_total", "outcome" => outcome).increment(1);
    }

    /// Counts a response that is not stored.
    pub fn not_stored(&self, why: NotStored) {
        counter!("freshen_pop_not_stored_total", "reason" => why.as_str()).increment(1);
    }
}
