//! Owns how resources are shown to people: lists as tables, one as lines. Must not know where they come from.

use comfy_table::{Table, presets};

use super::times::relative;
use crate::clock::Time;

/// One thing that is shown of a resource.
pub(super) struct Column<T> {
    title: &'static str,
    /// Whether it is a column of lists too.
    listed: bool,
    cell: fn(&T) -> Cell,
}

/// What is shown.
#[derive(Debug)]
pub(super) enum Cell {
    /// Nothing to show.
    Nothing,
    /// Text, from anywhere.
    Text(String),
    /// A time: how long ago in a list, also when by itself.
    Time(Time),
}

// === impl Column ===

impl<T> Column<T> {
    /// Shown in lists too.
    pub(super) const fn listed(title: &'static str, cell: fn(&T) -> Cell) -> Self {
        Self { title, listed: true, cell }
    }

    /// Shown of one alone.
    pub(super) const fn alone(title: &'static str, cell: fn(&T) -> Cell) -> Self {
        Self { title, listed: false, cell }
    }
}

// === impl Cell ===

impl Cell {
    /// A member that may be missing.
    pub(super) fn perhaps(text: Option<&String>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.clone()))
    }

    /// Several words.
    pub(super) fn words(words: &[String]) -> Self {
        if words.is_empty() { Self::Nothing } else { Self::Text(words.join(" ")) }
    }

    fn text(&self, now: Time, alone: bool) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) => plain(text),
            Self::Time(time) if alone => format!("{time} ({})", relative(*time, now)),
            Self::Time(time) => relative(*time, now),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(text.to_owned()) }
    }
}

impl From<Option<Time>> for Cell {
    fn from(time: Option<Time>) -> Self {
        time.map_or(Self::Nothing, Self::Time)
    }
}

/// A table of many, with a line end after each line.
pub(super) fn list<T>(columns: &[Column<T>], items: &[T], now: Time) -> String {
    let columns = || columns.iter().filter(|column| column.listed);
    let mut table = bare();
    table.set_header(columns().map(|column| column.title.to_uppercase()));
    for item in items {
        table.add_row(
            columns().map(|column| Some((column.cell)(item).text(now, false)).filter(|text| !text.is_empty()).unwrap_or("-".to_owned())),
        );
    }
    lines(&table)
}

/// All that is shown of one, a line each, after `first`, a title and a text; what it has nothing of is left out.
pub(super) fn record<T>(first: Option<(&str, &str)>, columns: &[Column<T>], item: &T, now: Time) -> String {
    let mut table = bare();
    if let Some((title, text)) = first {
        table.add_row([format!("{title}:"), plain(text)]);
    }
    for column in columns {
        let text = (column.cell)(item).text(now, true);
        if !text.is_empty() {
            table.add_row([format!("{}:", column.title), text]);
        }
    }
    lines(&table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn lines(table: &Table) -> String {
    // Columns are parted by two spaces; none are left at a line's end.
    table.lines().map(|line| format!("{}\n", line.trim())).collect()
}

/// Text from anywhere as a terminal may have it: one line, no control characters, nothing that turns the direction.
pub(super) fn plain(text: &str) -> String {
    let turns = |one| matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|one| if one.is_control() || turns(one) { one.escape_unicode().to_string() } else { one.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Door {
        name: &'static str,
        opened: Option<Time>,
        keys: &'static [&'static str],
    }

    const COLUMNS: &[Column<Door>] = &[
        Column::listed("name", |door| door.name.into()),
        Column::listed("last opened", |door| door.opened.into()),
        Column::alone("keys", |door| Cell::words(&door.keys.iter().map(ToString::to_string).collect::<Vec<_>>())),
    ];

    fn now() -> Time {
        "2026-01-14T12:00:00Z".parse().unwrap()
    }

    fn doors() -> [Door; 2] {
        let opened = Some(now().before(Duration::from_secs(7_200)));
        [Door { name: "front", opened, keys: &["a", "b"] }, Door { name: "back\u{1b}[2J", opened: None, keys: &[] }]
    }

    #[test]
    fn many_are_a_table_without_escapes_or_trailing_space() {
        assert_eq!(list(COLUMNS, &doors(), now()), "NAME           LAST OPENED\nfront          2 hours ago\nback\\u{1b}[2J  -\n");
        assert_eq!(list(COLUMNS, &[], now()), "NAME  LAST OPENED\n");
    }

    #[test]
    fn one_is_shown_whole_without_what_it_lacks() {
        let [front, back] = doors();
        assert_eq!(
            record(None, COLUMNS, &front, now()),
            "name:         front\nlast opened:  2026-01-14T10:00:00Z (2 hours ago)\nkeys:         a b\n"
        );
        assert_eq!(record(Some(("key", "k")), COLUMNS, &back, now()), "key:   k\nname:  back\\u{1b}[2J\n");
    }
}
