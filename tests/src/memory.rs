//! How much memory a process uses, where the system says so.

/// What the process has in memory now, in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    bytes(pid, "VmRSS:")
}

/// The most that the process has had in memory, in bytes.
pub fn peak(pid: u32) -> Option<u64> {
    bytes(pid, "VmHWM:")
}

fn bytes(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
