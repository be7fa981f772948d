//! Owns which functions a capability restriction must leave to the filter. Must not judge what else a plugin's configuration says.

use serde_json::Value;

use super::finding::Finding;
use super::tree::{Path, descend};

/// The callbacks Envoy makes and the functions it offers, as far as the module exports and imports them. A test holds this to the
/// module's source. Memory allocation and initialisation are missing: Envoy does not restrict those.
const USED: [&str; 36] = [
    // Callbacks.
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_delete",
    // Functions of proxy-wasm.
    "proxy_log",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_add_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_get_buffer_bytes",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_get_shared_data",
    "proxy_set_shared_data",
    "proxy_send_local_response",
    "proxy_continue_stream",
    "proxy_set_effective_context",
    "proxy_http_call",
    "proxy_call_foreign_function",
    "proxy_set_tick_period_milliseconds",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_get_current_time_nanoseconds",
    // Functions of WASI; the last four are used by Rust's standard library.
    "clock_time_get",
    "random_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
];

/// What a `PluginConfig` keeps from the filter, or its `VmConfig`, which has the field since Envoy deprecates the former.
pub(super) fn of_plugin(config: &Value, path: &Path) -> Vec<Finding> {
    let vm = descend(config, &["vm_config"]).map(|vm| (vm, path.member("vm_config")));
    [Some((config, path.clone())), vm].into_iter().flatten().filter_map(|(node, path)| restriction(node, &path)).collect()
}

fn restriction(node: &Value, path: &Path) -> Option<Finding> {
    const NAMES: [&str; 2] = ["capability_restriction_config", "allowed_capabilities"];
    // An empty map allows everything.
    let allowed = descend(node, &NAMES)?.as_object().filter(|allowed| !allowed.is_empty())?;
    let missing: Vec<String> = USED.iter().filter(|name| !allowed.contains_key(**name)).map(|name| format!("`{name}`")).collect();
    (!missing.is_empty()).then(|| {
        Finding::error(
            NAMES.iter().fold(path.clone(), |path, name| path.member(name)),
            format!("no {}: the filter uses them, and without some of them every request passes", missing.join(", ")),
            "all that the filter uses, or no restriction",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::USED;

    fn read(name: &str) -> Option<Vec<u8>> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).ok()
    }

    /// The names of the functions a source file declares at `marker`.
    fn declared(name: &str, marker: &str) -> BTreeSet<String> {
        let source = String::from_utf8(read(name).unwrap()).unwrap();
        source.lines().filter_map(|line| Some(line.trim().strip_prefix(marker)?.split_once('(')?.0.to_owned())).collect()
    }

    #[test]
    fn the_list_is_what_the_modules_source_exports_and_imports() {
        const UNRESTRICTED: [&str; 3] = ["_initialize", "proxy_abi_version_0_2_1", "proxy_on_memory_allocate"];
        const OF_THE_STANDARD_LIBRARY: [&str; 4] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit"];
        let mut source = declared("src/host/abi/exports.rs", r#"extern "C" fn "#);
        assert!(UNRESTRICTED.iter().all(|name| source.remove(*name)));
        source.extend(declared("src/host/abi/imports.rs", "pub(super) fn "));
        source.extend(OF_THE_STANDARD_LIBRARY.map(str::to_owned));
        assert_eq!(USED.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(), source);
    }

    /// A number in LEB128 and what follows it.
    fn number(bytes: &[u8]) -> (usize, &[u8]) {
        let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
        (value, &bytes[end + 1..])
    }

    fn text(bytes: &[u8]) -> (&str, &[u8]) {
        let (length, bytes) = number(bytes);
        (std::str::from_utf8(&bytes[..length]).unwrap(), &bytes[length..])
    }

    /// The names of the functions that a module imports: section 2 of the binary format.
    fn imports(module: &[u8]) -> BTreeSet<&str> {
        let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0").unwrap();
        while let Some((id, section)) = rest.split_first() {
            let (length, section) = number(section);
            if *id == 2 {
                let (count, mut section) = number(section);
                return (0..count)
                    .map(|_| {
                        let (name, kind) = text(text(section).1);
                        assert_eq!(kind[0], 0, "{name} is no function");
                        section = number(&kind[1..]).1;
                        name
                    })
                    .collect();
            }
            rest = &section[length..];
        }
        BTreeSet::new()
    }

    #[test]
    fn the_built_module_imports_nothing_else() {
        let Some(module) = read("dist/tollgate.wasm") else {
            return;
        };
        let imports = imports(&module);
        assert!(imports.contains("proxy_send_local_response"), "{imports:?}");
        let unknown: Vec<_> = imports.iter().filter(|name| !USED.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
