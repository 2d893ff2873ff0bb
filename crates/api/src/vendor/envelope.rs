//! Answers as bytes: the vendor's success and error bodies, in JSON and XML.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Action, Denial, ErrorKind, Format, Reply, VendorError};

/// Names a request in its answer and in our log: an upper-case UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one.
    pub fn random() -> Result<RequestId, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(RequestId::from_bytes(bytes))
    }

    /// The one made from these random bytes (UUID version 4, RFC 9562 §5.4).
    pub fn from_bytes(mut bytes: [u8; 16]) -> RequestId {
        bytes[6] = bytes[6] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        let hex = hex::encode_upper(bytes);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        RequestId(format!("{a}-{b}-{c}-{d}-{e}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What every answer to one request has in common.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// How to write it.
    pub format: Format,
    /// The request's name.
    pub request_id: &'a RequestId,
    /// The host that was called.
    pub host: &'a str,
}

impl Envelope<'_> {
    /// A success: status 200, the reply's fields and `RequestId`.
    pub fn success(&self, action: Action, reply: &Reply) -> Response<Bytes> {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(reply) else {
            return self.error(&ErrorKind::InternalError.into());
        };
        // Some SDKs take any `Code` for an error, whatever the status.
        debug_assert!(!fields.contains_key("Code"));
        fields.insert("RequestId".into(), self.request_id.as_str().into());
        self.answer(StatusCode::OK, &format!("{}Response", action.name()), fields)
    }

    /// An error: the status of its kind, and five fields that are always strings.
    pub fn error(&self, error: &VendorError) -> Response<Bytes> {
        let fields = Error {
            request_id: self.request_id.as_str(),
            host_id: self.host,
            code: &error.code(),
            message: &error.message(),
            recommend: error.detail.as_deref().unwrap_or_default(),
        };
        let mut fields = match json!(fields) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if let ErrorKind::ForbiddenRam(denial) = &error.kind {
            fields.insert("AccessDeniedDetail".into(), denied(denial));
        }
        let mut response = self.answer(error.status(), "Error", fields);
        let headers = response.headers_mut();
        if let Some(retry_after_ms) = error.retry_after_ms() {
            headers.insert("x-acs-retry-after", retry_after_ms.into());
        }
        if error.kind == ErrorKind::UnsupportedHttpMethod {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }

    fn answer(&self, status: StatusCode, root: &str, fields: Map<String, Value>) -> Response<Bytes> {
        let fields = Value::Object(fields);
        let (content_type, body) = match self.format {
            Format::Json => ("application/json;charset=utf-8", fields.to_string()),
            Format::Xml => ("text/xml;charset=utf-8", xml(root, &fields)),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(request_id) = HeaderValue::from_str(self.request_id.as_str()) {
            headers.insert("x-acs-request-id", request_id);
        }
        response
    }
}

/// An object of texts, always; there is nothing encoded to be told.
fn denied(denial: &Denial) -> Value {
    json!({
        "AuthAction": denial.auth_action,
        "AuthPrincipalType": "SubUser",
        "AuthPrincipalDisplayName": denial.auth_principal_display_name,
        "AuthPrincipalOwnerId": denial.auth_principal_owner_id,
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
        "EncodedDiagnosticMessage": "",
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Error<'a> {
    request_id: &'a str,
    host_id: &'a str,
    code: &'a str,
    message: &'a str,
    recommend: &'a str,
}

/// A document with one root. An array is its elements one after another, each under the array's name.
fn xml(root: &str, fields: &Value) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    element(&mut text, root, fields);
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    if let Value::Array(values) = value {
        return values.iter().for_each(|value| element(text, name, value));
    }
    text.push_str(&format!("<{name}>"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| element(text, name, value)),
        Value::String(value) => value.chars().for_each(|c| escape(text, c)),
        Value::Null => {}
        other => text.push_str(&other.to_string()),
    }
    text.push_str(&format!("</{name}>"));
}

/// XML 1.0 §2.2 and §2.4: markup is escaped, and so are line ends, which a parser would otherwise rewrite;
/// characters that no document may contain are replaced.
fn escape(text: &mut String, c: char) {
    match c {
        '&' => text.push_str("&amp;"),
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        '\r' => text.push_str("&#13;"),
        '\t' | '\n' => text.push(c),
        '\0'..'\x20' | '\u{FFFE}' | '\u{FFFF}' => text.push('\u{FFFD}'),
        _ => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::Product;
    use crate::vendor::{Process, TaskRow, TaskStatus, TaskType};
    use proptest::prelude::*;

    const ID: &str = "00010203-0405-4607-8809-0A0B0C0D0E0F";

    fn request_id() -> RequestId {
        RequestId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    }

    fn row(task_id: u64) -> TaskRow {
        TaskRow {
            task_id,
            object_path: "http://a.test/?x=1&y=<2>".into(),
            object_type: TaskType::File,
            status: TaskStatus::Refreshing,
            process: Process::of(TaskStatus::Refreshing, 1, 3),
            creation_time: 0,
            description: String::new(),
        }
    }

    fn text(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).expect("UTF-8")
    }

    #[test]
    fn request_ids_are_upper_case_version_4_uuids() {
        assert_eq!(request_id().as_str(), ID);
        assert_ne!(RequestId::random().unwrap(), RequestId::random().unwrap());
    }

    #[test]
    fn a_success_is_its_fields_and_the_request_id() {
        let envelope = Envelope { format: Format::Json, request_id: &request_id(), host: "a" };
        let response =
            envelope.success(Action::RefreshVodObjectCaches, &Reply::Purge { refresh_task_id: 704_225_667 });
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json;charset=utf-8");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body, json!({"RequestId": ID, "RefreshTaskId": "704225667"}));
    }

    #[test]
    fn an_error_is_five_strings() {
        let envelope = Envelope { format: Format::Json, request_id: &request_id(), host: "a:8080" };
        let response = envelope.error(&ErrorKind::DomainNotFound.because("line 3"));
        assert_eq!(response.status(), 404);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let expected = json!({
            "RequestId": ID,
            "HostId": "a:8080",
            "Code": "InvalidDomain.NotFound",
            "Message": "The domain provided does not belong to you. (line 3)",
            "Recommend": "line 3",
        });
        assert_eq!(body, expected);
        assert!(response.headers().get("x-acs-retry-after").is_none());
    }

    #[test]
    fn throttling_says_when_to_try_again_in_milliseconds() {
        let envelope = Envelope { format: Format::Json, request_id: &request_id(), host: "a" };
        let response = envelope.error(&ErrorKind::Throttling { retry_after_ms: 250 }.into());
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-acs-retry-after"]),
            (503, &"250".parse().unwrap())
        );
    }

    #[test]
    fn xml_repeats_arrays_under_the_nesting_of_the_json() {
        let envelope = Envelope { format: Format::Xml, request_id: &request_id(), host: "a" };
        let reply = Reply::tasks(Product::Vod, 1, 20, 2, vec![row(1), row(2)]);
        let response = envelope.success(Action::DescribeVodRefreshTasks, &reply);
        assert_eq!(response.headers()["content-type"], "text/xml;charset=utf-8");
        let row = |id| {
            format!(
                "<Task><CreationTime>1970-01-01T00:00:00Z</CreationTime><Description></Description>\
                <ObjectPath>http://a.test/?x=1&amp;y=&lt;2&gt;</ObjectPath><ObjectType>file</ObjectType>\
                <Process>33.33%</Process><Status>Refreshing</Status><TaskId>{id}</TaskId></Task>"
            )
        };
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeVodRefreshTasksResponse><PageNumber>1</PageNumber>\
            <PageSize>20</PageSize><RequestId>{ID}</RequestId><Tasks>{}{}</Tasks><TotalCount>2</TotalCount>\
            </DescribeVodRefreshTasksResponse>",
            row(1),
            row(2)
        );
        assert_eq!(text(&response), expected);
    }

    #[test]
    fn xml_repeats_a_bare_array_itself() {
        let envelope = Envelope { format: Format::Xml, request_id: &request_id(), host: "a" };
        let reply = Reply::TasksById { total_count: 2, tasks: vec![row(1), row(2)] };
        let response = envelope.success(Action::DescribeRefreshTaskById, &reply);
        let body = text(&response);
        assert_eq!(body.matches("<Tasks><CreationTime>").count(), 2, "{body}");
        assert!(
            body.contains("</TaskId></Tasks><TotalCount>2</TotalCount></DescribeRefreshTaskByIdResponse>")
        );
    }

    #[test]
    fn xml_errors_have_their_own_root() {
        let envelope = Envelope { format: Format::Xml, request_id: &request_id(), host: "a<b" };
        let response = envelope.error(&ErrorKind::ActionNotFound.into());
        assert!(
            text(&response).contains("?><Error><Code>InvalidAction.NotFound</Code><HostId>a&lt;b</HostId>")
        );
        assert!(text(&response).ends_with("</Error>"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_element(value: String) {
            let text = xml("R", &json!({"A": value}));
            prop_assert_eq!(text.matches('<').count(), 5);
            prop_assert!(!text.chars().any(|c| c < ' ' && c != '\t' && c != '\n'));
        }
    }
}
