//! What the fleet's listener needs of control.

use crate::wire::{CertificateName, HandedCertificate, Receipts};
use async_trait::async_trait;
use freshen_model::ids::{LogId, OrderId, PopId, Seq};
use freshen_model::order::{End, Order, Snapshot};
use freshen_model::peers::Peers;
use freshen_model::protocol::heartbeat::{Heartbeat, Standing};
use freshen_model::protocol::roster::Place;
use std::sync::Arc;
use tokio::sync::watch;

/// Control, as the fleet's listener sees it. Errors are texts for the operator's log; the POP tries again.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The POP that this token belongs to; `None` refuses the connection.
    async fn admit(&self, token: &str) -> Result<Option<PopId>, String>;

    /// The log's name.
    fn log(&self) -> LogId;

    /// The log's end; moves only once an order is durable.
    fn end(&self) -> watch::Receiver<End>;

    /// Orders behind a place, oldest first and at most `bytes_max` of them but at least one; `None` where some of them
    /// are not kept any more.
    async fn orders_after(&self, after: Seq, bytes_max: usize) -> Result<Option<Vec<Order>>, String>;

    /// What the log has at a place.
    async fn place(&self, seq: Seq) -> Result<Place, String>;

    /// The state all orders led to, for that POP.
    async fn snapshot(&self, pop: &PopId) -> Result<Snapshot, String>;

    /// Changes with what [`Host::peers`] says.
    fn peers_changed(&self) -> watch::Receiver<u64>;

    /// The other POPs, for that one; `None` while too little is known of them, or of it.
    fn peers(&self, pop: &PopId) -> Option<Peers>;

    /// Which domains have a certificate.
    fn certificates(&self) -> watch::Receiver<Arc<Vec<CertificateName>>>;

    /// A domain's certificate for a POP, which is authenticated and asked over a private line; `None` where it has none, or
    /// the POP is to have none.
    async fn certificate(&self, pop: &PopId, domain: &str) -> Result<Option<HandedCertificate>, String>;

    /// Judges a heartbeat, whose sender is authenticated.
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<Standing, String>;

    /// Keeps what a POP, which is authenticated, has signed; `Ok` once it is durable. The inner error refuses it.
    async fn receipts(&self, receipts: &Receipts) -> Result<Result<(), String>, String>;

    /// Whether a POP that stands there can be sent the orders behind.
    async fn stands(&self, log: Option<LogId>, seq: Seq, id: OrderId) -> Result<bool, String> {
        Ok(log == Some(self.log()) && self.place(seq).await? == Place::Order(id))
    }
}
