//! Owns the trapping variant of the module that ships: the same code, but a request trailer stops the virtual machine.
//!
//! It must not change anything else, so that what a case sees after the trap is what the shipped module does after one.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection, Module, TypeSection, ValType};
use wasmparser::{CodeSectionReader, Export, FunctionSectionReader, ImportSectionReader, Parser, TypeRef, TypeSectionReader};

use crate::gate::{fresh_directory, module};

/// The callback that traps: context and number of trailers in, an action out. Only HTTP/2 requests have trailers here.
const CALLBACK: &str = "proxy_on_request_trailers";

/// Adds the callback: its type, its function, its export and its code go last, so that nothing else is renumbered.
#[derive(Debug, Default)]
struct Trapping {
    type_index: u32,
    function_index: u32,
    exported: bool,
}

/// The trapping variant's path; it is written once, beside the gates' files.
///
/// # Panics
/// When there is no module, or it cannot be read as one.
#[must_use]
pub fn trapping_module() -> PathBuf {
    static WRITTEN: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = fresh_directory("trapping-module").join("tollgate.wasm");
        std::fs::write(&path, trapping(&module())).expect("the trapping module");
        path
    });
    WRITTEN.clone()
}

fn trapping(shipped: &Path) -> Vec<u8> {
    let shipped = std::fs::read(shipped).expect("the module that ships");
    let mut module = Module::new();
    let result = Trapping::default().parse_core_module(&mut module, Parser::new(0), &shipped);
    result.expect("a WebAssembly module");
    module.finish()
}

// === impl Trapping ===

impl Reencode for Trapping {
    type Error = Infallible;

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        self.type_index = types.len();
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(&mut self, imports: &mut ImportSection, section: ImportSectionReader<'_>) -> Result<(), Error> {
        for import in section.clone().into_imports() {
            self.function_index += u32::from(matches!(import?.ty, TypeRef::Func(_)));
        }
        utils::parse_import_section(self, imports, section)
    }

    fn parse_function_section(&mut self, functions: &mut FunctionSection, section: FunctionSectionReader<'_>) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        self.function_index += functions.len();
        functions.function(self.type_index);
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error> {
        if !self.exported {
            self.exported = true;
            exports.export(CALLBACK, ExportKind::Func, self.function_index);
        }
        // A module that has the callback loses it to ours: two exports of one name are invalid.
        if export.name == CALLBACK {
            return Ok(());
        }
        utils::parse_export(self, exports, export)
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        let mut trap = Function::new([]);
        trap.instructions().unreachable().end();
        code.function(&trap);
        Ok(())
    }
}
