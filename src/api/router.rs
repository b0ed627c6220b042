//! The table of routes: every endpoint's paths come from its ruma type, every handler is behind one erased pointer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_matrix::Error as MatrixError;
use percent_encoding::percent_decode_str;
use ruma::api::auth_scheme::AccessToken;
use ruma::api::path_builder::PathBuilder;
use ruma::api::{IncomingRequest, IncomingRequestExt, OutgoingResponseExt};

use crate::Service;
use crate::answers::Route;
use crate::authenticate::Authenticate;
use crate::body::{read_body, read_strangers_body};
use crate::cors;
use crate::error::{self, Error, Result};
use crate::guests;
use crate::limit::{Class, Limits};
use crate::request::{Client, Ruma};

type Answer = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;
type Call = Box<dyn Fn(Arc<Homeserver>, Raw) -> Answer + Send + Sync>;

/// A request, taken apart as far as every endpoint needs it.
pub struct Raw {
    pub parts: Parts,
    pub path_args: Vec<String>,
    pub body: axum::body::Body,
    pub client: Client,
}

/// What a handler gets beside its request where it reads the body itself, or answers by more than ruma's type holds.
pub struct Streamed {
    pub headers: HeaderMap,
    pub body: axum::body::Body,
}

struct Methods {
    route: Route,
    calls: HashMap<Method, Call>,
}

/// The table while it is built.
#[derive(Default)]
pub struct Routes {
    paths: HashMap<String, Methods>,
    limits: Arc<Limits>,
}

struct Table {
    homeserver: Arc<Homeserver>,
    router: matchit::Router<Methods>,
}

impl Routes {
    /// Serves an endpoint at all of its paths.
    pub fn add<T, H, F>(&mut self, handler: H)
    where
        T: IncomingRequest + Send + 'static,
        T::Authentication: Authenticate,
        T::OutgoingResponse: Send,
        H: Fn(Arc<Homeserver>, Ruma<T>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T::OutgoingResponse>> + Send + 'static,
    {
        for path in T::PATH_BUILDER.all_paths() {
            self.add_at(path, handler.clone());
        }
    }

    /// Serves an endpoint at one more path: with an empty last part, say.
    pub fn add_at<T, H, F>(&mut self, path: &str, handler: H)
    where
        T: IncomingRequest + Send + 'static,
        T::Authentication: Authenticate,
        T::OutgoingResponse: Send,
        H: Fn(Arc<Homeserver>, Ruma<T>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T::OutgoingResponse>> + Send + 'static,
    {
        self.add_answering(path, move |homeserver, request| {
            let answer = handler(homeserver, request);
            async move {
                let response = answer.await?.try_into_http_response::<Vec<u8>>();
                Ok(response.map_err(matron_homeserver::Error::internal)?.map(Into::into))
            }
        });
    }

    /// Serves an endpoint at one path by a handler that writes its answer itself: where ruma's type leaves something out.
    pub fn add_answering<T, H, F>(&mut self, path: &str, handler: H)
    where
        T: IncomingRequest + Send + 'static,
        T::Authentication: Authenticate,
        H: Fn(Arc<Homeserver>, Ruma<T>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let limits = Arc::clone(&self.limits);
        let class = Class::of::<T>(path);
        self.add_raw(T::METHOD, path, move |homeserver, raw| {
            let (handler, limits) = (handler.clone(), Arc::clone(&limits));
            async move {
                let limited = (&*limits, class.map(|class| class.of_request(&raw.path_args)));
                let identity = admit::<T::Authentication>(&homeserver, &raw.parts, &raw.client, limited).await?;
                let is_known = T::Authentication::session(&identity).is_some();
                let read = if is_known { read_body(raw.body).await } else { read_strangers_body(raw.body).await };
                let body = read?;
                // Many clients send no body where an empty object is meant.
                let body = if body.is_empty() && T::METHOD != Method::GET { Bytes::from_static(b"{}") } else { body };
                let request = parse::<T>(identity, raw.parts, &raw.path_args, raw.client, &body)?;
                handler(homeserver, request).await
            }
        });
    }

    /// Serves an endpoint at all of its paths by a handler that reads the body as it comes, and writes its answer itself.
    pub fn add_streaming<T, H, F>(&mut self, handler: H)
    where
        T: IncomingRequest + Send + 'static,
        T::Authentication: Authenticate,
        H: Fn(Arc<Homeserver>, Ruma<T>, Streamed) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        for path in T::PATH_BUILDER.all_paths() {
            let (limits, class, handler) = (Arc::clone(&self.limits), Class::of::<T>(path), handler.clone());
            self.add_raw(T::METHOD, path, move |homeserver, raw| {
                let (handler, limits) = (handler.clone(), Arc::clone(&limits));
                async move {
                    let limited = (&*limits, class);
                    let identity = admit::<T::Authentication>(&homeserver, &raw.parts, &raw.client, limited).await?;
                    let Raw { parts, path_args, body, client } = raw;
                    let streamed = Streamed { headers: parts.headers.clone(), body };
                    let request = parse::<T>(identity, parts, &path_args, client, b"")?;
                    handler(homeserver, request, streamed).await
                }
            });
        }
    }

    /// Serves something that is no ruma endpoint and that strangers may call, each address only so often.
    pub fn add_open<H, F>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Fn(Arc<Homeserver>, Raw) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let limits = Arc::clone(&self.limits);
        self.add_raw(method, path, move |homeserver, raw| {
            let (handler, limits) = (handler.clone(), Arc::clone(&limits));
            async move {
                limits.check(&homeserver, Class::Other, None, &raw.client)?;
                handler(homeserver, raw).await
            }
        });
    }

