//! Writes what is about all APIs: the `ApiKey` enum, and the modules with the list that tests walk.

use std::fmt::Write;

use super::table::Api;

const STRING: &str = "a String takes all text";

/// The enum of all APIs and what the table knows of each.
pub fn api_key(apis: &[Api]) -> String {
    let (mut variants, mut facts, mut all) = (String::new(), String::new(), String::new());
    for api in apis {
        writeln!(variants, "/// {}\n{} = {},", api.doc, api.name, api.key).expect(STRING);
        writeln!(all, "ApiKey::{},", api.name).expect(STRING);
        let flexible = if api.flexible == i16::MAX { "None".into() } else { format!("Some({})", api.flexible) };
        writeln!(
            facts,
            "ApiKey::{0} => Facts {{ name: \"{0}\", versions: ({1}, {2}), advertised: ({3}, {4}), flexible: {flexible} }},",
            api.name, api.versions.min, api.versions.max, api.advertised.min, api.advertised.max
        )
        .expect(STRING);
    }
    format!(
        "//! The APIs of the message table. Made by `cargo xtask codegen`.

        use crate::api_key::Facts;

        /// Which API a request is of. Those that are not here are unknown to this broker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {{\n{variants}}}

        impl ApiKey {{
            /// Every API, by rising number.
            pub const ALL: &[ApiKey] = &[\n{all}];

            #[rustfmt::skip]
            pub(crate) const fn facts(self) -> Facts {{
                match self {{\n{facts}}}
            }}
        }}\n"
    )
}

/// The root of the generated modules.
pub fn modules(apis: &[Api]) -> String {
    let mut names: Vec<String> = apis.iter().map(Api::module).collect();
    names.push("api_key".into());
    names.sort();
    let visibility = |name: &str| if name == "api_key" { "pub(crate)" } else { "pub" };
    let list: String = names.iter().map(|name| format!("{} mod {name};\n", visibility(name))).collect();
    let rows: String =
        apis.iter().map(|api| format!("{0} {1} {0}Request {0}Response,\n", api.name, api.module())).collect();
    format!(
        "//! One module per API. Made by `cargo xtask codegen`.

        {list}

        /// Calls the macro `$each` with one row per API: `Name module NameRequest NameResponse,`. For tests and fuzz
        /// targets, which walk all APIs.
        #[macro_export]
        macro_rules! for_each_api {{
            ($each:ident) => {{
                $each! {{
                    {rows}
                }}
            }};
        }}\n"
    )
}
