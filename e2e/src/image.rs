//! Images from static programs, without an image builder.
//!
//! An OCI archive is a tar file of JSON documents and of layers, which name each other by digest.
//! One layer with one program is enough for everything that the tests run.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of one program.
#[derive(Clone, Debug)]
pub struct Image {
    /// The full name: registry, repository and tag. Pods use exactly this one.
    pub name: String,
    /// Absolute path of the program in the image.
    pub entrypoint: String,
    /// `UID:GID` of the process, root if absent.
    pub user: Option<String>,
    /// Environment beside `PATH`, as `NAME=VALUE`.
    pub env: Vec<String>,
}

impl Image {
    /// Writes the archive of this image with `program` in it.
    ///
    /// The same input gives the same bytes: all times are zero.
    pub fn write_archive(&self, program: &Path, archive: &Path) -> Result<()> {
        self.check()?;
        let context = || format!("cannot write the image archive {}", archive.display());
        let (mut layer, layer_digest, layer_size) = self.layer(program)?;
        let config = serde_json::to_vec(&self.config(&layer_digest))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, &digest(&config), config.len() as u64),
            "layers": [descriptor(LAYER_TYPE, &layer_digest, layer_size)],
        }))?;
        let index = serde_json::to_vec(&self.index(&manifest))?;

        let mut tar = Builder::new(File::create(archive).with_context(context)?);
        let blob = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        append_file(
            &mut tar,
            "oci-layout",
            layout.len() as u64,
            0o644,
            &layout[..],
        )?;
        append_file(
            &mut tar,
            "index.json",
            index.len() as u64,
            0o644,
            &index[..],
        )?;
        for document in [&manifest, &config] {
            let path = blob(&digest(document));
            append_file(&mut tar, &path, document.len() as u64, 0o644, &document[..])?;
        }
        layer.rewind().with_context(context)?;
        append_file(&mut tar, &blob(&layer_digest), layer_size, 0o644, layer)?;
        tar.into_inner()
            .and_then(|mut file| file.flush())
            .with_context(context)
    }

    fn check(&self) -> Result<()> {
        let Self {
            name,
            entrypoint,
            user: _,
            env,
        } = self;
        let registry_is_full = name.split_once('/').is_some_and(|(registry, rest)| {
            let host = registry.contains(['.', ':']) || registry == "localhost";
            host && rest
                .rsplit('/')
                .next()
                .is_some_and(|last| last.contains(':'))
        });
        if !registry_is_full {
            bail!(
                "{name:?} is no full image name: write registry, repository and tag, \
                 as in cluster.test/server:1"
            );
        }
        if !entrypoint.starts_with('/') || entrypoint.ends_with('/') {
            bail!("the entrypoint {entrypoint:?} is no absolute path of a file");
        }
        if let Some(wrong) = env.iter().find(|variable| !variable.contains('=')) {
            bail!("{wrong:?} is not of the form NAME=VALUE");
        }
        Ok(())
    }

    /// The layer's tar, its digest and its size. It lies in a temporary file that has no name.
    fn layer(&self, program: &Path) -> Result<(File, String, u64)> {
        let source =
            File::open(program).with_context(|| format!("cannot read {}", program.display()))?;
        let size = source.metadata()?.len();
        let temporary = tempfile::tempfile().context("cannot create a temporary file")?;
        let hashing = HashingWriter {
            inner: temporary,
            hash: Sha256::new(),
            written: 0,
        };
        let mut tar = Builder::new(hashing);
        let path = self.entrypoint.trim_start_matches('/');
        for (position, _) in path.match_indices('/') {
            append_directory(&mut tar, &path[..=position], 0o755)?;
        }
        append_directory(&mut tar, "tmp/", 0o1777)?;
        append_file(&mut tar, path, size, 0o755, source)?;
        let HashingWriter {
            inner,
            hash,
            written,
        } = tar.into_inner()?;
        Ok((inner, format!("sha256:{:x}", hash.finalize()), written))
    }

    fn config(&self, layer_digest: &str) -> Value {
        let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
        env.extend(self.env.iter().map(String::as_str));
        let mut config = json!({
            "Entrypoint": [self.entrypoint],
            "WorkingDir": "/",
            "Env": env,
        });
        if let Some(user) = &self.user {
            config["User"] = json!(user);
        }
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        })
    }

    fn index(&self, manifest: &[u8]) -> Value {
        let mut entry = descriptor(MANIFEST_TYPE, &digest(manifest), manifest.len() as u64);
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        json!({ "schemaVersion": 2, "manifests": [entry] })
    }
}

