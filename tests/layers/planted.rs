//! Small projects with something wrong in them: what the rules find there, and what they leave alone.

use super::rules;
use super::tree::{Texts, Tree};

fn texts(files: &[(&str, &str)]) -> Texts {
    files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect()
}

/// A library of these rooms, each a folder whose `mod.rs` is given.
fn rooms(rooms: &[(&str, &str)]) -> Tree {
    let root: String = rooms.iter().map(|(room, _)| format!("mod {room};\n")).collect();
    let mut files = texts(&[("src/lib.rs", &root)]);
    for (room, text) in rooms {
        files.insert(format!("src/{room}/mod.rs"), (*text).to_owned());
    }
    Tree::of(&files)
}

/// A room `net` with these files below its `mod.rs`, which is the first.
fn net(files: &[(&str, &str)]) -> Tree {
    let mut texts = texts(&[("src/lib.rs", "mod net;")]);
    for (file, text) in files {
        texts.insert(format!("src/net/{file}.rs"), (*text).to_owned());
    }
    Tree::of(&texts)
}

#[test]
fn an_import_that_runs_up_is_found_with_its_file_and_line() {
    let tree = rooms(&[
        ("config", "\n\nuse crate::net::listen;"),
        ("net", "use crate::config::Config; pub fn listen() {}"),
    ]);
    assert_eq!(
        rules::upward(&tree),
        ["src/config/mod.rs:3: config may not import net: `crate::net::listen`"]
    );
}

#[test]
fn rooms_of_one_row_may_not_import_each_other() {
    let tree = rooms(&[
        ("receivers", "use crate::aws::Region;"),
        ("aws", "pub struct Region;"),
    ]);
    assert_eq!(
        rules::upward(&tree),
        ["src/receivers/mod.rs:1: receivers may not import aws: `crate::aws::Region`"]
    );
}

#[test]
fn an_import_runs_up_however_it_is_written() {
    for text in [
        "use crate::net::listen;",
        "use crate::net::*;",
        "use crate::net;",
        "use crate::{ledger, net::{self, listen}};",
        "use crate::net::listen as heard;",
        "use super::net::listen;",
        "use crate as all; use all::net::listen;",
        "pub use crate::net::listen;",
        "fn f() { crate::net::listen() }",
        "fn f() { use crate::{ledger, net::listen}; listen() }",
        "fn f() -> Vec<crate::net::Port> { Vec::new() }",
        "fn f() { println!(\"{}\", crate::net::listen()) }",
        "macro_rules! m { () => { $crate::net::listen() } }",
        "impl crate::net::Listen for () {}",
        "mod inner { use super::super::net::listen; }",
        "#[cfg(test)] mod tests { use crate::net::listen; }",
    ] {
        let tree = rooms(&[("logs", text), ("net", "pub fn listen() {}"), ("ledger", "")]);
        let found = rules::upward(&tree);
        assert!(!found.is_empty(), "{text}");
        for found in found {
            assert!(
                found.starts_with("src/logs/mod.rs:1: logs may not import net: `"),
                "{text}: {found}"
            );
        }
    }
}

#[test]
fn an_import_runs_up_through_a_re_export_below() {
    let tree = rooms(&[
        ("pipeline", "use crate::config::Sent;"),
        ("config", "pub use crate::exporters::Sent;"),
        ("exporters", "pub struct Sent;"),
    ]);
    assert_eq!(
        rules::upward(&tree),
        [
            "src/config/mod.rs:1: config may not import exporters: `crate::exporters::Sent`",
            "src/pipeline/mod.rs:1: pipeline may not import exporters: `crate::config::Sent`",
        ]
    );
}

#[test]
fn what_a_room_has_from_elsewhere_is_still_its_own_to_give() {
    let tree = rooms(&[("config", "use crate::net::Uri;"), ("net", "pub use http::Uri;")]);
    assert_eq!(
        rules::upward(&tree),
        ["src/config/mod.rs:1: config may not import net: `crate::net::Uri`"]
    );
}

#[test]
fn links_in_comments_and_names_of_others_are_no_imports() {
    for text in [
        "/// See [`listen`](crate::net::listen).\npub struct Config;",
        "//! As [`crate::net::listen`] does.",
        "// crate::net::listen",
        "const TEXT: &str = \"crate::net::listen\";",
        // Another crate of that name, in a module that has no child of it.
        "mod inner { use net::listen; }",
        "pub(crate) struct Config;",
        "use std::net::TcpListener;",
    ] {
        let tree = rooms(&[("config", text), ("net", "pub fn listen() {}")]);
        assert!(rules::upward(&tree).is_empty(), "{text}");
    }
}

