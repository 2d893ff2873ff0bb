//! Every error the vendor API answers with: code, status and message in one table; what CDN says otherwise in `cdn`.

mod cdn;

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use super::Product;
use crate::signature::{PairsError, SignatureError};

/// An error as the caller gets it: the vendor's code and message, and what we know beyond them.
#[derive(Clone, PartialEq, Eq)]
pub struct VendorError {
    /// Which one.
    pub kind: ErrorKind,
    /// What exactly and where (`line 2: raw space in URL, write %20`). Follows the vendor's message in brackets, since
    /// the message is all that every SDK shows, and stands alone in `Recommend`.
    pub detail: Option<String>,
    /// Whose words are used.
    pub product: Product,
}

/// Who was denied what; the answer's `AccessDeniedDetail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The product and the action, `vod:RefreshVodObjectCaches`.
    pub auth_action: String,
    /// The access key.
    pub auth_principal_display_name: String,
    /// Its account.
    pub auth_principal_owner_id: String,
}

/// The errors, named after their codes.
#[derive(Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// A parameter of the protocol is missing; the code contains its name.
    Missing(&'static str),
    /// A parameter has no acceptable value; the code contains its name.
    Invalid(Cow<'static, str>),
    /// No such action.
    ActionNotFound,
    /// No such path.
    ApiNotFound,
    /// The action exists, but not in this version.
    InvalidVersion,
    /// Neither GET nor POST.
    UnsupportedHttpMethod,
    /// `Format` is neither JSON nor XML.
    InvalidFormat,
    /// Query, form or body exceed a limit.
    RequestTooLarge,
    /// The body came too slowly, or broke off.
    RequestTimeout,
    /// No such access key.
    AccessKeyNotFound,
    /// The access key is disabled.
    AccessKeyInactive,
    /// The timestamp is not in the vendor's format.
    TimestampMalformed,
    /// The timestamp is more than 15 minutes off.
    TimestampExpired,
    /// The nonce came before.
    NonceUsed,
    /// A signature method that is not spoken.
    InvalidSignatureMethod,
    /// The signature covers too little, or its header is malformed.
    IncompleteSignature,
    /// The signature differs from ours.
    SignatureDoesNotMatch {
        /// What we calculated it from. SDKs compare it with their own.
        string_to_sign: String,
    },
    /// The token of temporary credentials is no longer valid.
    SecurityTokenExpired,
    /// The token belongs to another access key.
    SecurityTokenMismatch,
    /// The account sends too many requests.
    ThrottlingUser {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The service gets too many requests.
    Throttling {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The access key has no right to do this to that resource.
    ForbiddenRam(Denial),
    /// A fault of ours.
    InternalError,
    /// A fault of ours that will pass.
    ServiceUnavailable,

    /// What is asked for may not be done to this domain.
    IllegalOperation,
    /// The domain is unknown or another account's.
    DomainNotFound,
    /// The domain is switched off.
    DomainOffline,
    /// The domain is being configured.
    ServiceBusy,
    /// A wildcard host.
    ExtensiveDomain,
    /// The day's quota of purges, or in VOD also of prefetches, does not suffice.
    QuotaExceededRefresh,
    /// The day's quota of prefetches does not suffice. VOD's documentation has the one above for both.
    QuotaExceededPreload,
    /// The minute's limit of purges is reached.
    QuotaPerMinuteExceededRefresh,
    /// Too many prefetches are waiting.
    PreloadQueueFull,
    /// A parameter of the action is missing.
    MissingParameter(&'static str),
    /// A type of object that cannot be submitted or listed.
    ObjectTypeNotSupported,
    /// A type of object that cannot be submitted, in CDN.
    ObjectTypeMalformed,
    /// A line of the list names nothing that can be purged or prefetched.
    ObjectPathMalformed,
    /// More lines than one request may have.
    ObjectPathTooLong {
        /// How many it may have.
        lines_max: usize,
    },
    /// More lines than one request to prefetch may have.
    PreloadTooLong {
        /// How many it may have.
        lines_max: usize,
    },
    /// The task id is not a number.
    TaskIdMalformed,
    /// Only one of StartTime and EndTime is there.
    TimeSingle,
    /// A list by domain or status, without the type of object.
    MissingObjectType,
    /// A parameter that cannot be read; the code contains its name.
    Malformed(&'static str),
    /// The domain is there already, whoever has it.
    DomainExists,
    /// EndTime is not after StartTime.
    EndTimeMismatch,
    /// StartTime is longer ago than tasks can be listed.
    TimeTooLongAgo,
    /// A value that is none of those there are; the code contains the parameter's name.
    ValueNotSupported(&'static str),
}

impl ErrorKind {
    /// The table: status, code, message.
    fn row(&self) -> Row {
        use ErrorKind as E;
        let row =
            |status: u16, code: &'static str, message: &'static str| (status, code.into(), message.into());
        match self {
            // Errors of the gateway, the same for every action.
            E::Missing(name) => {
                (400, format!("Missing{name}").into(), format!("{name} is mandatory for this action.").into())
            }
            E::Invalid(name) => (
                400,
                format!("Invalid{name}").into(),
                format!("Specified parameter {name} is not valid.").into(),
            ),
            E::ActionNotFound => row(
                404,
                "InvalidAction.NotFound",
                "Specified api is not found, please check your url and method.",
            ),
            E::ApiNotFound => row(
                404,
                "InvalidApi.NotFound",
                "Specified api is not found, please check your url and method.",
            ),
            E::InvalidVersion => row(400, "InvalidVersion", "Specified parameter Version is not valid."),
            E::UnsupportedHttpMethod => row(405, "UnsupportedHTTPMethod", "This http method not supported."),
            E::InvalidFormat => {
                row(400, "InvalidParameter.Format", "Specified parameter format is not valid.")
            }
            E::RequestTooLarge => row(413, "RequestTooLarge", "The request exceeds the size limit."),
            E::RequestTimeout => row(408, "RequestTimeout", "The request was not received in time."),
            E::AccessKeyNotFound => {
                row(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            }
            E::AccessKeyInactive => {
                row(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
            }
            E::TimestampMalformed => row(
                400,
                "InvalidTimeStamp.Format",
                "Specified time stamp or date value is not well formatted.",
            ),
            E::TimestampExpired => {
                row(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
            }
            E::NonceUsed => row(400, "SignatureNonceUsed", "Specified signature nonce was used already."),
            E::InvalidSignatureMethod => {
                row(400, "InvalidSignatureMethod", "Specified signature method is not valid.")
            }
            E::IncompleteSignature => {
                row(400, "IncompleteSignature", "The request signature is not complete.")
            }
            // SDKs split this message at its first colon and compare what follows with their own string to sign.
            E::SignatureDoesNotMatch { string_to_sign } => {
                let message =
                    "Specified signature is not matched with our calculation. server string to sign is:";
                (400, "SignatureDoesNotMatch".into(), format!("{message}{string_to_sign}").into())
            }
            E::SecurityTokenExpired => {
                row(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
            }
            E::SecurityTokenMismatch => row(
                400,
                "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey.",
            ),
            E::ThrottlingUser { .. } => {
                row(400, "Throttling.User", "Request was denied due to user flow control.")
            }
            E::Throttling { .. } => row(503, "Throttling", "Request was denied due to request throttling."),
            E::ForbiddenRam(_) => {
                row(403, "Forbidden.RAM", "User not authorized to operate on the specified resource.")
            }
            E::InternalError => {
                row(500, "InternalError", "The request processing has failed due to some unknown error.")
            }
            E::ServiceUnavailable => row(
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),

            // Errors of the VOD purge and prefetch actions.
            E::IllegalOperation => row(403, "IllegalOperation", "Illegal domain operate is not permitted."),
            E::DomainNotFound => {
                row(404, "InvalidDomain.NotFound", "The domain provided does not belong to you.")
            }
            E::DomainExists => row(400, "DomainAlreadyExist", "The domain name already exists."),
            E::DomainOffline => row(404, "InvalidDomain.Offline", "The domain provided is offline."),
            E::ServiceBusy => {
                row(403, "ServiceBusy", "The specified Domain is configuring, please retry later.")
            }
            E::ExtensiveDomain => {
                row(400, "InvalidExtensiveDomain.ValueNotSupported", "Extensive domain not supported.")
            }
            E::QuotaExceededRefresh => {
                row(400, "QuotaExceeded.Refresh", "You've exceeded the prescribed refresh limits.")
            }
            E::QuotaExceededPreload => {
                row(400, "QuotaExceeded.Preload", "You've exceeded the prescribed preload limits.")
            }
            E::QuotaPerMinuteExceededRefresh => row(
                400,
                "QuotaPerMinuteExceeded.Refresh",
                "You've exceeded the prescribed refresh limits per minute.",
            ),
            E::PreloadQueueFull => {
                row(403, "PreloadQueueFull", "Preload queue is full, please try again later!")
            }
            E::MissingParameter(name) => {
                let message = format!(
                    "The input parameter \"{name}\" that is mandatory for processing this request is not supplied."
                );
                (400, "MissingParameter".into(), message.into())
            }
            E::ObjectTypeNotSupported => row(
                400,
                "InvalidObjectType.ValueNotSupported",
                "The specified value of \"ObjectType\" is not supported.",
            ),
            E::ObjectPathMalformed => row(
                400,
                "InvalidObjectPath.Malformed",
                "The specific value of parameter ObjectPath is malformed.",
            ),
            E::ObjectTypeMalformed => {
                row(400, "InvalidObjectType.Malformed", "The specified ObjectType is invalid.")
            }
            E::ObjectPathTooLong { lines_max } | E::PreloadTooLong { lines_max } => {
                let message = format!("The size of ObjectPath is bigger than {lines_max}.");
                (400, "InvalidObjectPath.Size.Malformed".into(), message.into())
            }
            E::TaskIdMalformed => row(400, "InvalidTaskId.Malformed", "Specified TaskId is malformed."),
            E::TimeSingle => row(400, "MissingParameter", "StartTime and EndTime can not be single."),
            E::MissingObjectType => row(
                400,
                "MissingParameter.ObjectType",
                "If DomainName or Status is provided, ObjectType can not be empty.",
            ),
            E::Malformed(name) => (
                400,
                format!("Invalid{name}.Malformed").into(),
                format!("Specified {name} is malformed.").into(),
            ),
            // The vendor's own misspelling: programs compare messages.
            E::EndTimeMismatch => row(
                400,
                "InvalidEndTime.Mismatch",
                "Specified end time does not math the specified start time.",
            ),
            E::TimeTooLongAgo => row(400, "InvalidTime", "The query time cannot exceed the last 3 days."),
            E::ValueNotSupported(name) => (
                400,
                format!("Invalid{name}.ValueNotSupported").into(),
                format!("The specified value of parameter {name} is not supported.").into(),
            ),
        }
    }

    /// The error, with what we know beyond the vendor's message.
    pub fn because(self, detail: impl Into<String>) -> VendorError {
        VendorError { detail: Some(detail.into()), ..self.into() }
    }

    /// A parameter without an acceptable value. A name that the caller made up does not become a code.
    pub fn invalid(name: &str) -> ErrorKind {
        let is_name =
            !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ErrorKind::Invalid(if is_name { name.to_owned().into() } else { "Parameter".into() })
    }
}

type Row = (u16, Cow<'static, str>, Cow<'static, str>);

impl VendorError {
    /// The same in the words of that product.
    pub fn of(self, product: Product) -> VendorError {
        VendorError { product, ..self }
    }

    fn row(&self) -> Row {
        let own = match self.product {
            Product::Vod => None,
            Product::Cdn => cdn::row(&self.kind),
        };
        own.unwrap_or_else(|| self.kind.row())
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The vendor's code.
    pub fn code(&self) -> Cow<'static, str> {
        self.row().1
    }

    /// The vendor's message, followed by the detail if there is one.
    pub fn message(&self) -> Cow<'static, str> {
        let (_, _, message) = self.row();
        match &self.detail {
            Some(detail) => format!("{message} ({detail})").into(),
            None => message,
        }
    }

    /// When the caller should try again, in milliseconds, at least one: the value of `x-acs-retry-after`.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self.kind {
            ErrorKind::ThrottlingUser { retry_after_ms } | ErrorKind::Throttling { retry_after_ms } => {
                Some(retry_after_ms.max(1))
            }
            _ => None,
        }
    }
}

/// Code and detail; the message may contain a token.
impl fmt::Display for VendorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.code())?;
        match &self.detail {
            Some(detail) => write!(out, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for VendorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "VendorError({self})")
    }
}

impl std::error::Error for VendorError {}

impl From<ErrorKind> for VendorError {
    fn from(kind: ErrorKind) -> VendorError {
        VendorError { kind, detail: None, product: Product::default() }
    }
}

impl From<PairsError> for VendorError {
    fn from(error: PairsError) -> VendorError {
        let detail = error.to_string();
        match error {
            PairsError::TooLarge => ErrorKind::RequestTooLarge.because(detail),
            PairsError::NotUtf8 { name } | PairsError::Repeated { name } => {
                ErrorKind::invalid(&name).because(detail)
            }
        }
    }
}

/// How long a caller waits whose nonces cannot be remembered, in milliseconds.
const NONCES_RETRY_AFTER_MS: u64 = 1_000;

impl From<SignatureError> for VendorError {
    fn from(error: SignatureError) -> VendorError {
        use SignatureError as S;
        let retry_after_ms = NONCES_RETRY_AFTER_MS;
        match error {
            S::Missing(name) => ErrorKind::Missing(name).into(),
            S::Invalid(name) => ErrorKind::invalid(name).into(),
            S::Method => ErrorKind::InvalidSignatureMethod.into(),
            S::Incomplete(why) => ErrorKind::IncompleteSignature.because(why),
            S::TimestampMalformed => ErrorKind::TimestampMalformed.into(),
            S::TimestampExpired => ErrorKind::TimestampExpired.into(),
            S::DoesNotMatch { string_to_sign } => ErrorKind::SignatureDoesNotMatch { string_to_sign }.into(),
            S::NonceUsed => ErrorKind::NonceUsed.into(),
            S::KeyNoncesFull => ErrorKind::ThrottlingUser { retry_after_ms }.into(),
            S::NoncesFull => ErrorKind::Throttling { retry_after_ms }.into(),
            S::Params(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_to_sign_follows_the_only_colon() {
        let string_to_sign = "GET&%2F&A%3D1%253A2";
        let error = VendorError::from(SignatureError::DoesNotMatch { string_to_sign: string_to_sign.into() });
        assert_eq!(error.message().split(':').collect::<Vec<_>>()[1], string_to_sign);
        assert!(!format!("{error} {error:?}").contains(string_to_sign));
    }

    #[test]
    fn names_become_codes_unless_the_caller_made_them_up() {
        let error = VendorError::from(SignatureError::Missing("SignatureNonce"));
        assert_eq!((error.code().as_ref(), error.status().as_u16()), ("MissingSignatureNonce", 400));
        assert_eq!(error.message(), "SignatureNonce is mandatory for this action.");
        let repeated = |name: &str| VendorError::from(PairsError::Repeated { name: name.into() });
        assert_eq!(repeated("PageSize").code(), "InvalidPageSize");
        assert_eq!(repeated("<x>").code(), "InvalidParameter");
    }

    #[test]
    fn details_follow_the_vendors_message() {
        let error = ErrorKind::ObjectPathMalformed.because("line 2: raw space in URL, write %20");
        assert_eq!(
            error.message(),
            "The specific value of parameter ObjectPath is malformed. (line 2: raw space in URL, write %20)"
        );
    }

    #[test]
    fn only_throttling_says_when_to_try_again() {
        let throttled = VendorError::from(ErrorKind::ThrottlingUser { retry_after_ms: 0 });
        assert_eq!(throttled.retry_after_ms(), Some(1));
        assert_eq!(VendorError::from(ErrorKind::QuotaExceededRefresh).retry_after_ms(), None);
    }
}
