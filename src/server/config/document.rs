//! Writes the table of keys as the page `docs/configuration.md`.

use std::fmt::Write as _;

use super::keys::{self, Form, Key};

const HEAD: &str = "\
# Configuration

<!-- Made from src/server/config/keys.rs by `cargo run -p matron-server -- config document > docs/configuration.md`. -->

Matron runs with no configuration at all. What should be otherwise stands in one TOML file, named by `--config FILE` or
`MATRON_CONFIG` (where neither names one, it is `/etc/matron/matron.toml`, if that is there; an empty `MATRON_CONFIG` says that
there is none), or in the environment, which wins: the variable is `MATRON_`, then the key in capitals, with `__` for each
dot. Numbers, lists and `true` are written there as in the file, texts without quotes:

```sh
MATRON_SERVER_NAME=example.org
MATRON_REGISTRATION__MODE=open
MATRON_LISTENERS='[{ bind = \"0.0.0.0:8008\" }]'
```

An unknown or wrong key stops the start and is named with its line. `matron config check` finds the same without starting, reads
the certificates of listeners too, and says which file it read; `matron config show` prints what is in force, without secrets. Keys
marked *reload* are taken over on SIGHUP, as are the files of certificates; all others need a new start.

A file that many servers would begin with:

```toml
server_name = \"example.org\"
data_dir = \"/var/lib/matron\"
public_url = \"https://matrix.example.org\"
trusted_proxies = [\"127.0.0.1\"]

[registration]
mode = \"token\"
tokens = [\"welcome-2026\"]
```

## Keys
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for key in keys::all() {
        // Writing to a string cannot fail.
        let _ = entry(&mut page, key);
    }
    page
}

fn entry(page: &mut String, key: &Key) -> std::fmt::Result {
    writeln!(page, "\n### `{}`\n\n{}\n", key.name, key.doc)?;
    match key.default {
        Some(default) => writeln!(page, "- by default: `{default}`")?,
        None if key.name.contains('[') => {}
        None => writeln!(page, "- by default: absent")?,
    }
    writeln!(page, "- for example: `{}`", key.example)?;
    if let Some(variable) = key.variable() {
        let form = if key.form == Form::Text { "" } else { ", as TOML" };
        writeln!(page, "- environment: `{variable}`{form}")?;
    }
    if key.reload {
        writeln!(page, "- *reload*")?;
    }
    Ok(())
}
