//! Owns a second reading of JSON objects: a member that is there twice is found in the text itself.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The members of an object; `None` if it is none, or if a member is there twice at any depth.
pub(crate) fn object(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) if !repeats(json) => Some(members),
        Ok(_) | Err(_) => None,
    }
}

/// Whether a member is there twice in JSON that is right otherwise.
fn repeats(json: &[u8]) -> bool {
    // Of each object that has begun and not ended.
    let mut names: Vec<HashSet<String>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' => names.push(HashSet::new()),
            b'}' => drop(names.pop()),
            b'"' => {
                while json[at] != b'"' {
                    at += if json[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                // Nothing but a name is followed by a colon.
                let follows = json[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                let text: String = serde_json::from_slice(&json[start..at]).unwrap();
                if follows == Some(&b':') && !names.last_mut().unwrap().insert(text) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}
