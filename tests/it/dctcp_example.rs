//! ns-3's `dctcp-example` in `scenarios/dctcp-example.toml`: goodput, fairness and queues of the last of five
//! seconds, compared with ns-3's.

use std::ops::ControlFlow;
use std::path::Path;

use taunet::engine::{Hop, Observed, Observer};
use taunet::scenario::Scenario;
use taunet::table::MemoryTables;
use taunet::topology::{PortId, PortName};
use taunet::units::Time;

/// The end of the warm-up.
const MEASURED_FROM: Time = Time::from_ps(4_000_000_000_000);

/// What packets waited in RED at the two bottlenecks, and which were marked there.
struct Watch {
    bottlenecks: [PortId; 2],
    /// Seconds, and packets.
    waits: [(f64, u64); 2],
}

impl Observer for &mut Watch {
    fn hop(&mut self, hop: &Hop) -> Observed {
        for (port, wait) in self.bottlenecks.iter().zip(&mut self.waits) {
            if hop.port == *port && hop.joined >= MEASURED_FROM {
                *wait = (wait.0 + hop.egress.since(hop.joined).as_seconds_f64(), wait.1 + 1);
            }
        }
        Ok(())
    }
}

/// Network, RED and flows are ns-3's. Goodputs of the groups are 24, 470 and 72 Mbps in ns-3.37: its receivers lose marks where they delay
/// an acknowledgement. They are 31, 466 and 66 Mbps where they acknowledge each segment (`benches/peers/ns3/dctcp.cc`).
#[test]
fn figures_of_the_dctcp_example() {
    let scenario = Scenario::load(Path::new("scenarios/dctcp-example.toml"), &[], None).unwrap();
    let port = |(device, number)| scenario.topology.port_named(&PortName::new(device, number)).unwrap();
    let mut watch = Watch { bottlenecks: [("t1", 0), ("t2", 1)].map(port), waits: [(0.0, 0); 2] };
    let open = scenario.open(&Default::default()).unwrap();
    let results = open.run(&MemoryTables::default(), &mut watch, |_| ControlFlow::Continue(())).unwrap();
    let near = |found: f64, wanted: f64, part: f64| (found / wanted - 1.0).abs() < part;
    let [fast, slow] = watch.waits.map(|(sum, packets)| sum / packets as f64 * 1e6);
    println!("waits of {fast:.0} us and {slow:.0} us");
    assert!(near(fast, 211.0, 0.1) && near(slow, 911.0, 0.1), "{fast} us, {slow} us");
    let groups = &results.summary.tcp;
    assert_eq!(groups.iter().map(|group| group.flows).collect::<Vec<_>>(), [10, 20, 10]);
    let goodputs = groups.iter().map(|group| group.goodput_bps.unwrap() / group.flows as f64 / 1e6);
    let goodputs: Vec<f64> = goodputs.collect();
    for (group, goodput) in groups.iter().zip(&goodputs) {
        println!("{}: {goodput:.1} Mbps, Jain's index {:.4}", group.entry, group.jain.unwrap());
        assert!(group.jain.unwrap() > 0.99 && group.retransmissions == 0, "{group:?}");
    }
    assert!(near(goodputs[1], 471.0, 0.05), "{goodputs:?}");
    assert!(near(goodputs[0] + goodputs[2], 23.9 + 72.5, 0.02), "{goodputs:?}");
    assert!(near(goodputs[0], 30.8, 0.15) && near(goodputs[2], 65.6, 0.15), "{goodputs:?}");
    // Senders count each mark.
    let marked = results.summary.marked;
    let counted: u64 = groups.iter().map(|group| group.delivered_ce).sum();
    println!("{counted} of {marked} marks counted");
    assert!(near(counted as f64, marked as f64, 0.001), "{counted} of {marked}");
}
