//! Rules are added, moved, changed and removed as the spec says; the server's own stay.

use matron_storage::Batch;
use ruma::push::{Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, RuleKind};

use super::super::fixture::{Fixture, refusal};
use crate::accounts::Session;
use crate::schema::UserNum;
use crate::schema::accounts::{SPECIAL_RULES, SPECIAL_RULES_VERSION};

fn rule(id: &str) -> NewPushRule {
    NewPushRule::Content(NewPatternedPushRule::new(id.to_owned(), "cake".to_owned(), vec![Action::Notify]))
}

async fn order(server: &Fixture, session: &Session) -> Vec<String> {
    server.push_rules(session).await.unwrap().content.iter().map(|rule| rule.rule_id.clone()).collect()
}

#[tokio::test]
async fn rules_stand_where_they_are_put() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let put = async |id, after, before| server.set_push_rule(&alice, rule(id), after, before).await;
    put("a", None, None).await.unwrap();
    put("b", None, None).await.unwrap();
    put("c", Some("a"), None).await.unwrap();
    assert_eq!(order(&server, &alice).await, ["b", "a", "c"]);
    // A rule that is there moves, keeps its state, and never past the end.
    server.set_push_rule_enabled(&alice, &RuleKind::Content, "b", false).await.unwrap();
    put("b", Some("c"), None).await.unwrap();
    assert_eq!(order(&server, &alice).await, ["a", "c", "b"]);
    assert!(!server.push_rule(&alice, &RuleKind::Content, "b").await.unwrap().enabled());
    put("a", None, Some("b")).await.unwrap();
    assert_eq!(order(&server, &alice).await, ["c", "a", "b"]);
    put("c", None, None).await.unwrap();
    assert_eq!(order(&server, &alice).await, ["c", "a", "b"]);
    assert_eq!(refusal(put("c", Some("none"), None).await), "M_UNKNOWN");
    assert_eq!(refusal(put("c", Some("c"), None).await), "M_UNKNOWN");
    assert_eq!(refusal(put("x", Some("b"), Some("c")).await), "M_INVALID_PARAM");
    assert_eq!(order(&server, &alice).await, ["c", "a", "b"]);
}

#[tokio::test]
async fn ones_own_rules_come_after_master_alone() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let own = NewPushRule::Override(NewConditionalPushRule::new("own".to_owned(), vec![], vec![]));
    server.set_push_rule(&alice, own, None, None).await.unwrap();
    let ruleset = server.push_rules(&alice).await.unwrap();
    let ids: Vec<_> = ruleset.override_.iter().take(3).map(|rule| rule.rule_id.as_str()).collect();
    assert_eq!(ids, [".m.rule.master", "own", ".m.rule.suppress_notices"]);
}

#[tokio::test]
async fn default_rules_are_changed_but_not_replaced() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let master = ".m.rule.master";
    server.set_push_rule_enabled(&alice, &RuleKind::Override, master, true).await.unwrap();
    server.set_push_rule_actions(&alice, &RuleKind::Underride, ".m.rule.message", vec![]).await.unwrap();
    assert!(server.push_rule(&alice, &RuleKind::Override, master).await.unwrap().enabled());
    assert!(server.push_rule(&alice, &RuleKind::Underride, ".m.rule.message").await.unwrap().actions().is_empty());
    let deleted = server.delete_push_rule(&alice, &RuleKind::Override, master).await;
    assert_eq!(refusal(deleted), "M_INVALID_PARAM");
    for id in [".m.rule.master", ".own", "a/b", "a\\b", "", &"x".repeat(256)] {
        assert_eq!(refusal(server.set_push_rule(&alice, rule(id), None, None).await), "M_INVALID_PARAM", "{id}");
    }
    let relative = server.set_push_rule(&alice, rule("a"), Some(master), None).await;
    assert_eq!(refusal(relative), "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let kind = RuleKind::Content;
    assert_eq!(refusal(server.push_rule(&alice, &kind, "none").await), "M_NOT_FOUND");
    assert_eq!(refusal(server.delete_push_rule(&alice, &kind, "none").await), "M_NOT_FOUND");
    assert_eq!(refusal(server.set_push_rule_enabled(&alice, &kind, "none", true).await), "M_NOT_FOUND");
    assert_eq!(refusal(server.set_push_rule_actions(&alice, &kind, "none", vec![]).await), "M_NOT_FOUND");
    assert_eq!(refusal(server.push_rule(&alice, &RuleKind::from("odd"), "none").await), "M_NOT_FOUND");
    server.set_push_rule(&alice, rule("mine"), None, None).await.unwrap();
    server.delete_push_rule(&alice, &kind, "mine").await.unwrap();
    assert_eq!(refusal(server.push_rule(&alice, &kind, "mine").await), "M_NOT_FOUND");
}

