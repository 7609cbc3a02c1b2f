//! The disciplines inside a discipline. Only this module lists which disciplines contain others.

use super::PtmSpec;
use super::htb::HtbClass;

/// Defines the two traversals, by `&` and by `&mut`, from one list.
macro_rules! walks {
    ($each:ident, $inner:ident, $of_classes:ident, $iter:ident, $as_deref:ident $(, $mut:tt)?) => {
        impl PtmSpec {
            /// Calls `visit` on this discipline and every discipline inside, at any depth: outer ones first,
            /// classes in order.
            pub fn $each(&$($mut)? self, visit: &mut dyn FnMut(&$($mut)? PtmSpec)) {
                visit(self);
                self.$inner(&mut |ptm| ptm.$each(visit));
            }

            /// Calls `visit` on the disciplines directly inside, classes in order.
            pub fn $inner(&$($mut)? self, visit: &mut dyn FnMut(&$($mut)? PtmSpec)) {
                match self {
                    PtmSpec::TokenBucket(spec) => spec.ptm.$as_deref().into_iter().for_each(visit),
                    PtmSpec::Netem(spec) => spec.ptm.$as_deref().into_iter().for_each(visit),
                    PtmSpec::Priority(spec) => {
                        spec.class.$iter().filter_map(|class| class.ptm.$as_deref()).for_each(visit);
                    }
                    PtmSpec::Drr(spec) => {
                        spec.class.$iter().filter_map(|class| class.ptm.$as_deref()).for_each(visit);
                    }
                    PtmSpec::Ets(spec) => {
                        spec.class.$iter().filter_map(|class| class.ptm.$as_deref()).for_each(visit);
                    }
                    PtmSpec::Wrr(spec) => {
                        spec.class.$iter().filter_map(|class| class.ptm.$as_deref()).for_each(visit);
                    }
                    PtmSpec::Wfq(spec) => {
                        spec.class.$iter().filter_map(|class| class.ptm.$as_deref()).for_each(visit);
                    }
                    PtmSpec::Htb(spec) => $of_classes(&$($mut)? spec.class, visit),
                    PtmSpec::Fifo(_)
                    | PtmSpec::Red(_)
                    | PtmSpec::Codel(_)
                    | PtmSpec::FqCodel(_)
                    | PtmSpec::Cake(_)
                    | PtmSpec::Fq(_)
                    | PtmSpec::Sfq(_)
                    | PtmSpec::Pie(_)
                    | PtmSpec::FqPie(_)
                    | PtmSpec::Neural(_)
                    | PtmSpec::Custom(_) => {}
                }
            }
        }

        /// The disciplines in a hierarchy of classes, in the order of the file.
        fn $of_classes(classes: &$($mut)? [HtbClass], visit: &mut dyn FnMut(&$($mut)? PtmSpec)) {
            for class in classes {
                class.ptm.$as_deref().into_iter().for_each(&mut *visit);
                $of_classes(&$($mut)? class.class, visit);
            }
        }
    };
}
walks!(each, inner, of_classes, iter, as_deref);
walks!(each_mut, inner_mut, of_classes_mut, iter_mut, as_deref_mut, mut);

#[cfg(test)]
mod tests {
    use crate::ptm::PtmSpec;
    use crate::ptm::testing::spec;

    /// The disciplines that contain others in their classes; `htb`, whose classes can be nested, is separate.
    const IN_CLASSES: [&str; 5] = ["priority", "drr", "ets", "wrr", "wfq"];
    /// Those that contain one in their `ptm`, with the keys that they need.
    const IN_PTM: [&str; 2] = ["\"netem\"", "\"token-bucket\"\nrate = \"1 Mbps\"\nburst = \"2 kB\""];

    /// Counts the disciplines, and those that are `codel`.
    fn count(ptm: &PtmSpec) -> (usize, usize) {
        let (mut all, mut codel) = (0, 0);
        ptm.each(&mut |ptm| {
            all += 1;
            codel += usize::from(matches!(ptm, PtmSpec::Codel(_)));
        });
        (all, codel)
    }

    /// Replaces each `codel` by a FIFO, and counts as [`count`] does.
    fn replaced(mut ptm: PtmSpec) -> (usize, usize) {
        ptm.each_mut(&mut |ptm| {
            if matches!(ptm, PtmSpec::Codel(_)) {
                *ptm = PtmSpec::default();
            }
        });
        count(&ptm)
    }

    #[test]
    fn every_discipline_inside_is_shown() {
        let two =
            "[{ match = { dscp = 46 }, ptm = { kind = \"codel\" } }, {}, { ptm = { kind = \"codel\" } }]";
        let htb =
            two.replace("{ match", "{ rate = \"1 Mbps\", match").replace("{ ptm", "{ rate = \"1 Mbps\", ptm");
        let htb = htb.replace("{}", "{ rate = \"1 Mbps\" }");
        let nested = format!("kind = \"htb\"\nclass = [{{ rate = \"1 Mbps\", class = {htb} }}]");
        let classful = IN_CLASSES.map(|kind| format!("kind = \"{kind}\"\nclass = {two}"));
        for toml in classful.into_iter().chain([nested]) {
            let holder = spec(&toml);
            assert_eq!(count(&holder), (3, 2), "{toml}");
            assert_eq!(replaced(holder), (3, 0), "{toml}");
        }
        for keys in IN_PTM {
            let holder = spec(&format!("kind = {keys}\nptm = {{ kind = \"codel\" }}"));
            assert_eq!(count(&holder), (2, 1), "{keys}");
            assert_eq!(replaced(holder), (2, 0), "{keys}");
        }
    }

    #[test]
    fn at_any_depth_the_outer_ones_come_first() {
        let toml = r#"
            kind = "netem"
            ptm = { kind = "priority", class = [
                { match = { dscp = 46 }, ptm = { kind = "drr", class = [{ ptm = { kind = "codel" } }] } },
                { ptm = { kind = "pie" } },
            ] }
        "#;
        let mut kinds = Vec::new();
        spec(toml).each(&mut |ptm| {
            kinds.push(match ptm {
                PtmSpec::Netem(_) => "netem",
                PtmSpec::Priority(_) => "priority",
                PtmSpec::Drr(_) => "drr",
                PtmSpec::Codel(_) => "codel",
                PtmSpec::Pie(_) => "pie",
                _ => "another",
            });
        });
        assert_eq!(kinds, ["netem", "priority", "drr", "codel", "pie"]);
    }
}
