//! The operator's image: small, for nobody, with one file in it, and the same whenever it is made.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{image, repository};

/// What an archive holds under a name.
fn content(archive: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--extract", "--to-stdout", "--file"])
        .arg(archive)
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn blob(archive: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
    content(archive, &format!("blobs/{digest}"))
}

fn document(archive: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(archive, descriptor)).unwrap()
}

/// What `tar` says of a layer: one line a file, with mode, owner and size.
fn files(archive: &Path, layer: &Value) -> Vec<String> {
    let digest = layer["digest"].as_str().unwrap().replace(':', "/");
    let output = Command::new("sh")
        .args(["-c", r#"tar -xOf "$0" "blobs/$1" | tar -tzvf -"#])
        .arg(archive)
        .arg(digest)
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().map(ToOwned::to_owned).collect()
}

#[test]
#[ignore = "takes a build of the image: make test"]
fn is_one_small_program_that_runs_as_nobody() {
    let archive = image().unwrap();
    let layout: Value = serde_json::from_slice(&content(&archive, "index.json")).unwrap();
    let name = concat!("localhost/landfall:", env!("CARGO_PKG_VERSION"));
    let annotations = &layout["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], name, "{layout}");
    let index = document(&archive, &layout["manifests"][0]);
    for descriptor in index["manifests"].as_array().unwrap() {
        let manifest = document(&archive, descriptor);
        let [layer] = manifest["layers"].as_array().unwrap().as_slice() else {
            panic!("one layer is enough: {manifest}")
        };
        let size = layer["size"].as_u64().unwrap();
        assert!(size < 30_000_000, "{} pulls {size} bytes", descriptor["platform"]);
        let config = document(&archive, &manifest["config"]);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/landfall"]));
        for label in ["title", "version", "revision", "licenses", "created"] {
            let label = format!("org.opencontainers.image.{label}");
            assert!(config["config"]["Labels"][&label].is_string(), "{label}: {config}");
            assert!(manifest["annotations"][&label].is_string(), "{label}: {manifest}");
        }
        let files = files(&archive, layer);
        let [program] = files.as_slice() else {
            panic!("one file is enough: {files:?}")
        };
        assert!(
            program.starts_with("-rwxr-xr-x 0/0 ") && program.ends_with(" landfall"),
            "{program}"
        );
    }
}

#[test]
#[ignore = "takes a build of the image: make test"]
fn is_the_same_whenever_it_is_made() {
    let made = || std::fs::read(image().unwrap()).unwrap();
    let first = made();
    assert!(first == made(), "the same program gave another archive");
}

/// No engine is here to build it: what can be held without one is that it names the compiler, the files and the words that hold elsewhere.
#[test]
fn the_dockerfile_is_of_the_same_compiler_script_and_words() {
    let read = |file: &str| std::fs::read_to_string(repository().join(file)).unwrap();
    let value = |file: &str, key: &str| {
        let text = read(file);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{file} has no {key}"))
            .trim_matches('"')
            .to_owned()
    };
    let dockerfile = read("deploy/Dockerfile");
    // A continued line is one line.
    let lines = dockerfile.replace("\\\n", " ");
    let lines: Vec<String> = lines
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let compiler = value("rust-toolchain.toml", "channel");
    let label = |name: &str, key: &str| format!("org.opencontainers.image.{name}=\"{}\"", value("Cargo.toml", key));
    let labels = [
        label("description", "description"),
        label("licenses", "license"),
        label("version", "version"),
    ];
    let expected = [
        format!("FROM rust:{compiler}-bookworm AS build"),
        format!("ENV RUSTUP_TOOLCHAIN={compiler}"),
        "WORKDIR /landfall".to_owned(),
        "COPY . .".to_owned(),
        "RUN deploy/image programs && mv target/image/linux-*/landfall /program".to_owned(),
        "FROM scratch".to_owned(),
        format!("LABEL org.opencontainers.image.title=\"Landfall\" {}", labels.join(" ")),
        "COPY --from=build /program /landfall".to_owned(),
        "USER 65532:65532".to_owned(),
        "ENTRYPOINT [\"/landfall\"]".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert!(dockerfile.contains(&format!(
        "--tag localhost/landfall:{} .",
        value("Cargo.toml", "version")
    )));
}
