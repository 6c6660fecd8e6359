//! Builds what Rust gives to `@arqon/bus`: the WebAssembly module with its glue, and the TypeScript types of the wire.

mod types;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "\
usage: arqonbus-js-build wasm <in.wasm> <out-directory>   writes the module and its glue
       arqonbus-js-build types <schema.json> <out.ts>     writes the types of the wire
       arqonbus-js-build types --check <schema.json> <out.ts>";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["wasm", module, directory] => bind(module, Path::new(directory)),
        ["types", schema, file] => types_of(schema).and_then(|text| fs::write(file, text).map_err(|error| format!("cannot write {file}: {error}"))),
        ["types", "--check", schema, file] => types_of(schema).and_then(|text| check(&text, file)),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the errors of a tool")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Writes `arqonbus.js`, `arqonbus.d.ts` and `arqonbus_bg.wasm`.
fn bind(module: &str, directory: &Path) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    let web = bindgen.input_path(module).web(true).map_err(|error| format!("{error:#}"))?;
    web.omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name("arqonbus")
        .generate(directory)
        .map_err(|error| format!("{error:#}"))?;
    let glue = directory.join("arqonbus.js");
    let text = fs::read_to_string(&glue).map_err(|error| format!("cannot read {}: {error}", glue.display()))?;
    fs::write(&glue, faster_texts(&text)?).map_err(|error| format!("cannot write {}: {error}", glue.display()))
}

/// The glue copies a text char by char up to its first that is not ASCII. Long ones go through the platform's encoder at once, which
/// takes a third of the time.
fn faster_texts(glue: &str) -> Result<String, String> {
    const START: &str = "    let offset = 0;\n";
    const FASTER: &str = "    let offset = 0;
    if (len > 64 && cachedTextEncoder.encodeInto(arg, mem.subarray(ptr, ptr + len)).read === len) offset = len;
";
    match glue.matches(START).count() {
        1 => Ok(glue.replace(START, FASTER)),
        found => Err(format!("the glue of wasm-bindgen is not as expected: {found} places where a text is copied")),
    }
}

fn types_of(schema: &str) -> Result<String, String> {
    let text = fs::read_to_string(schema).map_err(|error| format!("cannot read {schema}: {error}"))?;
    types::render(&serde_json::from_str(&text).map_err(|error| format!("{schema}: {error}"))?)
}

fn check(text: &str, file: &str) -> Result<(), String> {
    let fresh = fs::read_to_string(file).ok().as_deref() == Some(text);
    if fresh { Ok(()) } else { Err(format!("{file} is stale; run `sdk-js/run-tests types`")) }
}
