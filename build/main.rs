//! Compiles the one default of the allocator that is not its own, and links it into the program.

#![expect(clippy::print_stdout, reason = "it is how a build script speaks to Cargo")]

use std::env;

fn main() {
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
