//! The states and the steps between them: one table.

use serde::{Deserialize, Serialize};

/// A state as a type.
pub trait State {
    /// The state as a value.
    const STAGE: Stage;
}

/// There is a step from this state to `N`.
pub trait Next<N: State> {}

/// Declares the states, and to which others each leads.
macro_rules! stages {
    ($($state:ident: $name:literal, $doc:literal => [$($next:ident),*];)+) => {
        /// Where a generation stands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Stage { $(#[doc = $doc] $state,)+ }

        impl Stage {
            /// All, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$state,)+];

            /// As people read it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$state => $name,)+ }
            }

            /// What it means.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$state => $doc,)+ }
            }

            /// Where it can lead.
            pub const fn next(self) -> &'static [Self] {
                match self { $(Self::$state => &[$(Self::$next,)*],)+ }
            }
        }

        $(
            #[doc = $doc]
            #[derive(Debug)]
            pub enum $state {}

            impl State for $state {
                const STAGE: Stage = Stage::$state;
            }
            $(impl Next<$next> for $state {})*
        )+
    };
}

stages! {
    Downloaded: "downloaded", "It is here, from anybody." => [Signed, Rejected, Denied];
    Signed: "signed", "A trusted key vouches for it." => [Checked, Rejected, Denied];
    Checked: "checked", "Its rules are sound and right by their own tests, here." => [Compiled, Rejected];
    Compiled: "compiled", "It is eBPF." => [Verified, Rejected];
    Verified: "verified", "This kernel's verifier accepted all of it." => [Shadow, Rejected];
    Shadow: "shadow", "It judges live events, counted only." => [Probation, Rejected];
    Probation: "on probation", "It is in force, and one mishap ends it." => [Good, RolledBack];
    Good: "good", "It survived its time and a reboot." => [RolledBack];
    Rejected: "rejected", "It was never in force." => [];
    RolledBack: "rolled back", "It was in force, and is no more." => [Denied];
    Denied: "denied here", "This host takes it no more, or its owner does not want it." => [];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_in_force_can_be_refused_and_whatever_is_can_be_taken_back() {
        for stage in Stage::ALL {
            let end = match stage {
                Stage::Probation | Stage::Good => Stage::RolledBack,
                Stage::RolledBack => Stage::Denied,
                Stage::Rejected | Stage::Denied => continue,
                _ => Stage::Rejected,
            };
            assert!(stage.next().contains(&end), "{stage:?}");
        }
    }

    #[test]
    fn nothing_is_in_force_that_was_not_verified_and_in_the_shadow() {
        let before = |stage: Stage| Stage::ALL.iter().filter(move |from| from.next().contains(&stage));
        for (stage, only) in
            [(Stage::Good, Stage::Probation), (Stage::Probation, Stage::Shadow), (Stage::Shadow, Stage::Verified)]
        {
            assert!(before(stage).eq([&only]), "{stage:?}");
        }
    }
}
