//! Writes a draft as a topology file.

use super::impairment::{JitterFile, span_text};
use super::{DeviceKind, Draft, DraftDevice, DraftLink, DraftTiming, Position};
use crate::config::toml_value;
use crate::topology::generate::GenerateSpec;
use crate::units::{Bandwidth, Distance, Span};

/// The content of a topology file besides devices and links.
#[derive(Debug, Clone, Default)]
pub struct FileText {
    /// The opening comment, line by line.
    pub comment: Vec<String>,
    /// The topology's name.
    pub name: String,
    /// The table `[generate]`.
    pub generate: Option<GenerateSpec>,
    /// The table `[defaults.link]`.
    pub link: TimingText,
    /// The table `[defaults.access_link]`.
    pub access_link: TimingText,
}

/// Defaults of links, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimingText {
    /// The bandwidth.
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay.
    pub delay: Option<Span>,
    /// The length.
    pub length: Option<Distance>,
}

impl FileText {
    /// The text of a topology file with the devices and links of `draft`.
    pub fn with(&self, draft: &Draft) -> String {
        let mut text = String::new();
        let mut line = |written: String| {
            text.push_str(&written);
            text.push('\n');
        };
        for comment in &self.comment {
            // A line break in a comment would end it.
            let comment = comment.replace(char::is_control, " ");
            line(format!("# {comment}").trim_end().to_owned());
        }
        line(format!("name = {}", toml_value(&self.name)));
        if let Some(generate) = &self.generate {
            line("\n[generate]".to_owned());
            generate.toml_lines().into_iter().for_each(&mut line);
        }
        for (name, timing) in [("link", &self.link), ("access_link", &self.access_link)] {
            let keys = timing.keys();
            if !keys.is_empty() {
                line(format!("\n[defaults.{name}]"));
                keys.into_iter().for_each(&mut line);
            }
        }
        draft.devices.iter().flat_map(DraftDevice::lines).for_each(&mut line);
        draft.links.iter().flat_map(DraftLink::lines).for_each(&mut line);
        text
    }
}

impl TimingText {
    fn keys(self) -> Vec<String> {
        let TimingText { bandwidth, delay, length } = self;
        DraftTiming { bandwidth, delay, length, ..DraftTiming::default() }.keys()
    }
}

impl DraftTiming {
    fn keys(self) -> Vec<String> {
        let keys = [
            self.bandwidth.map(|bandwidth| format!("bandwidth = {}", toml_value(&bandwidth))),
            self.delay.map(|delay| format!("delay = {}", span_text(delay))),
            // A delay replaces the length, and a file may not set both.
            self.length
                .filter(|_| self.delay.is_none())
                .map(|length| format!("length = {}", toml_value(&length))),
            self.loss.map(|loss| format!("loss = {}", toml_value(&loss))),
            self.jitter.map(|jitter| format!("jitter = {}", JitterFile::of(jitter, &(0..0)).to_toml())),
            self.buffer
                .map(|buffer| format!("ptm = {{ kind = \"fifo\", buffer = {} }}", toml_value(&buffer))),
        ];
        keys.into_iter().flatten().collect()
    }
}

impl DraftDevice {
    fn lines(&self) -> Vec<String> {
        let kind = match self.kind {
            DeviceKind::Host => "host",
            DeviceKind::Switch => "switch",
            DeviceKind::Router => "router",
        };
        let mut lines = vec![
            "\n[[device]]".to_owned(),
            format!("name = {}", toml_value(&self.name)),
            format!("kind = {}", toml_value(&kind)),
        ];
        if !self.addresses.is_empty() {
            let text = |net: &ipnet::IpNet| match net.prefix_len() == net.max_prefix_len() {
                true => net.addr().to_string(),
                false => net.to_string(),
            };
            let addresses = self.addresses.iter().map(text).collect::<Vec<_>>();
            lines.push(format!("addresses = {}", toml_value(&addresses)));
        }
        match self.position {
            Some(Position::Geographic { latitude, longitude }) => {
                let [latitude, longitude] = [latitude, longitude].map(|degrees| toml_value(&degrees));
                lines.push(format!("position = {{ latitude = {latitude}, longitude = {longitude} }}"));
            }
            Some(Position::Plane { x, y }) => {
                let [x, y] = [x, y].map(|distance| toml_value(&distance));
                lines.push(format!("position = {{ x = {x}, y = {y} }}"));
            }
            None => {}
        }
        lines
    }
}

impl DraftLink {
    fn lines(&self) -> Vec<String> {
        let ends = self.between.iter().map(ToString::to_string).collect::<Vec<_>>();
        let comment =
            self.comment.as_ref().map(|comment| format!(" # {}", comment.replace(char::is_control, " ")));
        let between = format!("between = {}{}", toml_value(&ends), comment.unwrap_or_default());
        let mut lines = vec!["\n[[link]]".to_owned(), between];
        lines.extend(self.forward.keys());
        // The `ptm` of a link applies to its first end only.
        let same_buffer = DraftTiming { buffer: self.forward.buffer, ..DraftTiming::default() };
        let backward = self.backward.unwrap_or(same_buffer).keys();
        if !backward.is_empty() {
            lines.push(format!("backward = {{ {} }}", backward.join(", ")));
        }
        lines
    }
}
