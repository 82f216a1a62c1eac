//! The house rules that can be read off the text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("the file is text");
            found.push((path, text));
        }
    }
    found
}

fn house() -> Vec<(PathBuf, String)> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The room of a file: the first part of its path below `src`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("below src");
    below.components().next().expect("a name").as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The text without its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

#[test]
fn every_file_says_what_kind_it_is() {
    const KINDS: [&str; 8] = ["Value:", "Pure:", "Table:", "Shell:", "Edge:", "Engine:", "Door:", "Root:"];
    for (path, text) in house() {
        if is_test(&path) {
            continue;
        }
        let first = text.lines().next().unwrap_or_default().trim_start_matches("//! ");
        assert!(KINDS.iter().any(|kind| first.starts_with(kind)), "{}: {first}", path.display());
    }
}

#[test]
fn pure_files_are_pure() {
    const FOREIGN: [&str; 8] =
        ["async fn", ".await", "tokio::", "sqlx::query", "axum::", "Instant::now", "SystemTime::now", "getrandom"];
    for (path, text) in house().iter().filter(|(path, text)| text.starts_with("//! Pure:") && !is_test(path)) {
        for word in FOREIGN {
            assert!(!product(text).contains(word), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn imports_follow_the_arrows() {
    // What each room may name, besides values (ids, money, clock, config, tasks, wire) and store.
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("store", &[][..]),
        ("bus", &[][..]),
        ("people", &[][..]),
        ("live", &["bus"][..]),
        ("media", &[][..]),
        ("webhooks", &["people"][..]),
        ("attribution", &["people", "webhooks"][..]),
        ("commerce", &["bus", "people", "attribution", "omo"][..]),
        ("omo", &["commerce"][..]),
        ("settlement", &["people", "attribution", "commerce", "webhooks"][..]),
    ]);
    const VALUES: [&str; 8] = ["ids", "money", "clock", "config", "tasks", "wire", "store", "on"];
    for (path, text) in house() {
        let room = room(&path);
        let Some(allowed) = allowed.get(room.as_str()).filter(|_| !is_test(&path)) else { continue };
        let text = product(&text);
        for other in [
            "http",
            "app",
            "showcase",
            "demo",
            "live",
            "media",
            "commerce",
            "attribution",
            "omo",
            "people",
            "bus",
            "settlement",
            "webhooks",
        ] {
            let named = text.contains(&format!("crate::{other}::"))
                || text.split("use crate::{").nth(1).is_some_and(|uses| {
                    uses.split("};").next().unwrap_or_default().lines().any(|line| {
                        let line = line.strip_prefix("    ").unwrap_or_default();
                        line.starts_with(&format!("{other}::")) || line.starts_with(&format!("{other},"))
                    })
                });
            let fine = other == room || allowed.contains(&other) || VALUES.contains(&other);
            assert!(fine || !named, "{} ({room}) names {other}", path.display());
        }
    }
}

#[test]
fn a_table_has_one_writing_file() {
    let mut writers: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, text) in house() {
        if is_test(&path) {
            continue;
        }
        let words: Vec<&str> = product(&text).split_whitespace().collect();
        for pair in words.windows(3) {
            let table = match pair {
                [insert, "INTO", table] if insert.ends_with("INSERT") => *table,
                [update, table, "SET"] if update.ends_with("UPDATE") && *table != "DO" => *table,
                [delete, "FROM", table] if delete.ends_with("DELETE") => *table,
                _ => continue,
            };
            writers
                .entry(table.trim_matches(|c: char| !c.is_alphanumeric() && c != '_').to_owned())
                .or_default()
                .insert(path.clone());
        }
    }
    assert!(writers.len() > 20, "the search finds the tables: {}", writers.len());
    for (table, files) in &writers {
        // The SKU's row is made by the catalogue; its stock version is the ledger's lock.
        let expected = if table == "skus" { 2 } else { 1 };
        assert!(files.len() <= expected, "{table} is written by {files:?}");
    }
}

#[test]
fn foreign_words_have_one_home() {
    let homes: [(&str, &[&str]); 6] = [
        ("axum", &["http", "app"]),
        ("str0m", &["media"]),
        ("webrtc", &["demo"]),
        ("PgPool", &["store"]),
        ("redis", &["bus"]),
        ("stripe_core", &["commerce"]),
    ];
    for (path, text) in house() {
        for (word, rooms) in homes {
            let named = product(&text).lines().any(|line| {
                line.trim_start().starts_with(&format!("use {word}::")) || line.contains(&format!(" {word}::"))
            });
            assert!(!named || rooms.contains(&room(&path).as_str()), "{} names {word}", path.display());
        }
    }
}
