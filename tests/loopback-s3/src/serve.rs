//! HTTP: connections, and the place where ordered faults happen.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use tokio::sync::oneshot;

use crate::access_grants;
use crate::faults::{Fault, Faults, Operation};
use crate::issuer::{Issuer, Refusal};
use crate::sts;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// Accepts connections until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    service: S3Service,
    faults: Faults,
    issuer: Issuer,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    tokio::pin!(stopped);
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        // Without it, an answer's head and body wait for each other's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (service, faults, issuer) = (service.clone(), faults.clone(), issuer.clone());
        tokio::spawn(async move {
            let respond = service_fn(|request| respond(&service, &faults, &issuer, request));
            let mut http = hyper::server::conn::http1::Builder::new();
            // A connection that breaks is the client's affair, or was ordered.
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), respond).await;
        });
    }
}

async fn respond(
    service: &S3Service,
    faults: &Faults,
    issuer: &Issuer,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    if let Some(operation) = operation_of_another_service(&request) {
        return respond_for_another(operation, faults, issuer, request).await;
    }
    let fault = match operation(&request) {
        Some((operation, bucket, key)) => faults.of(operation, &bucket, &key),
        None => None,
    };
    match &fault {
        Some(Fault::Refuse { status, code, message, headers }) => return refusal(*status, code, message, headers),
        Some(Fault::Reset) => return Err(broken()),
        _ => {}
    }
    if let Err((status, code, message)) = check(issuer, &request) {
        return refusal(status, code, &message, &[]);
    }
    let response = Service::call(service, request).await?;
    let (head, body) = response.into_parts();
    let pieces = BodyStream::new(body).try_filter_map(|frame| async move { Ok(frame.into_data().ok()) });
    let size = head.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let body = match fault {
        Some(Fault::Truncate { after }) => streamed(truncated(pieces, after)),
        Some(Fault::Stall { after }) => streamed(beginning(pieces, after).chain(futures::stream::pending())),
        Some(Fault::Corrupt { at }) => streamed(corrupted(pieces, at)),
        Some(Fault::Slow { pause }) => streamed(pieces.then(move |piece| async move {
            tokio::time::sleep(pause).await;
            piece
        })),
        _ => streamed(pieces),
    };
    // Without a length, hyper would send an empty body in chunks.
    match size {
        Some(0) | None => {
            let whole = body.collect().await?.to_bytes();
            Ok(Response::from_parts(head, full(whole)))
        }
        Some(_) => Ok(Response::from_parts(head, body)),
    }
}

/// Whether the request's credentials are good, and for this place.
fn check<B>(issuer: &Issuer, request: &Request<B>) -> Result<(), Refusal> {
    issuer.check(request.headers())?;
    match operation(request) {
        Some((Operation::ListObjectsV2, bucket, _)) => {
            let pairs = request.uri().query().unwrap_or_default().split('&');
            let prefix = pairs.filter_map(|pair| pair.strip_prefix("prefix=")).map(decoded).next();
            issuer.check_scope(request.headers(), &bucket, &prefix.unwrap_or_default())
        }
        Some((_, bucket, key)) => issuer.check_scope(request.headers(), &bucket, &key),
        None => Ok(()),
    }
}

/// The operation, where it is not of S3 proper.
fn operation_of_another_service<B>(request: &Request<B>) -> Option<Operation> {
    let form = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded");
    match (request.method(), request.uri().path(), request.uri().path().strip_prefix(access_grants::PATH)) {
        (&Method::POST, "/", _) if request.headers().get("content-type").is_some_and(form) => {
            Some(Operation::AssumeRole)
        }
        (&Method::GET, _, Some("dataaccess")) => Some(Operation::GetDataAccess),
        (&Method::GET, _, Some("caller/grants")) => Some(Operation::ListCallerAccessGrants),
        _ => None,
    }
}

async fn respond_for_another(
    operation: Operation,
    faults: &Faults,
    issuer: &Issuer,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let request = Request::from_parts(head, ());
    let answer = match (faults.of(operation, "", ""), operation) {
        (Some(Fault::Refuse { status, code, message, .. }), _) => Ok((status, sts::error(&code, &message))),
        (Some(Fault::Reset), _) => return Err(broken()),
        (_, Operation::GetDataAccess) => Err(access_grants::data_access(&request, issuer)),
        (_, Operation::ListCallerAccessGrants) => Err(access_grants::caller_grants(&request, issuer)),
        _ => Err(sts::answer(&request, &body, issuer)),
    };
    let (status, text) = match answer {
        Ok(ordered) => ordered,
        Err(Ok(answer)) => (200, answer),
        Err(Err((status, code, message))) => (status, sts::error(code, &message)),
    };
    Ok(Response::builder().status(status).header("content-type", "text/xml").body(full(text.into()))?)
}

fn broken() -> Failure {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn streamed(pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

fn beginning(
    pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    size: u64,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    pieces.scan(size, |left, piece| {
        let piece = piece.map(|piece| piece.slice(..piece.len().min(usize::try_from(*left).unwrap_or(usize::MAX))));
        let over = *left == 0;
        *left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        futures::future::ready((!over).then_some(piece))
    })
}

fn truncated(
    pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    after: u64,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    // What was cut must be on its way before the connection ends.
    let end = futures::stream::once(async {
        tokio::task::yield_now().await;
        Err(broken())
    });
    beginning(pieces, after).chain(end)
}

fn corrupted(
    pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    at: u64,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let mut start = 0;
    pieces.map_ok(move |piece| {
        let inside = at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        start += piece.len() as u64;
        let mut piece = BytesMut::from(piece);
        if let Some(byte) = inside.and_then(|inside| piece.get_mut(inside)) {
            *byte ^= 1;
        }
        piece.freeze()
    })
}

fn refusal(status: u16, code: &str, message: &str, headers: &[(String, String)]) -> Result<Response<Body>, Failure> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>0</RequestId></Error>"
    );
    let response = Response::builder().status(status).header("content-type", "application/xml");
    let response = headers.iter().fold(response, |response, (name, value)| response.header(name, value));
    Ok(response.body(full(text.into()))?)
}

/// The operation, bucket and key of a request; none of those that no fault is for.
fn operation<B>(request: &Request<B>) -> Option<(Operation, String, String)> {
    let path = request.uri().path().strip_prefix('/')?;
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = request.uri().query().unwrap_or_default();
    let operation = match (request.method(), bucket, key) {
        (&Method::GET, "", _) => Operation::ListBuckets,
        (&Method::GET, _, "") if query.contains("list-type=2") => Operation::ListObjectsV2,
        (&Method::GET, _, key) if !key.is_empty() => Operation::GetObject,
        (&Method::HEAD, _, key) if !key.is_empty() => Operation::HeadObject,
        _ => return None,
    };
    Some((operation, decoded(bucket), decoded(key)))
}

/// A text without its percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
