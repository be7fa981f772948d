//! Owns `tollgate check`: files in, findings and an exit status out. Must not judge a document itself.

mod capabilities;
mod clusters;
mod disabled;
mod envoy;
mod file;
mod finding;
mod issuers;
mod istio;
mod judge;
mod logs;
mod report;
mod tls;
mod traps;
mod tree;
mod variables;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use self::file::Content;
use self::finding::Finding;
use self::judge::{Judge, Size};
use self::variables::Variables;
use super::{UNUSABLE, WRONG};
use crate::settings::{Place, Problem, Settings};

/// Check configurations as the filter will when it loads them.
///
/// A file is a plugin configuration (JSON), or anything an Envoy reads that holds Tollgate's filter: a bootstrap, a listener or
/// other resources, in YAML or JSON; Istio's WasmPlugin and EnvoyFilter too. Or it is the backend's settings (a name that ends in
/// `.toml`). Secrets need not be set where this runs.
/// Exits with 0 if all is well, 1 if there are problems, 2 if a file cannot be read or parsed.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files to check; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Accept secrets written into the configuration: they show in Envoy's configuration dump.
    #[arg(long)]
    dev: bool,
    /// Treat warnings as problems.
    #[arg(long)]
    strict: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of one plugin configuration.
#[derive(Debug)]
struct Checked {
    /// Where it is in its file; empty for a file that is one.
    place: String,
    /// Its size, if it is valid.
    size: Option<Size>,
    findings: Vec<Finding>,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let judge = Judge { dev: arguments.dev };
    let mut report = report::Report::new(arguments.json, arguments.strict);
    for name in &arguments.files {
        let shown = name.display().to_string();
        match file::read(name) {
            Ok(Content::Settings(text)) => report.file(&shown, &[settings(name, &text)])?,
            Ok(Content::Plugin(json)) => report.file(&shown, &[plugin(&json, judge)])?,
            Ok(Content::Trees(trees)) => report.file(&shown, &proxy(&trees, judge))?,
            Err(error) => report.unusable(&shown, &error)?,
        }
    }
    report.end()
}

fn plugin(json: &[u8], judge: Judge) -> Checked {
    let judged = judge.document(json, &Variables::Any);
    Checked { place: String::new(), size: judged.size(), findings: judged.findings }
}

/// The backend's settings.
fn settings(path: &Path, text: &str) -> Checked {
    let finding = |problem: Problem| {
        let place = match problem.place {
            Place::File { line, name, .. } => format!("line {line}: {name}"),
            place @ (Place::Flag(_) | Place::Variable(_) | Place::Default(_)) => place.to_string(),
        };
        Finding::error(place, problem.found, problem.allowed)
    };
    Checked { place: String::new(), size: None, findings: Settings::check(path, text).into_iter().map(finding).collect() }
}

/// A proxy's configuration.
fn proxy(trees: &[Value], judge: Judge) -> Vec<Checked> {
    let several = trees.len() > 1;
    let rooted: Vec<_> =
        trees.iter().enumerate().map(|(position, tree)| (tree, tree::Path::root(several.then_some(position + 1)))).collect();
    let mut checked = Vec::new();
    let mut names = Vec::new();
    for (tree, root) in &rooted {
        let filters = envoy::filters(tree, root);
        checked.extend(filters.iter().map(|filter| filter.check(judge)));
        names.extend(filters.iter().filter_map(envoy::Filter::name));
        checked.extend(istio::plugin(tree, root).map(|plugin| plugin.check(judge)));
    }
    names.sort_unstable();
    names.dedup();
    let findings: Vec<_> = rooted.iter().flat_map(|(tree, root)| disabled::in_resources(tree, root, &names)).collect();
    if !findings.is_empty() {
        checked.push(Checked { place: String::new(), size: None, findings });
    }
    if checked.is_empty() {
        let finding = Finding::error(
            "",
            "no Wasm filter of Tollgate's",
            "a filter whose `name` or `root_id` starts with `tollgate`, or whose module's file name contains it",
        );
        checked.push(Checked { place: String::new(), size: None, findings: vec![finding] });
    }
    checked
}
