//! "Invite permission": who takes no invites gets none, by whatever door they would come.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

async fn set(user: &User, kind: &str, content: Value) {
    let _ = user.put(&format!("/v3/user/{}/account_data/{kind}", user.id), content).await.ok();
}

#[test]
fn blocked_invites_are_refused_and_not_told() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({})).await;
        let invite = async || ann.post(&format!("/v3/rooms/{room}/invite"), json!({ "user_id": bob.id })).await;
        let _ = invite().await.ok();
        assert!(bob.sync(None).await["rooms"]["invite"][&room].is_object());
        set(&bob, "m.invite_permission_config", json!({ "default_action": "block" })).await;
        assert!(bob.sync(None).await["rooms"]["invite"][&room].is_null());
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        invite().await.refused(403, "M_INVITE_BLOCKED");
        let member = format!("/v3/rooms/{room}/state/m.room.member/{}", bob.id);
        ann.put(&member, json!({ "membership": "invite" })).await.refused(403, "M_INVITE_BLOCKED");
        ann.post("/v3/createRoom", json!({ "invite": [bob.id] })).await.refused(403, "M_INVITE_BLOCKED");
        let invited = json!({ "type": "m.room.member", "state_key": bob.id, "content": { "membership": "invite" } });
        ann.post("/v3/createRoom", json!({ "initial_state": [invited] })).await.refused(403, "M_INVITE_BLOCKED");
        set(&bob, "m.invite_permission_config", json!({})).await;
        let _ = invite().await.ok();
        assert!(bob.sync(None).await["rooms"]["invite"][&room].is_object());
    });
}

#[test]
fn lists_name_users_and_servers() {
    run(async {
        let server = server().await;
        let (ann, bob, cid) = (server.user("ann").await, server.user("bob").await, server.user("cid").await);
        let lists = json!({ "blocked_servers": ["local*"], "allowed_users": [ann.id], "ignored_users": [cid.id] });
        set(&bob, "org.matrix.msc4155.invite_permission_config", lists).await;
        let dan = server.user("dan").await;
        let invite = |user: &User| {
            let (user, id) = (user.clone(), bob.id.clone());
            async move {
                let room = user.create_room(json!({})).await;
                (user.post(&format!("/v3/rooms/{room}/invite"), json!({ "user_id": id })).await, room)
            }
        };
        let (refused, _) = invite(&dan).await;
        refused.refused(403, "M_INVITE_BLOCKED");
        let (taken, seen) = invite(&ann).await;
        let _ = taken.ok();
        let (taken, unseen) = invite(&cid).await;
        let _ = taken.ok();
        let invites = bob.sync(None).await["rooms"]["invite"].clone();
        assert!(invites[&seen].is_object() && invites[&unseen].is_null(), "{invites}");
    });
}
