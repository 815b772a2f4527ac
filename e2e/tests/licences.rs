//! Every dependency has a licence that `deny.toml` allows.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

/// The list `allow` of the table `licenses` in `deny.toml`: one quoted name a line.
fn allowed(deny: &str) -> Vec<String> {
    let table = deny.split("[licenses]").nth(1).unwrap_or_default();
    let list = table.split("allow = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    list.lines()
        .filter_map(|line| Some(line.trim().split('"').nth(1)?.to_owned()))
        .collect()
}

fn is_allowed(expression: &str, allowed: &[LicenseReq]) -> Result<bool> {
    let expression = Expression::parse_mode(expression, ParseMode::LAX)?;
    Ok(expression.evaluate(|wanted| allowed.contains(wanted)))
}

fn requirements(names: &[String]) -> Result<Vec<LicenseReq>> {
    let mut requirements = Vec::new();
    for name in names {
        let expression = Expression::parse(name)?;
        requirements.extend(expression.requirements().map(|r| r.req.clone()));
    }
    Ok(requirements)
}

#[test]
fn every_dependency_has_an_allowed_licence() -> Result<()> {
    let deny = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml"))?;
    let allowed = requirements(&allowed(&deny))?;
    ensure!(!allowed.is_empty(), "deny.toml allows no licence");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    ensure!(
        packages.len() > 100,
        "only {} packages were looked at",
        packages.len()
    );
    let mut refused = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &allowed).unwrap_or(false) {
            refused.push(format!(
                "{} {}: {licence}",
                package["name"], package["version"]
            ));
        }
    }
    assert!(
        refused.is_empty(),
        "not allowed by deny.toml:\n{}",
        refused.join("\n")
    );
    println!("{} packages", packages.len());
    Ok(())
}

#[test]
fn a_licence_that_is_not_listed_is_refused() -> Result<()> {
    let allowed = requirements(&["MIT".to_owned(), "Apache-2.0".to_owned()])?;
    assert!(is_allowed("MIT OR GPL-3.0-only", &allowed)?);
    assert!(is_allowed("MIT/Apache-2.0", &allowed)?);
    assert!(!is_allowed("MIT AND GPL-3.0-only", &allowed)?);
    assert!(!is_allowed("AGPL-3.0-only", &allowed)?);
    Ok(())
}
