//! A small HTTP server for monitors. Plain HTTP/1.1, one request a connection,
//! so many connections, and each for so long: whoever connects and says nothing
//! holds a place for ten seconds.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::text;
use crate::transport::Brief;

const MONITORS: Brief = Brief { who: "a monitor", most: 32, patience: Duration::from_secs(10) };
/// The longest head of a request, in bytes; hyper takes no less.
const HEAD: usize = 8192;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    media_type: &'static str,
    body: String,
}

impl Answer {
    /// For people and for programs that look at the status alone.
    pub fn text(status: StatusCode, body: String) -> Self {
        Self { status, media_type: "text/plain; charset=utf-8", body }
    }

    pub fn metrics(page: super::Page) -> Self {
        Self { status: StatusCode::OK, media_type: text::MEDIA_TYPE, body: page.text() }
    }
}

/// Answers GET and HEAD of each path as `answer` says, until `stop`.
///
/// # Errors
/// None: it waits and tries again when the kernel gives it no connection.
pub async fn serve<F>(
    listener: TcpListener,
    answer: impl Fn(String) -> F + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) -> anyhow::Result<()>
where
    F: Future<Output = Answer> + Send + 'static,
{
    MONITORS.serve(listener, |stream| converse(stream, answer.clone()), stop).await;
    Ok(())
}

async fn converse<F>(stream: TcpStream, answer: impl Fn(String) -> F)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let refused = !matches!(*request.method(), Method::GET | Method::HEAD);
        let answer = (!refused).then(|| answer(request.uri().path().to_owned()));
        async move {
            Ok::<_, std::convert::Infallible>(match answer {
                Some(answer) => response(answer.await),
                None => not_allowed(),
            })
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a monitor's request failed: {error}");
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_allowed() -> Response<Full<Bytes>> {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = response(Answer::text(status, "only GET and HEAD\n".to_owned()));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

#[cfg(test)]
mod tests;
