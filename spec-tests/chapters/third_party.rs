//! Third-party ids: proving e-mail addresses, registering, logging in and setting a password by them, and letters about
//! unread messages.

use reqwest::Method;
use serde_json::{Value, json};
use spec_tests::{Answer, Letter, MailServer, Server, User, unique};
use tempfile::TempDir;

use crate::notices::administrator;
use crate::{run, server};

const PUBLIC_URL: &str = "https://chat.trust.example";
const NEW_PASSWORD: &str = "a wholly new horse";

/// A server that sends letters, and where they go.
struct Post {
    server: Server,
    mail: MailServer,
    _folder: TempDir,
}

impl Post {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let (folder, mail) = (TempDir::new().unwrap(), MailServer::start().await);
        let port = mail.port.to_string();
        let mut all = vec![
            ("MATRON_PUBLIC_URL", PUBLIC_URL),
            ("MATRON_MAIL__HOST", "127.0.0.1"),
            ("MATRON_MAIL__PORT", port.as_str()),
            ("MATRON_MAIL__SECURITY", "none"),
            ("MATRON_MAIL__FROM", "Ward Chat <chat@trust.example>"),
            ("MATRON_PUSH__EMAIL_AFTER_SECONDS", "0"),
            ("MATRON_PUSH__EMAIL_PAUSE_SECONDS", "0"),
        ];
        all.extend(settings);
        let server = Server::start_in(folder.path(), &all).await;
        Self { server, mail, _folder: folder }
    }

    fn stranger(&self) -> User {
        User::stranger(&self.server.url)
    }

    /// Asks for a letter: the client's secret and the letter's id.
    async fn ask(&self, path: &str, email: &str) -> (String, String) {
        let secret = unique("secret");
        let body = json!({ "client_secret": secret, "email": email, "send_attempt": 1 });
        let answer = self.stranger().post(path, body).await.ok();
        (secret, answer["sid"].as_str().unwrap().to_owned())
    }

    /// Opens the link of the next letter, and presses its button.
    async fn follow(&self) -> Letter {
        let letter = self.mail.next().await;
        let link = letter.link("/_matron/email/validate");
        assert!(
            letter.text.contains(&format!("{PUBLIC_URL}{link}")),
            "links come from the configuration: {}",
            letter.text
        );
        let stranger = self.stranger();
        assert_eq!(stranger.get(&link).await.status, 200);
        assert_eq!(press(&stranger, &link).await.status, 200);
        letter
    }

    /// Adds an address to somebody's account.
    async fn add(&self, user: &User, email: &str) {
        let (secret, sid) = self.ask("/v3/account/3pid/email/requestToken", email).await;
        let _ = self.follow().await;
        let _ = add(user, &secret, &sid).await.ok();
    }
}

async fn press(user: &User, link: &str) -> Answer {
    let (path, form) = link.split_once('?').unwrap();
    user.call(Method::POST, path, Some(form.as_bytes())).await
}

/// `/account/3pid/add` with the password.
async fn add(user: &User, secret: &str, sid: &str) -> Answer {
    let body = json!({ "client_secret": secret, "sid": sid });
    let asked = user.post("/v3/account/3pid/add", body.clone()).await;
    if asked.status != 401 {
        return asked;
    }
    let mut body = body;
    body["auth"] = user.proof(&asked.body["session"]);
    user.post("/v3/account/3pid/add", body).await
}

async fn addresses(user: &User) -> Vec<String> {
    let list = user.get("/v3/account/3pid").await.ok();
    let list = list["threepids"].as_array().unwrap().clone();
    for entry in &list {
        assert!(entry["medium"] == "email" && entry["validated_at"].is_u64() && entry["added_at"].is_u64(), "{entry}");
    }
    list.iter().map(|entry| entry["address"].as_str().unwrap().to_owned()).collect()
}

fn email_identity(secret: &str, sid: &str, session: &Value) -> Value {
    let creds = json!({ "sid": sid, "client_secret": secret });
    json!({ "type": "m.login.email.identity", "threepid_creds": creds, "session": session })
}

