//! "`OpenID`" and "Voice over IP": what a user shows to other services.

use serde_json::json;
use spec_tests::{Server, User};

use crate::{run, server};

#[test]
fn a_token_says_whose_it_is_and_opens_nothing() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let path = format!("/v3/user/{}/openid/request_token", ann.id);
        let given = ann.post(&path, json!({})).await.ok();
        assert_eq!((&given["token_type"], &given["expires_in"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(given["matrix_server_name"], "localhost");
        let token = given["access_token"].as_str().unwrap();
        let mut service = User::stranger(&server.url);
        let info = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
        assert_eq!(service.get(&info(token)).await.ok(), json!({ "sub": ann.id }));
        service.get(&info("other")).await.refused(401, "M_UNKNOWN_TOKEN");
        service.get(&info(&ann.token)).await.refused(401, "M_UNKNOWN_TOKEN");
        service.get("/_matrix/federation/v1/openid/userinfo").await.refused(401, "M_MISSING_TOKEN");
        service.token = token.to_owned();
        service.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    });
}

#[test]
fn turn_credentials_are_there_where_a_server_is() {
    run(async {
        let ann = server().await.user("ann").await;
        assert_eq!(ann.get("/v3/voip/turnServer").await.ok(), json!({}));
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [
            ("MATRON_TURN__URIS", "[\"turn:turn.example.org\"]"),
            ("MATRON_TURN__SHARED_SECRET", "secret"),
            ("MATRON_TURN__TTL_SECONDS", "600"),
        ];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        let given = ann.get("/v3/voip/turnServer").await.ok();
        assert_eq!((&given["uris"], &given["ttl"]), (&json!(["turn:turn.example.org"]), &json!(600)));
        assert!(given["username"].as_str().unwrap().ends_with(&format!(":{}", ann.id)), "{given}");
        assert_eq!(given["password"].as_str().unwrap().len(), 28);
    });
}
