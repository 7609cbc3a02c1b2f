//! Resolves the senders and receivers of an entry: hosts by name, and matrices over hosts.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexSet;

use super::pace::access;
use super::{Resolved, Told};
use crate::config::{Spanned, listed};
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, DeviceKind, NameError, Topology};
use crate::traffic::matrix::{self, GravityWeights, MatrixName, MatrixSpec, MatrixTable, Row};
use crate::traffic::{HostNames, Mistake, positive};
use crate::units::Bandwidth;

/// The senders and receivers of an entry.
pub(super) struct Parties {
    pub hosts: Arc<[DeviceId]>,
    pub rows: Vec<Row>,
    /// A warning if the matrix differs from what its name suggests.
    pub warning: Option<String>,
}

/// The keys of an entry that name its senders and receivers.
pub(super) struct PartyKeys<'a> {
    /// The position of the entry in the file.
    pub span: Range<usize>,
    /// The name of the entry.
    pub label: &'a str,
    pub topology: &'a Arc<Topology>,
    pub seed: u64,
    pub from: Option<&'a Spanned<HostNames>>,
    pub to: Option<&'a Spanned<HostNames>>,
    pub matrix: Option<&'a Spanned<MatrixSpec>>,
    pub hosts: Option<&'a Spanned<Vec<Spanned<String>>>>,
}