#[test]
fn an_address_is_added_when_it_was_proved() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        assert_eq!(ann.get("/v3/capabilities").await.ok()["capabilities"]["m.3pid_changes"]["enabled"], true);
        let (secret, sid) = post.ask("/v3/account/3pid/email/requestToken", "Ann.Bell@Trust.Example").await;
        add(&ann, &secret, &sid).await.refused(403, "M_THREEPID_AUTH_FAILED");
        let letter = post.follow().await;
        assert_eq!(letter.to, "ann.bell@trust.example");
        add(&ann, "another-secret", &sid).await.refused(403, "M_THREEPID_AUTH_FAILED");
        add(&ann, &secret, "AAAAAAAAAAAAAAAAAAAAAA").await.refused(403, "M_THREEPID_AUTH_FAILED");
        let _ = add(&ann, &secret, &sid).await.ok();
        assert_eq!(addresses(&ann).await, ["ann.bell@trust.example"]);
        add(&ann, &secret, &sid).await.refused(403, "M_THREEPID_AUTH_FAILED");
        let gone = json!({ "medium": "email", "address": "ANN.BELL@trust.example" });
        let bob = post.server.user("bob").await;
        let _ = bob.post("/v3/account/3pid/delete", gone.clone()).await.ok();
        assert_eq!(addresses(&ann).await.len(), 1, "nobody deletes another's");
        let answer = ann.post("/v3/account/3pid/delete", gone).await.ok();
        assert_eq!(answer, json!({ "id_server_unbind_result": "no-support" }));
        assert!(addresses(&ann).await.is_empty());
    });
}

#[test]
fn the_suspended_add_addresses_and_take_none_away() {
    run(async {
        let post = Post::new(&[]).await;
        let (admin, ann) = (administrator(&post.server).await, post.server.user("ann").await);
        post.add(&ann, "ann@trust.example").await;
        let suspend = format!("/v1/admin/suspend/{}", ann.id);
        let _ = admin.put(&suspend, json!({ "suspended": true })).await.ok();
        let gone = json!({ "medium": "email", "address": "ann@trust.example" });
        ann.post("/v3/account/3pid/delete", gone.clone()).await.refused(403, "M_USER_SUSPENDED");
        post.add(&ann, "bell@trust.example").await;
        assert_eq!(addresses(&ann).await, ["ann@trust.example", "bell@trust.example"]);
        let _ = admin.put(&suspend, json!({ "suspended": false })).await.ok();
        let _ = ann.post("/v3/account/3pid/delete", gone).await.ok();
        assert_eq!(addresses(&ann).await, ["bell@trust.example"]);
    });
}

#[test]
fn links_are_good_for_their_letter_and_nothing_happens_by_looking() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        let (secret, sid) = post.ask("/v3/account/3pid/email/requestToken", "ann@trust.example").await;
        let link = post.mail.next().await.link("/_matron/email/validate");
        let stranger = post.stranger();
        assert_eq!(stranger.get(&link).await.status, 200);
        add(&ann, &secret, &sid).await.refused(403, "M_THREEPID_AUTH_FAILED");
        let (path, query) = link.split_once('?').unwrap();
        let wrong = format!("{path}?{}x", &query[..query.len() - 1]);
        assert_eq!(stranger.get(&wrong).await.status, 400);
        assert_eq!(press(&stranger, &wrong).await.status, 400);
        assert_eq!(press(&stranger, &format!("{path}?sid=x&token=y")).await.status, 400);
        // The same attempt sends no second letter; the next one does, and ends the first.
        let again =
            |attempt: u64| json!({ "client_secret": secret, "email": "ann@trust.example", "send_attempt": attempt });
        let path = "/v3/account/3pid/email/requestToken";
        assert_eq!(stranger.post(path, again(1)).await.ok()["sid"], sid.as_str());
        let second = stranger.post(path, again(2)).await.ok()["sid"].as_str().unwrap().to_owned();
        assert_ne!(second, sid);
        let newer = post.mail.next().await.link("/_matron/email/validate");
        assert_eq!(press(&stranger, &link).await.status, 400);
        assert_eq!(press(&stranger, &newer).await.status, 200);
        let _ = add(&ann, &secret, &second).await.ok();
    });
}

