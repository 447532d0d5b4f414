//! How much memory the indexes of this process may take if nobody sets it: a share of what the process may use.
//!
//! The process may use no more than the machine has, than its container may take, and than its own limits allow. Which of
//! these are known depends on the system. What is asked for at run time comes as files, so that tests give others.

use crate::native::memory;
use once_cell::race::OnceBox;

/// Eight processes of a server, each with a full cache, take what the machine has, and no more.
const PART: u64 = 8;
/// Below this a cache is of little use. It is more than a part only if a process may use less than 32 MiB.
const LEAST: u64 = 4 << 20;
/// The codes of 30 million vectors of 384 dimensions.
const MOST: u64 = 8 << 30;
/// If the system tells nothing.
const UNKNOWN: u64 = 256 << 20;

/// The share of this process. Read only once: later changes of a limit are not seen.
pub fn share() -> u64 {
    static SHARE: OnceBox<u64> = OnceBox::new();
    *SHARE.get_or_init(|| {
        let mut limits = limits(|path| std::fs::read_to_string(path).ok());
        limits.extend(memory::physical());
        Box::new(share_of(limits))
    })
}

/// The share of a process that has these limits.
fn share_of(limits: impl IntoIterator<Item = u64>) -> u64 {
    let addresses = usize::MAX as u64;
    // With 64 bits there are always enough addresses, so they are no limit.
    let limits = limits.into_iter().chain((addresses < u64::MAX).then_some(addresses));
    limits.min().map_or(UNKNOWN, |least| (least / PART).clamp(LEAST, MOST))
}

/// The limits that files of Linux tell, in bytes. `read` gives the text of a file, if there is one.
fn limits(read: impl Fn(&str) -> Option<String>) -> Vec<u64> {
    let mut limits = Vec::new();
    limits.extend(read("/proc/meminfo").as_deref().and_then(total));
    limits.extend(read("/proc/self/limits").iter().flat_map(|text| of_process(text)));
    for group in read("/proc/self/cgroup").iter().flat_map(|text| text.lines()).filter_map(ControlGroup::parse) {
        limits.extend(group.files().filter_map(|file| read(&file)?.trim().parse::<u64>().ok()));
    }
    limits
}

/// `MemTotal:       24684000 kB`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `Max address space         unlimited            unlimited            bytes`: the first of the two is in force.
fn of_process(limits: &str) -> impl Iterator<Item = u64> {
    let named = |line: &str| {
        let values = ["Max address space", "Max data size"].into_iter().find_map(|name| line.strip_prefix(name))?;
        values.split_whitespace().next()?.parse().ok()
    };
    limits.lines().filter_map(named)
}

/// The control group that has limits of memory for the process.
struct ControlGroup<'a> {
    mount: &'static str,
    path: &'a str,
    file: &'static str,
}

impl<'a> ControlGroup<'a> {
    /// `0::/user.slice` is of version 2, `9:memory:/docker/1f` of version 1. Lines of other controllers give nothing.
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        match controllers {
            "" => Some(Self { mount: "/sys/fs/cgroup", path, file: "memory.max" }),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some(Self { mount: "/sys/fs/cgroup/memory", path, file: "memory.limit_in_bytes" })
            }
            _ => None,
        }
    }

    /// The files of the group and of all groups that it is in. In a container the path may be that of the host, and then only
    /// the last, that of the mount itself, is there.
    fn files(self) -> impl Iterator<Item = String> {
        let Self { mount, path, file } = self;
        let path = path.trim_end_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(move |end| format!("{mount}{}/{file}", &path[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const GIB: u64 = 1 << 30;
    const NO_LIMIT: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
        Max data size             unlimited            unlimited            bytes\n\
        Max address space         unlimited            unlimited            bytes\n";

    fn seen(files: &[(&str, &str)]) -> u64 {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        share_of(limits(|path| files.get(path).map(|text| text.to_string())))
    }

    #[test]
    fn the_share_is_an_eighth_between_two_bounds() {
        assert_eq!(share_of([24 * GIB]), 3 * GIB);
        assert_eq!(share_of([24 * GIB, 2 * GIB, 4 * GIB]), GIB / 4, "the least limit counts");
        assert_eq!(share_of([GIB]), 128 << 20, "a limit below the default of a machine that tells nothing");
        assert_eq!(share_of([1 << 40]), MOST);
        for least in [0, 1, 1 << 20, 32 << 20] {
            assert_eq!(share_of([least]), LEAST, "{least}");
        }
        assert_eq!(share_of([]), if cfg!(target_pointer_width = "64") { UNKNOWN } else { 512 << 20 });
        for limit in (25..43).map(|power| (1u64 << power) + 12345) {
            assert!(8 * share_of([limit]) <= limit, "eight processes have room in {limit}");
        }
    }

    #[test]
    fn the_machine_and_the_limits_of_the_process_are_read() {
        let machine = ("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");
        assert_eq!(seen(&[machine]), 2 * GIB);
        assert_eq!(seen(&[machine, ("/proc/self/limits", NO_LIMIT)]), 2 * GIB);
        for name in ["Max data size", "Max address space"] {
            let limits = format!("{NO_LIMIT}{name}             1073741824           unlimited            bytes\n");
            assert_eq!(seen(&[machine, ("/proc/self/limits", &limits)]), GIB / 8, "{name}");
        }
        for damaged in ["", "MemTotal:", "MemTotal: x kB", "MemTotal: 99999999999999999999 kB", "MemTotal: -1 kB"] {
            assert_eq!(seen(&[("/proc/meminfo", damaged)]), share_of([]), "{damaged}");
        }
    }

    #[test]
    fn a_container_counts_with_all_groups_around_it() {
        let machine = ("/proc/meminfo", "MemTotal: 67108864 kB");
        let second = ("/proc/self/cgroup", "0::/a/b\n");
        assert_eq!(seen(&[machine, second]), MOST);
        for file in ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"] {
            assert_eq!(seen(&[machine, second, (file, "2147483648\n")]), GIB / 4, "{file}");
            assert_eq!(seen(&[machine, second, (file, "max\n")]), MOST, "{file}");
        }
        assert_eq!(
            seen(&[machine, ("/proc/self/cgroup", "0::/"), ("/sys/fs/cgroup/memory.max", "1073741824")]),
            GIB / 8
        );
        let first = ("/proc/self/cgroup", "11:cpu,cpuacct:/docker/1f\n9:memory,hugetlb:/docker/1f\n0::/\n");
        let own = "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes";
        assert_eq!(seen(&[machine, first, (own, "536870912\n")]), GIB / 16);
        assert_eq!(seen(&[machine, first, (own, "9223372036854771712\n")]), MOST, "version 1 says so if there is none");
        let mounted = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(seen(&[machine, first, (mounted, "536870912\n")]), GIB / 16, "the path is that of the host");
        let cpu = "/sys/fs/cgroup/cpu/docker/1f/memory.limit_in_bytes";
        assert_eq!(seen(&[machine, first, (cpu, "1\n")]), MOST, "another controller");
        for damaged in ["", "0", "0:", "x", "0::", ":::/"] {
            assert_eq!(seen(&[machine, ("/proc/self/cgroup", damaged)]), MOST, "{damaged}");
        }
    }

    #[test]
    fn this_machine_has_a_share() {
        assert!((LEAST..=MOST).contains(&share()));
    }
}
