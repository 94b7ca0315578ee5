//! What a call cost when it was last recorded.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Result, say};

/// How much more than recorded fails, in hundredths: what another compiler or C library may change.
const ALLOWED_PERCENT: u64 = 3;

/// What is compared.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Instructions of a call, without SHA-256 and the kernel.
    pub(crate) instructions: u64,
    /// Distinct cache lines of a call, without those of the body.
    pub(crate) lines: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// The processor's architecture, whose instructions these are.
    architecture: String,
    call: Measured,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.json")
}

impl Baseline {
    pub(crate) fn read() -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(file())?)?)
    }

    pub(crate) fn record(call: Measured) -> Result<()> {
        let baseline = Self {
            architecture: std::env::consts::ARCH.to_owned(),
            call,
        };
        Ok(fs::write(
            file(),
            format!("{}\n", serde_json::to_string_pretty(&baseline)?),
        )?)
    }

    /// Fails when a call costs more than is allowed.
    pub(crate) fn judge(&self, measured: Measured) -> Result<()> {
        if self.architecture != std::env::consts::ARCH {
            say(&format!(
                "\nNot compared: the baseline is of {}.",
                self.architecture
            ));
            return Ok(());
        }
        let pairs = [
            ("instructions", measured.instructions, self.call.instructions),
            ("cache lines", measured.lines, self.call.lines),
        ];
        let mut more = Vec::new();
        for (what, now, then) in pairs {
            let percent = (now as f64 / then.max(1) as f64 - 1.0) * 100.0;
            say(&format!(
                "\n{now} {what} a call, {percent:+.1} % to the baseline's {then}"
            ));
            if now * 100 > then * (100 + ALLOWED_PERCENT) {
                more.push(what);
            }
        }
        if more.is_empty() {
            return Ok(());
        }
        Err(format!(
            "a call costs more than {ALLOWED_PERCENT} % above the baseline in {}; `-- --functions` says where. If it must be so, \
             record it with `-- --record` and say why",
            more.join(" and ")
        )
        .into())
    }
}