#[test]
fn a_letter_is_sent_before_it_is_promised() {
    run(async {
        let mut post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        let path = "/v3/account/3pid/email/requestToken";
        let secret = unique("secret");
        let body = json!({ "client_secret": secret, "email": "ann@trust.example", "send_attempt": 1 });
        post.mail.refuse(true);
        post.stranger().post(path, body.clone()).await.refused(502, "M_UNKNOWN");
        post.mail.refuse(false);
        // The same attempt is good, since nothing was kept of it; who repeats it meanwhile gets no second letter.
        let (one, other) = (post.stranger(), post.stranger());
        let (one, other) = tokio::join!(one.post(path, body.clone()), other.post(path, body));
        let sid = one.ok()["sid"].as_str().unwrap().to_owned();
        assert_eq!(other.ok()["sid"], sid.as_str());
        post.server.restart().await;
        let _ = post.follow().await;
        let _ = add(&ann.at(&post.server.url), &secret, &sid).await.ok();
        let _ = post.ask(path, "bob@trust.example").await;
        assert_eq!(post.mail.next().await.to, "bob@trust.example");
    });
}

#[test]
fn answers_do_not_say_whether_an_address_is_known() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        for (path, email) in [
            ("/v3/account/3pid/email/requestToken", "ann@trust.example"),
            ("/v3/register/email/requestToken", "ann@trust.example"),
            ("/v3/account/password/email/requestToken", "nobody@trust.example"),
        ] {
            let _ = post.ask(path, email).await;
            let letter = post.mail.next().await;
            assert_eq!(letter.to, email);
            assert!(!letter.text.contains("/_matron/email/validate"), "{path}: {}", letter.text);
        }
    });
}

#[test]
fn answers_say_so_where_the_configuration_wants_it() {
    run(async {
        let post = Post::new(&[("MATRON_MAIL__HIDE_ADDRESSES", "false")]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        for (path, email, errcode) in [
            ("/v3/account/3pid/email/requestToken", "ann@trust.example", "M_THREEPID_IN_USE"),
            ("/v3/register/email/requestToken", "ann@trust.example", "M_THREEPID_IN_USE"),
            ("/v3/account/password/email/requestToken", "nobody@trust.example", "M_THREEPID_NOT_FOUND"),
        ] {
            let body = json!({ "client_secret": "s", "email": email, "send_attempt": 1 });
            post.stranger().post(path, body).await.refused(400, errcode);
        }
    });
}

#[test]
fn a_forgotten_password_is_set_by_a_letter() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        let (stranger, path) = (post.stranger(), "/v3/account/password");
        let wanted = json!({ "new_password": NEW_PASSWORD });
        let asked = stranger.post(path, wanted.clone()).await;
        let flows = asked.body["flows"].as_array().unwrap().clone();
        assert!(flows.contains(&json!({ "stages": ["m.login.email.identity"] })), "{flows:?}");
        let (secret, sid) = post.ask("/v3/account/password/email/requestToken", "Ann@trust.example").await;
        let mut body = wanted;
        body["auth"] = email_identity(&secret, &sid, &asked.body["session"]);
        let early = stranger.post(path, body.clone()).await;
        assert_eq!((early.status, &early.body["errcode"]), (401, &json!("M_THREEPID_AUTH_FAILED")));
        let _ = post.follow().await;
        let _ = stranger.post(path, body.clone()).await.ok();
        assert_eq!(ann.get("/v3/account/whoami").await.status, 401, "all devices are logged out");
        let _ = User::log_in(&post.server.url, &ann.id, NEW_PASSWORD).await;
        body["auth"]["session"] = Value::Null;
        assert_eq!(stranger.post(path, body).await.status, 401, "a letter is good for once");
    });
}

#[test]
fn a_letter_for_one_thing_is_good_for_nothing_else() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        let (secret, sid) = post.ask("/v3/account/3pid/email/requestToken", "other@trust.example").await;
        let _ = post.follow().await;
        let asked = post.stranger().post("/v3/account/password", json!({ "new_password": NEW_PASSWORD })).await;
        let auth = email_identity(&secret, &sid, &asked.body["session"]);
        let body = json!({ "new_password": NEW_PASSWORD, "auth": auth });
        assert_eq!(post.stranger().post("/v3/account/password", body).await.status, 401);
        let auth = email_identity(&secret, &sid, &Value::Null);
        let body = json!({ "username": unique("eve"), "password": NEW_PASSWORD, "auth": auth });
        assert_eq!(post.stranger().post("/v3/register", body).await.status, 401);
        // Nor does it stand for a password where somebody is logged in.
        let auth = email_identity(&secret, &sid, &Value::Null);
        let answer = ann.post("/v3/account/deactivate", json!({ "auth": auth })).await;
        assert_eq!(answer.status, 401);
    });
}

