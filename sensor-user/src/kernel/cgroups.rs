//! Which hierarchies of cgroups the host uses. Rules see the unified one only (cgroup v2).

use std::fs;

use sensor_rules::RuleSet;

/// The fields that say in which cgroup a process is.
const FIELDS: &[&str] = &["process.cgroup", "process.cgroup_path"];

/// What of them is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchies {
    /// The unified one only.
    Unified,
    /// Both: processes have a place in each, and a container runtime may use the old ones only.
    Both,
    /// The old ones only (cgroup v1).
    Old,
    /// None.
    Nothing,
}

impl Hierarchies {
    /// Those of this host, as far as this process sees them.
    pub fn of_this_host() -> Self {
        Self::mounted(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Those in the text of a `mountinfo`.
    fn mounted(mounts: &str) -> Self {
        // Behind the separator come the kind, the source and the options of a file system.
        let kinds = mounts.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
        let (mut unified, mut old) = (false, false);
        for kind in kinds {
            unified |= kind == "cgroup2";
            old |= kind == "cgroup";
        }
        match (unified, old) {
            (true, false) => Self::Unified,
            (true, true) => Self::Both,
            (false, true) => Self::Old,
            (false, false) => Self::Nothing,
        }
    }

    /// What is wrong with them for rules on cgroups, and what to do; `None` where nothing is.
    pub const fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Unified => None,
            Self::Both => Some(
                "this host uses cgroup v1 beside v2: a container has a `process.cgroup_path` of its own only if its \
                 runtime makes one in v2; boot with systemd.unified_cgroup_hierarchy=1",
            ),
            Self::Old => Some(
                "this host uses cgroup v1: every process has the `process.cgroup_path` /, so no rule on containers \
                 matches; boot with systemd.unified_cgroup_hierarchy=1",
            ),
            Self::Nothing => Some(
                "no cgroups are mounted: every process has the `process.cgroup_path` /, so no rule on containers \
                 matches; mount them (mount -t cgroup2 cgroup2 /sys/fs/cgroup)",
            ),
        }
    }

    /// What is to be said of rules that ask for a cgroup here; `None` where none does, or they see it.
    pub fn warning(self, rules: &RuleSet) -> Option<String> {
        let trouble = self.trouble()?;
        let names: Vec<_> = rules.reading(FIELDS).map(|rule| rule.id.as_str()).collect();
        (!names.is_empty()).then(|| format!("rules that ask for cgroups ({}): {trouble}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use sensor_rules::{Options, Source, check};

    use super::*;

    const UNIFIED: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const OLD: &str = "30 29 0:27 / /sys/fs/cgroup/pids rw shared:10 - cgroup cgroup rw,pids\n";
    const OTHER: &str = "22 1 8:1 / / rw - ext4 /dev/cgroup2 rw\n";

    fn rules(condition: &str) -> RuleSet {
        let text = format!(
            "rules: [{{id: in-a-container, title: t, severity: low, on: [fifo.create], condition: \"{condition}\"}}]"
        );
        check(&[Source { name: "rules.yaml".into(), text: text.into() }], Options::default()).unwrap()
    }

    #[test]
    fn hierarchies_are_told_by_what_is_mounted() {
        let mounted = |texts: &[&str]| Hierarchies::mounted(&texts.concat());
        assert_eq!(mounted(&[OTHER, UNIFIED]), Hierarchies::Unified);
        assert_eq!(mounted(&[OTHER, OLD]), Hierarchies::Old);
        assert_eq!(mounted(&[OLD, UNIFIED]), Hierarchies::Both);
        assert_eq!(mounted(&[OTHER]), Hierarchies::Nothing);
    }

    #[test]
    fn only_rules_that_ask_for_cgroups_are_warned_of_and_only_where_they_see_none() {
        let (asking, other) = (rules("process.cgroup_path.startsWith('/docker/')"), rules("process.uid == 0"));
        for hierarchies in [Hierarchies::Old, Hierarchies::Both, Hierarchies::Nothing] {
            let warning = hierarchies.warning(&asking).unwrap();
            assert!(
                warning.contains("(in-a-container): ") && warning.contains("mount") || warning.contains("boot with")
            );
            assert_eq!(hierarchies.warning(&other), None);
        }
        assert_eq!(Hierarchies::Unified.warning(&asking), None);
    }
}
