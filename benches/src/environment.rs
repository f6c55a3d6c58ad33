//! The machine and the build that a figure belongs to. Reads files; what is not there is "not known", never an error.

use std::fs;
use std::path::Path;

use crate::measure::{Build, Pin};

/// What stands where a fact could not be read.
pub const NOT_KNOWN: &str = "not known";

/// Where and from what a measurement was made. Every field is text for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Environment {
    /// Model name of the CPU with family, model and stepping.
    pub cpu: String,
    /// Cores that this process may use, of those that are online.
    pub cores: String,
    /// The core that the measured thread was pinned to, or why to none.
    pub pinned: String,
    /// Frequency governor.
    pub governor: String,
    /// Whether the clock may rise above its nominal rate.
    pub turbo: String,
    /// Cores kept free of the scheduler.
    pub isolated: String,
    /// NUMA nodes.
    pub numa: String,
    /// Kernel release.
    pub kernel: String,
    /// Mitigations of CPU vulnerabilities that are in force.
    pub mitigations: String,
    /// Transparent huge pages.
    pub huge_pages: String,
    /// Memory in all.
    pub memory: String,
    /// Memory allocator of the program.
    pub allocator: String,
    /// Compiler and profile.
    pub compiler: String,
    /// Version of `bist`.
    pub version: String,
    /// Commit, with `-dirty` when files differed from it.
    pub commit: String,
    /// Container and virtual machine.
    pub container: String,
    /// Load average over one minute when it began: other work on the machine.
    pub load: String,
    /// When it began, UTC.
    pub date: String,
}