#[tokio::test]
async fn rules_are_bounded_and_keep_what_is_history() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let written = r#"["dont_notify","coalesce",{"set_tweak":"x","value":1}]"#;
    let actions: Vec<Action> = serde_json::from_str(written).unwrap();
    server.set_push_rule_actions(&alice, &RuleKind::Underride, ".m.rule.call", actions.clone()).await.unwrap();
    let own = NewPushRule::Content(NewPatternedPushRule::new("own".to_owned(), "cake".to_owned(), actions));
    server.set_push_rule(&alice, own, None, None).await.unwrap();
    for (kind, id) in [(RuleKind::Underride, ".m.rule.call"), (RuleKind::Content, "own")] {
        let rule = server.push_rule(&alice, &kind, id).await.unwrap();
        assert_eq!(serde_json::to_string(rule.actions()).unwrap(), written);
    }
    let long = NewPushRule::Content(NewPatternedPushRule::new("a".to_owned(), "?".repeat(256), vec![]));
    assert_eq!(refusal(server.set_push_rule(&alice, long, None, None).await), "M_INVALID_PARAM");
    let many = vec![Action::Notify; 33];
    let many = server.set_push_rule_actions(&alice, &RuleKind::Underride, ".m.rule.call", many).await;
    assert_eq!(refusal(many), "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_snapshot_has_its_own_rules() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let before = server.snapshot();
    assert!(server.ruleset(&before, alice.user).await.unwrap().content.is_empty());
    server.set_push_rule(&alice, rule("a"), None, None).await.unwrap();
    let after = server.snapshot();
    assert_eq!(server.ruleset(&after, alice.user).await.unwrap().content.len(), 1);
    assert!(server.ruleset(&before, alice.user).await.unwrap().content.is_empty());
    let first = server.ruleset(&after, alice.user).await.unwrap();
    // Other news of the user's costs a look at the row, not a new ruleset.
    server.set_account_data(alice.user, None, "org.example", "{}").await.unwrap();
    let second = server.ruleset(&server.snapshot(), alice.user).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    let pieces = server.account_data_since(&after, alice.user, before.position()).await.unwrap();
    assert!(pieces.len() == 1 && pieces[0].content.contains("cake") && pieces[0].content.contains(".m.rule.call"));
}

#[tokio::test]
async fn special_rules_are_noted_and_found_again() {
    let server = Fixture::new().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let noted = async || server.special_from(&server.snapshot(), UserNum(0), 100).await.unwrap();
    assert!(noted().await.is_empty());
    let cake = NewPatternedPushRule::new("cake".to_owned(), "cake".to_owned(), vec![Action::Notify]);
    server.set_push_rule(&alice, NewPushRule::Content(cake), None, None).await.unwrap();
    server.set_push_rule_enabled(&bob, &RuleKind::Override, ".m.rule.master", true).await.unwrap();
    assert_eq!(noted().await, [alice.user], "to hear of nothing asks for no look at events");
    // As after an upgrade that understands rules in another way.
    let mut batch = Batch::new();
    batch.delete(&SPECIAL_RULES, &alice.user);
    batch.put(&SPECIAL_RULES, &bob.user, &());
    batch.put(&SPECIAL_RULES_VERSION, &(), &0);
    server.0.store.commit(batch).await.unwrap();
    server.index_special_rules().await.unwrap();
    assert_eq!(noted().await, [alice.user]);
    server.delete_push_rule(&alice, &RuleKind::Content, "cake").await.unwrap();
    assert!(noted().await.is_empty());
}
