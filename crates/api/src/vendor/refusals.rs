//! What our own refusals and failures are called by the vendor. Nothing else maps one to the other.

use freshen_control::{BadLine, LineFault, SubmitError};
use freshen_ledger::{Error, Refusal};
use freshen_model::location::BadUrl;
use freshen_model::quota::QuotaKind;
use freshen_model::rights::Right;
use tracing::error;

use super::{Action, Denial, ErrorKind, Line, Product, VendorError};
use crate::body::BodyError;
use crate::gate::{Caller, Refused};
use crate::listener::Unfit;

/// Bad lines that a message tells.
const LINES_TOLD_MAX: usize = 10;

/// A body that was not read.
pub(super) fn of_body(error: BodyError) -> VendorError {
    match error {
        BodyError::TooLarge => ErrorKind::RequestTooLarge.because(error.to_string()),
        BodyError::TooSlow => ErrorKind::RequestTimeout.because(error.to_string()),
        BodyError::Broken => ErrorKind::RequestTimeout.because(error.to_string()),
    }
}

/// A head that was not passed on.
pub(super) fn of_head(why: Unfit) -> VendorError {
    match why {
        Unfit::TooLarge => ErrorKind::RequestTooLarge
            .because("a head has at most 1 MiB, of which fields 128 KiB and 100 in number"),
        Unfit::Malformed => ErrorKind::invalid("Request").because("the head is no HTTP/1.1"),
        Unfit::NoPlace => ErrorKind::Throttling { retry_after_ms: 1_000 }.into(),
    }
}

/// A caller who is not let in.
pub(super) fn of_gate(refused: Refused) -> VendorError {
    match refused {
        Refused::Signature(error) => error.into(),
        Refused::UnknownKey => ErrorKind::AccessKeyNotFound.into(),
        Refused::DisabledKey => ErrorKind::AccessKeyInactive.into(),
        Refused::TokenMissing => ErrorKind::Missing("SecurityToken").into(),
        Refused::TokenExpired => ErrorKind::SecurityTokenExpired.into(),
        Refused::TokenMismatch => ErrorKind::SecurityTokenMismatch.into(),
        Refused::TooFast { retry_after } => {
            let retry_after_ms = retry_after.as_nanos().div_ceil(1_000_000);
            ErrorKind::ThrottlingUser { retry_after_ms: u64::try_from(retry_after_ms).unwrap_or(u64::MAX) }
                .into()
        }
        Refused::NonceNotKept(error) => {
            error!(%error, "a nonce could not be kept");
            ErrorKind::ServiceUnavailable.into()
        }
        Refused::Ledger(error) => of_ledger(error),
    }
}

/// A key that may not do this at all.
pub(super) fn denied(caller: &Caller, action: Action, right: Right) -> VendorError {
    let (key, right) = (&caller.access_key_id, right.as_str());
    denial(caller, action).because(format!("access key {key} has not the right {right:?}"))
}

/// A key that may not do this to `domain`.
pub(super) fn out_of_reach(caller: &Caller, action: Action, domain: &str) -> VendorError {
    denial(caller, action).because(format!("access key {} does not reach {domain}", caller.access_key_id))
}

fn denial(caller: &Caller, action: Action) -> ErrorKind {
    let product = match action.product() {
        Product::Vod => "vod",
        Product::Cdn => "cdn",
    };
    ErrorKind::ForbiddenRam(Denial {
        auth_action: format!("{product}:{}", action.name()),
        auth_principal_display_name: caller.access_key_id.clone(),
        auth_principal_owner_id: caller.account.clone(),
    })
}

/// A submission of `lines` that was not taken.
pub(super) fn of_submit(error: SubmitError, lines: &[Line]) -> VendorError {
    let detail = error.to_string();
    match error {
        SubmitError::BadLines(bad) => of_bad_lines(&bad, lines),
        SubmitError::TooManyLines { kind: QuotaKind::Prefetch, lines_max, .. } => {
            ErrorKind::PreloadTooLong { lines_max }.because(detail)
        }
        SubmitError::TooManyLines { lines_max, .. } => {
            ErrorKind::ObjectPathTooLong { lines_max }.because(detail)
        }
        SubmitError::Empty => ErrorKind::MissingParameter("ObjectPath").into(),
        SubmitError::TooFast { .. } => ErrorKind::QuotaPerMinuteExceededRefresh.because(detail),
        SubmitError::QueueFull { .. } => ErrorKind::PreloadQueueFull.because(detail),
        SubmitError::OverQuota(quota, _) if quota.kind == QuotaKind::Prefetch => {
            ErrorKind::QuotaExceededPreload.because(detail)
        }
        SubmitError::OverQuota(..) => ErrorKind::QuotaExceededRefresh.because(detail),
        SubmitError::NoPops(Some(_)) | SubmitError::AreaOfPurge => ErrorKind::invalid("Area").because(detail),
        SubmitError::ForeignDomain(_) | SubmitError::NoDomains => ErrorKind::DomainNotFound.because(detail),
        SubmitError::DomainsOfLines => ErrorKind::invalid("DomainName").because(detail),
        SubmitError::NoPops(None) => ErrorKind::ServiceUnavailable.because(detail),
        SubmitError::BadHeaders(_) => ErrorKind::invalid("WithHeader").because(detail),
        // What the vendor's API cannot ask for.
        SubmitError::CutOfPrefetch
        | SubmitError::DryRunOfPrefetch
        | SubmitError::TermsOfPurge
        | SubmitError::Deadline
        | SubmitError::ThenOfPrefetch
        | SubmitError::ThenWithoutUrls
        | SubmitError::BadRefill
        | SubmitError::TooManyRegions
        | SubmitError::NoPopsInRegion(_)
        | SubmitError::TooLate => ErrorKind::ObjectPathMalformed.because(detail),
        SubmitError::Ledger(error) => of_ledger(error),
    }
}

