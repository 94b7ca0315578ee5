//! The page's files, in the binary. What the page asks of the port is in `console`.

use std::io::Read as _;

use flate2::read::GzDecoder;

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asset {
    /// With the character set.
    pub content_type: &'static str,
    /// As the build script packed it: a third of its length, in a program whose image is to be small.
    packed: &'static [u8],
}

impl Asset {
    /// As served. Unpacked for each who asks: some fifty files of a few kilobytes, once for each time that the page is loaded,
    /// and nobody has to be asked what he can unpack.
    #[must_use]
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        GzDecoder::new(self.packed)
            .read_to_end(&mut body)
            .expect("what the build script packed can be unpacked");
        body
    }
}

/// Headers of every file: nothing from elsewhere is loaded, asked or shown, no text becomes markup, and nothing may show
/// the page in a frame.
pub(crate) const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri \
         'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    // The files change with the binary, and nothing in their addresses tells.
    ("cache-control", "no-cache"),
];

/// The type of [`INDEX`].
pub(crate) const HTML: &str = "text/html; charset=utf-8";

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// The page itself, at `/`, with `{{key}}` for the key of the run.
pub(crate) const INDEX: &str = include_str!("index.html");

macro_rules! assets {
    ($($content_type:ident $name:literal),* $(,)?) => {
        /// What the page loads, by the path below `/assets/`.
        const ASSETS: &[(&str, Asset)] = &[$(($name, Asset {
            content_type: $content_type,
            packed: include_bytes!(concat!(env!("OUT_DIR"), "/page/", $name, ".gz")),
        })),*];
    };
}

assets! {
    SCRIPT "analysis.js",
    SCRIPT "api.js",
    SCRIPT "bars.js",
    CSS "base.css",
    SCRIPT "calltree.js",
    SCRIPT "clocks.js",
    SCRIPT "columns.js",
    SCRIPT "compare.js",
    CSS "details.css",
    SCRIPT "details.js",
    SCRIPT "dom.js",
    SCRIPT "empty.js",
    SCRIPT "exceptions.js",
    SCRIPT "files.js",
    SCRIPT "filter.js",
    SCRIPT "filterbox.js",
    SCRIPT "flame.js",
    SCRIPT "format.js",
    SCRIPT "header.js",
    SCRIPT "health.js",
    SCRIPT "histogram.js",
    IMAGE "icon.svg",
    SCRIPT "icons.js",
    SCRIPT "insights.js",
    SCRIPT "json.js",
    CSS "list.css",
    SCRIPT "list.js",
    SCRIPT "live.js",
    SCRIPT "logs.js",
    SCRIPT "main.js",
    CSS "map.css",
    SCRIPT "mapdraw.js",
    SCRIPT "mappanel.js",
    SCRIPT "mapview.js",
    SCRIPT "minimap.js",
    SCRIPT "model.js",
    SCRIPT "operations.js",
    SCRIPT "panzoom.js",
    SCRIPT "rows.js",
    SCRIPT "rowstore.js",
    SCRIPT "selectionview.js",
    SCRIPT "shortcuts.js",
    SCRIPT "sidebyside.js",
    SCRIPT "spans.js",
    SCRIPT "stack.js",
    SCRIPT "statistics.js",
    SCRIPT "suggest.js",
    CSS "tables.css",
    SCRIPT "theme.js",
    SCRIPT "timescale.js",
    CSS "trace.css",
    SCRIPT "trace.js",
    SCRIPT "traceid.js",
    SCRIPT "unit.js",
    SCRIPT "vendor/dagre.esm.js",
    SCRIPT "vendor/preact.js",
    SCRIPT "virtual.js",
    SCRIPT "waterfall.js",
}

/// The file at a path of the port; the page itself is none.
#[must_use]
pub(crate) fn asset(path: &str) -> Option<Asset> {
    let name = path.strip_prefix("/assets/")?;
    ASSETS
        .iter()
        .find(|(own, _)| *own == name)
        .map(|(_, asset)| *asset)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_directory_is_served_and_none_from_elsewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dev/page");
        let mut count = 0;
        for directory in [root.clone(), root.join("vendor")] {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let is_served = path
                    .extension()
                    .is_some_and(|end| end == "js" || end == "css" || end == "svg");
                if !is_served {
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let asset =
                    asset(&format!("/assets/{name}")).unwrap_or_else(|| panic!("{name} is not served"));
                assert_eq!(asset.body(), fs::read(&path).unwrap());
                count += 1;
            }
        }
        assert_eq!(count, ASSETS.len());
        for path in [
            "/assets/",
            "/assets/mod.rs",
            "/assets/index.html",
            "/favicon.ico",
            "",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn the_page_names_no_address_of_another_machine() {
        let files = ASSETS
            .iter()
            .filter(|(name, asset)| !name.starts_with("vendor/") && asset.content_type != IMAGE);
        let texts = files.map(|(name, asset)| (*name, String::from_utf8(asset.body()).unwrap()));
        for (name, text) in texts.chain([("index.html", INDEX.to_owned())]) {
            for attribute in [
                "src=\"http",
                "href=\"http",
                "from \"http",
                "import(\"http",
                "url(http",
            ] {
                assert!(!text.contains(attribute), "{name} has {attribute}");
            }
        }
    }
}
