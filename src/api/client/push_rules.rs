//! Push rules: client-server API, "Push Rules: API".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::push::{
    PushRule, delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled, get_pushrules_all,
    get_pushrules_global_scope, set_pushrule, set_pushrule_actions, set_pushrule_enabled,
};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(all);
    routes.add(global);
    routes.add(get);
    routes.add(put);
    routes.add(delete);
    routes.add(enabled);
    routes.add(set_enabled);
    routes.add(actions);
    routes.add(set_actions);
}

/// `PUT …/{kind}/{ruleId}`, in which conditions may be left out: ruma asks for them where the spec does not.
struct PutRule(set_pushrule::v3::Request);

impl Metadata for PutRule {
    const METHOD: http::Method = set_pushrule::v3::Request::METHOD;
    const RATE_LIMITED: bool = set_pushrule::v3::Request::RATE_LIMITED;
    type Authentication = <set_pushrule::v3::Request as Metadata>::Authentication;
    type PathBuilder = <set_pushrule::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = set_pushrule::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for PutRule {
    type EndpointError = <set_pushrule::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = set_pushrule::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (parts, body) = request.into_parts();
        let mut rule: Map<String, Value> = serde_json::from_slice(body)?;
        rule.entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
        let body = serde_json::to_vec(&rule)?;
        let request = http::Request::from_parts(parts, body.as_slice());
        set_pushrule::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

async fn all(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_pushrules_all::v3::Request>,
) -> Result<get_pushrules_all::v3::Response> {
    let ruleset = homeserver.accounts.push_rules(&request.identity).await?;
    Ok(get_pushrules_all::v3::Response::new(Arc::unwrap_or_clone(ruleset)))
}

async fn global(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_pushrules_global_scope::v3::Request>,
) -> Result<get_pushrules_global_scope::v3::Response> {
    let ruleset = homeserver.accounts.push_rules(&request.identity).await?;
    Ok(get_pushrules_global_scope::v3::Response::new(Arc::unwrap_or_clone(ruleset)))
}

async fn get(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_pushrule::v3::Request>,
) -> Result<get_pushrule::v3::Response> {
    let rule = homeserver.accounts.push_rule(&request.identity, &request.body.kind, &request.body.rule_id).await?;
    Ok(get_pushrule::v3::Response::new(PushRule::from(rule)))
}

async fn put(homeserver: Arc<Homeserver>, request: Ruma<PutRule>) -> Result<set_pushrule::v3::Response> {
    let set_pushrule::v3::Request { rule, before, after } = request.body.0;
    homeserver.accounts.set_push_rule(&request.identity, rule, after.as_deref(), before.as_deref()).await?;
    Ok(set_pushrule::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_pushrule::v3::Request>,
) -> Result<delete_pushrule::v3::Response> {
    let delete_pushrule::v3::Request { kind, rule_id } = request.body;
    homeserver.accounts.delete_push_rule(&request.identity, &kind, &rule_id).await?;
    Ok(delete_pushrule::v3::Response::new())
}

async fn enabled(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_pushrule_enabled::v3::Request>,
) -> Result<get_pushrule_enabled::v3::Response> {
    let rule = homeserver.accounts.push_rule(&request.identity, &request.body.kind, &request.body.rule_id).await?;
    Ok(get_pushrule_enabled::v3::Response::new(rule.enabled()))
}

async fn set_enabled(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_pushrule_enabled::v3::Request>,
) -> Result<set_pushrule_enabled::v3::Response> {
    let set_pushrule_enabled::v3::Request { kind, rule_id, enabled } = request.body;
    homeserver.accounts.set_push_rule_enabled(&request.identity, &kind, &rule_id, enabled).await?;
    Ok(set_pushrule_enabled::v3::Response::new())
}

async fn actions(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_pushrule_actions::v3::Request>,
) -> Result<get_pushrule_actions::v3::Response> {
    let rule = homeserver.accounts.push_rule(&request.identity, &request.body.kind, &request.body.rule_id).await?;
    Ok(get_pushrule_actions::v3::Response::new(rule.actions().to_vec()))
}

async fn set_actions(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_pushrule_actions::v3::Request>,
) -> Result<set_pushrule_actions::v3::Response> {
    let set_pushrule_actions::v3::Request { kind, rule_id, actions } = request.body;
    homeserver.accounts.set_push_rule_actions(&request.identity, &kind, &rule_id, actions).await?;
    Ok(set_pushrule_actions::v3::Response::new())
}

#[cfg(test)]
mod tests {
    use ruma::api::IncomingRequest;
    use ruma::push::NewPushRule;

    use super::PutRule;

    #[test]
    fn conditions_may_be_left_out() {
        let put = |body: &'static str, kind| {
            let request = http::Request::put("/?before=x").body(body.as_bytes()).unwrap();
            PutRule::try_from_http_request_inner(request, &[kind, "id"])
        };
        let PutRule(request) = put(r#"{"actions":["notify"]}"#, "override").ok().unwrap();
        assert!(matches!(request.rule, NewPushRule::Override(rule) if rule.conditions.is_empty()));
        assert_eq!(request.before.as_deref(), Some("x"));
        assert!(put(r#"{"actions":[],"pattern":"x"}"#, "content").is_ok());
        assert!(put(r#"{"actions":[]}"#, "content").is_err());
        assert!(put(r#"{"conditions":[]}"#, "override").is_err());
        assert!(put(r#"{"actions":[]}"#, "odd").is_err());
        assert!(put("[]", "override").is_err());
    }
}
