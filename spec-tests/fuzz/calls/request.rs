//! Requests from a fuzzer's bytes: any method, a path of the table or any other, words that mean something or anything.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use axum::body::Body;
use http::{Method, Request, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::house::Words;

static ENDPOINTS: LazyLock<Vec<(Method, String)>> = LazyLock::new(matron_api::endpoints);

/// Parameters of queries, and values that mean something to some of them.
const QUERIES: [&str; 38] = [
    "from",
    "to",
    "dir",
    "limit",
    "filter",
    "since",
    "timeout",
    "full_state",
    "use_state_after",
    "set_presence",
    "version",
    "user_id",
    "at",
    "membership",
    "not_membership",
    "recurse",
    "access_token",
    "kind",
    "format",
    "server_name",
    "via",
    "org.matrix.msc4222.use_state_after",
    "room_id",
    "ts",
    "width",
    "height",
    "method",
    "animated",
    "filename",
    "timeout_ms",
    "allow_remote",
    "server",
    "include",
    "only",
    "suggested_only",
    "max_depth",
    "sid",
    "token",
];
const VALUES: [&str; 18] = [
    "b",
    "f",
    "0",
    "1",
    "100",
    "-1",
    "18446744073709551615",
    "true",
    "false",
    "join",
    "guest",
    "online",
    "{}",
    r#"{"lazy_load_members":true}"#,
    r#"{"room":{"timeline":{"limit":1}}}"#,
    "1.5",
    "crop",
    "participated",
];

/// Headers of which something is made, and values that mean something in some of them.
const HEADERS: [&str; 7] =
    ["authorization", "content-type", "if-none-match", "if-range", "origin", "range", "user-agent"];
const HEADER_VALUES: [&str; 8] =
    ["bytes=0-0", "bytes=1-", "bytes=-1", "bytes=9-1", "*", "image/png", "text/html; charset=utf-8", "Bearer "];

/// Names of fields in bodies.
const FIELDS: [&str; 60] = [
    "type",
    "user",
    "password",
    "identifier",
    "auth",
    "session",
    "token",
    "device_id",
    "username",
    "initial_device_display_name",
    "refresh_token",
    "inhibit_login",
    "new_password",
    "logout_devices",
    "erase",
    "name",
    "topic",
    "preset",
    "invite",
    "room_version",
    "initial_state",
    "power_level_content_override",
    "creation_content",
    "visibility",
    "is_direct",
    "room_alias_name",
    "state_key",
    "content",
    "user_id",
    "reason",
    "membership",
    "displayname",
    "avatar_url",
    "m.relates_to",
    "rel_type",
    "event_id",
    "m.mentions",
    "user_ids",
    "room",
    "body",
    "msgtype",
    "users",
    "events",
    "redacts",
    "timeline",
    "limit",
    "types",
    "rooms",
    "device_keys",
    "one_time_keys",
    "fallback_keys",
    "signatures",
    "keys",
    "algorithms",
    "messages",
    "actions",
    "conditions",
    "pattern",
    "auth_data",
    "session_data",
];
/// Bodies that are right somewhere.
const BODIES: [&str; 22] = [
    r#"{"type":"m.login.password","identifier":{"type":"m.id.user","user":"ann"},"password":"password","refresh_token":true}"#,
    r#"{"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"ann"},"password":"password"},"new_password":"password"}"#,
    r#"{"username":"cid","password":"password","auth":{"type":"m.login.dummy"}}"#,
    r#"{"preset":"private_chat","room_version":"10","invite":["@bob:localhost"],"initial_state":[{"type":"m.room.topic","content":{"topic":"x"}}]}"#,
    r#"{"power_level_content_override":{"users":{"@ann:localhost":100},"events":{"m.room.topic":0}},"creation_content":{"m.federate":false}}"#,
    r#"{"user_id":"@bob:localhost","reason":"x"}"#,
    r#"{"msgtype":"m.text","body":"x","m.mentions":{"user_ids":["@bob:localhost"],"room":true}}"#,
    r#"{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.thread","event_id":"$x"}}"#,
    r#"{"membership":"join","displayname":"x"}"#,
    r#"{"users":{"@ann:localhost":100,"@bob:localhost":50},"state_default":50,"ban":50}"#,
    r#"{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!x"}]}"#,
    r#"{"history_visibility":"joined"}"#,
    r#"{"typing":true,"timeout":30000}"#,
    r#"{"m.read":"$x","m.fully_read":"$x","m.read.private":"$x"}"#,
    r#"{"thread_id":"main"}"#,
    r#"{"room":{"timeline":{"limit":2,"types":["m.*"],"not_senders":["@bob:localhost"]},"state":{"lazy_load_members":true}},"event_fields":["content.body"]}"#,
    r#"{"actions":["notify",{"set_tweak":"highlight"}],"pattern":"x","conditions":[{"kind":"event_match","key":"content.body","pattern":"x*"}]}"#,
    r#"{"device_keys":{"@ann:localhost":[]},"one_time_keys":{"@ann:localhost":{"DEVICE":"signed_curve25519"}},"timeout":1}"#,
    r#"{"messages":{"@bob:localhost":{"*":{"x":1}}}}"#,
    r#"{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","auth_data":{"public_key":"x"},"version":"1"}"#,
    r#"{"rooms":{"!x:localhost":{"sessions":{"s":{"first_message_index":1,"forwarded_count":0,"is_verified":true,"session_data":{}}}}}}"#,
    r#"{"global":{},"ignored_users":{"@bob:localhost":{}},"order":0.5,"enabled":true,"visibility":"public","devices":["DEVICE"]}"#,
];

/// The next request; none where the bytes make none.
pub fn from(input: &mut Unstructured<'_>, words: &Words) -> Result<Option<Request<Body>>> {
    let (method, pattern) = input.choose(&ENDPOINTS)?;
    let method = match input.int_in_range(0..=15)? {
        0 => Method::HEAD,
        1 => Method::OPTIONS,
        2 => input.choose(&ENDPOINTS)?.0.clone(),
        _ => method.clone(),
    };
    let mut uri = path(input, words, pattern)?;
    for nth in 0..input.int_in_range(0..=4)? {
        uri.push(if nth == 0 { '?' } else { '&' });
        let value = if input.ratio(2, 3)? { (*input.choose(&VALUES)?).to_owned() } else { word(input, words)? };
        uri.push_str(&format!("{}={}", input.choose(&QUERIES)?, encode(&value)));
    }
    let mut request = Request::builder().method(method).uri(uri);
    let token = match input.int_in_range(0..=15)? {
        0 => None,
        1 => Some(word(input, words)?),
        nth => words.tokens.get(nth % words.tokens.len()).cloned(),
    };
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if input.ratio(1, 8)? {
        let name = if input.ratio(1, 4)? { input.arbitrary::<&str>()? } else { *input.choose(&HEADERS)? };
        let is_any = input.ratio(1, 2)?;
        let value = if is_any { input.arbitrary::<&[u8]>()? } else { input.choose(&HEADER_VALUES)?.as_bytes() };
        request = request.header(name, value);
    }
    let body = match input.int_in_range(0..=7)? {
        0 => Vec::new(),
        1 => input.arbitrary::<&[u8]>()?.to_vec(),
        2 => value(input, words, 4)?.to_string().into_bytes(),
        _ => known(input, words)?.to_string().into_bytes(),
    };
    Ok(request.body(body.into()).ok())
}

/// A path of this pattern, or any.
fn path(input: &mut Unstructured<'_>, words: &Words, pattern: &str) -> Result<String> {
    if input.ratio(1, 32)? {
        return Ok(format!("/{}", input.arbitrary::<&str>()?));
    }
    let mut path = String::new();
    for part in pattern.split('/').skip(1) {
        path.push('/');
        if part.starts_with('{') {
            path.push_str(&encode(&word(input, words)?));
        } else {
            path.push_str(part);
        }
    }
    Ok(path)
}

fn encode(word: &str) -> String {
    utf8_percent_encode(word, NON_ALPHANUMERIC).to_string()
}

fn word(input: &mut Unstructured<'_>, words: &Words) -> Result<String> {
    if input.ratio(1, 8)? {
        return Ok(input.arbitrary::<String>()?);
    }
    Ok(input.choose(&words.words)?.clone())
}

/// A known body, with some of its parts changed.
fn known(input: &mut Unstructured<'_>, words: &Words) -> Result<Value> {
    let text = *input.choose(&BODIES)?;
    let mut body: Value = serde_json::from_str(text).unwrap_or_default();
    for _ in 0..input.int_in_range(0..=3)? {
        change(input, words, &mut body)?;
    }
    Ok(body)
}

/// Puts something else at some place of a body.
fn change(input: &mut Unstructured<'_>, words: &Words, body: &mut Value) -> Result<()> {
    if input.ratio(3, 4)? {
        match body {
            Value::Array(items) if !items.is_empty() => {
                let nth = input.choose_index(items.len())?;
                return change(input, words, &mut items[nth]);
            }
            Value::Object(fields) => {
                let known = fields.len();
                if known > 0 && input.ratio(3, 4)? {
                    let nth = input.choose_index(known)?;
                    let field = fields.values_mut().nth(nth).expect("one of them");
                    return change(input, words, field);
                }
                let name = *input.choose(&FIELDS)?;
                return change(input, words, fields.entry(name).or_insert(Value::Null));
            }
            _ => {}
        }
    }
    *body = value(input, words, 2)?;
    Ok(())
}

fn value(input: &mut Unstructured<'_>, words: &Words, depth: usize) -> Result<Value> {
    Ok(match input.int_in_range(0..=if depth == 0 { 5 } else { 7 })? {
        0 => Value::Null,
        1 => input.arbitrary::<bool>()?.into(),
        2 => input.arbitrary::<i64>()?.into(),
        3 => json!(input.arbitrary::<f64>()?),
        4 | 5 => word(input, words)?.into(),
        6 => {
            let mut items = Vec::new();
            for _ in 0..input.int_in_range(0..=3)? {
                items.push(value(input, words, depth - 1)?);
            }
            items.into()
        }
        _ => {
            let mut fields = Map::new();
            for _ in 0..input.int_in_range(0..=3)? {
                let name = if input.ratio(1, 2)? { (*input.choose(&FIELDS)?).to_owned() } else { word(input, words)? };
                fields.insert(name, value(input, words, depth - 1)?);
            }
            fields.into()
        }
    })
}
