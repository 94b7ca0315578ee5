//! The page's files, in the binary.

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// With the character set.
    pub content_type: &'static str,
    /// As served.
    pub body: &'static [u8],
}

/// Headers of every file: nothing from elsewhere is loaded, asked or shown, and nothing may show the page in a frame.
pub const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri \
         'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
];

/// The file at a path of the port.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    (path == "/").then_some(Asset {
        content_type: "text/html; charset=utf-8",
        body: b"<!doctype html><title>xray dev</title><p>The API is on this port.",
    })
}
