//! Holds docs/cli.md to the program: every command has a section, and its examples are run.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory;

use crate::backend::Backend;

/// Ends the output of an example, before its exit status.
const END: &str = "--the example ends here: ";

/// A command and what it must print.
struct Example {
    line: usize,
    command: String,
    printed: Vec<String>,
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/cli.md")).unwrap()
}

/// The examples of all `console` blocks, in order.
fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in document.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example { line: number + 1, command: command.to_owned(), printed: Vec::new() });
        } else if inside {
            examples.last_mut().unwrap().printed.push(line.to_owned());
        }
    }
    examples
}

/// What one shell prints for each command, standard error with it.
fn run(examples: &[Example], backend: &Backend) -> Vec<String> {
    let mut shell = Command::new("sh")
        .env_clear()
        .env(
            "PATH",
            format!("{}:{}", Path::new(env!("CARGO_BIN_EXE_tollgate")).parent().unwrap().display(), std::env::var("PATH").unwrap()),
        )
        .envs(backend.variables())
        .env("DIR", backend.data.with_file_name("new"))
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let script: String = examples.iter().map(|example| format!("{{ {}\n}} 2>&1 </dev/null\necho '{END}'$?\n", example.command)).collect();
    let mut stdin = shell.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(script.as_bytes()).unwrap());
    let output = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    writing.join().unwrap();
    output.split_inclusive('\n').fold(vec![String::new()], |mut all, line| {
        match line.strip_prefix(END) {
            Some(status) => {
                all.last_mut().unwrap().push_str(if status == "0\n" { "" } else { "it failed" });
                all.push(String::new());
            }
            None => all.last_mut().unwrap().push_str(line),
        }
        all
    })
}

/// Whether text is what a pattern says: `…` stands for any text, a line of only `…` for any lines, spaces for any number of spaces.
fn is_like(text: &str, pattern: &[String]) -> bool {
    let squeezed = |text: &str| {
        text.lines().map(|line| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let pattern = squeezed(&pattern.join("\n"));
    lines_like(&squeezed(text), &pattern)
}

fn lines_like(lines: &[String], pattern: &[String]) -> bool {
    match (lines.split_first(), pattern.split_first()) {
        (_, Some((any, rest))) if any == "…" => (0..=lines.len()).any(|skipped| lines_like(&lines[skipped..], rest)),
        (Some((line, lines)), Some((wanted, pattern))) => line_like(line, wanted) && lines_like(lines, pattern),
        (None, None) => true,
        _ => false,
    }
}

fn line_like(line: &str, wanted: &str) -> bool {
    let Some((before, rest)) = wanted.split_once('…') else { return line == wanted };
    let Some(line) = line.strip_prefix(before) else { return false };
    let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.any(|at| line.get(at..).is_some_and(|line| line_like(line, rest)))
}

#[test]
fn every_example_prints_what_it_says() {
    let backend = Backend::start(&[]);
    let examples = examples(&document());
    let printed = run(&examples, &backend);
    assert_eq!(printed.len(), examples.len() + 1, "{:?}", printed.last());
    let mut wrong = String::new();
    for (example, printed) in examples.iter().zip(&printed) {
        if !is_like(printed, &example.printed) {
            wrong.push_str(&format!(
                "docs/cli.md:{}: {}\nprints:\n{printed}\nsays:\n{}\n\n",
                example.line,
                example.command,
                example.printed.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_command_has_a_section_and_an_example_and_no_other_has() {
    let document = document();
    let sections: BTreeSet<_> = document.lines().filter_map(|line| line.strip_prefix("### tollgate ")).map(str::to_owned).collect();
    let mut commands = BTreeSet::new();
    collect(&tollgate_server::cli::Cli::command(), "", &mut commands);
    assert_eq!(sections, commands);
    for command in commands {
        let section = document.split(&format!("### tollgate {command}\n")).nth(1).unwrap();
        let section = section.split("\n#").next().unwrap();
        assert!(section.contains(&format!("tollgate {command}")), "an example of {command}");
    }
}

fn collect(command: &clap::Command, path: &str, commands: &mut BTreeSet<String>) {
    let below: Vec<_> = command.get_subcommands().filter(|one| one.get_name() != "help").collect();
    for one in &below {
        let path = format!("{path} {}", one.get_name());
        collect(one, path.trim(), commands);
    }
    if below.is_empty() {
        commands.insert(path.to_owned());
    }
}

#[test]
fn likeness_is_told() {
    let like = |text: &str, pattern: &str| is_like(text, &pattern.lines().map(str::to_owned).collect::<Vec<_>>());
    assert!(like("a   b\n", "a b") && like("id: 17\n", "id: …") && like("x 5 y 6\n", "x … y …") && like("", ""));
    assert!(like("a\nb\nc\n", "a\n…\nc") && like("a\nc\n", "a\n…\nc") && like("a\n", "a\n…"));
    assert!(!like("a b\n", "a c") && !like("a\nb\n", "a") && !like("a\n", "a\nb") && !like("id 17\n", "id: …") && !like("it failed", ""));
}
