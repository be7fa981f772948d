//! `tollgate tiers apply` where the server's side must be in a certain state.

use serde_json::{Value, json};

use crate::command::{Run, tollgate};
use crate::double::{Answer, Double, json as good, problem};

fn limit(rate: u32) -> Value {
    json!({"name": "l", "algorithm": "token_bucket", "rate": rate, "per": "1s", "shadow": false})
}

fn tier(name: &str, rate: u32) -> Value {
    json!({"name": name, "limits": [limit(rate)], "self_service": false, "version": 1,
        "created_at": "2026-01-14T00:00:00Z", "updated_at": "2026-01-14T00:00:00Z"})
}

fn absent() -> Answer {
    problem(404, &json!({"title": "not found"}))
}

fn apply(double: &Double, more: &[&str], file: &Value) -> Run {
    let variables = [("TOLLGATE_URL", double.url.as_str()), ("TOLLGATE_ADMIN_KEY", "tga_0123456789")];
    tollgate(&[&["tiers", "apply", "-"], more].concat(), &variables, file.to_string().as_bytes())
}

fn file() -> Value {
    let bare =
        |name: &str, rate: u32| json!({"name": name, "limits": [{"name": "l", "algorithm": "token_bucket", "rate": rate, "per": "1s"}]});
    json!([bare("same", 1), bare("other", 2), bare("new", 3)])
}

#[test]
fn tiers_are_made_changed_or_left_as_the_file_says() {
    let double = Double::answering(vec![
        good(200, &tier("same", 1)),
        good(200, &tier("other", 1)),
        good(200, &tier("other", 2)),
        absent(),
        good(201, &tier("new", 3)),
    ]);
    let run = apply(&double, &[], &file());
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "unchanged same\nchanged other\ncreated new\n", ""));
    let asked = double.asked();
    let lines: Vec<_> = asked.iter().map(|one| one.line.as_str()).collect();
    let path = |method: &str, name: &str| format!("{method} /api/v1/tiers/{name}");
    assert_eq!(
        lines,
        [path("GET", "same"), path("GET", "other"), path("PUT", "other"), path("GET", "new"), "POST /api/v1/tiers".to_owned()]
    );
    assert_eq!(asked[2].header("if-match"), Some("\"v1\""));
    assert_eq!(serde_json::from_str::<Value>(&asked[2].body).unwrap(), json!({"limits": [limit(2)], "self_service": false}));
    assert!(asked[4].header("idempotency-key").is_some());
}

#[test]
fn self_service_stays_as_it_is_where_the_file_says_nothing_of_it() {
    let open = |open: bool| {
        let mut tier = tier("same", 1);
        tier["self_service"] = json!(open);
        tier
    };
    let mut file = json!([file()[0]]);
    let double = Double::answering(vec![good(200, &open(true))]);
    assert_eq!(apply(&double, &[], &file).out, "unchanged same\n");
    file[0]["self_service"] = json!(false);
    let double = Double::answering(vec![good(200, &open(true)), good(200, &open(false))]);
    assert_eq!(apply(&double, &[], &file).out, "changed same\n");
    assert_eq!(serde_json::from_str::<Value>(&double.asked()[1].body).unwrap()["self_service"], false);
}

#[test]
fn a_dry_run_changes_nothing() {
    let double = Double::answering(vec![good(200, &tier("same", 1)), good(200, &tier("other", 1)), absent()]);
    let run = apply(&double, &["--dry-run", "--json"], &file());
    let done: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        done,
        json!([{"tier": "same", "done": "unchanged"}, {"tier": "other", "done": "changed"}, {"tier": "new", "done": "created"}])
    );
    assert!(double.asked().iter().all(|one| one.line.starts_with("GET ")));
}

#[test]
fn a_change_that_others_made_meanwhile_is_not_overwritten_nor_sent_twice() {
    let double = Double::answering(vec![
        good(200, &tier("same", 1)),
        good(200, &tier("other", 1)),
        problem(412, &json!({"detail": "changed since"})),
    ]);
    let run = apply(&double, &[], &file());
    assert_eq!((run.status, run.out.as_str()), (1, "unchanged same\n"), "what was done before is told");
    assert_eq!(run.err, "error: tier other: changed since (412)\n");

    let double =
        Double::answering(vec![good(200, &tier("same", 1)), good(200, &tier("other", 1)), Answer::Hang, good(200, &tier("other", 2))]);
    let run = apply(&double, &[], &file());
    assert_eq!((run.status, double.asked().len()), (2, 3), "{}", run.err);
}

#[test]
fn nothing_is_asked_where_a_file_is_wrong() {
    let double = Double::answering(vec![good(200, &tier("a", 1))]);
    let run = apply(&double, &[], &json!([{"name": "a"}, {"name": "b", "limits": [{"name": "l"}]}]));
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert!(run.err.starts_with("error: -: [1]: limits[0]"), "{}", run.err);
    assert!(double.asked().is_empty());
}
