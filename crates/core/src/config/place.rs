//! Owns finding where in a document something stands: from a line and a column to the path of the value there. Must not judge values.
//!
//! It is looked for once something is wrong. Following the path while reading would take as much of the module as all the rest of
//! reading does.

/// A step into a value.
enum Step {
    Member(String),
    Element(usize),
}

/// What the walk stands in.
struct Container {
    is_object: bool,
    /// Whether a member's name comes next.
    wants_name: bool,
}

/// The path of the value that a column (bytes from 1, as serde counts them) is in, at the start of, or just after; of a member's name, the
/// member's.
#[must_use]
pub(super) fn path_at(json: &[u8], line: usize, column: usize) -> String {
    let before: usize = json.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let place = before.saturating_add(column);
    let mut path: Vec<Step> = Vec::new();
    let mut containers: Vec<Container> = Vec::new();
    let mut at = 0;
    while at <= place {
        let Some(byte) = json.get(at).copied() else {
            break;
        };
        // A value that is about to start has its path already.
        let starts = at == place;
        match byte {
            b'{' | b'[' if !starts => {
                let is_object = byte == b'{';
                containers.push(Container { is_object, wants_name: is_object });
                if !is_object {
                    path.push(Step::Element(0));
                }
                at += 1;
            }
            b'}' | b']' if !starts => {
                if let Some(closed) = containers.pop()
                    && (!closed.is_object || !closed.wants_name)
                {
                    path.pop();
                }
                at += 1;
                if at == place {
                    break;
                }
            }
            b',' if !starts => {
                match containers.last_mut() {
                    Some(container) if container.is_object => {
                        path.pop();
                        container.wants_name = true;
                    }
                    Some(_) | None => {
                        if let Some(Step::Element(position)) = path.last_mut() {
                            *position += 1;
                        }
                    }
                }
                at += 1;
            }
            b'"' if !starts => {
                let end = end_of_text(json, at);
                if let Some(container) = containers.last_mut().filter(|container| container.wants_name) {
                    container.wants_name = false;
                    let name = json.get(at..end).and_then(|name| serde_json::from_slice(name).ok());
                    path.push(Step::Member(name.unwrap_or_default()));
                }
                at = end;
                if at >= place {
                    break;
                }
            }
            b' ' | b'\n' | b'\r' | b'\t' | b':' if !starts => at += 1,
            _ if starts => break,
            _ => {
                let scalar = |byte: &u8| !b",]} \n\r\t:".contains(byte);
                at += json.get(at..).map_or(1, |rest| rest.iter().take_while(|byte| scalar(byte)).count().max(1));
                if at >= place {
                    break;
                }
            }
        }
    }
    written(&path)
}

/// The end of a text that starts at a quotation mark.
fn end_of_text(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Element(position) => {
                text.push('[');
                text.push_str(&position.to_string());
                text.push(']');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_document_has_the_path_of_what_is_there() {
        let json = br#"{"a": {"b":[1, {"c":"x,]}\""}, [true]]}, "d":2}"#;
        let text = std::str::from_utf8(json).unwrap();
        let at = |part: &str, after: usize| path_at(json, 1, text.find(part).unwrap() + after);
        assert_eq!(path_at(json, 1, 0), "");
        assert_eq!(at("{\"b\"", 0), "a", "about to start");
        assert_eq!(at("\"b\"", 3), "a.b", "after a name");
        assert_eq!(at("1,", 1), "a.b[0]", "after a value");
        assert_eq!(at("\"x", 4), "a.b[1].c", "within a text that looks like something else");
        assert_eq!(at("\"}, [", 2), "a.b[1]", "after what closes");
        assert_eq!(at("true", 4), "a.b[2][0]");
        assert_eq!(at("]}, \"d", 1), "a.b");
        assert_eq!(at("2}", 1), "d");
        assert_eq!(path_at(json, 1, json.len()), "");
    }

    #[test]
    fn lines_and_broken_documents_are_walked_as_far_as_they_go() {
        assert_eq!(path_at(b"{\n  \"a\": [\n    1,\n    x\n", 4, 5), "a[1]");
        assert_eq!(path_at(b"[[[", 1, 3), "[0][0][0]");
        for broken in [&b""[..], b"}", b"]]]", b"\"", b"{\"a", b",,,", b"\\", b"{:", b"\xff"] {
            for (line, column) in [(0, 0), (1, 1), (1, 100), (9, 9)] {
                let _ = path_at(broken, line, column);
            }
        }
    }
}
