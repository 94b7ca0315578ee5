//! The clients that are compiled, under `target/clients`: the ones in Java with what Maven brings, and the one in Go. Made once
//! for each version of their sources and lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{installed, missing, python_packages, repository, run, version_of};

/// What the programs in `tests/clients/java` are started with.
#[derive(Debug, Clone)]
pub struct Java {
    /// For `java -cp`.
    class_path: String,
}

impl Java {
    /// The command that runs `class`.
    #[must_use]
    pub fn command(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-cp", &self.class_path, class]);
        command
    }
}

/// Compiles the programs in `tests/clients/java`, or `None` where there is no Java 17 or no Maven.
///
/// # Panics
/// When Maven or the compiler fails, and when one is missing but `CI` is set.
pub fn java(tmp: &str) -> Option<Java> {
    // Tomcat's oldest.
    const OLDEST: u32 = 17;
    let of = repository().join("tests/clients/java");
    let compiler = version_of(Command::new("javac").arg("--version"), "javac");
    let maven = version_of(Command::new("mvn").args(["--batch-mode", "--version"]), "mvn");
    let compiler = compiler.filter(|version| number(version, "javac ") >= Some(OLDEST));
    let (Some(compiler), Some(maven)) = (compiler, maven) else {
        missing("Java 17 or newer with Maven (Debian: apt-get install default-jdk-headless maven)")?;
        return None;
    };
    let sources = ["App.java", "Sampler.java"].map(|name| of.join(name));
    let mut lists = vec![of.join("pom.xml")];
    lists.extend(sources.iter().cloned());
    let directory = installed(tmp, "java", &format!("{compiler}{maven}"), &lists, |directory| {
        let libraries = directory.join("lib");
        run(Command::new("mvn")
            .args([
                "--batch-mode",
                "--quiet",
                "dependency:copy-dependencies",
                "--file",
            ])
            .arg(&lists[0])
            .arg(format!("-DoutputDirectory={}", libraries.display())));
        run(Command::new("javac")
            .args(["-encoding", "UTF-8", "-cp"])
            .arg(libraries.join("*"))
            .arg("-d")
            .arg(directory.join("classes"))
            .args(&sources));
    });
    // The JVM opens it as it is, `*` included.
    let class_path = format!("{0}/classes:{0}/lib/*", directory.display());
    Some(Java { class_path })
}

/// Compiles the program in `tests/clients/go`, or `None` where there is neither Go 1.24 nor Python to install it.
///
/// # Panics
/// When the compiler fails or cannot be installed, and when there is no way to it but `CI` is set.
pub fn go(tmp: &str) -> Option<PathBuf> {
    let of = repository().join("tests/clients/go");
    let (compiler, version) = go_compiler(tmp, &of)?;
    let lists = ["go.mod", "go.sum", "main.go"].map(|name| of.join(name));
    let directory = installed(tmp, "go", &version, &lists, |directory| {
        fs::create_dir_all(directory).expect("a directory under target");
        run(Command::new(&compiler)
            .args(["build", "-buildvcs=false", "-mod=readonly", "-o"])
            .arg(directory.join("backend-go"))
            .arg(".")
            .current_dir(&of));
    });
    Some(directory.join("backend-go"))
}

/// A compiler that is new enough, and what it says of its version: the machine's, or one that Python installs.
fn go_compiler(tmp: &str, of: &Path) -> Option<(PathBuf, String)> {
    // The SDK's oldest.
    const OLDEST: u32 = 24;
    let version_of =
        |compiler: &Path| version_of(Command::new(compiler).arg("version").current_dir(of), "go");
    let own = PathBuf::from("go");
    if let Some(version) = version_of(&own).filter(|version| number(version, "go1.") >= Some(OLDEST)) {
        return Some((own, version));
    }
    let python = python_packages(tmp, "go-toolchain", &["tests/clients/go/requirements.txt"])?;
    let compiler = python.with_file_name("go");
    let version = version_of(&compiler).expect("the Go that was installed says its version");
    Some((compiler, version))
}

/// The number after `words`: of `go1.26.8`, after `go1.`, 26.
fn number(text: &str, words: &str) -> Option<u32> {
    let rest = text.rsplit_once(words)?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_the_number_that_the_tool_says() {
        assert_eq!(number("go go version go1.26.8 linux/amd64", "go1."), Some(26));
        assert_eq!(number("javac javac 17.0.15", "javac "), Some(17));
        assert_eq!(number("javac javac 21", "javac "), Some(21));
        assert_eq!(number("javac javac 1.8.0_402", "javac "), Some(1));
        assert_eq!(number("go", "go1."), None);
    }
}
