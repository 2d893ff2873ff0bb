//! «Fleet»: what is shown of POPs and of traffic, and to whom.

use crate::stage::Stage;
use freshen_ledger::{Ledger, TrafficEntry};
use freshen_model::area::Area;
use freshen_model::traffic::{SPAN_S, Span, Traffic, span_of};

#[tokio::test]
async fn p8_charts_are_of_the_domains_that_somebody_sees_and_what_pops_serve_is_for_admins() {
    let stage = Stage::set().await;
    let at_s = span_of(stage.control.wall_ms() / 1_000, SPAN_S);
    let entry = |domain: &str, requests| {
        let (hits, bytes, origin_bytes) = (requests / 2, 1_000 * requests, 10 * requests);
        let traffic = Traffic { requests, hits, bytes, origin_bytes, ..Traffic::default() };
        TrafficEntry { domain: domain.into(), span: Span { at_s, area: Area::Domestic, traffic } }
    };
    let entries = vec![entry("a.example", 100), entry("b.example", 3_000)];
    stage.ledger.add_traffic(entries, Vec::new()).await.unwrap();
    let mut olga = stage.signed_in("olga").await;
    let page = olga.get("/ui/fleet").await;
    for chart in [
        "Requests: 1 value, the highest 100\"",
        "Hit ratio: 1 value, the highest 50 %",
        "Bytes to viewers: 1 value, the highest 100 kB",
        "Bytes from origins: 1 value, the highest 1.0 kB",
    ] {
        page.has(chart);
    }
    page.has_not(">Last hour<");
    olga.get("/ui/fleet/pops").await.has_not(">Last hour<");
    let foreign = olga.get("/ui/fleet?domain=b.example").await;
    foreign.has("There is no domain &quot;b.example&quot;.");
    foreign.has_not("3,000");
    olga.get("/ui/fleet?domain=a.example&span=day").await.has("the highest 100\"");

    let mut eva = stage.signed_in("eva").await;
    eva.get("/ui/fleet").await.has("the highest 3,100\"");
    eva.get("/ui/fleet?domain=b.example&span=month").await.has("the highest 3,000\"");
    let pops = eva.get("/ui/fleet/pops").await;
    pops.has(">Last hour<");
    // Nobody runs it, and nothing is known of its machine.
    pops.has("not connected");
    pops.has("not known");
    stage.browser().get("/ui/fleet/pops").await.has_not("pop-asia");
}
