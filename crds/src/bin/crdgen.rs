//! Writes the generated manifests into the source tree: `cargo run -p crds --bin crdgen`.

use std::{error::Error, fs, path::Path};

use crds::generate;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in [
        (generate::MANIFEST_PATH, generate::manifest()?),
        (generate::TEMPLATE_PATH, generate::template()?),
    ] {
        let file = root.join(path);
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(file, text)?;
    }
    Ok(())
}
