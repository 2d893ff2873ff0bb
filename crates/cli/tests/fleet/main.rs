//! The promises, end to end: a real control, POPs as processes, viewers over loopback, and an origin that does as told.
//!
//! Each file holds one promise; its tests fail when that promise is broken (`cargo xtask mutate` breaks them on purpose).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod bucket;
mod certificates;
mod counts;
mod crossing;
mod cuts;
mod disk_faults;
mod dry_runs;
mod faults;
mod full_disk;
mod hostile_viewers;
mod http_rules;
mod installation;
mod large;
mod large_origin;
mod line;
mod origin;
mod origins;
mod part_origin;
mod peers;
mod probe;
mod purge_method;
mod raw;
mod raw_origin;
mod settings;
mod slow_line;
mod slow_viewers;
mod soak;
mod tls_origin;
mod tls_viewers;
mod traffic;
mod viewer;

mod p1_races;
mod p1_resurrection;
mod p1_rules;
mod p2_completion;
mod p3_staleness;
mod p5_order;
mod p6_engine;
mod p6_follow;
mod p6_prefetch;
mod p6_steering;
mod p6_variants;
mod p7_home;
mod p7_one_fetch;
mod p7_prefetch;
mod p8_isolation;
mod p9_precision;
