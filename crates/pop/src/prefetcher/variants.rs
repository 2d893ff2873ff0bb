//! Variants: the viewers as whom a prefetch asks for each file.

use super::failure::NotWarm;
use crate::policy::fields;
use freshen_model::order::PrefetchOrder;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A viewer as whom files are asked for.
pub struct AsViewer {
    /// The fields of his requests.
    pub headers: HeaderMap,
    /// These in words; absent where the order names none.
    named: Option<String>,
}

impl AsViewer {
    /// All for whom an order wants its files: those that it names, else one who accepts gzip, and one who doesn't. One whom
    /// this POP cannot be is not among them, and control is told of how many there are.
    pub fn of(order: &PrefetchOrder) -> Vec<AsViewer> {
        if order.headers.is_empty() {
            return [true, false].map(|gzip| AsViewer { headers: fields::asking(gzip), named: None }).into();
        }
        order.headers.requests().iter().filter_map(|request| AsViewer::named(request)).collect()
    }

    fn named(request: &[(&str, &str)]) -> Option<AsViewer> {
        let field = |(name, value): &(&str, &str)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
        };
        let headers = request.iter().map(field).collect::<Option<HeaderMap>>()?;
        let words: Vec<String> = request.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        Some(AsViewer { headers, named: Some(words.join("; ")) })
    }

    /// Whether the order names him.
    pub fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Why a file is not warm for him.
    pub fn lacks(&self, mut why: NotWarm) -> NotWarm {
        if let Some(named) = &self.named {
            why.reason = format!("{} ({named})", why.reason);
        }
        why
    }
}
