//! What a measurement costs this process, as Linux shows it in files: elsewhere there are none, and nothing is told.

/// Ticks a second in `/proc`: Linux shows 100 to every program, whatever its kernel counts in.
const TICKS: f64 = 100.0;

/// CPU time of this process with all its threads, in seconds.
pub fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses and may hold anything; the fields after it are numbers.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}
