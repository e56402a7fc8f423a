//! Source code and configuration.

use std::path::Path;

use super::loader::{Loaded, Loader};
use super::text::{extension, format, lines_from_start, read};
use crate::error::Result;

/// Languages with their extensions and whole file names, all in lower case.
const LANGUAGES: &[(&str, &[&str], &[&str])] = &[
    ("ada", &["adb", "ads"], &[]),
    ("assembly", &["asm", "s"], &[]),
    (
        "bash",
        &["bash", "sh", "zsh", "fish", "ksh"],
        &[".bashrc", ".profile", ".zshrc", "pkgbuild"],
    ),
    ("batch", &["bat", "cmd"], &[]),
    ("c", &["c", "h"], &[]),
    (
        "c++",
        &["cc", "cpp", "cxx", "hh", "hpp", "hxx", "ino", "ipp"],
        &[],
    ),
    ("c#", &["cs", "csx"], &[]),
    ("clojure", &["clj", "cljc", "cljs", "edn"], &[]),
    ("cmake", &["cmake"], &["cmakelists.txt"]),
    ("crystal", &["cr"], &[]),
    ("css", &["css", "less", "sass", "scss"], &[]),
    ("cuda", &["cu", "cuh"], &[]),
    ("d", &["d"], &[]),
    ("dart", &["dart"], &[]),
    ("dockerfile", &["dockerfile"], &["containerfile", "dockerfile"]),
    ("elixir", &["ex", "exs"], &[]),
    ("elm", &["elm"], &[]),
    ("erlang", &["erl", "hrl"], &[]),
    ("f#", &["fs", "fsi", "fsx"], &[]),
    ("fortran", &["f", "f03", "f08", "f90", "f95", "for"], &[]),
    ("glsl", &["comp", "frag", "glsl", "vert"], &[]),
    ("go", &["go"], &["go.mod", "go.sum"]),
    ("graphql", &["gql", "graphql"], &[]),
    ("groovy", &["gradle", "groovy"], &["jenkinsfile"]),
    ("haskell", &["hs", "lhs"], &[]),
    ("hcl", &["hcl", "tf", "tfvars"], &[]),
    (
        "ini",
        &["cfg", "conf", "ini", "properties", "service"],
        &[
            ".editorconfig",
            ".gitattributes",
            ".gitconfig",
            ".gitignore",
            ".npmrc",
        ],
    ),
    ("java", &["java"], &[]),
    ("javascript", &["cjs", "js", "jsx", "mjs"], &[]),
    (
        "json",
        &["geojson", "json", "json5", "jsonc", "jsonld", "jsonl", "ndjson"],
        &[],
    ),
    ("julia", &["jl"], &[]),
    ("just", &["just"], &["justfile"]),
    ("kotlin", &["kt", "kts"], &[]),
    ("lean", &["lean"], &[]),
    ("lisp", &["cl", "el", "lisp", "lsp"], &[]),
    ("lua", &["lua"], &[]),
    ("makefile", &["mak", "mk"], &["gnumakefile", "makefile"]),
    ("matlab", &["m"], &[]),
    ("nim", &["nim", "nims"], &[]),
    ("nix", &["nix"], &[]),
    ("ocaml", &["ml", "mli"], &[]),
    ("pascal", &["dpr", "pas", "pp"], &[]),
    ("perl", &["pl", "pm", "t"], &[]),
    ("php", &["php"], &[]),
    ("powershell", &["ps1", "psd1", "psm1"], &[]),
    ("prolog", &["pro"], &[]),
    ("protobuf", &["proto"], &[]),
    ("python", &["py", "pyi", "pyw", "pyx"], &["sconstruct", "wscript"]),
    ("r", &["r"], &[]),
    (
        "ruby",
        &["gemspec", "rake", "rb"],
        &["gemfile", "rakefile", "vagrantfile"],
    ),
    ("rust", &["rs"], &[]),
    ("scala", &["sbt", "sc", "scala"], &[]),
    ("scheme", &["rkt", "scm", "ss"], &[]),
    ("solidity", &["sol"], &[]),
    ("sql", &["ddl", "sql"], &[]),
    ("svelte", &["svelte"], &[]),
    ("swift", &["swift"], &[]),
    ("tcl", &["tcl"], &[]),
    ("toml", &["toml"], &["cargo.lock", "poetry.lock"]),
    ("typescript", &["cts", "mts", "ts", "tsx"], &[]),
    ("verilog", &["sv", "v", "vh"], &[]),
    ("vhdl", &["vhd", "vhdl"], &[]),
    ("vim", &["vim"], &[".vimrc"]),
    ("vue", &["vue"], &[]),
    ("wgsl", &["wgsl"], &[]),
    ("xml", &["rss", "svg", "xml", "xsd", "xsl", "xslt"], &[]),
    ("yaml", &["yaml", "yml"], &[]),
    ("zig", &["zig", "zon"], &[]),
];

/// Loads source code and configuration verbatim, by extension or well-known name. Metadata: `format` is `code`,
/// `language` the language's name in lower case, such as `rust` or `c++`.
///
/// ```
/// use std::path::Path;
/// use ragtune_retrieve::Loader;
/// use ragtune_retrieve::load::SourceCodeLoader;
/// let loaded = SourceCodeLoader.load(Path::new("src/main.rs"), b"fn main() {}\n")?;
/// assert_eq!(loaded.metadata["language"], "rust".into());
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceCodeLoader;

impl Loader for SourceCodeLoader {
    fn id(&self) -> String {
        "code-1".to_owned()
    }

    fn accepts(&self, path: &Path) -> bool {
        language(path).is_some()
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let text = read(path, bytes, None)?;
        let mut metadata = format("code");
        if let Some(language) = language(path) {
            metadata.insert("language".to_owned(), language.into());
        }
        Ok(Loaded {
            text,
            metadata,
            markers: lines_from_start(),
        })
    }
}

fn language(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let named = LANGUAGES
        .iter()
        .find(|(.., names)| names.contains(&name.as_str()));
    let extension = extension(path);
    let by_extension = || {
        let extension = extension.as_deref()?;
        LANGUAGES
            .iter()
            .find(|(_, extensions, _)| extensions.contains(&extension))
    };
    named.or_else(by_extension).map(|(language, ..)| *language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_known_by_name() {
        for (path, expected) in [
            ("a/lib.RS", Some("rust")),
            ("Makefile", Some("makefile")),
            ("CMakeLists.txt", Some("cmake")),
            ("Dockerfile", Some("dockerfile")),
            ("x.tar.gz", None),
            ("notes.txt", None),
            ("rs", None),
        ] {
            assert_eq!(language(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn no_name_stands_for_two_languages() {
        let mut seen = std::collections::BTreeSet::new();
        for (language, extensions, names) in LANGUAGES {
            for name in extensions
                .iter()
                .map(|e| format!(".{e}"))
                .chain(names.iter().map(|n| (*n).to_owned()))
            {
                assert!(seen.insert(name.clone()), "{name} of {language} is there twice");
                assert_eq!(name, name.to_lowercase());
            }
        }
    }
}
