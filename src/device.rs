//! One device at work: its processing delay and one PTM per egress port; the PFM picks the port.

use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::pfm::Pfm;
use crate::ptm::{Departure, Loss, Place, Ptm};
use crate::topology::{DeviceId, PortId, Topology};
use crate::units::{Span, Time, Timestamp};

/// A host, switch or router that forwards packets.
pub struct Device {
    id: DeviceId,
    processing: Span,
    ports: Vec<EgressPort>,
}

/// One egress port.
struct EgressPort {
    id: PortId,
    ptm: Box<dyn Ptm>,
}

/// What a batch of packets became at one egress port of a device, or at none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortTrace {
    /// The egress port; `None` for the packets that the PFM dropped.
    pub port: Option<PortId>,
    /// Who left, in order. `tau` is the packet as it reached the device.
    pub departures: Vec<Departure>,
    /// Who was lost.
    pub losses: Vec<Loss>,
}

impl Device {
    /// The device `id` of `topology`, idle, in a run of this seed that starts in 1970.
    pub fn new(topology: &Topology, id: DeviceId, seed: u64) -> Self {
        let device = topology.device(id);
        let ports = device
            .ports
            .iter()
            .map(|&port| {
                let link = topology.link(topology.port(port).egress).link;
                let place =
                    Place { link, seed, port: &topology.port_name(port), start: Timestamp::default() };
                EgressPort { id: port, ptm: topology.port(port).ptm.build(&place) }
            })
            .collect();
        Device { id, processing: device.processing, ports }
    }

    /// From ingress to egress: the PFM picks each packet's egress port, the processing delay
    /// passes, and the port's PTM says when it leaves. Gives one [`PortTrace`] per port, in the
    /// order of the device's ports, and last one for what the PFM dropped.
    ///
    /// `ingress` `[packets]` is sorted by time and ingress port; departures that are not known by
    /// `until` stay inside for the next batch.
    ///
    /// # Source
    /// `forward_trace`, which the DeepQueueNet notebook left to be written.
    pub fn forward_trace(
        &mut self,
        pfm: &Pfm<'_>,
        flows: &Flows,
        ingress: &[Tau],
        until: Time,
    ) -> Vec<PortTrace> {
        let mut joining: Vec<Vec<Tau>> = vec![Vec::new(); self.ports.len()];
        let mut unrouted = Vec::new();
        for tau in ingress {
            let mut tau = *tau;
            match self.route(pfm, flows, &mut tau) {
                Ok(position) => {
                    tau.timestamp = tau.timestamp + self.processing;
                    joining[position].push(tau);
                }
                Err(reason) => unrouted.push(Loss { tau, at: tau.timestamp, reason }),
            }
        }
        let processing = self.processing;
        let mut traces: Vec<PortTrace> = self
            .ports
            .iter_mut()
            .zip(&joining)
            .map(|(port, joining)| {
                let (mut departures, mut losses) = (Vec::new(), Vec::new());
                port.ptm.forward_trace(joining, flows, until, &mut departures, &mut losses);
                for departure in &mut departures {
                    departure.tau.timestamp = departure.tau.timestamp - processing;
                }
                for loss in &mut losses {
                    loss.tau.timestamp = loss.tau.timestamp - processing;
                }
                PortTrace { port: Some(port.id), departures, losses }
            })
            .collect();
        traces.push(PortTrace { port: None, departures: Vec::new(), losses: unrouted });
        traces
    }

    /// The position of the packet's egress port among the device's ports.
    ///
    /// # Errors
    /// The PFM's reason to drop it.
    #[inline]
    fn route(&self, pfm: &Pfm<'_>, flows: &Flows, tau: &mut Tau) -> Result<usize, DropReason> {
        let port = pfm.forward(flows, self.id, &mut tau.packet)?;
        // The ports of a device are numbered in one run; a route names a port of its own device.
        Ok(port.index() - self.ports[0].id.index())
    }
}