#[test]
fn who_registers_may_need_an_address() {
    run(async {
        let post = Post::new(&[("MATRON_REGISTRATION__REQUIRE_EMAIL", "true")]).await;
        let stranger = post.stranger();
        let name = unique("ann");
        let wanted = json!({ "username": name, "password": NEW_PASSWORD });
        let asked = stranger.post("/v3/register", wanted.clone()).await;
        assert_eq!(asked.body["flows"], json!([{ "stages": ["m.login.email.identity"] }]));
        let mut body = wanted;
        body["auth"] = json!({ "type": "m.login.dummy", "session": asked.body["session"] });
        assert_eq!(stranger.post("/v3/register", body.clone()).await.status, 401);
        let (secret, sid) = post.ask("/v3/register/email/requestToken", "ann@trust.example").await;
        body["auth"] = email_identity(&secret, &sid, &asked.body["session"]);
        assert_eq!(stranger.post("/v3/register", body.clone()).await.status, 401);
        let _ = post.follow().await;
        let made = stranger.post("/v3/register", body).await.ok();
        let mut ann = post.stranger();
        ann.token = made["access_token"].as_str().unwrap().to_owned();
        assert_eq!(addresses(&ann).await, ["ann@trust.example"]);
    });
}

#[test]
fn an_address_logs_its_user_in() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        let log_in = async |address: &str, medium: &str, password: &str| {
            let identifier = json!({ "type": "m.id.thirdparty", "medium": medium, "address": address });
            let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
            post.stranger().post("/v3/login", body).await
        };
        let right = "correct horse battery staple";
        assert_eq!(log_in("ANN@Trust.example", "email", right).await.ok()["user_id"], ann.id);
        log_in("ann@trust.example", "email", "wrong").await.refused(403, "M_FORBIDDEN");
        log_in("bob@trust.example", "email", right).await.refused(403, "M_FORBIDDEN");
        log_in("441234", "msisdn", right).await.refused(403, "M_FORBIDDEN");
        // As clients said it before identifiers.
        let (medium, address) = ("email", "Ann@trust.example");
        let body = json!({ "type": "m.login.password", "medium": medium, "address": address, "password": right });
        assert_eq!(post.stranger().post("/v3/login", body).await.ok()["user_id"], ann.id);
    });
}

#[test]
fn addresses_go_with_their_account() {
    run(async {
        let post = Post::new(&[]).await;
        let (ann, bob) = (post.server.user("ann").await, post.server.user("bob").await);
        post.add(&ann, "shared@trust.example").await;
        let asked = ann.post("/v3/account/deactivate", json!({})).await;
        let _ = ann.post("/v3/account/deactivate", json!({ "auth": ann.proof(&asked.body["session"]) })).await.ok();
        post.add(&bob, "shared@trust.example").await;
        assert_eq!(addresses(&bob).await, ["shared@trust.example"]);
    });
}

#[test]
fn one_address_is_one_users() {
    run(async {
        let post = Post::new(&[]).await;
        let (ann, bob) = (post.server.user("ann").await, post.server.user("bob").await);
        let path = "/v3/account/3pid/email/requestToken";
        let (anns, bobs) = (post.ask(path, "a@trust.example").await, post.ask(path, "a@trust.example").await);
        let _ = (post.follow().await, post.follow().await);
        let _ = add(&ann, &anns.0, &anns.1).await.ok();
        add(&bob, &bobs.0, &bobs.1).await.refused(400, "M_THREEPID_IN_USE");
    });
}

#[test]
fn what_is_not_served_is_refused_as_the_spec_says() {
    run(async {
        let ann = server().await.user("ann").await;
        let letter = json!({ "client_secret": "s", "email": "ann@trust.example", "send_attempt": 1 });
        let text = json!({ "client_secret": "s", "country": "GB", "phone_number": "7700900001", "send_attempt": 1 });
        for base in ["/v3/account/3pid", "/v3/register", "/v3/account/password"] {
            let stranger = User::stranger(&server().await.url);
            let answer = stranger.post(&format!("{base}/email/requestToken"), letter.clone()).await;
            answer.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
            let answer = stranger.post(&format!("{base}/msisdn/requestToken"), text.clone()).await;
            answer.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
        }
        let bind = json!({ "client_secret": "s", "sid": "1", "id_server": "id.example", "id_access_token": "t" });
        ann.post("/v3/account/3pid/bind", bind).await.refused(400, "M_SERVER_NOT_TRUSTED");
        let unbind = json!({ "medium": "email", "address": "ann@trust.example", "id_server": "id.example" });
        let answer = ann.post("/v3/account/3pid/unbind", unbind).await.ok();
        assert_eq!(answer, json!({ "id_server_unbind_result": "no-support" }));
        assert_eq!(ann.get("/v3/capabilities").await.ok()["capabilities"]["m.3pid_changes"]["enabled"], false);
    });
}

