//! Owns the settings on the command line: one flag for each row of the table. Must not know what they mean.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::layers::{Given, Layer, Place};
use super::table::{Kind, SETTINGS, Setting};

/// The flags that were given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    config: Option<PathBuf>,
    given: Layer,
}

impl Flags {
    /// Flags as if they had been typed; names as in the table.
    #[must_use]
    pub fn of(given: &[(&'static str, &str)]) -> Self {
        let given = SETTINGS.iter().filter_map(|setting| {
            let (_, text) = given.iter().find(|(name, _)| *name == setting.name)?;
            Some((setting.name, of(setting, text)))
        });
        Self { config: None, given: given.collect() }
    }

    pub(super) fn config(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    pub(super) fn given(&self) -> Layer {
        self.given.clone()
    }
}

fn of(setting: &'static Setting, text: &str) -> Given {
    Given::text(Place::Flag(setting.flag()), setting.kind, text)
}

fn arg(setting: &'static Setting) -> Arg {
    let default = setting.default.filter(|default| !default.is_empty()).map(|default| format!(" Default: {default}.")).unwrap_or_default();
    let arg = Arg::new(setting.name).long(setting.flag()).value_name(setting.value).action(ArgAction::Set).help(format!(
        "{}{default} [env: {}]",
        setting.help,
        setting.variable()
    ));
    match setting.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Text | Kind::Number | Kind::List => arg,
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The file with settings. Default: tollgate.toml in the working directory, if there is one. [env: TOLLGATE_CONFIG]");
        SETTINGS.iter().map(arg).fold(command.arg(config), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.name)?;
            Some((setting.name, of(setting, text)))
        });
        Ok(Self { config: matches.get_one::<PathBuf>("config").cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
