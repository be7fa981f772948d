//! Owns which of the values given for a setting wins. Must not know what a value means.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::table::{Kind, Setting};
use super::{Problem, SETTINGS};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// As a flag.
    Flag(String),
    /// In the environment.
    Variable(String),
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting's name, or what stands in its place.
        name: String,
    },
    /// Nowhere: the default, or nothing at all.
    Default(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(formatter, "--{flag}"),
            Self::Variable(variable) => formatter.write_str(variable),
            Self::File { path, line, name } => write!(formatter, "{}:{line}: {name}", path.display()),
            Self::Default(name) => formatter.write_str(name),
        }
    }
}

/// A value and where it was given. Values of lists are split, all others are one.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where.
    pub place: Place,
    /// What.
    pub values: Vec<String>,
}

impl Given {
    /// A value written as text; the elements of a list are separated by commas.
    #[must_use]
    pub fn text(place: Place, kind: Kind, text: &str) -> Self {
        let values = match kind {
            Kind::List => text.split(',').map(str::trim).filter(|element| !element.is_empty()).map(ToOwned::to_owned).collect(),
            Kind::Text | Kind::Switch | Kind::Number => vec![text.to_owned()],
        };
        Self { place, values }
    }
}

/// Values by the name of their setting.
pub(super) type Layer = BTreeMap<&'static str, Given>;

/// What was given on all layers; a later layer wins.
#[derive(Debug, Default)]
pub struct Layers {
    given: Layer,
    /// What was found wrong while reading them.
    pub problems: Vec<Problem>,
}

impl Layers {
    /// Puts a layer over those there are.
    pub(super) fn add(&mut self, layer: Layer) {
        self.given.extend(layer);
    }

    /// What holds for a setting: what was given, or the default.
    #[must_use]
    pub fn get(&self, setting: &'static Setting) -> Option<Given> {
        let default = || setting.default.map(|text| Given::text(Place::Default(setting.name), setting.kind, text));
        self.given.get(setting.name).cloned().or_else(default)
    }

    /// Where a setting was given; its name alone if it was not.
    #[must_use]
    pub fn place(&self, name: &'static str) -> Place {
        self.given.get(name).map_or(Place::Default(name), |given| given.place.clone())
    }
}

/// The setting of this name.
pub(super) fn named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
