//! Shell: how often the disk can be asked to keep something.
//!
//! What one durable transaction at a time cannot beat: append a page, flush, again.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::times::float;

/// A page, as PostgreSQL writes its log.
const PAGE: [u8; 8 * 1024] = [0x5a; 8 * 1024];

/// Appends of a page, each flushed with fdatasync, per second.
pub fn flushes_per_s(folder: &Path, length: Duration) -> anyhow::Result<f64> {
    let path = folder.join("flush");
    let measured = File::create(&path).and_then(|mut file| {
        let began = Instant::now();
        let mut flushes = 0;
        while began.elapsed() < length {
            file.write_all(&PAGE)?;
            file.sync_data()?;
            flushes += 1;
        }
        Ok(float(flushes) / began.elapsed().as_secs_f64())
    });
    // It goes with the folder at the latest.
    let _ = std::fs::remove_file(&path);
    measured.with_context(|| format!("cannot write in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_are_counted_and_the_file_goes() {
        let folder = crate::server::Folder::fresh().expect("a folder");
        assert!(flushes_per_s(folder.path(), Duration::from_millis(20)).expect("it flushes") > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
    }
}