/// The first domain that a submission was refused for; of a confined key it may be one that only others reach.
pub(super) fn beyond_reach(error: &SubmitError) -> Option<&str> {
    match error {
        SubmitError::BadLines(bad) => bad.iter().find_map(|line| match &line.fault {
            LineFault::ForeignDomain(domain) => Some(domain.as_str()),
            _ => None,
        }),
        SubmitError::ForeignDomain(domain) => Some(domain),
        _ => None,
    }
}

/// The first bad line says which error it is, the message names them all.
fn of_bad_lines(bad: &[BadLine], lines: &[Line]) -> VendorError {
    let kind = match bad.first().map(|line| &line.fault) {
        Some(LineFault::ForeignDomain(_)) => ErrorKind::DomainNotFound,
        Some(LineFault::StoppedDomain(_)) => ErrorKind::DomainOffline,
        Some(LineFault::Url(BadUrl::Wildcard)) if has_wildcard_host(&bad[0].text) => {
            ErrorKind::ExtensiveDomain
        }
        _ => ErrorKind::ObjectPathMalformed,
    };
    let told = bad.iter().take(LINES_TOLD_MAX).map(|bad| {
        // Blank lines were left out of the submission, but the caller counts them.
        let number = lines.get(bad.line - 1).map_or(bad.line, |line| line.number);
        format!("line {number}: {}", bad.fault)
    });
    let mut detail = told.collect::<Vec<_>>().join("; ");
    if bad.len() > LINES_TOLD_MAX {
        detail.push_str(&format!("; and {} more", bad.len() - LINES_TOLD_MAX));
    }
    kind.because(detail)
}

fn has_wildcard_host(line: &str) -> bool {
    let rest = line.split_once("://").map_or(line, |(_, rest)| rest);
    rest.split(['/', '?']).next().is_some_and(|host| host.contains('*'))
}

/// A ledger that refused or failed. What it says is for our log only.
pub(super) fn of_ledger(error: Error) -> VendorError {
    match error {
        Error::Refused(Refusal::SettingsChanged(_)) => ErrorKind::ServiceBusy.into(),
        error => {
            error!(%error, "the ledger could not do what the API asked");
            ErrorKind::InternalError.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Line {
        Line { number, text: String::new() }
    }

    fn bad(line: usize, text: &str, fault: LineFault) -> BadLine {
        BadLine { line, text: text.into(), fault }
    }

    #[test]
    fn bad_lines_are_named_as_the_caller_counts_them() {
        let lines = [line(1), line(4), line(5)];
        let faults = vec![
            bad(2, "a b", LineFault::Url(BadUrl::Space)),
            bad(3, "x/", LineFault::ForeignDomain("x".into())),
        ];
        let error = of_submit(SubmitError::BadLines(faults), &lines);
        assert_eq!(error.code(), "InvalidObjectPath.Malformed");
        let detail = "line 4: raw space in URL, write %20; line 5: x is not a domain of this account";
        assert_eq!(error.detail.as_deref(), Some(detail));
    }

    #[test]
    fn many_bad_lines_are_counted() {
        let lines: Vec<Line> = (1..=12).map(line).collect();
        let faults = (1..=12).map(|at| bad(at, "x/", LineFault::ForeignDomain("x".into()))).collect();
        let error = of_submit(SubmitError::BadLines(faults), &lines);
        assert_eq!((error.code().as_ref(), error.status().as_u16()), ("InvalidDomain.NotFound", 404));
        assert!(error.detail.unwrap().ends_with("line 10: x is not a domain of this account; and 2 more"));
    }

    #[test]
    fn only_a_wildcard_host_is_an_extensive_domain() {
        for (text, code) in [
            ("http://*.a.test/x", "InvalidExtensiveDomain.ValueNotSupported"),
            ("*.a.test", "InvalidExtensiveDomain.ValueNotSupported"),
            ("http://a.test/*.jpg", "InvalidObjectPath.Malformed"),
        ] {
            let faults = vec![bad(1, text, LineFault::Url(BadUrl::Wildcard))];
            assert_eq!(of_submit(SubmitError::BadLines(faults), &[line(1)]).code(), code, "{text}");
        }
    }

    #[test]
    fn the_ledgers_words_stay_inside() {
        let error = of_ledger(Error::Engine("disk I/O error in ledger.sqlite".into()));
        assert_eq!(
            (error.code().as_ref(), error.status().as_u16(), error.detail),
            ("InternalError", 500, None)
        );
    }
}
