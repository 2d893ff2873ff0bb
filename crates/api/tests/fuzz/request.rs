//! What must hold of any bytes that come as a request: nothing panics, nobody is let in who does not know the secret, and
//! what is answered is the vendor's envelope.

use freshen_api::signature::encode::{canonical, pairs};
use freshen_api::signature::{Request, SignatureError, parse};
use freshen_api::vendor::{Action, Call, Envelope, Format, Params, RequestId, VendorError};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: i64 = 1_800_000_000;
/// Nobody who makes bytes up signs with this.
const SECRET: &str = "c5b8b3a8f1dd4a4f9a1f";

/// Reads the bytes as a request, as control does, and holds it against what must be.
pub fn check(bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return };
    let (Some(method), Some(target)) = (head.method, head.path) else { return };
    let mut headers = HeaderMap::new();
    for field in head.headers.iter() {
        if let (Ok(name), Ok(value)) =
            (field.name.parse::<HeaderName>(), HeaderValue::from_bytes(field.value))
        {
            headers.append(name, value);
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    check_request(&Request { method, path, query, headers: &headers, body: &bytes[length..] });
}

fn check_request(request: &Request<'_>) {
    if let Ok(read) = request.pairs() {
        let written = canonical(&read);
        assert_eq!(pairs(&[written.as_bytes()]).as_ref(), Ok(&read), "what is written is read as it was");
    }
    match parse(request) {
        Ok(signed) => {
            let _ = signed.fresh(NOW);
            let verified = signed.verify(SECRET).map(drop);
            assert!(
                matches!(verified, Err(SignatureError::DoesNotMatch { .. })),
                "let in without the secret: {verified:?}"
            );
            if let Err(error) = verified {
                answered(&error.into());
            }
        }
        Err(error) => answered(&error.into()),
    }
    let params = match Params::of(request) {
        Ok(params) => params,
        Err(error) => return answered(&error),
    };
    if let Err(error) = Format::of(request, &params) {
        answered(&error);
    }
    match Action::of(request, &params) {
        Ok(action) => {
            if let Err(error) = Call::parse(action, &params, NOW) {
                answered(&error.of(action.product()));
            }
        }
        Err(error) => answered(&error),
    }
    // Whatever it names, each action has to bear its parameters.
    for action in Action::ALL.iter().copied() {
        if let Err(error) = Call::parse(action, &params, NOW) {
            answered(&error.of(action.product()));
        }
    }
}

/// Every error becomes an envelope of five texts or more, in both forms.
fn answered(error: &VendorError) {
    let request_id = RequestId::from_bytes([7; 16]);
    let envelope = |format| Envelope { format, request_id: &request_id, host: "a" }.error(error);
    let json = envelope(Format::Json);
    assert!(json.status().is_client_error() || json.status().is_server_error());
    let body: serde_json::Value = serde_json::from_slice(json.body()).expect("JSON");
    for name in ["RequestId", "HostId", "Code", "Message", "Recommend"] {
        assert!(body[name].is_string(), "{name} of {body}");
    }
    let code = body["Code"].as_str().unwrap_or_default();
    assert!(
        !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    );
    let xml = envelope(Format::Xml);
    let text = std::str::from_utf8(xml.body()).expect("UTF-8");
    assert_eq!(text.matches('<').count(), 13, "a text breaks out of its element: {text}");
}
