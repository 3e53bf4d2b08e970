//! The site over HTTP: one page with its style and script, and JSON below `/api/`.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::core::Site;
use super::refusal::Refusal;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const COOKIE: &str = "session";
const LONGEST_BODY: usize = 64 * 1024;
/// Only the three files above: nothing inline, nothing from elsewhere, and nobody may frame them.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Shared = Arc<Mutex<Site>>;

/// Serves the site until the process ends.
pub(crate) async fn serve(listener: TcpListener, site: Site, verbose: u8) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", PAGE)))
        .route("/page.css", get(|| file("text/css; charset=utf-8", STYLE)))
        .route(
            "/page.js",
            get(|| file("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route("/api/{*endpoint}", get(api).post(api))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn(move |request, next| {
            watched(verbose, request, next)
        }))
        .with_state(Arc::new(Mutex::new(site)));
    axum::serve(listener, routes).await
}

/// Tells of a request, as far as asked for: never its session, nor what it carries.
async fn watched(verbose: u8, request: Request, next: Next) -> Response {
    if verbose == 0 {
        return next.run(request).await;
    }
    let line = format!("{} {}", request.method(), request.uri().path());
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let took = match verbose {
        1 => String::new(),
        _ => format!(" in {:.1} ms", began.elapsed().as_secs_f64() * 1000.0),
    };
    let _ = writeln!(std::io::stderr(), "{line}: {status}{took}");
    response
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

async fn api(
    State(site): State<Shared>,
    Path(endpoint): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut site = site.lock().unwrap_or_else(PoisonError::into_inner);
    let request = match read(&endpoint, &method, &headers, &body, site.origins()) {
        Ok(request) => request,
        Err(refusal) => {
            let (status, body) = site.refuse(&endpoint, &refusal);
            return respond(status, body);
        }
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let answer = site.handle(&endpoint, session(&headers), &request, now);
    let mut response = respond(answer.status, answer.body);
    let cookie = cookie(&answer.token, site.origins());
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Takes a request's JSON, if it is one that the site's own page would send.
fn read(
    endpoint: &str,
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
    origins: &[String],
) -> Result<Value, Refusal> {
    let refuse = |status, why: &str| Err(Refusal::Request(status, why.to_owned()));
    let reading = endpoint == "account";
    if reading != (method == Method::GET) {
        return refuse(405, "This is not how that is asked.");
    }
    if reading {
        return Ok(json!({}));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // A page of another site can send neither this header with this value nor this type.
    if !text(header::ORIGIN).is_some_and(|origin| origins.iter().any(|ours| ours == origin)) {
        let ours = origins.join(" or ");
        let why = format!("Requests come from this site's own page: open {ours}.");
        return refuse(403, &why);
    }
    if !text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
        return refuse(415, "JSON is needed.");
    }
    serde_json::from_slice(body).or_else(|_| refuse(400, "This is no JSON."))
}

/// Makes a session's cookie. Browsers send one that is `Secure` over HTTPS, and to localhost: so it is
/// that as soon as the site can be reached by HTTPS at all.
fn cookie(token: &str, origins: &[String]) -> String {
    let https = origins.iter().any(|origin| origin.starts_with("https:"));
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}")
}

fn respond(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token)
}
