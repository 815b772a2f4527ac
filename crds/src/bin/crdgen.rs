//! Writes the generated manifests into the source tree: `cargo run -p crds --bin crdgen`. With
//! `--check` it writes nothing and fails when a file is not as it would be written.

use std::{error::Error, fs, path::Path};

use crds::generate;

fn main() -> Result<(), Box<dyn Error>> {
    let check = std::env::args().any(|argument| argument == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in [
        (generate::MANIFEST_PATH, generate::manifest()?),
        (generate::TEMPLATE_PATH, generate::template()?),
    ] {
        let file = root.join(path);
        if check {
            if fs::read_to_string(&file).ok() != Some(text) {
                return Err(format!("{path} is stale: run `make generate` and commit it").into());
            }
            continue;
        }
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(file, text)?;
    }
    Ok(())
}
