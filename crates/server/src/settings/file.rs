//! Owns the settings in `tollgate.toml`. Must not know what they mean.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::layers::{Given, Layer, Place, named};
use super::table::Kind;
use super::{Problem, SettingsError};

/// The file that is read if none is named: in the working directory, if there is one.
const FILE: &str = "tollgate.toml";
/// Far more than all settings need.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The file and its text, if there is one.
pub(super) fn find(named: Option<PathBuf>) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let required = named.is_some();
    let path = named.unwrap_or_else(|| FILE.into());
    match read_bounded(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(None),
        Err(source) => Err(SettingsError::Read { path, source }),
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > LARGEST_FILE { Err(std::io::Error::other("more than a mebibyte")) } else { Ok(text) }
}

pub(super) fn read(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Layer {
    let place = |offset: usize, name: &str| Place::File {
        path: path.to_owned(),
        line: text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1,
        name: name.to_owned(),
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let place = place(error.span().map_or(0, |span| span.start), "document");
            problems.push(Problem { place, found: error.message().to_owned(), allowed: "TOML".to_owned() });
            return Layer::new();
        }
    };
    let mut layer = Layer::new();
    for (key, value) in table {
        let name = key.get_ref().to_string();
        let place = place(key.span().start, &name);
        let Some(setting) = named(&name) else {
            problems.push(Problem { place, found: "no setting".to_owned(), allowed: "the settings of docs/backend.md".to_owned() });
            continue;
        };
        match values(setting.kind, value.get_ref()) {
            Ok(values) => {
                layer.insert(setting.name, Given { place, values });
            }
            Err(allowed) => problems.push(Problem { place, found: found(value.get_ref()).to_owned(), allowed: allowed.to_owned() }),
        }
    }
    layer
}

/// The values in a TOML value of the right type.
fn values(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (kind, value) {
        (Kind::Text, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Kind::Switch, DeValue::Boolean(switch)) => Ok(vec![switch.to_string()]),
        (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => Ok(vec![number.as_str().to_owned()]),
        (Kind::List, DeValue::Array(elements)) => {
            elements.iter().map(|element| element.get_ref().as_str().map(ToOwned::to_owned).ok_or("an array of texts")).collect()
        }
        (Kind::Text, _) => Err("text, in quotes"),
        (Kind::Switch, _) => Err("true or false"),
        (Kind::Number, _) => Err("a whole number"),
        (Kind::List, _) => Err("an array of texts"),
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
