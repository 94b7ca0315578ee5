//! What the compiler does not do by itself: compiles the one default of the allocator that is not its own, and links it into the
//! program; packs the files of the page.

#![expect(clippy::print_stdout, reason = "it is how a build script speaks to Cargo")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The page of `xray dev`.
const PAGE: &str = "src/dev/page";

fn main() {
    set_allocator();
    println!("cargo:rerun-if-changed={PAGE}");
    let out = env::var_os("OUT_DIR").expect("Cargo says where a build script writes");
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
