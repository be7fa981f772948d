//! Owns the calls of the node API, and how each of them can fail. Must not know who listens.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tollgate_core::wire::{self, Acknowledged, Hello, MOST_CHANGES, Report, Resolve, ResolveConsumer, Resolved, ResolvedConsumer, Welcome};

use super::record::{Kind, Received};
use super::{FakeBackend, Fault, NODE_CREDENTIAL, State};

type Body = BoxBody<Bytes, std::io::Error>;

impl FakeBackend {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return status(400) };
        let kind = match (head.method.as_str(), head.uri.path()) {
            ("POST", "/internal/v1/incarnations") => Kind::Hello,
            ("POST", "/internal/v1/resolve") => Kind::Resolve,
            ("POST", "/internal/v1/consumers") => Kind::ResolveConsumer,
            ("GET", "/internal/v1/changes") => Kind::Changes,
            ("POST", "/internal/v1/reports") => Kind::Report,
            _ => return status(404),
        };
        let authorization = head.headers.get("authorization").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let authorization = authorization.unwrap_or_default();
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let body = body.to_bytes().to_vec();
        let resolve = wire::decode::<Resolve>(&body).ok().filter(|_| kind == Kind::Resolve);
        let consumer = wire::decode::<ResolveConsumer>(&body).ok().filter(|_| kind == Kind::ResolveConsumer);
        let sha256 = resolve.as_ref().map(|resolve| resolve.sha256.as_str());
        let subject = consumer.as_ref().map(|asked| asked.consumer.as_str()).or(sha256);
        let (fault, authorized) = self.change(|state| {
            let incarnation = state.directory.incarnation(bearer);
            let authorized = if kind == Kind::Hello { bearer == NODE_CREDENTIAL } else { incarnation.is_some() };
            let incarnation = incarnation.unwrap_or_default();
            state.record.note(kind, subject, Received { authorization: authorization.clone(), incarnation, body: body.clone() });
            (state.faults.of(kind, subject), authorized)
        });
        if !authorized {
            return status(401);
        }
        let good = match kind {
            Kind::Hello => self.hello(&body),
            Kind::Resolve => resolve.as_ref().map(|resolve| self.resolve(resolve)),
            Kind::ResolveConsumer => consumer.as_ref().map(|asked| self.resolve_consumer(asked)),
            Kind::Changes => Some(self.changes(head.uri.query().unwrap_or_default()).await),
            Kind::Report => acknowledge(&body),
        };
        let Some(good) = good else { return status(400) };
        // A poll that was held learns of the fault when it ends.
        match fault.or_else(|| if kind == Kind::Changes { self.state().faults.of(kind, None) } else { None }) {
            None => whole(good),
            Some(Fault::Status(code)) => status(code),
            Some(Fault::Body(body)) => whole(body),
            Some(Fault::Wire(version)) => {
                let mut message: Value = serde_json::from_slice(&good).expect("a message");
                message["wire"] = json!(version);
                whole(message.to_string().into_bytes())
            }
            Some(Fault::Cut) => cut(&good),
            Some(Fault::Hold) => {
                self.until(|state| state.faults.of(kind, subject).is_none()).await;
                whole(good)
            }
        }
    }

    fn hello(&self, body: &[u8]) -> Option<Vec<u8>> {
        let hello: Hello = wire::decode(body).ok()?;
        let welcome = self.change(|state| {
            let token = state.directory.new_token(&hello.incarnation());
            state.record.hellos.push(hello);
            let expires_in_ms = u64::try_from(state.directory.token_life.as_millis()).expect("a short life");
            Welcome { token, expires_in_ms }
        });
        Some(encode(&welcome))
    }

    fn resolve(&self, resolve: &Resolve) -> Vec<u8> {
        let state = self.state();
        encode(&Resolved { revision: state.directory.revision(), known: state.directory.known(&resolve.sha256), ..Resolved::default() })
    }

    fn resolve_consumer(&self, asked: &ResolveConsumer) -> Vec<u8> {
        let state = self.state();
        encode(&ResolvedConsumer {
            revision: state.directory.revision(),
            tier: state.directory.tier(&asked.consumer),
            ..ResolvedConsumer::default()
        })
    }

    /// What came after a revision, or, if nothing comes in the time to wait, nothing.
    async fn changes(&self, query: &str) -> Vec<u8> {
        let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
        let began = Instant::now();
        let Some(after) = number("after") else {
            return encode(&json!({"revision": self.state().directory.revision(), "held_ms": 0}));
        };
        let ends = began + Duration::from_millis(number("wait_ms").unwrap_or(0));
        let broken = |state: &State| state.faults.of(Kind::Changes, None).is_some();
        self.change(|state| state.polls_held += 1);
        drop(timeout_at(ends, self.until(|state| state.directory.revision() != after || broken(state))).await);
        let mut state = self.state();
        state.polls_held -= 1;
        let directory = &state.directory;
        let revision = directory.revision();
        let held_ms = u64::try_from(began.elapsed().as_millis()).expect("a short wait");
        if after < directory.floor || after > revision {
            return encode(&json!({"revision": revision, "held_ms": held_ms, "reset": true}));
        }
        let numbered = |(revision, change): (u64, &Value)| {
            let mut change = change.clone();
            change["revision"] = json!(revision);
            change
        };
        let later = (1..).zip(&directory.changes).filter(|(revision, _)| *revision > after);
        let changes: Vec<Value> = later.take(MOST_CHANGES).map(numbered).collect();
        encode(&json!({"revision": after + changes.len() as u64, "held_ms": held_ms, "changes": changes}))
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        let mut moved = self.moved.subscribe();
        while !condition(&self.state()) {
            moved.changed().await.expect("a backend that is there");
        }
    }
}

fn acknowledge(body: &[u8]) -> Option<Vec<u8>> {
    let report: Report = wire::decode(body).ok()?;
    Some(encode(&Acknowledged { sequence: report.sequence, ..Acknowledged::default() }))
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    wire::encode(message).expect("a message")
}

fn whole(body: Vec<u8>) -> Response<Body> {
    Response::new(Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed())
}

fn status(code: u16) -> Response<Body> {
    let mut response = whole(Vec::new());
    *response.status_mut() = code.try_into().expect("a status");
    response
}

/// The head and the first bytes of an answer; then the stream is reset.
fn cut(body: &[u8]) -> Response<Body> {
    Response::new(Begun { first: Some(Bytes::copy_from_slice(&body[..body.len() / 2])), sent: false }.boxed())
}

/// A body that breaks off once its first bytes are out.
struct Begun {
    first: Option<Bytes>,
    sent: bool,
}

impl hyper::body::Body for Begun {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if std::mem::replace(&mut self.sent, true) {
            return Poll::Ready(Some(Err(std::io::Error::other("cut"))));
        }
        // The connection writes what it has before it asks again.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
