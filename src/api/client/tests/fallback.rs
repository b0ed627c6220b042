use axum::body::Body;
use http::{HeaderMap, Method, Request, header};
use matron_homeserver::config::Registration;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{CLIENT, House, PASSWORD};

/// A page as a browser gets it.
struct Page {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Page {
    /// The page must be of this status, and have the script that tells the app, or a form, or neither.
    #[track_caller]
    fn is(&self, status: u16, tells: bool, asks: bool) {
        let policy = self.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let (runs, has_form) = (self.html.contains("<script"), self.html.contains("<form"));
        assert_eq!((self.status, runs, has_form), (status, tells, asks), "{}", self.html);
        assert_eq!(policy.contains("script-src"), tells, "{policy}");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(self.headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(self.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }
}

impl House {
    async fn page(&self, method: Method, path: &str, form: &'static str) -> Page {
        let request = Request::builder().method(method).uri(path).body(Body::from(form)).unwrap();
        let (parts, body) = self.service.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 10).await.unwrap();
        let html = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: parts.status.as_u16(), headers: parts.headers, html }
    }
}

fn stage(kind: &str, session: &Value) -> String {
    format!("{CLIENT}/auth/{kind}/fallback/web?session={}", session.as_str().unwrap())
}

#[tokio::test]
async fn a_registration_token_is_given_in_a_browser() {
    let tokens = vec!["open & shut".to_owned()];
    let house = House::with(|config| config.registration = Registration::Token(tokens)).await;
    let mut body = json!({ "username": "ann", "password": PASSWORD });
    let session = house.post("/register", "", body.clone()).await.body["session"].clone();
    let path = stage("m.login.registration_token", &session);
    house.page(Method::GET, &path, "").await.is(200, false, true);
    let wrong = house.page(Method::POST, &path, "answer=open").await;
    wrong.is(403, false, true);
    assert!(wrong.html.contains("role=\"alert\""), "{}", wrong.html);
    let done = house.page(Method::POST, &path, "answer=open+%26+shut").await;
    done.is(200, true, false);
    assert!(done.html.contains("window.onAuthDone();") && done.html.contains("postMessage(\"authDone\", \"*\")"));
    house.page(Method::GET, &path, "").await.is(200, true, false);
    body["auth"] = json!({ "session": session });
    assert_eq!(house.post("/register", "", body).await.done()["user_id"], "@ann:localhost");
    house.page(Method::GET, &path, "").await.is(404, false, false);
}

#[tokio::test]
async fn a_page_of_nothing_says_so_and_repeats_nothing() {
    let house = House::with(|_| {}).await;
    let session = house.post("/register", "", json!({ "password": PASSWORD })).await.body["session"].clone();
    house.page(Method::GET, &stage("m.login.dummy", &session), "").await.is(200, false, true);
    let nothing = json!("%22%3E%3Cscript%3E");
    for path in [
        stage("m.login.dummy", &json!("")),
        stage("m.login.dummy", &nothing),
        stage("%3Cscript%3E", &session),
        stage("m.login.password", &session),
        format!("{CLIENT}/auth/m.login.dummy/fallback/web"),
    ] {
        house.page(Method::GET, &path, "").await.is(404, false, false);
        house.page(Method::POST, &path, "answer=x").await.is(404, false, false);
    }
    house.page(Method::POST, &stage("m.login.dummy", &session), "").await.is(200, true, false);
}

#[tokio::test]
async fn a_password_is_given_in_a_browser_by_those_who_are_logged_in() {
    let house = House::with(|_| {}).await;
    let token = house.register("ann").await;
    let login = json!({ "type": "m.login.password", "user": "ann", "password": PASSWORD, "device_id": "TWO" });
    house.post("/login", "", login).await.done();
    let device = format!("{CLIENT}/devices/TWO");
    let session = house.call(Method::DELETE, &device, &token, &json!({})).await.body["session"].clone();
    let path = stage("m.login.password", &session).replace("/v3/", "/r0/");
    let asks = house.page(Method::GET, &path, "").await;
    asks.is(200, false, true);
    assert!(asks.html.contains("@ann:localhost") && asks.html.contains("log out other devices"), "{}", asks.html);
    house.page(Method::POST, &path, "answer=wrong").await.is(403, false, true);
    let back = json!({ "auth": { "session": session } });
    assert_eq!(house.call(Method::DELETE, &device, &token, &back).await.status, 401);
    house.page(Method::POST, &path, "answer=correct+horse").await.is(200, true, false);
    house.call(Method::DELETE, &device, &token, &back).await.done();
    house.get("/devices/TWO", &token).await.refused(404, "M_NOT_FOUND");

    let wanted = json!({ "new_password": "battery staple" });
    let session = house.post("/account/password", "", wanted.clone()).await.body["session"].clone();
    let path = stage("m.login.password", &session);
    house.page(Method::GET, &path, "").await.is(403, false, false);
    house.page(Method::POST, &path, "answer=correct+horse").await.is(403, false, false);
    let mut back = wanted;
    back["auth"] = json!({ "session": session });
    assert_eq!(house.post("/account/password", "", back).await.status, 401);
}

#[tokio::test]
async fn the_log_in_has_a_page() {
    let house = House::with(|_| {}).await;
    let page = house.page(Method::GET, "/_matrix/static/client/login/?device_id=ONE", "").await;
    page.is(200, true, true);
    assert!(page.html.contains("window.matrixLogin.onLogin(answer);"), "{}", page.html);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("connect-src 'self'"), "{policy}");
}
