//! "User Directory": who is found, by what, and who is not.

use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::{run, server};

async fn search(user: &User, term: &str, limit: usize) -> Value {
    user.post("/v3/user_directory/search", json!({ "search_term": term, "limit": limit })).await.ok()
}

async fn ids(user: &User, term: &str) -> Vec<String> {
    let found = search(user, term, 50).await;
    found["results"].as_array().unwrap().iter().map(|one| one["user_id"].as_str().unwrap().to_owned()).collect()
}

async fn call(user: &User, name: &str) {
    let _ = user.put(&format!("/v3/profile/{}/displayname", user.id), json!({ "displayname": name })).await.ok();
}

/// A word that nobody else is called by.
fn word() -> String {
    spec_tests::unique("q").replace('-', "")
}

#[test]
fn people_are_found_by_the_beginnings_of_their_names() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let word = word();
        call(&bob, &format!("Dr Jürgen Ⅷ {word}")).await;
        let avatar = json!({ "avatar_url": "mxc://localhost/bob" });
        let _ = bob.put(&format!("/v3/profile/{}/avatar_url", bob.id), avatar).await.ok();
        let room = ann.create_room(json!({ "invite": [bob.id] })).await;
        assert!(ids(&ann, &word).await.is_empty(), "an invited user shares no room yet");
        bob.join(&room).await;
        let found = search(&ann, &word.to_uppercase(), 10).await;
        let person = json!({
            "user_id": bob.id,
            "display_name": format!("Dr Jürgen Ⅷ {word}"),
            "avatar_url": "mxc://localhost/bob",
        });
        assert_eq!(found, json!({ "results": [person], "limited": false }));
        for term in
            [format!("jurg {word}"), format!("  {word}  dr"), bob.id.clone(), bob.id[..bob.id.len() - 3].to_owned()]
        {
            assert_eq!(ids(&ann, &term).await, std::slice::from_ref(&bob.id), "{term}");
        }
        for term in [&word[1..], &format!("{word} nobody"), "", "@:", "…"] {
            assert!(ids(&ann, term).await.is_empty(), "{term}");
        }
        assert!(ids(&bob, &word).await.is_empty(), "who searches does not find themselves");
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        assert!(ids(&ann, &word).await.is_empty());
    });
}

#[test]
fn people_in_open_rooms_are_found_by_all() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let word = word();
        call(&ann, &word).await;
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        assert_eq!(ids(&eve, &word).await, std::slice::from_ref(&ann.id));
        call(&bob, &format!("{word} second")).await;
        bob.join(&room).await;
        assert_eq!(ids(&eve, &word).await, [ann.id.clone(), bob.id.clone()], "the whole name is the better match");
        let limited = search(&eve, &word, 1).await;
        assert_eq!((limited["results"].as_array().unwrap().len(), &limited["limited"]), (1, &json!(true)));
        let rule = |rule: &str| json!({ "join_rule": rule });
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.join_rules"), rule("invite")).await.ok();
        assert!(ids(&eve, &word).await.is_empty());
        assert_eq!(ids(&bob, &word).await, std::slice::from_ref(&ann.id));
    });
}

#[test]
fn a_name_is_known_to_its_room_alone() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let (everywhere, here) = (word(), word());
        call(&ann, &everywhere).await;
        ann.create_room(json!({ "preset": "public_chat" })).await;
        let room = bob.create_room(json!({ "invite": [ann.id] })).await;
        ann.join(&room).await;
        let member = json!({ "membership": "join", "displayname": here });
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.member/{}", ann.id), member).await.ok();
        for searcher in [&bob, &eve] {
            assert!(ids(searcher, &here).await.is_empty());
            assert_eq!(search(searcher, &everywhere, 10).await["results"][0]["display_name"], everywhere.as_str());
        }
        // Who is called otherwise is not found by the old name.
        call(&ann, &here).await;
        assert!(ids(&eve, &everywhere).await.is_empty());
        assert_eq!(ids(&eve, &here).await, std::slice::from_ref(&ann.id));
    });
}

#[test]
fn who_has_gone_is_not_found() {
    run(async {
        let server = server().await;
        let (ann, eve) = (server.user("ann").await, server.user("eve").await);
        let word = word();
        call(&ann, &word).await;
        ann.create_room(json!({ "preset": "public_chat" })).await;
        assert_eq!(ids(&eve, &word).await.len(), 1);
        let asked = ann.post("/v3/account/deactivate", json!({})).await;
        let proof = ann.proof(&asked.body["session"]);
        let _ = ann.post("/v3/account/deactivate", json!({ "auth": proof, "erase": true })).await.ok();
        assert!(ids(&eve, &word).await.is_empty());
        assert!(ids(&eve, &ann.id).await.is_empty());
    });
}

#[test]
fn everybody_is_found_where_that_is_configured() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[("MATRON_USER_DIRECTORY__SEARCH", "all")]).await;
        let (ann, eve) = (server.user("ann").await, server.user("eve").await);
        let word = word();
        call(&ann, &word).await;
        assert_eq!(ids(&eve, &word).await, std::slice::from_ref(&ann.id));
        server.restart().await;
        assert_eq!(ids(&eve.at(&server.url), &word).await, [ann.id]);
    });
}