/// The architecture's name in images, which is Go's.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

fn header(entry_type: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

fn append_file<W: Write>(
    tar: &mut Builder<W>,
    path: &str,
    size: u64,
    mode: u32,
    content: impl Read,
) -> Result<()> {
    tar.append_data(&mut header(EntryType::Regular, size, mode), path, content)
        .with_context(|| format!("cannot add {path} to the archive"))
}

fn append_directory<W: Write>(tar: &mut Builder<W>, path: &str, mode: u32) -> Result<()> {
    tar.append_data(
        &mut header(EntryType::Directory, 0, mode),
        path,
        io::empty(),
    )
    .with_context(|| format!("cannot add {path} to the archive"))
}

/// Hashes what passes, so that a large layer is read once and never held in memory.
struct HashingWriter {
    inner: File,
    hash: Sha256,
    written: u64,
}

impl Write for HashingWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn image() -> Image {
        Image {
            name: "cluster.test/server:1".into(),
            entrypoint: "/usr/bin/server".into(),
            user: Some("65532:65532".into()),
            env: vec!["MODE=test".into()],
        }
    }

    fn entries(tar: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mode = entry.header().mode().unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (path, (mode, content))
            })
            .collect()
    }

    fn archive(image: &Image, program: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("program");
        std::fs::write(&source, program).unwrap();
        let target = dir.path().join("image.tar");
        image.write_archive(&source, &target).unwrap();
        std::fs::read(target).unwrap()
    }

    #[test]
    fn documents_name_each_other_by_digest_and_size() {
        let files = entries(&archive(&image(), b"program")[..]);
        let blob = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().unwrap();
            let content = &files[&format!("blobs/{}", name.replace(':', "/"))].1;
            assert_eq!(name, digest(content));
            assert_eq!(descriptor["size"], content.len());
            content
        };
        let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(
            entry["annotations"]["io.containerd.image.name"],
            "cluster.test/server:1"
        );
        let manifest: Value = serde_json::from_slice(blob(entry)).unwrap();
        let config: Value = serde_json::from_slice(blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(layer));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Env"][1], "MODE=test");
        assert_eq!(files.len(), 5);
    }

    #[test]
    fn the_layer_holds_the_program_its_directories_and_tmp() {
        let files = entries(&archive(&image(), b"program")[..]);
        let layer = files
            .values()
            .find(|(_, content)| content.len() > 2000)
            .unwrap();
        let layer = entries(&layer.1[..]);
        let modes: Vec<_> = layer
            .iter()
            .map(|(path, (mode, _))| (path.as_str(), *mode))
            .collect();
        let expected = [
            ("tmp/", 0o1777),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/server", 0o755),
        ];
        assert_eq!(modes, expected);
        assert_eq!(layer["usr/bin/server"].1, b"program");
    }

    #[test]
    fn the_same_program_gives_the_same_archive() {
        assert_eq!(archive(&image(), b"same"), archive(&image(), b"same"));
        assert_ne!(archive(&image(), b"same"), archive(&image(), b"else"));
    }

    #[test]
    fn short_names_and_relative_paths_are_refused() {
        for name in ["server", "server:1", "team/server:1", "cluster.test/server"] {
            assert!(
                Image {
                    name: name.into(),
                    ..image()
                }
                .check()
                .is_err(),
                "{name}"
            );
        }
        for name in ["cluster.test/a/b:1", "localhost/a:1", "127.0.0.1:5000/a:1"] {
            assert!(
                Image {
                    name: name.into(),
                    ..image()
                }
                .check()
                .is_ok(),
                "{name}"
            );
        }
        assert!(
            Image {
                entrypoint: "server".into(),
                ..image()
            }
            .check()
            .is_err()
        );
        assert!(
            Image {
                env: vec!["X".into()],
                ..image()
            }
            .check()
            .is_err()
        );
    }
}
