//! Style sheet and scripts, in the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const STYLES: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, type and content. `htmx.js` and `sse.js` are others' work, see `vendored/README.md`.
const ALL: [(&str, &str, &str); 6] = [
    ("mark.svg", "image/svg+xml", include_str!("assets/mark.svg")),
    ("freshen.css", STYLES, include_str!("assets/freshen.css")),
    ("pages.css", STYLES, include_str!("assets/pages.css")),
    ("console.js", SCRIPT, include_str!("assets/console.js")),
    ("htmx.js", SCRIPT, include_str!("vendored/htmx.min.js")),
    ("sse.js", SCRIPT, include_str!("vendored/sse.min.js")),
];

/// Changes with what is in them, so that a browser may keep them for good.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    ALL.iter().for_each(|(_, _, content)| digest.update(content.as_bytes()));
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Where a browser finds one.
pub(crate) fn path(name: &str) -> String {
    format!("/ui/assets/{name}?{}", *VERSION)
}

pub(crate) async fn one(Path(name): Path<String>) -> Response {
    match ALL.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => {
            let for_good = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, for_good)], *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
