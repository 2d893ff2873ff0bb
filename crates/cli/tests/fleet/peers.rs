//! Control's word about the other POPs, as a test wants it to be.

use async_trait::async_trait;
use freshen_fleet::Host;
use freshen_fleet::wire::{CertificateName, HandedCertificate, Receipts};
use freshen_model::ids::{LogId, PopId, Seq};
use freshen_model::order::{End, Order, Snapshot};
use freshen_model::peers::Peers;
use freshen_model::protocol::heartbeat::{Heartbeat, Standing};
use freshen_model::protocol::roster::Place;
use std::sync::Arc;
use tokio::sync::watch;

/// What that POP is told instead.
pub type Twist = Arc<dyn Fn(&PopId, Peers) -> Peers + Send + Sync>;

/// Control, but for what it says of the other POPs.
pub struct Twisted {
    pub control: Arc<dyn Host>,
    pub twist: Twist,
}

#[async_trait]
impl Host for Twisted {
    async fn admit(&self, token: &str) -> Result<Option<PopId>, String> {
        self.control.admit(token).await
    }

    fn log(&self) -> LogId {
        self.control.log()
    }

    fn end(&self) -> watch::Receiver<End> {
        self.control.end()
    }

    async fn orders_after(&self, after: Seq, bytes_max: usize) -> Result<Option<Vec<Order>>, String> {
        self.control.orders_after(after, bytes_max).await
    }

    async fn place(&self, seq: Seq) -> Result<Place, String> {
        self.control.place(seq).await
    }

    async fn snapshot(&self, pop: &PopId) -> Result<Snapshot, String> {
        self.control.snapshot(pop).await
    }

    fn peers_changed(&self) -> watch::Receiver<u64> {
        self.control.peers_changed()
    }

    fn peers(&self, pop: &PopId) -> Option<Peers> {
        self.control.peers(pop).map(|peers| (self.twist)(pop, peers))
    }

    fn certificates(&self) -> watch::Receiver<Arc<Vec<CertificateName>>> {
        self.control.certificates()
    }

    async fn certificate(&self, pop: &PopId, domain: &str) -> Result<Option<HandedCertificate>, String> {
        self.control.certificate(pop, domain).await
    }

    async fn heartbeat(&self, beat: &Heartbeat) -> Result<Standing, String> {
        self.control.heartbeat(beat).await
    }

    async fn receipts(&self, receipts: &Receipts) -> Result<Result<(), String>, String> {
        self.control.receipts(receipts).await
    }
}