impl Environment {
    /// Looks at this machine. `build` is what the program knows of itself, `pin` where the measured thread runs.
    #[must_use]
    pub fn read(build: &Build, pin: &Pin) -> Self {
        let cpuinfo = text("/proc/cpuinfo").unwrap_or_default();
        let known = |value: Option<String>| value.unwrap_or_else(|| NOT_KNOWN.to_owned());
        Self {
            cpu: known(cpu(&cpuinfo)),
            cores: known(cores(pin)),
            pinned: pin.to_string(),
            governor: known(text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            turbo: known(turbo()),
            isolated: known(text("/sys/devices/system/cpu/isolated").map(|list| or_none(&list))),
            numa: known(text("/sys/devices/system/node/online").map(|list| format!("nodes {list}"))),
            kernel: known(text("/proc/sys/kernel/osrelease")),
            mitigations: known(mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities"))),
            huge_pages: known(text("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|modes| chosen(&modes))),
            memory: known(memory()),
            allocator: "system".to_owned(),
            compiler: format!("{}, {} profile", build.compiler, build.profile),
            version: build.version.to_owned(),
            commit: build.commit.to_owned(),
            container: container(&cpuinfo),
            load: known(text("/proc/loadavg").and_then(|line| Some(line.split(' ').next()?.to_owned()))),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }

    /// Every fact with its name, for tables.
    #[must_use]
    pub fn facts(&self) -> [(&'static str, &str); 18] {
        [
            ("cpu", &self.cpu),
            ("cores", &self.cores),
            ("pinned", &self.pinned),
            ("governor", &self.governor),
            ("turbo", &self.turbo),
            ("isolated cores", &self.isolated),
            ("numa", &self.numa),
            ("kernel", &self.kernel),
            ("mitigations", &self.mitigations),
            ("huge pages", &self.huge_pages),
            ("memory", &self.memory),
            ("allocator", &self.allocator),
            ("compiler", &self.compiler),
            ("version", &self.version),
            ("commit", &self.commit),
            ("container", &self.container),
            ("load average", &self.load),
            ("date", &self.date),
        ]
    }

    /// Facts that differ and that figures depend on: not the commit, the date or the load.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let may_differ = ["version", "commit", "date", "load average"];
        let both = self.facts().into_iter().zip(other.facts());
        both.filter(|((name, one), (_, two))| one != two && !may_differ.contains(name))
            .map(|((name, one), (_, two))| format!("{name}: {one} / {two}"))
            .collect()
    }
}

/// A small file without its last line break; `None` when it cannot be read.
fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn or_none(list: &str) -> String {
    if list.is_empty() { "none".to_owned() } else { list.to_owned() }
}

/// Value of a `name : value` line of `/proc/cpuinfo` or `/proc/meminfo`.
fn field<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    lines.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

fn cpu(cpuinfo: &str) -> Option<String> {
    let part = |name| field(cpuinfo, name);
    let name = part("model name").or_else(|| part("Model")).or_else(|| part("Processor"))?;
    Some(match (part("cpu family"), part("model"), part("stepping")) {
        (Some(family), Some(model), Some(stepping)) => {
            format!("{name} (family {family}, model {model}, stepping {stepping})")
        }
        _ => name.to_owned(),
    })
}

fn cores(pin: &Pin) -> Option<String> {
    let online = text("/sys/devices/system/cpu/online")?;
    let allowed: Vec<String> = pin.allowed.iter().map(ToString::to_string).collect();
    Some(format!("{} allowed ({}), online {online}", allowed.len(), allowed.join(", ")))
}

fn turbo() -> Option<String> {
    let states =
        [("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"), ("/sys/devices/system/cpu/cpufreq/boost", "1")];
    states.iter().find_map(|(file, on)| Some(if text(file)? == *on { "on".to_owned() } else { "off".to_owned() }))
}

/// The mode in brackets.
fn chosen(modes: &str) -> Option<String> {
    Some(modes.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn memory() -> Option<String> {
    let meminfo = text("/proc/meminfo")?;
    let kib: u64 = field(&meminfo, "MemTotal")?.trim_end_matches(" kB").parse().ok()?;
    Some(format!("{} MiB", kib / 1_024))
}

/// Names of vulnerabilities that cost something, and those that are open; the rest ("Not affected") says nothing.
fn mitigations(folder: &Path) -> Option<String> {
    let mut mitigated = Vec::new();
    let mut open = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let state = text(entry.path()).unwrap_or_default();
        if state.starts_with("Mitigation") {
            mitigated.push(name);
        } else if state.starts_with("Vulnerable") {
            open.push(name);
        }
    }
    mitigated.sort();
    open.sort();
    Some(format!("on: {}; vulnerable: {}", or_none(&mitigated.join(", ")), or_none(&open.join(", "))))
}

fn container(cpuinfo: &str) -> String {
    let cgroup = text("/proc/1/cgroup").unwrap_or_default();
    let engines = ["docker", "kubepods", "containerd", "lxc", "podman"];
    let inside = Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || engines.iter().any(|engine| cgroup.contains(engine));
    let virtual_machine =
        field(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let machine = match (virtual_machine, text("/sys/class/dmi/id/sys_vendor")) {
        (true, Some(vendor)) if !vendor.is_empty() => format!("virtual machine ({vendor})"),
        (true, _) => "virtual machine".to_owned(),
        (false, _) => "no hypervisor seen".to_owned(),
    };
    format!("{}, {machine}", if inside { "in a container" } else { "no container seen" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Core;

    #[test]
    fn every_fact_has_a_value_and_missing_files_are_not_known() {
        let environment = Environment::read(&Build::default(), &Pin::choose(Core::Unpinned).unwrap());
        for (name, value) in environment.facts() {
            assert!(!value.is_empty(), "{name}");
        }
        assert_eq!(text("/no/such/file"), None);
        assert_eq!(mitigations(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn lines_of_proc_are_read_by_name() {
        let cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: X 1\nstepping\t: 1\n";
        assert_eq!(cpu(cpuinfo).unwrap(), "X 1 (family 25, model 17, stepping 1)");
        assert_eq!(cpu("processor: 0"), None);
        assert_eq!(chosen("always [madvise] never").unwrap(), "madvise");
    }

    #[test]
    fn only_facts_that_figures_depend_on_are_differences() {
        let pin = Pin::choose(Core::Unpinned).unwrap();
        let one = Environment::read(&Build::default(), &pin);
        let two = Environment { commit: "other".into(), kernel: "other".into(), ..one.clone() };
        assert_eq!(one.differences(&two).len(), 1);
    }
}
