//! Somebody who is called back: answers as told, and remembers what came.

use crate::stage::within;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A call that came.
#[derive(Debug)]
pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub struct Receiver {
    pub url: String,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Receiver {
    /// Answers with these, one each, and with 200 behind the last; `None` is no answer.
    pub async fn new(answers: impl IntoIterator<Item = Option<(u16, &'static str)>>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let answers: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
        let (told, calls) = mpsc::unbounded_channel();
        let serving = async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answers, told) = (answers.clone(), told.clone());
                let service = service_fn(move |request| answer(request, answers.clone(), told.clone()));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        };
        tokio::spawn(serving);
        Receiver { url, calls }
    }

    pub async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.unwrap()
    }

    pub fn is_quiet(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

type Answers = Arc<Mutex<VecDeque<Option<(u16, &'static str)>>>>;

async fn answer(
    request: Request<Incoming>,
    answers: Answers,
    told: mpsc::UnboundedSender<Call>,
) -> Result<Response<String>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = parts.uri.to_string();
    let answer = answers.lock().unwrap().pop_front().unwrap_or(Some((200, "")));
    let body = String::from_utf8(body.to_vec()).unwrap();
    let _ = told.send(Call { path, headers: parts.headers, body });
    let Some((status, body)) = answer else { return std::future::pending().await };
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}
