//! One program for every target: FUZZ_TARGET names it, and FUZZ_SEEDS a directory that gets its good
//! inputs. Without a name it says which targets there are.
#![no_main]

use std::{env, fs, path::Path, process::exit};

use apiserver::fuzz::{TARGETS, run, seeds};

libfuzzer_sys::fuzz_target!(
    init: prepare(),
    |input: &[u8]| run(input)
);

fn prepare() {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
        for (name, _) in TARGETS {
            println!("{name}");
        }
        exit(i32::from(!name.is_empty()));
    };
    target();
    if let Ok(directory) = env::var("FUZZ_SEEDS") {
        for (number, seed) in seeds().iter().enumerate() {
            let path = Path::new(&directory).join(format!("seed-{number}"));
            fs::write(path, seed).expect("the directory can be written");
        }
    }
}
