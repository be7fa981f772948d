//! Holds `docs/reasons.md` to the reasons there are.
#![cfg(not(target_arch = "wasm32"))]

use tollgate_core::verdict::Reason;

const DOCUMENT: &str = include_str!("../../../docs/reasons.md");

/// The rows of the table, as cells without backticks.
fn rows() -> Vec<Vec<String>> {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn the_table_has_each_reason_once_and_in_order() {
    let documented: Vec<String> = rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, Reason::ALL.map(Reason::code), "docs/reasons.md");
}

#[test]
fn each_row_is_complete_and_its_statuses_go_together() {
    for row in rows() {
        let [code, http, grpc, when, remedy] = row.as_slice() else { panic!("{row:?}") };
        // https://grpc.io/docs/guides/status-codes: the status that says the same as HTTP's.
        let same = match http.as_str() {
            "400" => "3",
            "401" => "16",
            "403" => "7",
            "429" => "8",
            "503" => "14",
            _ => "none",
        };
        assert_eq!(grpc, same, "{code}");
        assert!(when.len() > 10 && remedy.len() > 10, "{code}");
    }
}
