//! What the compiler does not do by itself: compiles the one default of the allocator that is not its own, and links it into the
//! program; packs the files of the page; has the linker lay together what runs, where it can.

#![expect(clippy::print_stdout, reason = "it is how a build script speaks to Cargo")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The page of `xray dev`.
const PAGE: &str = "src/dev/page";

fn main() {
    let out = env::var_os("OUT_DIR").expect("Cargo says where a build script writes");
    set_allocator();
    lay_together(Path::new(&out));
    println!("cargo:rerun-if-changed={PAGE}");
    for directory in ["", "vendor"] {
        pack(
            &Path::new(PAGE).join(directory),
            &Path::new(&out).join("page").join(directory),
        );
    }
}

/// Writes each file of `from` that browsers load to `to`, gzipped, with `.gz` behind its name.
fn pack(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for what is packed");
    let entries = fs::read_dir(from).expect("the directory of the page");
    for entry in entries {
        let path = entry.expect("a file of the page").path();
        let is_loaded = path
            .extension()
            .is_some_and(|end| ["js", "css", "svg"].iter().any(|loaded| end == *loaded));
        if !is_loaded {
            continue;
        }
        let bytes = fs::read(&path).expect("a file of the page");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes).expect("memory takes all");
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let name: PathBuf = to.join(format!("{name}.gz"));
        fs::write(name, packed.finish().expect("memory takes all")).expect("room for what is packed");
    }
}

/// Has a release for Linux linked in the order of `packaging/start.ld`: docs/adr/0021-what-runs-lies-together.md.
///
/// The linker is whatever the machine has, called by a C compiler or not, and not each one takes such a script: a small program
/// is linked first.
fn lay_together(out: &Path) {
    let order = Path::new("packaging/start.ld");
    println!("cargo:rerun-if-changed={}", order.display());
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|said| said == value);
    let is_for_it = is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux");
    let Some(order) = order.canonicalize().ok().filter(|_| is_for_it) else {
        return;
    };
    let arguments = ["-Wl,", ""].map(|to_linker| format!("{to_linker}--script={}", order.display()));
    if let Some(argument) = arguments.iter().find(|argument| lld_links(out, argument)) {
        println!("cargo:rustc-link-arg-bin=xray={argument}");
    }
}

/// Whether a program is linked with `argument`, and by lld: another one may take a script for the whole layout.
fn lld_links(out: &Path, argument: &str) -> bool {
    let (source, program) = (out.join("linked.rs"), out.join("linked"));
    fs::write(&source, "fn main() {}").expect("room for a line");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let target = env::var_os("TARGET").expect("Cargo says what it builds for");
    let mut rustc = Command::new(env::var_os("RUSTC").expect("Cargo says which compiler it is"));
    rustc
        .args(flags.split('\x1f').filter(|flag| !flag.is_empty()))
        .args(["-C", &format!("link-arg={argument}"), "--target"])
        .arg(target)
        .arg("-o")
        .arg(&program)
        .arg(&source);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let is_linked = rustc.output().is_ok_and(|output| output.status.success());
    is_linked
        && fs::read(&program).is_ok_and(|program| program.windows(12).any(|text| text == b"Linker: LLD "))
}

/// Compiles the default, and links it.
fn set_allocator() {
    println!("cargo:rerun-if-changed=build/allocator.c");
    // Microsoft's compiler has another word for what runs before `main`; there mimalloc's own default stays.
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("msvc") {
        return;
    }
    let headers =
        env::var_os("DEP_MIMALLOC_INCLUDE_DIR").expect("libmimalloc-sys says where its headers are");
    let objects = cc::Build::new()
        .file("build/allocator.c")
        .include(headers)
        .compile_intermediates();
    // As an object, and not in a library: nothing in the program asks for it by name.
    for object in objects {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
}
