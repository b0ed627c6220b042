//! Bad input: whatever comes gets the spec's error and leaves nothing behind.

use reqwest::Method;
use serde_json::json;

use crate::{run, server};

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    run(async {
        let user = server().await.user("ann").await;
        user.get("/v3/nothing/here").await.refused(404, "M_UNRECOGNIZED");
        user.get("/unstable/org.example/thing").await.refused(404, "M_UNRECOGNIZED");
        user.delete("/v3/sync", json!({})).await.refused(405, "M_UNRECOGNIZED");
        user.get("/v3/createRoom").await.refused(405, "M_UNRECOGNIZED");
    });
}

#[test]
fn bodies_that_are_none_are_refused() {
    run(async {
        let user = server().await.user("ann").await;
        let create = |body: Vec<u8>| {
            let user = user.clone();
            async move { user.call(Method::POST, "/v3/createRoom", Some(&body)).await }
        };
        create(b"{".to_vec()).await.refused(400, "M_NOT_JSON");
        create(b"\xff\xfe".to_vec()).await.refused(400, "M_NOT_JSON");
        create(b"[]".to_vec()).await.refused(400, "M_BAD_JSON");
        create(br#"{"invite":7}"#.to_vec()).await.refused(400, "M_BAD_JSON");
        create(format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000)).into_bytes())
            .await
            .refused(400, "M_BAD_JSON");
        create(vec![b' '; 9 << 20]).await.refused(413, "M_TOO_LARGE");
    });
}

#[test]
fn events_keep_to_their_limits() {
    run(async {
        let user = server().await.user("ann").await;
        let room = user.create_room(json!({})).await;
        let send = async |body: String| {
            let path = format!("/v3/rooms/{room}/send/m.room.message/{}", spec_tests::unique("t"));
            user.call(Method::PUT, &path, Some(body.as_bytes())).await
        };
        send(format!(r#"{{"body":"{}"}}"#, "x".repeat(70_000))).await.refused(413, "M_TOO_LARGE");
        send(r#"{"body":1.5}"#.to_owned()).await.refused(400, "M_BAD_JSON");
        send(r#"{"body":9007199254740993}"#.to_owned()).await.refused(400, "M_BAD_JSON");
        send("7".to_owned()).await.refused(400, "M_BAD_JSON");
        let long = format!("/v3/rooms/{room}/state/m.test/{}", "k".repeat(300));
        assert!(matches!(user.put(&long, json!({})).await.status, 400 | 413));
        let page = user.get(&format!("/v3/rooms/{room}/messages?dir=b&limit=100")).await.ok();
        assert!(!page.to_string().contains("m.test"), "{page}");
    });
}

#[test]
fn tokens_that_are_none_are_refused() {
    run(async {
        let user = server().await.user("ann").await;
        let room = user.create_room(json!({})).await;
        for token in ["x", "s1", "s1_0_0_0_0", "t1_zz_1_l1_1", "s1_%F0%9F%8F%A5_1_1_1_1", "s9_1_1_1_1_1"] {
            user.get(&format!("/v3/sync?since={token}")).await.refused(400, "M_INVALID_PARAM");
            user.get(&format!("/v3/rooms/{room}/messages?dir=b&from={token}")).await.refused(400, "M_INVALID_PARAM");
        }
        // A token of another store: the client is told everything anew.
        let whole = user.get("/v3/sync?since=s1_1_5_5_1_0").await.ok();
        assert!(whole["rooms"]["join"][&room].is_object(), "{whole}");
    });
}

#[test]
fn web_pages_of_any_origin_may_call() {
    run(async {
        let url = format!("{}/_matrix/client/v3/login", server().await.url);
        let http = reqwest::Client::new();
        for method in [Method::OPTIONS, Method::GET] {
            let answer = http.request(method, &url).header("Origin", "https://element.example").send().await.unwrap();
            assert!(answer.status().is_success());
            let headers = answer.headers();
            assert_eq!(headers["access-control-allow-origin"], "*");
            assert_eq!(headers["access-control-allow-methods"], "GET, POST, PUT, DELETE, OPTIONS");
            let allowed = "X-Requested-With, Content-Type, Authorization";
            assert_eq!(headers["access-control-allow-headers"], allowed);
        }
    });
}
