//! `tollgate keys import`: what a file says, in lists; what is wrong with it, by its lines.

use serde_json::{Value, json};

use crate::command::{Run, tollgate};
use crate::double::{Double, json as good, problem};

fn import(double: &Double, more: &[&str], file: &str) -> Run {
    let variables = [("TOLLGATE_URL", double.url.as_str()), ("TOLLGATE_ADMIN_KEY", "tga_0123456789")];
    tollgate(&[&["keys", "import", "-"], more].concat(), &variables, file.as_bytes())
}

fn bodies(double: Double) -> Vec<Value> {
    double.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect()
}

fn taken(imported: u32, known: u32) -> crate::double::Answer {
    good(200, &json!({"imported": imported, "known": known}))
}

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn a_line_of_csv_and_one_of_json_say_the_same() {
    let csv = format!(
        "consumer,sha256,key,label,scopes,roles,expires_at,credits\nacme,{HASH},,ci,read write,,2027-01-31,50\n,,an-old-key-of-20-letters,,,,,\n"
    );
    let expected = json!({"keys": [
        {"consumer": "acme", "label": "ci", "scopes": ["read", "write"], "expires_at": "2027-01-31T00:00:00Z", "credits": 50, "import": {"sha256": HASH}},
        {"consumer": "other", "label": "", "scopes": [], "import": {"key": "an-old-key-of-20-letters"}},
    ]});
    let double = Double::answering(vec![taken(2, 0)]);
    let run = import(&double, &["--consumer", "other"], &csv);
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "imported 2, there already 0\n", ""));
    assert_eq!(bodies(double), std::slice::from_ref(&expected));
    let lines: String = expected["keys"].as_array().unwrap().iter().map(|key| format!("{key}\n\n")).collect();
    let double = Double::answering(vec![taken(1, 1)]);
    let run = import(&double, &["--format", "jsonl", "--json"], &lines);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), json!({"imported": 1, "known": 1}), "{}", run.err);
    assert_eq!(bodies(double), [expected]);
}

#[test]
fn a_long_file_goes_in_lists_that_the_server_reads() {
    let file: String =
        std::iter::once("consumer,key\n".to_owned()).chain((0..1_201).map(|key| format!("acme,a-key-of-elsewhere-{key:05}\n"))).collect();
    let double = Double::answering((0..3).map(|_| taken(400, 0)).collect());
    let run = import(&double, &[], &file);
    assert_eq!((run.status, run.out.as_str()), (0, "imported 1200, there already 0\n"), "{}", run.err);
    let lists = bodies(double);
    assert!(lists.iter().all(|list| list.to_string().len() <= 64 * 1024));
    let keys: Vec<&Value> = lists.iter().flat_map(|list| list["keys"].as_array().unwrap()).collect();
    assert_eq!((keys.len(), keys[1_200]["import"]["key"].as_str()), (1_201, Some("a-key-of-elsewhere-01200")));
}

#[test]
fn what_is_wrong_is_said_of_the_line_it_is_in() {
    for (file, more, said) in [
        ("consumer,key\nacme\n", &[][..], "-: line 2: 1 fields; the first line names 2 columns"),
        ("consumer,secret\nacme,x\n", &[], "-: line 2: unknown field `secret`"),
        ("consumer,sha256\nacme,9f86\n", &[], "-: line 2: sha256: allowed: 64 hexadecimal digits, or base64 of 32 bytes"),
        ("consumer,label\nacme,x\n", &[], "-: line 2: `sha256` or `key` is needed"),
        ("key\nan-old-key-of-20-letters\n", &[], "-: line 2: `consumer` is needed"),
        ("consumer,key,credits\nacme,an-old-key-of-20-letters,many\n", &[], "-: line 2: credits: allowed: a whole number"),
        ("consumer,key,expires_at\nacme,an-old-key-of-20-letters,soon\n", &[], "-: line 2: expires_at: allowed: a time such as"),
        ("{\"consumer\": \"acme\"}\n{\"consumer\": 5}\n", &["--format", "jsonl"], "-: line 2: consumer: invalid type"),
        ("{\n", &["--format", "jsonl"], "-: line 1: not JSON"),
    ] {
        let double = Double::answering(vec![taken(0, 0)]);
        let run = import(&double, more, file);
        assert!(run.err.contains(said) && run.status == 1, "{said}: {} {}", run.status, run.err);
        assert!(double.asked().is_empty(), "{said}");
    }
}

#[test]
fn what_the_server_refuses_is_said_of_its_lines_and_what_was_taken_before_it() {
    let file: String =
        std::iter::once("consumer,key\n".to_owned()).chain((0..501).map(|key| format!("acme,a-key-of-elsewhere-{key:05}\n"))).collect();
    let refused =
        json!({"title": "Bad Request", "errors": [{"field": "keys[0].import.key", "reason": "it has the form of keys issued here"}]});
    let double = Double::answering(vec![taken(499, 1), problem(400, &refused)]);
    let run = import(&double, &[], &file);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    let said = "499 keys were imported, 1 were there already; run it again once the file is mended\nerror: -: \n  line 502: import.key: it has the form of keys issued here\n";
    assert_eq!(run.err, said);
}
