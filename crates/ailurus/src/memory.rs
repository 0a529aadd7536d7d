//! How much memory there is, and how much of it a broker takes at most.
//!
//! Requests in progress are admitted against `memory.bytes`. Beside it stand the members of groups, what every shard may
//! hold (tails, cache) and the map of compaction. All of it has to fit into what this machine or container has, or the kernel ends the process.

use std::path::Path;

use ailurus_settings::BrokerConfig;

/// What `memory.bytes` is where there is plenty.
const DEFAULT_MAX: u64 = 1 << 30;
/// The least that the setting takes.
const DEFAULT_MIN: u64 = 16 << 20;
/// One in so many bytes is for requests; the rest is for tails, caches, compaction, the program and the page cache.
const SHARE: u64 = 4;

/// Memory that this process may use, in bytes: that of the machine, or the smallest limit of the cgroups it is in. `None`
/// where that cannot be seen.
pub(crate) fn available() -> Option<u64> {
    let groups = read("/proc/self/cgroup".as_ref());
    let limits = limit_files(&groups).into_iter().map(|file| read(file.as_ref()));
    smallest(&read("/proc/meminfo".as_ref()), limits)
}

/// What `memory.bytes` is if it is not set.
pub(crate) fn default_bytes(available: Option<u64>) -> u64 {
    available.map_or(DEFAULT_MAX, |available| (available / SHARE).clamp(DEFAULT_MIN, DEFAULT_MAX))
}

/// What a broker of so many shards takes at most of what is counted, in bytes.
pub(crate) fn wanted(config: &BrokerConfig, memory_bytes: u64, shards: u64) -> u64 {
    // Members of groups, and the buffers that the shards keep between requests, take a quarter each.
    let requests_and_members = memory_bytes.saturating_add(memory_bytes / 2);
    let each = (config.storage_tail_max_bytes + config.storage_cache_bytes) as u64;
    let compaction = config.log_cleaner_dedupe_buffer_size as u64;
    requests_and_members.saturating_add(each.saturating_mul(shards)).saturating_add(compaction)
}

/// Where the limits stand of the groups in `/proc/self/cgroup` and of those above them. In a container the path is that of
/// the host, and the container's own group is at the root of what it sees.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for above in Path::new(path).ancestors() {
            let above = above.to_string_lossy();
            files.push(format!("{root}{}/{name}", above.trim_end_matches('/')));
        }
    }
    files
}

fn smallest(meminfo: &str, limits: impl Iterator<Item = String>) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| kib << 10);
    // "max" is no number, and no limit.
    limits.filter_map(|text| text.trim().parse().ok()).chain(total).min()
}

fn read(path: &Path) -> String {
    #[allow(clippy::disallowed_methods, reason = "a look at /proc and /sys, before there is a reactor")]
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts() {
        let total = "MemTotal:       16777216 kB\nMemFree: 1 kB\n";
        let smallest = |limits: &[&str]| smallest(total, limits.iter().map(|text| (*text).to_owned()));
        assert_eq!(smallest(&[]), Some(16 << 30));
        assert_eq!(smallest(&["max\n", "536870912\n", ""]), Some(512 << 20));
        // What version 1 says where there is no limit.
        assert_eq!(smallest(&["9223372036854771712\n"]), Some(16 << 30));
        assert_eq!(super::smallest("", std::iter::empty()), None);
    }

    #[test]
    fn limits_stand_at_the_group_and_above() {
        let two = ["/sys/fs/cgroup/system.slice/a.service/memory.max", "/sys/fs/cgroup/system.slice/memory.max"];
        assert_eq!(limit_files("0::/system.slice/a.service\n"), [&two[..], &["/sys/fs/cgroup/memory.max"]].concat());
        assert_eq!(limit_files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        let one = ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(limit_files("5:cpu,cpuacct:/a\n4:memory:/a\n"), one);
    }

    #[test]
    fn requests_get_a_share_within_bounds() {
        assert_eq!(default_bytes(None), 1 << 30);
        assert_eq!(default_bytes(Some(64 << 30)), 1 << 30);
        assert_eq!(default_bytes(Some(512 << 20)), 128 << 20);
        assert_eq!(default_bytes(Some(32 << 20)), 16 << 20);
        let config = ailurus_settings::BrokerSettings::default().config();
        assert_eq!(wanted(&config, 128 << 20, 2), (128 + 64 + 2 * (96 + 32) + 128) << 20);
    }
}
