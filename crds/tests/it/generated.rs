//! The generated files are those that are checked in.

use std::{fs, path::Path};

use crds::generate;
use rstest::rstest;

#[rstest]
#[case::manifest(generate::MANIFEST_PATH, generate::manifest())]
#[case::chart_template(generate::TEMPLATE_PATH, generate::template())]
fn the_file_on_disk_is_what_the_types_say(
    #[case] path: &str,
    #[case] generated: Result<String, generate::GenerateError>,
) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let on_disk = fs::read_to_string(file).unwrap();
    assert!(
        on_disk == generated.unwrap(),
        "{path} is stale: run `cargo run -p crds --bin crdgen`"
    );
}
