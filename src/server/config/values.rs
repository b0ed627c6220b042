//! Values as many keys have them: texts, paths, addresses, numbers, networks. What is wrong with one is noted.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::source::Source;

/// A text, where an empty one is none.
pub fn text(source: &mut Source<'_>, name: &'static str) -> Option<String> {
    source.get::<String>(name).filter(|text| !text.is_empty())
}

/// A path, which is not empty.
pub fn path(source: &mut Source<'_>, name: &'static str) -> Option<PathBuf> {
    let path = source.get::<PathBuf>(name)?;
    if path.as_os_str().is_empty() {
        source.wrong(name, "a path is needed");
        return None;
    }
    Some(path)
}

/// An address on the web, without a slash at its end; none where there is none.
pub fn url(source: &mut Source<'_>, name: &'static str) -> Option<String> {
    let text = text(source, name)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace)) {
        source.wrong(name, "an address that begins with https:// (or http://) is needed");
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// A whole number between two, both included.
pub fn within(source: &mut Source<'_>, name: &'static str, least: u32, most: u32) -> Option<u32> {
    let number = source.get::<i64>(name)?;
    match u32::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Some(number),
        _ => {
            source.wrong(name, format_args!("{number} is not between {least} and {most}"));
            None
        }
    }
}

/// Networks and single addresses.
pub fn networks(source: &mut Source<'_>, name: &'static str, texts: &[String]) -> Vec<IpNet> {
    let parse = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    if let Some(wrong) = texts.iter().find(|text| parse(text).is_none()) {
        source.wrong(name, format_args!("`{wrong}` is no address and no network such as 10.0.0.0/8"));
    }
    texts.iter().filter_map(parse).collect()
}
