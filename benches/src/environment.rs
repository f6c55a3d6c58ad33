//! The machine and the build that a figure belongs to. Reads files; what is not there is "not known", never an error.

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
    /// Load average when it began: other work on the machine.
    pub load: String,
    /// When it began, UTC.
    pub date: String,
}