    /// Serves something that is no ruma endpoint for those who are logged in, each of them only so often.
    pub fn add_known<H, F>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Fn(Arc<Homeserver>, Session, Raw) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let limits = Arc::clone(&self.limits);
        self.add_raw(method, path, move |homeserver, raw| {
            let (handler, limits) = (handler.clone(), Arc::clone(&limits));
            async move {
                let limited = (&*limits, Some(Class::Other));
                let session = admit::<AccessToken>(&homeserver, &raw.parts, &raw.client, limited).await?;
                handler(homeserver, session, raw).await
            }
        });
    }

    /// Serves something that is no ruma endpoint, and that itself sees to who calls it.
    pub fn add_raw<H, F>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Fn(Arc<Homeserver>, Raw) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let call: Call = Box::new(move |homeserver, raw| Box::pin(handler(homeserver, raw)));
        let methods = || Methods { route: Route::new(path), calls: HashMap::new() };
        self.paths.entry(positional(path)).or_insert_with(methods).calls.insert(method, call);
    }

    /// Every method with the pattern of its path, in order.
    pub fn endpoints(&self) -> Vec<(Method, String)> {
        let all = self.paths.values().flat_map(|path| path.calls.keys().map(|method| (method, path.route.pattern())));
        let mut all: Vec<_> = all.map(|(method, pattern)| (method.clone(), pattern.to_string())).collect();
        all.sort_by(|a, b| (&a.1, a.0.as_str()).cmp(&(&b.1, b.0.as_str())));
        all
    }

    /// The finished table as a service.
    pub fn into_service(self, homeserver: Arc<Homeserver>) -> Service {
        let mut routes: Vec<_> = self.paths.values().map(|methods| methods.route.clone()).collect();
        routes.sort_by(|one, other| one.pattern().cmp(other.pattern()));
        let mut router = matchit::Router::new();
        for (path, methods) in self.paths {
            if let Err(error) = router.insert(path.clone(), methods) {
                tracing::error!(%path, %error, "a route cannot be served");
            }
        }
        let router = axum::Router::new().fallback(dispatch).with_state(Arc::new(Table { homeserver, router }));
        Service { router, routes, limits: self.limits }
    }
}

/// Parameters are told by their place: endpoints that share a path give them different names.
fn positional(path: &str) -> String {
    let mut nth = 0;
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            nth += 1;
            format!("{{p{nth}}}")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Authenticates before anything is read: a stranger's body never is, nor that of one who asks too often.
async fn admit<A: Authenticate>(
    homeserver: &Arc<Homeserver>,
    parts: &Parts,
    client: &Client,
    (limits, class): (&Limits, Option<Class>),
) -> Result<A::Identity> {
    let identity = A::authenticate(homeserver, parts, client).await?;
    let session = A::session(&identity);
    note_asker(session);
    let lists = homeserver.config.finding.list_for_strangers;
    if session.is_some_and(|session| session.guest) && !guests::may_call(&parts.method, parts.uri.path(), lists) {
        return Err(MatrixError::guest_access_forbidden("guests may not do this").into());
    }
    if let Some(class) = class {
        limits.check(homeserver, class, session, client)?;
    }
    Ok(identity)
}

/// Tells traces what sort of somebody asks, never who. Where nothing is traced, the span has no such field.
fn note_asker(session: Option<&Session>) {
    let asker = match session {
        None => "nobody",
        Some(session) if session.guest => "guest",
        Some(_) => "user",
    };
    tracing::Span::current().record("asker", asker);
}

fn parse<T>(
    identity: <T::Authentication as Authenticate>::Identity,
    parts: Parts,
    path_args: &[String],
    client: Client,
    body: &[u8],
) -> Result<Ruma<T>>
where
    T: IncomingRequest,
    T::Authentication: Authenticate,
{
    let args: Vec<_> = path_args.iter().map(String::as_str).collect();
    let mut request = http::Request::builder().method(T::METHOD).uri(parts.uri);
    if let Some(headers) = request.headers_mut() {
        *headers = parts.headers;
    }
    let request = request.body(body).map_err(matron_homeserver::Error::internal)?;
    let parsed = T::try_from_http_request(request, &args).map_err(|error| crate::request::bad_request(&error))?;
    Ok(Ruma { identity, client, body: parsed })
}

async fn dispatch(State(table): State<Arc<Table>>, request: Request) -> Response {
    let mut response = answer(&table, request).await;
    cors::allow(&mut response);
    response
}

async fn answer(table: &Table, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return cors::preflight();
    }
    let Ok(found) = table.router.at(parts.uri.path()) else { return error::unrecognized_path() };
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let route = found.value.route.clone();
    tracing::Span::current().record("route", route.pattern());
    let Some(call) = found.value.calls.get(method) else { return error::unrecognized_method() };
    let mut path_args = Vec::new();
    for (_, argument) in found.params.iter() {
        match percent_decode_str(argument).decode_utf8() {
            Ok(argument) => path_args.push(argument.into_owned()),
            Err(_) => {
                let error = MatrixError::invalid_param("a part of the path is not UTF-8");
                return Error::from(error).into_response();
            }
        }
    }
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = Client::new(address, &parts.headers);
    let raw = Raw { parts, path_args, body, client };
    let mut response = call(Arc::clone(&table.homeserver), raw).await.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(route);
    response
}
