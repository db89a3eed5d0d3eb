//! Who else has a program on a function of the kernel, which takes so many only (`BPF_MAX_TRAMP_LINKS`, 38 on x86).
//!
//! To see other people's programs takes `CAP_SYS_ADMIN`, which the daemon gives up: so it looks once, when it
//! starts.

use std::collections::BTreeMap;

use aya::programs::{loaded_links, loaded_programs};

use super::{btf::Btf, place::Place};

/// By the function that they are on: the programs, each as `id name`.
#[derive(Debug, Default)]
pub struct Crowd(BTreeMap<String, Vec<String>>);

impl Crowd {
    /// All that are attached now, as far as this process may see them and the kernel says where they are (since
    /// 5.13).
    pub fn look(btf: &Btf) -> Self {
        let programs = loaded_programs().filter_map(Result::ok);
        let names: BTreeMap<_, _> =
            programs.map(|info| (info.id(), info.name_as_str().unwrap_or_default().to_owned())).collect();
        let mut crowd = Self::default();
        for link in loaded_links().filter_map(Result::ok) {
            let Some(function) = link.tracing_target().and_then(|id| btf.function(id)) else { continue };
            let id = link.program_id();
            let name = names.get(&id).map_or("", String::as_str);
            crowd.0.entry(function.to_owned()).or_default().push(format!("{id} {name}").trim_end().to_owned());
        }
        crowd
    }

    /// Those at this place.
    fn at(&self, place: &Place) -> Option<&[String]> {
        let (Place::Function(name) | Place::ModifyReturn(name)) = place else { return None };
        // An LSM program's place is the name of the hook, and it is on the function of this name.
        self.0.get(&format!("bpf_lsm_{name}")).or_else(|| self.0.get(name)).map(Vec::as_slice)
    }

    /// What to say where the kernel takes no more programs at a place, so that `what` is not attached there.
    pub fn full(&self, what: &str, place: &Place) -> String {
        let there = match self.at(place) {
            Some(programs) => format!("when the daemon started there were (id and name): {}", programs.join(", ")),
            None => "which, the daemon could not see when it started".to_owned(),
        };
        format!(
            "{what} is missing: the kernel takes no more programs on {place}, on which others have theirs; {there}. What \
             happens there is not judged and not blocked. It is attached as soon as one of them goes (`bpftool prog`, \
             `bpftool link`)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_named() {
        let there = vec!["12 theirs".to_owned(), "13 other".to_owned()];
        let crowd = Crowd(BTreeMap::from([("bpf_lsm_file_open".to_owned(), there)]));
        let said = crowd.full("the hook file_open", &Place::Function("file_open".into()));
        assert!(said.contains("the hook file_open is missing") && said.contains("12 theirs, 13 other"), "{said}");
        let said = crowd.full("the hook do_tee", &Place::Function("do_tee".into()));
        assert!(said.contains("could not see"), "{said}");
    }
}