impl Reader<'_> {
    /// Resolves the senders and receivers.
    pub(super) fn parties(&mut self, entry: &PartyKeys<'_>) -> Resolved<Parties> {
        let parties = self.parties_of(entry)?;
        self.note_unreachable(entry.label, &parties, entry.topology);
        Ok(parties)
    }

    fn parties_of(&mut self, entry: &PartyKeys<'_>) -> Resolved<Parties> {
        match (entry.from, entry.to, entry.matrix, entry.hosts) {
            (Some(from), Some(to), None, None) => self.pairs(entry, from, to),
            (None, None, Some(matrix), hosts) => self.matrix(entry, matrix, hosts),
            (from, to, matrix, hosts) => {
                let extra = hosts.filter(|_| matrix.is_none()).map(Spanned::span);
                let beside = matrix.and(from.or(to)).map(Spanned::span);
                let one = if to.is_some() { "`from` is" } else { "`to` is" };
                let (span, message) = match (extra, beside) {
                    (Some(span), _) => (span, "`hosts` needs a `matrix`, and there is none".to_owned()),
                    (_, Some(span)) => {
                        (span, "the `matrix` already names the senders and receivers".to_owned())
                    }
                    _ if from.is_some() || to.is_some() => (entry.span.clone(), format!("{one} missing")),
                    _ => (entry.span.clone(), "the entry does not say which host sends to which".to_owned()),
                };
                let help = "write `from` and `to`, or a `matrix`, with `hosts` if it covers only some hosts";
                Err(self.told(Mistake::new(span, message).with_help(help)))
            }
        }
    }

    /// Each host of `from` sends to each host of `to` but itself.
    fn pairs(
        &mut self,
        entry: &PartyKeys<'_>,
        from: &Spanned<HostNames>,
        to: &Spanned<HostNames>,
    ) -> Resolved<Parties> {
        let senders = self.hosts_named(&HostNames::each(from), entry.topology);
        let receivers = self.hosts_named(&HostNames::each(to), entry.topology);
        let (senders, receivers) = (senders?, receivers?);
        let hosts: IndexSet<DeviceId> = senders.iter().chain(&receivers).copied().collect();
        let receivers: Vec<usize> = receivers.iter().filter_map(|host| hosts.get_index_of(host)).collect();
        if let (1, Some(alone)) = (receivers.len(), receivers.first().filter(|host| **host < senders.len())) {
            let name = &entry.topology.device(hosts[*alone]).name;
            let mistake = Mistake::new(to.span(), format!("`{name}` cannot send to itself"));
            return Err(self.told(mistake.with_help("name another host in `to`")));
        }
        let rows = matrix::pairs(senders.len(), &receivers);
        Ok(Parties { hosts: hosts.into_iter().collect(), rows, warning: None })
    }

    /// Hosts by name, none of them twice.
    fn hosts_named(&mut self, names: &[Spanned<String>], topology: &Topology) -> Resolved<Vec<DeviceId>> {
        let mut hosts = IndexSet::new();
        for name in names {
            let host = self.host(name, topology).ok_or(Told)?;
            if !hosts.insert(host) {
                let message = format!("`{}` is there twice", name.get_ref());
                return Err(self.told(Mistake::new(name.span(), message)));
            }
        }
        Ok(hosts.into_iter().collect())
    }

    fn matrix(
        &mut self,
        entry: &PartyKeys<'_>,
        spec: &Spanned<MatrixSpec>,
        named: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Resolved<Parties> {
        let topology = entry.topology;
        let hosts = match named {
            Some(names) => self.hosts_named(names.get_ref(), topology)?,
            None => {
                let all = topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
                all.map(|(id, _)| id).collect()
            }
        };
        if hosts.len() < 2 {
            let span = named.map_or(spec.span(), Spanned::span);
            let message = format!("a matrix needs two hosts or more, and there is {}", hosts.len());
            return Err(self.told(Mistake::new(span, message)));
        }
        let mut warning = None;
        let rows = match spec.get_ref() {
            MatrixSpec::Named(MatrixName::Uniform | MatrixName::AllToAll) => matrix::uniform(hosts.len()),
            MatrixSpec::Named(MatrixName::Permutation) => {
                matrix::permutation(hosts.len(), entry.seed, entry.label)
            }
            MatrixSpec::Named(MatrixName::Gravity) => {
                let bandwidths = hosts.iter().map(|host| {
                    let (port, link) = access(topology, *host);
                    match (port, link.map(|link| link.bandwidth)) {
                        (Some(_), Some(Bandwidth::Limited(rate))) => Ok(rate.as_bps() as f64),
                        (Some(port), _) => {
                            Err(format!("`{}` has unlimited bandwidth", topology.port_name(port)))
                        }
                        (None, _) => Err(format!("`{}` has no link", topology.device(*host).name)),
                    }
                });
                let bandwidths: Vec<f64> = bandwidths.collect::<Result<_, _>>().map_err(|message| {
                    let help = "write weights: matrix = { gravity = { h0 = 1, h1 = 2.5 } }";
                    self.told(Mistake::new(spec.span(), message).with_help(help))
                })?;
                warning = all_equal(&bandwidths).then(|| {
                    format!(
                        "traffic `{}`: gravity over hosts of equal bandwidth is uniform; for another matrix write \
                         weights, such as matrix = {{ gravity = {{ h0 = 1, h1 = 2.5 }} }}",
                        entry.label
                    )
                });
                matrix::gravity(&bandwidths)
            }
            MatrixSpec::Table(MatrixTable { gravity: Some(weights), file: None, scale: None }) => {
                let weights = self.weights(weights, &hosts, topology, spec.span())?;
                warning = all_equal(&weights)
                    .then(|| format!("traffic `{}`: gravity over equal weights is uniform", entry.label));
                matrix::gravity(&weights)
            }
            MatrixSpec::Table(MatrixTable { gravity: None, file: Some(file), .. }) => {
                matrix::demanded(&self.demands(file, &hosts, topology)?)
            }
            MatrixSpec::Table(_) => {
                let message =
                    "a matrix is either a `file`, with or without a `scale`, or weights for `gravity`";
                return Err(self.told(Mistake::new(spec.span(), message)));
            }
        };
        Ok(Parties { hosts: hosts.into(), rows, warning })
    }

    /// The weight of each host.
    fn weights(
        &mut self,
        named: &GravityWeights,
        hosts: &[DeviceId],
        topology: &Topology,
        span: Range<usize>,
    ) -> Resolved<Vec<f64>> {
        let mut weights = vec![None; hosts.len()];
        for (name, weight) in &named.0 {
            let host = self.host(name, topology).ok_or(Told)?;
            let Some(position) = hosts.iter().position(|known| *known == host) else {
                let message = format!("`{}` is not among `hosts`", name.get_ref());
                return Err(self.told(Mistake::new(name.span(), message)));
            };
            let value = positive(weight, "a weight").map_err(|mistake| self.told(mistake))?;
            weights[position] = Some(value);
        }
        let missing = hosts.iter().zip(&weights).filter(|(_, weight)| weight.is_none());
        let missing: Vec<&str> = missing.map(|(host, _)| topology.device(*host).name.as_str()).collect();
        if !missing.is_empty() {
            let message = format!("the weight of {} is missing", listed(missing));
            let help = "write a weight for each host of the entry, or name fewer `hosts`";
            return Err(self.told(Mistake::new(span, message).with_help(help)));
        }
        Ok(weights.into_iter().flatten().collect())
    }

    /// The demands in a file, by positions in the list of hosts.
    fn demands(
        &mut self,
        file: &Spanned<PathBuf>,
        hosts: &[DeviceId],
        topology: &Topology,
    ) -> Resolved<Vec<(usize, usize, f64)>> {
        let path = self.file(file).ok_or(Told)?;
        self.inputs.push(path.clone());
        let help = "its columns are `source`, `destination` and `bandwidth_bps`";
        let demands = matrix::read_demands(&path)
            .map_err(|message| self.told(Mistake::new(file.span(), message).with_help(help)))?;
        let position = |name: &str| {
            let host = topology.device_named(name)?;
            hosts.iter().position(|known| *known == host)
        };
        let mut resolved = Vec::with_capacity(demands.len());
        for demand in &demands {
            let pair = [&demand.source, &demand.destination].map(|name| position(name).ok_or(name));
            match pair {
                [Ok(from), Ok(to)] => resolved.push((from, to, demand.bandwidth_bps)),
                [Err(name), _] | [_, Err(name)] => {
                    let message =
                        format!("`{}` names `{name}`, which is not a host of this entry", path.display());
                    return Err(self.told(Mistake::new(file.span(), message)));
                }
            }
        }
        Ok(resolved)
    }

    pub(super) fn host(&mut self, name: &Spanned<String>, topology: &Topology) -> Option<DeviceId> {
        let hosts = || {
            topology
                .devices()
                .map(|(_, device)| device)
                .filter(|device| device.kind == DeviceKind::Host)
                .map(|device| device.name.as_str())
        };
        match topology.device_named(name.get_ref()) {
            Some(id) if topology.device(id).kind == DeviceKind::Host => Some(id),
            Some(_) => {
                let message = format!("`{}` is not a host: it forwards only", name.get_ref());
                let names = hosts().collect::<Vec<_>>();
                let help = format!("hosts: {}", listed(names));
                self.wrong(name.span(), message, Some(help));
                None
            }
            None => {
                let known = hosts().collect::<Vec<_>>();
                let error = NameError::device(name.get_ref(), known.iter().copied());
                self.wrong(name.span(), error.to_string(), Some(error.help().to_owned()));
                None
            }
        }
    }
}

/// Whether three or more weights are equal. With two hosts the weights do not matter.
fn all_equal(weights: &[f64]) -> bool {
    weights.len() > 2 && weights.windows(2).all(|pair| pair[0] == pair[1])
}
