//! `/v1` as an OpenAPI 3.1 document, made of the very table that makes its router: a path that is served is described.
//!
//! What bodies, answers and queries look like is derived from their types, with the words that stand beside them there.

use std::sync::LazyLock;

use axum::Router;
use axum::handler::Handler;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::wire::ErrorBody;
use crate::router::Api;

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// A method of a path: how it is done, and what is said of it.
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    /// What clients that are generated call it.
    name: &'static str,
    summary: &'static str,
    query: Option<Shape>,
    body: Option<Shape>,
    answer: Answer,
    route: MethodRouter<Api>,
}

/// How a type looks, given where the schemas of its parts go.
type Shape = fn(&mut SchemaGenerator) -> Schema;

enum Answer {
    /// Status 204.
    Nothing,
    /// Status 200 and JSON.
    Json(Shape),
    /// Status 200 and server-sent events with such data.
    Events(Shape),
}

macro_rules! methods {
    ($($method:ident $doc:literal),+) => {
        $(#[doc = $doc]
        pub(super) fn $method<H: Handler<T, Api>, T: 'static>(
            path: &'static str,
            name: &'static str,
            summary: &'static str,
            handler: H,
        ) -> Operation {
            let (method, route) = (stringify!($method), routing::$method(handler));
            Operation { method, path, name, summary, query: None, body: None, answer: Answer::Nothing, route }
        })+
    };
}

methods! {
    get "A `GET`.", post "A `POST`.", put "A `PUT`.", delete "A `DELETE`."
}

impl Operation {
    /// It takes such a query.
    pub(super) fn asks<T: JsonSchema>(self) -> Operation {
        Operation { query: Some(T::json_schema), ..self }
    }

    /// It takes such a body.
    pub(super) fn takes<T: JsonSchema>(self) -> Operation {
        Operation { body: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// It answers such a body; else none.
    pub(super) fn gives<T: JsonSchema>(self) -> Operation {
        Operation { answer: Answer::Json(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// It answers events that have such data.
    pub(super) fn tells<T: JsonSchema>(self) -> Operation {
        Operation { answer: Answer::Events(SchemaGenerator::subschema_for::<T>), ..self }
    }

    fn described(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut said = Map::new();
        said.insert("operationId".into(), self.name.into());
        said.insert("summary".into(), self.summary.into());
        let mut parameters: Vec<Value> = names_in(self.path).map(of_path).collect();
        parameters.extend(self.query.into_iter().flat_map(|query| of_query(query(schemas))));
        if matches!(self.answer, Answer::Events(_)) {
            parameters.push(of_head(
                "Last-Event-ID",
                "The id of the last event that was seen, to go on from there.",
            ));
        }
        if !parameters.is_empty() {
            said.insert("parameters".into(), parameters.into());
        }
        if let Some(body) = self.body {
            let content = json!({ "application/json": { "schema": body(schemas) } });
            said.insert("requestBody".into(), json!({ "required": true, "content": content }));
        }
        let error = schemas.subschema_for::<ErrorBody>();
        let error = json!({ "application/json": { "schema": error } });
        let (status, good) = match &self.answer {
            Answer::Nothing => ("204", json!({ "description": "Done." })),
            Answer::Json(shape) => {
                let content = json!({ "application/json": { "schema": shape(schemas) } });
                ("200", json!({ "description": "Done.", "content": content }))
            }
            Answer::Events(shape) => {
                let content = json!({ "text/event-stream": { "schema": shape(schemas) } });
                let described =
                    "Server-sent events; the data of each `task` event is JSON as the schema says.";
                ("200", json!({ "description": described, "content": content }))
            }
        };
        let refused = "Refused, or failed; `error.code` goes with the status.";
        let answers = json!({ status: good, "default": { "description": refused, "content": error } });
        said.insert("responses".into(), answers);
        Value::Object(said)
    }
}

/// The router that these make.
pub(super) fn routed(operations: Vec<Operation>) -> Router<Api> {
    operations
        .into_iter()
        .fold(Router::new(), |router, operation| router.route(operation.path, operation.route))
}

/// The document that these make.
pub(super) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.described(&mut schemas);
    }
    let definitions = schemas.take_definitions(true);
    let acs3 = "ACS3-HMAC-SHA256, as the vendor's SDKs sign, over the real path; action and version are free words. \
                Temporary credentials add x-acs-security-token.";
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Freshen",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Purge and prefetch on every edge. Made of the code's types; `freshen-api` has a test that it is what the code gives.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:8080" }],
        "security": [{ "bearer": [] }, { "signature": [] }],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A bearer token, of `freshen key token`." },
                "signature": { "type": "apiKey", "in": "header", "name": "Authorization", "description": acs3 },
            },
        },
    })
}

/// Answers the document of `/v1`.
pub(super) async fn serve() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The document of `/v1`, as it is served and checked in.
pub fn text() -> String {
    // A document of maps and texts can be written.
    let text = serde_json::to_string_pretty(&document(&super::operations())).unwrap_or_default();
    text + "\n"
}

fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn of_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn of_head(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } })
}

/// A query's fields, each a parameter.
fn of_query(schema: Schema) -> Vec<Value> {
    let field = |name: &str| schema.get(name).cloned();
    let required = field("required").unwrap_or_else(|| json!([]));
    let required: Vec<&str> = required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(Value::Object(properties)) = field("properties") else { return Vec::new() };
    let parameter = |(name, mut schema): (String, Value)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
        if required.contains(&name.as_str()) {
            parameter["required"] = true.into();
        }
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties.into_iter().map(parameter).collect()
}
