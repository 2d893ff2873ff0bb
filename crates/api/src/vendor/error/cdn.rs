//! What CDN calls otherwise than VOD; its gateway's errors and all others are the same.

use super::{ErrorKind, Row};

/// CDN's own status, code and message.
pub(super) fn row(kind: &ErrorKind) -> Option<Row> {
    use ErrorKind as E;
    let row = |status: u16, code: &'static str, message: &'static str| (status, code.into(), message.into());
    Some(match kind {
        E::QuotaExceededRefresh => {
            row(400, "QuotaExceeded.Refresh", "Your refresh attempts have exceeded the daily limit.")
        }
        E::QuotaPerMinuteExceededRefresh => row(
            400,
            "QuotaPerMinuteExceeded.Refresh",
            "You tried to refresh too frequently; please try again later.",
        ),
        E::ObjectPathMalformed => {
            row(400, "InvalidObjectPath.Malformed", "The specified ObjectPath is invalid.")
        }
        E::ObjectPathTooLong { lines_max } => {
            let message = format!("A maximum of {lines_max} URLs are supported for each request.");
            (400, "SingleRequest.OverLimit".into(), message.into())
        }
        E::PreloadTooLong { .. } => {
            row(400, "InvalidObjectPath.ExceedsMaximum", "The maximum number of urls is exceeded.")
        }
        E::TimeSingle => {
            row(400, "MissingTimeParameter", "The StartTime and EndTime must be both specified.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::vendor::{ErrorKind, Product};

    #[test]
    fn one_error_has_two_names() {
        let error = ErrorKind::ObjectPathTooLong { lines_max: 1_000 }.because("1001 lines");
        assert_eq!(error.code(), "InvalidObjectPath.Size.Malformed");
        let error = error.of(Product::Cdn);
        assert_eq!(error.code(), "SingleRequest.OverLimit");
        assert_eq!(error.message(), "A maximum of 1000 URLs are supported for each request. (1001 lines)");
    }

    #[test]
    fn most_have_one() {
        for kind in [ErrorKind::NonceUsed, ErrorKind::DomainNotFound, ErrorKind::PreloadQueueFull] {
            let vod = kind.clone().because("");
            let cdn = kind.because("").of(Product::Cdn);
            assert_eq!((vod.code(), vod.status(), vod.message()), (cdn.code(), cdn.status(), cdn.message()));
        }
    }
}