#[test]
fn bad_requests_for_letters() {
    run(async {
        let post = Post::new(&[]).await;
        let path = "/v3/account/3pid/email/requestToken";
        for (email, secret) in [("nobody", "s"), ("a@b\r\nBcc: x@y.z", "s"), ("ann@trust.example", "no spaces")] {
            let body = json!({ "client_secret": secret, "email": email, "send_attempt": 1 });
            assert_eq!(post.stranger().post(path, body).await.status, 400, "{email} {secret}");
        }
        let body = json!({ "client_secret": "s", "send_attempt": 1 });
        post.stranger().post(path, body).await.refused(400, "M_MISSING_PARAM");
    });
}

/// A body for `/pushers/set` that has letters sent to an address.
fn pusher(address: &str) -> Value {
    json!({
        "kind": "email",
        "app_id": "m.email",
        "pushkey": address,
        "app_display_name": "Email",
        "device_display_name": address,
        "lang": "en",
        "data": {},
    })
}

#[test]
fn letters_tell_of_unread_messages_until_one_click_ends_them() {
    run(async {
        let post = Post::new(&[]).await;
        let (ann, bob) = (post.server.user("ann").await, post.server.user("bob").await);
        bob.post("/v3/pushers/set", pusher("bob@trust.example")).await.refused(400, "M_THREEPID_NOT_FOUND");
        post.add(&bob, "bob@trust.example").await;
        let _ = bob.post("/v3/pushers/set", pusher("bob@trust.example")).await.ok();
        let room = ann.create_room(json!({ "name": "Ward 7", "invite": [bob.id] })).await;
        bob.join(&room).await;
        ann.say(&room, "of the patient, nothing leaves the house").await;
        let mut letter = post.mail.next().await;
        while !letter.text.contains("Ward 7: 1 unread message from ann") {
            letter = post.mail.next().await;
        }
        assert_eq!(letter.to, "bob@trust.example");
        assert!(!letter.text.contains("patient"), "{}", letter.text);
        assert!(letter.text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{}", letter.text);
        let link = letter.link("/_matron/email/unsubscribe");
        let stranger = post.stranger();
        assert_eq!(stranger.get(&link).await.status, 200);
        let count = async || bob.get("/v3/pushers").await.ok()["pushers"].as_array().unwrap().len();
        assert_eq!(count().await, 1, "looking ends nothing");
        let forged = format!("{}A", &link[..link.len() - 1]);
        let _ = stranger.call(Method::POST, &format!("{}B", &forged[..forged.len() - 2]), Some(b"")).await;
        assert_eq!(count().await, 1, "nobody ends another's letters");
        assert_eq!(stranger.call(Method::POST, &link, Some(b"List-Unsubscribe=One-Click")).await.status, 200);
        assert_eq!(count().await, 0);
    });
}

#[test]
fn an_address_takes_its_pusher_with_it() {
    run(async {
        let post = Post::new(&[]).await;
        let ann = post.server.user("ann").await;
        post.add(&ann, "ann@trust.example").await;
        let _ = ann.post("/v3/pushers/set", pusher("Ann@trust.example")).await.ok();
        let gone = json!({ "medium": "email", "address": "ann@trust.example" });
        let _ = ann.post("/v3/account/3pid/delete", gone).await.ok();
        assert_eq!(ann.get("/v3/pushers").await.ok()["pushers"], json!([]));
    });
}

#[test]
fn a_mail_server_that_says_nothing_does_not_hold_up_the_stop() {
    run(async {
        let mut post = Post::new(&[]).await;
        let (ann, bob) = (post.server.user("ann").await, post.server.user("bob").await);
        post.add(&bob, "bob@trust.example").await;
        let _ = bob.post("/v3/pushers/set", pusher("bob@trust.example")).await.ok();
        let room = ann.create_room(json!({ "invite": [bob.id] })).await;
        bob.join(&room).await;
        post.mail.fall_silent();
        ann.say(&room, "hello").await;
        post.mail.keep_waiting().await;
        assert!(post.server.stop().await);
        let log = post.server.log();
        assert!(!log.contains("did not end in time"), "{log}");
    });
}
