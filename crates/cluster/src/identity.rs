//! Who this node is: made at the first start, kept in the data directory, checked at every later one.
//!
//! It is kept last, when the controller's log is durable: where the file is, that log must be, and where it is not, nobody
//! was ever served from the directory.

use std::path::Path;

use ailurus_model::NodeId;
use ailurus_rt as rt;

/// The file's name in the data directory. Text, one `name = value` per line (`docs/formats/identity.md`).
const FILE: &str = "node.properties";

/// Version of the file.
const VERSION: u32 = 1;

/// The id that a node takes if none is set: it is the first of its cluster.
const FIRST_NODE: NodeId = NodeId(1);

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id, as clients see it: 22 characters of URL-safe base64, like Kafka's.
    pub cluster_id: String,
    /// This node's id.
    pub node: NodeId,
}

/// Why a node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("{FILE} in the data directory: {0}")]
    Io(#[from] std::io::Error),
    /// The file is not what this version writes.
    #[error("{FILE} in the data directory: {0}")]
    Malformed(String),
    /// The file is gone, and others that are younger are there.
    #[error("{FILE} is missing from a data directory that was used: it says which node of which cluster this is")]
    Missing,
    /// The settings want another id than the directory has.
    #[error("node.id is set to {wanted}, but the data directory belongs to node {kept}")]
    OtherNode {
        /// The setting.
        wanted: NodeId,
        /// The directory's.
        kept: NodeId,
    },
}

impl Identity {
    /// Reads who this node is; `None` if it was never brought up in this directory.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn load(data_dir: &Path, wanted: Option<NodeId>) -> Result<Option<Identity>, IdentityError> {
        let path = data_dir.join(FILE);
        if !rt::fs::exists(&path).await? {
            return Ok(None);
        }
        let text = rt::fs::read(&path).await?;
        let identity = parse(&String::from_utf8_lossy(&text)).map_err(IdentityError::Malformed)?;
        match wanted {
            Some(wanted) if wanted != identity.node => Err(IdentityError::OtherNode { wanted, kept: identity.node }),
            _ => Ok(Some(identity)),
        }
    }

    /// Makes up who this node is.
    pub fn invent(wanted: Option<NodeId>) -> Identity {
        let cluster_id = ailurus_model::TopicId(rt::random_u128()).to_string();
        Identity { cluster_id, node: wanted.unwrap_or(FIRST_NODE) }
    }

    /// Keeps it in the data directory, durably.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub async fn keep(&self, data_dir: &Path) -> Result<(), IdentityError> {
        Ok(rt::fs::write_durably(&data_dir.join(FILE), print(self).as_bytes()).await?)
    }
}

fn print(identity: &Identity) -> String {
    format!("version = {VERSION}\ncluster.id = {}\nnode.id = {}\n", identity.cluster_id, identity.node)
}

fn parse(text: &str) -> Result<Identity, String> {
    let value = |wanted: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut found = lines.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim());
        found.next().ok_or_else(|| format!("{wanted} is missing"))
    };
    let number = |name: &str| value(name)?.parse::<u32>().map_err(|_| format!("{name} is no number"));
    match number("version")? {
        VERSION => {}
        version => return Err(format!("version {version} is not known, this version reads {VERSION}")),
    }
    let node = i32::try_from(number("node.id")?).map_err(|_| "node.id is too large".to_string())?;
    Ok(Identity { cluster_id: value("cluster.id")?.to_string(), node: NodeId(node) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back() {
        let identity = Identity { cluster_id: "abcDEF-_".into(), node: NodeId(7) };
        assert_eq!(parse(&print(&identity)), Ok(identity));
    }

    #[test]
    fn what_is_missing_or_foreign_is_named() {
        assert_eq!(parse("node.id = 1"), Err("version is missing".into()));
        assert!(parse("version = 2").is_err_and(|text| text.contains("version 2")));
        assert!(parse("version = 1\nnode.id = -1\ncluster.id = a").is_err_and(|text| text.contains("node.id")));
    }
}