#[test]
fn the_program_and_the_tests_may_import_all_and_crates_nothing_of_the_program() {
    let files = texts(&[
        ("src/lib.rs", "pub mod daemon; pub mod config;"),
        ("src/daemon/mod.rs", "use xray_document::check;"),
        ("src/config/mod.rs", ""),
        ("src/main.rs", "use xray::daemon; use xray::config::Config;"),
        (
            "tests/whole.rs",
            "use xray::daemon::run; use xray_document::check;",
        ),
        (
            "crates/xray-document/src/lib.rs",
            "mod check; use xray::config::Config;",
        ),
        ("crates/xray-document/src/check.rs", ""),
    ]);
    assert_eq!(
        rules::upward(&Tree::of(&files)),
        ["crates/xray-document/src/lib.rs:1: crates may not import config: `xray::config::Config`"]
    );
}

#[test]
fn a_room_that_the_order_does_not_name_is_found() {
    let files = texts(&[("src/lib.rs", "mod util;"), ("src/util.rs", "")]);
    assert_eq!(
        rules::unknown_rooms(&files),
        ["src/util: no room of that name is in the order"]
    );
}

#[test]
fn a_file_that_no_mod_reaches_is_found() {
    let files = texts(&[
        ("src/lib.rs", "mod net; mod config { mod text; }"),
        ("src/net/mod.rs", "mod client; #[cfg(test)] mod tests;"),
        (
            "src/net/client.rs",
            "#[path = \"../odd/place.rs\"] mod elsewhere;",
        ),
        ("src/net/tests.rs", ""),
        ("src/net/rate_limit.rs", ""),
        ("src/odd/place.rs", ""),
        ("src/config/text.rs", ""),
        ("src/config/url.rs", ""),
        ("crates/xray-double/src/lib.rs", "mod server;"),
        ("crates/xray-double/src/server/mod.rs", ""),
        ("crates/xray-double/src/faults.rs", ""),
        ("tests/dev/main.rs", "mod http;"),
        ("tests/dev/http.rs", ""),
        ("tests/dev/web.rs", ""),
    ]);
    assert_eq!(
        rules::unreached(&files, &Tree::of(&files)),
        [
            "crates/xray-double/src/faults.rs: no `mod` reaches it",
            "src/config/url.rs: no `mod` reaches it",
            "src/net/rate_limit.rs: no `mod` reaches it",
            "tests/dev/web.rs: no `mod` reaches it",
        ]
    );
}

#[test]
fn two_files_that_need_each_other_are_found() {
    let both = [
        "src/net/client.rs:1: needs src/net/server.rs, which needs it in turn",
        "src/net/server.rs:2: needs src/net/client.rs, which needs it in turn",
    ];
    for client in [
        "use super::server::serve; pub fn call() {}",
        "use crate::net::server::serve; pub fn call() {}",
        // Through what the folder's `mod.rs` re-exports, or has a name for.
        "use super::serve; pub fn call() {}",
        "use super::served; pub fn call() {}",
        "pub fn call() { super::serve() }",
        "use super::server; pub fn call() { server::serve() }",
        "use super::*; pub fn call() { server::serve() }",
    ] {
        let tree = net(&[
            (
                "mod",
                "mod client; mod server; pub use server::serve; use self::server::serve as served;",
            ),
            ("client", client),
            ("server", "\nuse super::client::call; pub fn serve() {}"),
        ]);
        assert_eq!(rules::circles(&tree), both, "{client}");
    }
}

#[test]
fn three_files_in_a_circle_are_found_and_those_beside_it_are_not() {
    let tree = net(&[
        ("mod", "mod a; mod b; mod c; mod above; mod below;"),
        ("a", "use super::b::B; pub struct A;"),
        ("b", "use super::c::C; pub struct B;"),
        ("c", "use super::{a::A, below::Below}; pub struct C;"),
        ("above", "use super::a::A;"),
        ("below", "pub struct Below;"),
    ]);
    assert_eq!(
        rules::circles(&tree),
        [
            "src/net/a.rs:1: needs src/net/b.rs, which needs it in turn",
            "src/net/b.rs:1: needs src/net/c.rs, which needs it in turn",
            "src/net/c.rs:1: needs src/net/a.rs, which needs it in turn",
        ]
    );
}

#[test]
fn files_of_two_rooms_that_need_each_other_are_found() {
    let tree = rooms(&[
        ("config", "use crate::net::listen; pub struct Config;"),
        ("net", "use crate::config::Config; pub fn listen() {}"),
    ]);
    assert_eq!(rules::circles(&tree).len(), 2);
}

#[test]
fn what_a_mod_rs_defines_is_there_for_its_files_and_tests_close_no_circle() {
    let tree = net(&[
        (
            "mod",
            "mod client; mod server; pub struct Error; pub fn both() { client::call(); server::serve() }",
        ),
        ("client", "use super::Error; pub fn call() { super::both() }"),
        (
            "server",
            "use super::client::call; pub fn serve() {}
             #[cfg(test)] mod tests { use super::*; }",
        ),
    ]);
    assert_eq!(rules::circles(&tree), Vec::<String>::new());
    let tree = net(&[
        ("mod", "mod client; mod server;"),
        (
            "client",
            "#[cfg(test)] mod tests { use super::super::server::serve; } pub fn call() {}",
        ),
        ("server", "use super::client::call; pub fn serve() {}"),
    ]);
    assert_eq!(rules::circles(&tree), Vec::<String>::new());
}
