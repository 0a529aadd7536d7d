//! Pages made from what the code declares. A test of the crate that declares it holds each page against its source.

use std::path::{Path, PathBuf};

/// The repository's `docs` folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Writes all pages below `folder`.
pub fn write(folder: &Path) -> Result<(), String> {
    let pages = [("reference/settings.md", ailurus_settings::reference::page())];
    for (name, page) in pages {
        let path = folder.join(name);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path.parent().expect("pages lie below the folder")).map_err(failed)?;
        std::fs::write(&path, page).map_err(failed)?;
    }
    Ok(())
}
