//! Random losses: independent or in bursts.

use super::{AqmEstimate, AqmKind, Parameter, Scoring};
use crate::calibrate::sample::roundest;
use crate::ptm::{GilbertElliottLoss, LossModel, LossSpec, NetemSpec, PtmSpec};
use crate::units::Probability;

/// The maximum limit of netem, so that it loses packets only at random.
const NO_LIMIT: u64 = u32::MAX as u64;

fn netem(loss: LossSpec) -> Option<PtmSpec> {
    Some(PtmSpec::Netem(Box::new(NetemSpec { loss, limit: NO_LIMIT, ..NetemSpec::default() })))
}

fn rounded(value: f64, uncertainty: f64) -> Option<Probability> {
    Probability::new(roundest(value, uncertainty).clamp(0.0, 1.0))
}

/// Every packet is lost with the same probability.
pub(super) fn random(score: &Scoring<'_>) -> AqmEstimate {
    let queue = score.queue;
    let (hits, all) = (queue.hits(&queue.fit) as f64, queue.fit.len() as f64);
    let rate = hits / all;
    let uncertainty = 2.0 * (rate * (1.0 - rate) / all).sqrt();
    let predicted = vec![(hits + 0.5) / (all + 1.0); queue.joined.len()];
    let spec = rounded(rate, uncertainty).and_then(|loss| netem(LossSpec::Random(loss)));
    let loss = Parameter { name: "loss", value: rate, uncertainty, unit: "" };
    score.estimate(AqmKind::RandomLoss, vec![loss], &predicted, spec)
}

/// Two states, good and bad, each with a loss probability.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// Transition probability from good to bad.
    p: f64,
    /// Transition probability from bad to good.
    r: f64,
    /// Loss probability in the good and in the bad state.
    loss: [f64; 2],
}

impl Chain {
    /// The probabilities of the states after one step.
    fn step(&self, [good, bad]: [f64; 2]) -> [f64; 2] {
        [good * (1.0 - self.p) + bad * self.r, good * self.p + bad * (1.0 - self.r)]
    }

    /// The probability of a loss, packet by packet, given the earlier ones.
    fn predict(&self, lost: impl Iterator<Item = bool>) -> Vec<f64> {
        let mut state = [self.r / (self.p + self.r), self.p / (self.p + self.r)];
        lost.map(|lost| {
            state = self.step(state);
            let predicted = state[0] * self.loss[0] + state[1] * self.loss[1];
            let seen = self.loss.map(|loss| if lost { loss } else { 1.0 - loss });
            let all = (state[0] * seen[0] + state[1] * seen[1]).max(f64::MIN_POSITIVE);
            state = [state[0] * seen[0] / all, state[1] * seen[1] / all];
            predicted
        })
        .collect()
    }

    /// One step of expectation maximization.
    ///
    /// # Source
    /// L. E. Baum et al., "A Maximization Technique Occurring in the Statistical Analysis of Probabilistic
    /// Functions of Markov Chains", Annals of Mathematical Statistics 41(1), 1970.
    fn improved(&self, lost: &[bool]) -> Chain {
        let seen = |lost: bool| self.loss.map(|loss| if lost { loss } else { 1.0 - loss });
        let mut ahead = Vec::with_capacity(lost.len());
        let mut state = [self.r / (self.p + self.r), self.p / (self.p + self.r)];
        for lost in lost {
            let after = self.step(state);
            let seen = seen(*lost);
            let weighed = [after[0] * seen[0], after[1] * seen[1]];
            let all = (weighed[0] + weighed[1]).max(f64::MIN_POSITIVE);
            state = [weighed[0] / all, weighed[1] / all];
            ahead.push((state, all));
        }
        let go = [[1.0 - self.p, self.p], [self.r, 1.0 - self.r]];
        let mut behind = [1.0, 1.0];
        let (mut stays, mut moves) = ([0.0f64; 2], [0.0f64; 2]);
        let (mut visits, mut losses) = ([0.0f64; 2], [0.0f64; 2]);
        for place in (0..lost.len()).rev() {
            let (state, _) = ahead[place];
            for which in 0..2 {
                let here = state[which] * behind[which];
                visits[which] += here;
                losses[which] += if lost[place] { here } else { 0.0 };
            }
            if place == 0 {
                break;
            }
            let (before, _) = ahead[place - 1];
            let (seen, all) = (seen(lost[place]), ahead[place].1);
            for from in 0..2 {
                for to in 0..2 {
                    let taken = before[from] * go[from][to] * seen[to] * behind[to] / all;
                    if from == to { stays[from] += taken } else { moves[from] += taken }
                }
            }
            behind = [0, 1]
                .map(|from: usize| (0..2).map(|to| go[from][to] * seen[to] * behind[to]).sum::<f64>() / all);
        }
        let part = |of: f64, all: f64| (of / all.max(f64::MIN_POSITIVE)).clamp(1e-6, 1.0 - 1e-6);
        Chain {
            p: part(moves[0], moves[0] + stays[0]),
            r: part(moves[1], moves[1] + stays[1]),
            loss: [0, 1].map(|which: usize| part(losses[which], visits[which])),
        }
    }
}

/// Steps of expectation maximization. It converges slowly if the states are similar.
const STEPS: usize = 80;

/// Losses in bursts; `None` if there are too few losses.
pub(super) fn bursty(score: &Scoring<'_>) -> Option<AqmEstimate> {
    let queue = score.queue;
    if queue.hits(&queue.fit) < 20 {
        return None;
    }
    let lost: Vec<bool> = queue.joined[queue.fit.clone()].iter().map(|joined| joined.is_hit()).collect();
    let mut chain = Chain { p: 0.01, r: 0.2, loss: [0.001, 0.7] };
    for _ in 0..STEPS {
        chain = chain.improved(&lost);
    }
    let predicted = chain.predict(queue.joined.iter().map(|joined| joined.is_hit()));
    let parameter = |name, value: f64, visits: f64| {
        let uncertainty = 2.0 * (value * (1.0 - value) / visits.max(1.0)).sqrt();
        Parameter { name, value, uncertainty, unit: "" }
    };
    let bad = chain.p / (chain.p + chain.r) * lost.len() as f64;
    let good = lost.len() as f64 - bad;
    let parameters = vec![
        parameter("p", chain.p, good),
        parameter("r", chain.r, bad),
        parameter("1-h", chain.loss[1], bad),
        parameter("1-k", chain.loss[0], good),
    ];
    let probability = |place: usize| rounded(parameters[place].value, parameters[place].uncertainty);
    let model = GilbertElliottLoss {
        p: probability(0)?,
        r: Some(probability(1)?),
        loss_in_bad: probability(2)?,
        loss_in_good: probability(3)?,
    };
    let spec = netem(LossSpec::Model(LossModel::Gemodel(model)));
    Some(score.estimate(AqmKind::BurstyLoss, parameters, &predicted, spec))
}
