//! The tables as the seeds of the fuzz targets of the same kind; see `fuzz/README.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use xray::exporters::xray::encoding::Segments;
use xray::pipeline::batch::OpenBatch;
use xray_double::harness::datagrams;

use crate::{command_line, config_file, otlp};

/// The variable that names the directory with one directory of inputs for each target.
const DIRECTORY: &str = "XRAY_FUZZ_CORPUS";

/// Longer inputs than the targets are run with are not read.
const MAX_BYTES: usize = 8 << 10;

struct Corpus(PathBuf);

impl Corpus {
    fn of(target: &str, root: &Path) -> Self {
        let directory = root.join(target);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn add(&self, name: &str, input: &[u8]) {
        if input.len() <= MAX_BYTES {
            fs::write(self.0.join(format!("table-{name}")), input).unwrap();
        }
    }
}

#[test]
#[ignore = "writes files, for fuzz/run"]
fn the_tables_are_written_as_seeds() {
    let root = std::env::var_os(DIRECTORY).unwrap_or_else(|| panic!("{DIRECTORY} is not set"));
    let root = Path::new(&root);
    let (header, body) = (Corpus::of("datagram", root), Corpus::of("body", root));
    for (name, datagram, expected) in datagrams::rows() {
        header.add(&name, &datagram);
        if let Ok(document) = expected {
            body.add(&name, &document);
            let batch = OpenBatch::<Segments>::of_one(&document, Instant::now()).unwrap();
            body.add(&format!("{name}-sealed"), &batch.body);
        }
    }
    let flags = Corpus::of("flags", root);
    let config = Corpus::of("config", root);
    for row in command_line::rows()
        .chain(config_file::rows())
        .chain(otlp::rows())
    {
        flags.add(row.name, row.args.join("\0").as_bytes());
        for (n, (_, text)) in row.files.iter().enumerate() {
            config.add(&format!("{}-{n}", row.name), text.as_bytes());
        }
    }
}
