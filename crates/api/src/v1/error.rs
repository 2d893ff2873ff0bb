//! What `/v1` answers where it cannot do what is asked.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use freshen_control::{BadLine, CheckError, ManageError, NoCertificate, SubmitError, TooManyStreams};
use freshen_ledger::{Error, Refusal};
use freshen_model::rights::Right;
use http::StatusCode;
use tracing::error;

use super::wire::{BadLineView, ErrorBody, ErrorCode, ErrorView};
use crate::body::BodyError;
use crate::gate::{BearerRefused, Refused};
use crate::signature::SignatureError;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) ErrorView);

impl ApiError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError(ErrorView { code, message: message.into(), field: None, lines: Vec::new() })
    }

    /// The same, naming what of the request is meant.
    pub(super) fn of_field(mut self, field: impl Into<String>) -> ApiError {
        self.0.field = Some(field.into());
        self
    }

    /// The same for what is not there and for what is another account's.
    pub(super) fn not_found(what: &'static str, name: &str) -> ApiError {
        Refusal::NotFound { what, name: name.to_owned() }.into()
    }

    pub(super) fn forbidden() -> ApiError {
        ApiError::new(ErrorCode::Forbidden, "only admins may do this")
    }

    /// A key that has not that right.
    pub(super) fn denied(right: Right) -> ApiError {
        let word = right.as_str();
        ApiError::new(ErrorCode::Forbidden, format!("this access key has not the right {word:?}"))
    }

    /// A fault of ours: the reason goes to the log, not out.
    pub(super) fn internal(why: &dyn fmt::Display) -> ApiError {
        error!(%why, "a request failed");
        ApiError::new(ErrorCode::Internal, "control could not do it, its log says why")
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadLines | ErrorCode::TooManyLines | ErrorCode::Empty | ErrorCode::Malformed => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::TooSlow => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Exists | ErrorCode::KeyReused | ErrorCode::Unfit | ErrorCode::NoPops => {
            StatusCode::CONFLICT
        }
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::OverQuota | ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Internal | ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (status(self.0.code), Json(ErrorBody { error: self.0 })).into_response()
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        let code = match error {
            BodyError::TooLarge => ErrorCode::TooLarge,
            BodyError::TooSlow | BodyError::Broken => ErrorCode::TooSlow,
        };
        ApiError::new(code, error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        let code = match &refused {
            Refused::Ledger(error) => return ApiError::internal(error),
            Refused::NonceNotKept(error) => return ApiError::internal(error),
            Refused::TooFast { .. } => ErrorCode::TooManyRequests,
            Refused::Signature(SignatureError::KeyNoncesFull | SignatureError::NoncesFull) => {
                ErrorCode::TooManyRequests
            }
            Refused::Signature(_)
            | Refused::UnknownKey
            | Refused::DisabledKey
            | Refused::TokenMissing
            | Refused::TokenExpired
            | Refused::TokenMismatch => ErrorCode::Unauthenticated,
        };
        ApiError::new(code, refused.to_string())
    }
}

impl From<BearerRefused> for ApiError {
    fn from(refused: BearerRefused) -> ApiError {
        match refused {
            BearerRefused::Otherwise(refused) => refused.into(),
            refused => ApiError::new(ErrorCode::Unauthenticated, refused.to_string()),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> ApiError {
        let message = error.to_string();
        let code = match error {
            SubmitError::BadLines(lines) => {
                let lines = lines.into_iter().map(line).collect();
                return ApiError(ErrorView {
                    code: ErrorCode::BadLines,
                    message,
                    field: Some("lines".into()),
                    lines,
                });
            }
            SubmitError::TooManyLines { .. } => ErrorCode::TooManyLines,
            SubmitError::Empty => ErrorCode::Empty,
            SubmitError::AreaOfPurge
            | SubmitError::DomainsOfLines
            | SubmitError::CutOfPrefetch
            | SubmitError::DryRunOfPrefetch
            | SubmitError::TermsOfPurge
            | SubmitError::BadHeaders(_)
            | SubmitError::Deadline
            | SubmitError::ThenOfPrefetch
            | SubmitError::ThenWithoutUrls
            | SubmitError::BadRefill
            | SubmitError::TooManyRegions
            | SubmitError::TooLate => ErrorCode::Malformed,
            SubmitError::ForeignDomain(_) => ErrorCode::NotFound,
            SubmitError::NoDomains => ErrorCode::Unfit,
            SubmitError::TooFast { .. } | SubmitError::QueueFull { .. } => ErrorCode::TooManyRequests,
            SubmitError::OverQuota(..) => ErrorCode::OverQuota,
            SubmitError::NoPops(_) | SubmitError::NoPopsInRegion(_) => ErrorCode::NoPops,
            SubmitError::Ledger(error) => return error.into(),
        };
        ApiError::new(code, message)
    }
}

fn line(bad: BadLine) -> BadLineView {
    BadLineView { line: bad.line, reason: bad.fault.to_string(), text: bad.text }
}

impl From<CheckError> for ApiError {
    fn from(error: CheckError) -> ApiError {
        match error {
            CheckError::BadUrl(why) => ApiError::new(ErrorCode::Malformed, format!("url: {why}")),
            CheckError::ForeignDomain(_) => ApiError::new(ErrorCode::NotFound, error.to_string()),
            CheckError::Ledger(error) => error.into(),
        }
    }
}

impl From<NoCertificate> for ApiError {
    fn from(error: NoCertificate) -> ApiError {
        match error {
            NoCertificate::NotFound(id) => ApiError::not_found("task", &id.to_string()),
            NoCertificate::Ledger(error) => error.into(),
            NoCertificate::NoPurge(_)
            | NoCertificate::NotComplete(..)
            | NoCertificate::TooOld(_)
            | NoCertificate::Unsigned(_) => ApiError::new(ErrorCode::Unfit, error.to_string()),
        }
    }
}

impl From<TooManyStreams> for ApiError {
    fn from(error: TooManyStreams) -> ApiError {
        ApiError::new(ErrorCode::TooManyRequests, error.to_string())
    }
}

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> ApiError {
        match error {
            ManageError::Unfit { field, .. } => {
                ApiError::new(ErrorCode::Unfit, error.to_string()).of_field(field)
            }
            ManageError::Ledger(error) => error.into(),
            ManageError::NoRandom(error) => ApiError::internal(&error),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        match error {
            Error::Refused(refusal) => refusal.into(),
            failed => ApiError::internal(&failed),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let code = match &refusal {
            Refusal::Exists { .. } => ErrorCode::Exists,
            Refusal::KeyReused(_) => {
                let refused = ApiError::new(ErrorCode::KeyReused, refusal.to_string());
                return refused.of_field("idempotency-key");
            }
            Refusal::Repeated(_) => ErrorCode::Unfit,
            Refusal::NotFound { .. } => ErrorCode::NotFound,
            Refusal::Unfit(_) | Refusal::SettingsChanged(_) => ErrorCode::Unfit,
            Refusal::OverQuota { .. } => ErrorCode::OverQuota,
        };
        ApiError::new(code, refusal.to_string())
    }
}
