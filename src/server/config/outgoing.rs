//! The keys that say whom this server calls, and whom it trusts when it does.

use std::path::PathBuf;

use matron_homeserver::config::Outgoing;
use matron_homeserver::remote::addresses::Addresses;

use super::source::Source;
use super::values::networks;

/// Everything about calls to others.
pub fn read(source: &mut Source<'_>) -> Option<Outgoing> {
    let mut authorities = Vec::new();
    for file in source.get::<Vec<PathBuf>>("extra_ca_files")? {
        match crate::pem::certificates(&file) {
            Ok(certificates) => {
                for certificate in &certificates {
                    source.note("extra_ca_files", certificate);
                }
                authorities.extend(certificates);
            }
            Err(error) => source.wrong("extra_ca_files", error),
        }
    }
    let name = "outgoing.denied_networks";
    let mut denied = source.get::<Vec<String>>(name)?;
    let named = denied.len();
    denied.retain(|text| text != "private");
    let private = if denied.len() < named { Addresses::default().denied } else { Vec::new() };
    let denied: Vec<_> = private.into_iter().chain(networks(source, name, &denied)).collect();
    let name = "outgoing.allowed_networks";
    let allowed = source.get::<Vec<String>>(name)?;
    let allowed = networks(source, name, &allowed);
    let name = "federation.allowed_networks";
    let servers = source.get::<Vec<String>>(name)?;
    let servers =
        Addresses { denied: denied.clone(), allowed: [networks(source, name, &servers), allowed.clone()].concat() };
    Some(Outgoing { authorities, addresses: Addresses { denied, allowed }, servers })
}
